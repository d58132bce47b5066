"""Codes in the order of an attribute cost nothing, codes in reverse twice gamma."""

from typing import Any

import pytest
import torch
from torch import Tensor

from losses.latent.codes import batch, frames_only, rng, terms
from timbrel.contracts import Columns, Latent, Posterior
from timbrel.losses.latent import AttributeOrder
from timbrel.losses.latent.attribute_order import order_loss


def penalty(**changes: Any) -> AttributeOrder:
    settings: dict[str, Any] = {
        "latent_dim": 3, "clip_dim": 0, "frame_attributes": ["log_f0_octaves"],
        "clip_attributes": [],
        "dead_zone": {}, "delta": 1000.0, "queue_rows": 0,
    }  # fmt: skip
    return AttributeOrder(**{**settings, **changes})


def gaussian(latent: Latent) -> Posterior:
    return Posterior(latent, latent.map(torch.zeros_like))


NAMES = ("log_f0_octaves", "log_centroid_octaves")


def measured(values: Tensor, mask: Tensor | None = None) -> dict[str, Columns]:
    """Frame attributes of one frame per clip, `(clip, attribute)`."""
    known = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    names = NAMES[: values.shape[1]]
    return {"frame_attributes": Columns(names, values[..., None], known[..., None])}


ORDER = torch.tensor([3.0, 1.0, 2.0, 5.0, 4.0])


def ordered(sign: float) -> Latent:
    others = torch.randn(5, 2, generator=rng())
    return frames_only(torch.cat([sign * ORDER[:, None], others], dim=1))


@pytest.mark.parametrize(("sign", "expected"), [(1.0, 0.0), (-1.0, 2.0), (0.0, 1.0)])
def test_ordered_reversed_and_constant_codes(sign: float, expected: float) -> None:
    latent = ordered(sign)
    found = terms(penalty(), gaussian(latent), latent, **measured(ORDER[:, None]))
    assert float(found["frame_order"]) == pytest.approx(expected, abs=1e-6)
    assert float(found["clip_order"]) == 0.0


def test_small_delta_is_the_mean_of_tanh_by_hand() -> None:
    latent = frames_only(torch.tensor([[0.0, 9.0, 9.0], [0.3, 9.0, 9.0]]))
    found = terms(
        penalty(delta=2.0), gaussian(latent), latent, **measured(torch.tensor([[1.0], [4.0]]))
    )
    by_hand = 1.0 - torch.tanh(torch.tensor(0.6))
    assert float(found["frame_order"]) == pytest.approx(float(by_hand), rel=1e-6)


def test_attributes_add_up_and_each_has_its_dimension() -> None:
    latent = frames_only(torch.stack([ORDER, -ORDER, ORDER.flip(0)], dim=1))
    two = torch.stack([ORDER, ORDER], dim=1)
    made = penalty(frame_attributes=["log_f0_octaves", "log_centroid_octaves"])
    assert float(terms(made, gaussian(latent), latent, **measured(two))["frame_order"]) == 2.0


def test_pairs_within_the_noise_and_masked_values_do_not_count() -> None:
    values = torch.tensor([[1.0], [1.05], [3.0], [float("nan")]])
    latent = frames_only(torch.tensor([[2.0, 0, 0], [1.0, 0, 0], [5.0, 0, 0], [-9.0, 0, 0]]))
    mask = torch.tensor([[True], [True], [True], [False]])
    given = (gaussian(latent), latent)
    within = penalty(dead_zone={"log_f0_octaves": 0.1})
    beyond = penalty(dead_zone={"log_f0_octaves": 0.01})
    # the one pair in the wrong order is nearer than the noise
    assert float(terms(within, *given, **measured(values, mask))["frame_order"]) == 0.0
    assert float(terms(beyond, *given, **measured(values, mask))["frame_order"]) == pytest.approx(
        2.0 / 3.0  # one of three pairs, both ways
    )


def test_nothing_known_costs_nothing_and_moves_nothing() -> None:
    rows = torch.randn(4, 3, generator=rng()).requires_grad_()
    latent = frames_only(rows)
    none = torch.zeros(4, 1, dtype=torch.bool)
    found = terms(penalty(), gaussian(latent), latent, **measured(torch.zeros(4, 1), none))
    found["frame_order"].backward()
    assert float(found["frame_order"].detach()) == 0.0
    assert rows.grad is not None
    assert torch.equal(rows.grad, torch.zeros(4, 3))


