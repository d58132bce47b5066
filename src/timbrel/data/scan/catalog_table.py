"""The catalog as a table for the terminal."""

from rich import box
from rich.table import Table
from rich.text import Text

from timbrel.data.scan.catalog import Catalog, FileReport
from timbrel.data.scan.verdicts import Verdict
from timbrel.words import duration, printable

NAME_CHARACTERS = 24
_ORDER = (Verdict.SKIP_WARN, Verdict.ACCEPT_WARN, Verdict.ACCEPT)
_MARK = {
    Verdict.SKIP_WARN: ("✗", "red"),
    Verdict.ACCEPT_WARN: ("!", "yellow"),
    Verdict.ACCEPT: ("✓", "green"),
    Verdict.SKIP: ("-", "dim"),
}


def catalog_table(catalog: Catalog) -> Table:
    """One row per file, what needs attention first; entries that are no sound are not shown.

    What timbrel wrote itself comes last.
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        caption=summary(catalog),
        caption_justify="left",
    )
    table.add_column("", no_wrap=True)
    table.add_column("file", no_wrap=True)
    table.add_column("format", no_wrap=True)
    for heading in ("kHz", "ch", "s", "LUFS"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("why", min_width=14)
    for verdict in _ORDER:
        for file in catalog.files:
            if file.verdict is verdict:
                table.add_row(*_row(file))
    for file in catalog.own_products:
        table.add_row(*_row(file))
    return table


def summary(catalog: Catalog) -> str:
    """Counts, what trains and how long it is, in one line."""
    counts = catalog.counts()
    training = catalog.training_files
    duplicates = sum(file.duplicate_of is not None for file in catalog.files)
    parts = [
        f"{sum(counts[verdict] for verdict in _ORDER)} files: {counts[Verdict.ACCEPT]} ok (✓)",
        f"{counts[Verdict.ACCEPT_WARN]} with a warning (!)",
        f"{counts[Verdict.SKIP_WARN]} left out (✗)",
        f"{duplicates} duplicates",
    ]
    duration_s = sum(file.duration_s or 0.0 for file in training)
    own = f"; {len(catalog.own_products)} by timbrel (-), left out" if catalog.own_products else ""
    return f"{', '.join(parts)}{own}; {len(training)} train, {duration(duration_s)}"


def shortened(name: str, characters: int = NAME_CHARACTERS) -> str:
    """`name` with its middle left out where it is longer than `characters`.

    >>> shortened("kick_long_name.wav", 11)
    'kick_…e.wav'
    """
    if len(name) <= characters:
        return name
    tail = (characters - 1) // 2
    return f"{name[: characters - 1 - tail]}…{name[-tail:]}"


def _row(file: FileReport) -> list[Text]:
    mark, style = _MARK[file.verdict]
    cells = [""] * 5
    if file.rate_hz is not None:
        cells = [
            f"{file.format}",
            f"{file.rate_hz / 1000:g}",
            f"{file.channels}",
            f"{file.duration_s:.2f}",
            "" if file.loudness_lufs is None else f"{file.loudness_lufs:.1f}",
        ]
    # Text, not str: brackets in a file's name are not markup.
    return [
        Text(mark, style=style),
        Text(shortened(printable(file.path))),
        *map(Text, cells),
        Text(printable(" ".join(file.reasons))),
    ]
