"""Where the samples lie in a container of chunks, whatever its sizes say.

WAV with its kin (RIFF, RIFX, RF64, BW64, Wave64), AIFF, CAF and AU. A header tells too little
where a recorder was never closed, where it is updated now and then, and where its 32 bits wrapped
at 4 GiB. What follows the samples by the header's size is then

- no sound where it is chunks up to the end of the file, or one byte repeated (padding);
- sound where the size was never written (0), left open by a writer that streams, or is too small
  by whole multiples of 4 GiB;
- doubtful otherwise: `timbrel.audio.read` decides by decoding both sides.

Chunks at the end of the file are never taken for sound.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from timbrel.audio.heads import GUID_RIFF, WRAP, Chunk, aiff_head, body_of, caf_head, wav_head
from timbrel.audio.view import Extent

_CHUNKS_READ = 1000
_TAIL = 1 << 18
_CANDIDATES = 64
# Behind samples; with these names alone is the end of a file searched.
_TRAILERS = (
    *(b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"smpl", b"_PMX", b"iXML", b"fact", b"PEAK"),
    *(b"JUNK", b"junk", b"PAD ", b"FLLR", b"inst", b"acid", b"axml", b"plst", b"note", b"labl"),
    *(b"ANNO", b"NAME", b"AUTH", b"(c) ", b"MARK", b"INST", b"APPL", b"COMT", b"afsp", b"minf"),
    *(b"elm1", b"regn", b"umid", b"chna", b"cart", b"levl", b"strc", b"info", b"free", b"DISP"),
)
_NAMES = frozenset((*_TRAILERS, b"data", b"fmt ", b"SSND", b"COMM", b"FVER", b"ds64"))
_CONTAINERS = {b"RIFF": "WAV", b"RIFX": "WAV", b"RF64": "RF64", b"BW64": "RF64", b"riff": "W64"}


@dataclass(frozen=True)
class _Kind:
    """How a container writes its chunks: `order` of bytes, `width` of a size in bytes, the bytes
    of a name, whether a size counts its own head, and to what chunks are aligned.
    """

    order: str
    samples: bytes
    width: int = 4
    name: int = 4
    inclusive: bool = False
    align: int = 2

    @property
    def head(self) -> int:
        return self.name + self.width

    def size(self, head: bytes) -> int:
        code = "I" if self.width == 4 else "q"
        (size,) = struct.unpack(self.order + code, head[self.name : self.head])
        return int(size) - (self.head if self.inclusive else 0)


_WAV = _Kind("<", b"data")
_KINDS = {
    b"RIFF": _WAV,
    b"RF64": _WAV,
    b"BW64": _WAV,
    b"RIFX": _Kind(">", b"data"),
    b"riff": _Kind("<", b"data", width=8, name=16, inclusive=True, align=8),
    b"FORM": _Kind(">", b"SSND"),
    b"caff": _Kind(">", b"data", width=8, align=1),
}


def examine(file: BinaryIO) -> Extent | None:
    """The extent of a container of chunks that is open; None for any other file.

    An extent without views is a file whose header is right, or at least sound to read by.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(40)
    if magic[:4] in (b".snd", b"dns."):
        return _au(file, magic, size)
    kind = _KINDS.get(magic[:4])
    known = magic[8:12] in (b"WAVE", b"AIFF", b"AIFC") or magic[:4] == b"caff"
    if kind is None or not (known or (magic[:16] == GUID_RIFF and magic[24:28] == b"wave")):
        return None
    first = {b"caff": 8, b"riff": 40}.get(magic[:4], 12)
    chunks = list(_chunks(file, kind, first, size))
    samples = [chunk for chunk in chunks if chunk.name == kind.samples]
    if not samples:
        return None
    unread = 0
    if len({body_of(file, [chunk], b"fmt ") for chunk in chunks if chunk.name == b"fmt "}) > 1:
        # Files put one behind the other that do not go together.
        unread = sum(chunk.size for chunk in samples[1:])
        samples = samples[:1]
    starts = [chunk.start for chunk in samples]
    claims = [chunk.size for chunk in samples]
    if magic[:4] in (b"RF64", b"BW64") and claims[-1] == 0xFFFFFFFF:
        claims[-1] = _long_size(file, chunks) or 0
    lead = {b"FORM": 8, b"caff": 4}.get(magic[:4], 0)  # offset and block size; count of edits
    starts[0] += lead
    claims[0] = -1 if claims[0] < 0 else max(0, claims[0] - lead)
    extent = _extent(file, kind, starts, claims, size)
    extent = replace(extent, unread=extent.unread + unread)
    plain = magic[:4] != b"BW64" and _in_order(chunks, kind)
    return _with_views(file, magic, chunks, extent, plain)


