"""Runs beside each other: what differs in what they were given, and in how well they did.

Pure: reads what `run_folder` read. What is drawn and written of it is `report.comparison`'s.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from timbrel.config.walk import leaves
from timbrel.errors import override_text
from timbrel.metrics.scores import SCORES
from timbrel.runs.folder import Run
from timbrel.runs.summary import Score, scores_of

CONTROLS = ("silence", "noise")
MISSING = object()
"""The value of a key that a run does not have."""

_BOOKKEEPING = ("name", "run", "reproduce", "dry_run", "logger", "data.cache_dir", "device.workers")
_OBJECTIVE = ("loss", "latent.weights", "latent.penalty")
_SCORER_PACKAGES = ("timbrel", "auraloss", "torch")
_SAME_CONTROL = 1e-6


@dataclass(frozen=True)
class Caution:
    """A reason why the scores cannot be compared directly, in words."""

    heading: str
    text: str


@dataclass(frozen=True)
class Difference:
    """A key whose values differ; `values` has one per run, MISSING where a run lacks the key."""

    key: str
    values: tuple[Any, ...]
    places: int
    """How many keys of that name have these values (`latent_dim` of encoder, decoder ...)."""

    @property
    def everywhere(self) -> bool:
        """Whether every run has the key."""
        return all(value is not MISSING for value in self.values)


@dataclass(frozen=True)
class ScoreRow:
    """One metric over the runs; None where a run has no such score."""

    metric: str
    heading: str
    scores: tuple[Score | None, ...]
    controls: dict[str, float]
    """Means of silence and noise; empty where the runs' test files differ."""
    best: int | None
    """The run whose interval lies clear of all others on the better side."""
    behind: tuple[int, ...]
    """Runs whose interval lies clear of that of the best mean, on the worse side."""
    verdict: str


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys; a part's `_target_` becomes the part's own key, its class the value.

    >>> flatten({"loss": {"_target_": "a.b.SpectralLoss", "overlap": 4}, "seed": 0})
    {'loss': 'SpectralLoss', 'loss.overlap': 4, 'seed': 0}
    """
    flat: dict[str, Any] = {}
    for key, value in leaves(config):
        part, _, name = key.rpartition(".")
        if name == "_target_":
            flat[part] = str(value).rpartition(".")[2]
        elif value != {}:
            flat[key] = value
    return flat


def differences(runs: Sequence[Run]) -> list[Difference]:
    """The keys of config.yaml whose values differ: first those every run has.

    Keys of one last name and the same values (a width that encoder and decoder share) make one
    row. Names, loggers and other bookkeeping are left out; so are bundles' missing configs.
    """
    flats = [flatten(run.config) for run in runs]
    keys = list(dict.fromkeys(key for flat in flats for key in flat))
    rows: dict[tuple[str, str], Difference] = {}
    for key in keys:
        if any(key == name or key.startswith(f"{name}.") for name in _BOOKKEEPING):
            continue
        values = tuple(flat.get(key, MISSING) for flat in flats)
        if all(_same(value, values[0]) for value in values[1:]):
            continue
        group = (key.rpartition(".")[2], repr(values))
        before = rows.get(group)
        # The key nearest the root names the row: encoder and decoder take theirs from it.
        name = min(before.key, key, key=lambda text: text.count(".")) if before else key
        rows[group] = Difference(name, values, before.places + 1 if before else 1)
    return sorted(rows.values(), key=lambda row: not row.everywhere)


def _same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)  # True == 1


def cautions(runs: Sequence[Run], labels: Sequence[str]) -> list[Caution]:
    """The reasons why these runs cannot be compared directly."""
    return [
        *_data(runs, labels),
        *_unscored(runs, labels),
        *_files(runs, labels),
        *_budget(runs, labels),
        *_versions(runs, labels),
        *_devices(runs, labels),
    ]


def objectives_differ(runs: Sequence[Run]) -> bool:
    """Whether the runs minimised different objectives, so that their losses are no common scale."""
    kinds = [
        {key: value for key, value in flatten(run.config).items() if key.startswith(_OBJECTIVE)}
        for run in runs
    ]
    return any(kind != kinds[0] for kind in kinds[1:])


def compared_part(runs: Sequence[Run]) -> str:
    """The part whose scores are compared: test, or validation where no run has test files."""
    for part in ("test", "validation"):
        if any(scores_of(run, part) for run in runs):
            return part
    return "test"


def score_rows(runs: Sequence[Run], labels: Sequence[str], part: str) -> list[ScoreRow]:
    """Every metric that a run has on `part`, in the order of tables."""
    scores = [scores_of(run, part) for run in runs]
    names = [name for name in SCORES if any(name in found for found in scores)]
    rows = []
    for name in names:
        row = [found.get(name) for found in scores]
        best, behind, verdict = _verdict(name, row, labels)
        controls = _controls(runs, part, name)
        rows.append(
            ScoreRow(name, SCORES[name].heading, tuple(row), controls, best, behind, verdict)
        )
    return rows


def wins(runs: Sequence[Run], part: str, metric: str) -> tuple[list[int], int]:
    """How many files each run is the best in, of those that all runs scored; and of how many."""
    tables = [_by_file(run, part, metric) for run in runs]
    common = [name for name in tables[0] if all(name in table for table in tables[1:])]
    counts = [0] * len(runs)
    for name in common:
        values = [table[name] for table in tables]
        best = min(values) if SCORES[metric].better == "lower" else max(values)
        if values.count(best) == 1:
            counts[values.index(best)] += 1
    return counts, len(common)


def _by_file(run: Run, part: str, metric: str) -> dict[str, float]:
    rows = run.evaluation.files if run.evaluation else ()
    return {
        row["file"]: row[metric]
        for row in rows
        if (row["part"], row["system"]) == (part, "model") and math.isfinite(row[metric])
    }


def _verdict(
    name: str, row: Sequence[Score | None], labels: Sequence[str]
) -> tuple[int | None, tuple[int, ...], str]:
    known = [(index, score) for index, score in enumerate(row) if score is not None]
    if len(known) < 2:
        return None, (), "only one run has it"
    if not all(score.has_interval for _, score in known):
        return None, (), "no intervals: cannot be told from chance"
    lower = SCORES[name].better == "lower"
    first, best = min(known, key=lambda pair: pair[1].mean if lower else -pair[1].mean)
    behind = tuple(
        index
        for index, score in known
        if index != first and (best.high < score.low if lower else best.low > score.high)
    )
    if len(behind) == len(known) - 1:
        return first, behind, f"{labels[first]} is better"
    close = [labels[index] for index, _ in known if index != first and index not in behind]
    return None, behind, "within noise: " + ", ".join([labels[first], *close])


def _controls(runs: Sequence[Run], part: str, metric: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for system in CONTROLS:
        means = [
            row["mean"]
            for run in runs
            if run.evaluation
            for row in run.evaluation.summary
            if (row["part"], row["system"], row["metric"]) == (part, system, metric)
        ]
        if means and max(means) - min(means) <= _SAME_CONTROL * max(1.0, abs(means[0])):
            found[system] = means[0]
    return found


def _grouped(values: Sequence[Any], labels: Sequence[str]) -> str:
    """`A, B: 8m; C: 30m`."""
    groups: dict[str, list[str]] = {}
    for value, label in zip(values, labels, strict=True):
        groups.setdefault(override_text(value), []).append(label)
    return "; ".join(f"{', '.join(members)}: {value}" for value, members in groups.items())


def data_hash(run: Run) -> str | None:
    """The hash over the recordings' contents and their split; None where it is not recorded."""
    found = run.provenance.get("data_hash") or run.card.get("data_hash")
    return str(found) if found else None


