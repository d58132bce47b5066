"""Names of recordings, which may hold any bytes, where a library or a file system takes fewer."""

from pathlib import Path

_LONGEST_STEM = 80
_LONGEST_STEM_BYTES = 200  # file systems take 255, with what is put around it


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
    """`stem` readable, on one line, and as much of it as the name of a file has room for."""
    return readable(stem.replace("\n", " ")).encode()[:_LONGEST_STEM_BYTES].decode(errors="ignore")
