"""Explicit lists of files for train, validation and test, from a JSON file.

Either flat, `{"train": [...], "test": [...], "validation": [...]}`, or several of these under
theme names, `{"drums": {"train": [...], ...}, ...}`. `validation` may be missing. Files are
named by their path relative to the data folder, or by file name alone where that is unique.
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from timbrel.data.cache.store import Clip
from timbrel.errors import UserError, did_you_mean

PARTS = ("train", "validation", "test")
SHOWN = 3


@dataclass(frozen=True)
class Lists:
    """The clips of each list, in the order of their ids; `validation` is None where not given."""

    train: tuple[Clip, ...]
    validation: tuple[Clip, ...] | None
    test: tuple[Clip, ...]
    unlisted: tuple[Clip, ...]


def read_lists(path: Path, *, theme: str | None, folder: str, clips: Sequence[Clip]) -> Lists:
    """The lists of `path` for `theme`, by default the theme named like the data `folder`.

    Raises `UserError` for a file that is not such lists, an unknown theme, a name that fits no
    clip or several, an empty train list, and a content that is in two lists.
    """
    lists = _theme_lists(path, _load(path), theme, folder)
    found = {
        part: _match(names, clips, where=f"{str(path)!r}, {part!r}")
        for part, names in lists.items()
    }
    if not found.get("train"):
        raise UserError(f"{str(path)!r}: the list 'train' is empty; name at least one recording")
    _refuse_shared(path, found)
    listed = {clip.clip_id for members in found.values() for clip in members}
    return Lists(
        train=found["train"],
        validation=found.get("validation"),
        test=found.get("test", ()),
        unlisted=tuple(clip for clip in clips if clip.clip_id not in listed),
    )


def some(names: Iterable[str]) -> str:
    """The first few names, quoted, and how many more there are.

    >>> some(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' and 2 more"
    """
    quoted = [repr(name) for name in names]
    more = f" and {len(quoted) - SHOWN} more" if len(quoted) > SHOWN else ""
    return ", ".join(quoted[:SHOWN]) + more


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"data.split_file {str(path)!r}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"data.split_file {str(path)!r}: not JSON ({error})") from error
    if not isinstance(content, dict) or not content:
        raise UserError(
            f"data.split_file {str(path)!r}: expected "
            '{"train": [...], "test": [...]} or such lists under theme names'
        )
    return content


def _theme_lists(
    path: Path, content: Mapping[str, Any], theme: str | None, folder: str
) -> dict[str, list[str]]:
    flat = any(isinstance(value, list) for value in content.values())
    if not flat:
        wanted = theme if theme is not None else folder
        if wanted not in content:
            nearest = did_you_mean(wanted, content)
            whence = "" if theme is not None else " (the data folder's name)"
            raise UserError(
                f"data.split_file {str(path)!r} has no theme {wanted!r}{whence}{nearest}; "
                f"set data.split_theme to one of {some(sorted(content))}"
            )
        content = content[wanted]
    elif theme is not None:
        raise UserError(
            f"data.split_file {str(path)!r} holds one set of lists and no themes; "
            f"leave data.split_theme={theme} out"
        )
    if not isinstance(content, dict):
        raise UserError(f"data.split_file {str(path)!r}: expected lists named {', '.join(PARTS)}")
    for part, names in content.items():
        if part not in PARTS:
            nearest = did_you_mean(part, PARTS)
            raise UserError(
                f"data.split_file {str(path)!r}: {part!r} is none of {', '.join(PARTS)}{nearest}"
            )
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise UserError(f"data.split_file {str(path)!r}: {part!r} is not a list of file names")
    return dict(content)


def _match(names: Sequence[str], clips: Sequence[Clip], *, where: str) -> tuple[Clip, ...]:
    """The clips of the given names. Raises `UserError` naming those that fit none or several."""
    by_path: dict[str, Clip] = {}
    by_file_name: dict[str, list[Clip]] = {}
    for clip in clips:
        # macOS writes names decomposed and editors write them composed: compare one form.
        path = unicodedata.normalize("NFC", clip.name)
        by_path[path] = clip
        by_file_name.setdefault(PurePosixPath(path).name, []).append(clip)
    matched: dict[int, Clip] = {}
    unknown = []
    for name in names:
        normal = unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")
        fitting = [by_path[normal]] if normal in by_path else by_file_name.get(normal, [])
        if len(fitting) > 1:
            raise UserError(
                f"{where}: {name!r} fits {some(clip.name for clip in fitting)}; "
                f"write the path relative to the data folder"
            )
        if fitting:
            matched[fitting[0].clip_id] = fitting[0]
        else:
            unknown.append(name)
    if unknown:
        nearest = did_you_mean(unknown[0], [*by_path, *by_file_name])
        raise UserError(
            f"{where}: no usable recording {some(unknown)} in the data folder{nearest}; "
            f"correct the list, or see `timbrel inspect` for the files that were left out and why"
        )
    return tuple(sorted(matched.values(), key=lambda clip: clip.clip_id))


def _refuse_shared(path: Path, found: Mapping[str, Sequence[Clip]]) -> None:
    first_in: dict[str, tuple[str, Clip]] = {}
    for part, members in found.items():
        for clip in members:
            other_part, other = first_in.setdefault(clip.content_hash, (part, clip))
            if other_part != part:
                same = "the same file" if other.name == clip.name else "the same sound"
                raise UserError(
                    f"data.split_file {str(path)!r}: {other.name!r} in {other_part!r} and "
                    f"{clip.name!r} in {part!r} are {same}; keep it in one list"
                )
