"""Chunks: a pure function of (seed, step, example), fair to short recordings, never outside."""

import pickle
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from signals import noise
from timbrel.data.augmentation import Augment, Change, Gain, Mask, Mix, Varispeed
from timbrel.data.cache.entry import npy_header
from timbrel.data.cache.store import Clip
from timbrel.data.chunks import chunk as chunk_module
from timbrel.data.chunks.chunk import Chunk, Measures, Variant, positions, read_chunk
from timbrel.data.chunks.collate import collate
from timbrel.data.chunks.sampling import (
    StepSampler,
    TrainingChunks,
    ValidationChunks,
    validation_chunks,
)
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError

CHUNK = 1024


def clip_of(folder: Path, clip_id: int, audio: np.ndarray) -> Clip:
    """A clip of `(channel, time)` as the cache writes it."""
    path = folder / f"{clip_id}.npy"
    path.write_bytes(npy_header(*audio.shape) + audio.astype("<f4").T.tobytes())
    return Clip(clip_id, f"{clip_id}.wav", f"{clip_id}", 48_000, audio.shape[1], len(audio), path)


def ramp(frames: int, offset: int = 0) -> np.ndarray:
    """Each sample tells its own position (never 0), channel 1 the negative."""
    positions = np.arange(1, frames + 1, dtype=np.float32) + offset
    return np.stack([positions, -positions])


def whole(clip: Clip) -> Segment:
    return Segment(clip, 0, clip.n_samples)


@pytest.fixture
def segments(tmp_path: Path) -> list[Segment]:
    """A long recording, the middle of another, one of one chunk, and a short one."""
    long, middle = clip_of(tmp_path, 0, ramp(50_000)), clip_of(tmp_path, 1, ramp(50_000))
    return [
        whole(long),
        Segment(middle, 20_000, 25_000),
        whole(clip_of(tmp_path, 2, ramp(CHUNK))),
        whole(clip_of(tmp_path, 3, ramp(100))),
    ]


def dataset(segments, **settings) -> TrainingChunks:
    return TrainingChunks(segments, **{"seed": 0, "chunk_samples": CHUNK, **settings})


@pytest.mark.parametrize("short", ["pad", "loop"])
def test_start_sample_tells_where_every_sample_comes_from(segments, short):
    examples = dataset(segments, short=short)
    by_clip = {segment.clip.clip_id: segment for segment in segments}
    for step in range(200):
        example = examples[step, 0]
        segment = by_clip[example.clip_id]
        assert example.audio.shape == (2, CHUNK)
        np.testing.assert_array_equal(example.audio[1], -example.audio[0])
        position = example.start_sample + np.arange(CHUNK)
        if short == "loop" and segment.n_samples < CHUNK:
            expected = 1 + position % segment.n_samples
        else:
            inside = (position >= segment.start_sample) & (position < segment.stop_sample)
            expected = np.where(inside, position + 1, 0)
            # Every sample of a segment too short for a chunk is there.
            assert inside.sum() == min(CHUNK, segment.n_samples)
        np.testing.assert_array_equal(example.audio[0], expected)


def test_an_example_is_a_function_of_seed_step_and_number(segments):
    one, other = dataset(segments), dataset(segments)
    for index in [(7, 3), (0, 0), (10**9, 5), (7, 3)]:
        np.testing.assert_array_equal(one[index].audio, other[index].audio)
    assert one.draw(7, 3) != one.draw(7, 4)
    assert one.draw(7, 3) != one.draw(8, 3)
    assert one.draw(7, 3) != dataset(segments, seed=1).draw(7, 3)


def test_weights_follow_the_duration_and_no_short_one_starves(segments):
    drawn = dataset(segments)
    n = 20_000
    counts = np.bincount([drawn.draw(i, 0).segment.clip.clip_id for i in range(n)], minlength=4)
    weights = np.array([50_000, 5000, CHUNK, CHUNK])  # the short one counts as one chunk
    p = weights / weights.sum()
    assert (np.abs(counts - n * p) < 4 * np.sqrt(n * p * (1 - p))).all()


def test_crops_are_uniform_and_reach_both_ends(tmp_path):
    drawn = dataset([whole(clip_of(tmp_path, 0, ramp(CHUNK + 9)))])
    starts = [drawn.draw(i, 0).start_sample for i in range(10_000)]
    counts = np.bincount(starts, minlength=10)
    assert len(counts) == 10
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(1000 * 0.9)


