"""Progress of long work on stderr: now and then a line, none where it is soon done."""

import sys
import time
from collections.abc import Callable

from timbrel.words import printable

Clock = Callable[[], float]  # seconds from any start

_EVERY_S = 10.0


def now_and_then(now_s: Clock = time.monotonic) -> Callable[[str], None]:
    """Writes a line to stderr where ten seconds have passed since the last, or since this call."""
    last_s = now_s()

    def tell(line: str) -> None:
        nonlocal last_s
        at_s = now_s()
        if at_s - last_s >= _EVERY_S:
            last_s = at_s
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    return tell


def measured_recordings(now_s: Clock = time.monotonic) -> Callable[[int, int, str], None]:
    """Tells how many recordings are measured, of how many, and which was the last."""
    return _counted("measured", "recordings", now_s)


def scanned_files(now_s: Clock = time.monotonic) -> Callable[[int, int, str], None]:
    """Tells a terminal how many files of a folder are looked at, of how many, and the last."""
    return _at_a_terminal(_counted("looked at", "files", now_s))


def decoded_recordings(now_s: Clock = time.monotonic) -> Callable[[int, int, str], None]:
    """Tells a terminal how many recordings are decoded, of how many, and which was the last."""
    return _at_a_terminal(_counted("decoded", "recordings", now_s))


def _counted(done_what: str, of_what: str, now_s: Clock) -> Callable[[int, int, str], None]:
    say = now_and_then(now_s)
    return lambda done, total, name: say(
        f"{done_what} {done} of {total} {of_what} ({printable(name)})"
    )


def _at_a_terminal(tell: Callable[[int, int, str], None]) -> Callable[[int, int, str], None]:
    """`tell` on a terminal; nothing in a log, whose lines would depend on the machine's speed."""
    return tell if sys.stderr.isatty() else lambda done, total, name: None
