"""Contracts between layers are frozen, and move and map with all their fields."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch

from timbrel.contracts import Batch, Columns, Conditions, Latent, Posterior, joined


def _batch(n: int = 2) -> Batch:
    audio = torch.arange(n * 8, dtype=torch.float32).view(n, 1, 8)
    index = torch.arange(n)
    return Batch(
        audio,
        audio + 1,
        index,
        index - 5,
        Conditions(f0_hz=torch.full((n, 3), 440.0)),
        Columns(("a", "b"), torch.tensor([[1.0, 2.0]]).repeat(n, 1), torch.ones(n, 2) > 0),
    )


def test_conditions_map_what_is_there() -> None:
    doubled = Conditions(loudness_db=torch.tensor([[-20.0]])).map(lambda x: 2 * x)
    assert doubled.f0_hz is None
    assert doubled.confidence is None
    assert doubled.loudness_db is not None
    assert doubled.loudness_db.item() == -40.0


def test_a_batch_maps_every_tensor_and_keeps_its_types() -> None:
    batch = _batch()
    first = batch.map(lambda x: x[:1])
    assert torch.equal(first.input, batch.input[:1])
    assert torch.equal(first.target, batch.target[:1])
    assert first.start_sample.tolist() == [-5]
    assert first.clip_id.tolist() == [0]
    assert first.conditions.f0_hz is not None
    assert first.conditions.f0_hz.shape == (1, 3)
    assert first.attributes.names == ("a", "b")
    assert first.attributes.values.shape == first.attributes.defined.shape == (1, 2)
    assert first.attributes.defined.dtype == torch.bool


def test_every_field_moves() -> None:
    moved = _batch().to("meta")
    tensors = []
    for part in (moved, moved.conditions, moved.attributes, moved.frame_attributes):
        values = [getattr(part, field.name) for field in fields(part)]
        tensors += [value for value in values if isinstance(value, torch.Tensor)]
    assert len(tensors) == 4 + 1 + 2 * 2
    assert all(tensor.is_meta for tensor in tensors)


def test_without_attributes_a_batch_still_maps() -> None:
    audio, index = torch.zeros(3, 2, 8), torch.zeros(3, dtype=torch.long)
    batch = Batch(audio, audio, index, index).map(torch.clone)
    assert batch.attributes.values.shape == batch.attributes.defined.shape == (0, 0)
    assert batch.conditions == Conditions()


def test_columns_are_found_by_name_in_the_order_asked_for() -> None:
    columns = _batch().attributes
    values, defined = columns.of(["b", "a"])
    assert values.tolist() == [[2.0, 1.0]] * 2
    assert defined.all()
    with pytest.raises(ValueError, match="the batch lacks c; it has a, b"):
        columns.of(["a", "c"])
    with pytest.raises(ValueError, match="it has none"):
        Columns().of(["a"])


def test_a_code_is_cut_and_joined_with_its_conditions() -> None:
    time = torch.arange(6.0)[None]
    conditions = Conditions(f0_hz=time + 100, first_frame=torch.tensor([7]))
    code = Latent(time[:, None] * torch.ones(1, 2, 1), torch.ones(1, 3), conditions)
    late = code.cut(4)
    assert late.n_frames == 2
    assert late.conditions.f0_hz is not None
    assert late.conditions.f0_hz.tolist() == [[104.0, 105.0]]
    assert late.conditions.first_frame is not None
    assert late.conditions.first_frame.tolist() == [11]
    whole = joined([code.cut(0, 1), code.cut(1, 4), late])
    for found, expected in ((whole.frames, code.frames), (whole.clip, code.clip)):
        assert torch.equal(found, expected)
    assert whole.conditions.f0_hz is not None
    assert torch.equal(whole.conditions.f0_hz, conditions.f0_hz)
    assert whole.conditions.first_frame is not None
    assert whole.conditions.first_frame.tolist() == [7]
    with pytest.raises(ValueError, match="different tracks"):
        joined([code, Latent(code.frames, code.clip)])


def test_frozen() -> None:
    code = Latent(torch.zeros(1, 2, 3), torch.zeros(1, 0))
    with pytest.raises(FrozenInstanceError):
        code.frames = torch.ones(1, 2, 3)  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Posterior(code, None).log_var = code  # type: ignore[misc]


def test_a_latent_maps_both_parts() -> None:
    code = Latent(torch.ones(1, 2, 3), torch.ones(1, 4)).map(lambda x: 3 * x)
    assert code.frames.sum() == 18
    assert code.clip.sum() == 12
