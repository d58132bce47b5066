"""Quality against training time: a grid of trainings, and the table and the picture of it.

    python benchmarks/quality.py DATA_FOLDER SPLITS.json --themes drums_oneshots \\
        --architectures spectral rave --minutes 2 8 --out FOLDER
    python benchmarks/quality.py --table-only --out FOLDER

A theme is a folder in DATA_FOLDER and an entry of SPLITS.json. Cells are trained one after the
other as `timbrel train` processes, each in `FOLDER/<theme>_<architecture>_<minutes>m_seed<seed>/`
(its output in `train.log`, what became of it in `cell.json`). Called again, the grid goes on:
finished cells are skipped, a training that was cut short is resumed, a failed one is tried again.
Then `quality.csv`, `quality.md` and `quality.svg` are written (`--results FOLDER`).

One training per cell: the intervals are over the test files and say nothing about other seeds.
"""

import argparse
import csv
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from timbrel.errors import UserError
from timbrel.runs.folder import Run, read_run

HERE = Path(__file__).parent
CELL_FILE, LOG_FILE = "cell.json", "train.log"
MODEL, CONTROLS = "model", ("noise", "silence")
METRICS = {
    "mrstft": "MR-STFT",
    "log_mel_l1": "log-mel L1",
    "loudness_error_lu": "loudness error, LU",
    "si_sdr_db": "SI-SDR, dB",
    "pitch_accuracy": "pitch accuracy",
    "pitch_error_cents": "pitch error, cents",
    "brightness_error_octaves": "brightness error, octaves",
    "attack_error_decades": "attack error, decades",
    "decay_error_octaves": "decay error, octaves",
    "frame_rate_lines_db": "frame-rate lines, dB",
}
TIMBREL = Path(sys.executable).with_name("timbrel")


@dataclass(frozen=True)
class Cell:
    """One training of the grid."""

    theme: str
    architecture: str
    minutes: float
    seed: int

    @property
    def name(self) -> str:
        """Its folder: theme, architecture, minutes and seed."""
        return f"{self.theme}_{self.architecture}_{self.minutes:g}m_seed{self.seed}"

    def overrides(self, data: Path, splits: Path) -> list[str]:
        """What `timbrel train` is told."""
        return [
            f"data.root={data / self.theme}",
            f"data.split_file={splits}",
            f"data.split_theme={self.theme}",
            "data.validation_fraction=0.15",
            f"architecture={self.architecture}",
            f"trainer.max_time={self.minutes:g}m",
            f"seed={self.seed}",
            "logger=wandb",
        ]


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: `done` or `failed`, in how long, beside what other load."""

    cell: Cell
    state: str
    run: str | None
    wall_s: float
    load_at_start: float
    message: str


def train_cell(cell: Cell, folder: Path, overrides: Sequence[str]) -> Outcome:
    """Train `cell` in `folder`, going on where an earlier training was cut short."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = run_of(folder)
    resuming = begun is not None and (begun / "last.ckpt").exists()
    arguments = [f"run={begun}"] if resuming and begun else list(overrides)
    load = os.getloadavg()[0]
    start_s = time.monotonic()
    with (folder / LOG_FILE).open("a") as log:
        log.write(f"\n$ timbrel train {' '.join(arguments)}\n")
        log.flush()
        command = [str(TIMBREL), "train", *arguments]
        code = subprocess.run(command, cwd=folder, stdout=log, stderr=log).returncode
    run = run_of(folder)
    outcome = Outcome(
        cell=cell,
        state="done" if code == 0 else "failed",
        run=None if run is None else run.name,
        wall_s=round(time.monotonic() - start_s, 1),
        load_at_start=round(load, 2),
        message=_last_line(folder / LOG_FILE),
    )
    (folder / CELL_FILE).write_text(json.dumps(asdict(outcome), indent=1) + "\n")
    return outcome


def run_of(folder: Path) -> Path | None:
    """The newest run folder of a cell, absolute."""
    runs = sorted((folder / "outputs").glob("*/config.yaml"), key=lambda path: path.stat().st_mtime)
    return runs[-1].parent.absolute() if runs else None


def outcome_of(folder: Path) -> Outcome | None:
    """What is known of the cell in `folder`."""
    try:
        told = json.loads((folder / CELL_FILE).read_text())
    except FileNotFoundError:
        return None
    return Outcome(**{**told, "cell": Cell(**told["cell"])})