def _chunks(file: BinaryIO, kind: _Kind, at: int, size: int) -> Iterator[Chunk]:
    """The chunks from `at` on, as far as they are chunks."""
    for _ in range(_CHUNKS_READ):
        file.seek(at)
        head = file.read(kind.head)
        if len(head) < kind.head or not _is_name(head[:4]):
            return
        chunk = Chunk(head[:4], at, at + kind.head, kind.size(head))
        if chunk.name == b"RIFF" and file.read(4) == b"WAVE":
            at = chunk.start + 4  # a file put behind another: its chunks follow
            continue
        yield chunk
        if chunk.size < 0 or chunk.end > size:
            return
        at = _after(file, kind, chunk.end)


def _after(file: BinaryIO, kind: _Kind, end: int) -> int:
    """Where the chunk behind `end` begins: aligned, but for writers that forget the odd byte."""
    aligned = -(-end // kind.align) * kind.align
    if kind.align != 2 or aligned == end:
        return aligned
    file.seek(end)
    near = file.read(5)
    forgotten = near[:4] in _NAMES or (_is_name(near[:4]) and not _is_name(near[1:5]))
    return end if forgotten else aligned


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name)


def _long_size(file: BinaryIO, chunks: list[Chunk]) -> int | None:
    for chunk in chunks:
        if chunk.name == b"ds64" and chunk.size >= 16:
            file.seek(chunk.start + 8)
            return int(struct.unpack("<Q", file.read(8))[0])
    return None


def _in_order(chunks: list[Chunk], kind: _Kind) -> bool:
    """Whether libsndfile can read the container: format first, one chunk of samples, aligned."""
    names = [chunk.name for chunk in chunks]
    first = names.index(kind.samples)
    if names.count(kind.samples) > 1 or (kind.samples == b"data" and b"fmt " in names[first:]):
        return False
    return all(chunk.at % kind.align == 0 for chunk in chunks[: first + 1])


def is_open(claim: int) -> bool:
    """Whether `size` is a placeholder of writers that cannot seek back: near 2 or 4 GiB, or -1."""
    if claim < 0 or claim >= 1 << 62:
        return True
    return 0x7F000000 <= claim <= 0x80000000 or 0xFFFF0000 <= claim <= 0xFFFFFFFF


def _extent(file: BinaryIO, kind: _Kind, starts: list[int], claims: list[int], size: int) -> Extent:
    """Where the samples end, by the sizes and by what follows; `views` holds them alone."""
    whole = [
        range(start, min(size, start + claim))
        for start, claim in zip(starts[:-1], claims[:-1], strict=True)
    ]
    claim, begin = claims[-1], starts[-1]
    before = sum(map(len, whole))

    def reading(end: int) -> Extent:
        stretches = (*whole, range(begin, max(begin, end)))
        present = sum(map(len, stretches))
        return Extent((stretches,), before + claim, present, joined=len(stretches))

    end = begin + max(0, claim)
    if claim < 0 or end > size:
        tail = _tail_chunks(file, kind, begin, size)
        if is_open(claim):
            return replace(reading(tail), claimed=None)
        return replace(reading(size), missing=end - size)
    if _is_no_sound(file, kind, end, size, padding=False):
        return reading(end)
    if claim == 0:
        return reading(_tail_chunks(file, kind, begin, size))
    wraps = (size - end) // WRAP if kind.width == 4 else 0
    if wraps and _is_no_sound(file, kind, end + wraps * WRAP, size):
        return reading(end + wraps * WRAP)
    if _is_one_byte(file, end, size):
        return reading(end)
    tail = _tail_chunks(file, kind, end, size)
    if is_open(claim):
        return replace(reading(tail), claimed=None)
    if wraps:
        return reading(tail)
    narrow, rest = reading(end), size - end
    # A little is what careless programs leave; more than half as much again must not pass unseen.
    little = rest <= narrow.present // 2
    narrow = replace(narrow, junk=rest) if little else replace(narrow, unread=rest)
    return replace(reading(tail), narrow=narrow)


