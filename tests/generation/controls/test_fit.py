"""Tracks of a recording that a model of other recordings plays: transposed, and mapped."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from timbrel.contracts import Conditions, Latent
from timbrel.generation.controls.fit import (
    Fit,
    Fitted,
    FittedSource,
    brightness_along,
    conditions_of,
    fitted,
    mean_of_recordings,
    moved_to,
)
from timbrel.generation.controls.follow import SHARES, Voice, voice_of
from timbrel.generation.prior.bank import Bank, BankClip
from timbrel.generation.source import FixedSource

FRAMES = 200
TABLES = {
    "loudness_db": tuple(np.linspace(-50.0, -14.0, len(SHARES))),
    "centroid_hz": tuple(np.linspace(9.0, 11.0, len(SHARES))),
    "f0_hz": tuple(np.linspace(7.0, 8.5, len(SHARES))),
}


def voice(**tracks: np.ndarray) -> Voice:
    """A line around 400 Hz, above the tables; its level and brightness are random."""
    rng = np.random.default_rng(0)
    own = {
        "f0_hz": np.log2(400.0) + 0.1 * np.sin(np.arange(FRAMES) / 9),
        "confidence": np.ones(FRAMES),
        "loudness_db": rng.uniform(-60, -24, FRAMES),
        "centroid_hz": rng.uniform(9.5, 12.5, FRAMES),
    }
    return Voice(own | tracks, 0.01)


def test_semitones_move_pitch_and_brightness_and_nothing_else() -> None:
    of = voice()
    made = fitted(of, Fit(transpose=12.0), {})
    assert made.semitones == 12.0
    assert_allclose(made.voice.tracks["f0_hz"], of.tracks["f0_hz"] + 1)
    assert_allclose(made.voice.tracks["centroid_hz"], of.tracks["centroid_hz"] + 0.8, atol=0.21)
    for name in ("confidence", "loudness_db"):
        assert_array_equal(made.voice.tracks[name], of.tracks[name])


def test_brightness_keeps_its_distance_from_the_pitch_but_for_two_tenths_of_an_octave() -> None:
    moved = brightness_along(np.array([8.1, 8.3, 11.0]), np.full(3, 8.0), np.full(3, 2.0))
    assert_allclose(moved, [10.1, 10.2, 12.6])
    assert_array_equal(brightness_along(moved, np.full(3, 8.0), np.zeros(3)), moved)


def test_octaves_bring_the_median_into_the_table() -> None:
    assert fitted(voice(), Fit(transpose=None), TABLES).semitones == -12.0
    low = voice(f0_hz=np.full(FRAMES, np.log2(30.0)))
    assert fitted(low, Fit(transpose=None), TABLES).semitones == 36.0
    unpitched = voice(confidence=np.zeros(FRAMES))
    assert fitted(unpitched, Fit(transpose=None), TABLES).semitones == 0.0


@pytest.mark.parametrize(
    ("fit", "track"),
    [
        (Fit(match_loudness=True), "loudness_db"),
        (Fit(match_brightness=True), "centroid_hz"),
    ],
)
def test_what_is_matched_has_the_quantiles_of_the_table(fit: Fit, track: str) -> None:
    of = voice(f0_hz=np.full(FRAMES, 6.0))
    made = fitted(of, fit, TABLES)
    assert_allclose(np.quantile(made.voice.tracks[track], SHARES), TABLES[track], atol=0.1)
    assert_array_equal(np.argsort(made.voice.tracks[track]), np.argsort(of.tracks[track]))
    for name in of.tracks.keys() - {track}:
        assert_allclose(made.voice.tracks[name], of.tracks[name], atol=1e-12)


def test_pitch_is_matched_only_where_it_leaves_the_table() -> None:
    inside = voice(f0_hz=np.linspace(7.2, 8.4, FRAMES))
    kept = fitted(inside, Fit(match_pitch=True), TABLES).voice.tracks["f0_hz"]
    assert_array_equal(kept, inside.tracks["f0_hz"])
    wide = voice(f0_hz=np.linspace(6.0, 9.0, FRAMES))
    made = fitted(wide, Fit(match_pitch=True), TABLES).voice.tracks["f0_hz"]
    assert_allclose(np.quantile(made, SHARES), TABLES["f0_hz"], atol=0.01)


def test_matched_brightness_is_above_the_pitch_of_what_is_tonal() -> None:
    tonal = np.arange(FRAMES) % 2 == 0
    of = voice(confidence=tonal.astype(float), f0_hz=np.full(FRAMES, 10.0))
    made = fitted(of, Fit(match_brightness=True), TABLES).voice.tracks["centroid_hz"]
    assert made[tonal].min() == pytest.approx(10.2)
    assert made[~tonal].min() < 9.5


def test_silence_stays_as_it_is() -> None:
    silent = voice(loudness_db=np.full(FRAMES, -120.0))
    every = Fit(None, match_loudness=True, match_brightness=True, match_pitch=True)
    assert every.needed == ("loudness_db", "centroid_hz", "f0_hz")
    assert fitted(silent, every, TABLES).voice is silent
    gap = voice()
    gap.tracks["loudness_db"][50:60] = -130.0
    made = fitted(gap, Fit(match_loudness=True), TABLES).voice.tracks["loudness_db"]
    assert (made[50:60] == -200.0).all()


def test_blocks_carry_their_part_of_the_tracks() -> None:
    own = Conditions(**{k: torch.rand(1, 5) for k in ("f0_hz", "loudness_db")})
    code = Latent(torch.rand(1, 3, 5), torch.zeros(1, 0), own)

    class Blocks(FixedSource):
        def blocks(self):
            yield from (code.cut(0, 2), code.cut(2))

    others = own.map(lambda x: x + 1)
    source = FittedSource(Blocks(code, hop_samples=512), others)
    assert source.n_samples == 5 * 512
    first, second = source.blocks()
    assert torch.equal(first.conditions.f0_hz, others.f0_hz[:, :2])
    assert torch.equal(second.conditions.loudness_db, others.loudness_db[:, 2:])
    assert torch.equal(second.frames, code.frames[:, :, 2:])


def test_a_code_is_moved_until_the_mean_of_what_sounds_is_that_of_the_recordings() -> None:
    rng = np.random.default_rng(1)

    def clip(level: float, semitones: float = 0.0) -> BankClip:
        rows = rng.normal(size=(3, 40)).astype("f4")
        rows[2] = np.where(np.arange(40) < 30, level, -150.0)
        return BankClip("a", rows, np.full(2, level, "f4"), 0, 30, False, semitones)

    bank = Bank((clip(-20.0), clip(-30.0), clip(-90.0, 1.0)), ("loudness_db",))
    target = mean_of_recordings(bank)
    expected = np.concatenate([one.rows[:2, :30] for one in bank.recordings], axis=1).mean(1)
    assert_allclose(target.frames.numpy(), expected, atol=1e-6)
    assert target.clip.tolist() == [-25.0, -25.0]
    own = Conditions(loudness_db=torch.zeros(1, 5))
    source = FixedSource(Latent(torch.rand(1, 2, 5), torch.zeros(1, 2), own), hop_samples=512)
    heard = np.array([True, True, False, True, False])
    [made] = FittedSource(source, own, moved_to(target, source, heard)).blocks()
    assert_allclose(made.frames[0][:, torch.from_numpy(heard)].mean(1), expected, atol=1e-6)
    assert torch.allclose(made.frames.diff(), source.latent.frames.diff(), atol=1e-6)
    assert made.clip.tolist() == [[-25.0, -25.0]]


def test_a_voice_is_what_its_tracks_were() -> None:
    hz = torch.linspace(50, 5000, 7)[None]
    own = Conditions(f0_hz=hz, confidence=hz / 5000, loudness_db=-hz / 100, centroid_hz=2 * hz)
    still = np.zeros(7)
    back = conditions_of(Fitted(voice_of(own, 0.01), 0.0, still))
    assert back.transposed_octaves is None
    for name, track in own.tracks.items():
        assert torch.allclose(back.tracks[name], track, rtol=1e-5)
    moved = replace(voice_of(own, 0.01))
    moved.tracks["f0_hz"][:] += 1
    given = conditions_of(Fitted(moved, 12.0, still + 1))
    assert torch.allclose(given.f0_hz, 2 * hz, rtol=1e-5)
    assert given.transposed_octaves.tolist() == [[1.0] * 7]
