"""An evaluation as tables on the terminal: parts and controls side by side, then the gates."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from timbrel import streams
from timbrel.analysis.evaluation import MODEL, NATS_PER_SECOND, NOISE, SILENCE, MeanScore
from timbrel.analysis.gates import Gate
from timbrel.analysis.generated_sounds import GeneratedSounds, SetDistances
from timbrel.data.split.lists import PARTS
from timbrel.metrics.intervals import Interval
from timbrel.metrics.scores import SCORES
from timbrel.words import printable

_STYLES = {"yes": "green", "no": "bold red", "unknown": "yellow"}


def print_evaluation(
    summary: Sequence[MeanScore],
    gates: Sequence[Gate],
    latent_values_per_second: float,
    generated: GeneratedSounds | None = None,
    console: Console | None = None,
) -> None:
    """Print both tables, the KL of the code, and how far generated sounds lie from recordings."""
    console = console or Console(highlight=False, file=streams.styled())
    console.print(_scores(summary))
    console.print(
        f"{latent_values_per_second:,.0f} latent values per second. Means over files, with 95 % "
        "intervals; \u2193 lower is better, \u2191 higher.\n"
    )
    if generated is not None and generated.distances.kad is not None:
        console.print(_invented(generated.distances) + "\n")
    console.print(_gates(gates))


def _invented(sets: SetDistances) -> str:
    """Distances of generated from training clips, beside those of held-out recordings."""
    distances = f"kernel distance {sets.kad}, Fréchet {sets.frechet}"
    text = f"Generated sounds, by {sets.embedding}: {distances}"
    if sets.kad_held_out is None:
        return f"{text}; no held-out recordings to compare with."
    return f"{text}; held-out recordings: {sets.kad_held_out}, {sets.frechet_held_out}."


def _scores(summary: Sequence[MeanScore]) -> Table:
    cells = {(s.part, s.system, s.metric): s.interval for s in summary}
    columns = [(part, MODEL) for part in PARTS]
    columns += [(part, system) for system in (SILENCE, NOISE) for part in PARTS]
    present = [c for c in columns if any(key[:2] == c for key in cells)]
    table = Table(title="evaluation", title_justify="left", padding=(0, 0, 0, 1))
    table.add_column("", min_width=9)
    for part, system in present:
        table.add_column(part if system == MODEL else system, justify="right")
    files = [next(i.n for key, i in cells.items() if key[:2] == column) for column in present]
    table.add_row("files", *map(str, files))
    rows = {name: score.heading for name, score in SCORES.items()}
    for metric, heading in {**rows, NATS_PER_SECOND: "nats per second"}.items():
        values = [cells.get((*column, metric)) for column in present]
        if any(values):
            table.add_row(heading, *map(_cell, values))
    return table


def _cell(interval: Interval | None) -> str:
    """`1.39` over `1.21 .. 1.55`; no bounds where one file allows none."""
    if interval is None:
        return ""
    mean = _number(interval.mean)
    if math.isnan(interval.low):
        return mean
    return f"{mean}\n{_number(interval.low)} .. {_number(interval.high)}"


def _number(value: float) -> str:
    """Three digits or so.

    >>> _number(1.23456), _number(-12.3456), _number(1234.5)
    ('1.23', '-12.3', '1234')
    """
    size = abs(value)
    return f"{value:.2f}" if size < 10 else f"{value:.1f}" if size < 100 else f"{value:.0f}"


def _gates(gates: Sequence[Gate]) -> Table:
    table = Table(title="gates", title_justify="left")
    table.add_column("gate", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("limit", justify="right", no_wrap=True)
    table.add_column("passed", no_wrap=True)
    table.add_column("meaning")
    for gate in gates:
        value, limit = ("" if math.isnan(x) else f"{x:.3g}" for x in (gate.value, gate.limit))
        verdict = Text(gate.verdict, style=_STYLES[gate.verdict])
        table.add_row(gate.name, value, limit, verdict, Text(printable(gate.meaning)))
    return table