def _is_no_sound(file: BinaryIO, kind: _Kind, at: int, size: int, *, padding: bool = True) -> bool:
    """Whether nothing but chunks or padding lies from `at` to the end of the file."""
    if size - at < kind.head or (padding and _is_one_byte(file, at, size)):
        return True
    chunks = list(_chunks(file, kind, _after(file, kind, at), size))
    if not chunks or chunks[-1].size < 0 or chunks[-1].end > size:
        return False
    last = chunks[-1]
    return size - last.end < kind.head or _is_one_byte(file, last.end, size)


def _is_one_byte(file: BinaryIO, at: int, size: int) -> bool:
    file.seek(at)
    first = file.read(1)
    while at < size:
        block = file.read(1 << 20)
        if block.strip(first):
            return False
        if not block:
            return True
    return True


def _tail_chunks(file: BinaryIO, kind: _Kind, start: int, size: int) -> int:
    """Where the chunks begin that end the file; `size` where there are none from `start` on."""
    begin = max(start, size - _TAIL)
    file.seek(begin)
    tail = file.read(size - begin)
    found = size
    for name in _TRAILERS:
        at = -1
        for _ in range(_CANDIDATES):
            at = tail.find(name, at + 1)
            if at < 0 or begin + at >= found:
                break
            if _is_no_sound(file, kind, begin + at, size, padding=False):
                found = begin + at
    return found


def _with_views(
    file: BinaryIO, magic: bytes, chunks: list[Chunk], extent: Extent, plain: bool
) -> Extent:
    """The extent with a header before its samples, or with no view where the file needs none."""
    narrow = extent.narrow
    if narrow is not None:
        narrow = _with_views(file, magic, chunks, narrow, plain)
    if plain and _is_read_so(magic, extent, file.seek(0, os.SEEK_END)):
        return replace(extent, views=(), narrow=narrow)
    stretches = [piece for piece in extent.views[0] if isinstance(piece, range)]
    if magic[:4] == b"caff":
        head = caf_head(file, stretches)
    elif magic[:4] == b"FORM":
        head = aiff_head(file, magic, chunks, stretches)
    else:
        head = wav_head(file, magic, chunks, sum(map(len, stretches)))
    if head is None:
        unread = extent.present - (extent.claimed or 0)
        return replace(extent, views=(), present=extent.claimed or 0, unread=unread, narrow=None)
    view = (head, *stretches)
    return replace(extent, views=(view,), narrow=narrow, container=_CONTAINERS.get(magic[:4]))


def _is_read_so(magic: bytes, extent: Extent, size: int) -> bool:
    """Whether libsndfile reads the file as the extent has it, given the chunks' order."""
    if magic[:4] == b"riff" and _end(extent) != size:
        return False  # it reads Wave64 to the end of the file, chunks behind the samples included
    if extent.claimed == extent.present:
        return True
    # Of sizes beyond the end of the file it reads what is there, in these containers.
    beyond = bool(extent.missing) or (extent.claimed is None and _end(extent) == size)
    return beyond and magic[:4] not in (b"caff", b"RF64")


def _end(extent: Extent) -> int:
    last = extent.views[0][-1]
    return last.stop if isinstance(last, range) else 0


def _au(file: BinaryIO, magic: bytes, size: int) -> Extent | None:
    """AU has one header and no chunks: whatever follows it is samples, or is doubtful."""
    order = ">" if magic[:4] == b".snd" else "<"
    start, claim = struct.unpack(order + "II", magic[4:12])
    if not 24 <= start <= size:
        return None
    extent = _extent(file, _Kind(order, b""), [start], [claim], size)
    if extent.claimed == extent.present or claim == 0xFFFFFFFF:
        return replace(extent, views=())

    def headed(extent: Extent) -> Extent:
        file.seek(0)
        head = file.read(start)
        head = head[:8] + struct.pack(order + "I", min(extent.present, 0xFFFFFFFF)) + head[12:]
        return replace(extent, views=((head, *extent.views[0]),))

    narrow = replace(extent.narrow, views=()) if extent.narrow is not None else None
    return replace(headed(extent), narrow=narrow)
