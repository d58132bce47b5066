"""The catalog of a user's folder: every file, what is in it, and whether it trains."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from timbrel.data.verdicts import Verdict


@dataclass(frozen=True)
class FileReport:
    """One entry of the folder. Measures are None where nothing could be decoded.

    `path` is relative to the catalog's root, with forward slashes; `frames` is what decoding
    really gave where `header_frames` is what the file claims. `content_hash` is taken over the
    decoded samples, so a WAV and a FLAC of the same samples share it; `duplicate_of` is the path
    of the first file with that hash. `trains` says whether training uses the file.
    """

    path: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    format: str | None = None
    subtype: str | None = None
    rate_hz: int | None = None
    channels: int | None = None
    header_frames: int | None = None
    frames: int | None = None
    duration_s: float | None = None
    peak: float | None = None
    loudness_lufs: float | None = None
    silence_share: float | None = None
    clipped_share: float | None = None
    dc_offset: float | None = None
    nonfinite: int | None = None
    content_hash: str | None = None
    duplicate_of: str | None = None
    trains: bool = False


@dataclass(frozen=True)
class Catalog:
    """A folder and the report on each of its entries, sorted by path."""

    root: Path
    files: tuple[FileReport, ...]

    @cached_property
    def training_files(self) -> tuple[FileReport, ...]:
        """The files that training uses, sorted by path."""
        return tuple(file for file in self.files if file.trains)

    def absolute(self, file: FileReport) -> Path:
        """Where `file` lies."""
        return self.root / file.path

    def counts(self) -> dict[Verdict, int]:
        """How many entries got each verdict."""
        counted = Counter(file.verdict for file in self.files)
        return {verdict: counted[verdict] for verdict in Verdict}
