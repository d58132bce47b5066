"""The mark in sound files that timbrel wrote, and how it is found.

It stands in two tags, the software and a comment in JSON, because other programs replace the one
and keep the other. It is looked for as bytes at both ends of a file, where every container keeps
its tags: so it is found in a WAV, FLAC, AIFF, CAF, Ogg or MP3 that came of one, and no decoder is
asked.
"""

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timbrel.audio.names import readable

if TYPE_CHECKING:
    import soundfile

_END_BYTES = 1 << 16
# libsndfile adds its own name to the software; rendered sounds of before have the hash alone.
_MARK = re.compile(rb'timbrel \d\S* \(libsndfile-|"(?:timbrel|model_hash)":"[0-9a-f]')
# libsndfile reads a longer INFO chunk back as an empty string.
_COMMENT_LIMIT_BYTES = 2000
_TAG_LIMIT_BYTES = 500


def tag(text: str) -> str:
    """`text` as a tag can hold it: readable, and short enough for three of them in a comment."""
    kept = readable(text)[:200]
    while len(json.dumps(kept)) > _TAG_LIMIT_BYTES:  # JSON spells out what is not ASCII
        kept = kept[:-1]
    return kept


def comment_of(metadata: Mapping[str, Any]) -> str:
    """`metadata` and timbrel's version as compact JSON. Raises ValueError where it is too long."""
    marked = {**metadata, "timbrel": version("timbrel")}
    text = json.dumps(marked, sort_keys=True, separators=(",", ":"), allow_nan=False)
    if len(text) > _COMMENT_LIMIT_BYTES:
        raise ValueError(
            f"metadata of {len(text)} bytes; a WAV comment holds {_COMMENT_LIMIT_BYTES}"
        )
    return text


def mark(file: "soundfile.SoundFile", comment: str) -> None:
    """Write the mark into a file open for writing, before its first samples."""
    file.software, file.comment = f"timbrel {version('timbrel')}", comment


def comment_in(path: str | Path) -> str | None:
    """The comment of a sound file; None where it has none, or cannot be read."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            return file.comment or None
    except (OSError, RuntimeError):
        return None


def is_marked(path: str | Path) -> bool:
    """Whether timbrel wrote the sound in a file. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        if _MARK.search(file.read(_END_BYTES)):
            return True
        file.seek(max(_END_BYTES, file.seek(0, 2) - _END_BYTES))
        return _MARK.search(file.read()) is not None
