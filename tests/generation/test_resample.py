"""Textures of pieces: one recording each, any length, joins that are no rougher than the sound."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from timbrel.config.choices import TextureKind
from timbrel.contracts import TRACKS
from timbrel.generation.prior.bank import Bank, BankClip
from timbrel.generation.prior.resample import ResamplePrior
from timbrel.generation.tracks import rows_of
from timbrel.metrics.coherence import within_share

RATE_HZ, HOP, WIDTH = 48_000, 512, 4
FRAMES_PER_S = RATE_HZ / HOP


def texture(name: str, frames: int = 900, mean: float = 0.0, seed: int = 0) -> BankClip:
    """Codes that wander smoothly about `mean`; the first code names the place it comes from."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((WIDTH, frames + 40))
    smooth = np.stack([np.convolve(row, np.hanning(41) / 4, "valid") for row in white])
    tracks = np.stack(
        [
            8 + 0.1 * smooth[0],
            np.full(frames, 0.9),
            -30 + smooth[1],
            10 + 0.1 * smooth[2],
            15 + smooth[0],
        ]
    )
    rows = np.concatenate(
        [
            mean + smooth,
            tracks,
        ]
    ).astype(np.float32)
    return BankClip(name, rows, np.zeros(0, np.float32), 0, frames, False)


def prior(*clips: BankClip, kind: TextureKind = TextureKind.quilt) -> ResamplePrior:
    bank = Bank(clips, TRACKS)
    return ResamplePrior(bank, hop_samples=HOP, sample_rate_hz=RATE_HZ, texture=kind)


def several(kind: TextureKind = TextureKind.quilt) -> ResamplePrior:
    return prior(*(texture(f"{i}", mean=5.0 * i, seed=i) for i in range(4)), kind=kind)


def rows(made: ResamplePrior, seed: int, **settings) -> np.ndarray:
    blocks = made.draw(seed, **settings).source.blocks()
    return np.concatenate([rows_of(block)[0].numpy() for block in blocks], axis=1)


@pytest.mark.parametrize("kind", TextureKind)
def test_each_recording_is_visited_once_and_a_seed_is_one_sound(kind: TextureKind) -> None:
    made = several(kind)
    names = [made.draw(seed).made_of[0][0] for seed in range(8)]
    assert sorted(names[:4]) == sorted(names[4:]) == ["0", "1", "2", "3"]
    assert_array_equal(rows(made, 3), rows(several(kind), 3))
    source = made.draw(3).source
    first, again = (
        np.concatenate([rows_of(b)[0].numpy() for b in source.blocks()], axis=1) for _ in range(2)
    )
    assert_array_equal(first, again)


@pytest.mark.parametrize("kind", TextureKind)
def test_it_is_as_long_as_it_is_asked_for_or_as_its_recording(kind: TextureKind) -> None:
    made = several(kind)
    assert made.draw(0).source.n_samples == 900 * HOP
    assert made.draw(0, length=0.5).source.n_samples == 450 * HOP
    assert rows(made, 0, n_samples=RATE_HZ).shape[1] == np.ceil(FRAMES_PER_S)
    short, long = (rows(made, 0, n_samples=n) for n in (RATE_HZ, 20 * RATE_HZ))
    assert_array_equal(long[:, : short.shape[1]], short)
    assert not made.draw(0).ends


@pytest.mark.parametrize("kind", TextureKind)
def test_a_sound_keeps_to_its_recording(kind: TextureKind) -> None:
    made = several(kind)
    sounds = np.stack(
        [rows(made, seed, n_samples=20 * RATE_HZ)[:WIDTH, :1800] for seed in range(4)]
    )
    pieces = sounds.reshape(4, WIDTH, 20, 90).mean(3).transpose(0, 2, 1).astype(np.float64)
    assert within_share(pieces) < 0.1


