"""The folder of a training run: where it lies, and the config in it that `run=` goes on from."""

import re
import secrets
from datetime import datetime
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from timbrel.analysis.run_folder import CONFIG_FILE, OVERRIDES_FILE
from timbrel.config import STAGES
from timbrel.errors import UserError, folder_fault


def run_folder(config: DictConfig) -> Path:
    """Make the folder of this training run, and return it: call it once everything is built.

    `outputs/<date>_<time>_<name>`, with four more letters where two runs start in one second;
    in a multirun the job's own folder under `sweeps/`; with `run=` that folder. `hydra.run.dir=`
    fixes it, as `timbrel ablate` does; raises UserError where that folder holds a run already, or
    the recordings: what lies in a run folder is no recording.
    """
    if config.run is not None:
        return Path(config.run)
    fixed = fixed_folder()
    if fixed is not None:
        if (fixed / CONFIG_FILE).exists():
            raise UserError(
                f"hydra.run.dir={fixed}: holds a run already; go on with run={fixed}, or name "
                "another folder"
            )
        for text in filter(None, [config.data.root, *config.data.also]):
            if Path(text).expanduser().resolve().is_relative_to(fixed.expanduser().resolve()):
                raise UserError(
                    f"hydra.run.dir={fixed}: holds your recordings ({text}), which must not lie in "
                    "a run folder; name another, such as a new folder beside them"
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
    OmegaConf.save(config, folder / CONFIG_FILE, resolve=True)
    given = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    OmegaConf.save(OmegaConf.create(list(given)), folder / OVERRIDES_FILE)


def saved_config(folder: Path) -> DictConfig:
    """The config that `save_config` wrote, with the schema of `timbrel train`."""
    saved = OmegaConf.load(folder / CONFIG_FILE)
    return OmegaConf.merge(OmegaConf.structured(STAGES["train"].schema), saved)


def check_run(run: str | Path) -> None:
    """Raises UserError where `run=` names no folder with a config in it."""
    folder = Path(run).expanduser()
    what = folder_fault(folder)
    if what is None and not (folder / CONFIG_FILE).is_file():
        what = f"no {CONFIG_FILE} there: not a run folder"
    if what is not None:
        raise UserError(f"run={run}: {what}")
