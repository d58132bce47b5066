"""The sweep: a study joined, trials launched, the page written."""

import importlib.util
import shlex
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, read_write

from hydra_plugins.timbrel_optuna_sweeper._settings import (
    check_settings,
    check_space,
    goals_of,
    plain,
    pruner_of,
    tell,
)
from hydra_plugins.timbrel_optuna_sweeper._space import read_space
from timbrel.errors import UserError
from timbrel.stages.composing import message_of, user_error
from timbrel.stages.overrides import quoted
from timbrel.sweeps.search.note import DEFAULTS, VARIABLE, Ending, TrialNote
from timbrel.sweeps.search.space import Space
from timbrel.words import without_password

_LONGEST_REASON = 500
_FIXED = "fixed"


def run(
    settings: Mapping[str, Any],
    config: DictConfig,
    context: HydraContext,
    task: TaskFunction,
    arguments: list[str],
) -> None:
    """Run the search that `settings` describe.

    Raises UserError for a mistake in them, and where no trial gave a number.
    """
    if importlib.util.find_spec("optuna") is None:
        raise UserError(
            "hydra/sweeper=optuna: Optuna is not installed: pip install 'timbrel[optuna]'"
        )
    from timbrel.sweeps.search.page import write_search_page
    from timbrel.sweeps.search.search import Goals, search
    from timbrel.sweeps.search.store import JOURNAL_FILE, in_reach, join_study, made, open_storage

    settings = {key: plain(value) for key, value in settings.items()}
    check_settings(settings)
    parser = OverridesParser.create(config_loader=context.config_loader)
    space, fixed = read_space(settings["params"], arguments, parser)
    check_space(space, fixed)
    goals = goals_of(settings, config, space, Goals)
    folder = Path(str(config.hydra.sweep.dir)).absolute()
    name = settings["study_name"] or folder.name
    storage_place = str(settings["storage"] or folder / JOURNAL_FILE)
    if "://" not in storage_place:
        storage_place = str(Path(storage_place).expanduser().absolute())
    pruner = pruner_of(settings, goals)
    parts = {
        "sampler": made(settings["sampler"], "hydra.sweeper.sampler"),
        "pruner": made(pruner, "hydra.sweeper.pruner"),
    }
    jobs = _Jobs(context, config, folder, tuple(fixed))
    jobs.check(space)
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=task, config=config
    )
    storage = open_storage(storage_place)
    folder.mkdir(parents=True, exist_ok=True)
    directions = [objective.direction for objective in goals.objectives]
    command = _command(config, arguments, name)
    with in_reach(storage_place, f"the trainings are in {folder}; to go on: {command}"):
        study, founded = join_study(storage, name, directions, **parts)
        if founded:
            _check_empty(folder, name)
            (folder / "multirun.yaml").write_text(_shown(config), "utf-8")
            if settings["defaults_first"]:
                _queue_defaults(study, space, config)
        _note_other_settings(study, fixed)
        note = TrialNote(storage_place, name, 0, goals.numbers, settings["watched"], pruner)
        tell(f"study {name}: {goals.n_trials} trials in {folder}")
        try:
            search(study, goals, _Launching(launcher, jobs, note), tell)
        except KeyboardInterrupt as interrupt:
            raise KeyboardInterrupt(f"to go on with the search: {command}") from interrupt
        finally:
            page = write_search_page(study, goals, folder, command, fixed)
    best = page.best
    _log_to_wandb(study, goals, folder, config)
    sys.stdout.write(f"{best}\npage: {folder / 'report.html'}\n")
    if not page.complete:
        raise UserError(f"no trial gave a number; {folder / 'report.html'} lists the reasons")


def _log_to_wandb(study: Any, goals: Any, folder: Path, config: DictConfig) -> None:
    """The best trials in a W&B run of the search's own, where its trials have theirs."""
    logger = plain(config.logger)
    if logger["kind"] != "wandb":
        return
    from timbrel.config.additions import logs_sounds
    from timbrel.sweeps.search.wandb_search import log_search

    log_search(study, goals, folder, logger, sounds=logs_sounds(config))


@dataclass(frozen=True)
class _Jobs:
    """The overrides of jobs, composed before they are launched."""

    context: HydraContext
    config: DictConfig
    folder: Path
    fixed: tuple[str, ...]

    def check(self, space: Space) -> None:
        """Compose a config with each draw. Raises UserError for a key that does not exist."""
        for draw in space.draws:
            given = space.example(draw)
            if fault := self.fault([f"{key}={value}" for key, value in given.items()]):
                raise UserError(f"{draw.key}: {fault}" if draw.key not in fault else fault)

    def fault(self, own: Sequence[str]) -> str:
        """What is wrong with the config of a trial; empty where it composes."""
        overrides = [*self.fixed, *own]
        try:
            self.context.config_loader.load_sweep_config(self.config, overrides)
        except Exception as error:
            message = message_of("train", error, overrides)
            if message is None:
                raise
            return message
        return ""

    def overrides(self, own: Sequence[str], note: TrialNote) -> list[str]:
        """All overrides of a trial's job: its folder lies in the sweep's, by its number."""
        group = [] if self._grouped() else [f"logger.group={quoted(note.study)}"]
        return [
            *group,
            *self.fixed,
            *own,
            f"hydra.sweep.dir={quoted(str(self.folder))}",
            f"hydra.sweep.subdir={quoted(str(note.number))}",
            f"+hydra.job.env_set.{VARIABLE}={quoted(note.text())}",
        ]

    def _grouped(self) -> bool:
        return self.config.logger.group is not None


