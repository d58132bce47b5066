"""A learned room: causal, a convolution, and a tail that is measured by how late it is."""

import math

import numpy as np
import pytest
import torch

from timbrel.models.room import Room

LENGTH = 300


def room(seed: int = 0, channels: int = 2) -> Room:
    torch.manual_seed(seed)
    made = Room(channels=channels, length_samples=LENGTH)
    torch.nn.init.normal_(made.taps, std=0.1)
    return made.requires_grad_(False)


def test_it_is_the_sound_and_its_convolution_with_the_response() -> None:
    made = room()
    audio = torch.randn(3, 2, 1000, generator=torch.Generator().manual_seed(1))
    found = made(audio)
    for channel in range(2):
        response = np.concatenate([[1.0], made.response[channel].numpy()])
        wanted = np.convolve(audio[1, channel].numpy(), response)[:1000]
        np.testing.assert_allclose(found[1, channel], wanted, atol=1e-5)


def test_nothing_sounds_before_its_cause_or_after_the_response() -> None:
    audio = torch.zeros(1, 1, 1000)
    audio[..., 400] = 1.0
    found = room(channels=1)(audio)[0, 0]
    assert found[:400].abs().max() < 1e-6
    assert found[400] == pytest.approx(1.0, abs=1e-6)
    assert found[401 : 401 + LENGTH].abs().min() > 0
    assert found[401 + LENGTH :].abs().max() < 1e-6


def test_taps_decay_by_60_db_over_the_length_and_faster_where_that_is_learned() -> None:
    made = room()
    made.taps.fill_(1.0)
    assert 20 * made.response[0, -1].log10() == pytest.approx(-60.0, abs=1e-3)
    made.log_decay[1] = math.log(2.0)
    assert 20 * made.response[:, -1].log10() == pytest.approx(torch.tensor([-60.0, -120.0]))


def test_the_tail_is_energy_times_how_late_it_comes() -> None:
    made = room(channels=1)
    made.taps.zero_()
    assert made.tail == 0
    for tap in (74, 299):
        made.taps.zero_()
        made.taps[0, tap] = 1.0
        late = (tap + 1) / LENGTH
        assert made.tail == pytest.approx(late * 1e-6**late, rel=1e-4)
