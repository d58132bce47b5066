"""All variants of a training part: planned, reported, rendered in parallel, kept.

Rendering is resumable: a variant that any run has rendered is not rendered again.
"""

import math
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from timbrel.data.ahead.variant_process import rendering_process
from timbrel.data.ahead.variants import Rendering, load_variant, render, rendering
from timbrel.data.augmentation import Chain
from timbrel.data.cache.entry import (
    BYTES_PER_SAMPLE,
    cache_folder_error,
)
from timbrel.data.cache.store import SPARE_BYTES
from timbrel.data.chunks.chunk import Variant
from timbrel.data.split.parts import Segment
from timbrel.data.worker_process import available_cores, in_parallel
from timbrel.errors import UserError
from timbrel.files import remove_stale_temporaries
from timbrel.words import duration

FOLDER = "augmented"
LONGEST_S = 60.0
# Enough renderings to know the mean of their costs to about a tenth: some are free, some slow.
_TIMED, _TIMED_S = 64, 6.0
_WORTH_PROCESSES_S = 60.0  # of audio: it renders in about the time that a process takes to start
_PROGRESS_EVERY_S = 10.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Expansion:
    """The variants of every segment, those there and those to render."""

    jobs: tuple[tuple[Rendering, ...], ...]
    """By segment."""

    def missing(self) -> list[Rendering]:
        """What is not rendered yet, or damaged; equal recordings share theirs."""
        jobs = {job.data_path: job for of_segment in self.jobs for job in of_segment}
        return [job for job in jobs.values() if load_variant(job) is None]

    def variants(self) -> list[tuple[Variant, ...]]:
        """By segment. Raises ValueError where one is not rendered."""
        found = [[load_variant(job) for job in of_segment] for of_segment in self.jobs]
        if any(variant is None for of_segment in found for variant in of_segment):
            raise ValueError("variants are missing: render them first")
        return [tuple(v for v in of_segment if v is not None) for of_segment in found]


def plan(
    segments: Sequence[Segment], chain: Chain, *, count: int, seed: int, folder: Path
) -> Expansion:
    """`count` variants of every segment, in `folder` (the cache's).

    A segment longer than a minute is cut into equal pieces of at most that, each with `count`
    variants of its own, so that memory does not follow the recordings' length.
    """
    place = folder / FOLDER
    return Expansion(
        tuple(
            tuple(
                rendering(piece, chain, seed=seed, number=number, folder=place)
                for piece in _pieces(segment)
                for number in range(count)
            )
            for segment in segments
        )
    )


def expand(expansion: Expansion, tell: Tell, *, only_told: bool = False) -> None:
    """Render what is missing, after reporting how much it is and how long it will take.

    How long, and how large where tempo changes, is known from the first few, which are spread over
    all of them and rendered as the rest will be; with `only_told` it ends there. Raises UserError
    as `variants.render`, and where the disk has too little room.
    """
    missing = expansion.missing()
    if not missing:
        return
    folder, audio_s = missing[0].data_path.parent, _audio_s(missing)
    _prepare(folder)
    _check_room(folder, len(missing), _bytes(missing))
    started_s = told_s = time.monotonic()
    first_s = math.nan
    done_s = timed_s = 0.0  # of audio
    written = 0
    told = False
    with closing(_rendered(_in_order(missing))) as outcomes:
        for count, job in enumerate(outcomes, 1):
            now_s = time.monotonic()
            done_s += _audio_s([job])
            if math.isnan(first_s):
                first_s = now_s  # the processes have started
            else:
                timed_s += _audio_s([job])
            if not told:
                written += job.data_path.stat().st_size
            enough = count > _TIMED or now_s - first_s > _TIMED_S or count == len(missing)
            if enough and not told:
                told, told_s = True, now_s
                left_s = (audio_s - done_s) * (now_s - first_s) / max(timed_s, 1e-9)
                in_all = written * audio_s / done_s
                tell(
                    f"augmentation: {len(missing)} variants to render ahead, {duration(audio_s)} "
                    f"of audio, {in_all / 1e6:.0f} MB in '{folder}', about "
                    f"{duration(now_s - started_s + left_s)}"
                )
                if only_told:
                    return
                if count < len(missing):
                    _check_room(folder, len(missing) - count, in_all - written)
            elif told and now_s - told_s > _PROGRESS_EVERY_S and count < len(missing):
                told_s = now_s
                tell(f"rendered {count} of {len(missing)} variants")


def _in_order(missing: Sequence[Rendering]) -> list[Rendering]:
    """First a sample spread over all jobs, to estimate the cost of all; then the longest first."""
    timed = min(_TIMED + 1, len(missing))
    spread = [missing[k * len(missing) // timed] for k in range(timed)]
    chosen = {job.data_path for job in spread}
    rest = [job for job in missing if job.data_path not in chosen]
    return [*spread, *sorted(rest, key=lambda job: -job.segment.n_samples)]


def _rendered(jobs: Sequence[Rendering]) -> Generator[Rendering, None, None]:
    """Each job once it is done, in processes where they are worth their start."""
    workers = available_cores()
    if workers < 2 or _audio_s(jobs) < _WORTH_PROCESSES_S:
        for job in jobs:
            render(job)
            yield job
        return
    outcomes = in_parallel(jobs, rendering_process, workers)
    with closing(outcomes):
        for job, outcome in outcomes:
            if isinstance(outcome, UserError):
                raise outcome
            yield job


def _pieces(segment: Segment) -> list[Segment]:
    count = max(1, math.ceil(segment.n_samples / (LONGEST_S * segment.clip.rate_hz)))
    bounds = [segment.start_sample + segment.n_samples * k // count for k in range(count + 1)]
    return [Segment(segment.clip, start, stop) for start, stop in pairwise(bounds)]


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cache_folder_error(folder, error) from error
    remove_stale_temporaries(folder)


def _check_room(folder: Path, count: int, needed: float) -> None:
    free = shutil.disk_usage(folder).free
    if 1.1 * needed + SPARE_BYTES > free:
        raise UserError(
            f"augmentation.expansion: {count} variants take {needed / 1e9:.2f} GB, and "
            f"'{folder}' has {free / 1e9:.2f} GB free; take a smaller expansion, make room, or set "
            "the environment variable TIMBREL_CACHE to a folder on a larger disk"
        )


def _audio_s(jobs: Sequence[Rendering]) -> float:
    return sum(job.segment.n_samples / job.segment.clip.rate_hz for job in jobs)


def _bytes(jobs: Sequence[Rendering]) -> int:
    return sum(BYTES_PER_SAMPLE * job.segment.clip.channels * job.segment.n_samples for job in jobs)
