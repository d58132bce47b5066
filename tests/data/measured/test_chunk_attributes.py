"""Attributes follow a chunk: through crops, copies, rendered variants and live changes."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attributes.hostile_sounds import sounds
from signals import noise, sine
from timbrel.attributes.measurement import measure
from timbrel.data.augmentation import Augment, Change, Mix, Noise, PitchShift, Varispeed
from timbrel.data.cache.entry import npy_header
from timbrel.data.cache.store import Clip
from timbrel.data.chunks.chunk import Measures, Variant
from timbrel.data.chunks.sampling import TrainingChunks
from timbrel.data.measured.chunk_attributes import (
    CLIP_NAMES,
    FRAME_NAMES,
    ChunkAttributes,
    check_names,
)
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError

RATE_HZ, CHUNK, HOP = 48_000, 16_384, 512
FRAMES = ("log_f0_octaves", "log_centroid_octaves")


def clip_of(folder: Path, clip_id: int, audio: np.ndarray) -> Clip:
    path = folder / f"{clip_id}.npy"
    path.write_bytes(npy_header(*audio.shape) + audio.astype("<f4").T.tobytes())
    return Clip(clip_id, f"{clip_id}.wav", f"{clip_id}", RATE_HZ, audio.shape[1], 1, path)


def two_notes() -> np.ndarray:
    """Half a second of 220 Hz, silence, half a second of 520 Hz with an octave above it."""
    high = sine(520.0, 0.5) + 0.5 * sine(1040.0, 0.5)
    return np.concatenate([sine(220.0, 0.5), np.zeros(4800, np.float32), high])[None]


@pytest.fixture
def recording(tmp_path: Path) -> Segment:
    clip = clip_of(tmp_path, 3, two_notes())
    return Segment(clip, 0, clip.n_samples)


def attributes(*segments: Segment, short: str = "pad", clips=()) -> ChunkAttributes:
    recordings = {s.clip.clip_id: measure(s.clip.open(), RATE_HZ) for s in segments}
    return ChunkAttributes(recordings, FRAMES, clips, HOP, short)


def examples(segment, measuring, *, steps=12, **settings):
    data = TrainingChunks(
        [segment],
        seed=0,
        chunk_samples=CHUNK,
        measuring=measuring,
        **{"short": measuring.short, **settings},
    )
    return [data[step, 0] for step in range(steps)]


def assert_like_measured(example, ratio=1.0) -> int:
    """f0 of inner frames equals what YIN finds on the chunk itself; how many there were."""
    measures: Measures = example.measures
    again, voiced = measure(example.audio, RATE_HZ).track("f0_hz")
    middles = (np.arange(CHUNK // HOP) + 0.5) * HOP
    frames = (middles // 480).astype(int)
    # Inside a note: 60 ms to either side are voiced and of one pitch.
    around = [slice(max(0, frame - 6), frame + 7) for frame in frames]
    steady = [voiced[s].all() and np.ptp(np.log2(again[s])) < 0.01 for s in around]
    both = measures.frame_mask[0] & np.array(steady)
    np.testing.assert_allclose(
        measures.frame_values[0][both], np.log2(again[frames][both]), atol=0.01
    )
    return int(both.sum())


@pytest.mark.parametrize("short", ["pad", "loop", "repeat"])
def test_f0_is_that_of_the_chunk_wherever_it_was_cut(recording, short):
    found = examples(recording, attributes(recording, short=short), short=short)
    assert sum(assert_like_measured(example) for example in found) > 150


def test_f0_follows_the_known_ratio(recording):
    faster = Augment(transforms={"speed": Varispeed(octaves=0.5)})
    found = examples(recording, attributes(recording), augmentation=faster)
    assert sum(assert_like_measured(example) for example in found) > 150
    higher = Augment(transforms={"pitch": PitchShift(semitones=2.0)})
    found = examples(recording, attributes(recording), augmentation=higher)
    assert sum(assert_like_measured(example) for example in found) > 150


def test_f0_follows_a_rendered_variant(recording, tmp_path):
    measuring = attributes(recording)
    speed = 1.25
    times = np.arange(int(recording.n_samples / speed)) * speed
    faster = np.interp(times, np.arange(recording.n_samples), recording.samples()[0])[None]
    clip = clip_of(tmp_path, 9, faster.astype(np.float32))
    clip = Clip(3, *(getattr(clip, n) for n in list(clip.__dataclass_fields__)[1:]))
    variant = Variant(Segment(clip, 0, clip.n_samples), Change(speed, 1 / speed), recording)
    found = examples(recording, measuring, steps=24, variants=[[variant]])
    assert sum(assert_like_measured(example) for example in found) > 300


def test_f0_beyond_what_the_attribute_can_hold_is_left_out(tmp_path):
    clip = clip_of(tmp_path, 3, 0.5 * sine(3900.0, 1.0)[None])
    segment = Segment(clip, 0, clip.n_samples)
    faster = Augment(transforms={"speed": Varispeed(octaves=0.5)})
    found = examples(segment, attributes(segment), steps=12, augmentation=faster)
    values = [example.measures.frame_values[0][example.measures.frame_mask[0]] for example in found]
    assert any(len(one) for one in values)
    assert any(not len(one) for one in values)
    assert all(2 ** one.max() < 4999 for one in values if len(one))


def test_the_harmonic_to_noise_ratio_is_that_of_the_noisy_sound(tmp_path):
    clip = clip_of(tmp_path, 3, 0.5 * sine(220.0, 1.0)[None])
    segment = Segment(clip, 0, clip.n_samples)
    measuring = ChunkAttributes(
        {3: measure(segment.samples(), RATE_HZ)},
        ("log_f0_octaves", "hnr_db"),
        ("hnr_db",),
        HOP,
        "pad",
    )
    noisy = Augment(transforms={"noise": Noise(min_snr_db=10.0, max_snr_db=10.0)})
    frames = ((np.arange(CHUNK // HOP) + 0.5) * HOP // 480).astype(int)
    for example in examples(segment, measuring, steps=3, augmentation=noisy):
        again = measure(example.audio, RATE_HZ, from_start=False)
        # Red noise repeats a little itself: above the 10 dB, far below the 40 of the clean tone.
        assert 9 < example.measures.values[0] == again.value("hnr_db") < 20
        found = again.track("hnr_db")[0][frames]
        np.testing.assert_array_equal(example.measures.frame_values[1], found)
        np.testing.assert_allclose(2 ** example.measures.frame_values[0], 220.0, rtol=1e-3)


def test_the_harmonic_to_noise_ratio_of_noise_is_that_of_the_chunk(tmp_path):
    clip = clip_of(tmp_path, 3, noise(1.0)[None])
    segment = Segment(clip, 0, clip.n_samples)
    measuring = ChunkAttributes(
        {3: measure(segment.samples(), RATE_HZ)}, ("hnr_db",), ("hnr_db",), HOP, "pad"
    )
    [example] = examples(segment, measuring, steps=1)
    again = measure(example.audio, RATE_HZ, from_start=False)
    assert example.measures.values[0] == again.value("hnr_db") > -20.0


def test_silence_and_sums_have_no_pitch(recording):
    both = Augment(transforms={}, mix=Mix(probability=1.0))
    for example in examples(recording, attributes(recording), augmentation=both):
        assert not example.measures.frame_mask[0].any()
    middle = Segment(recording.clip, 24_000, 28_800)
    [example] = examples(middle, attributes(recording), steps=1)
    assert not example.measures.frame_mask[0].any()


def test_spectra_and_clip_attributes_are_those_of_the_chunk(recording):
    clips = ("log_centroid_octaves", "log_f0_octaves", "loudness_lufs", "log_attack_time")
    measuring = attributes(recording, clips=clips)
    for example in examples(recording, measuring):
        again = measure(example.audio, RATE_HZ, from_start=False)
        for name, value, known in zip(
            clips, example.measures.values, example.measures.mask, strict=True
        ):
            expected = again.value(name)
            if name != "log_f0_octaves":
                assert known == (expected is not None)
            if known and expected is not None:
                assert value == pytest.approx(expected, abs=0.02)
        track, sounding = again.track("centroid_hz")
        frames = ((np.arange(CHUNK // HOP) + 0.5) * HOP // 480).astype(int)
        np.testing.assert_array_equal(example.measures.frame_mask[1], sounding[frames])
        inside = sounding[frames]
        np.testing.assert_allclose(
            example.measures.frame_values[1][inside], np.log2(track[frames][inside]), atol=1e-5
        )


def test_a_chunk_of_the_end_alone_has_no_attack(tmp_path):
    steady = clip_of(tmp_path, 0, 0.5 * sine(440.0, 2.0)[None])
    segment = Segment(steady, 48_000, 96_000)
    measuring = attributes(segment, clips=("log_attack_time",))
    for example in examples(segment, measuring, steps=4):
        assert not example.measures.mask[0]


def test_the_harmonic_to_noise_ratio_is_known_where_there_is_no_pitch(tmp_path):
    clip = clip_of(tmp_path, 3, (sine(220.0, 1.0) + noise(1.0))[None])
    recording = Segment(clip, 0, clip.n_samples)
    measuring = ChunkAttributes(
        {3: measure(clip.open(), RATE_HZ)}, ("hnr_db", "log_f0_octaves"), (), HOP, "pad"
    )
    for example in examples(recording, measuring, steps=4):
        again = measure(example.audio, RATE_HZ).track("hnr_db")[0]
        assert not example.measures.frame_mask[1].all()
        found = example.measures.frame_values[0]
        assert np.median(found) == pytest.approx(np.median(again), abs=1.0)


def test_nothing_asked_for_is_empty(recording):
    measuring = ChunkAttributes({3: measure(recording.samples(), RATE_HZ)}, (), (), HOP, "pad")
    [example] = examples(recording, measuring, steps=1)
    assert example.measures.values.shape == (0,)
    assert example.measures.frame_values.shape == (0, CHUNK // HOP)


def test_unknown_names_are_refused():
    check_names(("log_f0_octaves", "flatness"), ("log_attack_time",))
    with pytest.raises(
        UserError, match=r"latent.frame_attributes: log_fo .*did you mean 'log_f0_octaves'"
    ):
        check_names(("log_fo",), ())
    with pytest.raises(UserError, match=r"latent.clip_attributes: level_a_db is none of"):
        check_names((), ("level_a_db",))


CHANGES = (
    Augment(transforms={}),
    Augment(transforms={"speed": Varispeed(octaves=1.0)}),
    Augment(transforms={"pitch": PitchShift(semitones=4.0)}),
    Augment(transforms={"noise": Noise()}, mix=Mix(probability=0.5)),
)


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    sounds(),
    st.sampled_from(("pad", "loop", "repeat")),
    st.sampled_from((1024, 1500, 4096)),
    st.sampled_from((64, 512)),
    st.sampled_from(CHANGES),
)
def test_whatever_a_recording_holds_its_chunks_have_values_or_masks(
    tmp_path, caplog, sound, short, chunk_samples, hop_samples, change
):
    audio, rate_hz = sound
    audio = (audio / max(1.0, np.abs(audio).max()))[:1].astype(np.float32)
    clip = replace(clip_of(tmp_path, 0, audio), rate_hz=rate_hz)
    measuring = ChunkAttributes(
        {0: measure(audio, rate_hz)}, FRAME_NAMES, CLIP_NAMES, hop_samples, short
    )
    chunks = TrainingChunks(
        [Segment(clip, 0, clip.n_samples)],
        seed=0,
        chunk_samples=chunk_samples,
        short=short,
        augmentation=change,
        measuring=measuring,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        measures = chunks[0, 0].measures
    assert np.isfinite(measures.values).all()
    assert np.isfinite(measures.frame_values).all()
    assert not caplog.records  # none of them by way of an error


def test_a_recording_without_a_measurement_has_masks_alone(recording):
    measuring = ChunkAttributes({}, FRAMES, ("log_attack_time",), HOP, "pad")
    [example] = examples(recording, measuring, steps=1)
    assert not example.measures.mask.any()
    assert not example.measures.frame_mask.any()
    assert example.measures.frame_values.shape == (2, CHUNK // HOP)


def test_a_chunk_that_cannot_be_measured_is_masked_and_its_recording_told_once(recording, caplog):
    measuring = attributes(recording, clips=("log_attack_time",))
    known = measuring.recordings[3]
    without = replace(
        known, frame_values=known.frame_values[:, :0], frame_defined=known.frame_defined[:, :0]
    )
    broken = replace(measuring, recordings={3: without})
    for example in examples(recording, broken, steps=3):
        assert not example.measures.mask.any()
        assert not example.measures.frame_mask.any()
    [told] = caplog.messages
    assert told.startswith("'3.wav': attributes of a chunk are not known (")