def test_short_ones_lie_anywhere_in_the_padding(tmp_path):
    drawn = dataset([whole(clip_of(tmp_path, 0, ramp(CHUNK - 9)))])
    starts = [drawn.draw(i, 0).start_sample for i in range(2000)]
    assert sorted(set(starts)) == list(range(-9, 1))


def test_augmentation_depends_on_step_and_example_alone(segments):
    augment = Augment(transforms={"gain": Gain(min_db=-20.0, max_db=0.0)})
    plain, changed = dataset(segments), dataset(segments, augmentation=augment)
    gains = []
    for step, example in [(0, 0), (0, 1), (1, 0)]:
        before, after = plain[step, example], changed[step, example]
        assert (before.clip_id, before.start_sample) == (after.clip_id, after.start_sample)
        mark = np.abs(before.audio).argmax()
        gains.append(after.audio.flat[mark] / before.audio.flat[mark])
        np.testing.assert_array_equal(after.audio, changed[step, example].audio)
    assert len(set(gains)) == 3


def test_read_chunk_gives_its_own_memory(segments):
    samples = segments[0].clip.open()
    audio = read_chunk(samples, Chunk(segments[0], 5), CHUNK, short="pad")
    assert audio.flags.c_contiguous
    assert audio.flags.writeable
    assert not np.shares_memory(audio, samples)


def test_few_maps_are_open_however_many_clips(tmp_path, monkeypatch):
    monkeypatch.setattr(chunk_module, "OPEN_MAPS", 3)
    drawn = dataset([whole(clip_of(tmp_path, i, ramp(2 * CHUNK))) for i in range(20)])
    for step in range(100):
        drawn[step, 0]
        assert len(drawn._maps._maps) <= 3
    assert len(pickle.loads(pickle.dumps(drawn))._maps._maps) == 0


def test_an_error_names_the_recording_and_the_example(segments):
    class Broken:
        probability, heavy, max_speed = 1.0, False, 1.0

        def __call__(self, audio, rate_hz, rng):
            raise ZeroDivisionError("no")

    drawn = dataset(segments[:1], augmentation=Augment(transforms={"broken": Broken()}))
    with pytest.raises(ZeroDivisionError) as one:
        drawn[4, 2]
    assert one.value.__notes__ == ["in example 2 of step 4, from '0.wav'"]


def test_no_segments_and_settings_not_offered_are_refused(segments):
    with pytest.raises(UserError, match="empty"):
        dataset([])
    with pytest.raises(UserError, match="chunk_samples=0"):
        dataset(segments, chunk_samples=0)
    with pytest.raises(UserError, match="one of pad, loop, repeat"):
        dataset(segments, short="stretch")
    with pytest.raises(UserError, match="batch_size=0"):
        StepSampler(batch_size=0)


# Steps


def test_a_resumed_sampler_goes_on_where_the_first_would_be():
    start = list(islice(StepSampler(batch_size=2), 8))
    assert list(islice(StepSampler(batch_size=2, first_step=5), 3)) == start[5:]
    assert start[5] == [(5, 0), (5, 1)]


# Validation


def test_validation_chunks_cover_every_sample(segments):
    chunks = validation_chunks(segments, CHUNK)
    for segment in segments:
        heard = np.zeros(segment.clip.n_samples, bool)
        starts = [c.start_sample for c in chunks if c.segment is segment]
        for start in starts:
            assert start >= segment.start_sample
            heard[start : start + CHUNK] = True
        assert heard[segment.start_sample : segment.stop_sample].all()
        if segment.n_samples >= CHUNK:
            assert not heard[: segment.start_sample].any()
            assert not heard[segment.stop_sample :].any()
            assert max(starts) == segment.stop_sample - CHUNK
        assert len(starts) == -(-segment.n_samples // CHUNK)


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 7, 20, 54, 55, 56, 1000])
def test_a_limit_is_met_and_spread_evenly(segments, limit):
    everything = validation_chunks(segments, CHUNK)
    chosen = validation_chunks(segments, CHUNK, limit)
    assert len(chosen) == min(limit, len(everything))
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(everything)
    assert chosen == validation_chunks(segments, CHUNK, limit)
    have = [sum(c.segment is s for c in everything) for s in segments]
    took = [sum(c.segment is s for c in chosen) for s in segments]
    # None that could give more got less than another by more than one.
    for i, count in enumerate(took):
        assert count == have[i] or count >= max(took) - 1