def test_the_gradient_reaches_its_own_dimension_and_turns_the_order() -> None:
    rows = torch.tensor([[0.1, 0.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    latent = frames_only(rows)
    given = measured(torch.tensor([[1.0], [2.0]]))
    terms(penalty(delta=1.0), gaussian(latent), latent, **given)["frame_order"].backward()
    assert rows.grad is not None
    assert rows.grad[0, 0] > 0 > rows.grad[1, 0]  # descent exchanges them
    assert torch.equal(rows.grad[:, 1:], torch.zeros(2, 2))


def test_small_batches_are_compared_with_earlier_clips() -> None:
    """Single clips have no pairs; with a queue, the order over steps is seen."""
    made = penalty(queue_rows=16)
    costs = []
    for value in ORDER:
        latent = frames_only(torch.stack([-value, value, value])[None])
        given = measured(value.reshape(1, 1))
        costs.append(float(terms(made, gaussian(latent), latent, **given)["frame_order"]))
    assert costs == [0.0, 2.0, 2.0, 2.0, 2.0]


def test_clip_codes_follow_clip_attributes() -> None:
    made = penalty(
        clip_dim=2, frame_attributes=[], clip_attributes=["log_attack_time"], queue_rows=4
    )
    assert float(made.dead_zone_clip[0]) == pytest.approx(0.03)  # the registry's repeat error
    latent = Latent(torch.zeros(5, 3, 2), torch.stack([-ORDER, ORDER], dim=1))
    known = {"attributes": Columns(("log_attack_time",), ORDER[:, None], torch.ones(5, 1) > 0)}
    found = terms(made, gaussian(latent), latent, **known)
    assert (float(found["frame_order"]), float(found["clip_order"])) == (0.0, 2.0)


def test_dead_zones_are_the_registrys_where_none_is_set() -> None:
    """Of frames their own noise, else that of clips; of what the registry lacks 0."""
    names = ["log_f0_octaves", "log_centroid_octaves", "flatness", "mine"]
    made = penalty(latent_dim=4, frame_attributes=names, dead_zone={"flatness": 0.2})
    assert made.dead_zone_frames.tolist() == pytest.approx([0.01, 0.05, 0.2, 0.0])
    made = penalty(clip_dim=1, frame_attributes=[], clip_attributes=["log_f0_octaves"])
    assert made.dead_zone_clip.tolist() == pytest.approx([2e-4])


def test_frames_of_one_clip_are_never_paired() -> None:
    """Within every clip the code runs against the attribute, between clips with it."""
    clip = torch.arange(6.0)[:, None] * 100
    frame = torch.arange(8.0)
    latent = Latent((clip - frame)[:, None], torch.zeros(6, 0))
    found = penalty(latent_dim=1)(
        gaussian(latent), latent,
        batch(6, frame_attributes=Columns(
            ("log_f0_octaves",), (clip + frame)[:, None], torch.ones(6, 1, 8) > 0)),
        0, rng(),
    )  # fmt: skip
    assert float(found["frame_order"]) == 0.0


def test_a_batch_without_the_attributes_is_an_error() -> None:
    latent = ordered(1.0)
    with pytest.raises(ValueError, match="lacks log_f0_octaves; it has none"):
        terms(penalty(), gaussian(latent), latent)
    made = penalty(clip_dim=1, clip_attributes=["width"])
    coded = Latent(latent.frames, torch.zeros(5, 1))
    with pytest.raises(ValueError, match="lacks width; it has none"):
        terms(made, gaussian(coded), coded, **measured(ORDER[:, None]))


def test_too_many_attributes_name_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"names 1, and architecture.latent_dim=0"):
        penalty(latent_dim=0)
    with pytest.raises(ValueError, match=r"raise architecture.clip_dim"):
        penalty(clip_attributes=["width"])
    with pytest.raises(ValueError, match="both empty"):
        penalty(frame_attributes=[])
    with pytest.raises(ValueError, match="above 0"):
        penalty(delta=0.0)
    with pytest.raises(ValueError, match=r"dead_zone.log_f0_octaves=-0.1: 0 or more"):
        penalty(dead_zone={"log_f0_octaves": -0.1})


def test_past_pairs_carry_gradient_to_the_present_alone() -> None:
    z = torch.tensor([[0.0]], requires_grad=True)
    old = torch.tensor([[1.0]], requires_grad=True)
    known = torch.ones(1, 1, dtype=torch.bool)
    loss = order_loss(
        z, torch.tensor([[2.0]]), known, (old.detach(), torch.tensor([[1.0]]), known),
        delta=1.0, dead_zone=torch.zeros(1),
    )  # fmt: skip
    loss.backward()
    assert z.grad is not None
    assert float(z.grad) < 0  # upwards: its attribute is the larger one
