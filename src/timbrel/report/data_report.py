"""The page of a folder of recordings: whether it suffices, what to fix, and every file."""

import math
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import soundfile
from markupsafe import Markup
from matplotlib.figure import Figure

from timbrel.attributes.measurement import PitchMethod
from timbrel.audio.level import decibels
from timbrel.data.augmentation import Augment
from timbrel.data.measured.attribute_table import MOST_S, AttributeTable, Progress, measure_files
from timbrel.data.scan.catalog import Catalog, FileReport
from timbrel.data.scan.verdicts import Verdict
from timbrel.errors import UserError
from timbrel.report.data_advice import Advice, advise
from timbrel.report.data_attributes import attribute_section
from timbrel.report.data_augmentation import augmented_files, transforms_words
from timbrel.report.data_factors import factors
from timbrel.report.data_measures import Look, look_at_all
from timbrel.report.figures import bars, histogram, waveform_thumbnail
from timbrel.report.page import (
    audio_player,
    drawing,
    number,
    render_page,
    write_page,
)
from timbrel.report.run_listening import Hear, excerpt
from timbrel.words import duration, printable

MOST_PLAYERS = 40
_PLAYER_BYTES = 8_000_000
_SECONDS = (10.0, 6.0, 4.0, 2.0, 1.0, 0.5)
_ORDER = (Verdict.SKIP_WARN, Verdict.ACCEPT_WARN, Verdict.ACCEPT)
_TAGS = {
    Verdict.SKIP_WARN: ("bad", "✗ left out"),
    Verdict.ACCEPT_WARN: ("warn", "! has a warning"),
    Verdict.ACCEPT: ("good", "✓ ok"),
}


@dataclass(frozen=True)
class Card:
    """One file as the page shows it; `tag` is its colour and word."""

    name: str
    tag: tuple[str, str]
    facts: str
    reasons: str
    waveform: Markup | None
    player: Markup | None


def write_data_report(
    catalog: Catalog,
    path: Path,
    *,
    name: str,
    threads: int | None = None,
    cache_folder: Path | None = None,
    workers: int | None = None,
    augment: Augment | None = None,
    pitch: PitchMethod = "yin",
    progress: Progress | None = None,
    hear: Hear = excerpt,
) -> Advice:
    """Write the page of `catalog` to `path` (its folder is made), and return what it advises.

    Usable files are read once more, for their waveform and brightness, by `threads` threads (None:
    one per core, four at most). With `cache_folder` the attributes of those that train are shown;
    `workers` processes measure what is not kept there yet (None: by cores and length; 0: none), f0
    by `pitch`, and `progress` is told.
    With `augment` a few recordings are shown before and after it, and written beside the page.
    `hear` reads what is played; what is measured is the file as it is.
    Raises UserError where `path` cannot be written, and as `augmented_files`.
    """
    shown = sorted(
        (file for file in catalog.files if file.verdict in _ORDER),
        key=lambda file: (_ORDER.index(file.verdict), file.path),
    )
    usable = [file for file in shown if file.verdict is not Verdict.SKIP_WARN]
    paths = [(catalog.absolute(file), file.n_samples or 0) for file in usable]
    seconds = _player_seconds(usable)
    with _quiet_decoders():
        found = look_at_all(paths, threads=threads or min(4, os.cpu_count() or 1))
        looks = {file.path: look for file, look in zip(usable, found, strict=True) if look}
        table = None
        if cache_folder is not None and catalog.training_files:
            table = measure_files(
                catalog, folder=cache_folder, pitch=pitch, workers=workers, progress=progress
            )
            looks |= _with_measured_centroid(looks, table)
        cards = [_card(catalog, file, looks.get(file.path), seconds, hear) for file in shown]
    advice = advise(catalog)
    values = _values(catalog, name, advice, cards, looks, seconds, table)
    if values["attributes"] is not None:
        advice = replace(advice, voiced=values["attributes"].voiced)
    if augment is not None and catalog.training_files:
        clips = path.with_name(f"{path.stem}_augmentation")
        values["augmented"] = augmented_files(catalog, augment, clips, hear=hear)
        values["transforms"] = transforms_words(augment)
        values["clips"] = printable(str(clips))
        values["contents"].insert(-1, ("augmentation", "Augmentation"))
    write_page(path, render_page("data.html.j2", **values))
    return advice


