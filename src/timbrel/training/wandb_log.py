"""Weights & Biases: offline unless set otherwise; its errors never stop a run.

Every run logs under the same keys, so that runs stand beside each other in W&B's tables:

    train/*, validation/*            curves over trainer/global_step
    validation/disentanglement_*     mig, sap, modularity, scc of the code, and n, the recordings
    train_clean/loss                 the loss on training chunks as validation scores them
    alarm/<name>                     1 while an alarm is raised, else 0; W&B's alert when it is
    held_out/<n>/audio, spectrogram  the n-th held-out clip through the model; original once
    test/<metric>                    mean over files, with _low and _high (95 %)
    test/silence/*, test/noise/*     the same for the controls
    gate/<name>, gate/<name>_passed  its number; yes, no (and W&B's alert) or unknown
    sliders*, disentanglement*       what an analysis adds: `training.wandb_analysis`
    model/*                          the bundle that it wrote: `training.wandb_model`
    config                           dotted keys, as on the command line; of a run of a study also
                                     sweep.study and sweep.cell, or sweep.trial
"""

import math
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import wandb

from timbrel.analysis.gates import Gate
from timbrel.audio.names import fitted, readable
from timbrel.config.walk import leaves
from timbrel.files import write_text
from timbrel.metrics.scores import SCORES
from timbrel.training.alarms import RAISED, Alarms
from timbrel.training.callbacks import Curves
from timbrel.training.code_scores import PREFIX
from timbrel.training.held_out_audio import HeldOutAudio, HeldOutFiles
from timbrel.training.module import Training
from timbrel.words import without_password

STEP = "trainer/global_step"
_ONLINE_TIMEOUT_S = 20
_OFFLINE_TIMEOUT_S = 90  # its process has to start, on a machine that may be busy
_FINISH_TIMEOUT_S = 600  # online, for what is still to be sent
_LONGEST_NAME_BYTES = 128  # W&B counts characters: no more than these
_NEITHER = frozenset(  # neither more nor less is better
    [
        *(
            "nats_per_frame",
            "nats_per_second",
            "active_units",
            "decode_change",
            "phase",
            "recordings",
        ),
        f"{PREFIX}n",
    ]
)
_ORIGINALS = "held_out_originals_logged"


@dataclass(frozen=True)
class WandbSettings:
    """Where and how a run is logged; `mode` is `offline` or `online`.

    Without a `group` of its own a sweep's run takes the sweep's name. A run that is taken up again
    without a `name` keeps the one it has.
    """

    mode: str
    project: str
    group: str | None
    tags: tuple[str, ...]
    name: str | None
    job_type: str = "train"
    """What the run is: `train`, `cell` or `trial` of a study, `study` for what that found."""

    @classmethod
    def of(
        cls, logger: Mapping[str, Any], *, name: str | None, study: str | None, job_type: str
    ) -> "WandbSettings":
        """Those of a config's section `logger`; a run of a study is in its group by default."""
        return cls(
            mode=str(logger["mode"]),
            project=str(logger["project"]),
            group=logger.get("group") or study,
            tags=tuple(logger.get("tags") or ()),
            name=name,
            job_type=job_type,
        )


_OF_TRAINING = "the training goes on without it, and metrics.csv has every curve"


class HarmlessRun:
    """A W&B run whose first error is reported and ends the logging, never the work.

    `otherwise` says what goes on without it, and where the numbers are.
    """

    def __init__(
        self, begin: Callable[[], wandb.Run], folder: Path, otherwise: str = _OF_TRAINING
    ) -> None:
        self.folder, self.otherwise = folder, otherwise
        self._run: wandb.Run | None = None
        with self._harmless():
            self._run = begin()

    def send(self, what: Callable[[wandb.Run], None]) -> None:
        """Let `what` log to the run, as long as there is one."""
        if self._run is not None:
            with self._harmless():
                what(self._run)

    def finish(self) -> None:
        """Close the run; online, wait for what is still to be sent."""
        self.send(lambda run: run.finish())

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        # Anything: a full disk, a service process that died, a setting of the environment's.
        try:
            yield
        except Exception as error:
            self._run = None
            sys.stderr.write(
                f"W&B fails ({_first_line(error)}); {self.otherwise}. "
                f"What W&B had so far: {self.folder / 'wandb'}\n"
            )
            with suppress(Exception, SystemExit):
                wandb.teardown()  # else it fails once more, with a trace, when the program ends


def start_run(
    settings: WandbSettings,
    folder: Path,
    config: Mapping[str, Any],
    *,
    otherwise: str = _OF_TRAINING,
) -> HarmlessRun:
    """Begin the run, or take it up again in the same folder under the same identity.

    An unreachable server or a missing login costs one line, and the run goes on offline; where that
    fails too, without W&B. Names that come of folders are cut to what W&B takes.
    """
    return HarmlessRun(lambda: _started(settings, folder, config), folder, otherwise)


def _started(settings: WandbSettings, folder: Path, config: Mapping[str, Any]) -> wandb.Run:
    identity = folder / "wandb_run_id.txt"
    if not identity.is_file() or not identity.read_text("utf-8").strip():
        write_text(identity, secrets.token_hex(4))
    group = settings.group or _sweep(folder)
    arguments: dict[str, Any] = {
        "dir": folder.resolve(),  # its service may run elsewhere
        "id": identity.read_text("utf-8").strip(),
        "resume": "allow",
        "project": settings.project,
        "group": _fitted(group),
        "job_type": settings.job_type,
        "tags": list(settings.tags),
        "name": _fitted(settings.name),
        "config": {key: value for key, value in leaves(config) if value != {}},
    }
    if settings.mode == "online":
        try:
            return _begin(arguments, "online")
        except (wandb.errors.Error, OSError) as error:
            reason = _first_line(error)
            sys.stderr.write(
                f"W&B cannot be reached ({reason}); logging offline. "
                f"Later: wandb sync {folder / 'wandb'}/offline-run-*\n"
            )
            wandb.teardown()
    return _begin(arguments, "offline")


