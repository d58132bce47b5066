"""The warnings at the top of a run's page: failed gates, alarms, too few files to judge by."""

import math
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from timbrel.audio.read import read_blocks
from timbrel.report.page import Notice, number
from timbrel.report.run_alarms import alarm_notices, last_changes
from timbrel.runs.folder import Run, held_out_loss

FEW_FILES = 5
_WORSE_SHARE = 0.02
_RATE_LEFT = 0.1
_REPORTED_PARTS = ("test", "validation")


def reported_part(run: Run) -> str | None:
    """The part whose scores are reported: test, or validation if no test file was scored."""
    rows = run.evaluation.files if run.evaluation else ()
    present = {row["part"] for row in rows}
    return next((part for part in _REPORTED_PARTS if part in present), None)


def finished(run: Run) -> bool:
    """Whether the training has ended and written a model."""
    return bool(run.card)


def warnings_of(run: Run) -> list[Notice]:
    """All warnings of a run, the most serious first."""
    notices = [
        *_gates(run),
        *alarm_notices(run.folder),
        *_unfinished(run),
        *_test_set(run),
        *_worse_at_the_end(run),
        *_early_end(run),
        *_clipped(run),
        *(Notice("warn", "About the data.", note) for note in data_notes(run)),
    ]
    order = ("bad", "warn", "note", "good")
    return sorted(notices, key=lambda notice: order.index(notice.kind))


def data_notes(run: Run) -> list[str]:
    """The notes that preparing the data has left."""
    return [str(note) for note in run.provenance.get("data_notes") or ()]


def best_step(run: Run) -> tuple[int, float] | None:
    """The validation of the last phase whose weights are kept: its step and the loss."""
    return held_out_loss(run.curves).kept()


def command(*words: object) -> str:
    """A command line to copy into a shell."""
    return shlex.join(str(word) for word in words)


def _gates(run: Run) -> Iterator[Notice]:
    for gate in run.evaluation.gates if run.evaluation else ():
        if gate["passed"] is True:
            continue
        name = gate["gate"].replace("_", " ")
        measured = f"Measured {number(gate['value'])}, limit {number(gate['limit'])}. "
        if gate["passed"] is False:
            yield Notice("bad", f"Gate failed: {name}.", measured + gate["meaning"])
        else:
            yield Notice("note", f"Gate could not be checked: {name}.", gate["meaning"])


def _unfinished(run: Run) -> Iterator[Notice]:
    status = run.provenance.get("status")
    if not finished(run) and status:
        resume = command("timbrel", "train", f"run={run.folder}")
        text = f"Its search gave it up ({status}): no model, no scores. To train it on: {resume}"
        yield Notice("warn", "Pruned.", text)
    elif not finished(run):
        resume = command("timbrel", "train", f"run={run.folder}")
        text = f"It is still training, or was interrupted. Resume it with: {resume}"
        yield Notice("warn", "This run is not finished.", text)
    elif run.evaluation is None:
        evaluate = command("timbrel", "evaluate", f"run={run.folder}")
        text = f"The model has not been scored. Score it with: {evaluate}"
        yield Notice("warn", "Not evaluated yet.", text)


def _test_set(run: Run) -> Iterator[Notice]:
    if run.evaluation is None:
        return
    part = reported_part(run)
    files = len({row["file"] for row in run.evaluation.files if row["part"] == part})
    if part != "test":
        text = "The files scored below were used to choose the weights: the scores are too good. "
        if part is None:
            text = "No file was scored. "
        yield Notice(
            "warn", "No test files.", text + "Add recordings, or raise data.test_fraction."
        )
    if part and files < FEW_FILES:
        plural = "s" if files > 1 else ""
        worth = (
            "there is no interval over one file"
            if files == 1
            else f"an interval over {files} files is too narrow, and other files would give other "
            "scores"
        )
        text = f"All scores are from {files} file{plural}: {worth}."
        yield Notice("warn", "Very few test files.", text)


def _worse_at_the_end(run: Run) -> Iterator[Notice]:
    best = best_step(run)
    losses = held_out_loss(run.curves).points
    if best is None or len(losses) < 3 or _alarm_raised(run):
        return
    last_step, last = losses[-1]
    if last > best[1] + _WORSE_SHARE * abs(best[1]):
        share = 100 * (last / best[1] - 1) if best[1] > 0 else math.nan
        by = f" by {share:.0f} %" if math.isfinite(share) else ""
        text = (
            f"The loss on held-out recordings was lowest at step {best[0]} ({number(best[1])}) and "
            f"rose{by} until step {last_step} ({number(last)}): overfitting. The model has the "
            "weights of the best step. Add recordings or augmentation; longer training does not "
            "help."
        )
        yield Notice("warn", "Held-out loss rose towards the end.", text)


def _alarm_raised(run: Run) -> bool:
    alarm = last_changes(run.folder).get("held_out_loss")
    return alarm is not None and alarm["state"] == "raised"


def _early_end(run: Run) -> Iterator[Notice]:
    rates = [rate for _, rate in run.curves.get("train/learning_rate", ())]
    if not finished(run) or len(rates) < 2 or rates[-1] <= _RATE_LEFT * max(rates):
        return
    share = 100 * rates[-1] / max(rates)
    patience = (run.config.get("trainer") or {}).get("early_stop_patience")
    why = "the time limit or early stopping" if patience else "the time limit"
    text = (
        f"Training was ended by {why} while the learning rate was at {share:.0f} % of its peak, "
        "so the weights had not converged. Raise trainer.max_time, or set trainer.max_steps."
    )
    yield Notice("warn", "Training ended before its learning-rate schedule.", text)


def _clipped(run: Run) -> Iterator[Notice]:
    part = reported_part(run)
    folder = run.evaluation_folder / "audio" / str(part) / "reconstruction"
    loud = []
    for path in sorted(folder.glob("*.wav")):
        peak = _peak(path)
        if peak > 1.0:
            loud.append((path.stem, peak))
    if loud:
        name, peak = max(loud, key=lambda pair: pair[1])
        text = (
            f"{len(loud)} reconstruction{'s peak' if len(loud) > 1 else ' peaks'} above full scale "
            f"(the highest: {name}, {20 * math.log10(peak):+.1f} dBFS). The WAV files are not "
            "clipped; the players of this page and a sound card clip them."
        )
        yield Notice("warn", "Clipping.", text)


def _peak(path: Path) -> float:
    return max((float(np.abs(block).max()) for block in read_blocks(path)), default=0.0)
