"""One training at a time in a run's folder."""

import contextlib
import errno
import os
import platform
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from timbrel.errors import UserError
from timbrel.files import write_error

try:
    import fcntl
except ImportError:  # Windows: there, two trainings of one run are the user's to avoid
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"


@contextlib.contextmanager
def only_training(folder: Path, *, advice: str = "") -> Iterator[None]:
    """Hold the run in `folder` for this process.

    The lock is the system's, on the process: it ends with it, however that ends, and no worker
    inherits it. The file says who holds it, and stays. Raises UserError where another process
    trains it, WriteError (with `advice`) where the folder cannot be written.
    """
    if fcntl is None:
        yield
        return
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise write_error(folder, error, advice=advice) from error
    try:
        _lock(descriptor, folder)
        who = f"process {os.getpid()} on {platform.node()}, since {datetime.now():%Y-%m-%d %H:%M}"
        with contextlib.suppress(OSError):  # a full disk: the lock holds without its words
            os.ftruncate(descriptor, 0)
            os.write(descriptor, who.encode())
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            return  # a file system without locks
        who = os.read(descriptor, 200).decode("utf-8", "replace") or "another process"
        raise UserError(
            f"run={folder}: {who}, is training it; wait for its end, or stop it first"
        ) from error
