"""From recordings to float32 memory maps at one rate, so that a crop costs a fraction of a ms.

Entries are addressed by content: the same samples under another name or in another container
are decoded once, and a second start decodes nothing. Nothing here imports torch.
"""

import logging
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

import numpy as np

from timbrel.audio.normalise import Normalise
from timbrel.audio.resample import resampled_length
from timbrel.config.bounds import check_values
from timbrel.config.schema import DataConfig
from timbrel.data.cache.decode_process import decode, decoding_process
from timbrel.data.cache.entry import (
    HEADER_BYTES,
    DamagedEntryError,
    Downmix,
    Job,
    Sidecar,
    cache_folder_error,
    data_bytes,
    entry_key,
    load_entry,
)
from timbrel.data.scan.catalog import Catalog, FileReport
from timbrel.data.worker_process import available_cores, in_parallel
from timbrel.errors import UserError, did_you_mean
from timbrel.files import remove_stale_temporaries
from timbrel.paths import absolute_path

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
Value = TypeVar("Value")

# Starting a process takes as long as decoding this much.
SECONDS_PER_WORKER = 60.0
SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class Clip:
    """One decoded recording: `n_samples` samples per channel at `rate_hz`, in the `.npy` at `path`.

    `clip_id` counts the catalog's training files in order of `name`, the path relative to the
    data folder with forward slashes. Files of equal content share a `path`.
    """

    clip_id: int
    name: str
    content_hash: str
    rate_hz: int
    n_samples: int
    channels: int
    path: Path

    @property
    def duration_s(self) -> float:
        """The length in seconds."""
        return self.n_samples / self.rate_hz

    def open(self) -> np.memmap:
        """The samples `(channel, time)`, float32, read-only.

        Raises `UserError` where the entry is gone or was cut since `Cache.ensure`.
        """
        try:
            present = self.path.stat().st_size
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error
        expected = data_bytes(self.channels, self.n_samples)
        if present != expected:
            raise self._lost(f"{present} bytes instead of {expected}")
        shape = (self.channels, self.n_samples)
        return np.memmap(
            self.path, np.float32, mode="r", offset=HEADER_BYTES, shape=shape, order="F"
        )

    def _lost(self, reason: str) -> UserError:
        return UserError(
            f"{self.name!r}: its decoded samples {str(self.path)!r} are damaged ({reason}); "
            f"start again to decode it anew"
        )


def default_folder() -> Path:
    """`$TIMBREL_CACHE`, else `$XDG_CACHE_HOME/timbrel`, else `~/.cache/timbrel`."""
    if chosen := os.environ.get("TIMBREL_CACHE"):
        return absolute_path(chosen, "TIMBREL_CACHE")
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative paths ignored.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "timbrel"