def _with_measured_centroid(looks: dict[str, Look], table: AttributeTable) -> dict[str, Look]:
    """The page has one centroid per file: where attributes are measured, theirs."""
    values, defined = table.column("centroid_hz")
    return {
        name: replace(looks[name], centroid_hz=float(value))
        for name, value, known in zip(table.names, values, defined, strict=True)
        if known and name in looks
    }


@contextmanager
def _quiet_decoders() -> Iterator[None]:
    """The MP3 decoder writes notes of its own to stderr; the scan has told what is wrong."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _values(
    catalog: Catalog,
    name: str,
    advice: Advice,
    cards: Sequence[Card],
    looks: dict[str, Look],
    seconds: float,
    measured: AttributeTable | None,
) -> dict[str, Any]:
    counts = catalog.counts()
    files = catalog.training_files
    attributes = attribute_section(catalog, measured) if measured else None
    table, columns = factors(catalog)
    groups = _duplicates(catalog)
    contents = [("enough", "Enough to train?"), ("numbers", "In numbers")]
    contents += [("spread", "Distributions")] if files else []
    contents += [("attributes", "Attributes")] if measured else []
    contents += [("duplicates", "Duplicates")] if groups else []
    contents += [("factors", "Factors")] if columns else []
    return {
        "kind": "recordings",
        "title": name,
        "lead": printable(str(catalog.root)),
        "advice": advice,
        "facts": [
            ("files that train", f"{len(files)}"),
            ("total length", duration(sum(file.duration_s or 0.0 for file in files))),
            ("ok", f"{counts[Verdict.ACCEPT]}"),
            ("with a warning", f"{counts[Verdict.ACCEPT_WARN]}"),
            ("left out", f"{counts[Verdict.SKIP_WARN]}"),
            ("duplicates", f"{sum(len(copies) for _, copies in groups)}"),
            ("files that are not audio", f"{counts[Verdict.SKIP] - len(catalog.own_products)}"),
            *(
                [("with a clear pitch, of what sounds", f"{attributes.voiced:.0%}")]
                if attributes
                else []
            ),
        ],
        "figures": _figures(files, looks, brightness=measured is None),
        "attributes": attributes,
        "augmented": [],
        "most_s": MOST_S,
        "groups": groups,
        "table": table,
        "columns": columns,
        "cards": cards,
        "said_of_players": _said_of_players(cards, seconds),
        "contents": [*contents, ("files", "File by file")],
    }


def _figures(
    files: Sequence[FileReport], looks: dict[str, Look], *, brightness: bool
) -> list[tuple[str, Markup]]:
    """Distributions over the files that train, each with its title."""
    if not files:
        return []
    levels = [file.loudness_lufs for file in files if file.loudness_lufs is not None]
    peaks = [decibels(file.peak) for file in files if file.peak]
    seen = [looks[file.path] for file in files if file.path in looks]
    rms = [decibels(look.rms) for look in seen]
    centroids = [look.centroid_hz for look in seen]
    durations = [file.duration_s or math.nan for file in files]
    figures: list[tuple[str, list[float], Figure]] = [
        ("Length", durations, histogram(durations, x_label="length in s", log_x=True)),
        ("Loudness", levels, histogram(levels, x_label="gated loudness in LUFS")),
        ("Peak", peaks, histogram(peaks, x_label="peak in dBFS")),
        ("RMS level", rms, histogram(rms, x_label="RMS level in dBFS")),
    ]
    if brightness:
        centroid_figure = histogram(centroids, x_label="spectral centroid in Hz", log_x=True)
        figures.append(("Brightness", centroids, centroid_figure))
    drawn = [(title, drawing(figure, _told(title, values))) for title, values, figure in figures]
    rates = Counter(
        f"{(file.rate_hz or 0) / 1000:g} kHz, "
        + {1: "mono", 2: "stereo"}.get(file.channels or 0, f"{file.channels} channels")
        for file in sorted(files, key=lambda file: (file.rate_hz or 0, file.channels or 0))
    )
    size_in = (4.2, max(1.2, 0.5 + 0.32 * len(rates)))
    words = "; ".join(f"{count} at {rate}" for rate, count in rates.items())
    drawn.append(
        ("Sample rates and channels", drawing(bars(rates, x_label="files", size_in=size_in), words))
    )
    return drawn


def _told(title: str, values: Sequence[float]) -> str:
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return f"{title}: unknown for every file"
    middle = finite[len(finite) // 2]
    return (
        f"{title} of {len(finite)} files: from {number(finite[0])} to {number(finite[-1])}, "
        f"median {number(middle)}"
    )


def _duplicates(catalog: Catalog) -> list[tuple[str, list[str]]]:
    """The first of every group of equal files, with its copies."""
    groups: dict[str, list[str]] = {}
    for file in catalog.files:
        if file.duplicate_of is not None:
            groups.setdefault(file.duplicate_of, []).append(file.path)
    return sorted(groups.items())


def _player_seconds(files: Sequence[FileReport]) -> float:
    """How much of each file can be heard on the page; 0 where there are too many."""
    if not 0 < len(files) <= MOST_PLAYERS:
        return 0.0
    for seconds in _SECONDS:
        size = sum(
            2
            * min(2, file.channels or 1)
            * (file.rate_hz or 0)
            * min(seconds, file.duration_s or 0)
            for file in files
        )
        if size <= _PLAYER_BYTES:
            return seconds
    return 0.0


def _said_of_players(cards: Sequence[Card], seconds: float) -> str:
    if not seconds:
        return (
            f"There are no players, because there are more than {MOST_PLAYERS} files or very large "
            "ones."
        )
    if any(card.player for card in cards):
        return f"The players hold the first {duration(seconds)} of longer files."
    return ""


def _card(
    catalog: Catalog, file: FileReport, look: Look | None, seconds: float, hear: Hear
) -> Card:
    facts = ""
    if file.rate_hz is not None:
        channels = {1: "mono", 2: "stereo"}.get(file.channels or 0, f"{file.channels} channels")
        parts = [duration(file.duration_s), f"{file.rate_hz / 1000:g} kHz", channels]
        if file.loudness_lufs is not None and math.isfinite(file.loudness_lufs):
            parts.append(f"{number(file.loudness_lufs)} LUFS")
        if file.peak:
            parts.append(f"peak {number(decibels(file.peak))} dBFS")
        if look is not None and math.isfinite(look.centroid_hz):
            parts.append(f"centroid {number(look.centroid_hz)} Hz")
        facts = " · ".join(parts)
    wave = waveform_thumbnail(look.envelope, "") if look is not None else None
    player = _player(catalog, file, seconds, hear) if look is not None and seconds else None
    reasons = printable(" ".join(file.reasons))
    return Card(file.path, _tag(file), facts, reasons, wave, player)


def _tag(file: FileReport) -> tuple[str, str]:
    if file.duplicate_of is not None:
        return "note", "= duplicate, left out"
    if file.verdict is Verdict.ACCEPT_WARN and not file.trains:
        return "warn", "! silent, left out"
    return _TAGS[file.verdict]


def _player(catalog: Catalog, file: FileReport, seconds: float, hear: Hear) -> Markup | None:
    try:
        audio, rate_hz = hear(catalog.absolute(file), seconds)
        return audio_player(audio, rate_hz, file.path)
    except (UserError, soundfile.LibsndfileError):
        return None  # FLAC has no room for some rates: the card stands without a player
