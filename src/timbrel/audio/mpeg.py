"""How many frames an MP3 file holds, counted from frame to frame.

A decoder takes the length from the Xing frame that may stand first, or estimates it by the first
frames' bit rate: without that frame a variable rate is read as a fraction, and of joined files
only the first is read. Differs from an MPEG decoder: nothing is decoded, headers are followed.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from timbrel.audio.streams import id3_bytes
from timbrel.audio.view import Extent

_KBPS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1, layer III
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5
    0: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_BLOCK = 1 << 16


@dataclass(frozen=True)
class _Frame:
    """The header of a layer III frame. `kind` is what all frames of a stream share."""

    head: bytes
    size: int
    samples: int
    kind: tuple[int, int]

    @property
    def side_bytes(self) -> int:
        """The bytes of side information, behind which a Xing frame has its name."""
        mono, mpeg1 = self.head[3] >> 6 == 3, self.kind[0] == 3
        return (17 if mono else 32) if mpeg1 else (9 if mono else 17)


def _frame(head: bytes) -> _Frame | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, rate = head[1] >> 3 & 3, head[2] >> 2 & 3
    if version == 1 or rate == 3 or head[2] >> 4 in (0, 15):
        return None
    samples = 1152 if version == 3 else 576
    kbps, rate_hz = _KBPS[version][head[2] >> 4], _RATES_HZ[version][rate]
    size = samples // 8 * 1000 * kbps // rate_hz + (head[2] >> 1 & 1)
    return _Frame(head[:4], size, samples, (version, rate_hz))


def examine(file: BinaryIO, read_samples: int) -> Extent:
    """The extent of an open MP3 file of which the decoder means to read `read_samples`.

    Without views if the file holds no more than that, up to the delay that encoders add.
    """
    first: _Frame | None = None
    claimed: int | None = None
    runs: list[range] = []
    rates = set[int]()
    tables = frames = 0
    for at, frame, content in _frames(file):
        frames_said = _told_frames(frame, content)
        if first is None:
            first, claimed = frame, frames_said
        if frames_said is not None:
            tables += 1
            continue
        frames += 1
        rates.add(frame.head[2] >> 4)
        if runs and runs[-1].stop == at:
            runs[-1] = range(runs[-1].start, at + frame.size)
        else:
            runs.append(range(at, at + frame.size))
    if first is None:
        return Extent()
    if claimed:
        right = frames <= claimed + 1
    else:
        right = abs(frames * first.samples - read_samples) < first.samples
    if right:
        return Extent()
    if not claimed and len(rates) == 1:
        claimed = frames  # at a constant bit rate the length is known: tags misled the decoder
    view = (_xing(first, frames), *runs)
    return Extent((view,), claimed or None, frames, joined=max(1, tables))


def _frames(file: BinaryIO) -> Iterator[tuple[int, _Frame, bytes]]:
    """Where each frame begins, its header and its first 48 bytes; tags and damage are skipped."""
    size = file.seek(0, os.SEEK_END)
    at = 0
    kind: tuple[int, int] | None = None
    while at < size - 4:
        file.seek(at)
        content = file.read(48)
        frame = _frame(content)
        if frame is not None and frame.kind == (kind or frame.kind) and at + frame.size <= size:
            kind = frame.kind
            yield at, frame, content
            at += frame.size
        elif tag := id3_bytes(content[:10]):
            at += tag
        else:
            at = _resynchronised(file, at + 1, size, kind)


def _resynchronised(file: BinaryIO, at: int, size: int, kind: tuple[int, int] | None) -> int:
    """Where two frames in a row begin next; `size` where none do."""
    while at < size:
        file.seek(at)
        block = file.read(_BLOCK + 3)
        for match in _SYNC.finditer(block):
            frame = _frame(block[match.start() : match.start() + 4])
            if frame is None or frame.kind != (kind or frame.kind):
                continue
            start = at + match.start()
            file.seek(start + frame.size)
            after = _frame(file.read(4))
            if after is not None and after.kind == frame.kind:
                return start
        at += _BLOCK
    return size


def _told_frames(frame: _Frame, content: bytes) -> int | None:
    """The count of a Xing, Info or VBRI frame (0: none is given); None for a frame of sound."""
    table = content[4 + frame.side_bytes :]
    if table[:4] in (b"Xing", b"Info"):
        return int.from_bytes(table[8:12], "big") if table[7:8] and table[7] & 1 else 0
    # VBRI stands at 36 and has its count 14 bytes on, beyond what is read here: no claim.
    return 0 if content[36:40] == b"VBRI" else None


def _xing(like: _Frame, frames: int) -> bytes:
    """A Xing frame of our own: it counts `frames`, and is otherwise as the frames of sound."""
    head = bytearray(like.head)
    head[1] |= 1  # no checksum
    for index in range(1, 15):
        head[2] = index << 4 | like.head[2] & 0x0C
        frame = _frame(bytes(head))
        if frame is not None and frame.size >= 4 + frame.side_bytes + 12:
            break
    content = bytes(head) + bytes(like.side_bytes) + b"Xing\0\0\0\1" + frames.to_bytes(4, "big")
    return content.ljust(frame.size if frame else len(content), b"\0")
