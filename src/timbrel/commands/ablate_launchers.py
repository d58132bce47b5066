"""A study's runs through a launcher of Hydra's: one after the other, by joblib, on a cluster.

Each job of the launcher is one run of the study, started there as a `timbrel train` process as
`timbrel.sweeps.runner` starts it, with its lock and its record: a finished run is not repeated, a
failed run does not stop the others, and a killed run resumes. A launcher on other machines needs
this folder there.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from timbrel.errors import UserError, did_you_mean
from timbrel.stages.run_folders import go_home
from timbrel.sweeps.plan import SWEEPS, PlannedRun
from timbrel.sweeps.record import State
from timbrel.sweeps.runner import PROCESS, Ended, Ending, Tell, run_alone

_MASTER = """\
defaults:
  - _self_
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
runs: ???
index: 0
study: ???
jobs: 1
hydra: {output_subdir: null, job: {chdir: false}, sweep: {subdir: .}}
"""
_MASTER_NAME = "ablate"
# What launchers call the number of jobs at a time.
_QUEUE = "array_parallelism"  # of a cluster, where every job has its cores to itself
_AT_ONCE = ("n_jobs", _QUEUE)
_ONE_BY_ONE = "basic"


def check(name: str, jobs: int) -> None:
    """Raises UserError for a launcher that is not installed, and for `jobs` where it takes none."""
    with tempfile.TemporaryDirectory() as folder, _hydra(Path(folder)) as hydra:
        _composed(hydra, name, jobs, Path(folder))


def launch(
    runs: Sequence[PlannedRun], *, name: str, study: str, jobs: int, tell: Tell, ended: Ended
) -> None:
    """Run them by Hydra's launcher `name`, `jobs` at a time; `ended` is called for each.

    Where the launcher has no limit of its own, it is given `jobs` runs, and then the next.

    Raises UserError as `check`.
    """
    place = SWEEPS / study / ".launcher"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place, suffix=".runs") as file, _hydra(place) as hydra:
        # As a signature reads a config: what JSON does not know counts as its text.
        text = json.dumps([run.to_json() for run in runs], default=str)
        file.write(text.encode())
        file.flush()
        config = _composed(hydra, name, jobs, place)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks()),
            task_function=run_one,
            config=config,
        )
        tell(f"launcher {name}: {len(runs)} run{'s' if len(runs) > 1 else ''}")
        shared = [
            f"runs='{place / Path(file.name).name}'",
            f"study='{study}'",
            f"jobs={_of_a_machine(config, jobs)}",
        ]
        words = [[*shared, f"index={k}"] for k in range(len(runs))]
        at_once = len(words) if _limits(config) else jobs
        for first in range(0, len(words), at_once):
            some = slice(first, first + at_once)
            returned = launcher.launch(words[some], initial_job_idx=first)
            _tell_ends(runs[some], returned, ended)


def _tell_ends(runs: Sequence[PlannedRun], returned: Sequence[Any], ended: Ended) -> None:
    for run, job in zip(runs, returned, strict=True):
        found = job.return_value  # raises what ended the job itself, if anything did
        if found is not None:
            ended(Ending(run, State(found["state"]), found["reason"], found["seconds"]))


def _limits(config: DictConfig) -> list[str]:
    """The launcher's own keys of how many jobs it runs at a time; without any it runs all."""
    return [key for key in _AT_ONCE if key in config.hydra.launcher]


def _of_a_machine(config: DictConfig, jobs: int) -> int:
    """How many of the `jobs` at a time share the cores of one machine."""
    return 1 if _QUEUE in config.hydra.launcher else jobs


def _composed(hydra: Hydra, name: str, jobs: int, place: Path) -> DictConfig:
    known = sorted(hydra.config_loader.get_group_options("hydra/launcher"))
    if name not in known:
        raise UserError(
            f"ablate: launcher={name}: not installed; there are {PROCESS}, {', '.join(known)}"
            f"{did_you_mean(name, [PROCESS, *known])}"
        )
    overrides = [f"hydra/launcher={name}", f"hydra.sweep.dir='{place}'"]
    config = hydra.compose_config(_MASTER_NAME, overrides, run_mode=RunMode.MULTIRUN)
    if jobs > 1 and name == _ONE_BY_ONE:
        raise UserError(f"ablate: jobs={jobs}: launcher={name} runs one at a time; leave it out")
    for key in _limits(config):
        config.hydra.launcher[key] = jobs
    return config


@contextmanager
def _hydra(place: Path) -> Iterator[Hydra]:
    """Hydra on the one config that the launcher's jobs have."""
    (place / f"{_MASTER_NAME}.yaml").write_text(_MASTER, "utf-8")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(place.absolute()), job_name="ablate", version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        if hydra is None:
            raise RuntimeError("Hydra was initialised and is not there")
        yield hydra


def run_one(config: DictConfig) -> dict[str, Any] | None:
    """A launcher's job: the run number `index` of those in the file `runs`."""
    go_home()
    runs = json.loads(Path(config.runs).read_text("utf-8"))
    run = PlannedRun.from_json(runs[config.index])
    ending = run_alone(run, study=config.study, jobs=config.jobs, tell=_tell)
    if ending is None:
        return None
    return {"state": str(ending.state), "reason": ending.reason, "seconds": ending.seconds}


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
