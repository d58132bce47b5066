"""Transforms keep to their ratios, gains and signal-to-noise ratios, and add no sound before it."""

import random
import sys

import numpy as np
import pytest

from signals import noise, sine
from timbrel.data.augmentation import (
    Audio,
    Chain,
    Change,
    Compressor,
    Equaliser,
    Filter,
    Gain,
    Mask,
    Noise,
    PitchShift,
    Polarity,
    Room,
    TimeStretch,
    Varispeed,
)
from timbrel.data.augmentation.level import rms
from timbrel.errors import UserError

RATE_HZ = 48_000
TRANSFORMS = {
    "pitch": PitchShift(),
    "stretch": TimeStretch(),
    "room": Room(),
    "compressor": Compressor(),
    "varispeed": Varispeed(octaves=0.5),
    "equaliser": Equaliser(),
    "filter": Filter(),
    "noise": Noise(),
    "gain": Gain(min_db=-6, max_db=6),
    "polarity": Polarity(),
}
every_transform = pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
seeds = pytest.mark.parametrize("seed", range(3))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def peak_hz(audio: Audio) -> float:
    """Of the strongest partial, to a hundredth of a cent: a parabola over log magnitudes."""
    middle = audio[len(audio) // 6 : -len(audio) // 6]
    spectrum = np.log(np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 19)) + 1e-12)
    top = int(spectrum.argmax())
    below, here, above = spectrum[top - 1 : top + 2]
    return (top + 0.5 * (below - above) / (below - 2 * here + above)) * RATE_HZ / (1 << 19)


@every_transform
@pytest.mark.parametrize(
    "audio",
    [
        np.zeros((1, 4800), np.float32),
        np.eye(1, 4800, 2400, dtype=np.float32),
        sine(440.0, 0.01)[None],
        np.stack([sine(440.0, 0.2), -sine(440.0, 0.2)]),
        noise(0.2)[None],
    ],
    ids=["silence", "click", "10 ms", "antiphase", "noise"],
)
def test_every_transform_stands_every_sound(transform, audio):
    before = audio.copy()
    changed = transform(audio, RATE_HZ, rng()).audio
    assert changed.dtype == np.float32
    assert len(changed) == len(audio)
    assert changed.shape[1] >= int(audio.shape[1] / transform.max_speed)
    assert np.isfinite(changed).all()
    np.testing.assert_array_equal(audio, before)
    if not audio.any():
        assert not changed.any()
    elif len(audio) == 2 and not isinstance(transform, Noise):
        # What is opposite stays opposite: a stereo image is one sound.
        assert np.abs(changed.sum(0)).max() < 2e-3 * np.abs(changed).max()


@every_transform
def test_all_chance_comes_from_the_generator(transform):
    audio = noise(0.1)[None]
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 - the global state is what is watched
    before = random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    first = transform(audio, RATE_HZ, rng(7)).audio
    random.seed(6)
    np.random.seed(6)  # noqa: NPY002
    np.testing.assert_array_equal(first, transform(audio, RATE_HZ, rng(7)).audio)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    transform(audio, RATE_HZ, rng(8))
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before  # noqa: NPY002


@pytest.mark.parametrize(
    "transform",
    [TimeStretch(min_rate=0.25, max_rate=0.3), PitchShift(semitones=24)],
    ids=["stretch", "pitch"],
)
def test_beyond_twice_the_length_the_generator_still_decides(transform):
    audio = noise(0.2)[None]
    for seed in range(4, 8):  # pitch: a draw of each sign
        first, second = (transform(audio, RATE_HZ, rng(seed)).audio for _ in range(2))
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("frequency_hz", [41.2, 440.0, 5000.0])
@seeds
def test_pitch_moves_as_told_and_durations_stay(seed, frequency_hz):
    tone = sine(frequency_hz, 1.0)
    changed = PitchShift(semitones=2.0)(tone[None], RATE_HZ, rng(seed))
    semitones = rng(seed).uniform(-2, 2)
    assert changed.change == Change(f0_ratio=2 ** (semitones / 12))
    assert changed.audio.shape == (1, RATE_HZ)
    moved = changed.audio[0]
    assert abs(1200 * np.log2(peak_hz(moved) / frequency_hz) - 100 * semitones) < 0.5
    # It is as loud as it was, and so to the very ends.
    for part in (slice(4800), slice(None), slice(-4800, None)):
        assert np.std(moved[part]) == pytest.approx(np.std(tone[part]), rel=0.1)


