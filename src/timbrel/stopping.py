"""Ctrl-C, `kill` and a closed terminal end the work in one way: by KeyboardInterrupt.

So everything on the way out, from worker processes to half-written files, is cleared up alike.
"""

import signal
import time
from types import FrameType

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
# `timeout`, a shell and the kernel may send the same stop twice: the way out is not cut short.
_REPEATED_S = 2.0
_received: list[tuple[int, float]] = []


def listen() -> None:
    """Take the signals that ask a program to end; what was ignored (`nohup`, `&`) stays ignored."""
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is None:
            continue
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _stop)


def asked() -> bool:
    """Whether a stop was asked for: whatever is raised from then on comes of it."""
    return bool(_received)


def heed() -> None:
    """Raise KeyboardInterrupt where a stop was asked for and the work goes on all the same.

    Python drops what a signal raises in a destructor or in some code of libraries. Long work calls
    this between its steps, from the main thread, and whatever ends a program at its end.
    """
    if asked():
        raise KeyboardInterrupt


def status() -> int:
    """The exit status of a stopped program: 128 and the signal's number, 130 by Ctrl-C."""
    return 128 + (_received[0][0] if _received else signal.SIGINT)


def _stop(number: int, frame: FrameType | None) -> None:
    now_s = time.monotonic()
    repeated = bool(_received) and now_s - _received[-1][1] < _REPEATED_S
    if not repeated:
        _received.append((number, now_s))
        raise KeyboardInterrupt