def test_no_run_of_a_recording_lasts_half_a_second() -> None:
    clip = texture("a", seed=3)
    made = rows(prior(clip), 0, n_samples=30 * RATE_HZ, temperature=0.0)
    own = clip.rows[:WIDTH]
    places = [int(np.abs(own - made[:WIDTH, [i]]).max(0).argmin()) for i in range(made.shape[1])]
    exact = [np.abs(own[:, p] - made[:WIDTH, i]).max() < 1e-5 for i, p in enumerate(places)]
    longest = run = 0
    for i in range(1, len(places)):
        goes_on = exact[i] and exact[i - 1] and places[i] == places[i - 1] + 1
        run = run + 1 if goes_on else 0
        longest = max(longest, run)
    assert 0.2 * FRAMES_PER_S < longest < 0.5 * FRAMES_PER_S


def test_joins_are_hardly_rougher_than_the_recording() -> None:
    clip = texture("a", seed=4)
    made = rows(prior(clip), 0, n_samples=60 * RATE_HZ, temperature=0.0)
    own, steps = (np.abs(np.diff(x[:WIDTH], axis=1)).max(0) for x in (clip.rows, made))
    assert steps.max() < 2.5 * own.max()
    assert np.median(steps) == pytest.approx(np.median(own), rel=0.2)


def test_what_is_random_in_the_code_leaves_pitch_and_level_alone() -> None:
    made = several()
    still, once, thrice = (rows(made, 1, n_samples=4 * RATE_HZ, temperature=t) for t in (0, 1, 3))
    assert np.abs(once - still)[:WIDTH].max() > 0.01
    np.testing.assert_allclose(thrice - still, 3 * (once - still), atol=1e-3)
    assert np.abs(once - still)[WIDTH : WIDTH + 3].max() < 1e-5


@pytest.mark.parametrize("kind", TextureKind)
@pytest.mark.parametrize("frames", [1, 2, 5, 40])
def test_a_recording_of_a_few_frames_is_played_somehow(frames: int, kind: TextureKind) -> None:
    made = rows(prior(texture("a", frames=frames), kind=kind), 0, n_samples=2 * RATE_HZ)
    assert made.shape[1] == np.ceil(2 * FRAMES_PER_S)
    assert np.isfinite(made).all()


@pytest.mark.parametrize("kind", TextureKind)
def test_a_long_sound_takes_no_more_memory_than_a_short_one(kind: TextureKind) -> None:
    made = several(kind)

    def peak(seconds: int) -> int:
        tracemalloc.start()
        for _ in made.draw(0, n_samples=seconds * RATE_HZ).source.blocks():
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)
    assert peak(120) < 1.2 * peak(20)


def test_a_drawn_texture_has_the_moments_of_its_recording_and_none_of_its_frames() -> None:
    clip = texture("a", seed=3, frames=2000)
    made = rows(prior(clip, kind=TextureKind.var), 0, n_samples=600 * RATE_HZ)[:WIDTH]
    own = clip.rows[:WIDTH]
    assert_allclose(made.mean(1), own.mean(1), atol=0.1 * own.std())
    assert_allclose(np.cov(made), np.cov(own), atol=0.1 * own.var())
    steps = [np.diff(x, axis=1).std() for x in (made, own)]
    assert steps[0] == pytest.approx(steps[1], rel=0.25)
    nearest = [np.abs(own - made[:, [i]]).max(0).min() for i in range(0, 2000, 50)]
    assert min(nearest) > 1e-4


def test_temperature_scales_what_is_drawn() -> None:
    made = several(TextureKind.var)
    still, once, half = (rows(made, 1, n_samples=4 * RATE_HZ, temperature=t) for t in (0, 1, 0.5))
    assert np.ptp(still, axis=1).max() < 1e-5
    moved = [(x - x.mean(1, keepdims=True))[:WIDTH] for x in (half, once)]
    assert_allclose(moved[0], 0.5 * moved[1], atol=1e-3)


def test_what_is_silent_in_a_texture_is_no_outlier_of_its_level() -> None:
    clip = texture("a")
    clip.rows[WIDTH + 2, -90:] = -200.0
    made = rows(prior(clip, kind=TextureKind.var), 0, n_samples=60 * RATE_HZ)
    assert made[WIDTH + 2].min() > -160
