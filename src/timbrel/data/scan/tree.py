"""Every entry of a folder's tree, each looked at no further than its first and last bytes."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from timbrel.audio.origin import is_marked
from timbrel.data.scan.own_products import SOUND, folder_kind, gathered
from timbrel.data.scan.verdicts import Judgement, Verdict

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
    `own_product` says what timbrel wrote there: `sound`, or of a folder `2 run folders`.
    """

    path: str
    judgement: Judgement | None = None
    identity: tuple[int, int, int] | None = None
    named_audio: bool = False
    own_product: str | None = None


def entries(root: Path, *, include_generated: bool = False) -> list[Entry]:
    """All entries under `root` worth a word, sorted by path, which uses forward slashes.

    Links to files are followed, and links to folders unless they lead to a folder that is
    scanned anyway or holds `root`. Nothing but regular files is opened. What the system refuses is
    an entry with the reason. What timbrel wrote is left out, as few lines as can be; its sounds
    count with `include_generated`.
    """
    resolved = root.resolve()
    visited = set(filter(None, map(_identity_if_known, (resolved, *resolved.parents))))
    found: list[Entry] = []
    own: list[tuple[str, str]] = []
    folders, links = [""], list[str]()
    while folders or links:
        # Real folders first: what a link shows as well is then known by its real place.
        link = not folders
        folder = links.pop(0) if link else folders.pop()
        try:
            identity = _identity_of_folder(root / folder)
            if folder and identity in visited:
                found.append(_skip(folder, "A link to a folder that is scanned anyway."))
                continue
            visited.add(identity)
            with os.scandir(root / folder) as inside:
                listed = sorted(inside, key=lambda entry: entry.name)
        except OSError as error:
            found.append(_warn(folder or ".", _closed_folder(error)))
            continue
        if folder and (kind := folder_kind(os.path.basename(folder), [x.name for x in listed])):
            own.append((folder, kind))
            continue
        for entry in listed:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if _is_folder(entry):
                if _is_hidden(entry.name):
                    found.append(_skip(path, "A hidden folder."))
                else:
                    folders.append(path)
                    if _named_audio(path):
                        found.append(_skip(path, "A folder; what it holds is listed by itself."))
            elif entry.is_symlink() and os.path.isdir(root / path):
                links.append(path)
        for file in _files(root, folder, listed, look_for_mark=not include_generated):
            if file.own_product:
                own.append((file.path, file.own_product))
            else:
                found.append(file)
    told = [x.path for x in found if not x.judgement or x.judgement.verdict is not Verdict.SKIP]
    found += [_own(path, what) for path, what in gathered(own, told)]
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


def _files(
    root: Path, folder: str, listed: list[os.DirEntry[str]], *, look_for_mark: bool
) -> Iterator[Entry]:
    for entry in listed:
        path = f"{folder}/{entry.name}" if folder else entry.name
        try:
            status = entry.stat()
        except OSError as error:
            yield _warn(path, _unreadable(entry, error))
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
                    own = SOUND if look_for_mark and is_marked(root / path) else None
                    yield Entry(path, None, identity, named_audio, own)
                else:
                    yield _skip(path, "Not a sound file.")
            except OSError as error:
                yield _warn(path, _unreadable(entry, error))


def _identity_of_folder(folder: Path) -> tuple[int, int]:
    """Raises OSError where the folder cannot be entered: one that can is still only listed."""
    status = os.stat(os.path.join(folder, "."))
    return status.st_dev, status.st_ino


def _identity_if_known(folder: Path) -> tuple[int, int] | None:
    try:
        return _identity_of_folder(folder)
    except OSError:
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # then it is told of as a file that cannot be read


def _begins_as_audio(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4).startswith(_MAGIC)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in HIDDEN_FOLDERS


def _named_audio(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in AUDIO_SUFFIXES


def _closed_folder(error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "A folder that vanished while it was looked at; scan again."
    way_out = "; chmod -R u+rX opens it" if error.errno == errno.EACCES else ""
    return f"The folder cannot be read: {error.strerror or error}{way_out}."


def _unreadable(entry: os.DirEntry[str], error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "A link that leads to itself; remove it."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        if entry.is_symlink():
            return "A link to a file that is not there; remove it or restore the file."
        return "A file that vanished while it was looked at; scan again."
    return f"Cannot be read: {error.strerror or error}."


def _own(path: str, what: str) -> Entry:
    reason = f"Written by timbrel ({what}): not a recording"
    if SOUND in what:
        reason += "; data.include_generated=true trains on such sounds"
    return Entry(path, Judgement(Verdict.SKIP, (f"{reason}.",)), own_product=what)


def _skip(path: str, reason: str) -> Entry:
    return Entry(path, Judgement(Verdict.SKIP, (reason,)))


def _warn(path: str, reason: str) -> Entry:
    return Entry(path, Judgement(Verdict.SKIP_WARN, (reason,)))
