"""Where the samples lie in FLAC and Ogg files, whatever their headers say.

Of streams one after the other in one file libsndfile reads the first, and of a FLAC stream as many
samples as its STREAMINFO names. Both are counted here from the frames and pages.
"""

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from timbrel.audio.view import Extent, Pieces

_STREAM = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_BLOCK = 1 << 20
# More samples than a page can hold.
_PAGE_SAMPLES = 1 << 21
_BLOCK_SAMPLES = {1: 192, **{n: 576 << (n - 2) for n in range(2, 6)}}
_BLOCK_SAMPLES |= {n: 256 << (n - 8) for n in range(8, 16)}


def examine(file: BinaryIO) -> Extent | None:
    """The extent of a FLAC or Ogg file that is open; None for any other file."""
    file.seek(0)
    magic = file.read(10)
    if magic[:4] == b"OggS":
        return _ogg(file)
    start = id3_bytes(magic)
    file.seek(start)
    return _flac(file, start) if file.read(4) == b"fLaC" else None


def id3_bytes(head: bytes) -> int:
    """The length of the ID3v2 tag that begins with the ten bytes of `head`; 0 where none does."""
    if head[:3] != b"ID3" or len(head) < 10 or max(head[6:10]) > 0x7F:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _flac(file: BinaryIO, start: int) -> Extent:
    size = file.seek(0, os.SEEK_END)
    bounds = [*_flac_starts(file, start, size), size]
    links = [_flac_link(file, first, end) for first, end in pairwise(bounds)]
    if len(links) == 1:
        return links[0]
    # A link read as it is still needs a view, which ends where the next one begins.
    views: list[Pieces] = [
        link.views[0] if link.views else (range(first, end),)
        for link, (first, end) in zip(links, pairwise(bounds), strict=True)
    ]
    return Extent(tuple(views), links[0].claimed, sum(x.present for x in links), joined=len(links))


def _flac_starts(file: BinaryIO, start: int, size: int) -> list[int]:
    starts, at = [start], start + 4
    while at < size:
        file.seek(at)
        block = file.read(_BLOCK + 7)
        starts += [at + match.start() for match in _STREAM.finditer(block)]
        at += _BLOCK
    return starts


def _flac_link(file: BinaryIO, start: int, end: int) -> Extent:
    """One FLAC stream: as many samples as its last frame says, where STREAMINFO says fewer."""
    file.seek(start + 4)
    info = file.read(38)
    if len(info) < 38:
        return Extent()
    packed = struct.unpack(">Q", info[14:22])[0]
    claimed = packed & ((1 << 36) - 1)
    present = _flac_samples(file, info, start + 42, end)
    if present <= claimed:
        return Extent(claimed=claimed, present=claimed)
    total = struct.pack(">Q", packed - claimed + present)
    view: Pieces = (b"fLaC" + info[:14] + total, range(start + 26, end))
    return Extent((view,), claimed or None, present)


def _flac_samples(file: BinaryIO, info: bytes, start: int, end: int) -> int:
    """Where the last frame ends, in samples; 0 where no two frames in a row are found."""
    most_bytes = int.from_bytes(info[11:14], "big")
    begin = max(start, end - min(_BLOCK, max(1 << 16, 3 * most_bytes)))
    file.seek(begin)
    tail = file.read(end - begin)
    found = [
        frame
        for match in re.finditer(rb"\xff[\xf8\xf9]", tail)
        if (frame := _flac_frame(tail[match.start() : match.start() + 16], info)) is not None
    ]
    pairs = [last[1] for before, last in pairwise(found) if before[1] == last[0]]
    alone = [last for first, last in found[:1] if first == 0]
    return max(pairs + alone, default=0)


def _flac_frame(head: bytes, info: bytes) -> tuple[int, int] | None:
    """The first sample of the frame that begins with `head`, and the sample after its last."""
    if len(head) < 16 or head[3] & 1 or head[2] >> 4 == 0:
        return None
    length = 8 - (head[4] ^ 0xFF).bit_length()  # of ones that lead: as UTF-8 has it
    if length == 1 or length > 7:
        return None
    number = head[4] & (0x7F >> length)
    at = 5
    for byte in head[5 : 5 + max(0, length - 1)]:
        number = number << 6 | byte & 0x3F
        at += 1
    code, rate = head[2] >> 4, head[2] & 0xF
    samples = _BLOCK_SAMPLES.get(code, 0)
    if code in (6, 7):
        samples = int.from_bytes(head[at : at + code - 5], "big") + 1
        at += code - 5
    at += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    block = int.from_bytes(info[6:8], "big")  # of a stream with blocks of one size
    first = number if head[1] & 1 else number * block
    return first, first + samples


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def _ogg(file: BinaryIO) -> Extent:
    """Links of a chained Ogg file; a link begins with the first pages of its streams."""
    size = file.seek(0, os.SEEK_END)
    links: list[list[_Page]] = []
    opening = False
    for page in _pages(file, size):
        if not links or (page.begins and not opening):
            links.append([])
        opening = page.begins
        # The first page and the last two are enough.
        links[-1] = [*links[-1][:1], *links[-1][1:][-1:], page]
    bounds = [link[0].at for link in links] + [size]
    repaired = [_ogg_link(file, link, end) for link, end in zip(links, bounds[1:], strict=True)]
    if len(links) == 1 and repaired[0] is None:
        return Extent()
    views = tuple(
        view or (range(first, end),)
        for view, (first, end) in zip(repaired, pairwise(bounds), strict=True)
    )
    return Extent(views, claimed=None, joined=len(views))


@dataclass(frozen=True)
class _Page:
    at: int
    size: int
    begins: bool
    granule: int  # the position of its last sample, as the stream's codec counts


def _pages(file: BinaryIO, size: int) -> Iterator[_Page]:
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            at = _next_page(file, at + 1, size)
            continue
        length = 27 + head[26] + sum(file.read(head[26]))
        yield _Page(at, length, bool(head[5] & 2), struct.unpack("<q", head[6:14])[0])
        at += length


def _ogg_link(file: BinaryIO, pages: list[_Page], end: int) -> Pieces | None:
    """The link with an end far off, where its last page ends before the page ahead of it."""
    last = pages[-1]
    before = max((page.granule for page in pages[:-1]), default=0)
    if len(pages) < 3 or last.at + last.size > end or (last.granule > 0 and last.granule >= before):
        return None
    file.seek(last.at)
    page = bytearray(file.read(last.size))
    page[6:14] = struct.pack("<q", before + _PAGE_SAMPLES)
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", _ogg_checksum(page))
    return (range(pages[0].at, last.at), bytes(page), range(last.at + last.size, end))


def _ogg_checksum(page: bytes | bytearray) -> int:
    crc = 0
    for byte in page:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[crc >> 24 ^ byte]
    return crc


def _ogg_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
        table.append(crc)
    return table


_OGG_TABLE = _ogg_table()


def _next_page(file: BinaryIO, at: int, size: int) -> int:
    while at < size:
        file.seek(at)
        found = file.read(_BLOCK + 3).find(b"OggS")
        if found >= 0:
            return at + found
        at += _BLOCK
    return size
