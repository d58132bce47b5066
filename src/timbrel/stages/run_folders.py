"""The folder of a training run: where it lies, and the config in it that `run=` goes on from."""

import re
import secrets
import shlex
from datetime import datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from timbrel.analysis.run_folder import CONFIG_FILE, OVERRIDES_FILE
from timbrel.config import STAGES
from timbrel.errors import UserError
from timbrel.files import write_error, write_text

_WITHOUT_CONFIG = "put it back from a copy; without it the run cannot go on nor be evaluated"
# A file that is cut short may still be YAML: of all that are missing the defaults would be taken.
_SECTIONS = ("data", "architecture", "latent", "loss", "trainer", "logger", "device")


def run_folder(config: DictConfig) -> Path:
    """Make the folder of this training run, and return it: call it once everything is built.

    `outputs/<date>_<time>_<name>`, with four more letters where two runs start in one second;
    in a multirun the job's own folder under `sweeps/`; with `run=` that folder. `hydra.run.dir=`
    fixes it, as `timbrel ablate` does; raises UserError where that folder holds a run already, and
    WriteError where it cannot be made.
    """
    if config.run is not None:
        return Path(config.run)
    try:
        return _made(config)
    except OSError as error:
        raise write_error(place_of_run(config), error, advice=elsewhere(config)) from error


def place_of_run(config: DictConfig) -> Path:
    """The run's folder where it is known before it is made, else the folder it will lie in."""
    if config.run is not None:
        return Path(config.run)
    if in_multirun():
        return Path(HydraConfig.get().runtime.output_dir)
    return fixed_folder() or Path("outputs")


def elsewhere(config: DictConfig) -> str:
    """The way out where a run's place has no room or cannot be written."""
    if config.run is not None:
        here = shlex.quote(str(config.run))
        return f"make room, or go on in a copy: cp -r {here} COPY && timbrel train run=COPY"
    key = "hydra.sweep.dir" if in_multirun() else "hydra.run.dir"
    return f"make room, or name another folder: {key}=FOLDER"


def _made(config: DictConfig) -> Path:
    fixed = fixed_folder()
    if fixed is not None:
        if (fixed / CONFIG_FILE).exists():
            raise UserError(
                f"hydra.run.dir={fixed}: holds a run already; go on with run={fixed}, or name "
                "another folder"
            )
        fixed.mkdir(parents=True, exist_ok=True)
        return fixed
    if in_multirun():
        folder = Path(HydraConfig.get().runtime.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    name = re.sub(r"[^\w.-]+", "_", str(config.name)).strip("_.") or "run"
    folder = Path("outputs", f"{datetime.now():%Y-%m-%d_%H%M%S}_{name}")
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            folder = folder.with_name(f"{folder.name[: 18 + len(name)]}_{secrets.token_hex(2)}")


def fixed_folder() -> Path | None:
    """The run folder that `hydra.run.dir=` names; None where it was not given."""
    if not HydraConfig.initialized() or in_multirun():
        return None
    given = str(HydraConfig.get().run.dir)
    return None if given == "." else Path(given)


def sweep_folder() -> str:
    """A folder for a new sweep. Register it as cached: one sweep asks often, for one answer."""
    return f"sweeps/{datetime.now():%Y-%m-%d_%H%M%S}_{secrets.token_hex(2)}"


def in_multirun() -> bool:
    """Whether this is a job of Hydra's `--multirun`."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def save_config(config: DictConfig, folder: Path) -> None:
    """Write the resolved config and the command line's overrides: what `run=` goes on from."""
    given = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    write_text(folder / OVERRIDES_FILE, OmegaConf.to_yaml(OmegaConf.create(list(given))))
    # Last: what has a config can be resumed.
    write_text(folder / CONFIG_FILE, OmegaConf.to_yaml(config, resolve=True))


def saved_config(folder: Path) -> DictConfig:
    """The config that `save_config` wrote, with the schema of `timbrel train`.

    Raises UserError where the file is damaged.
    """
    path = folder / CONFIG_FILE
    schema = OmegaConf.structured(STAGES["train"].schema)
    try:
        saved = OmegaConf.load(path)
        if not isinstance(saved, DictConfig) or not saved:
            raise UserError(f"'{path}' is damaged: no keys in it; {_WITHOUT_CONFIG}")
        config = OmegaConf.merge(schema, saved)
        missing = [name for name in _SECTIONS if not saved.get(name)]
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"'{path}' is damaged: {reason}; {_WITHOUT_CONFIG}") from error
    if missing:
        raise UserError(f"'{path}' is damaged: it lacks {', '.join(missing)}; {_WITHOUT_CONFIG}")
    return config


def check_run(run: str | Path) -> None:
    """Raises UserError where `run=` names no folder with a config in it."""
    folder = Path(run).expanduser()
    if not (folder / CONFIG_FILE).is_file():
        what = f"no {CONFIG_FILE} there: not a run folder" if folder.is_dir() else "no such folder"
        raise UserError(f"run={run}: {what}")
