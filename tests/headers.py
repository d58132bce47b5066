"""Sound files made by hand, with headers that tell the truth or do not."""

import io
import struct

import numpy as np
import soundfile
from numpy.typing import NDArray

from signals import sine

RATE_HZ = 48_000


def codes(duration_s: float = 0.4, frequency_hz: float = 200.0) -> NDArray[np.int16]:
    """A decaying sine as 16-bit codes."""
    audio = sine(frequency_hz, duration_s) * np.exp(-np.linspace(0, 2, round(48_000 * duration_s)))
    return np.round(16_000 * audio).astype(np.int16)


def pcm(duration_s: float = 0.4, frequency_hz: float = 200.0, order: str = "<") -> bytes:
    """`codes` as bytes."""
    return codes(duration_s, frequency_hz).astype(order + "i2").tobytes()


def chunk(name: bytes, data: bytes, size: int | None = None, *, order: str = "<") -> bytes:
    """A RIFF chunk, padded, which claims `size` bytes (None: as many as it has)."""
    head = name + struct.pack(order + "I", len(data) if size is None else size)
    return head + data + b"\0" * (len(data) % 2)


def fmt(order: str = "<", bits: int = 16, code: int = 1) -> bytes:
    """The format of mono PCM at 48 kHz."""
    block = bits // 8
    form = struct.pack(order + "HHIIHH", code, 1, RATE_HZ, RATE_HZ * block, block, bits)
    return chunk(b"fmt ", form, order=order)


def riff(body: bytes, size: int | None = None, *, magic: bytes = b"RIFF") -> bytes:
    """A RIFF file that claims `size` bytes (None: as many as it has)."""
    order = ">" if magic == b"RIFX" else "<"
    size = len(body) + 4 if size is None else size
    return magic + struct.pack(order + "I", size) + b"WAVE" + body


def wav(data: bytes, claimed: int | None = None, riff_size: int | None = None) -> bytes:
    """A mono 16-bit WAV file of `data`, of which its header claims `claimed` bytes."""
    return riff(fmt() + chunk(b"data", data, claimed), riff_size)


def long_wav(data: bytes, claimed: int, magic: bytes) -> bytes:
    """An RF64 or BW64 file of `data`, of which its header claims `claimed` bytes."""
    sizes = chunk(b"ds64", struct.pack("<QQQI", claimed + 72, claimed, claimed // 2, 0))
    return riff(sizes + fmt() + chunk(b"data", data, 0xFFFFFFFF), 0xFFFFFFFF, magic=magic)


def encoded(
    container: str, subtype: str, samples: NDArray[np.generic], **settings: object
) -> bytearray:
    """What libsndfile writes of mono samples at 48 kHz."""
    stream = io.BytesIO()
    with soundfile.SoundFile(
        stream, "w", RATE_HZ, 1, format=container, subtype=subtype, **settings
    ) as file:
        file.write(samples)
    return bytearray(stream.getvalue())


def put(content: bytes, at: int, layout: str, value: int) -> bytes:
    """`content` with one number replaced."""
    changed = bytearray(content)
    struct.pack_into(layout, changed, at, value)
    return bytes(changed)
