"""Reading sound files: header, whole, or block by block in constant memory.

A file's format is recognised by its content, not by its extension, and samples come back as they
were stored: float files beyond +-1 are not clipped. Only regular files are ever opened, because
opening a named pipe waits for a writer that may never come.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from timbrel.audio import chunks, mpeg, streams
from timbrel.audio.view import Extent, View
from timbrel.errors import UserError

BLOCK_SAMPLES = 1 << 18
# Behind the samples of a header's size: how much is decoded, and what is too little to judge.
_HEARD_S, _LEAST_S = 1.0, 0.02
# Of full scale: what sound does not exceed unless it did so before.
_STEP, _OFFSET = 0.25, 0.2
_UNKNOWN_LENGTH = 1 << 62


@dataclass(frozen=True)
class Header:
    """What a sound file holds by its header, or by its content where its header is wrong.

    `n_samples` is still a claim that decoding may not keep.
    """

    rate_hz: int
    channels: int
    n_samples: int
    format: str
    subtype: str

    @property
    def duration_s(self) -> float:
        """The claimed length in seconds."""
        return self.n_samples / self.rate_hz


class ForwardSoundFile(soundfile.SoundFile):
    """A sound file read from front to back.

    soundfile seeks after every read of a seekable file, and libsndfile's seek drops the bit
    reservoir of a VBR MP3: read in blocks, such a file differs from itself by half of full scale.
    """

    def seekable(self) -> bool:
        """Always False, so that soundfile reads on without seeking."""
        return False


@dataclass(frozen=True)
class Sound:
    """An open sound file: its decoders, to be read one after the other.

    `header_samples` is the length that the file's own header gives, None where it gives none.
    """

    header: Header
    header_samples: int | None
    extent: Extent
    decoders: tuple[ForwardSoundFile, ...]


@contextmanager
def open_sound(path: str | Path) -> Iterator[Sound]:
    """The open sound file, closed on leaving.

    All that it holds is read, also where its header says less (`timbrel.audio.view.Extent`).

    Raises `UserError` where `path` is no regular file, may not be read, or holds nothing that
    libsndfile knows.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UserError(f"{str(path)!r}: not a regular file; give the path of a sound file")
        file = open(path, "rb")  # noqa: SIM115 - an error on opening is told apart from later ones
    except OSError as error:
        raise UserError(f"{str(path)!r}: {error.strerror or error}") from error
    with file:
        try:
            with ExitStack() as stack:
                try:
                    sound = _opened(path, file, stack)
                except OSError as error:
                    raise UserError(f"{str(path)!r}: {error.strerror or error}") from error
                yield sound
        except soundfile.LibsndfileError as error:
            raise UserError(
                f"{str(path)!r}: {error.error_string.rstrip('.')}; convert it to WAV or FLAC, "
                f"or leave it out"
            ) from error


def _opened(path: str | Path, file: BufferedReader, stack: ExitStack) -> Sound:
    extent = chunks.examine(file) or streams.examine(file) or Extent()
    if extent.narrow is not None and not _goes_on(file, extent):
        extent = extent.narrow
    if not extent.views:
        plain = _plain_decoder(path, stack)
        if plain.format == "MP3":
            extent = mpeg.examine(file, plain.frames)
        if not extent.views:
            return _sound((plain,), extent)
    views = [stack.enter_context(ForwardSoundFile(View(file, view))) for view in extent.views]
    alike = [
        (view.samplerate, view.channels) == (views[0].samplerate, views[0].channels)
        for view in views
    ]
    if not all(alike):
        # What has another rate or other channels cannot be read on with.
        kept = alike.index(False)
        left = sum(len(piece) for view in extent.views[kept:] for piece in view)
        extent = replace(extent, views=extent.views[:kept], unread=left, joined=kept)
        extent = replace(extent, claimed=extent.present)
        views = views[:kept]
    return _sound(tuple(views), extent)


def _plain_decoder(path: str | Path, stack: ExitStack) -> ForwardSoundFile:
    # Handing libsndfile a descriptor keeps it from guessing a format by the file's extension.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    stack.callback(os.close, descriptor)
    return stack.enter_context(ForwardSoundFile(descriptor, closefd=False))