def test_a_limited_long_segment_is_heard_throughout(tmp_path):
    segment = whole(clip_of(tmp_path, 0, ramp(100 * CHUNK)))
    starts = [c.start_sample // CHUNK for c in validation_chunks([segment], CHUNK, 4)]
    assert starts == [12, 37, 62, 87]


def test_validation_examples_are_the_samples(segments):
    chunks = validation_chunks(segments, CHUNK)
    examples = ValidationChunks(chunks, chunk_samples=CHUNK)
    assert len(examples) == len(chunks)
    last = examples[len(chunks) - 1]
    assert (last.clip_id, last.start_sample) == (3, 0)
    np.testing.assert_array_equal(last.audio[0], np.r_[1:101, [0] * (CHUNK - 100)])
    looped = ValidationChunks(chunks, chunk_samples=CHUNK, short="loop")[len(chunks) - 1]
    np.testing.assert_array_equal(looped.audio[0], 1 + np.arange(CHUNK) % 100)


# Batches


def test_a_batch_shares_what_is_equal_and_has_empty_conditions(segments):
    drawn = dataset(segments)
    batch = collate([drawn[3, i] for i in range(5)])
    assert batch.input.shape == (5, 2, CHUNK)
    assert batch.input.dtype == torch.float32
    assert batch.input.data_ptr() == batch.target.data_ptr()
    for i in range(5):
        np.testing.assert_array_equal(batch.input[i].numpy(), drawn[3, i].audio)
        assert batch.clip_id[i] == drawn[3, i].clip_id
        assert batch.start_sample[i] == drawn[3, i].start_sample
    assert batch.attributes.names == batch.frame_attributes.names == ()
    assert batch.conditions.f0_hz is None


def test_noise_keeps_its_level_through_padding(tmp_path):
    audio = noise(0.01)[None]
    example = dataset([whole(clip_of(tmp_path, 0, audio))])[0, 0]
    assert np.square(example.audio).sum() == pytest.approx(np.square(audio).sum(), rel=1e-6)


def test_repeat_fills_a_chunk_with_whole_copies_and_short_silences(tmp_path):
    clip = clip_of(tmp_path, 0, ramp(100))
    data = TrainingChunks([whole(clip)], seed=0, chunk_samples=60_000, short="repeat")
    for step in range(5):
        audio = data[step, 0].audio[0]
        starts = np.flatnonzero(audio == 1)
        assert len(starts) > 10
        for start in starts[:-1]:
            assert np.array_equal(audio[start : start + 100], np.arange(1, 101))
        gaps = np.diff(starts) - 100
        assert gaps.min() >= 0
        assert gaps.max() <= round(0.1 * 48_000)
        assert np.count_nonzero(audio) >= 100 * (len(starts) - 1)


def test_an_augmentation_that_shortens_is_given_more_to_read(tmp_path):
    clip = clip_of(tmp_path, 0, ramp(50_000))
    augmentation = Augment(transforms={"speed": Varispeed(octaves=1.0)})
    data = TrainingChunks(
        [whole(clip)], seed=0, chunk_samples=CHUNK, short="pad", augmentation=augmentation
    )
    assert all(data[step, 0].audio.shape == (2, CHUNK) for step in range(30))


def test_variants_and_the_recording_are_drawn_alike_and_tell_their_change(tmp_path):
    original = whole(clip_of(tmp_path, 0, ramp(9_000)))
    changes = (Change(f0_ratio=2.0), Change(time_ratio=0.5))
    variants = tuple(
        Variant(whole(clip_of(tmp_path, k, ramp(5_000, offset=10_000 * k))), change, original)
        for k, change in enumerate(changes, start=1)
    )
    data = dataset([original], variants=[variants])
    kinds = []
    for step in range(600):
        chunk, example = data.draw(step, 0), data[step, 0]
        kind = int(example.audio[0, 0]) // 10_000
        kinds.append(kind)
        assert chunk.segment is (variants[kind - 1].segment if kind else original)
        assert chunk.original is (original if kind else None)
        assert chunk.change == (changes[kind - 1] if kind else Change())
    # A third each: 200 of 600, four deviations of a binomial law.
    assert all(abs(kinds.count(kind) - 200) < 4 * np.sqrt(600 * 2 / 9) for kind in range(3))


def test_variants_go_by_segment(segments):
    with pytest.raises(ValueError, match="1 lists of variants, 4 segments"):
        dataset(segments, variants=[()])


def test_a_mask_is_seen_by_the_encoder_alone(tmp_path):
    clip = clip_of(tmp_path, 0, np.stack([noise(1.0)] * 2))
    mask = Mask(probability=0.5, time_masks=1, max_time_s=0.01, bands=1)
    plain = dataset([whole(clip)])
    data = dataset([whole(clip)], augmentation=Augment(transforms={}, mask=mask))
    examples = [data[step, 0] for step in range(40)]
    for step, example in enumerate(examples):
        np.testing.assert_array_equal(example.audio, plain[step, 0].audio)
    masked = [example for example in examples if example.seen is not None]
    assert 8 < len(masked) < 32
    assert all(not np.array_equal(e.seen, e.audio) for e in masked)
    batch = collate(examples)
    assert batch.input.data_ptr() != batch.target.data_ptr()
    whole_ones = [k for k, example in enumerate(examples) if example.seen is None]
    assert torch.equal(batch.input[whole_ones], batch.target[whole_ones])


def test_a_mix_is_the_sum_of_two_recordings_whose_pitch_is_unknown(tmp_path):
    ones, ramps = np.ones((2, CHUNK), np.float32), ramp(CHUNK)
    pair = [whole(clip_of(tmp_path, 0, ones)), whole(clip_of(tmp_path, 1, ramps))]
    told = []

    def measuring(chunk, live, audio):
        told.append(live)
        return measures(len(told))

    mix = Mix(probability=1.0, min_db=-20.0, max_db=-20.0)
    data = dataset(pair, augmentation=Augment(transforms={}, mix=mix), measuring=measuring)
    sums = 0
    for step in range(20):
        first, second = data.draw(step, 0), data.draw(step, 0, "mix")
        audio = data[step, 0].audio
        parts = [pair[c.segment.clip.clip_id].samples() for c in (first, second)]
        level, other = (np.sqrt(np.mean(np.square(p, dtype=float))) for p in parts)
        np.testing.assert_allclose(audio, parts[0] + 0.1 * level / other * parts[1], rtol=1e-5)
        sums += first.segment is not second.segment
    assert sums > 3
    assert all(np.isnan(change.f0_ratio) and change.time_ratio == 1 for change in told)


def measures(value: float) -> Measures:
    """One attribute per chunk and one per frame, of which a frame is not defined."""
    return Measures(
        ("loudness_lufs",),
        np.array([value], np.float32),
        np.array([True]),
        ("f0_hz",),
        np.full((1, 2), value, np.float32),
        np.array([[True, False]]),
    )


def test_attributes_travel_with_the_example(segments):
    data = dataset(segments, measuring=lambda chunk, live, audio: measures(chunk.start_sample))
    examples = [data[0, example] for example in range(3)]
    batch = collate(examples)
    starts = [float(example.start_sample) for example in examples]
    assert batch.attributes.names == ("loudness_lufs",)
    assert batch.attributes.values[:, 0].tolist() == starts
    assert batch.attributes.defined.all()
    assert batch.frame_attributes.names == ("f0_hz",)
    assert batch.frame_attributes.values[:, 0, 1].tolist() == starts
    assert batch.frame_attributes.defined[:, 0].tolist() == [[True, False]] * 3
    assert not batch.conditions.tracks


def test_tracks_become_conditions_for_training_and_for_validation(segments):
    tonal = {
        "frame_names": ("f0_hz", "hnr_db"),
        "frame_values": np.array([[440.0, 20.0], [40.0, -20.0]], np.float32),
        "frame_mask": np.array([[True, False], [True, True]]),
        "tracks": ("f0_hz", "confidence"),
    }

    def measuring(chunk, live, audio):
        return replace(measures(440.0), **tonal)

    fixed = validation_chunks(segments, CHUNK)
    held_out = ValidationChunks(fixed, chunk_samples=CHUNK, measuring=measuring)
    for examples in ([dataset(segments, measuring=measuring)[0, 0]], [held_out[0]]):
        conditions = collate(examples).conditions
        assert conditions.f0_hz.tolist() == [[440.0, 440.0]]
        assert conditions.confidence.tolist() == [[1.0, 0.0]]
        assert conditions.loudness_db is None


@pytest.mark.parametrize("short", ["pad", "loop", "repeat"])
def test_positions_tell_where_every_sample_of_a_chunk_comes_from(segments, short):
    data = dataset(segments, short=short)
    seen = set()
    for step in range(500):
        chunk = data.draw(step, 0)
        seen.add(chunk.segment.clip.clip_id)
        samples = chunk.segment.clip.open()
        read = read_chunk(samples, chunk, CHUNK, short=short)[0]
        places, inside = positions(chunk, np.arange(CHUNK), short=short)
        expected = np.where(inside, samples[0, np.where(inside, places, 0).astype(int)], 0)
        np.testing.assert_array_equal(read, expected)
    assert len(seen) == 4
