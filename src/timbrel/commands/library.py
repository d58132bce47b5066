"""`timbrel library list|show|presets|compare`: what was trained here, in a table or a screen."""

import csv
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from timbrel.commands.terminal import UNKNOWN, Parser, count
from timbrel.errors import UserError, did_you_mean, folder_fault
from timbrel.metrics.scores import SCORES
from timbrel.paths import user_path
from timbrel.runs.finder import FOLDERS, Entry, find, locate, summarise
from timbrel.words import duration, printable

_PAGE = """\
timbrel library: the runs and models you have.

Usage
  timbrel library list [FOLDER ...] [--sort KEY] [--csv]   one line per run, newest first
  timbrel library show RUN                                 settings and scores of one run or model
  timbrel library presets RUN                              the sounds that are kept by name
  timbrel library compare RUN RUN ...                      the same as timbrel compare

RUN is a run folder, a model bundle, or a part of a run's name that no other run has.
`list` searches outputs/ and sweeps/ unless you name folders.

Keys of --sort
  {keys}
"""
_COMMANDS = ("list", "show", "presets", "compare")

Column = tuple[str, Callable[[Entry], Any], Callable[[Entry], str]]


def main(argv: Sequence[str]) -> int:
    """The exit status of `timbrel library ...`. Raises UserError for a mistake of the user's."""
    if not argv or argv[0] in ("--help", "-h", "help"):
        sys.stdout.write(_PAGE.format(keys=", ".join(_columns())))
        return 0
    command, rest = argv[0], list(argv[1:])
    if command == "compare":
        from timbrel.commands import compare as compare_command

        return compare_command.main(rest, program="timbrel library compare")
    if command == "list":
        return _list(rest)
    if command == "show":
        return _show(rest)
    if command == "presets":
        return _presets(rest)
    hint = did_you_mean(command, _COMMANDS, cutoff=0.4)
    raise UserError(f"library {command}: no such command ({', '.join(_COMMANDS)}){hint}")


def sort_keys() -> list[str]:
    """What `list --sort` takes."""
    return list(_columns())


def _list(words: Sequence[str]) -> int:
    parser = Parser(
        "timbrel library list",
        description="One line per run or model, newest first. Scores are those of the test files; "
        "with their 95 %% interval over files where the run has been evaluated.",
    )
    parser.add_argument("folders", nargs="*", metavar="FOLDER")
    parser.add_argument("--sort", metavar="KEY", default="when", help="order by this column")
    parser.add_argument("--csv", action="store_true", help="every column, plain, for other tools")
    given = parser.parse_intermixed_args(list(words))
    columns = _columns()
    if given.sort not in columns:
        hint = did_you_mean(given.sort, columns, cutoff=0.4)
        raise UserError(f"--sort={given.sort}: no such key ({', '.join(columns)}){hint}")
    folders = [user_path(text) for text in given.folders] or [*FOLDERS]
    for folder in folders if given.folders else ():
        if fault := folder_fault(folder):
            raise UserError(f"'{folder}': {fault}")
    entries = _ordered(_entries(folders), given.sort)
    if given.csv:
        _write_csv(entries)
        return 0
    if not entries:
        where = ", ".join(f"{folder}/" for folder in folders)
        sys.stdout.write(f"no runs in {where}: timbrel train makes one\n")
        return 0
    wide = shutil.get_terminal_size((200, 24)).columns if sys.stdout.isatty() else 400
    sys.stdout.write(_table(entries, wide))
    return 0


def _show(words: Sequence[str]) -> int:
    parser = Parser("timbrel library show", description="One run or model on one screen.")
    parser.add_argument("run", metavar="RUN", help="run folder, bundle, or a part of its name")
    given = parser.parse_args(list(words))
    from timbrel.commands.library_screen import screen

    sys.stdout.write(screen(locate(given.run)))
    return 0


def _presets(words: Sequence[str]) -> int:
    parser = Parser(
        "timbrel library presets",
        description="The presets of a model: name, length, what it was made by, and its file. "
        "generate preset.save=NAME keeps one, source=preset input=NAME plays it.",
    )
    parser.add_argument("run", metavar="RUN", help="run folder, bundle, or a part of its name")
    given = parser.parse_args(list(words))
    from timbrel.library.bundle import locate_bundle  # torch: only whoever asks for it waits
    from timbrel.library.card import read_card, read_frontend
    from timbrel.library.presets import preset_paths, read_values

    folder = locate_bundle(locate(given.run))
    card, frontend = read_card(folder), read_frontend(folder / "frontend.json")
    found = preset_paths(folder, card.model_hash)
    for name, path in found.items():
        try:
            values = read_values(path)
        except UserError as error:
            sys.stderr.write(f"passed over: {error}\n")
            continue
        length_s = values["n_samples"] / frontend.sample_rate_hz
        made = f"{values['made'].get('source')} seed={values['made'].get('seed')}"
        sys.stdout.write(f"{name}  {length_s:.2f} s  {printable(made)}  {printable(str(path))}\n")
    if not found:
        sys.stdout.write(f"no presets of {card.name}: generate preset.save=NAME makes one\n")
    return 0