def _last_line(log: Path) -> str:
    """The last line that a terminal would show: what stands behind the last carriage return."""
    lines = [line for line in re.split(r"[\r\n]+", log.read_text(errors="replace")) if line.strip()]
    return lines[-1].strip() if lines else ""


def train_grid(cells: Sequence[Cell], out: Path, data: Path, splits: Path) -> int:
    """Train what is not finished, back to back; the number of cells that failed."""
    failures = 0
    for number, cell in enumerate(cells, 1):
        folder = out / cell.name
        before = outcome_of(folder)
        if before is not None and before.state == "done":
            print(f"{number}/{len(cells)} {cell.name}: done before", flush=True)
            continue
        print(f"{number}/{len(cells)} {cell.name}: training", flush=True)
        outcome = train_cell(cell, folder, cell.overrides(data, splits))
        failures += outcome.state == "failed"
        print(f"    {outcome.state} in {outcome.wall_s:.0f} s: {outcome.message}", flush=True)
    return failures


def table(out: Path) -> list[dict[str, object]]:
    """One row per finished cell in `out`, and each theme's controls: scores of the test files."""
    rows: list[dict[str, object]] = []
    controls: dict[str, list[dict[str, object]]] = {}
    for path in sorted(out.glob(f"*/{CELL_FILE}")):
        outcome = outcome_of(path.parent)
        if outcome is None or outcome.state != "done" or outcome.run is None:
            continue
        run = read_run(path.parent / "outputs" / outcome.run)
        if run.evaluation is None:
            print(f"{outcome.cell.name}: no evaluation/; leave its row out", file=sys.stderr)
            continue
        cell = outcome.cell
        rows.append(
            {
                "theme": cell.theme,
                "system": cell.architecture,
                "minutes": cell.minutes,
                "seed": cell.seed,
                **_scores(run, MODEL),
                **_pace(run, cell.minutes),
                "wall_s": outcome.wall_s,
                "load_at_start": outcome.load_at_start,
                "run": outcome.run,
            }
        )
        if cell.theme not in controls:
            found = [{"theme": cell.theme, "system": s, **_scores(run, s)} for s in CONTROLS]
            controls[cell.theme] = [row for row in found if "mrstft" in row]
    rows += [row for theme in controls.values() for row in theme]
    order = {system: place for place, system in enumerate(CONTROLS)}
    return sorted(
        rows,
        key=lambda row: (
            row["theme"],
            order.get(str(row["system"]), -1),
            row.get("minutes", 0),
            row["system"],
            row.get("seed", 0),
        ),
    )


def _scores(run: Run, system: str) -> dict[str, object]:
    """Means and 95 % intervals of the test part, by column name."""
    assert run.evaluation is not None
    columns: dict[str, object] = {}
    for line in run.evaluation.summary:
        if (line["part"], line["system"]) == ("test", system) and line["metric"] in METRICS:
            name = line["metric"]
            columns[name] = line["mean"]
            columns[f"{name}_low"], columns[f"{name}_high"] = line["low"], line["high"]
            columns["files"] = int(line["files"])
    return columns


def _pace(run: Run, minutes: float) -> dict[str, object]:
    """Steps, and audio seconds trained on per second of the time that was given."""
    steps = max((points[-1][0] for points in run.curves.values() if points), default=0)
    data, trainer = run.config["data"], run.config["trainer"]
    step_s = trainer["batch_size"] * data["chunk_samples"] / data["sample_rate_hz"]
    return {"steps": steps, "audio_s_per_s": steps * step_s / (60 * minutes)}


def markdown(rows: Sequence[dict[str, object]]) -> str:
    """The table as Markdown, one per theme: mean and 95 % interval over the test files."""
    return "\n".join(_lines(rows))


def _lines(rows: Sequence[dict[str, object]]) -> Iterator[str]:
    for theme in dict.fromkeys(row["theme"] for row in rows):
        ours = [row for row in rows if row["theme"] == theme]
        files = next((row["files"] for row in ours if "files" in row), 0)
        yield f"### {theme}, {files} test files\n"
        yield f"| | minutes | {' | '.join(METRICS.values())} | steps | audio-s/s |"
        yield "|---" * (4 + len(METRICS)) + "|"
        for row in ours:
            scores = " | ".join(_interval(row, name) for name in METRICS)
            minutes = f"{row['minutes']:g}" if "minutes" in row else ""
            pace = f"{row['audio_s_per_s']:.1f}" if "audio_s_per_s" in row else ""
            yield f"| {row['system']} | {minutes} | {scores} | {row.get('steps', '')} | {pace} |"
        yield ""


