"""A sound that follows a recording: its loudness, brightness and pitch, mapped, and its silence."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr

from models.test_harmonic import HOP, RATE_HZ, autoencoder, code
from timbrel.attributes.measurement import measure
from timbrel.contracts import Conditions
from timbrel.generation.controls.apply import Playable, decoded, playable
from timbrel.generation.controls.follow import (
    SHARES,
    Voice,
    above_f0,
    followed,
    track_tables,
    voice_of,
)

FRAMES, LONG = 94, 300
FRAME_S = HOP / RATE_HZ
TABLES = {
    "loudness_db": tuple(np.linspace(-50.0, -14.0, len(SHARES))),
    "centroid_hz": tuple(np.linspace(8.5, 11.0, len(SHARES))),
    "f0_hz": tuple(np.linspace(7.0, 8.5, len(SHARES))),
}


@pytest.fixture(scope="module")
def sound() -> Playable:
    f0_hz = 220 + torch.linspace(0, 20, FRAMES)
    return playable(autoencoder(brightness=True), code(f0_hz))


def voice(**tracks: np.ndarray) -> Voice:
    """A tone of 400 Hz whose level goes up and down, and its brightness twice as fast."""
    turn = np.linspace(0, 4 * np.pi, LONG)
    own = {
        "f0_hz": np.full(LONG, np.log2(400.0)),
        "confidence": np.ones(LONG),
        "loudness_db": -30 + 8 * np.sin(turn),
        "centroid_hz": 11 + 0.5 * np.sin(2 * turn),
    }
    return Voice(own | tracks, FRAME_S)


def tracks(made, name: str) -> np.ndarray:
    return made.sound.rows[made.sound.row(name)]


def follow(sound: Playable, of: Voice, **settings):
    given = {"event": False, "transpose": None} | settings
    return followed(sound.sound, of, TABLES, **given)


def test_quantiles_become_those_of_the_recordings(sound: Playable) -> None:
    level = np.random.default_rng(0).uniform(-60, -24, LONG)
    made = tracks(follow(sound, voice(loudness_db=level)), "loudness_db")
    assert_allclose(np.quantile(made, SHARES), TABLES["loudness_db"], atol=0.5)
    assert_array_equal(np.argsort(made), np.argsort(level))
    louder = made.max() - TABLES["loudness_db"][-1]  # behind the table a step is a step
    assert louder == pytest.approx(level.max() - np.quantile(level, SHARES[-1]), abs=1e-6)


def test_what_is_steady_stays_steady(sound: Playable) -> None:
    steady = -30 + 0.5 * np.sin(np.arange(LONG))
    made = tracks(follow(sound, voice(loudness_db=steady)), "loudness_db")
    assert np.ptp(made) < 2.1


def test_the_brightness_lies_between_the_recording_and_the_sound(sound: Playable) -> None:
    made = follow(sound, voice())
    bright = tracks(made, "centroid_hz")
    f0 = tracks(made, "f0_hz")
    own = np.median(sound.sound.rows[sound.sound.row("centroid_hz")])
    own += np.median(f0) - np.median(sound.sound.rows[sound.sound.row("f0_hz")])
    mapped = TABLES["centroid_hz"][len(SHARES) // 2]
    assert np.median(bright) == pytest.approx((own + mapped) / 2, abs=0.05)
    assert spearmanr(bright, voice().tracks["centroid_hz"]).statistic > 0.99
    assert (bright >= f0 + 0.2 - 1e-9).all()


def test_partials_that_are_none_of_f0_follow_the_pitch(sound: Playable) -> None:
    made = follow(sound, voice(f0_hz=np.log2(np.linspace(300.0, 500.0, LONG)))).sound
    own = sound.sound.rows[sound.sound.row("f0_hz")]
    moved = made.latent().conditions.transposed_octaves[0].numpy()
    back = made.rows[made.row("f0_hz")] - moved
    assert back.min() >= own.min() - 1e-6
    assert back.max() <= own.max() + 1e-6
    assert np.ptp(moved) > 0.4
    noisy = follow(sound, voice(confidence=np.zeros(LONG))).sound
    assert not noisy.transposed_octaves.any()


def test_dull_frames_of_a_high_tone_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    f0, bright = rng.uniform(8.5, 9.5, LONG), rng.uniform(8.0, 11.0, LONG)
    every, floor = np.ones(LONG, bool), f0 + 0.2
    made = above_f0(bright, f0, every, every)
    assert (made >= floor).all()
    assert np.mean(made == floor) <= 0.06
    assert np.mean(bright < floor) > 0.35  # all of these would be equally dull
    assert_array_equal(
        np.argsort((made - floor)[made > floor]), np.argsort((bright - f0)[made > floor])
    )
    assert np.quantile(made - floor, 0.95) == pytest.approx(np.quantile(bright - floor, 0.95))
    noise = above_f0(bright, f0, ~every, every)
    assert_array_equal(noise, bright)
    clear = f0 + rng.uniform(0.3, 2.0, LONG)
    assert_allclose(above_f0(clear, f0, every, every), clear)
    far = above_f0(bright - 5, f0, every, every)  # all below: half of what they differ by is left
    wide, half = (np.diff(np.quantile(x, (0.1, 0.9))) for x in (bright - f0, far - floor))
    assert half == pytest.approx(0.5 * wide)


@pytest.mark.parametrize(
    ("hz", "semitones"), [(200.0, 0.0), (400.0, -12.0), (50.0, 24.0), (1500.0, -36.0)]
)
def test_a_pitch_moves_by_octaves_into_the_range(
    sound: Playable, hz: float, semitones: float
) -> None:
    made = follow(sound, voice(f0_hz=np.full(LONG, np.log2(hz))))
    assert made.semitones == semitones
    assert_allclose(tracks(made, "f0_hz"), np.log2(hz) + semitones / 12)
    asked = follow(sound, voice(), transpose=-5.0)
    assert asked.semitones == -5.0
    assert_allclose(tracks(asked, "f0_hz"), np.log2(400.0) - 5 / 12)


def test_without_a_pitch_in_the_recordings_the_sound_keeps_its_own(sound: Playable) -> None:
    tables = {name: table for name, table in TABLES.items() if name != "f0_hz"}
    made = followed(sound.sound, voice(), tables, event=False, transpose=None)
    row = sound.sound.row("f0_hz")
    assert_allclose(made.sound.rows[row][:FRAMES], sound.sound.rows[row])
    assert made.semitones == 0.0


def test_looseness_takes_details_away(sound: Playable) -> None:
    spiky = voice().tracks["loudness_db"].copy()
    spiky[::10] += 6
    rough = voice(loudness_db=spiky)
    assert_array_equal(rough.loosened(0.0).tracks["loudness_db"], spiky)
    smooth = rough.loosened(0.1).tracks["loudness_db"]
    assert np.abs(smooth - voice().tracks["loudness_db"])[5:-5].max() < 1.0
    slow = voice(loudness_db=np.where(np.arange(LONG) % 40 < 25, -20.0, -40.0)).loosened(1.0)
    assert_array_equal(slow.tracks["loudness_db"][60:-60], -20.0)


def test_an_onset_is_kept_and_the_body_is_stretched(sound: Playable) -> None:
    shape = replace(sound.sound, first_frame=10, last_frame=70)
    shape.rows[0] = np.arange(FRAMES)
    late = voice()
    late.tracks["loudness_db"][:20] = -200.0
    made = followed(shape, late, TABLES, event=True, transpose=None)
    assert_allclose(made.sound.rows[0][:21], 10.0)
    assert_allclose(made.sound.rows[0][20:27], np.arange(10, 17))
    assert_allclose(np.diff(made.sound.rows[0][26:]), 54 / (LONG - 27), rtol=1e-9)
    short = Voice({name: track[:40] for name, track in voice().tracks.items()}, FRAME_S)
    cut = followed(shape, short, TABLES, event=True, transpose=None)
    assert_allclose(cut.sound.rows[0], 10.0 + np.arange(40))  # longer ones are cut, not squeezed
    texture = followed(shape, voice(), TABLES, event=False, transpose=None)
    assert_allclose(texture.sound.rows[0][[0, 93, 94, 186, 187]], [0, 93, 92, 0, 1])


def test_the_decoded_sound_follows(sound: Playable) -> None:
    """Level r >= 0.95, pitch within 50 cents, brightness in order, silence where it is silent."""
    level = -30 + 8 * np.sin(np.linspace(0, 4 * np.pi, LONG))
    level[120:180] = -200.0
    f0 = np.log2(150) + 0.02 * np.sin(np.arange(LONG) * 0.3)
    bright = 11 + np.linspace(-1, 1, LONG)
    of = voice(loudness_db=level, f0_hz=f0, centroid_hz=bright)
    made = followed(sound.sound, of, TABLES, event=False, transpose=None)
    audio = decoded(sound.model, made.sound)
    assert audio.shape[1] == LONG * HOP
    assert not audio[:, 124 * HOP : 176 * HOP].any()
    found = measure(audio, RATE_HZ)
    places = ((np.arange(LONG) + 0.5) * FRAME_S / 0.01).astype(int)
    asked, heard = tracks(made, "loudness_db"), np.r_[10:115, 185:290]
    measured = found.track("level_k_db")[0][places]
    assert np.corrcoef(asked[heard], measured[heard])[0, 1] > 0.95
    f0_hz, defined = (one[places] for one in found.track("f0_hz"))
    cents = 1200 * np.abs(np.log2(f0_hz[heard]) - tracks(made, "f0_hz")[heard])
    assert defined[heard].all()
    assert np.mean(cents < 50) > 0.95
    bright = np.log2(found.track("centroid_hz")[0][places][heard])
    assert np.median(np.abs(bright - tracks(made, "centroid_hz")[heard])) < 0.05
    assert spearmanr(bright, tracks(made, "centroid_hz")[heard]).statistic > 0.95


def test_the_tables_are_quantiles_of_what_sounds(sound: Playable) -> None:
    names = ("f0_hz", "confidence", "loudness_db", "centroid_hz")
    level = np.linspace(-100, -10, 91)  # the upper 41 frames sound
    confidence = np.where(np.arange(91) < 70, 0.0, 1.0)
    rows = np.stack([np.zeros(91), np.arange(91.0), confidence, level, np.arange(91.0)])
    made = track_tables([rows], names)
    assert_allclose(made["loudness_db"], np.quantile(level[50:], SHARES))
    assert_allclose(made["centroid_hz"], np.quantile(np.arange(50, 91), SHARES))
    assert_allclose(made["f0_hz"], np.quantile(np.arange(70, 91), SHARES))
    rows[2] = 0.0
    assert "f0_hz" not in track_tables([rows], names)
    assert track_tables([rows], ()) == {}


def test_a_voice_has_its_tracks_in_octaves() -> None:
    given = Conditions(f0_hz=torch.full((1, 3), 256.0), loudness_db=torch.full((1, 3), -20.0))
    made = voice_of(given, 0.01)
    assert made.n_frames == 3
    assert_allclose(made.tracks["f0_hz"], 8.0)
    assert_allclose(made.tracks["loudness_db"], -20.0)
