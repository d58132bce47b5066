"""Progress of long work on stderr: now and then a line, none where it is soon done."""

import sys
import time
from collections.abc import Callable

_EVERY_S = 10.0


def now_and_then() -> Callable[[str], None]:
    """Writes a line to stderr where ten seconds have passed since the last, or since this call."""
    last_s = time.monotonic()

    def tell(line: str) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= _EVERY_S:
            last_s = now_s
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    return tell


def measured_recordings() -> Callable[[int, int, str], None]:
    """Tells how many recordings are measured, of how many, and which was the last."""
    say = now_and_then()
    return lambda done, total, name: say(f"measured {done} of {total} recordings ({name})")
