"""Controls over time on a decoder that follows tracks: frame for frame what was asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr

from models.test_harmonic import HOP, RATE_HZ, autoencoder, code
from timbrel.attributes.measurement import measure
from timbrel.errors import UserError
from timbrel.generation.controls.apply import Playable, playable, tilted
from timbrel.generation.controls.courses import course
from timbrel.generation.controls.curves import curve_of
from timbrel.generation.controls.mapper import Controlled, Mapper, Slider, controlled
from timbrel.generation.controls.named import CONTROLS
from timbrel.generation.controls.operators import OPERATORS
from timbrel.generation.controls.varying import added, on, through

FRAMES = 94  # one second


def slider(axis: str, operator: str, reach: float, move: float) -> Slider:
    ways, moves = (-reach, 0.0, reach), (-move, 0.0, move)
    kind = "gain" if operator == "level" else "operator"
    return Slider(axis, "any", "", kind, operator, ways, moves, scores={"sdot": 0.5})


MAPPER = Mapper(
    {
        one.axis: one
        for one in (
            slider("pitch", "pitch", 12.0, 1.0),
            slider("brightness", "brightness", 2.0, 2.0),
            slider("hnr", "balance", 40.0, 20.0),
            slider("attack", "attack_ramp", 1.0, 1.0),
            slider("onsets", "speed", 1.0, 1.0),
            slider("level", "level", 12.0, 12.0),
        )
    },
    {},
    {},
)


@pytest.fixture(scope="module")
def sound() -> Playable:
    vibrato = 220 * 2 ** (0.5 / 12 * torch.sin(torch.arange(FRAMES) * 0.4))
    model, latent = autoencoder(brightness=True), code(vibrato)
    bright_hz = measure(playable(model, latent).audio, RATE_HZ).value("centroid_hz")
    as_bright = torch.full((1, FRAMES), bright_hz)  # the track tells how bright it is
    conditions = replace(latent.conditions, centroid_hz=as_bright)
    return playable(model, replace(latent, conditions=conditions))


def moved(sound: Playable, **curves: list) -> Controlled:
    controls = {name: curve_of(points, name) for name, points in curves.items()}
    return controlled(sound, MAPPER, controls, precise=False, name="x")


def pitches(audio: np.ndarray) -> np.ndarray:
    found = measure(audio, RATE_HZ)
    return found.track("f0_hz")[0][10:-10]


def seconds(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) * 0.01


def test_a_relative_curve_bends_every_frame_of_the_sound(sound: Playable) -> None:
    result = moved(sound, pitch_st=[[0.2, 0], [0.8, 7]])
    asked = np.interp(seconds(101), [0.2, 0.8], [0, 7])[10:-10]
    cents = 1200 * np.log2(pitches(result.audio) / pitches(sound.audio)) - 100 * asked
    assert np.median(np.abs(cents)) < 5
    assert result.audio.shape == sound.audio.shape
    [landing] = result.landings
    assert landing.reached
    assert landing.words == "over time (2 breakpoints)"


def test_an_absolute_curve_is_the_pitch_whatever_the_sound_does(sound: Playable) -> None:
    result = moved(sound, pitch_hz=[[0, 200], [1, 300]])
    asked = np.interp(seconds(101), [0, 1], [200, 300])[10:-10]
    cents = 1200 * np.log2(pitches(result.audio) / asked)
    assert np.median(np.abs(cents)) < 5
    assert np.abs(1200 * np.log2(pitches(sound.audio) / 220)).max() > 40  # its own vibrato


def test_brightness_follows_its_curve(sound: Playable) -> None:
    result = moved(sound, brightness_octaves=[[0, -0.4], [1, 0.4]])
    was, now = (measure(a, RATE_HZ).track("centroid_hz")[0] for a in (sound.audio, result.audio))
    change = np.log2(now / was)[5:-5]
    assert spearmanr(change, np.arange(len(change))).statistic > 0.95
    assert change[-1] - change[0] > 0.2
    brighter = OPERATORS["brightness"].apply(sound.sound, np.linspace(0, 1, FRAMES), {})
    row = sound.sound.row("centroid_hz")
    assert_allclose(brighter.rows[row] - sound.sound.rows[row], np.linspace(0, 1, FRAMES))


def test_a_curve_beyond_the_slider_is_told(sound: Playable) -> None:
    [landing] = moved(sound, pitch_st=[[0, 0], [1, 20]]).landings
    assert not landing.reached


def test_a_level_is_a_gain_over_time(sound: Playable) -> None:
    result = moved(sound, level_db=[[0, 0], [0.5, -20], [1, 0]])
    middles = ((np.arange(FRAMES) + 0.5) * HOP).astype(int)
    loud = np.abs(sound.audio[0, middles]) > 1e-4
    ratio_db = 20 * np.log10((result.audio / sound.audio)[0, middles][loud])
    asked = np.interp((middles / RATE_HZ)[loud], [0, 0.5, 1], [0, -20, 0])
    assert_allclose(ratio_db, asked, atol=0.05)


def test_a_speed_is_integrated(sound: Playable) -> None:
    speed = OPERATORS["speed"].apply
    doubled = speed(sound.sound, np.full(2 * FRAMES, 1.0), {})
    assert doubled.n_frames == FRAMES // 2
    slowed = speed(sound.sound, np.full(2 * FRAMES, -1.0), {})
    assert slowed.n_frames == 2 * FRAMES - 1
    assert_allclose(slowed.rows[:, ::2], sound.sound.rows)
    # From double speed to half: place = integral of the rate.
    rising = speed(sound.sound, np.where(np.arange(2 * FRAMES) < 20, 1.0, -1.0), {})
    assert rising.n_frames == 20 + 1 + int((FRAMES - 1 - 40) / 0.5)
    assert_allclose(rising.rows[:, 20], sound.sound.rows[:, 40])


def test_a_curve_of_the_speed_comes_before_the_others(sound: Playable) -> None:
    """Breakpoints are at seconds of what is heard."""
    amounts = {
        "speed": lambda sound, n: np.full(n, -1.0),
        "pitch": course(curve_of([[1.0, 0], [1.0001, 12]], "x"), float, "pitch", None),
    }
    audio = sound.moved(amounts)
    assert audio.shape[1] == (2 * FRAMES - 1) * HOP
    found = measure(audio, RATE_HZ).track("f0_hz")[0]
    assert np.median(found[10:90]) == pytest.approx(220, rel=0.01)
    assert np.median(found[110:190]) == pytest.approx(440, rel=0.01)


def test_several_curves_and_a_number_go_together(sound: Playable) -> None:
    controls = {
        "pitch_st": curve_of([[0, 0], [1, 4]], "x"),
        "hnr_change_db": curve_of([[0, -5], [1, 5]], "x"),
        "level_db": -6.0,
    }
    result = controlled(sound, MAPPER, controls, precise=False, name="x")
    assert [landing.breakpoints for landing in result.landings] == [2, 2, 0]
    assert pitches(result.audio)[-1] > 260


def test_a_family_follows_a_curve(sound: Playable) -> None:
    only = Mapper({"pitch": MAPPER.sliders["pitch"]}, {}, {})
    curve = curve_of([[0, -1], [1, 1]], "x")
    by_family = controlled(sound, only, {"harmony": curve}, precise=False, name="x")
    assert_array_equal(by_family.audio, moved(sound, pitch_st=[[0, -12], [1, 12]]).audio)


def test_what_cannot_change_over_time_is_told(sound: Playable) -> None:
    with pytest.raises(UserError, match=r"attack cannot change over time \(pitch, brightness, hnr"):
        moved(sound, attack_ms=[[0, 5], [1, 10]])
    controls = {"pitch_st": curve_of([[0, 0], [1, 1]], "x")}
    with pytest.raises(UserError, match=r"controls.precise: corrects numbers, and controls.pitch"):
        controlled(sound, MAPPER, controls, precise=True, name="x")


def test_a_tilt_over_time_is_at_each_moment_the_fixed_one(sound: Playable) -> None:
    fixed = tilted(sound.audio, RATE_HZ, 4.5)
    same = tilted(sound.audio, RATE_HZ, np.full(sound.audio.shape[1], 4.5))
    assert_allclose(same, fixed, atol=1e-6)
    between = tilted(sound.audio, RATE_HZ, np.full(sound.audio.shape[1], 3.75))
    wanted = tilted(sound.audio, RATE_HZ, 3.75)
    assert np.mean((between - wanted) ** 2) < 1e-2 * np.mean(wanted**2)
    rising = tilted(sound.audio, RATE_HZ, np.linspace(-4.5, 4.5, sound.audio.shape[1]))
    assert_allclose(rising[0, -1], fixed[0, -1], atol=1e-6)


def test_a_direction_over_time_moves_each_frame(sound: Playable) -> None:
    direction = np.array([1.0, 0.0, 0.0, 0.0])
    amounts = {"probe": lambda sound, n: np.linspace(0.0, 1.0, n)}
    audio = sound.moved(amounts, {"probe": direction})
    assert audio.shape == sound.audio.shape
    assert np.abs(audio - sound.audio).max() > 1e-4


def test_amounts_add_up_and_pass_through_functions(sound: Playable) -> None:
    rising = course(curve_of([[0, 0], [1, 1]], "x"), CONTROLS["level_db"].scale, "level", None)
    shape = sound.sound
    assert on(3.0, shape) == 3.0
    values = on(rising, shape)
    assert_allclose(on(added(rising, 2.0), shape), values + 2.0)
    assert_allclose(on(added(rising, rising), shape, 10), 2 * values[:10])
    assert_allclose(on(through(rising, np.square), shape), values**2)
    assert added(1.0, 2.0) == 3.0
    assert through(3.0, np.square) == 9.0
