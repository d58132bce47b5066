"""Operators on a code: what each moves, by how much, and that 0 leaves a sound as it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from timbrel.contracts import Conditions, Latent
from timbrel.dsp.stft import hann, power, stft
from timbrel.generation.controls.operators import OPERATORS
from timbrel.generation.controls.shaped import Shaped, envelope, shaped

RATE_HZ, HOP = 48_000, 480  # frames of 10 ms
WIDTH, FRAMES, FIRST, PEAK = 3, 100, 10, 20
F0, SURE, LEVEL, CENTROID = range(WIDTH, WIDTH + 4)
OWN = {"attack_s": 0.1, "decay_db_per_s": 50.0, "width": 0.2}


def level_db() -> np.ndarray:
    """Silence, a rise of 10 frames to -10 dB, a fall of 0.5 dB per frame (50 dB/s)."""
    level = np.full(FRAMES, -200.0)
    level[FIRST : PEAK + 1] = -10 + 20 * np.log10(np.linspace(0.05, 1.0, PEAK - FIRST + 1))
    level[PEAK:] = -10 - 0.5 * np.arange(FRAMES - PEAK)
    return level


def sound(*, tracks: bool = True) -> Shaped:
    frames = torch.arange(WIDTH * FRAMES, dtype=torch.float32).reshape(1, WIDTH, FRAMES)
    level = torch.from_numpy(level_db()).float()[None]
    made = Conditions(
        f0_hz=torch.full((1, FRAMES), 220.0),
        confidence=torch.ones(1, FRAMES),
        loudness_db=level,
        centroid_hz=torch.full((1, FRAMES), 1000.0),
    )
    code = Latent(frames, torch.ones(1, 2), made if tracks else Conditions())
    gain = np.repeat(10 ** (level_db() / 20), HOP)
    audio = (np.sqrt(2) * gain * np.sin(np.arange(FRAMES * HOP) * 0.3))[None].astype("f4")
    return shaped(code, audio, rate_hz=RATE_HZ, hop_samples=HOP)


def apply(name: str, amount: float, given: Shaped | None = None) -> Shaped:
    return OPERATORS[name].apply(given or sound(), amount, OWN)


def test_where_a_sound_begins_peaks_and_ends_is_found() -> None:
    found = sound()
    assert (found.first_frame, found.peak_frame) == (FIRST, PEAK)
    assert found.last_frame == FRAMES - 1
    assert_array_equal(found.strokes, [PEAK])


def test_a_course_is_even_or_rises_over_what_sounds() -> None:
    even, rising = sound().courses()
    assert_array_equal(even, 1.0)
    assert_array_equal(rising[: FIRST + 1], -1.0)
    assert rising[-1] == 1.0
    assert_allclose(np.diff(rising[FIRST:]), 2 / (FRAMES - 1 - FIRST))


def test_every_stroke_is_found() -> None:
    level = np.full(60, -60.0)
    for start in (5, 25, 45):
        level[start : start + 15] = -10 - np.arange(15) * 1.5
    gain = np.repeat(10 ** (level / 20), HOP)
    audio = (gain * np.sin(np.arange(60 * HOP) * 0.3))[None].astype("f4")
    code = Latent(torch.zeros(1, 1, 60), torch.zeros(1, 0))
    found = shaped(code, audio, rate_hz=RATE_HZ, hop_samples=HOP)
    assert_allclose(found.strokes, [5, 25, 45], atol=1)
    ramped = OPERATORS["decay_ramp"].apply(found, 1.0, {"decay_db_per_s": 150.0})
    assert_allclose(ramped.gain_db[[25, 45]], 0.0, atol=2.0)  # every stroke keeps its level
    assert ramped.gain_db[24] == pytest.approx(-1.5 * 19, abs=2.0)


@pytest.mark.parametrize("name", OPERATORS)
def test_nothing_asked_is_nothing_changed(name: str) -> None:
    before, after = sound(), apply(name, 0.0)
    assert_allclose(after.rows, before.rows, atol=1e-9)
    assert_allclose(after.gain_db, before.gain_db, atol=1e-9)
    assert (after.balance_db, after.more_tilt_db, after.tilt_db_per_octave) == (0.0, 0.0, 0.0)
    assert after.mid_side_gain == (1.0, 1.0)


def test_a_pitch_moves_with_its_centroid_and_brightness_alone() -> None:
    higher = apply("pitch", 7.0).latent().conditions
    assert_allclose(higher.f0_hz, 220.0 * 2 ** (7 / 12), rtol=1e-5)
    assert_allclose(higher.centroid_hz, 1000.0 * 2 ** (7 / 12), rtol=1e-5)
    assert_allclose(higher.transposed_octaves, 7 / 12, rtol=1e-5)
    lower = apply("pitch", -4.0, apply("pitch", 7.0)).at(np.linspace(2, 9, 20))
    assert_allclose(lower.latent().conditions.transposed_octaves, 3 / 12, rtol=1e-5)
    brighter = apply("brightness", 1.0).latent().conditions
    assert brighter.transposed_octaves is None
    assert_allclose(brighter.f0_hz, 220.0, rtol=1e-5)
    assert_allclose(brighter.centroid_hz, 2000.0, rtol=1e-5)
    assert_allclose(brighter.more_tilt_db, 13.0)
    assert_allclose(apply("brightness", -0.5).latent().conditions.more_tilt_db, 6.5)


def test_a_tone_is_no_darker_than_its_fundamental() -> None:
    made = apply("brightness", -3.0)  # of 1 kHz
    assert_allclose(2 ** made.rows[CENTROID], 220.0, rtol=1e-6)
    unvoiced = replace(sound(), rows=sound().rows.copy())
    unvoiced.rows[SURE, 50:] = 0.2
    made = apply("brightness", -3.0, unvoiced)
    assert_allclose(2 ** made.rows[CENTROID, 50:], 125.0, rtol=1e-6)
    dull = replace(sound(), rows=sound().rows.copy())
    dull.rows[CENTROID] = np.log2(200.0)  # below its f0 already
    assert_allclose(2 ** apply("brightness", -1.0, dull).rows[CENTROID], 200.0, rtol=1e-6)


@pytest.mark.parametrize("decades", [0.3, 0.5, -0.3])
def test_a_warped_attack_is_so_much_longer_and_the_rest_as_long(decades: float) -> None:
    before, after = sound(), apply("attack_warp", decades)
    rise = (PEAK - before.first_frame) * 10**decades
    assert after.peak_frame - after.first_frame == pytest.approx(rise, abs=1)
    assert after.n_frames - FRAMES == pytest.approx(rise - (PEAK - before.first_frame), abs=1)
    tail = slice(-40, -1)
    shift = after.rows[0, tail] - before.rows[0, tail]
    assert np.ptp(shift) < 1e-6  # moved in time, by part of a frame, and not stretched


@pytest.mark.parametrize("octaves", [1.0, -1.0, 0.4])
def test_a_warped_decay_falls_so_much_faster(octaves: float) -> None:
    after = apply("decay_warp", octaves)
    fall = np.diff(after.rows[LEVEL, after.peak_frame + 1 : after.peak_frame + 20])
    assert_allclose(fall, -0.5 * 2**octaves, rtol=0.02)
    assert_array_equal(after.rows[:, : after.first_frame], sound().rows[:, : after.first_frame])


@pytest.mark.parametrize("tracks", [True, False])
@pytest.mark.parametrize("octaves", [1.0, -1.0])
def test_a_ramp_changes_the_rate_of_decay_alone(octaves: float, tracks: bool) -> None:
    before = sound(tracks=tracks)
    after = apply("decay_ramp", octaves, before)
    change = after.gain_db if not tracks else after.rows[LEVEL] - before.rows[LEVEL]
    slope = np.diff(change[PEAK : PEAK + 40])
    assert_allclose(slope, -0.5 * (2**octaves - 1), rtol=1e-6)
    assert_array_equal(change[:PEAK], 0.0)
    assert after.n_frames == FRAMES


@pytest.mark.parametrize("rise_s", [0.02, 0.1, 0.3])
def test_a_ramped_attack_is_heard_as_a_straight_rise(rise_s: float) -> None:
    """The track becomes that of the sound with the rise, as windows of four frames hear it."""
    begin = FIRST * HOP
    noise = np.random.default_rng(0).standard_normal((64, FRAMES * HOP))
    noise[:, :begin] = 0.0
    since_s = (np.arange(FRAMES * HOP) + 0.5 - begin) / RATE_HZ
    window = hann(4 * HOP)

    def levels_db(audio: np.ndarray) -> np.ndarray:
        found = power(stft(torch.from_numpy(audio), window, HOP)).sum(1).mean(0)
        return 10 * np.log10(np.maximum(found.numpy(), 1e-30))

    before, wanted = levels_db(noise), levels_db(noise * np.clip(since_s / rise_s, 0.0, 1.0))
    given = replace(sound(), rows=sound().rows.copy(), first_frame=FIRST)
    given.rows[LEVEL] = np.maximum(before - before.max(), -200.0)
    made = OPERATORS["attack_ramp"].apply(given, 0.5, {"attack_s": rise_s / 10**0.5})
    heard = slice(FIRST, None)
    change = made.rows[LEVEL, heard] - given.rows[LEVEL, heard]
    assert_allclose(change, (wanted - before)[heard], atol=0.4)
    assert_allclose(made.rows[LEVEL, : FIRST - 2], -200.0)


def test_a_ramped_attack_behind_a_decoder_rises_in_a_straight_line() -> None:
    after = apply("attack_ramp", 0.5, sound(tracks=False))
    since_s = (np.arange(FRAMES) + 0.5 - sound().first_frame) * 0.01
    wanted = np.clip(since_s / (0.1 * 10**0.5), 1e-3, 1.0)
    kept = slice(sound().first_frame + 1, None)
    assert_allclose(10 ** (after.gain_db[kept] / 20), wanted[kept], rtol=1e-5)


def test_speed_is_time_for_everything() -> None:
    after = apply("speed", 1.0)
    assert after.n_frames == FRAMES // 2
    assert_allclose(after.rows[0], sound().rows[0, ::2], atol=1e-6)
    assert (after.first_frame, after.peak_frame) == (pytest.approx(5, abs=1), PEAK // 2)


def test_half_way_from_silence_is_half_the_amplitude() -> None:
    jump = replace(sound(), rows=sound().rows.copy())
    jump.rows[LEVEL] = np.where(np.arange(FRAMES) < 50, -200.0, -20.0)
    between = jump.at(np.array([49.5]))
    assert between.rows[LEVEL, 0] == pytest.approx(-20 - 6.02, abs=0.01)


def test_what_the_decoder_gets_beside_the_code() -> None:
    assert sound().latent().conditions.balance_db is None
    assert_allclose(apply("balance", -12.0).latent().conditions.balance_db, -12.0)
    assert apply("tilt", 3.0).tilt_db_per_octave == 3.0
    assert_allclose(apply("level", 5.0).gain_db, 5.0)


def test_noisiness_takes_its_track_along() -> None:
    noisy = replace(sound(), rows=np.vstack([sound().rows, np.full(FRAMES, 20.0)]))
    noisy = replace(noisy, tracks=(*sound().tracks, "hnr_db"))
    for amount, own_db, track_db in ((-12, 20, 8), (-12, 26, 14), (-12, 90, 18), (6, 26, 26)):
        made = OPERATORS["balance"].apply(noisy, amount, OWN | {"hnr_db": own_db})
        assert made.balance_db == amount
        assert_allclose(made.rows[-1], track_db)  # down from what the sound is, up from the track
        assert_allclose(made.rows[:-1], noisy.rows[:-1])


@pytest.mark.parametrize("amount", [0.3, -0.1, -0.5, 0.9])
def test_a_width_is_what_gains_of_mid_and_side_make_of_it(amount: float) -> None:
    mid, side = apply("width", amount).mid_side_gain
    wanted = min(max(0.2 + amount, 0.0), 1.0)
    assert 0.2 * side / (0.8 * mid + 0.2 * side) == pytest.approx(wanted)


def test_what_is_not_there_is_raised_by_20_db_at_most_or_not_at_all() -> None:
    narrow = OPERATORS["width"].apply(sound(), 0.3, {"width": 0.001})
    assert narrow.mid_side_gain[1] == 10.0
    assert OPERATORS["width"].apply(sound(), 0.3, {"width": 0.0}).mid_side_gain == (1.0, 1.0)


def test_gains_of_frames_are_straight_lines_between_their_middles() -> None:
    gain = envelope(np.array([0.0, -6.0206]), 40, 20)
    assert_allclose(gain[[9, 10, 20, 30, 39]], [1, 1, 0.75, 0.5, 0.5], atol=0.02)
