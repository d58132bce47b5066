"""One decoded recording on disk: a `.npy` for memory mapping and a `.json` with its checksum.

The array is `(channel, time)` float32 in Fortran order, so the file runs along time: it is
streamed without knowing its length beforehand, and a crop of all channels is one contiguous
read. The header has a fixed length for the same reason. Nothing here imports torch: decoding
runs in processes of its own.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from timbrel.audio.normalise import Normalise, level_gain
from timbrel.audio.read import describe, read_blocks
from timbrel.audio.resample import resample_blocks
from timbrel.errors import UserError
from timbrel.files import WriteError, replacing, write_text

FORMAT_VERSION = 1
HEADER_BYTES = 128
BYTES_PER_SAMPLE = 4

Downmix = Literal["mean", "left", "loudest"]


class DamagedEntryError(Exception):
    """An entry that must be decoded again; the message says what is wrong with it."""


@dataclass(frozen=True)
class Sidecar:
    """The content of the `.json` beside a `.npy`; `checksum` covers the samples, not the header.

    In the file `n_samples` is called `frames`, as in the caches of every earlier timbrel.
    """

    n_samples: int
    channels: int
    rate_hz: int
    checksum: str
    size_bytes: int
    mtime_ns: int
    source: str

    @classmethod
    def from_json(cls, text: str) -> "Sidecar":
        """Raises ValueError or TypeError where `text` is not what `json` wrote."""
        record = dict(json.loads(text))
        return cls(n_samples=record.pop("frames", None), **record)

    @property
    def json(self) -> str:
        """The text of the file."""
        record = {"frames": self.n_samples, **asdict(self)}
        del record["n_samples"]
        return json.dumps(record, ensure_ascii=False)


@dataclass(frozen=True)
class Job:
    """One recording to decode: from where, to where, and into what.

    `downmix` is "none" where no channels are merged, so that such entries serve every setting.
    `source_samples` is what the catalog counted; a different count means that the file changed.
    """

    source: Path
    data_path: Path
    name: str
    source_rate_hz: int
    source_samples: int
    sample_rate_hz: int
    channels: int
    downmix: Downmix | Literal["none"]
    normalise: Normalise = "none"

    @property
    def source_duration_s(self) -> float:
        """The recording's length in seconds."""
        return self.source_samples / self.source_rate_hz


