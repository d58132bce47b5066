"""Names of recordings, which may hold any bytes, where a library or a file system takes fewer."""

import hashlib
import re
from pathlib import Path

from timbrel.words import printable

_LONGEST_STEM = 80
_LONGEST_STEM_BYTES = 200  # file systems take 255, with what is put around it


def fitted(name: str, most_bytes: int) -> str:
    """`name` in at most `most_bytes` bytes of UTF-8: cut between characters, with its own digest.

    What is longer ends in `-` and eight hexadecimal digits of the whole, so that names which begin
    alike stay apart.

    >>> fitted("kick", 12), fitted("録音録音録音", 14)
    ('kick', '録-3f0afcde')
    """
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) <= most_bytes:
        return name
    digest = hashlib.blake2b(encoded, digest_size=4).hexdigest()
    return f"{encoded[: most_bytes - 9].decode('utf-8', 'ignore')}-{digest}"


def file_name(name: str, most_bytes: int) -> str:
    """`name` as one part of a path, of letters, digits, `_`, `-` and `.`, in `most_bytes` bytes.

    >>> file_name("take ${n}/hi hat's", 40)
    'take_n_hi_hat_s'
    """
    return fitted(re.sub(r"[^\w.-]+", "_", name).strip("_."), most_bytes)


def readable(name: str) -> str:
    """`name` with the bytes that are no UTF-8 spelled out: what libsndfile and W&B can take."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def file_stem(name: str) -> str:
    r"""The stem of a recording's name for a file that comes of it: readable, on one line, short.

    >>> file_stem("kicks/deep\none.wav"), file_stem("\udcff.wav")
    ('deep one', '\\udcff')
    """
    return fitting(Path(name).stem[:_LONGEST_STEM])


def fitting(stem: str) -> str:
    """`stem` as one part of a path: readable, without what a terminal obeys, of a file's length."""
    told = printable(readable(stem.replace("\n", " "))).replace("/", "_").lstrip(".")
    return fitted(told or "_", _LONGEST_STEM_BYTES)
