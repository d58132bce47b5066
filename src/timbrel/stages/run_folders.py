"""The folder of a training run: where it lies, and the config in it that `run=` goes on from."""

import json
import os
import platform
import secrets
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from timbrel.attributes.registry import name_of_now
from timbrel.audio.names import file_name
from timbrel.config.limits import moved
from timbrel.config.stage_schemas import STAGES
from timbrel.errors import UserError, folder_fault
from timbrel.files import write_error, write_text
from timbrel.paths import user_path
from timbrel.runs.folder import CONFIG_FILE, MODEL_FOLDER, OVERRIDES_FILE
from timbrel.stages.overrides import literal, place_keys, quoted

_WITHOUT_CONFIG = "put it back from a copy; without it the run cannot go on nor be evaluated"
# A file that is cut short may still be YAML: of all that are missing the defaults would be taken.
_SECTIONS = ("data", "architecture", "latent", "loss", "trainer", "logger", "device")
_LONGEST_NAME_BYTES = 200  # a folder's takes 255: the date stands before it, four letters after


def run_folder(config: DictConfig) -> Path:
    """Make the folder of this training run, and return it: call it once everything is built.

    `outputs/<date>_<time>_<name>`, with four more letters where two runs start in one second;
    in a multirun the job's own folder under `sweeps/`; with `run=` that folder. `hydra.run.dir=`
    fixes it, as `timbrel ablate` does; raises UserError where that folder holds a run already, or
    the recordings (files in a run folder are not recordings), and WriteError where it cannot be
    made.
    """
    if config.run is not None:
        return user_path(config.run, "run")
    try:
        return _made(config)
    except OSError as error:
        raise write_error(place_of_run(config), error, advice=elsewhere(config)) from error


def place_of_run(config: DictConfig) -> Path:
    """The run's folder where it is known before it is made, else the folder it will lie in."""
    if config.run is not None:
        return user_path(config.run, "run")
    if in_multirun():
        return _job_folder()
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
        for text in filter(None, [config.data.root, *config.data.also]):
            if user_path(text, "data.root").resolve().is_relative_to(fixed.resolve()):
                raise UserError(
                    f"hydra.run.dir={fixed}: holds your recordings ({text}), which must not lie in "
                    "a run folder; name another, such as a new folder beside them"
                )
        fixed.mkdir(parents=True, exist_ok=True)
        return fixed
    if in_multirun():
        folder = _job_folder()
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    name = file_name(str(config.name), _LONGEST_NAME_BYTES) or "run"
    folder = Path("outputs", f"{datetime.now():%Y-%m-%d_%H%M%S}_{name}")
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            folder = folder.with_name(f"{folder.name[: 18 + len(name)]}_{secrets.token_hex(2)}")


def _job_folder() -> Path:
    """The folder of a multirun's job."""
    # Not hydra.runtime.output_dir, where a `${` in the folder's name is an interpolation.
    sweep = HydraConfig.get().sweep
    return Path(sweep.dir, str(sweep.subdir)).absolute()


def fixed_folder() -> Path | None:
    """The run folder that `hydra.run.dir=` names; None where it was not given."""
    if not HydraConfig.initialized() or in_multirun():
        return None
    given = str(HydraConfig.get().run.dir)
    return None if given == "." else Path(given)


def sweep_folder(name: str | None = None) -> str:
    """The folder of the sweep of that name, or of a new one.

    Register it as cached: one sweep asks often, for one answer.
    """
    if name is not None:
        return f"sweeps/{name}"
    return f"sweeps/{datetime.now():%Y-%m-%d_%H%M%S}_{secrets.token_hex(2)}"