def log_summary(run: wandb.Run, rows: Iterable[Mapping[str, Any]]) -> None:
    """The rows of `evaluation/summary.csv` as summary values, with the direction of each metric.

    `<part>/<metric>` is the model's mean, `_low` and `_high` its interval; a control's stand
    under `<part>/<system>/`. A value that is not finite is left out.
    """
    values: dict[str, float] = {}
    for row in rows:
        system = "" if row["system"] == "model" else f"{row['system']}/"
        key = f"{row['part']}/{system}{row['metric']}"
        if not system:
            run.define_metric(key, step_metric=STEP, summary=_direction(row["metric"]))
        for ending, name in (("", "mean"), ("_low", "low"), ("_high", "high")):
            if math.isfinite(float(row[name])):
                values[key + ending] = float(row[name])
    run.summary.update(values)


def log_gates(run: wandb.Run, gates: Iterable[Gate]) -> None:
    """Every gate as summary values, and an alert of each that failed."""
    for gate in gates:
        if math.isfinite(gate.value):
            run.summary[f"gate/{gate.name}"] = gate.value
        run.summary[f"gate/{gate.name}_passed"] = gate.verdict
        if gate.passed is False:
            run.alert(f"gate {gate.name} failed", gate.line, "WARN")


class WandbLog(pl.Callback):
    """Sends on what `Curves`, `HeldOutAudio` and `Alarms` have for this step. A watcher."""

    def __init__(
        self,
        run: HarmlessRun,
        curves: Curves,
        audio: HeldOutAudio | None,
        alarms: Alarms | None = None,
    ) -> None:
        self.run, self.curves, self.audio, self.alarms = run, curves, audio, alarms
        self._defined: set[str] = set()

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Log where there is something, against the training's own step."""
        self.run.send(partial(self._log, step=module.step))

    def _log(self, run: wandb.Run, step: int) -> None:
        values: dict[str, Any] = dict(self.curves.latest)
        for name in values:
            self._define(run, name)
        files = self.audio.files if self.audio else []
        for clip in files:
            values |= _media(clip, step)
        if self.audio and files:
            values |= self._originals(self.audio.folder.parent / "wandb" / _ORIGINALS, files)
        if self.alarms:
            values |= {f"alarm/{name}": int(on) for name, on in self.alarms.raised.items()}
        if values:
            run.log({**values, STEP: step})
        for change in self.alarms.changes if self.alarms else ():
            if change.state == RAISED:
                run.alert(f"{change.reading.alarm}, step {change.step}", change.line, "WARN")

    def _define(self, run: wandb.Run, name: str) -> None:
        part, _, term = name.partition("/")
        if part == "validation" and name not in self._defined:
            self._defined.add(name)
            run.define_metric(name, step_metric=STEP, summary=_direction(term))

    def _originals(self, marker: Path, files: list[HeldOutFiles]) -> dict[str, Any]:
        """Once per run, resumed or not: an original is the same at every step."""
        if marker.exists():
            return {}
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        return {
            f"held_out/{clip.number}/original": wandb.Audio(str(clip.original), caption=clip.name)
            for clip in files
        }


def _media(clip: HeldOutFiles, step: int) -> dict[str, Any]:
    caption = f"{clip.name}, step {step}"
    return {
        f"held_out/{clip.number}/audio": wandb.Audio(str(clip.audio), caption=caption),
        f"held_out/{clip.number}/spectrogram": wandb.Image(str(clip.picture), caption=caption),
    }


def _direction(metric: str) -> str:
    """What W&B keeps in a run's summary: the best value and the last, or the last alone."""
    if metric in _NEITHER:
        return "last"
    known = SCORES.get(metric)
    higher = metric.startswith(PREFIX) or (known is not None and known.better == "higher")
    return "max,last" if higher else "min,last"


def _first_line(error: Exception) -> str:
    return readable(next(iter(str(error).strip().splitlines()), type(error).__name__))


def _fitted(name: str | None) -> str | None:
    return None if name is None else fitted(readable(name), _LONGEST_NAME_BYTES)


def _sweep(folder: Path) -> str | None:
    above = folder.resolve().parent
    return above.name if above.parent.name == "sweeps" else None


@contextmanager
def _readable_words() -> Iterator[None]:
    """W&B notes the command line: it shall see no password, and takes no bytes but UTF-8."""
    before = sys.argv
    sys.argv = [without_password(readable(word)) for word in before]
    try:
        yield
    finally:
        sys.argv = before


def _begin(arguments: dict[str, Any], mode: str) -> wandb.Run:
    if mode == "offline":
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # not even a crash report leaves the machine
    quiet = wandb.Settings(
        console="off",
        silent=True,
        init_timeout=_ONLINE_TIMEOUT_S if mode == "online" else _OFFLINE_TIMEOUT_S,
        finish_timeout=_FINISH_TIMEOUT_S,
        finish_timeout_raises=True,
    )
    with _readable_words():
        run = wandb.init(mode=mode, settings=quiet, **arguments)  # type: ignore[arg-type]
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP)
    return run
