"""A write gives the whole file or keeps the earlier one; a full disk is told in one sentence."""

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from timbrel import files
from timbrel.files import (
    WriteError,
    check_room,
    remove_folder,
    remove_stale_temporaries,
    replacing,
    replacing_folder,
    write_bytes,
    write_text,
)


@contextmanager
def longest_file(count: int) -> Iterator[None]:
    """As under `ulimit -f`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_replaced_with_its_folder_made_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "made" / ("n" * 250 + ".txt")  # no room in its name for a longer one
    write_text(path, "first \udcff\n")
    write_text(path, "second \udcff\n")
    assert path.read_bytes() == b"second \xff\n"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path: Path, monkeypatch) -> None:
    """If the rename reached the disk before the bytes, a power loss would leave an empty file."""
    calls: list[tuple[str, int]] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        calls.append(("fsync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def moved(draft: Path, path: Path) -> None:
        calls.append(("replace", os.stat(draft).st_ino))
        replace(draft, path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved)
    write_bytes(tmp_path / "kept", b"all of it")
    inode = (tmp_path / "kept").stat().st_ino
    assert calls == [("fsync", inode), ("replace", inode)]


def test_an_error_leaves_the_file_of_before_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("before")

    def fail() -> None:
        with replacing(path) as draft:
            draft.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with longest_file(1000), pytest.raises(WriteError, match=r"table.csv'.*too large.*ulimit -f"):
        write_bytes(path, bytes(2000))
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_with_what_is_needed_and_what_is_free(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    told = str(files.write_error(tmp_path / "last.ckpt", error, needed_bytes=20_800_000))
    assert told.startswith(f"'{tmp_path}/last.ckpt' cannot be written: No space left on device")
    assert "(20.8 MB needed, " in told
    assert told.endswith("B free); make room there")


def test_room_is_tried_before_the_work(tmp_path: Path) -> None:
    check_room(tmp_path / "not" / "yet", 1_000_000)
    with longest_file(1000), pytest.raises(WriteError, match="ulimit -f"):
        check_room(tmp_path / "not", 1_000_000)
    with pytest.raises(WriteError, match="advised"):
        check_room(Path("/proc/no/folder"), advice="advised")
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="file' is a file, not a folder"):
        check_room(tmp_path / "file" / "inside")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "old").touch()

    def fail() -> None:
        with replacing_folder(folder) as draft:
            (draft / "new").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [p.name for p in folder.iterdir()] == ["old"]
    with replacing_folder(folder) as draft, replacing_folder(folder) as faster:
        (draft / "new").touch()
        (faster / "other").touch()
    assert [p.name for p in folder.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_another_was_faster_with_stays(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with replacing_folder(folder, unless=lambda: (folder / "whole").exists()) as draft:
        (draft / "whole").touch()
    with replacing_folder(folder, unless=lambda: (folder / "whole").exists()) as draft:
        (draft / "later").touch()
    assert [p.name for p in folder.iterdir()] == ["whole"]
    (folder / "whole").unlink()  # damaged: it is replaced
    with replacing_folder(folder, unless=lambda: (folder / "whole").exists()) as draft:
        (draft / "later").touch()
    assert [p.name for p in folder.iterdir()] == ["later"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_is_gone_under_its_name_before_its_files_are(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "seed0"
    (folder / "model").mkdir(parents=True)

    def killed(path: Path) -> None:
        assert (path / "model").is_dir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_folder(folder)
    assert not folder.exists()
    folder.mkdir()
    remove_folder(folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("number", "name", "words"),
    [
        (errno.ENOSPC, "/full/x", "'/full/x' cannot be written: No space left"),
        (errno.EROFS, b"/read/only", "'/read/only' cannot be written: Read-only"),
        (errno.EACCES, "/secret", "'/secret': Permission denied; allow this user"),
        (errno.ENOSPC, None, "make room on the disk"),
        (errno.ENOENT, "/gone", None),
        (errno.EIO, "/tty", None),
        (errno.EPERM, None, None),
    ],
)
def test_only_what_a_disk_refuses_is_no_bug(
    number: int, name: str | None, words: str | None
) -> None:
    told = files.refusal(OSError(number, os.strerror(number), name))
    assert (told is None) if words is None else (words in str(told))


def test_temporaries_of_the_dead_are_removed_and_of_the_living_kept(tmp_path: Path) -> None:
    host = files._host()
    dead = next(pid for pid in range(2**22 - 1, 0, -1) if not psutil.pid_exists(pid))
    old_s = psutil.Process().create_time() - 100

    def temporary(name: str, mtime_s: float | None = None) -> Path:
        path = tmp_path / name
        path.write_bytes(b"half")
        if mtime_s is not None:
            os.utime(path, (mtime_s, mtime_s))
        return path

    gone = [
        temporary(f".{dead}-ab@{host}.tmp"),
        temporary(f"{os.getpid()}-ab@{host}.tmp", old_s),  # an earlier process of that number
        temporary(".1-ab@elsewhere.tmp", time.time() - 4000),
    ]
    kept = [
        temporary(f".{os.getpid()}-cd@{host}.tmp"),
        temporary(".1-cd@elsewhere.tmp"),
        temporary("somebody.tmp", 0),
    ]
    folder = tmp_path / f".{dead}-ef@{host}.tmp"
    folder.mkdir()
    (folder / "weights").touch()
    assert remove_stale_temporaries(tmp_path) == 4
    assert not any(path.exists() for path in [*gone, folder])
    assert all(path.exists() for path in kept)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_small_disk_fills_up_in_a_sentence(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from timbrel.files import *\n"
        "disk = Path('disk'); write_bytes(disk / 'kept', bytes(400_000))\n"
        "try: write_bytes(disk / 'kept', bytes(900_000))\n"
        "except WriteError as error: print(error)\n"
        "try: check_room(disk / 'new', 900_000)\n"
        "except WriteError as error: print(error)\n"
        "print(len((disk / 'kept').read_bytes()), len(list(disk.iterdir())))\n"
    )
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs -o size=1m tmpfs disk || exit 77; "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script, sys.executable, code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no mounts of its own here: {done.stderr.strip()}")
    full, no_room, left = done.stdout.splitlines()
    assert full.startswith("'disk/kept' cannot be written: No space left on device (0.9 MB needed")
    assert no_room.startswith("'disk/new' cannot be written: No space left on device (0.9 MB")
    assert left == "400000 1"


def _umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before
