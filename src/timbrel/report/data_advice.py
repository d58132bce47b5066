"""Advice on a folder of recordings: whether it is enough to train on, and what to fix first."""

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from timbrel.data.scan.catalog import Catalog, FileReport
from timbrel.data.scan.catalog_table import shortened
from timbrel.data.scan.verdicts import CLIPPED_SHARE, SILENT_PEAK, Verdict
from timbrel.report.page import Notice, number
from timbrel.words import duration, printable

ENOUGH_FILES, ENOUGH_S = 20, 30.0
LEAST_FILES, LEAST_S = 5, 10.0
_VERY_SHORT_S = 0.1
_MOSTLY = 0.5
_LEVELS_APART_LU = 20.0
_NAMED = 3


@dataclass(frozen=True)
class Advice:
    """`verdict`, `sentence`: if it is enough and why; `notices`: what to fix; `command`: next.

    `voiced` is how much of what sounds has a clear pitch, where that is measured.
    """

    kind: str
    verdict: str
    sentence: str
    notices: tuple[Notice, ...]
    command: str
    voiced: float | None = None


def advise(catalog: Catalog) -> Advice:
    """The advice for the folder that was scanned."""
    files = catalog.training_files
    total_s = sum(file.duration_s or 0.0 for file in files)
    kind, verdict, means = _enough(len(files), total_s)
    sentence = f"{_count(len(files), 'recording')} can train, {duration(total_s)} in all: {means}"
    return Advice(
        kind=kind,
        verdict=verdict,
        sentence=sentence,
        notices=tuple(_notices(catalog)),
        command=f"timbrel train {' '.join(map(shlex.quote, _same_data(catalog)))}",
    )


def _same_data(catalog: Catalog) -> Iterator[str]:
    """The overrides with which `timbrel train` reads the recordings that were scanned."""
    yield f"data.root={printable(str(catalog.root))}"
    if catalog.also:
        further = [printable(str(folder)).replace("'", r"\'") for folder in catalog.also.values()]
        # Each in quotes, as a folder's name may hold a comma.
        yield "data.also=['" + "','".join(further) + "']"
    if any(_silent(file) for file in catalog.training_files):
        yield "data.include_silent=true"
    if catalog.include_generated:
        yield "data.include_generated=true"


def _enough(files: int, total_s: float) -> tuple[str, str, str]:
    if files >= ENOUGH_FILES and total_s >= ENOUGH_S:
        return "good", "Enough to train.", "enough to learn from and to test on."
    few = files < ENOUGH_FILES
    if files >= LEAST_FILES and total_s >= LEAST_S:
        short = (
            f"with fewer than {ENOUGH_FILES} files few are left for testing: scores are inexact."
            if few
            else f"with less than {duration(ENOUGH_S)} of sound the model may overfit."
        )
        return "warn", "Enough to try.", short
    missing = (
        f"at least {LEAST_FILES} recordings are needed"
        if files < LEAST_FILES
        else f"at least {duration(LEAST_S)} of sound are needed"
    )
    return "bad", "Too little to train on.", f"{missing}; add recordings of the same kind."


def _notices(catalog: Catalog) -> Iterator[Notice]:
    files = catalog.training_files
    sounds = [file for file in catalog.files if file.verdict is not Verdict.SKIP]
    skipped = [file for file in sounds if file.verdict is Verdict.SKIP_WARN]
    if skipped:
        share = f"{100 * len(skipped) / len(sounds):.0f} %"
        text = f"{share} of {len(sounds)}: {_named(skipped)}. Each file's card below says why."
        yield Notice("bad", f"{_count(len(skipped), 'file')} cannot be used.", text)
    for file in catalog.own_products:
        yield Notice("note", f"{shortened(printable(file.path), 40)}: not read.", file.reasons[0])
    copies = [file for file in catalog.files if file.duplicate_of is not None]
    if copies:
        text = f"{_named(copies)}. Copies are left out, so that each sound is trained on once."
        yield Notice("note", f"{_count(len(copies), 'duplicate')}.", text)
    silent = [file for file in sounds if _silent(file) and not file.trains]
    silent = [file for file in silent if file.verdict is not Verdict.SKIP_WARN]
    yield from _of_files(
        "note",
        silent,
        "with nothing but silence",
        "Left out of training; data.include_silent=true keeps them.",
    )
    yield from _of_files(
        "warn",
        [file for file in files if (file.clipped_share or 0) > CLIPPED_SHARE],
        "clipped",
        "The model learns the distortion too. If you do not want that, record them again at a "
        "lower gain, or remove them.",
    )
    yield from _of_files(
        "note",
        [file for file in files if (file.duration_s or 0) < _VERY_SHORT_S],
        f"shorter than {duration(_VERY_SHORT_S)}",
        "They are repeated to fill a training example; there is nothing to do.",
    )
    yield from _of_files(
        "warn",
        [file for file in files if (file.silence_share or 0) > _MOSTLY],
        "mostly silent",
        "Trim them, or raise their level: otherwise training spends most of its time on silence.",
    )
    yield from _rates(files)
    yield from _levels(files)


def _silent(file: FileReport) -> bool:
    return bool(file.n_samples) and file.peak is not None and file.peak <= SILENT_PEAK


def _of_files(
    kind: Literal["warn", "note"], files: Sequence[FileReport], what: str, advice: str
) -> Iterator[Notice]:
    """How many files are what, some by name, and what to do; nothing where there are none."""
    if files:
        heading = f"{_count(len(files), 'file')} {what}."
        yield Notice(kind, heading, f"{_named(files)}. {advice}")


def _rates(files: Sequence[FileReport]) -> Iterator[Notice]:
    rates = sorted({file.rate_hz for file in files if file.rate_hz})
    dull = [file for file in files if file.rate_hz and file.rate_hz < 32_000]
    yield from _of_files(
        "warn",
        dull,
        "at a low sample rate",
        "They hold nothing above half their sample rate, so the model will sound dull: record them "
        "again at 44.1 kHz or more, or leave them out.",
    )
    if not dull and len(rates) > 1:
        named = ", ".join(f"{rate / 1000:g}" for rate in rates)
        text = f"{named} kHz. Files are resampled to one rate; there is nothing to do."
        yield Notice("note", "Mixed sample rates.", text)


def _levels(files: Sequence[FileReport]) -> Iterator[Notice]:
    levels = [f.loudness_lufs for f in files if f.loudness_lufs is not None]
    levels = [level for level in levels if math.isfinite(level)]
    if levels and max(levels) - min(levels) > _LEVELS_APART_LU:
        text = (
            f"From {number(min(levels))} to {number(max(levels))} LUFS. Quiet files count as much "
            "as loud ones in training. If their levels do not matter to you, set "
            "data.normalise=loudness."
        )
        yield Notice("note", "Levels differ widely.", text)


def _count(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}" if number_of == 1 else f"{number_of} {noun}s"


def _named(files: Sequence[FileReport]) -> str:
    names = [shortened(printable(file.path), 40) for file in files[:_NAMED]]
    more = len(files) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
