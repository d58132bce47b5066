"""`timbrel ablate study=NAME`: train a grid of settings with several seeds, and compare them.

A plain command: its further words are overrides of `timbrel train`, which are composed and checked
for every cell before anything runs. Needs no torch until results are to be written.
"""

import math
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from timbrel.audio.names import fitted
from timbrel.commands.ablate_configs import Configs
from timbrel.config.additions import logs_sounds
from timbrel.errors import UserError, did_you_mean, override_text
from timbrel.sweeps.plan import SWEEPS, PlannedRun, estimate, plan_run, plan_text, standing_now
from timbrel.sweeps.record import State
from timbrel.sweeps.runner import PROCESS, Ending, environment_of, launch
from timbrel.sweeps.signature import FileDigests, Signing
from timbrel.sweeps.step_time import step_seconds
from timbrel.sweeps.study import Cell, Study, read_study, study_names
from timbrel.sweeps.written import PAGE, README, results_folder, up_to_date
from timbrel.words import duration

if TYPE_CHECKING:
    from timbrel.sweeps.results import StudyResult

_PAGE = """\
timbrel ablate: train a grid of settings with several seeds, and compare them on one page.

Usage
  timbrel ablate study=NAME [KEY=VALUE ...] [jobs=N] [--plan]

  study=NAME        experiments/NAME/study.yaml: question, base, axes, seeds, metrics, analyze,
                    budget; there are: {studies}
  KEY=VALUE         overrides of timbrel train for every run, such as data.root=~/kicks
  --plan            print the grid, the state of each run and an estimate of time; run nothing
  jobs=N            runs at the same time (default: 1); they share the cores equally
  launcher=NAME     how runs are started: process (default: processes on this machine), or an
                    installed launcher of Hydra's: joblib (timbrel[joblib]), submitit_slurm and
                    submitit_local (timbrel[slurm]), ray (timbrel[ray]), ...

Each run is a `timbrel train` in sweeps/NAME/<cell>/seed<k>/. A second call runs what is not
finished, and what has changed: its config, its recordings, or the code that it uses. A killed run
resumes from its last checkpoint. A failed run starts again; the other runs go on. With `analyze:`
each training is followed by `timbrel analyze`, and metrics of sliders and of the code are known.

  writes: experiments/NAME/ README.md, results.md, .csv, .tex, figure.svg, .png
          sweeps/NAME/report.html, with every cell's sounds of the same files
  exit status: 0 all finished, 1 some are not, 2 a mistake of yours

A study is under 40 lines, its keys as on the command line:

  question: Does a wider code sound better?
  base:
    trainer.max_time: 2m
  axes:
    architecture: [spectral, rave_small]
    architecture.latent_dim: [8, 32]
  seeds: [0, 1, 2]
  analyze: quick      # or full
  metrics: [mrstft, si_sdr_db, sliders/ok, sliders/pitch/sdot, disentanglement/mig]
  budget: 30m
"""
_MOST_JOBS = 64
_LONGEST_GROUP_BYTES = 128  # of W&B's


@dataclass
class _Call:
    """The command line, read."""

    study: str = ""
    jobs: int = 1
    launcher: str = PROCESS
    plan: bool = False
    overrides: dict[str, str] = field(default_factory=dict)