def _sound(decoders: tuple[ForwardSoundFile, ...], extent: Extent) -> Sound:
    first = decoders[0]
    n_samples = sum(decoder.frames for decoder in decoders)
    claimed: int | None = first.frames
    if len(decoders) == 1 and extent.claimed is None:
        claimed = None
    elif len(decoders) == 1 and extent.views and extent.present and not extent.missing:
        claimed = round(n_samples * (extent.claimed or 0) / extent.present)
    if claimed is not None and claimed >= _UNKNOWN_LENGTH:
        claimed = None
    container = extent.container or first.format
    header = Header(first.samplerate, first.channels, n_samples, container, first.subtype)
    return Sound(header, claimed, extent, decoders)


def _goes_on(file: BufferedReader, extent: Extent) -> bool:
    """Whether the bytes behind the header's size continue the sound.

    Both sides are decoded: what is no sound decodes to values that are not finite or far too
    large, to steps from sample to sample that only noise at full scale has, or to a large offset.
    """
    try:
        with ForwardSoundFile(View(file, extent.views[0])) as decoder:
            rate_hz, end = decoder.samplerate, decoder.frames
            turn = round(end * (extent.claimed or 0) / max(1, extent.present))
            heard = min(round(_HEARD_S * rate_hz), BLOCK_SAMPLES // decoder.channels)
            decoder.seek(max(0, turn - heard))
            before = decoder.read(turn - max(0, turn - heard), dtype="float32", always_2d=True)
            after = decoder.read(heard, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return False
    least = max(2, round(_LEAST_S * rate_hz))
    if len(after) < least or not np.isfinite(after).all():
        return False
    if len(before) < least or not np.isfinite(before).all():
        return True
    return bool(
        np.abs(after).max() <= max(1.0, 4 * np.abs(before).max())
        and _step(after) <= max(_STEP, 2 * _step(before))
        and _offset(after) <= max(_OFFSET, 2 * _offset(before))
    )


def _step(samples: NDArray[np.float32]) -> float:
    """The root mean square of the differences between neighbours, in the roughest channel."""
    return float(np.sqrt(np.square(np.diff(samples, axis=0), dtype=np.float64).mean(axis=0)).max())


def _offset(samples: NDArray[np.float32]) -> float:
    return float(np.abs(samples.mean(axis=0, dtype=np.float64)).max())


def describe(path: str | Path) -> Header:
    """The header of a sound file; nothing is decoded. Raises `UserError` as `open_sound`."""
    with open_sound(path) as sound:
        return sound.header


def blocks_of(sound: Sound, block_samples: int | None = None) -> Iterator[NDArray[np.float32]]:
    """The samples of an open sound file, `(time, channel)`, until it gives no more.

    Every block is a new array. Without `block_samples` a block holds about a megabyte, however
    many channels there are.
    """
    n_samples = block_samples or max(1, BLOCK_SAMPLES // sound.header.channels)
    for decoder in sound.decoders:
        left = decoder.frames
        # Asked for more than its frames, the FLAC decoder stumbles over a tag behind them.
        while left > 0:
            block = decoder.read(min(n_samples, left), dtype="float32", always_2d=True)
            if not len(block):
                break
            left -= len(block)
            yield block


def read_blocks(
    path: str | Path, block_samples: int | None = None
) -> Iterator[NDArray[np.float32]]:
    """The samples of a file, `(time, channel)` per block, in constant memory.

    Raises `UserError` as `open_sound`, and where decoding breaks off with an error.
    """
    with open_sound(path) as sound:
        yield from blocks_of(sound, block_samples)


def read(path: str | Path) -> tuple[NDArray[np.float32], int]:
    """All samples, `(channel, time)`, and the sample rate in Hz. Raises as `read_blocks`."""
    with open_sound(path) as sound:
        blocks = list(blocks_of(sound))
        if not blocks:
            return np.zeros((sound.header.channels, 0), np.float32), sound.header.rate_hz
        return np.ascontiguousarray(np.concatenate(blocks).T), sound.header.rate_hz
