"""In a pair the encoder hears the recording; target, tracks and code speed are the version's."""

from pathlib import Path

import numpy as np
import pytest
import torch

from signals import noise, sine
from timbrel.attributes.measurement import measure
from timbrel.contracts import TRACKS
from timbrel.data.augmentation import (
    Augment,
    Chain,
    Counterfactual,
    Gain,
    Mask,
    Mix,
    Noise,
    Varispeed,
)
from timbrel.data.cache.entry import npy_header
from timbrel.data.cache.store import Clip
from timbrel.data.chunks.chunk import Example
from timbrel.data.chunks.collate import collate
from timbrel.data.chunks.sampling import TrainingChunks
from timbrel.data.measured.chunk_attributes import ChunkAttributes
from timbrel.data.split.parts import Segment
from timbrel.randomness import numpy_generator

RATE_HZ, CHUNK, HOP = 48_000, 8192, 512
LONGER = 23 * HOP  # 8192 samples times the square root of 2, in whole hops
OTHERS = {
    "transforms": {"speed": Varispeed(octaves=0.25), "gain": Gain(min_db=-6.0, max_db=0.0)},
    "mix": Mix(probability=0.5),
    "mask": Mask(probability=0.5),
}


def segment_of(folder: Path, audio: np.ndarray) -> Segment:
    path = folder / "clip.npy"
    path.write_bytes(npy_header(1, len(audio)) + audio.astype("<f4").tobytes())
    return Segment(Clip(3, "clip.wav", "3", RATE_HZ, len(audio), 1, path), 0, len(audio))


def dataset(segment: Segment, augmentation: Augment, *, measured: bool = False) -> TrainingChunks:
    recordings = {3: measure(segment.samples(), RATE_HZ)} if measured else {}
    measuring = ChunkAttributes(recordings, (), (), HOP, "pad", TRACKS)
    return TrainingChunks(
        [segment],
        seed=0,
        chunk_samples=CHUNK,
        augmentation=augmentation,
        measuring=measuring if measured else None,
        hop_samples=HOP,
    )


def pairs(probability: float = 1.0, **transforms) -> Augment:
    return Augment(
        transforms={},
        counterfactual=Counterfactual(probability=probability, transforms=transforms),
    )


def assert_equal(one: Example, other: Example) -> None:
    np.testing.assert_array_equal(one.audio, other.audio)
    assert (one.seen is None) == (other.seen is None)
    if one.seen is not None:
        np.testing.assert_array_equal(one.seen, other.seen)
    assert one.code_speed == other.code_speed


def found_f0_hz(audio: np.ndarray) -> float:
    """The median of the frames whose windows lie inside."""
    values, voiced = measure(audio, RATE_HZ).track("f0_hz")
    inside = slice(6, -6)
    assert voiced[inside].all()
    return float(np.median(values[inside]))


def cents(one: float, other: float) -> float:
    return abs(1200 * np.log2(one / other))


def test_the_input_is_the_tone_and_the_target_another_whose_f0_the_track_has(tmp_path):
    segment = segment_of(tmp_path, sine(440.0, 2.0))
    data = dataset(segment, pairs(speed=Varispeed(octaves=0.5)), measured=True)
    examples = [data[step, 0] for step in range(4)]
    for example in examples:
        assert example.seen.shape == (1, LONGER)
        assert example.audio.shape == (1, CHUNK)
        assert cents(found_f0_hz(example.seen), 440.0) < 2
        assert cents(found_f0_hz(example.audio), 440.0 * example.code_speed) < 2
    f0_hz = collate(examples).conditions.f0_hz
    for track, example in zip(f0_hz, examples, strict=True):
        assert all(cents(float(value), found_f0_hz(example.audio)) < 3 for value in track)
    assert np.ptp([example.code_speed for example in examples]) > 0.3


