"""What a container's header promises beyond the end of its file.

libsndfile shortens the length of a cut RIFF or AIFF file without a word, so its frame count
cannot tell a cut recording from a whole one; the sizes in the chunk headers can.
"""

import struct
from pathlib import Path
from typing import BinaryIO

OPEN_LENGTH = -1
_CHUNKS_READ = 1000


def missing_bytes(path: str | Path) -> int:
    """How many bytes of samples a RIFF, RF64 or AIFF file promises beyond its end.

    0 for a whole file and for other containers; `OPEN_LENGTH` where the header leaves the length
    open, as WAV files do that were streamed.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        kind = file.read(12)
        if kind[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and kind[8:] == b"WAVE":
            promised = _sample_end(file, b"data", ">" if kind[:4] == b"RIFX" else "<")
        elif kind[:4] == b"FORM" and kind[8:] in (b"AIFF", b"AIFC"):
            promised = _sample_end(file, b"SSND", ">")
        else:
            return 0
    return promised if promised == OPEN_LENGTH else max(0, promised - size)


def _sample_end(file: BinaryIO, samples: bytes, order: str) -> int:
    """Where the chunk of samples ends by its header; 0 where there is none."""
    long_size: int | None = None
    for _ in range(_CHUNKS_READ):
        head = file.read(8)
        if len(head) < 8:
            return 0
        name, size = head[:4], struct.unpack(order + "I", head[4:])[0]
        if name == samples:
            if size == 0xFFFFFFFF:
                return OPEN_LENGTH if long_size is None else file.tell() + long_size
            return file.tell() + size
        if name == b"ds64":
            sizes = file.read(16)
            if len(sizes) == 16:
                long_size = struct.unpack("<Q", sizes[8:])[0]
            size -= len(sizes)
        # Chunks are padded to an even number of bytes.
        file.seek(size + size % 2, 1)
    return 0