def in_multirun() -> bool:
    """Whether this is a job of Hydra's `--multirun`."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def go_home() -> None:
    """Let a job that a launcher has begun elsewhere work in the folder of its sweep.

    Relative places are meant from there, and parts of the user's own lie there. Raises UserError
    where the job's machine does not have that folder.
    """
    folder = str(HydraConfig.get().runtime.cwd)
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"hydra/launcher: {platform.node()} has no folder '{folder}', where the sweep "
            "began; begin it in a folder that all machines share"
        ) from error
    if folder not in sys.path:
        sys.path.append(folder)


def save_config(config: DictConfig, folder: Path) -> None:
    """Write the resolved config, what `run=` goes on from, and the command line's overrides.

    The places among them are those of the config, which mean the same in every working folder.
    """
    given = []
    if HydraConfig.initialized():
        given = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    for index, override in enumerate(given):
        key = override.partition("=")[0]
        if key in place_keys("train") and OmegaConf.select(config, key):
            given[index] = f"{key}={quoted(OmegaConf.select(config, key))}"
    overrides = OmegaConf.create(literal(given))
    write_text(folder / OVERRIDES_FILE, OmegaConf.to_yaml(overrides, resolve=True))
    # Last: what has a config can be resumed.
    write_text(folder / CONFIG_FILE, OmegaConf.to_yaml(config, resolve=True))


def saved_config(folder: Path) -> DictConfig:
    """The config that `save_config` wrote, with the schema of `timbrel train`.

    Raises UserError where the file is damaged.
    """
    path = folder / CONFIG_FILE
    try:
        # What was written is resolved: a `${` in it is text, which OmegaConf's own loader would
        # parse.
        saved = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(saved, dict) or not saved:
            raise UserError(f"'{path}' is damaged: no keys in it; {_WITHOUT_CONFIG}")
        config = typed_config(saved)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"'{path}' is damaged: {reason}; {_WITHOUT_CONFIG}") from error
    missing = [name for name in _SECTIONS if not saved.get(name)]
    if missing:
        raise UserError(f"'{path}' is damaged: it lacks {', '.join(missing)}; {_WITHOUT_CONFIG}")
    return config


def typed_config(saved: dict[str, Any]) -> DictConfig:
    """The resolved config of a training with the schema of `timbrel train`."""
    schema = OmegaConf.structured(STAGES["train"].schema)
    return OmegaConf.merge(schema, literal(moved(saved)))


def take_limits(config: DictConfig, overrides: Sequence[str]) -> None:
    """Let the limits of `config` be those of the run, but for what the command line sets."""
    folder = user_path(config.run, "run")
    if not (folder / MODEL_FOLDER / "card.json").is_file():
        return  # the job says why that is nothing to evaluate
    own = saved_config(folder)
    overlay(own, config, overrides, ("limits",))
    for key in config.limits:
        config.limits[key] = own.limits[key]


def overlay(
    saved: DictConfig, config: DictConfig, overrides: Sequence[str], sections: Sequence[str]
) -> None:
    """Let `saved` have what `overrides` set of its `sections`, as it came out in `config`."""
    for override in overrides:
        key = override.split("=")[0].lstrip("+")
        if key.split(".")[0] in sections:
            OmegaConf.update(saved, key, _value(config, key), merge=False)


def _value(config: DictConfig, key: str) -> Any:
    """The value of `key`, to be put into another config."""
    value = OmegaConf.select(config, key)
    return value if OmegaConf.is_config(value) else literal(value)  # a section is taken as it is


def take_attribute_names(latent: DictConfig) -> None:
    """Let attributes that the latent option names have the names of now (`name_of_now`)."""
    sections = [latent, latent.get("penalty") or {}]
    for section in sections:
        for key in ("frame_attributes", "clip_attributes"):
            if section.get(key) and not OmegaConf.is_interpolation(section, key):
                section[key] = [name_of_now(name) for name in section[key]]
    zones = sections[1].get("dead_zone")
    if OmegaConf.is_dict(zones):
        sections[1]["dead_zone"] = {name_of_now(name): zone for name, zone in zones.items()}


def check_run(run: str | Path, key: str = "run") -> Path:
    """The folder that `run=` names, or another `key`. Raises UserError without a config in it."""
    folder = user_path(run, key)
    what = folder_fault(folder)
    if what is None and not (folder / CONFIG_FILE).is_file():
        what = f"no {CONFIG_FILE} there: not a run folder"
    if what is not None:
        raise UserError(f"{key}={run}: {what}")
    return folder


def find_recordings(config: DictConfig, folder: Path, data_root: str | None) -> None:
    """Let `config`, of the run in `folder`, read its recordings at `data_root` where that is given.

    Raises UserError where they, their further folders or their lists are not there. Whether they
    are the same recordings, their hash tells.
    """
    data = config.data
    if data.kind == "demo":
        if data_root is not None:
            raise UserError(
                f"data_root={data_root}: the run's demo set has no folder; leave it out"
            )
    elif data_root is not None:
        if not user_path(data_root, "data_root").is_dir():
            raise UserError(f"data_root={data_root}: no such folder")
        if data.split_file is not None and data.split_theme is None:
            # Lists under themes go by the folder's name, which may be another now.
            data.split_theme = literal(_theme(data))
        data.root = literal(data_root)
    elif not user_path(data.root, "data.root").is_dir():
        raise UserError(
            f"run={folder}: its recordings were in {data.root}, which is not there; "
            "give data_root=FOLDER, where they lie now"
        )
    for text in data.also:
        if not user_path(text, "data.also").is_dir():
            raise UserError(
                f"run={folder}: it was trained on {text} (data.also) as well, which is not there "
                "now; put that folder back, or a link to it"
            )
    if data.split_file is not None and not user_path(data.split_file, "data.split_file").is_file():
        raise UserError(
            f"run={folder}: its lists were in {data.split_file} (data.split_file), which is not "
            "there (any more); put that file back, or a link to it"
        )


def _theme(data: DictConfig) -> str | None:
    """The theme of the split file that the folder's old name chose; None where it has none."""
    try:
        content = json.loads(user_path(data.split_file, "data.split_file").read_text("utf-8"))
    except (OSError, ValueError):
        return None  # reading the lists says so in its own words
    old_name = Path(data.root).name
    themed = isinstance(content, dict) and isinstance(content.get(old_name), dict)
    return old_name if themed else None