def test_tracks_are_those_of_the_target_at_its_own_times(tmp_path):
    """f0 leaps within the chunk; where it does depends on both speeds."""
    sound = np.concatenate([sine(300.0, 0.5), sine(500.0, 0.5)])
    augmentation = Augment(
        transforms={"speed": Varispeed(octaves=0.25)},
        counterfactual=Counterfactual(
            probability=1.0, transforms={"speed": Varispeed(octaves=0.5)}
        ),
    )
    data = dataset(segment_of(tmp_path, sound), augmentation, measured=True)
    leaps = 0
    for step in range(16):
        example = data[step, 0]
        track = collate([example]).conditions.f0_hz[0].numpy()
        again, voiced = measure(example.audio, RATE_HZ).track("f0_hz")
        frames = ((np.arange(CHUNK // HOP) + 0.5) * HOP // 480).astype(int)
        near = np.abs(np.log2(again[frames] / track)) * 1200 < 10
        leaps += np.ptp(track) > 50 and near[:2].all() and near[-3:-1].all()
        wrong = ~near & voiced[frames]
        assert wrong.sum() <= 4  # windows that hold both notes
    assert leaps >= 3


def test_confidence_is_that_of_the_noisy_target(tmp_path):
    segment = segment_of(tmp_path, sine(440.0, 2.0))
    noisy = pairs(0.5, noise=Noise(min_snr_db=-3.0, max_snr_db=-3.0))
    data = dataset(segment, noisy, measured=True)
    examples = [data[step, 0] for step in range(6)]
    confidence = collate(examples).conditions.confidence.mean(1)
    is_pair = torch.tensor([example.seen is not None for example in examples])
    assert 0 < is_pair.sum() < 6
    assert confidence[is_pair].max() < 0.5
    assert confidence[~is_pair].min() > 0.99


def test_without_pairs_every_example_is_as_it_was(tmp_path):
    segment = segment_of(tmp_path, noise(1.0))
    never = Counterfactual(probability=0.0, transforms={"speed": Varispeed(octaves=0.5)})
    plain = dataset(segment, Augment(**OTHERS))
    off = dataset(segment, Augment(**OTHERS, counterfactual=never))
    for step in range(8):
        assert_equal(plain[step, 1], off[step, 1])
        assert plain[step, 1].code_speed is None


def test_a_pair_moves_no_other_draw(tmp_path):
    """A target of another level: what the encoder hears is as it would be without pairs."""
    segment = segment_of(tmp_path, noise(1.0))
    louder = Counterfactual(probability=0.5, transforms={"gain": Gain(min_db=6.0, max_db=6.0)})
    plain = dataset(segment, Augment(**OTHERS))
    paired = dataset(segment, Augment(**OTHERS, counterfactual=louder))
    counts = [0, 0]
    for step in range(16):
        before, after = plain[step, 0], paired[step, 0]
        heard, seen = (e.audio if e.seen is None else e.seen for e in (before, after))
        np.testing.assert_array_equal(heard, seen)
        is_pair = not np.array_equal(before.audio, after.audio)
        counts[is_pair] += 1
        np.testing.assert_allclose(after.audio, before.audio * (10**0.3 if is_pair else 1))
        assert after.code_speed == 1
        assert_equal(after, paired[step, 0])
    assert min(counts) > 3


def test_a_training_with_faster_pairs_hears_more_in_every_example(tmp_path):
    segment = segment_of(tmp_path, noise(1.0))
    data = dataset(segment, pairs(0.5, speed=Varispeed(octaves=0.5)))
    examples = [data[0, index] for index in range(8)]
    plain = [index for index, example in enumerate(examples) if example.code_speed == 1]
    assert 0 < len(plain) < 8
    batch = collate(examples)
    assert batch.input.shape == (8, 1, LONGER)
    assert torch.equal(batch.input[plain, :, :CHUNK], batch.target[plain])
    assert batch.code_speed is not None
    assert batch.code_speed.tolist() == pytest.approx([e.code_speed for e in examples])
    assert batch.map(torch.clone).code_speed is not None


def test_the_generators_of_mix_and_mask_are_drawn_first(tmp_path):
    """As in every run of before: a resumed one goes on with the same examples."""
    segment = segment_of(tmp_path, noise(CHUNK / RATE_HZ))
    gain = Gain(min_db=-6.0, max_db=0.0)
    louder = Counterfactual(probability=1.0, transforms={"gain": Gain(min_db=6.0, max_db=6.0)})
    data = dataset(segment, Augment(transforms={"gain": gain}, counterfactual=louder))
    for step in range(3):
        rng = numpy_generator(0, step, "augmentation/0")
        rng.spawn(2)
        expected = Chain({"gain": gain})(segment.samples(), RATE_HZ, rng).audio
        np.testing.assert_array_equal(data[step, 0].seen, expected)