def entry_key(
    content_hash: str, sample_rate_hz: int, channels: int, downmix: str, normalise: str = "none"
) -> str:
    """The file stem of an entry: 32 hexadecimal digits over all that determines its samples."""
    text = f"{FORMAT_VERSION}/{content_hash}/{sample_rate_hz}/{channels}/{downmix}"
    if normalise != "none":  # what was decoded before there was a choice stays good
        text += f"/{normalise}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def npy_header(channels: int, n_samples: int) -> bytes:
    """The header (`.npy` version 1.0) of a Fortran-ordered float32 array, always 128 bytes."""
    text = f"{{'descr': '<f4', 'fortran_order': True, 'shape': ({channels}, {n_samples}), }}"
    text = text.ljust(HEADER_BYTES - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")


def data_bytes(channels: int, n_samples: int) -> int:
    """The size of the `.npy` in bytes."""
    return HEADER_BYTES + BYTES_PER_SAMPLE * channels * n_samples


def load_entry(data_path: Path) -> Sidecar | None:
    """The sidecar of a sound entry, or None where there is no entry yet.

    Header and size are checked always, the checksum where size or time of change are not those
    noted (a copied cache): the sidecar of a copy found sound is refreshed.
    Raises `DamagedEntryError`, and `UserError` where nobody may look into the cache.
    """
    try:
        # The sidecar is written first, so a sidecar alone is an entry that is being written.
        stat = data_path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cache_folder_error(data_path.parent, error, "read") from error
    try:
        sidecar = Sidecar.from_json(data_path.with_suffix(".json").read_text("utf-8"))
        header = npy_header(int(sidecar.channels), int(sidecar.n_samples))
        expected_bytes = data_bytes(sidecar.channels, sidecar.n_samples)
    except FileNotFoundError:
        raise DamagedEntryError("its .json is missing") from None
    except (ValueError, TypeError):
        raise DamagedEntryError("its .json is unreadable") from None
    except OSError as error:
        raise DamagedEntryError(f"its .json: {error.strerror or error}") from None
    if stat.st_size != expected_bytes:
        raise DamagedEntryError(f"{stat.st_size} bytes instead of {expected_bytes}")
    try:
        file = data_path.open("rb")
    except OSError as error:
        raise DamagedEntryError(f"{error.strerror or error}") from None
    with file:
        if file.read(HEADER_BYTES) != header:
            raise DamagedEntryError("its header does not fit its .json")
        if (stat.st_size, stat.st_mtime_ns) == (sidecar.size_bytes, sidecar.mtime_ns):
            return sidecar
        checksum = _checksum()
        while block := file.read(1 << 20):
            checksum.update(block)
    if checksum.hexdigest() != sidecar.checksum:
        raise DamagedEntryError("its checksum is wrong")
    fresh = Sidecar(**{**asdict(sidecar), "size_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns})
    with suppress(WriteError):  # a read-only cache serves as well; it is verified again next time
        _write_sidecar(data_path, fresh)
    return fresh


def write_entry(job: Job) -> Sidecar:
    """Decode, mix, normalise, resample and write one recording, in constant memory.

    Each of the two files appears whole or not at all. Raises `UserError` where the recording no
    longer reads as the catalog found it, and where the cache folder cannot be written.
    """
    checksum, n_samples = _checksum(), 0
    blocks = resample_blocks(_mixed_blocks(job), job.source_rate_hz, job.sample_rate_hz)
    with _cache_folder_errors(job.data_path.parent), replacing(job.data_path) as draft:
        with draft.open("wb") as file:
            file.write(npy_header(job.channels, 0))
            for block in blocks:
                samples = np.ascontiguousarray(block, dtype="<f4")
                file.write(samples.data)
                checksum.update(samples.data)
                n_samples += len(samples)
            file.seek(0)
            file.write(npy_header(job.channels, n_samples))
        if not n_samples:
            raise UserError(f"{str(job.source)!r}: no samples; leave it out, or record it again")
        stat = draft.stat()
        sidecar = Sidecar(
            n_samples=n_samples,
            channels=job.channels,
            rate_hz=job.sample_rate_hz,
            checksum=checksum.hexdigest(),
            size_bytes=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            source=job.name,
        )
        _write_sidecar(job.data_path, sidecar)
    return sidecar


@contextmanager
def _cache_folder_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except WriteError as error:
        raise cache_folder_error(folder, error) from error


def cache_folder_error(
    folder: Path, error: OSError | WriteError, done: str = "written"
) -> UserError:
    """The message for a cache folder that cannot be written, or read."""
    reason = error.__cause__ if isinstance(error, WriteError) else error
    return UserError(
        f"the cache folder {str(folder)!r} cannot be {done} "
        f"({getattr(reason, 'strerror', None) or reason}); "
        f"set the environment variable TIMBREL_CACHE to a folder with room for it"
    )


def _write_sidecar(data_path: Path, sidecar: Sidecar) -> None:
    write_text(data_path.with_suffix(".json"), sidecar.json)


def _checksum() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def _mixed_blocks(job: Job) -> Iterator[NDArray[np.float32]]:
    """The recording's blocks `(time, channel)` at its own rate, as they are to be heard."""
    if not os.path.exists(job.source):
        raise UserError(
            f"{str(job.source)!r}: it has gone since the folder was scanned; put it "
            f"back, or start again without it"
        )
    loudest = loudest_channel(job.source) if job.downmix == "loudest" else 0
    gain = file_gain(
        job.source, channels=job.channels, downmix=job.downmix, normalise=job.normalise
    )
    n_samples = 0
    for block in read_blocks(job.source):
        n_samples += len(block)
        if not np.isfinite(block).all():
            raise UserError(f"{str(job.source)!r}: samples that are not finite; export it again")
        mixed = mix(block, channels=job.channels, downmix=job.downmix, loudest=loudest)
        yield amplified(mixed, gain)
    if n_samples != job.source_samples:
        raise UserError(
            f"{str(job.source)!r}: {n_samples} samples, but {job.source_samples} when the folder "
            f"was scanned: the file has changed; start again"
        )


def mix(
    block: NDArray[np.float32], *, channels: int, downmix: str, loudest: int = 0
) -> NDArray[np.float32]:
    """`(time, channel)` with any number of channels, as 1 or 2.

    To one: the mean of all, the first ("left"), or the channel `loudest`. To two: mono is
    doubled; of more than two the first two stay (front left and right in every common layout).
    """
    present = block.shape[1]
    if present == channels:
        return block
    if channels == 2:
        return np.repeat(block, 2, axis=1) if present == 1 else block[:, :2]
    if downmix == "mean":
        return block.mean(axis=1, keepdims=True, dtype=np.float32)
    first = loudest if downmix == "loudest" else 0
    return block[:, first : first + 1]


def file_gain(path: Path, *, channels: int, downmix: str, normalise: str) -> float:
    """The factor that brings a file, mixed to `channels`, to the level that `normalise` names.

    See `timbrel.audio.normalise.level_gain`. The mix counts, as it is what is heard: two channels
    in antiphase are loud, and their mean is not. Raises UserError as `read_blocks`.
    """
    if normalise == "none":
        return 1.0
    loudest = loudest_channel(path) if downmix == "loudest" else 0

    def mixed() -> Iterator[NDArray[np.float32]]:
        for block in read_blocks(path):
            yield mix(block, channels=channels, downmix=downmix, loudest=loudest)

    rate_hz = describe(path).rate_hz
    return level_gain(mixed, rate_hz=rate_hz, channels=channels, normalise=normalise)


def amplified(block: NDArray[np.float32], gain: float) -> NDArray[np.float32]:
    """`block` times `gain`, to the bit what every other reader of the file hears."""
    return block if gain == 1 else block * np.float32(gain)


def loudest_channel(path: Path) -> int:
    """The channel of a file with the largest energy, from 0; the first of equals."""
    energy: NDArray[np.float64] | float = 0.0
    for block in read_blocks(path):
        energy = energy + np.square(block, dtype=np.float64).sum(axis=0)
    return int(np.argmax(energy))
