"""Training of a recurrent decoder: the same twice, resumed as if never ended, in bfloat16."""

import copy
from typing import Any

import pytest
import torch

from training.tiny import choices, curve, measured, moved, training, weights_of

RECURRENT = choices("ddsp", "vae", decoder={"stack": "recurrent", "dropout": 0.2, "blocks": 2})


def test_twice_is_the_same_to_the_last_bit() -> None:
    batch, one, two = measured("ddsp"), training(RECURRENT), training(RECURRENT)
    before = weights_of(one.model)
    assert curve(one, batch, 3) == curve(two, batch, 3)
    assert moved(before, one.model) == before.keys()
    for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(a, b)
    codes = one.model.encode(batch.input, batch.conditions).mean
    model = one.model.eval()
    assert torch.equal(model.decode(codes), model.decode(codes))


def test_dropout_changes_a_training() -> None:
    batch = measured("ddsp")
    without = choices("ddsp", "vae", decoder={"stack": "recurrent", "blocks": 2})
    assert curve(training(without), batch, 2) != curve(training(RECURRENT), batch, 2)


def test_resumed_it_repeats_its_curve() -> None:
    batch, whole = measured("ddsp"), training(RECURRENT)
    curve(whole, batch, 2)
    checkpoint: dict[str, Any] = {}
    whole.on_save_checkpoint(checkpoint)
    state = copy.deepcopy(whole.state_dict())
    optimizer = copy.deepcopy(whole.optimizers().state_dict())
    expected = curve(whole, batch, 3)
    again = training(RECURRENT)
    again.load_state_dict(state)
    again.on_load_checkpoint(checkpoint)
    again.optimizers().load_state_dict(optimizer)
    assert curve(again, batch, 3) == expected


def test_in_bfloat16_it_learns_nearly_the_same() -> None:
    batch = measured("ddsp")
    single, half = (
        curve(training(RECURRENT, autocast=autocast), batch, 3) for autocast in (False, True)
    )
    assert half != single
    assert half == pytest.approx(single, rel=0.02)