def _data(runs: Sequence[Run], labels: Sequence[str]) -> Iterator[Caution]:
    hashes = [data_hash(run) for run in runs]
    if None in hashes:
        unknown = [label for label, found in zip(labels, hashes, strict=True) if found is None]
        yield Caution(
            "Data unknown",
            f"{', '.join(unknown)} did not record which recordings it used. Whether the runs saw "
            "the same ones cannot be checked.",
        )
    if len(set(hashes) - {None}) < 2:
        return
    sections = [run.config.get("data") or {} for run in runs]
    places = [(part.get("kind"), part.get("root"), part.get("files")) for part in sections]
    if all(sections) and len(set(map(str, places))) == 1:
        yield Caution(
            "Another split, or changed recordings",
            "The runs name the same recordings, but divided them differently into training and "
            "test, or the files changed in between. A file that one run trained on may be a test "
            "file of another. Train them again with the same seed and split to compare them.",
        )
        return
    names = [part.get("name") or "unknown" for part in sections]
    yield Caution(
        "Other recordings",
        f"The runs were trained and tested on different data ({_grouped(names, labels)}). A lower "
        "score may only mean easier sounds.",
    )


def _unscored(runs: Sequence[Run], labels: Sequence[str]) -> Iterator[Caution]:
    for run, label in zip(runs, labels, strict=True):
        status = run.provenance.get("status")
        if not run.card and status:
            yield Caution("Pruned", f"{label} was given up by its search ({status}): no scores.")
        elif not run.card:
            yield Caution("Not finished", f"{label} has written no model yet: it has no scores.")
        elif run.evaluation is None:
            yield Caution(
                "Not evaluated",
                f"{label} has bare means at most. Run 'timbrel evaluate run={run.folder}' for "
                "intervals, controls and sounds.",
            )


