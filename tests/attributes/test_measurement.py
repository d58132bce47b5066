"""Every input has finite values; the tabulated noise is the one measured of repeats."""

import numpy as np
import pytest

from attributes.synthetic import RATE_HZ, gaussian, tone
from signals import impulse, noise, sine
from timbrel.attributes.measurement import measure, measure_frames
from timbrel.attributes.pitch import PitchTrack
from timbrel.attributes.registry import (
    ATTRIBUTES,
    CLIP_ATTRIBUTES,
    FRAME_ATTRIBUTES,
    code_version,
)
from timbrel.attributes.repeatability import reference_clips, repeat_error

HOSTILE = {
    "silence": np.zeros((1, 9600), np.float32),
    "stereo silence": np.zeros((2, 9600), np.float32),
    "nothing": np.zeros((1, 0), np.float32),
    "one sample": np.ones((1, 1), np.float32),
    "two samples": np.ones((2, 2), np.float32),
    "click": impulse(0.5, at_s=0.1)[None],
    "click at the start": impulse(0.5)[None],
    "noise": noise(0.5)[None],
    "10 ms of noise": noise(0.01)[None],
    "10 ms of tone": sine(440.0, 0.01)[None],
    "offset": np.full((1, 9600), 0.3, np.float32),
    "square": np.sign(sine(100.0, 0.3))[None],
    "almost nothing": np.full((1, 4800), 1e-30, np.float32),
    "very loud": 1e6 * gaussian(0.2)[None],
    "not a number": np.where(np.arange(9600) % 100 == 0, np.nan, noise(0.2))[None].astype("f4"),
    "six channels": np.stack([noise(0.1, seed=seed) for seed in range(6)]),
    "one side silent": np.stack([noise(0.2), np.zeros(9600, np.float32)]),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("from_start", [True, False])
@pytest.mark.parametrize("rate_hz", [8000, 48_000])
def test_every_number_is_finite_and_within_its_range(name, from_start, rate_hz):
    found = measure(HOSTILE[name], rate_hz, from_start=from_start)
    assert np.isfinite(found.clip_confidence).all()
    assert ((found.clip_confidence >= 0) & (found.clip_confidence <= 1)).all()
    columns = [(CLIP_ATTRIBUTES, found.clip_values), (FRAME_ATTRIBUTES, found.frame_values)]
    for attributes, values in columns:
        assert np.isfinite(values).all()
        for attribute, value in zip(attributes, values, strict=True):
            assert (value >= np.float32(attribute.low)).all()
            assert (value <= np.float32(attribute.high)).all()
    undefined = ~found.clip_defined
    lows = np.array([attribute.low for attribute in CLIP_ATTRIBUTES], np.float32)
    assert (found.clip_values[undefined] == lows[undefined]).all()


@pytest.mark.parametrize("name", ["silence", "stereo silence", "nothing", "almost nothing"])
def test_silence_measures_nothing(name):
    found = measure(HOSTILE[name], RATE_HZ)
    assert not found.clip_defined.any()
    assert not found.frame_defined.any()


def test_frames_cover_the_clip_in_steps_of_10_ms():
    found = measure(tone(220.0, 0.255)[None], RATE_HZ)
    assert found.hop_samples == 480
    assert found.frame_values.shape == (len(FRAME_ATTRIBUTES), 26)
    f0_hz, defined = found.track("f0_hz")
    assert defined[4:-4].all()
    assert f0_hz[4:-4] == pytest.approx(220.0, rel=1e-3)


def test_long_clips_are_measured_in_blocks_without_a_seam():
    signal = tone(220.0, 4.0)
    whole = measure(signal[None], RATE_HZ).track("centroid_hz")[0]
    later = measure(signal[None, 480 * 100 :], RATE_HZ).track("centroid_hz")[0]
    assert whole[110:390] == pytest.approx(later[10:290], rel=1e-3)


def test_audio_is_left_as_it_was():
    audio = noise(0.1)[None]
    before = audio.copy()
    measure(audio, RATE_HZ)
    assert np.array_equal(audio, before)


def test_unknown_names_and_shapes_are_refused():
    found = measure(noise(0.1)[None], RATE_HZ)
    for ask in (found.value, found.confidence, found.track):
        with pytest.raises(KeyError, match="brightness"):
            ask("brightness")
    with pytest.raises(ValueError, match=r"\(channel, time\)"):
        measure(noise(0.1), RATE_HZ)
    with pytest.raises(ValueError, match="1000 or more"):
        measure(noise(0.1)[None], 100)


def test_the_registry_is_consistent():
    names = [attribute.name for attribute in ATTRIBUTES]
    assert len(set(names)) == len(names)
    for attribute in ATTRIBUTES:
        assert attribute.low < attribute.high
        assert attribute.per_clip or attribute.per_frame
        assert (attribute.noise is None) == (not attribute.per_clip)
    assert len(code_version()) == 16


@pytest.mark.slow
def test_the_tabulated_noise_is_what_repeats_measure():
    rng = np.random.default_rng(0)
    found = repeat_error(reference_clips(RATE_HZ, rng), RATE_HZ, rng)
    for attribute in CLIP_ATTRIBUTES:
        assert found[attribute.name] <= attribute.noise, attribute.name
        assert found[attribute.name] >= attribute.noise / 10, attribute.name


def test_frames_alone_are_those_of_the_whole_measurement():
    audio = (sine(440.0, 0.5) + 0.1 * noise(0.5))[None]
    whole, frames = measure(audio, 48_000), measure_frames(audio, 48_000)
    np.testing.assert_array_equal(frames.frame_values, whole.frame_values)
    np.testing.assert_array_equal(frames.frame_defined, whole.frame_defined)
    assert not frames.clip_defined.any()


def test_a_known_pitch_is_taken_as_it_is():
    audio = sine(440.0, 0.5)[None]
    known = PitchTrack(np.full(50, 123.0), np.full(50, 0.9))
    found = measure(audio, 48_000, known_pitch=known)
    assert found.value("f0_hz") == 123.0
    assert (found.track("f0_hz")[0] == 123.0).all()


def test_a_note_has_its_pitch_to_its_very_end_and_no_longer():
    seconds = np.arange(2 * RATE_HZ) / RATE_HZ
    audio = (2.5 * 10 ** (-60 * seconds / 20) * tone(220.0, 2.0))[None].astype("f4")  # by 120 dB
    found = measure(audio, RATE_HZ)
    f0_hz, voiced = found.track("f0_hz")
    assert voiced[2:130].all()  # to 78 dB below the loudest frame
    assert not voiced[137:].any()
    assert np.abs(1200 * np.log2(f0_hz[voiced] / 220.0)).max() < 2
    assert found.track("hnr_db")[0][2:130].min() > 20
    assert found.value("f0_hz") == pytest.approx(220.0, rel=1e-4)
