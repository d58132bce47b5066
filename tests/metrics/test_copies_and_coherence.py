"""Copies moment by moment, and textures that stay what they are."""

import numpy as np
import pytest

from signals import noise, sine
from timbrel.metrics.coherence import within_share
from timbrel.metrics.copies import RANGE_DB, distances_db, patch, patch_frames, pattern

RATE_HZ = 48_000


def decaying(seed: int, seconds: float = 0.5) -> np.ndarray:
    n = round(seconds * RATE_HZ)
    return (noise(seconds, seed=seed) * np.geomspace(1, 1e-3, n)).astype(np.float32)[None]


def apart(one: np.ndarray, other: np.ndarray, *, anywhere: bool = False) -> float:
    cells = [pattern(x, RATE_HZ, from_onset=not anywhere) for x in (one, other)]
    return float(distances_db(patch(cells[0], RATE_HZ)[None], cells[1], anywhere=anywhere)[0])


def test_a_copy_is_one_at_any_gain_delay_and_side() -> None:
    hit = decaying(0)
    assert apart(hit, hit) < 1e-3
    assert apart(0.01 * hit, hit) < 0.01
    assert apart(np.pad(hit, ((0, 0), (1000, 0))), hit) < 0.5
    assert apart(np.concatenate([hit, -hit]), hit) < 0.01
    assert 1.5 < apart(decaying(1), hit) < 9  # two noises of one kind
    assert apart(hit[:, ::-1], hit) > 12  # the embedding of sets does not hear that


def test_a_short_sound_is_not_near_to_all_that_are_short() -> None:
    """Silence behind both does not count for them."""
    click, other = (decaying(seed, 0.05) for seed in (0, 1))
    long, longer = (decaying(seed, 1.0) for seed in (0, 1))
    assert apart(click, other) > 0.5 * apart(long, longer)


def test_a_texture_is_found_wherever_it_was_cut_from() -> None:
    texture = (sine(400.0, 4.0) * (1 + noise(4.0)))[None]
    start = 512 * 2 * 57
    assert apart(texture[:, start : start + RATE_HZ], texture, anywhere=True) < 1.0
    assert apart(texture[:, start : start + RATE_HZ], texture) > 1.5


def test_patterns_are_levels_above_a_floor() -> None:
    cells = pattern(sine(1000.0, 2.0)[None], RATE_HZ, from_onset=False)
    assert (cells.min(), cells.max()) == (0.0, pytest.approx(RANGE_DB))
    assert patch(cells, RATE_HZ).shape == (patch_frames(RATE_HZ), 40)
    assert not patch(cells, RATE_HZ, start=185)[-10:].any()
    for silent in (np.zeros((1, 0)), np.zeros((2, 5000))):
        assert not pattern(silent.astype(np.float32), RATE_HZ, from_onset=True).any()


def test_pieces_that_are_drawn_anew_share_nothing_with_their_clip() -> None:
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((200, 1, 5))
    pieces = rng.standard_normal((200, 2, 5))
    # Of two pieces half of the variance is that of their mean.
    assert within_share(pieces) == pytest.approx(0.5, abs=0.05)
    assert within_share(3 * clips + pieces) == pytest.approx(0.5 / (9 + 1), abs=0.01)
    assert within_share(np.zeros((3, 2, 5))) == 1.0