def _files(runs: Sequence[Run], labels: Sequence[str]) -> Iterator[Caution]:
    part = compared_part(runs)
    scored = [
        (label, set(_by_file(run, part, "mrstft"))) for run, label in zip(runs, labels, strict=True)
    ]
    scored = [(label, files) for label, files in scored if files]
    if scored and any(files != scored[0][1] for _, files in scored[1:]):
        common = set.intersection(*(files for _, files in scored))
        counts = ", ".join(f"{label} {len(files)}" for label, files in scored)
        yield Caution(
            "Other test files",
            f"The means are over different files ({counts}; {len(common)} in common). Listen to "
            "the common ones below rather than trust the means.",
        )


def _budget(runs: Sequence[Run], labels: Sequence[str]) -> Iterator[Caution]:
    trainers = [run.config.get("trainer") or {} for run in runs]
    budgets = []
    for trainer in trainers:
        limits = [str(trainer[key]) for key in ["max_time"] if trainer.get(key)]
        limits += [f"{trainer['max_steps']} steps"] if trainer.get("max_steps") else []
        budgets.append(" and ".join(limits))
    known = [budget or "unknown" for budget in budgets]
    if len(set(known)) > 1:
        yield Caution(
            "Another budget",
            f"The runs were not trained equally long ({_grouped(known, labels)}). The one with "
            "more time may be better for that alone.",
        )


def _versions(runs: Sequence[Run], labels: Sequence[str]) -> Iterator[Caution]:
    for package in _SCORER_PACKAGES:
        versions = [(run.provenance.get("versions") or {}).get(package) for run in runs]
        if len(set(versions) - {None}) > 1:
            yield Caution(
                f"Another version of {package}",
                f"{_grouped(versions, labels)}. Scores of different versions need not agree; "
                "evaluate the runs again with one of them.",
            )


def _devices(runs: Sequence[Run], labels: Sequence[str]) -> Iterator[Caution]:
    timed = [bool((run.config.get("trainer") or {}).get("max_time")) for run in runs]
    machines = [run.provenance.get("platform") for run in runs]
    if any(timed) and len(set(machines) - {None}) > 1:
        yield Caution(
            "Another machine",
            f"{_grouped(machines, labels)}. The budget is a time, and a faster machine does more "
            "steps in it.",
        )
