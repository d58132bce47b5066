"""Loaders: the same batches whatever the workers, a resume at any step, errors with a name."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from signals import noise
from timbrel.data.augmentation import Augment, Changed, Gain, Polarity
from timbrel.data.cache.entry import npy_header
from timbrel.data.cache.store import Clip
from timbrel.data.chunks.loaders import train_loader, validation_loader
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError, without_trace

CHUNK = 1024
LIGHT = Augment(
    transforms={"gain": Gain(min_db=-6.0, max_db=0.0), "polarity": Polarity(probability=0.5)}
)


@pytest.fixture
def segments(tmp_path: Path) -> list[Segment]:
    """Six recordings of 5 to 125 ms, in the cache's format."""
    made = []
    for clip_id in range(6):
        audio = np.stack([noise(0.005 * (1 + 4 * clip_id), seed=clip_id)] * 2)
        path = tmp_path / f"{clip_id}.npy"
        path.write_bytes(npy_header(*audio.shape) + audio.T.tobytes())
        name = f"folder/{clip_id}.wav"
        clip = Clip(clip_id, name, str(clip_id), 48_000, audio.shape[1], 2, path)
        made.append(Segment(clip, 0, clip.n_samples))
    return made


def loader(segments, **settings):
    defaults = {"seed": 3, "batch_size": 4, "chunk_samples": CHUNK, "augmentation": LIGHT}
    return train_loader(segments, **{**defaults, **settings})


def take(loader, count: int):
    batches = iter(loader)
    taken = list(islice(batches, count))
    if hasattr(batches, "_shutdown_workers"):
        batches._shutdown_workers()
    return taken


def assert_equal(one, other) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.input, b.input)
        assert torch.equal(a.target, b.target)
        assert torch.equal(a.clip_id, b.clip_id)
        assert torch.equal(a.start_sample, b.start_sample)


class ThreadsAsGain:
    """A transform that tells of the process it runs in."""

    probability, heavy, max_speed = 1.0, False, 1.0

    def __call__(self, audio, rate_hz, rng):
        return Changed(np.full_like(audio, torch.get_num_threads()))


def test_workers_change_nothing(segments):
    without = take(loader(segments), 6)
    with_two = take(loader(segments, workers=2), 6)
    assert_equal(without, with_two)
    # One tensor still after the way here, which needs no shared memory: there may be little.
    assert all(b.input.data_ptr() == b.target.data_ptr() for b in with_two)
    assert not any(b.input.is_shared() for b in with_two)


@pytest.mark.slow
def test_spawned_workers_change_nothing(segments):
    spawned = loader(segments, workers=1)
    spawned.multiprocessing_context = "spawn"
    assert_equal(take(loader(segments), 6), take(spawned, 6))


def test_a_resume_goes_on_with_the_very_batches(segments):
    assert_equal(take(loader(segments, first_step=4), 3), take(loader(segments), 7)[4:])


def test_the_global_generators_are_neither_read_nor_moved(segments):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state is what is watched
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = take(loader(segments), 3)
    list(validation_loader(segments, batch_size=4, chunk_samples=CHUNK))
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    torch.manual_seed(2)
    assert_equal(take(loader(segments), 3), first)


def test_workers_hold_one_thread_each(segments):
    threads = loader(
        segments, augmentation=Augment(transforms={"threads": ThreadsAsGain()}), workers=1
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert take(threads, 1)[0].input.unique().tolist() == [1.0]
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_worker_names_the_recording(segments):
    for segment in segments:
        segment.clip.path.unlink()
    for workers in (0, 1):
        with pytest.raises(UserError, match=r"folder/\d\.wav.*start again"):
            take(loader(segments, workers=workers), 1)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_a_worker_is_a_sentence_without_its_trace(segments, workers):
    def refuses(audio, rate_hz, rng):
        raise UserError("mine: not this sound; leave it out")

    refuses.probability, refuses.heavy, refuses.max_speed = 1.0, False, 1.0
    own = Augment(transforms={"mine": refuses})
    with pytest.raises(UserError) as raised:
        take(loader(segments, augmentation=own, workers=workers), 1)
    told = str(without_trace(raised.value))
    assert told.startswith("mine: not this sound; leave it out")
    assert "Traceback" not in told


def test_validation_is_the_same_at_every_pass_and_worker(segments):
    settings = {"batch_size": 4, "chunk_samples": CHUNK}
    one = validation_loader(segments, **settings)
    first, second = list(one), list(one)
    assert_equal(first, second)
    assert_equal(first, list(validation_loader(segments, **settings, workers=1)))
    sizes = [len(batch.input) for batch in first]
    expected = sum(-(-segment.n_samples // CHUNK) for segment in segments)
    assert sum(sizes) == expected
    assert sizes[:-1] == [4] * (len(sizes) - 1)
    limited = list(validation_loader(segments, **settings, limit=6))
    assert sorted(torch.cat([batch.clip_id for batch in limited]).tolist()) == list(range(6))


def test_no_validation_is_an_empty_loader_and_no_training_is_refused(segments):
    assert list(validation_loader([], batch_size=4, chunk_samples=CHUNK)) == []
    with pytest.raises(UserError, match="train part"):
        loader([])