def _interval(row: dict[str, object], name: str) -> str:
    mean, low, high = (row.get(f"{name}{end}", math.nan) for end in ("", "_low", "_high"))
    digits = 1 if name == "si_sdr_db" else 3
    if math.isnan(float(str(mean))):
        return ""
    if math.isnan(float(str(low))):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def draw(rows: Sequence[dict[str, object]], path: Path, metric: str = "mrstft") -> None:
    """Score against minutes of training, a panel per theme; the noise control as a dashed line."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "quality"
    themes = list(dict.fromkeys(str(row["theme"]) for row in rows))
    systems = list(dict.fromkeys(str(row["system"]) for row in rows if "minutes" in row))
    figure = Figure(figsize=(4.2 * max(1, len(themes)), 3.4), layout="constrained")
    panels = figure.subplots(1, max(1, len(themes)), squeeze=False)[0]
    for panel, theme in zip(panels, themes, strict=False):
        ours = [row for row in rows if row["theme"] == theme]
        for colour, system in enumerate(systems):
            points = [row for row in ours if row["system"] == system]
            if not points:
                continue
            # side by side, so that intervals do not cover each other
            x = [float(str(row["minutes"])) * 1.03 ** (colour - len(systems) / 2) for row in points]
            y, low, high = (
                [float(str(row[f"{metric}{end}"])) for row in points]
                for end in ("", "_low", "_high")
            )
            below = [max(0.0, m - v) for m, v in zip(y, low, strict=True)]
            above = [max(0.0, v - m) for m, v in zip(y, high, strict=True)]
            style = {"marker": "o", "capsize": 3, "color": f"C{colour}", "label": system}
            panel.errorbar(x, y, yerr=[below, above], **style)
        for row in ours:
            if row["system"] == "noise":
                panel.axhline(float(str(row[metric])), color="grey", ls="--", label="noise control")
        minutes = sorted({float(str(row["minutes"])) for row in ours if "minutes" in row})
        panel.set_xscale("log", base=2)
        panel.set_xticks(minutes, [f"{m:g}" for m in minutes])
        panel.minorticks_off()
        panel.set(title=theme, xlabel="minutes of training", ylabel=METRICS[metric])
        panel.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def write(rows: Sequence[dict[str, object]], results: Path) -> None:
    """`quality.csv`, `quality.md` and `quality.svg` in `results`."""
    results.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with (results / "quality.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(
            {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()} for row in rows
        )
    (results / "quality.md").write_text(markdown(rows))
    draw(rows, results / "quality.svg")


def main() -> int:
    """Train the grid, then write its table; 1 where a cell failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder that holds a folder per theme")
    parser.add_argument("splits", type=Path, nargs="?", help="JSON with an entry per theme")
    parser.add_argument("--themes", nargs="+", default=[])
    parser.add_argument("--architectures", nargs="+", default=["spectral", "rave"])
    parser.add_argument("--minutes", nargs="+", type=float, default=[2.0, 8.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="where the cells are trained")
    parser.add_argument("--results", type=Path, default=HERE, help="where the table is written")
    parser.add_argument("--table-only", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    failures = 0
    if not arguments.table_only:
        if arguments.data is None or arguments.splits is None or not arguments.themes:
            parser.error("training needs DATA_FOLDER, SPLITS.json and --themes")
        needed = [arguments.splits, *(arguments.data / theme for theme in arguments.themes)]
        for missing in (path for path in needed if not path.exists()):
            parser.error(f"{missing}: not there")
        cells = [
            Cell(theme, architecture, minutes, arguments.seed)
            for theme in arguments.themes
            for minutes in arguments.minutes
            for architecture in arguments.architectures
        ]
        data, splits = arguments.data.absolute(), arguments.splits.absolute()
        failures = train_grid(cells, arguments.out, data, splits)
    try:
        rows = table(arguments.out)
    except UserError as error:
        parser.exit(2, f"{error}\n")
    if not rows:
        parser.exit(2, f"{arguments.out}: no finished cell with an evaluation\n")
    write(rows, arguments.results)
    print(markdown(rows))
    print(f"wrote quality.csv, quality.md and quality.svg in {arguments.results}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
