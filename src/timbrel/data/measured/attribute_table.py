"""The attributes of many sounds: each measured once, in processes, and kept."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.measurement import Measurement, PitchMethod
from timbrel.attributes.registry import CLIP_ATTRIBUTES
from timbrel.data.cache.store import Clip
from timbrel.data.measured.attribute_process import measuring_process
from timbrel.data.measured.attribute_store import Sound, load, measured, stored_file
from timbrel.data.scan.catalog import Catalog
from timbrel.data.split.parts import Segment
from timbrel.data.worker_process import available_cores, in_parallel
from timbrel.errors import UserError

logger = logging.getLogger(__name__)

MOST_S = 10.0
# Starting a process takes as long as measuring this much sound.
SECONDS_PER_WORKER = 60.0
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class AttributeTable:
    """One measurement per sound; None where it could not be measured: `reasons` says why."""

    names: tuple[str, ...]
    measurements: tuple[Measurement | None, ...]
    reasons: tuple[str, ...] = ()

    def column(self, attribute: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Each sound's value of `attribute`, and where it is defined.

        An unmeasured sound has the attribute's lowest value, undefined. KeyError for an unknown
        name.
        """
        columns = {known.name: index for index, known in enumerate(CLIP_ATTRIBUTES)}
        index = columns[attribute]
        values = np.full(len(self.measurements), CLIP_ATTRIBUTES[index].low, np.float32)
        defined = np.zeros(len(self.measurements), bool)
        for row, found in enumerate(self.measurements):
            if found is not None:
                values[row], defined[row] = found.clip_values[index], found.clip_defined[index]
        return values, defined


def measure_clips(
    clips: Sequence[Clip],
    *,
    folder: Path,
    workers: int | None = None,
    progress: Progress | None = None,
) -> AttributeTable:
    """The attributes of decoded clips, in their order; `folder` is the cache's.

    What was measured before by the same code, of the same samples, is read from there; each sound
    is kept as soon as it is measured, so that an interrupted call goes on where it was. `workers`
    is the number of processes (None: by cores and seconds of sound; 0: none). `progress` is told
    how many are done, how many there were to measure, and which was the last. A clip that cannot be
    measured is logged and has no measurement. Raises UserError where a clip is damaged.
    """
    whole = [Segment(clip, 0, clip.n_samples) for clip in clips]
    return measure_segments(whole, folder=folder, workers=workers, progress=progress)


def measure_segments(
    segments: Sequence[Segment],
    *,
    folder: Path,
    workers: int | None = None,
    progress: Progress | None = None,
) -> AttributeTable:
    """`measure_clips` of pieces of clips. One that is not a beginning has no silence before it."""
    sounds = [_sound(segment) for segment in segments]
    seconds = sum(segment.n_samples / segment.clip.rate_hz for segment in segments)
    found = _measured(sounds, folder, _workers(workers, seconds), progress)
    for segment, outcome in zip(segments, found, strict=True):
        if isinstance(outcome, UserError):
            segment.clip.open()  # a damaged one must be decoded anew: no training could read it
    return _table(sounds, found)


def _sound(segment: Segment) -> Sound:
    clip = segment.clip
    return Sound(
        clip.name,
        # The entry's name is a digest of content, rate, channels and downmix.
        f"clip/{clip.path.stem}",
        clip,
        None if segment.is_whole else segment.n_samples / clip.rate_hz,
        start_sample=segment.start_sample,
    )


def measure_files(
    catalog: Catalog,
    *,
    folder: Path,
    most_s: float = MOST_S,
    pitch: PitchMethod = "yin",
    workers: int | None = None,
    progress: Progress | None = None,
) -> AttributeTable:
    """The attributes of a catalog's training files at their own rate, in their order.

    Of each at most the first `most_s` seconds are measured, f0 by `pitch`; the other arguments are
    those of `measure_clips`. A file that cannot be measured is logged and has no measurement.
    """
    files = catalog.training_files
    sounds = [
        Sound(
            file.path,
            f"file/{file.content_hash}/{file.rate_hz}",
            catalog.absolute(file),
            most_s,
            pitch,
        )
        for file in files
    ]
    seconds = sum(min(file.duration_s or 0.0, most_s) for file in files)
    found = _measured(sounds, folder, _workers(workers, seconds), progress)
    return _table(sounds, found)


_Outcome = Measurement | UserError


def _table(sounds: Sequence[Sound], found: Sequence[_Outcome]) -> AttributeTable:
    for outcome in found:
        if isinstance(outcome, UserError):
            logger.warning("its attributes are not known: %s", outcome)
    return AttributeTable(
        tuple(sound.name for sound in sounds),
        tuple(None if isinstance(outcome, UserError) else outcome for outcome in found),
        tuple(str(outcome) for outcome in found if isinstance(outcome, UserError)),
    )


def _workers(workers: int | None, seconds: float) -> int:
    if workers is not None:
        return workers
    # Much sound is measured elsewhere even on one core: where memory ends, a worker does.
    enough = seconds >= SECONDS_PER_WORKER
    return min(available_cores(), int(seconds / SECONDS_PER_WORKER) + 1) if enough else 0


def _measured(
    sounds: Sequence[Sound], folder: Path, workers: int, progress: Progress | None
) -> list[_Outcome]:
    """One outcome per sound; equal samples are measured once."""
    files = [stored_file(sound, folder) for sound in sounds]
    known: dict[Path, _Outcome] = {}
    missing: dict[Path, Sound] = {}
    for file, sound in zip(files, sounds, strict=True):
        if file in known or file in missing:
            continue
        kept = load(file)
        if kept is None:
            missing[file] = sound
        else:
            known[file] = kept
    for done, (file, outcome) in enumerate(_outcomes(missing, folder, workers), 1):
        known[file] = outcome
        if progress is not None:
            progress(done, len(missing), missing[file].name)
    return [known[file] for file in files]


def _outcomes(
    missing: dict[Path, Sound], folder: Path, workers: int
) -> Iterator[tuple[Path, _Outcome]]:
    """Each sound's file with its outcome, as they are done."""
    if workers < 1:
        for file, sound in missing.items():
            try:
                yield file, measured(sound, folder)
            except UserError as error:
                yield file, error
        return
    jobs = [(sound, folder) for sound in missing.values()]
    for (sound, _), outcome in in_parallel(jobs, measuring_process, workers):
        yield stored_file(sound, folder), outcome