@dataclass(frozen=True)
class _Launching:
    """Trains a batch through Hydra's launcher."""

    launcher: Launcher
    jobs: _Jobs
    note: TrialNote

    def __call__(self, batch: Sequence[Any]) -> list[Ending]:
        own = [[f"{key}={value}" for key, value in d.overrides.items()] for d in batch]
        places = [self.jobs.folder / str(drawn.number) for drawn in batch]
        # One that cannot be composed must not end the others, nor the search.
        faults = [self.jobs.fault(words) if len(batch) > 1 else "" for words in own]
        good = [k for k, fault in enumerate(faults) if not fault]
        words = [
            self.jobs.overrides(own[k], replace(self.note, number=batch[k].number)) for k in good
        ]
        endings = [
            Ending({}, failed=fault, folder=str(place))
            for fault, place in zip(faults, places, strict=True)
        ]
        try:
            returned = self.launcher.launch(words, initial_job_idx=batch[0].number) if good else []
        except Exception as error:
            message = message_of("train", error, words[0]) if len(batch) == 1 else None
            if message is None:
                raise
            return [replace(endings[0], failed=message)]
        for k, job in zip(good, returned, strict=True):
            endings[k] = _ending(job, places[k])
        return endings


def _ending(job: JobReturn, folder: Path) -> Ending:
    """How the job ended; a failure by its message, and a bug with its traceback on stderr."""
    if job.status == JobStatus.COMPLETED:
        found = job.return_value
        if isinstance(found, Mapping):
            return Ending(**found)
        return Ending({}, failed="the job trained nothing (dry_run?)", folder=str(folder))
    error = job._return_value
    mistake = user_error(error)
    if mistake is None:
        sys.stderr.write("".join(traceback.format_exception(error)))
    reason = str(mistake) if mistake else f"{type(error).__name__}: {error}"
    return Ending({}, failed=reason[:_LONGEST_REASON], folder=str(folder))


def _check_empty(folder: Path, name: str) -> None:
    runs = [path for path in folder.iterdir() if path.name.isdecimal()]
    if runs:
        raise UserError(
            f"'{folder}' holds runs of another study than {name}; take another study_name, or "
            "give the storage of the study they belong to"
        )


def _queue_defaults(study: Any, space: Space, config: DictConfig) -> None:
    """Let the first trial be the config as it is, where the space contains it."""
    chosen = config.hydra.runtime.choices
    values = {}
    for draw in space.draws:
        group = chosen.get(draw.key)
        values[draw.key] = group if group is not None else _selected(config, draw.key)
    found, outside = space.defaults(values)
    if found:
        study.enqueue_trial(found, user_attrs={DEFAULTS: not outside})
    if outside:
        tell(f"the first trial draws {', '.join(outside)}: the config's own is not in the space")


def _note_other_settings(study: Any, fixed: Sequence[str]) -> None:
    """Say where the trials so far were trained with other settings than those to come."""
    began_with = study.user_attrs.get(_FIXED)
    if began_with is None:
        study.set_user_attr(_FIXED, list(fixed))
        return
    for words, there, here in (("without", began_with, fixed), ("with", fixed, began_with)):
        if others := [text for text in here if text not in there]:
            tell(f"note: the study was begun {words} {' '.join(others)}")


def _selected(config: DictConfig, key: str) -> Any:
    if OmegaConf.is_missing(config, key):
        return None
    return plain(OmegaConf.select(config, key))


def _shown(config: DictConfig) -> str:
    """The config as YAML, without the password of a database."""
    shown = config.copy()
    overrides = shown.hydra.overrides.hydra
    with read_write(shown):
        if shown.hydra.sweeper.storage:
            shown.hydra.sweeper.storage = without_password(str(shown.hydra.sweeper.storage))
        shown.hydra.overrides.hydra = [without_password(str(text)) for text in overrides]
    return OmegaConf.to_yaml(shown)


def _command(config: DictConfig, arguments: Sequence[str], name: str) -> str:
    """The command that goes on with the study of that name; a password in it is left out."""
    key = "hydra.sweeper.study_name"
    given = OmegaConf.to_container(config.hydra.overrides.hydra, resolve=False)
    given = [without_password(text) for text in given]
    own = [text for text in given if not text.startswith(("hydra.mode=", f"{key}="))]
    return shlex.join(["timbrel", "train", "--multirun", *own, f"{key}={name}", *arguments])
