"""Sounds like another, between two, and on behind one: at the ends they are what they come from."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr

from generation.test_bank import HOP, WIDTH, bank, clip
from generation.test_resample import RATE_HZ, texture
from timbrel.contracts import TRACKS
from timbrel.generation.prior.bank import Bank
from timbrel.generation.prior.barycentre import BarycentrePrior, line
from timbrel.generation.prior.draw import Draw
from timbrel.generation.prior.resample import ResamplePrior
from timbrel.generation.tracks import rows_of

F0, SURE, LEVEL = WIDTH, WIDTH + 1, WIDTH + 2


def rows(drawn: Draw) -> np.ndarray:
    return np.concatenate([rows_of(b)[0].numpy() for b in drawn.source.blocks()], axis=1)


def between(one, other, position: float, **settings) -> np.ndarray:
    return rows(line(one, other, position, TRACKS, hop_samples=HOP, **settings))


def test_the_ends_of_the_line_are_the_two_sounds() -> None:
    one, other = clip("a"), clip("b", value=2.0, level_db=-30.0, f0_octaves=9.0)
    assert_allclose(between(one, other, 0.0), one.rows, rtol=1e-5, atol=1e-4)
    assert_allclose(between(one, other, 1.0), other.rows, rtol=1e-5, atol=1e-4)
    middle = between(one, other, 0.5)
    assert_allclose(middle[F0], 8.5, rtol=1e-5)  # half way in semitones
    assert_allclose(middle[LEVEL].max(), -25.0, rtol=1e-5)
    moving = between(one, other, 0.0, to=1.0)
    assert_allclose(moving[:, 0], one.rows[:, 0], atol=1e-4)
    assert_allclose(moving[:, -1], other.rows[:, -1], rtol=1e-5)
    assert (np.diff(moving[F0]) > 0).all()


def test_a_sound_without_a_pitch_takes_that_of_the_other() -> None:
    one, other = clip("a"), clip("b", f0_octaves=10.0)
    other.rows[SURE] = 0.0
    assert_allclose(between(one, other, 0.5)[F0], 8.0, rtol=1e-5)
    assert_allclose(between(one, other, 0.5)[SURE], 0.5, rtol=1e-5)


def test_the_stronger_the_farther_and_none_is_the_sound_itself() -> None:
    like = [clip(f"{i}", value=1 + 0.1 * i, frames=35) for i in range(12)]
    prior = BarycentrePrior(Bank(tuple(like), TRACKS), hop_samples=HOP)
    stranger = clip("never seen", value=1.33, frames=35)
    itself = rows(prior.vary(stranger, 0.0, 4))
    assert_allclose(itself, stranger.rows, rtol=1e-5, atol=1e-4)
    assert prior.vary(stranger, 0.0, 4).made_of == (("never seen", 1.0),)
    orders = []
    for seed in range(10):
        apart = []
        for strength in np.linspace(0.0, 1.0, 6):
            made = rows(prior.vary(stranger, float(strength), seed))
            apart.append(np.abs(made[:WIDTH] - itself[:WIDTH]).mean())
        orders.append(spearmanr(range(6), apart).statistic)
    assert np.mean(orders) >= 0.95
    seeds = [rows(prior.vary(stranger, 0.5, seed))[:WIDTH, 5] for seed in (1, 2)]
    assert np.abs(seeds[0] - seeds[1]).max() > 0.01


@pytest.mark.parametrize("name", ["3", "never seen"])
def test_a_varied_recording_is_not_mixed_with_itself(name: str) -> None:
    prior = BarycentrePrior(bank(12), hop_samples=HOP)
    sound = replace(prior.bank.recordings[3], name=name)
    partners = {prior.vary(sound, 0.7, seed).made_of[1][0] for seed in range(20)}
    assert len(partners) > 1
    assert ("3" in partners) == (name != "3")


def test_what_goes_on_begins_with_the_whole_sound() -> None:
    sound = texture("a", frames=500, seed=2)
    alone = ResamplePrior(Bank((sound,), TRACKS), hop_samples=HOP, sample_rate_hz=RATE_HZ)
    drawn = alone.go_on(sound, 3, n_samples=1200 * HOP, temperature=0.0)
    made = rows(drawn)
    assert made.shape[1] == 1200
    assert_allclose(made[:, :490], sound.rows[:, :490], rtol=1e-5, atol=1e-4)
    steps, own = (np.abs(np.diff(x[:4], axis=1)).max() for x in (made, sound.rows))
    assert steps < 2.5 * own
    again = rows(alone.go_on(sound, 3, n_samples=1200 * HOP, temperature=0.0))
    assert_array_equal(again, made)