def main(argv: Sequence[str]) -> int:
    """The exit status of `timbrel ablate ...`. Raises UserError for a mistake of the user's."""
    if not argv or any(word in ("--help", "-h", "help") for word in argv):
        sys.stdout.write(_PAGE.format(studies=", ".join(study_names()) or "none yet"))
        return 0
    call = _read(argv)
    study = read_study(call.study)
    if call.launcher != PROCESS:
        # Hydra and its plugins take their time to import: only whoever asks for one waits.
        from timbrel.commands import ablate_launchers

        ablate_launchers.check(call.launcher, call.jobs)
    digests = FileDigests(SWEEPS / study.name / "files.json")
    _check_given(study, call.overrides)
    configs = Configs(SWEEPS / study.name)
    runs = _finished(study, call.overrides, digests, configs) or _planned(
        study, call.overrides, digests
    )
    digests.save()
    _say(plan_text(study, runs, call.jobs))
    if call.plan:
        return 0
    left = [run for run in runs if run.standing.state is not State.finished]
    if left:
        digests.memory.parent.mkdir(parents=True, exist_ok=True)
        digests.save()  # so that no run reads the recordings again
        _tell_time(study, runs, left, call.jobs)
        _launched(call)(
            left,
            study=study.name,
            jobs=call.jobs,
            tell=_tell,
            ended=_progress(len(left), call.jobs),
        )
        runs = [standing_now(run, digests) for run in runs]
    configs.remember({run.overrides: run.config for run in runs})
    missing = [run for run in runs if run.standing.state is not State.finished]
    for run in missing:
        # "changed" is what was edited while it ran.
        reason = f": {run.standing.reason}" if run.standing.reason else ""
        _tell(f"{run.label}: {run.standing.state}{reason} ({run.folder}/output.log)")
    command = " ".join(["timbrel", "ablate", *map(shlex.quote, argv)])
    if not up_to_date(study, runs):
        # Drawing takes seconds to import: a call with nothing to do must not wait for it.
        from timbrel.sweeps.readme import write_results
        from timbrel.sweeps.tables import markdown

        result = write_results(study, runs, command)
        _say("\n" + markdown(result))
        _log_to_wandb(result, runs[0].config)
    _say(f"results: {results_folder(study) / README}  page: {SWEEPS / study.name / PAGE}\n")
    return 1 if missing else 0


def _log_to_wandb(result: "StudyResult", config: Mapping[str, Any]) -> None:
    """The study's table in a W&B run of its own, where its runs have theirs."""
    if config["logger"]["kind"] != "wandb":
        return
    from timbrel.sweeps.wandb_study import log_study, study_table

    name, (columns, rows) = result.study.name, study_table(result)
    sounds = logs_sounds(config)
    log_study(SWEEPS / name, name, columns, rows, config["logger"], sounds=sounds)


def _tell_time(
    study: Study, runs: Sequence[PlannedRun], left: Sequence[PlannedRun], jobs: int
) -> None:
    """Time a few steps if runs are limited by steps alone, so that their end can be estimated."""
    if not math.isnan(estimate(runs, jobs).seconds):
        return
    _tell("timing a step ...")
    step_s = step_seconds(left, environment_of(jobs))
    found = estimate(runs, jobs, step_s)
    if math.isnan(found.seconds):
        _tell("the time it will take is unknown: no step could be timed")
        return
    over = study.budget_s is not None and found.seconds > study.budget_s
    budget = f"; more than the budget of {duration(study.budget_s)}" if over else ""
    step = f"a step takes {step_s:.2f} s"
    _tell(f"about {duration(found.seconds)} ({step}{found.analyses}{budget})")


def _launched(call: _Call) -> Callable[..., None]:
    if call.launcher == PROCESS:
        return launch
    from timbrel.commands import ablate_launchers

    return partial(ablate_launchers.launch, name=call.launcher)


def _read(argv: Sequence[str]) -> _Call:
    call = _Call()
    for word in argv:
        key, equals, value = word.partition("=")
        if word == "--plan":
            call.plan = True
        elif word.startswith("-"):
            hint = did_you_mean(word, ["--plan", "--help"]) or " (timbrel ablate --help)"
            raise UserError(f"ablate: {word}: no such flag{hint}")
        elif not equals:
            hint = f"; did you mean 'study={word}'?" if word in study_names() else ""
            raise UserError(f"ablate: {word}: expected KEY=VALUE{hint}")
        elif key == "study":
            call.study = value
        elif key == "jobs":
            if not value.isdecimal() or not 1 <= int(value) <= _MOST_JOBS:
                raise UserError(f"ablate: jobs={value}: a whole number from 1 to {_MOST_JOBS}")
            call.jobs = int(value)
        elif key == "launcher":
            call.launcher = value
        elif key == "plan":
            if value not in ("true", "false"):
                raise UserError(f"ablate: plan={value}: true or false")
            call.plan = value == "true"
        else:
            call.overrides[key] = value
    if not call.study:
        known = ", ".join(study_names()) or "none yet; timbrel ablate --help shows one"
        raise UserError(f"ablate: study: not set; give study=NAME (there are: {known})")
    return call


def _check_given(study: Study, given: Mapping[str, str]) -> None:
    """Raise UserError for an override that a study's runs cannot have."""
    for key in given:
        if key in study.axes:
            raise UserError(f"ablate: {key}: an axis of {study.name}; edit '{study.file}'")
        if key == "hydra/launcher":
            raise UserError(f"ablate: {key}: write launcher={given[key]}")
        if key in ("seed", "name", "run", "reproduce", "dry_run") or re.match(r"hydra\b", key):
            raise UserError(f"ablate: {key}: every run has its own; leave it out")


