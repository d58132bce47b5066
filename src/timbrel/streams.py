"""Standard output and error whose failure never ends the work.

A pager that quits, a dead `tee`, a closed terminal (EPIPE, EIO), a full disk behind a redirection
(ENOSPC), a terminal that knows only ASCII: none of them is a reason to end a training, so what
cannot be written is dropped. Every text for the terminal passes here, and characters that a
terminal would obey are escaped: names of files, cards and configs may come from strangers.
"""

import codecs
import errno
import io
import os
import select
import stat
import sys
from contextlib import suppress
from typing import Any, TextIO, cast, final

from timbrel.words import printable

# Where a terminal lacks a mark of ours; of the same width, so that tables stay aligned.
_PLAIN = dict(zip("✓✗…↓↑∞·²\N{EN DASH}", "+x~v^~-2-", strict=True))
_HARMLESS = "\n\t\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_ERRORS = "timbrel.plain"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_GONE = (errno.EPIPE, errno.ECONNRESET)


@final
class _Unbroken(io.FileIO):
    """A descriptor that takes whatever is written, once nobody reads it or it cannot hold more."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.lost: OSError | None = None
        """Why something is missing where it should be kept; None where nobody reads."""

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Write `data`, or drop it; how many bytes are done with."""
        try:
            while (written := super().write(data)) is None:  # another program made it non-blocking
                select.select([], [self.fileno()], [])
            return written
        except OSError as error:
            self._give_up(error)
            return len(data)

    def _give_up(self, error: OSError) -> None:
        is_file = stat.S_ISREG(os.fstat(self.fileno()).st_mode)
        left = error.errno in _GONE or (error.errno == errno.EIO and not is_file)
        if not left and self.lost is None:
            self.lost = error
        if error.errno not in _FULL:  # a disk may have room again
            # The descriptor too: of C code and of processes started from now on.
            to_nowhere(self.fileno())


@final
class _Told(io.TextIOWrapper):
    """A stream that escapes every control character but line ends and tabs."""

    def write(self, text: str) -> int:
        """Write `text`, such signs as escapes; how many characters of it are done with."""
        super().write(_disarmed(text))
        return len(text)


@final
class _Styled:
    """A stream for a library that colours its text, and whose names are `printable` already."""

    def __init__(self, stream: _Told) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text` as it is."""
        return io.TextIOWrapper.write(self._stream, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def styled() -> TextIO:
    """Standard output for `rich.console.Console(file=)`: its colours pass, so escape the names."""
    stream = sys.stdout
    return cast(TextIO, _Styled(stream)) if isinstance(stream, _Told) else stream


def guard() -> None:
    """Let no write to standard output or error raise, in this process and what it starts.

    Descriptors that are closed are opened on the null device: else the next file that is opened
    would get their number, and messages. Repeating is harmless, and a replaced stream (a test's)
    is left alone.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            to_nowhere(descriptor)
    codecs.register_error(_ERRORS, _plain)
    if sys.stdout is sys.__stdout__:
        sys.stdout = sys.__stdout__ = _guarded(sys.stdout, 1)  # type: ignore[misc]
    if sys.stderr is sys.__stderr__:
        sys.stderr = sys.__stderr__ = _guarded(sys.stderr, 2)  # type: ignore[misc]


def lost_output() -> str | None:
    """Why not all of standard output is where it was sent to be kept; None where it is.

    A reader that left is no loss: it had what it wanted.
    """
    with suppress(AttributeError, ValueError):
        sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    lost = raw.lost if isinstance(raw, _Unbroken) else None
    return None if lost is None else os.strerror(lost.errno or errno.EIO)


def _guarded(stream: TextIO | None, descriptor: int) -> TextIO | None:
    """`stream` over `_Unbroken`; as it is where it is guarded already, or no plain descriptor."""
    encoding, at_once = "utf-8", False
    if isinstance(stream, io.TextIOWrapper):
        raw = getattr(stream.buffer, "raw", stream.buffer)
        if isinstance(raw, _Unbroken) or not isinstance(raw, io.FileIO):
            return stream
        with suppress(OSError):
            stream.flush()
        descriptor, encoding = raw.fileno(), stream.encoding
        at_once = stream.line_buffering or stream.write_through
    elif stream is not None:
        return stream
    return _Told(
        io.BufferedWriter(_Unbroken(descriptor)),
        encoding=encoding,
        errors=_ERRORS,
        line_buffering=at_once,
    )


def _disarmed(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c in _HARMLESS else printable(c) for c in text)


def to_nowhere(descriptor: int) -> None:
    """Have whatever is written to `descriptor` be dropped, by this process and what it starts."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere == descriptor:
        os.set_inheritable(nowhere, True)
        return
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What a terminal cannot show, as a plain mark or as an escape; for `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown = (_PLAIN.get(c) or _escape(c) for c in error.object[error.start : error.end])
    return "".join(shown), error.end


def _escape(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode("ascii")
