"""Measured attributes on disk, beside the decoded recordings: one file per sound.

A file is named after what was measured and the code that measured it, so that either's change
measures anew, and nothing else does.
"""

import hashlib
import io
import logging
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.measurement import LEAST_RATE_HZ, Measurement, PitchMethod, measure
from timbrel.attributes.registry import code_version
from timbrel.audio.read import blocks_of, open_sound
from timbrel.data.cache.store import Clip
from timbrel.errors import UserError
from timbrel.files import WriteError, write_bytes

logger = logging.getLogger(__name__)

FOLDER = "attributes"
_SCALARS = ("rate_hz", "hop_samples")


@dataclass(frozen=True)
class Sound:
    """What is to be measured: a decoded clip, or a file as it is (its first two channels).

    `identity` names the samples: equal ones are measured once. At most `most_s` seconds count;
    None: all. Of a clip what is before `start_sample` does not. `pitch` says how f0 is looked for.
    """

    name: str
    identity: str
    source: Clip | Path
    most_s: float | None = None
    pitch: PitchMethod = "yin"
    start_sample: int = 0

    def read(self) -> tuple[NDArray[np.float32], int]:
        """The samples `(channel, time)` and their rate. Raises UserError where that cannot be."""
        if isinstance(self.source, Clip):
            most = self._most(self.source.rate_hz)
            stop = None if most is None else self.start_sample + most
            return np.asarray(self.source.open()[:, self.start_sample : stop]), self.source.rate_hz
        with open_sound(self.source) as sound:
            samples, blocks, have = self._most(sound.header.rate_hz), [], 0
            for block in blocks_of(sound):
                blocks.append(block[:, :2])
                have += len(block)
                if samples is not None and have >= samples:
                    break
            if not blocks:
                return np.zeros((1, 0), np.float32), sound.header.rate_hz
            audio = np.concatenate(blocks)[:samples].T
            return np.ascontiguousarray(audio), sound.header.rate_hz

    def _most(self, rate_hz: int) -> int | None:
        return None if self.most_s is None else round(self.most_s * rate_hz)


def measured(sound: Sound, folder: Path) -> Measurement:
    """What `sound` measures: as kept in `folder`, else measured now and kept.

    Raises UserError where the sound cannot be read, its sample rate is below the lowest supported,
    or measuring fails: such an error concerns this sound only. A folder that cannot be written is
    only logged.
    """
    file = stored_file(sound, folder)
    found = load(file)
    if found is None:
        found = _measured_now(sound)
        _keep(found, file)
    return found


def _measured_now(sound: Sound) -> Measurement:
    try:
        audio, rate_hz = sound.read()
        if rate_hz < LEAST_RATE_HZ:
            raise UserError(
                f"{sound.name!r}: {rate_hz} Hz; attributes are measured from {LEAST_RATE_HZ} Hz on"
            )
        return measure(audio, rate_hz, from_start=sound.start_sample == 0, pitch=sound.pitch)
    except UserError:
        raise
    except Exception as error:  # a fault of a measure, no memory
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        raise UserError(f"{sound.name!r}: its attributes could not be measured ({said})") from error


def stored_file(sound: Sound, folder: Path) -> Path:
    """Where the measurement of `sound` is kept, under the cache's `folder`."""
    what = f"{sound.identity}/{sound.most_s}/{sound.pitch}/{code_version()}"
    if sound.start_sample:  # a beginning keeps the name that it always had
        what = f"{what}/{sound.start_sample}"
    return folder / FOLDER / f"{hashlib.blake2b(what.encode(), digest_size=16).hexdigest()}.npz"


def load(file: Path) -> Measurement | None:
    """The measurement in `file`; None where there is none, or a damaged one."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            values = {field.name: stored[field.name] for field in fields(Measurement)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Measurement(**values | {name: int(values[name]) for name in _SCALARS})


def _keep(found: Measurement, file: Path) -> None:
    content = io.BytesIO()
    np.savez(content, **{field.name: getattr(found, field.name) for field in fields(Measurement)})
    try:
        write_bytes(file, content.getbuffer())
    except WriteError as error:
        logger.warning("attributes are not kept and will be measured anew: %s", error)