def _finished(
    study: Study, given: Mapping[str, str], digests: FileDigests, configs: Configs
) -> list[PlannedRun]:
    """Every run of the grid by its config of an earlier call, if all are finished; else none."""
    runs: list[PlannedRun] = []
    signing = Signing(digests)
    for cell in study.cells():
        try:
            texts = _overrides(study, cell, given)
        except UserError:
            return []
        for seed in study.seeds:
            overrides = [*texts, f"seed={seed}"]
            config = configs.of(overrides)
            if config is None:
                return []
            runs.append(plan_run(study, cell, seed, overrides, config, signing))
            if runs[-1].standing.state is not State.finished:
                return []
    return runs


def _planned(study: Study, given: Mapping[str, str], digests: FileDigests) -> list[PlannedRun]:
    """Every run of the grid, composed and checked. Raises UserError naming cells that cannot be."""
    signing = Signing(digests)
    runs: list[PlannedRun] = []
    problems: dict[str, list[str]] = {}
    for cell in study.cells():
        texts = _overrides(study, cell, given)
        try:
            configs = _composed(texts, study.seeds)
        except UserError as error:
            problems.setdefault(str(error), []).append(cell.label)
            continue
        for seed, config in configs.items():
            overrides = [*texts, f"seed={seed}"]
            runs.append(plan_run(study, cell, seed, overrides, config, signing))
    if problems:
        cells = len(study.cells())
        lines = [
            message if len(labels) == cells else f"{', '.join(labels)}: {message}"
            for message, labels in problems.items()
        ]
        raise UserError(f"study {study.name}: nothing was started\n  " + "\n  ".join(lines))
    return runs


def _overrides(study: Study, cell: Cell, given: Mapping[str, str]) -> list[str]:
    """Base, then the command line, then the cell; W&B's group is the study, the name the cell."""
    merged = {
        "logger.group": fitted(study.name, _LONGEST_GROUP_BYTES),
        **{k: _told(study, k, v) for k, v in study.base.items()},
    }
    merged |= given
    merged |= {key: _told(study, key, value) for key, value in cell.settings}
    return [*(f"{key}={value}" for key, value in merged.items()), f"name={cell.folder}"]


def _told(study: Study, key: str, value: Any) -> str:
    """A value of the study's file as the command line takes it, where a text is no interpolation.

    Raises UserError where an interpolation in a text refers to what is not there.
    """
    if "${" not in str(value):
        return override_text(value)
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from timbrel.stages.overrides import text_keys

    if key in text_keys("train"):
        try:
            value = OmegaConf.to_container(OmegaConf.create([value]), resolve=True)[0]
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"'{study.file}': {key}: {value}: {reason}") from error
    return override_text(value)


def _composed(overrides: Sequence[str], seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The resolved config of a cell with every seed, checked as `timbrel train` would."""
    from omegaconf import OmegaConf

    from timbrel.stages.composing import checked, compose

    config = checked("train", compose("train", overrides))

    def resolved(seed: int) -> dict[str, Any]:
        config.seed = seed
        return OmegaConf.to_container(config, resolve=True, enum_to_str=True)  # type: ignore[return-value]

    first, last = resolved(seeds[0]), resolved(seeds[-1])
    if {**first, "seed": last["seed"]} == last:  # nothing else hangs on the seed
        return {seed: {**first, "seed": seed} for seed in seeds}
    return {seed: resolved(seed) for seed in seeds}


def _progress(total: int, jobs: int) -> Callable[[Ending], None]:
    """A line per run that ended, with what is left at the pace so far."""
    seconds: list[float] = []

    def tell(ending: Ending) -> None:
        seconds.append(ending.seconds)
        ended = len(seconds)
        left_s = (total - ended) / jobs * sum(seconds) / ended
        words = f"{ending.state} after {duration(ending.seconds)}"
        reason = f": {ending.reason}" if ending.reason else ""
        left = f" (about {duration(left_s)} to go)" if ended < total else ""
        _tell(f"[{ended}/{total}] {ending.run.label}: {words}{reason}{left}")

    return tell


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
