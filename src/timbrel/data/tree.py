"""Every entry of a folder's tree, each looked at no further than its first bytes."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from timbrel.data.verdicts import Judgement, Verdict

_NAMES = """
wav wave bwf rf64 w64 aif aiff aifc caf au snd flac ogg oga opus mp3 mp2 mpga spx gsm voc sd2
m4a m4b aac alac wma wv ape mka mpc tta amr ac3 dsf dff rex rx2
"""
AUDIO_SUFFIXES = frozenset(f".{name}" for name in _NAMES.split())
HIDDEN_FOLDERS = frozenset({"__MACOSX", "$RECYCLE.BIN", "System Volume Information"})
_MAGIC = (
    *(b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff", b"FORM", b"caff", b".snd"),
    *(b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2"),
)


@dataclass(frozen=True)
class Entry:
    """One entry; `judgement` is None where only its content can tell what it is.

    `identity` (size, modification time in ns, inode) changes with the file's content.
    """

    path: str
    judgement: Judgement | None = None
    identity: tuple[int, int, int] | None = None
    named_audio: bool = False


def entries(root: Path) -> list[Entry]:
    """All entries under `root` worth a word, sorted by path, which uses forward slashes.

    Links to files are followed, and links to folders unless they lead to a folder that is
    scanned anyway or holds `root`. Nothing but regular files is opened.
    """
    resolved = root.resolve()
    visited = {_identity_of_folder(folder) for folder in (resolved, *resolved.parents)}
    found: list[Entry] = []
    folders, links = [""], list[str]()
    while folders or links:
        # Real folders first: what a link shows as well is then known by its real place.
        link = not folders
        folder = links.pop(0) if link else folders.pop()
        if folder:
            identity = _identity_of_folder(root / folder)
            if identity in visited:
                found.append(_skip(folder, "A link to a folder that is scanned anyway."))
                continue
            visited.add(identity)
        try:
            listed = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            found.append(_warn(folder or ".", f"The folder cannot be listed: {error.strerror}."))
            continue
        for entry in listed:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if _is_hidden(entry.name):
                    found.append(_skip(path, "A hidden folder."))
                else:
                    folders.append(path)
                    if _named_audio(path):
                        found.append(_skip(path, "A folder; what it holds is listed by itself."))
            elif entry.is_symlink() and os.path.isdir(root / path):
                links.append(path)
        found.extend(_files(root, folder, listed))
    return sorted(found, key=lambda entry: entry.path)


def prefixes(root: Iterable[str], also: Sequence[Path]) -> dict[str, Path]:
    """The folders of `also` by the first part of their files' paths: a name for each, all unique.

    It is the folder's own name, counted on where a path of `root` or an earlier folder has it.

    >>> found = prefixes(["kicks/one.wav"], [Path("/a/kicks"), Path("/b/bells")])
    >>> list(found)
    ['kicks-2', 'bells']
    """
    taken = {path.partition("/")[0] for path in root}
    found: dict[str, Path] = {}
    for folder in also:
        name = prefix = folder.name or "also"
        count = 1
        while prefix in taken:
            count += 1
            prefix = f"{name}-{count}"
        taken.add(prefix)
        found[prefix] = folder
    return found


def _files(root: Path, folder: str, listed: list[os.DirEntry[str]]) -> Iterator[Entry]:
    for entry in listed:
        path = f"{folder}/{entry.name}" if folder else entry.name
        try:
            status = entry.stat()
        except OSError as error:
            yield _warn(path, _broken_link(error))
            continue
        if stat.S_ISDIR(status.st_mode):
            continue
        if _is_hidden(entry.name):
            yield _skip(path, "A hidden file.")
        elif not stat.S_ISREG(status.st_mode):
            yield _warn(path, "No regular file (a pipe, socket or device); it was not opened.")
        else:
            identity = (status.st_size, status.st_mtime_ns, status.st_ino)
            named_audio = _named_audio(path)
            try:
                if named_audio or _begins_as_audio(root / path):
                    yield Entry(path, None, identity, named_audio)
                else:
                    yield _skip(path, "Not a sound file.")
            except OSError as error:
                yield _warn(path, f"Cannot be read: {error.strerror}.")


def _identity_of_folder(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _begins_as_audio(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4).startswith(_MAGIC)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in HIDDEN_FOLDERS


def _named_audio(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in AUDIO_SUFFIXES


def _broken_link(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "A link that leads to itself; remove it."
    if error.errno == errno.ENOENT:
        return "A link to a file that is not there; remove it or restore the file."
    return f"Cannot be read: {error.strerror}."


def _skip(path: str, reason: str) -> Entry:
    return Entry(path, Judgement(Verdict.SKIP, (reason,)))


def _warn(path: str, reason: str) -> Entry:
    return Entry(path, Judgement(Verdict.SKIP_WARN, (reason,)))
