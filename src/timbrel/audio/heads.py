"""Corrected headers: the sample format of a file's own header with the true number of samples."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

WRAP = 1 << 32
GUID_RIFF = bytes.fromhex("726966662E91CF11A5D628DB04C10000")
_GUID_REST = bytes.fromhex("F3ACD3118CD100C04F8EDB8A")


@dataclass(frozen=True)
class Chunk:
    """A named stretch of a file."""

    name: bytes
    at: int  # of its head
    start: int  # of its body
    size: int  # by its head

    @property
    def end(self) -> int:
        """Where its body ends, by its head."""
        return self.start + self.size


def body_of(file: BinaryIO, chunks: list[Chunk], name: bytes) -> bytes:
    """What the first chunk of a name holds, 64 KiB of it at most; nothing where there is none."""
    for chunk in chunks:
        if chunk.name == name:
            file.seek(chunk.start)
            return file.read(min(chunk.size, 1 << 16))
    return b""


def wav_head(file: BinaryIO, magic: bytes, chunks: list[Chunk], data: int) -> bytes | None:
    """A header over `data` bytes of samples: RIFF while 32 bits hold it, then Wave64.

    None where there is no format, or nothing that holds so much in its order of bytes.
    """
    form = body_of(file, chunks, b"fmt ")
    if not form:
        return None
    form += b"\0" * (len(form) % 2)
    if data + len(form) + 28 < WRAP:
        order = ">" if magic[:4] == b"RIFX" else "<"
        riff = struct.pack(order + "I", data + len(form) + 20)
        sizes = [struct.pack(order + "I", size) for size in (len(form), data)]
        start = magic[:4] if order == ">" else b"RIFF"
        return start + riff + b"WAVEfmt " + sizes[0] + form + b"data" + sizes[1]
    if magic[:4] == b"RIFX":
        return None
    padded = form + b"\0" * (-len(form) % 8)
    sizes = [struct.pack("<q", size) for size in (88 + len(padded) + data, 24 + len(form))]
    head = GUID_RIFF + sizes[0] + b"wave" + _GUID_REST + b"fmt " + _GUID_REST + sizes[1] + padded
    return head + b"data" + _GUID_REST + struct.pack("<q", 24 + data)


def aiff_head(
    file: BinaryIO, magic: bytes, chunks: list[Chunk], stretches: list[range]
) -> bytes | None:
    """A header over the samples of `stretches`; None where 32 bits cannot count them."""
    common = body_of(file, chunks, b"COMM")
    data = sum(map(len, stretches))
    if len(common) < 18 or data + len(common) + 64 >= WRAP:
        return None
    frame = struct.unpack(">h", common[:2])[0] * -(-struct.unpack(">h", common[6:8])[0] // 8)
    common = common[:2] + struct.pack(">I", data // max(1, frame)) + common[6:]
    common += b"\0" * (len(common) % 2)
    form = magic[8:12] + b"COMM" + struct.pack(">I", len(common)) + common
    form += b"SSND" + struct.pack(">IQ", 8 + data, 0)
    return b"FORM" + struct.pack(">I", len(form) + data) + form


def caf_head(file: BinaryIO, stretches: list[range]) -> bytes:
    """The file's own header up to the samples, with their true size."""
    start = stretches[0].start
    file.seek(0)
    head = file.read(start)
    return head[:-12] + struct.pack(">q", 4 + sum(map(len, stretches))) + head[-4:]
