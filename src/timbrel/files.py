"""Files written whole or not at all, and the messages for a disk that refuses them.

What a run, a cache or a page keeps is written under another name in the same folder, down to the
disk, and then moved to its place: a kill or a full disk leaves what was there before. What the
system refuses becomes one sentence here, with the file, the reason and the way out.
"""

import contextlib
import errno
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from timbrel.errors import UserError

FOREIGN_TEMPORARY_S = 3600.0
_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_REFUSED = frozenset([*_NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG])
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
_SWAPS = 10  # at once, as many others may put theirs at the same place


class WriteError(UserError):
    """A file or folder that cannot be written."""


def write_error(
    path: Path | str, error: OSError, *, advice: str = "", needed_bytes: int = 0
) -> WriteError:
    """The message for a `path` that the system refuses to write.

    `advice` is the way out, where it is another than to make room or to allow writing.
    """
    reason = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        needed = f"{megabytes(needed_bytes)} needed, " if needed_bytes else ""
        reason += f" ({needed}{_free(Path(path))} free)"
        advice = advice or "make room there"
    elif error.errno == errno.EFBIG:
        advice = "raise the limit of a file's size (ulimit -f), or take another disk"
    elif error.errno in _REFUSED:
        advice = advice or "allow writing there, or name another place"
    return WriteError(f"'{path}' cannot be written: {reason}" + (f"; {advice}" if advice else ""))


def refusal(error: BaseException) -> UserError | None:
    """The message for an error of a full, read-only or forbidden disk; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _REFUSED:
        return None
    path = error.filename2 or error.filename
    if isinstance(path, str | bytes | os.PathLike):
        if error.errno not in (errno.EACCES, errno.EPERM):
            return write_error(os.fsdecode(path), error)
        # Reading may be forbidden as well as writing.
        return UserError(f"'{os.fsdecode(path)}': {error.strerror}; allow this user to use it")
    if error.errno in _NO_ROOM:
        return UserError(f"a file cannot be written: {error.strerror}; make room on the disk")
    return None


@contextlib.contextmanager
def replacing(path: Path, *, advice: str = "", needed_bytes: int = 0) -> Iterator[Path]:
    """A new path beside `path`, which takes its place once the block ends without an error.

    The folder is made. Raises WriteError, which tells `needed_bytes` where the disk is full, for
    every OSError of the block and of the move.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary(path.parent) as draft:
            yield draft
            _to_disk(draft)
            os.replace(draft, path)
    except OSError as error:
        raise write_error(path, error, advice=advice, needed_bytes=needed_bytes) from error


def write_bytes(path: Path, content: bytes | memoryview, *, advice: str = "") -> None:
    """Write `content` to `path`, whole or not at all. Raises WriteError."""
    needed_bytes = memoryview(content).nbytes
    with replacing(path, advice=advice, needed_bytes=needed_bytes) as draft:
        draft.write_bytes(content)


def write_text(path: Path, text: str, *, advice: str = "") -> None:
    """Write `text` to `path`, whole or not at all, as UTF-8; names keep whatever bytes they hold.

    Raises WriteError.
    """
    write_bytes(path, text.encode("utf-8", "surrogateescape"), advice=advice)


@contextlib.contextmanager
def replacing_folder(
    folder: Path, *, advice: str = "", unless: Callable[[], bool] = lambda: False
) -> Iterator[Path]:
    """A new folder beside `folder`, which takes its place once the block ends without an error.

    What was there is removed after the move; where `unless()` holds then, because another process
    was faster, it stays and the new one goes. Raises WriteError for every OSError of the block.
    """
    draft = _beside(folder.parent)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        yield draft
        _swap(draft, folder, unless)
    except OSError as error:
        raise write_error(folder, error, advice=advice) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove `folder` with all it holds; a kill amid it leaves nothing under its name."""
    aside = _beside(folder.parent)
    os.rename(folder, aside)
    shutil.rmtree(aside)


def check_room(folder: Path, needed_bytes: int = 1, *, advice: str = "") -> None:
    """Raise WriteError where `needed_bytes` cannot be written into `folder`, which may not exist.

    Tried with a file of that size, which knows of quotas and limits too; nothing is left behind.
    """
    place = folder
    while not os.path.exists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        way_out = f"; {advice}" if advice else ""
        raise WriteError(f"'{place}' is a file, not a folder{way_out}")
    try:
        with temporary(place) as draft, draft.open("xb") as file:
            file.write(b"\0")
            file.flush()
            _allocate(file.fileno(), draft, needed_bytes)
    except OSError as error:
        raise write_error(folder, error, advice=advice, needed_bytes=needed_bytes) from error


@contextlib.contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """A path for a new file in `folder`, removed on leaving where it is still there."""
    path = _beside(folder)
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def remove_stale_temporaries(folder: Path) -> int:
    """Remove what killed processes left behind in `folder`; returns how many went.

    One is stale where its process is gone, or began after it was last written (its number was
    given out anew), or ran on another machine and has been silent for an hour.
    """
    removed = 0
    for path in folder.glob("*.tmp"):
        try:
            if _is_stale(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                removed += 1
        except OSError:
            continue  # another process was faster, or the folder is read-only
    return removed


def megabytes(count: float) -> str:
    """A size in MB or GB.

    >>> megabytes(20_782_341), megabytes(3.4e9)
    ('20.8 MB', '3.4 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _beside(folder: Path) -> Path:
    # Not made of the name it stands for, which may be as long as names may be.
    return folder / f".{os.getpid()}-{secrets.token_hex(8)}@{_host()}.tmp"


def _is_stale(path: Path) -> bool:
    import psutil

    written_s = path.stat().st_mtime
    parts = re.fullmatch(r"\.?(\d+)-[0-9a-f]+@(.*)\.tmp", path.name)
    if parts is None:
        return False  # not ours
    if parts[2] != _host():
        return time.time() - written_s > FOREIGN_TEMPORARY_S
    try:
        # The margin is for clocks: a file's time and a process's start are rounded differently.
        return psutil.Process(int(parts[1])).create_time() > written_s + 1.0
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def _host() -> str:
    return re.sub(r"[^\w.-]", "_", platform.node())[:64]


def _to_disk(path: Path) -> None:
    """Wait until the file is on the disk: moved before, it may be empty after a power loss."""
    with path.open("r+b") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise


def _swap(draft: Path, folder: Path, unless: Callable[[], bool]) -> None:
    """Put `draft` at `folder`; what is there moves aside first, and back if that fails."""
    for _ in range(_SWAPS):
        if unless():
            return
        aside = _beside(folder.parent)
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, aside)
        try:
            os.rename(draft, folder)
            return
        except OSError as error:
            # Another process may have put its own there in between: that one moves aside, too.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                if aside.exists():
                    os.rename(aside, folder)
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(folder))


def _allocate(descriptor: int, path: Path, count: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            return os.posix_fallocate(descriptor, 0, count)
        except OSError as error:
            if error.errno in _REFUSED:
                raise  # else the file system cannot do it: its free space is all that is known
    if shutil.disk_usage(path.parent).free < count:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _free(path: Path) -> str:
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    try:
        return megabytes(shutil.disk_usage(path).free)
    except OSError:
        return "too little"
