"""Sound files in: header, whole, or block by block in constant memory.

Content decides what a file is, never its extension, and samples come back as they were stored:
float files beyond +-1 are not clipped. Only regular files are ever opened, because opening a
named pipe waits for a writer that may never come.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from timbrel.errors import UserError

BLOCK_SAMPLES = 1 << 18


@dataclass(frozen=True)
class Header:
    """What a sound file says of itself; `frames` is a claim that decoding may not keep."""

    rate_hz: int
    channels: int
    frames: int
    format: str
    subtype: str

    @property
    def duration_s(self) -> float:
        """The claimed length in seconds."""
        return self.frames / self.rate_hz


class ForwardSoundFile(soundfile.SoundFile):
    """A sound file read from front to back.

    soundfile seeks after every read of a seekable file, and libsndfile's seek drops the bit
    reservoir of a VBR MP3: read in blocks, such a file differs from itself by half of full scale.
    """

    def seekable(self) -> bool:
        """Always False, so that soundfile reads on without seeking."""
        return False


@contextmanager
def open_sound(path: str | Path) -> Iterator[ForwardSoundFile]:
    """The open sound file, closed on leaving.

    Raises `UserError` where `path` is no regular file, may not be read, or holds nothing that
    libsndfile knows.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UserError(f"{str(path)!r}: not a regular file; give the path of a sound file")
        # Handing libsndfile a descriptor keeps it from guessing a format by the file's extension.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise UserError(f"{str(path)!r}: {error.strerror or error}") from error
    try:
        sound = ForwardSoundFile(descriptor, closefd=False)
        try:
            yield sound
        finally:
            sound.close()
    except soundfile.LibsndfileError as error:
        raise UserError(
            f"{str(path)!r}: {error.error_string.rstrip('.')}; convert it to WAV or FLAC, "
            f"or leave it out"
        ) from error
    finally:
        os.close(descriptor)


def describe(path: str | Path) -> Header:
    """The header of a sound file; nothing is decoded. Raises `UserError` as `open_sound`."""
    with open_sound(path) as sound:
        return header_of(sound)


def header_of(sound: soundfile.SoundFile) -> Header:
    """The header of an open sound file."""
    return Header(sound.samplerate, sound.channels, sound.frames, sound.format, sound.subtype)


def blocks_of(
    sound: soundfile.SoundFile, block_frames: int | None = None
) -> Iterator[NDArray[np.float32]]:
    """The samples of an open sound file, `(frames, channels)`, until it gives no more.

    Every block is a new array. Without `block_frames` a block holds about a megabyte, however
    many channels there are.
    """
    frames = block_frames or max(1, BLOCK_SAMPLES // sound.channels)
    while len(block := sound.read(frames, dtype="float32", always_2d=True)):
        yield block


def read_blocks(path: str | Path, block_frames: int | None = None) -> Iterator[NDArray[np.float32]]:
    """The samples of a file, `(frames, channels)` per block, in constant memory.

    Raises `UserError` as `open_sound`, and where decoding breaks off with an error.
    """
    with open_sound(path) as sound:
        yield from blocks_of(sound, block_frames)


def read(path: str | Path) -> tuple[NDArray[np.float32], int]:
    """All samples, `(channel, time)`, and the sample rate in Hz. Raises as `read_blocks`."""
    with open_sound(path) as sound:
        blocks = list(blocks_of(sound))
        if not blocks:
            return np.zeros((sound.channels, 0), np.float32), sound.samplerate
        return np.ascontiguousarray(np.concatenate(blocks).T), sound.samplerate