@seeds
def test_pitch_leaves_clicks_in_their_places(seed):
    places = np.arange(4800, RATE_HZ, 4800)
    clicks = np.zeros((1, RATE_HZ), np.float32)
    clicks[0, places] = 1.0
    moved = np.abs(PitchShift(semitones=2.0)(clicks, RATE_HZ, rng(seed)).audio[0])
    found = [place - 2400 + moved[place - 2400 :][:4800].argmax() for place in places]
    assert np.abs(found - places).max() < 0.002 * RATE_HZ
    assert np.median(np.abs(found - places)) < 0.001 * RATE_HZ


@seeds
def test_a_stretch_moves_times_as_told_and_pitch_stays(seed):
    clicks = np.zeros((1, RATE_HZ), np.float32)
    clicks[0, [9600, 38400]] = 1.0
    stretch = TimeStretch(min_rate=0.9, max_rate=1.1)
    rate = np.exp(rng(seed).uniform(np.log(0.9), np.log(1.1)))
    changed = stretch(clicks, RATE_HZ, rng(seed))
    assert changed.change == Change(time_ratio=1 / rate)
    assert clicks_apart(changed.audio[0]) == pytest.approx(28800 / rate, abs=0.002 * RATE_HZ)
    tone = stretch(sine(41.2, 1.0)[None], RATE_HZ, rng(seed)).audio
    assert tone.shape == (1, round(RATE_HZ / rate))
    assert abs(1200 * np.log2(peak_hz(tone[0]) / 41.2)) < 0.5


def clicks_apart(audio: Audio) -> int:
    """How many samples lie between the loudest of each half."""
    half = len(audio) // 2
    return half + np.abs(audio[half:]).argmax() - np.abs(audio[:half]).argmax()


@seeds
def test_all_at_once_pitch_and_times_are_still_as_told(seed):
    chain = Chain(TRANSFORMS)
    assert all(transform.probability for transform in TRANSFORMS.values())
    tone = chain(sine(880.0, 1.5)[None], RATE_HZ, rng(seed))
    told = tone.change
    assert abs(1200 * np.log2(peak_hz(tone.audio[0]) / 880 / told.f0_ratio)) < 3
    clicks = np.zeros((1, RATE_HZ), np.float32)
    clicks[0, [9600, 38400]] = 1.0
    changed = chain(clicks, RATE_HZ, rng(seed))
    assert changed.change == told
    apart = clicks_apart(changed.audio[0])
    assert apart == pytest.approx(28800 * told.time_ratio, abs=0.004 * RATE_HZ)