def _entries(folders: Sequence[Path]) -> list[Entry]:
    entries, seen = [], set()
    for path in find([folder for folder in folders if folder.is_dir()]):
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        try:
            entries.append(summarise(path))
        except UserError as error:
            sys.stderr.write(f"passed over: {error}\n")
    return entries


def _ordered(entries: list[Entry], key: str) -> list[Entry]:
    """By the column, best or first first; unknown last; equal ones newest first."""
    value = _columns()[key][1]
    newest = sorted(entries, key=lambda entry: entry.when, reverse=True)
    known = [entry for entry in newest if value(entry) is not None]
    descending = key == "when" or (key in SCORES and SCORES[key].better == "higher")
    known.sort(key=value, reverse=descending)
    return known + [entry for entry in newest if value(entry) is None]


def _columns() -> dict[str, Column]:
    """Key to heading, value (None where unknown) and words."""
    columns: dict[str, Column] = {
        "name": ("run", lambda e: str(e.run.folder), lambda e: str(e.run.folder)),
        "when": ("when", lambda e: e.when, lambda e: f"{e.when:%Y-%m-%d %H:%M}"),
        "data": ("data", lambda e: e.data, lambda e: e.data or UNKNOWN),
        "architecture": ("architecture", lambda e: e.architecture, lambda e: e.architecture or "-"),
        "latent": ("latent", lambda e: e.latent, lambda e: e.latent or UNKNOWN),
        "steps": ("steps", lambda e: e.steps, lambda e: str(e.steps or UNKNOWN)),
        "time": ("time", lambda e: e.elapsed_s, _time),
        "parameters": ("params", lambda e: e.parameters, lambda e: count(e.parameters)),
        "status": ("status", lambda e: e.status, lambda e: e.status),
    }
    for name in ("mrstft", "log_mel_l1"):
        columns[name] = (SCORES[name].title, _score(name), _score_words(name))
    return columns


def _score(name: str) -> Callable[[Entry], float | None]:
    return lambda entry: entry.scores[name].mean if name in entry.scores else None


def _score_words(name: str) -> Callable[[Entry], str]:
    def words(entry: Entry) -> str:
        score = entry.scores.get(name)
        if score is None or math.isnan(score.mean):
            return UNKNOWN
        interval = f" [{score.low:.2f} {score.high:.2f}]" if score.has_interval else ""
        return f"{score.mean:.3f}{interval}"

    return words


def _time(entry: Entry) -> str:
    """The time that the training took; if unknown its time limit, marked as such."""
    if entry.elapsed_s is not None:
        return duration(entry.elapsed_s)
    return f"max {entry.time_limit}" if entry.time_limit else UNKNOWN


_SHOWN = [
    "name",
    "when",
    "data",
    "architecture",
    "latent",
    "steps",
    "time",
    "mrstft",
    "log_mel_l1",
    "parameters",
    "status",
]
# Left out in this order where the terminal is too narrow: a name tells the first three.
_DISPENSABLE = ("when", "parameters", "latent", "data", "time", "log_mel_l1", "architecture")
_RIGHT = frozenset(["steps", "parameters"])


def _table(entries: Sequence[Entry], width: int) -> str:
    columns = _columns()
    shown = [*_SHOWN]
    cells = {
        key: [columns[key][0], *(printable(columns[key][2](e)) for e in entries)] for key in shown
    }
    widths = {key: max(map(len, texts)) for key, texts in cells.items()}
    for key in _DISPENSABLE:
        if sum(widths[k] + 2 for k in shown) - 2 <= width:
            break
        shown.remove(key)
    lines = []
    for index in range(len(entries) + 1):
        words = [
            cells[key][index].rjust(widths[key])
            if key in _RIGHT
            else cells[key][index].ljust(widths[key])
            for key in shown
        ]
        lines.append("  ".join(words).rstrip())
    return "\n".join(lines) + "\n"


def _write_csv(entries: Sequence[Entry]) -> None:
    heads = "folder kind when data architecture latent steps elapsed_s max_time parameters status"
    metrics = [f"{name}{end}" for name in SCORES for end in ("", "_low", "_high")]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*heads.split(), *(f"test_{name}" for name in metrics)])
    for e in entries:
        scores: list[Any] = []
        for name in SCORES:
            score = e.scores.get(name)
            interval = [score.low, score.high] if score and score.has_interval else ["", ""]
            scores += [score.mean if score else "", *interval]
        fields = [e.run.folder, e.kind, e.when.isoformat(), e.data, e.architecture, e.latent]
        fields += [e.steps, e.elapsed_s, e.time_limit, e.parameters, e.status]
        writer.writerow(["" if value is None else str(value) for value in fields + scores])
