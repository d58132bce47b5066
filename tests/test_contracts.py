"""What the layers hand one another: frozen, moved and mapped whole."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch

from timbrel.contracts import Batch, Conditions, Latent, Posterior


def _batch(n: int = 2) -> Batch:
    audio = torch.arange(n * 8, dtype=torch.float32).view(n, 1, 8)
    index = torch.arange(n)
    return Batch(
        audio,
        audio + 1,
        index,
        index - 5,
        Conditions(f0_hz=torch.full((n, 3), 440.0)),
        torch.ones(n, 4),
        torch.ones(n, 4, dtype=torch.bool),
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
    assert first.attributes.shape == first.attribute_mask.shape == (1, 4)
    assert first.attribute_mask.dtype == torch.bool


def test_every_field_moves() -> None:
    moved = _batch().to("meta")
    tensors = [getattr(moved, f.name) for f in fields(moved) if f.name != "conditions"]
    assert moved.conditions.f0_hz is not None
    assert all(tensor.is_meta for tensor in [*tensors, moved.conditions.f0_hz])


def test_without_attributes_a_batch_still_maps() -> None:
    audio, index = torch.zeros(3, 2, 8), torch.zeros(3, dtype=torch.long)
    batch = Batch(audio, audio, index, index).map(torch.clone)
    assert batch.attributes.shape == batch.attribute_mask.shape == (0, 0)
    assert batch.conditions == Conditions()


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
