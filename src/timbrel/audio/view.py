"""A view of a sound file whose header is wrong, with the header corrected.

What a decoder reads is put together of bytes of our own (a corrected header) and of stretches of
the file, so that the library decodes all of it and nothing is copied.
"""

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Pieces = tuple[bytes | range, ...]


@dataclass(frozen=True)
class Extent:
    """Where the samples of a file lie, against what its header says of them.

    `views` are the streams to decode one after the other; none: the file as it is. `claimed` and
    `present` count alike (bytes, samples or MPEG frames); `claimed` is None where the header
    leaves the length open. `missing` bytes are promised beyond the end of the file, `junk` ones
    follow the samples and are no sound, `unread` ones may be sound that cannot be read on with;
    `joined` stretches or streams make up the samples.

    With `narrow`, only the samples can tell whether the bytes behind the header's size are sound:
    where they are not, `narrow` is the extent. `container` names the file where a view is of
    another container.
    """

    views: tuple[Pieces, ...] = ()
    claimed: int | None = 0
    present: int = 0
    missing: int = 0
    junk: int = 0
    unread: int = 0
    joined: int = 1
    narrow: "Extent | None" = None
    container: str | None = None


class View(io.RawIOBase):
    """The pieces read as one file: a `range` is a stretch of `file`, bytes stand for themselves."""

    def __init__(self, file: io.BufferedReader, pieces: Sequence[bytes | range]) -> None:
        self._file = file
        self._pieces = [piece for piece in pieces if len(piece)]
        self._ends = list(accumulate(map(len, self._pieces)))
        self._at = 0

    def readable(self) -> bool:
        """Always True."""
        return True

    def seekable(self) -> bool:
        """Always True."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position, counted as `io.RawIOBase.seek` has it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self)}[whence]
        self._at = max(0, base + offset)
        return self._at

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer`, across pieces: to a decoder, less means the end of the file."""
        target = memoryview(buffer).cast("B")
        done = 0
        while done < len(target) and self._at < len(self):
            index = bisect_right(self._ends, self._at)
            piece = self._pieces[index]
            at = self._at - (self._ends[index] - len(piece))
            count = min(len(target) - done, len(piece) - at)
            if isinstance(piece, bytes):
                target[done : done + count] = piece[at : at + count]
            else:
                try:
                    self._file.seek(piece.start + at)
                    count = self._file.readinto(target[done : done + count])
                except OSError:
                    break  # a decoder has no way to hear of it but that the file ends here
                if not count:
                    break
            done += count
            self._at += count
        return done
