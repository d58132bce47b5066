"""New sounds of a bank: whose they are, what is mixed and what is not, and where they end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from timbrel.contracts import TRACKS
from timbrel.errors import UserError
from timbrel.generation.prior.bank import Bank, BankClip, load_bank, save_bank
from timbrel.generation.prior.barycentre import ONSET_FRAMES, BarycentrePrior, mixed
from timbrel.generation.tracks import rows_of

HOP, WIDTH = 512, 3


def clip(
    name: str = "a",
    *,
    frames: int = 40,
    onset: int = 2,
    level_db: float = -20.0,
    f0_octaves: float = 8.0,
    value: float = 1.0,
    **settings,
) -> BankClip:
    """Codes that rise from frame to frame, by `value` per frame; a level that falls by 1 dB."""
    ramp = np.arange(frames, dtype=np.float32)
    codes = [value * (i + 1) * ramp for i in range(WIDTH)]
    level = level_db - np.maximum(ramp - onset, 0.0)
    steady = [np.full(frames, value) for value in (f0_octaves, 1.0, 10.0, 15.0)]
    rows = np.stack([*codes, *steady[:2], level, *steady[2:]]).astype(np.float32)
    return BankClip(name, rows, np.full(2, value, np.float32), onset, frames, True, **settings)


def bank(count: int) -> Bank:
    clips = [
        clip(f"{i}", value=1 + 0.1 * i, frames=30 + i, f0_octaves=7 + 0.1 * i) for i in range(count)
    ]
    faster = [replace(x, semitones=2.0, rows=1.01 * x.rows) for x in clips]
    return Bank((*clips, *faster), TRACKS)


def rows(prior: BarycentrePrior, seed: int, **settings) -> np.ndarray:
    [latent] = prior.draw(seed, **settings).source.blocks()
    return rows_of(latent)[0].numpy()


def test_as_many_seeds_as_recordings_visit_each_once() -> None:
    prior = BarycentrePrior(bank(7), hop_samples=HOP)
    for first in (0, 7, 70):
        drawn = [prior.draw(seed) for seed in range(first, first + 7)]
        assert sorted(d.made_of[0][0] for d in drawn) == [f"{i}" for i in range(7)]
        assert all(d.made_of[0][1] >= 0.5 for d in drawn)
        assert all(sum(w for _, w in d.made_of) == pytest.approx(1.0) for d in drawn)
        assert all(d.ends for d in drawn)
    orders = [[prior.draw(7 * k + i).made_of[0][0] for i in range(7)] for k in range(3)]
    assert len({tuple(order) for order in orders}) > 1


def test_a_seed_is_one_sound_and_another_seed_another() -> None:
    prior = BarycentrePrior(bank(7), hop_samples=HOP)
    assert_array_equal(rows(prior, 3), rows(BarycentrePrior(bank(7), hop_samples=HOP), 3))
    assert rows(prior, 3).shape != rows(prior, 4).shape or (rows(prior, 3) != rows(prior, 4)).any()


def test_all_of_the_first_is_the_first() -> None:
    first, other = clip("a"), clip("b", frames=60, value=3.0)
    assert_allclose(mixed(first, other, 1.0, TRACKS, 1.0), first.rows, atol=1e-5)


def test_one_recording_alone_is_played_as_it_is() -> None:
    only = Bank((clip("a"),), TRACKS)
    drawn = BarycentrePrior(only, hop_samples=HOP).draw(5)
    assert drawn.made_of == (("a", 1.0),)
    [latent] = drawn.source.blocks()
    assert_allclose(rows_of(latent)[0].numpy(), clip("a").rows, rtol=1e-5)


def test_onsets_coincide_and_what_begins_a_sound_is_not_stretched() -> None:
    first, other = clip("a", onset=5, frames=45), clip("b", onset=2, frames=90, value=3.0)
    made = mixed(first, other, 0.5, TRACKS, 1.0)
    at = np.arange(ONSET_FRAMES) - 2  # from two frames ahead of the onset
    wanted = 0.5 * (first.rows[0, 5 + at] + other.rows[0, 2 + at])
    assert_allclose(made[0, : len(at)], wanted, atol=1e-5)
    bodies = [45 - 5 - ONSET_FRAMES, 90 - 2 - ONSET_FRAMES]
    assert made.shape[1] == 2 + ONSET_FRAMES + round(np.sqrt(bodies[0] * bodies[1]))
    assert_allclose(made[0, -1], 0.5 * (first.rows[0, -1] + other.rows[0, -1]), rtol=1e-5)


def test_a_stretched_sound_has_the_same_beginning_and_the_same_end() -> None:
    one = clip("a", frames=2 + ONSET_FRAMES + 20)
    long = mixed(one, one, 1.0, TRACKS, 2.0)
    assert long.shape[1] == 2 + ONSET_FRAMES + 40
    assert_allclose(long[:, : 2 + ONSET_FRAMES], one.rows[:, : 2 + ONSET_FRAMES], atol=1e-5)
    assert_allclose(long[:, -1], one.rows[:, -1], rtol=1e-5)


def test_the_pitch_is_the_first_ones_whatever_is_mixed() -> None:
    prior = BarycentrePrior(bank(9), hop_samples=HOP)
    pitches = {f"{i}": 7 + 0.1 * i for i in range(9)}
    for seed in range(18):
        drawn = prior.draw(seed, temperature=3.0)
        [latent] = drawn.source.blocks()
        wanted = 2 ** pitches[drawn.made_of[0][0]]
        assert_allclose(latent.conditions.f0_hz.numpy(), wanted, rtol=1e-5)
        assert (latent.conditions.confidence == 1).all()


def test_levels_are_mixed_below_their_peaks() -> None:
    first, other = clip("a", level_db=-10.0), clip("b", level_db=-50.0)
    level = mixed(first, other, 0.6, TRACKS, 1.0)[WIDTH + 2]
    assert_allclose(level, first.rows[WIDTH + 2], atol=1e-4)  # the same course, the first's peak


def test_where_both_are_silent_so_is_the_mixture() -> None:
    first, other = clip("a"), clip("b")
    for each in (first, other):
        each.rows[WIDTH + 2, 30:] = -200.0
    assert (mixed(first, other, 0.5, TRACKS, 1.0)[WIDTH + 2, 30:] <= -120.0).all()


def test_temperature_scales_what_is_random_in_the_code() -> None:
    prior = BarycentrePrior(bank(9), hop_samples=HOP)
    still, once, twice = (rows(prior, 2, temperature=t) for t in (0.0, 1.0, 2.0))
    assert_allclose(twice - still, 2 * (once - still), atol=1e-3)
    assert np.abs(once - still)[:WIDTH].max() > 0
    assert np.abs(once - still)[WIDTH : WIDTH + 3].max() == 0  # pitch, confidence and level
    # Smooth: from frame to frame it moves by far less than it is high.
    moved = (once - still)[0]
    assert np.abs(np.diff(moved)).max() < 0.3 * np.abs(moved).max()


def test_a_longer_sound_of_a_seed_is_perturbed_as_a_shorter_one_is() -> None:
    prior = BarycentrePrior(bank(7), hop_samples=HOP)
    moved = [
        rows(prior, 3, length=length) - rows(prior, 3, length=length, temperature=0.0)
        for length in (1.0, 1.3)
    ]
    n = min(x.shape[1] for x in moved)
    assert moved[0].shape != moved[1].shape
    assert np.abs(moved[0][:WIDTH]).max() > 0.01
    assert_allclose(moved[0][:, :n], moved[1][:, :n], atol=1e-4)


def test_neighbours_are_other_recordings_and_the_nearest_ones() -> None:
    prior = BarycentrePrior(bank(30), hop_samples=HOP)
    near = prior.neighbours(prior.bank.recordings[10])
    assert len(near) == 6  # a fifth of 30
    names = [int(x.name) for x in near]
    assert 10 not in names
    assert set(names) <= set(range(5, 16))
    small = BarycentrePrior(bank(5), hop_samples=HOP)
    assert len(small.neighbours(small.bank.clips[0])) == 2


def test_a_cut_sound_is_cut_and_a_longer_wish_does_not_lengthen_it() -> None:
    prior = BarycentrePrior(bank(5), hop_samples=HOP)
    own = prior.draw(1).source.n_samples
    assert prior.draw(1, n_samples=100).source.n_samples == 100
    assert prior.draw(1, n_samples=10**9).source.n_samples == own
    assert prior.draw(1, length=2.0).source.n_samples > 1.5 * own


def test_a_bank_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = bank(4)
    save_bank(tmp_path, made)
    read = load_bank(tmp_path)
    assert read.tracks == made.tracks
    for one, other in zip(read.clips, made.clips, strict=True):
        for key in ("name", "onset_frame", "end_frame", "event", "semitones"):
            assert getattr(one, key) == getattr(other, key)
        assert_allclose(one.rows[:WIDTH], other.rows[:WIDTH], rtol=1e-3)
        assert_array_equal(one.rows[WIDTH:], other.rows[WIDTH:])
        assert_allclose(one.clip_code, other.clip_code)


@pytest.mark.parametrize("name", ["bank.json", "bank.safetensors"])
@pytest.mark.parametrize("content", [None, "{", '{"tracks": [], "clips": []}'])
def test_a_damaged_bank_is_told_with_the_way_out(
    tmp_path: Path, name: str, content: str | None
) -> None:
    save_bank(tmp_path, bank(2))
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=r"cannot be read: .*timbrel prior run=RUN"):
        load_bank(tmp_path)