class Cache:
    """The folder of decoded recordings, shared by all data sets and by runs at the same time."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = absolute_path(folder, "data.cache_dir") if folder else default_folder()

    @property
    def size_bytes(self) -> int:
        """What the entries of all data sets take on disk, in bytes."""
        total = 0
        for path in self._entries():
            try:
                total += path.stat().st_size
            except OSError:  # gone in the meantime, or nobody's business
                continue
        return total

    def ensure(
        self,
        catalog: Catalog,
        *,
        sample_rate_hz: int,
        channels: int = 1,
        downmix: Downmix = "mean",
        normalise: Normalise = "none",
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> tuple[Clip, ...]:
        """Every training file of `catalog` as a clip, decoding those not decoded yet.

        `channels=1` merges by `downmix`: the mean of all channels, the first (`left`), or the
        one with the largest energy (`loudest`). `channels=2` doubles mono and takes the first
        two of more. `normalise` brings each file to one level (`timbrel.audio.normalise`); "none"
        leaves it. `workers` processes decode (None: by cores and seconds of sound; 0 and 1: this
        one); `progress(done, total, name)` follows each decoded file. Each is kept as soon as it
        is decoded, so that an interrupted call goes on where it was. Damaged entries are decoded
        again, with a warning in the log.

        Raises `UserError` for settings that are not offered, a cache folder that cannot be
        written or is too full, and recordings that changed since they were catalogued.
        """
        _check_settings(sample_rate_hz, channels, downmix, normalise)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cache_folder_error(self.folder, error) from error
        remove_stale_temporaries(self.folder)

        jobs = [
            self._job(catalog, file, sample_rate_hz, channels, downmix, normalise)
            for file in catalog.training_files
        ]
        entries: dict[Path, Sidecar] = {}
        missing: dict[Path, Job] = {}
        for job in jobs:
            if job.data_path in entries or job.data_path in missing:
                continue
            if (entry := _checked(job)) is None:
                missing[job.data_path] = job
            else:
                entries[job.data_path] = entry
        if missing:
            self._check_space(missing.values())
            with closing(_decoded(list(missing.values()), workers)) as decoded:
                for done, (job, entry) in enumerate(decoded, 1):
                    entries[job.data_path] = entry
                    if progress is not None:
                        progress(done, len(missing), job.name)
        return tuple(
            Clip(
                clip_id=clip_id,
                name=file.path,
                content_hash=_known(file.content_hash, file),
                rate_hz=sample_rate_hz,
                n_samples=entries[job.data_path].n_samples,
                channels=channels,
                path=job.data_path,
            )
            for clip_id, (file, job) in enumerate(zip(catalog.training_files, jobs, strict=True))
        )

    def _job(
        self,
        catalog: Catalog,
        file: FileReport,
        sample_rate_hz: int,
        channels: int,
        downmix: Downmix,
        normalise: Normalise,
    ) -> Job:
        present = _known(file.channels, file)
        if present > 2 and channels == 2:
            logger.warning("%r: %d channels, the first two are used", file.path, present)
        merging: Downmix | Literal["none"] = downmix if present > 1 and channels == 1 else "none"
        content = _known(file.content_hash, file)
        key = entry_key(content, sample_rate_hz, channels, merging, normalise)
        return Job(
            source=catalog.absolute(file),
            data_path=self.folder / f"{key}.npy",
            name=file.path,
            source_rate_hz=_known(file.rate_hz, file),
            source_samples=_known(file.n_samples, file),
            sample_rate_hz=sample_rate_hz,
            channels=channels,
            downmix=merging,
            normalise=normalise,
        )

    def _check_space(self, jobs: Iterable[Job]) -> None:
        needed = sum(
            data_bytes(
                job.channels,
                resampled_length(job.source_samples, job.source_rate_hz, job.sample_rate_hz),
            )
            for job in jobs
        )
        free = shutil.disk_usage(self.folder).free
        if needed + SPARE_BYTES > free:
            raise UserError(
                f"the cache folder {str(self.folder)!r} has {free / 1e9:.2f} GB free where the "
                f"decoded recordings take {needed / 1e9:.2f} GB; make room, or set the "
                f"environment variable TIMBREL_CACHE to a folder on a larger disk"
            )

    def _entries(self) -> Iterator[Path]:
        for pattern in ("*.npy", "*.json"):
            yield from self.folder.glob(pattern)


def _check_settings(sample_rate_hz: int, channels: int, downmix: str, normalise: str) -> None:
    check_values(DataConfig, "data.", sample_rate_hz=sample_rate_hz, channels=channels)
    for key, given, kind in (("downmix", downmix, Downmix), ("normalise", normalise, Normalise)):
        if given not in (known := get_args(kind)):
            nearest = did_you_mean(given, known)
            raise UserError(f"{key} {given!r} is none of {', '.join(known)}{nearest}")


def _known(value: Value | None, file: FileReport) -> Value:
    """`value`, which the catalog fills in for every file that trains."""
    if value is None:
        raise ValueError(f"{file.path!r} trains, but the catalog did not measure it")
    return value


def _checked(job: Job) -> Sidecar | None:
    """The entry of `job`, or None where it must be decoded (saying so where it is damaged)."""
    try:
        return load_entry(job.data_path)
    except DamagedEntryError as damage:
        logger.warning("%r: its decoded samples are damaged (%s): decoding anew", job.name, damage)
        return None


def _decoded(
    jobs: Sequence[Job], workers: int | None
) -> Generator[tuple[Job, Sidecar], None, None]:
    """Each job with its entry, in the order in which they are done."""
    if workers is None:
        seconds = sum(job.source_duration_s for job in jobs)
        workers = min(available_cores(), int(seconds / SECONDS_PER_WORKER))
    if min(workers, len(jobs)) < 2:
        for job in jobs:
            yield job, decode(job)
        return
    longest_first = sorted(jobs, key=lambda job: -job.source_duration_s)
    outcomes = in_parallel(longest_first, decoding_process, workers)
    with closing(outcomes):
        for job, outcome in outcomes:
            if isinstance(outcome, UserError):
                raise outcome
            yield job, outcome