def gain_db(transform, frequency_hz: float, seed: int) -> float:
    tone = sine(frequency_hz, 1.0)[None]
    changed = transform(tone, RATE_HZ, rng(seed)).audio
    middle = slice(RATE_HZ // 4, -RATE_HZ // 4)
    return 20 * np.log10(np.std(changed[0, middle]) / np.std(tone[0, middle]))


@seeds
def test_the_equaliser_has_the_drawn_gains_at_its_centres(seed):
    bands = int(np.log2(24_000 / 60) / 1.5) + 1
    drawn_db = rng(seed).uniform(-6, 6, size=bands)
    equaliser = Equaliser(max_db=6.0, octaves=1.5)
    for band in range(bands):
        assert gain_db(equaliser, 60 * 2 ** (1.5 * band), seed) == pytest.approx(
            drawn_db[band], abs=0.02
        )


@seeds
def test_filters_are_3_db_down_at_the_cut_off(seed):
    generator = rng(seed)
    low_pass = generator.random() < 0.5
    ends_hz = (2000, 24_000) if low_pass else (20, 500)
    cutoff_hz = float(np.exp(generator.uniform(*np.log(ends_hz))))
    assert gain_db(Filter(), cutoff_hz, seed) == pytest.approx(-3.01, abs=0.05)
    kept_hz = cutoff_hz / 4 if low_pass else 4 * cutoff_hz
    assert gain_db(Filter(), kept_hz, seed) == pytest.approx(0, abs=0.05)


@seeds
def test_noise_has_the_drawn_ratio(seed):
    tone = sine(440.0, 1.0)[None]
    snr_db = rng(seed).uniform(10, 40)
    changed = Noise(min_snr_db=10, max_snr_db=40)(tone, RATE_HZ, rng(seed)).audio
    assert 20 * np.log10(rms(tone) / rms(changed - tone)) == pytest.approx(snr_db, abs=0.05)


@seeds
def test_a_room_is_heard_after_the_sound_and_never_before(seed):
    burst = np.zeros((1, RATE_HZ), np.float32)
    burst[0, 12_000:14_400] = noise(0.05)
    changed = Room(min_db=-12, max_db=-12)(burst, RATE_HZ, rng(seed))
    room = changed.audio - burst
    assert not changed.audio[0, :12_000].any()
    assert np.std(room[0, 16_000:]) > 0
    assert 20 * np.log10(np.std(room) / np.std(burst)) == pytest.approx(-12, abs=0.2)
    assert changed.change == Change()


def test_opposite_channels_have_a_room_too():
    sound = noise(0.2)
    room = Room(min_db=-12, max_db=-12)(np.stack([sound, -sound]), RATE_HZ, rng()).audio
    np.testing.assert_allclose(room[0], -room[1], atol=3e-7)
    assert 20 * np.log10(np.std(room[0] - sound) / np.std(sound)) == pytest.approx(-12, abs=0.01)


@seeds
def test_a_compressor_holds_peaks_down(seed):
    levels = np.repeat([0.05, 1.0, 0.05], 16_000).astype(np.float32)
    audio = (levels * sine(440.0, 1.0))[None]
    changed = Compressor()(audio, RATE_HZ, rng(seed)).audio
    loud, soft = slice(24_000, 31_000), slice(4_000, 15_000)
    assert np.std(changed[0, loud]) < 0.7 * np.std(audio[0, loud])
    assert np.std(changed[0, soft]) == pytest.approx(np.std(audio[0, soft]), rel=0.35)


def swell() -> Audio:
    """A tone that comes and goes within a second."""
    return np.hanning(RATE_HZ).astype(np.float32) * sine(440.0, 1.0)


@seeds
def test_a_compressor_brings_peak_and_mean_level_together(seed):
    audio = swell()[None]
    changed = Compressor()(audio, RATE_HZ, rng(seed)).audio
    assert np.abs(changed).max() / rms(changed) < 0.95 * np.abs(audio).max() / rms(audio)


@seeds
def test_a_compressor_leaves_a_stereo_image_in_place(seed):
    tone = swell()
    changed = Compressor()(np.stack([tone, 0.25 * tone]), RATE_HZ, rng(seed)).audio
    assert np.abs(changed).max() < 0.9 * np.abs(tone).max()
    np.testing.assert_allclose(changed[1], 0.25 * changed[0], rtol=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        lambda: PitchShift(semitones=0),
        lambda: TimeStretch(min_rate=1.2, max_rate=0.8),
        lambda: TimeStretch(min_rate=0.1),
        lambda: Equaliser(max_db=0),
        lambda: Filter(low_pass_from_hz=1),
        lambda: Filter(low_pass_from_hz=float("nan")),
        lambda: Filter(high_pass_to_hz=float("nan")),
        lambda: Gain(min_db=0, max_db=1e6),
        lambda: Mask(max_time_s=float("inf")),
        lambda: Mask(max_octaves=float("inf")),
        lambda: Noise(min_snr_db=30, max_snr_db=20),
        lambda: Room(probability=2),
        lambda: Compressor(min_db=0, max_db=-10),
    ],
)
def test_impossible_settings_are_refused(build):
    with pytest.raises(UserError):
        build()


@pytest.mark.parametrize("transform", [Room, Compressor])
def test_without_pedalboard_the_extra_is_named_before_anything_is_done(transform, monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    with pytest.raises(UserError, match=r"timbrel\[rooms\].*augmentation=standard"):
        transform()
    transform(probability=0.0)  # what is listed, but never applied, needs nothing
