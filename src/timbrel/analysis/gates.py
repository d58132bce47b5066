"""Gates: checks of a finished training. Each has a number, its limit, and what to do if it fails.

A gate is a function from measurements to one row of `gates.csv`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from timbrel.analysis.evaluation import HELD_OUT, MODEL, NOISE, SILENCE, FileScore, write_csv
from timbrel.config.limits import LIMITS
from timbrel.metrics.scores import SCORES
from timbrel.runs.folder import read_table
from timbrel.runs.selection import HeldOutLoss

LATENT_PARITY = 5e-4
"""Half the smallest standard deviation of a Gaussian posterior (log-variance -14: 9.1e-4). The
decoder was trained with more noise than that, so a smaller difference does not affect it."""

_JUDGED_BY = "log_mel_l1"
_NO_FILE = "nothing to compare: no file could be read"
_HEADS = ("gate", "value", "limit", "passed", "meaning")
_WORDS = {True: "yes", False: "no", None: "unknown"}


@dataclass(frozen=True)
class Gate:
    """One row. If it could not be measured, `passed` is None and `value` nan."""

    name: str
    value: float
    limit: float
    passed: bool | None
    meaning: str

    @property
    def verdict(self) -> str:
        """`passed` as gates.csv writes it: yes, no or unknown."""
        return _WORDS[self.passed]

    @property
    def line(self) -> str:
        """For the terminal."""
        return f"gate {self.name}: {self.value:.3g} (limit {self.limit:.3g}): {self.meaning}"


def judged(name: str, value: float, limit: float | None, **words: object) -> Gate:
    """The row of the gate `name` of `timbrel.config.limits`; `words` go into its sentence.

    A `limit` of None switches the gate off: it reports its number and neither passes nor fails.
    """
    about = LIMITS[name]
    if limit is None:
        off = f"not checked: switched off (limits.{about.key}=null)"
        return Gate(name, value, math.nan, None, off)
    passed = about.holds(value, limit)
    meaning = (about.held if passed else about.broken).format(**words)
    return Gate(name, value, limit, passed, meaning)


def unknown(name: str, limit: float | None, why: str) -> Gate:
    """The row of a gate that could not be measured."""
    return Gate(name, math.nan, math.nan if limit is None else limit, None, why)


def kl_floor(rows: Sequence[FileScore], frames_per_second: float, floor_nats: float | None) -> Gate:
    """The posterior's KL over all held-out files, in nats per frame, is above `floor_nats`."""
    held_out = [r for r in rows if r.system == MODEL and r.part in HELD_OUT]
    seconds = sum(row.seconds for row in held_out)
    nats = sum(row.nats_per_second * row.seconds for row in held_out)
    value = nats / (seconds * frames_per_second) if seconds else math.nan
    if math.isnan(value):
        why = "the posterior is deterministic" if held_out else "no held-out file was scored"
        return unknown("kl_floor", floor_nats, f"no KL to check: {why}")
    return judged("kl_floor", value, floor_nats)


def held_out_loss(curve: HeldOutLoss, ratio: float | None) -> Gate:
    """The last validation loss over the smallest of the run is at most `ratio`."""
    losses = [loss for _, loss in curve.points if math.isfinite(loss)]
    if not losses or not min(losses) > 0:
        why = "no held-out loss to check: the run has no validation part"
        return unknown("held_out_loss", ratio, why)
    found = curve.kept()
    assert found is not None  # a finite one is there
    return judged("held_out_loss", losses[-1] / min(losses), ratio, step=found[0])


def front_end_parity(
    differences: Sequence[float], limit: float | None, unread: str | None = None
) -> Gate:
    """Training and generation read the same samples; see `parity.front_end_difference`.

    `unread` says why a file could not be compared.
    """
    name = "front_end_parity"
    if not differences:
        gate = unknown(name, limit, _NO_FILE)
    else:
        gate = judged(name, float(np.max(differences)), limit)
    if unread is None or gate.passed is False:
        return gate
    return replace(gate, passed=None, meaning=f"not every file could be compared: {unread}")


def latent_parity(differences: Sequence[float], limit: float = LATENT_PARITY) -> Gate:
    """A file encoded in blocks has the same code as a whole; see `parity.latent_difference`."""
    name = "latent_parity"
    if not differences:
        return Gate(name, math.nan, limit, None, _NO_FILE)
    value = float(np.max(differences))
    if value <= limit:
        good = "a file encoded in blocks has the same code as the whole file"
        return Gate(name, value, limit, True, good)
    meaning = (
        "a file encoded in blocks does not have the code of the whole file: the encoder's "
        "context_frames is smaller than its receptive field; this is a fault of the architecture"
    )
    return Gate(name, value, limit, False, meaning)


def better_than_silence(rows: Sequence[FileScore], part: str | None) -> Gate:
    """The model's mean log-mel L1 over the files of `part` is below that of silence."""
    return _better_than(
        SILENCE,
        rows,
        part,
        "the reconstructions are not closer than silence: the model has learned nothing useful; "
        "train longer, and listen to audio/validation",
    )


def better_than_noise(rows: Sequence[FileScore], part: str | None) -> Gate:
    """The model's mean log-mel L1 is below that of noise with each file's own spectrum."""
    return _better_than(
        NOISE,
        rows,
        part,
        "the reconstructions are not closer than noise with each file's own spectrum: the model "
        "has learned spectrum and level but not how they change in time (recordings of steady "
        "noise do not pass this gate); train longer, or raise architecture.latent_dim",
    )


def _better_than(control: str, rows: Sequence[FileScore], part: str | None, bad: str) -> Gate:
    name, score = f"better_than_{control}", SCORES[_JUDGED_BY]
    if part is None:
        return Gate(name, math.nan, math.nan, None, "nothing to compare: no held-out file scored")
    value, limit = (
        float(np.mean([r.scores[_JUDGED_BY] for r in rows if (r.part, r.system) == (part, system)]))
        for system in (MODEL, control)
    )
    passed = score.is_better(value, limit)
    good = f"the reconstructions are closer than {control} ({score.title}, {part} files)"
    return Gate(name, value, limit, passed, good if passed else bad)


def replace_gates(path: Path, gates: Sequence[Gate]) -> None:
    """Have `gates` in an existing `gates.csv` in the place of those of the same names."""
    names = {gate.name for gate in gates}
    rows = [[row[head] for head in _HEADS] for row in read_table(path, ())]
    write_csv(path, _HEADS, [*(row for row in rows if row[0] not in names), *map(_row, gates)])


def write_gates(path: Path, gates: Sequence[Gate]) -> None:
    """`gates.csv`."""
    write_csv(path, _HEADS, map(_row, gates))


def _row(gate: Gate) -> list[str | float]:
    return [gate.name, gate.value, gate.limit, gate.verdict, gate.meaning]
