"""The catalog of a user's folder: every file, what is in it, and whether it trains."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

from timbrel.data.scan.own_products import run_around
from timbrel.data.scan.probe import Measurement
from timbrel.data.scan.probe_memory import memory_file, recall, remember
from timbrel.data.scan.probing import measure_all
from timbrel.data.scan.tree import Entry, entries, prefixes
from timbrel.data.scan.verdicts import MINIMUM_S, Judgement, Verdict, is_silent, judge
from timbrel.errors import UserError, folder_fault
from timbrel.files import write_bytes

CSV_ENCODING = "utf-8"
CSV_ERRORS = "surrogateescape"
_COLUMNS = {"n_samples": "frames", "header_samples": "header_frames"}
"""Columns whose names are those of every earlier CSV, not of the field."""


@dataclass(frozen=True)
class FileReport:
    """One entry of the folder. Measures are None where nothing could be decoded.

    `path` is relative to the catalog's root, with forward slashes; `n_samples` is what decoding
    really gave where `header_samples` is what the file claims. `content_hash` is taken over the
    decoded samples, so a WAV and a FLAC of the same samples share it; `duplicate_of` is the path
    of the first file with that hash. `trains` says whether training uses the file. `own_product`:
    timbrel wrote it, or what lies in this folder, and it is left out.
    """

    path: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    format: str | None = None
    subtype: str | None = None
    rate_hz: int | None = None
    channels: int | None = None
    header_samples: int | None = None
    n_samples: int | None = None
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
    own_product: bool = False


@dataclass(frozen=True)
class Catalog:
    """A folder and the report on each of its entries, sorted by path.

    `also` holds further folders, by the first part of their files' paths; `include_generated` says
    that timbrel's own sounds were counted as recordings.
    """

    root: Path
    files: tuple[FileReport, ...]
    also: Mapping[str, Path] = field(default_factory=dict, hash=False)
    include_generated: bool = False

    @cached_property
    def training_files(self) -> tuple[FileReport, ...]:
        """The files that training uses, sorted by path."""
        return tuple(file for file in self.files if file.trains)

    def absolute(self, file: FileReport) -> Path:
        """Where `file` lies."""
        return self.located(file.path)

    def located(self, path: str) -> Path:
        """Where the file of this `path` lies, in the root or in a further folder."""
        prefix, _, rest = path.partition("/")
        return self.also[prefix] / rest if prefix in self.also else self.root / path

    def is_further(self, path: str) -> bool:
        """Whether the file of this `path` lies in a further folder."""
        return path.partition("/")[0] in self.also

    @cached_property
    def own_products(self) -> tuple[FileReport, ...]:
        """What timbrel wrote and was left out: single sounds, or folders with all they hold."""
        return tuple(file for file in self.files if file.own_product)

    def left_out(self) -> str:
        """How many do not train, by why: `5 the same as another, 1 silent`; "" where all do."""
        why = Counter(filter(None, map(_why_left_out, self.files)))
        return ", ".join(f"{count} {reason}" for reason, count in why.most_common())

    def counts(self) -> dict[Verdict, int]:
        """How many entries got each verdict."""
        counted = Counter(file.verdict for file in self.files)
        return {verdict: counted[verdict] for verdict in Verdict}

    def to_csv(self, path: Path) -> None:
        """One row per entry; names that are not valid Unicode keep their bytes."""
        text = io.StringIO()
        names = [column.name for column in fields(FileReport)]
        table = csv.writer(text)
        table.writerow(_COLUMNS.get(name, name) for name in names)
        for file in self.files:
            row = asdict(file) | {"reasons": " ".join(file.reasons)}
            table.writerow(row[name] for name in names)
        write_bytes(path, text.getvalue().encode(CSV_ENCODING, CSV_ERRORS))


def _why_left_out(file: FileReport) -> str | None:
    if file.trains:
        return None
    if file.own_product:
        return "written by timbrel"
    if file.duplicate_of is not None:
        return "the same as another"
    if file.verdict is Verdict.ACCEPT_WARN:
        return "silent"
    if file.verdict is Verdict.SKIP:
        return None
    if file.n_samples and (file.duration_s or 0.0) < MINIMUM_S:
        return "too short"
    return "empty" if file.n_samples == 0 else "that cannot be read"


def scan(
    root: Path,
    *,
    also: Sequence[Path] = (),
    workers: int | None = None,
    memory: Path | None = None,
    include_silent: bool = False,
    include_generated: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Catalog:
    """Look at every entry under `root`, decoding each sound file once, and write nothing there.

    So too under the folders of `also`, whose files are named with their folder in front; of the
    same samples in several folders the root's are the original, then those of the first folder.

    `workers` is the number of processes (None: by cores and files; 0: none). With `memory`, a
    folder, a file that has not changed since an earlier scan is not decoded again. Silent files
    train only with `include_silent`. What timbrel wrote is left out; with `include_generated` its
    sounds train, and of a run folder those that lie in a root inside it. `progress` is told how
    many files are done, how many there are and which was the last.

    Raises `UserError` where one of them is no folder that can be listed, lies in a run folder, or
    holds no usable sound.
    """
    root = Path(root)
    for folder in also:
        _require_folder(folder, "data.also")

    def reports_on(folder: Path, key: str) -> list[FileReport]:
        _require_folder(folder, key)
        if not include_generated:
            _require_no_run(folder, key)
        found = entries(folder, include_generated=include_generated)
        measured = _measured(folder, found, workers, memory, progress)
        reports = [_report(entry, measured.get(entry.path), include_silent) for entry in found]
        if not any(file.verdict in (Verdict.ACCEPT, Verdict.ACCEPT_WARN) for file in reports):
            raise UserError(_nothing_usable(folder, reports, key))
        return reports

    files = reports_on(root, "data.root")
    further = prefixes([file.path for file in files], also)
    for prefix, folder in further.items():
        for file in reports_on(folder, "data.also"):
            files.append(replace(file, path=f"{prefix}/{file.path}"))
    files = sorted(_marked_duplicates(files), key=lambda file: file.path)
    return Catalog(root, tuple(files), further, include_generated)


def _require_folder(root: Path, key: str) -> None:
    fault = folder_fault(root)
    if fault is not None:
        raise UserError(f"'{root}': {fault}; set {key} to the folder of your recordings")


def _require_no_run(root: Path, key: str) -> None:
    run = run_around(root.absolute())
    if run is not None:
        where = "a run folder" if run == root.absolute() else f"in the run folder '{run}'"
        raise UserError(
            f"{key}: '{root}' is {where}: sounds that a training wrote are not used as recordings; "
            "give the folder of your recordings, or data.include_generated=true to train on these "
            "sounds too"
        )


def _nothing_usable(root: Path, reports: list[FileReport], key: str) -> str:
    """The message for a folder without usable sound, with the first reasons."""
    found = {
        "unusable": [file for file in reports if file.verdict is Verdict.SKIP_WARN],
        "written by timbrel": [file for file in reports if file.own_product],
    }
    said = [
        f"{len(files)} {what} ({files[0].path!r}: {files[0].reasons[0].rstrip('.')})"
        for what, files in found.items()
        if files
    ]
    what = ", ".join(["no usable sound file", *said]) if said else "no sound files"
    return f"'{root}': {what}; put WAV, FLAC, AIFF, MP3 or OGG files there, or set {key}"


def _measured(
    root: Path,
    found: list[Entry],
    workers: int | None,
    memory: Path | None,
    progress: Callable[[int, int, str], None] | None,
) -> dict[str, Measurement | None]:
    """The measurement of every entry that may be sound; None where its decoder crashed."""
    absolute = root.absolute()
    keys = {
        entry.path: (str(absolute / entry.path), entry.identity)
        for entry in found
        if entry.judgement is None and entry.identity is not None
    }
    file = memory_file(memory, root) if memory else None
    known = recall(file) if file else {}
    measured: dict[str, Measurement | None] = {
        path: known[key] for path, key in keys.items() if key in known
    }
    unknown = [path for path in keys if path not in measured]
    if unknown:
        fresh = measure_all([root / path for path in unknown], workers=workers, progress=progress)
        measured.update(zip(unknown, fresh, strict=True))
        if file:
            # A crash or a refused permission may be gone next time.
            lasting = {
                keys[path]: value
                for path, value in measured.items()
                if value is not None and not value.refused
            }
            remember(file, lasting)
    return measured


def _report(entry: Entry, measured: Measurement | None, include_silent: bool) -> FileReport:
    if entry.judgement is not None:
        verdict, reasons = entry.judgement.verdict, entry.judgement.reasons
        return FileReport(entry.path, verdict, reasons, own_product=entry.own_product is not None)
    judgement = judge(entry.path, measured, named_audio=entry.named_audio)
    if measured is None or measured.rate_hz is None:
        return FileReport(entry.path, judgement.verdict, judgement.reasons)
    return _with_measures(entry.path, judgement, measured, include_silent)


def _with_measures(
    path: str, judgement: Judgement, measured: Measurement, include_silent: bool
) -> FileReport:
    accepted = judgement.verdict in (Verdict.ACCEPT, Verdict.ACCEPT_WARN)
    return FileReport(
        path=path,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        format=measured.format,
        subtype=measured.subtype,
        rate_hz=measured.rate_hz,
        channels=measured.channels,
        header_samples=measured.header_samples,
        n_samples=measured.n_samples,
        duration_s=measured.n_samples / (measured.rate_hz or 1),
        peak=measured.peak,
        loudness_lufs=measured.loudness_lufs,
        silence_share=measured.silence_share,
        clipped_share=measured.clipped_share,
        dc_offset=measured.dc_offset,
        nonfinite=measured.nonfinite,
        content_hash=measured.content_hash,
        trains=accepted and (include_silent or not is_silent(measured)),
    )


def _marked_duplicates(reports: list[FileReport]) -> list[FileReport]:
    """The first of several accepted files with the same samples stays; the others say so."""
    first: dict[str, str] = {}
    marked = []
    for file in reports:
        if file.content_hash and file.verdict in (Verdict.ACCEPT, Verdict.ACCEPT_WARN):
            original = first.setdefault(file.content_hash, file.path)
            if original != file.path:
                reason = f"The same samples as {original!r}; left out of training."
                file = replace(
                    file,
                    verdict=Verdict.ACCEPT_WARN,
                    reasons=(reason, *file.reasons),
                    duplicate_of=original,
                    trains=False,
                )
        marked.append(file)
    return marked
