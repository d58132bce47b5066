"""A stage's config: composed from `conf/` and the command line, completed and checked."""

import os
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from timbrel.audio.names import fitting
from timbrel.config import checks as config_checks
from timbrel.config.options import conf_folder, user_conf_folder
from timbrel.config.schema import OPEN_SECTIONS
from timbrel.config.stage_schemas import STAGES
from timbrel.config.walk import leaves
from timbrel.errors import UserError, without_trace
from timbrel.files import refusal
from timbrel.paths import absolute_path
from timbrel.stages.overrides import (
    by_own_name,
    check_overrides,
    literal,
    place_keys,
    quoted_texts,
    retold,
)
from timbrel.stages.run_folders import (
    check_run,
    find_recordings,
    overlay,
    saved_config,
    sweep_folder,
    take_attribute_names,
    take_limits,
)

_CHOSEN = ("data", "architecture", "latent", "augmentation", "loss")


class WorkingFolder(SearchPathPlugin):
    """Adds the working folder's own `./conf`, after timbrel's."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra while it gathers config folders."""
        folder = user_conf_folder()
        if folder is not None:
            search_path.append("working-folder", f"file://{folder}")


@cache
def register(stage: str) -> None:
    """Make the schema of `stage`, the resolvers and the search path known to Hydra, once."""
    store = ConfigStore.instance()
    store.store(name=f"{stage}_schema", node=STAGES[stage].schema, provider="timbrel")
    Plugins.instance().register(WorkingFolder)
    OmegaConf.register_new_resolver(
        "timbrel.sweep_folder", sweep_folder, use_cache=True, replace=True
    )
    OmegaConf.register_new_resolver("timbrel.short", _short, replace=True)


def compose(stage: str, overrides: Sequence[str] = (), *, complete: bool = True) -> DictConfig:
    """The config of `stage`, for Python and for tests; `complete` fills names in.

    Raises UserError as the command line does, but checks nothing across fields.
    """
    from hydra.core.global_hydra import GlobalHydra

    register(stage)
    overrides = [by_own_name(override) for override in overrides]
    check_overrides(stage, overrides)
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(conf_folder()), job_name=stage, version_base="1.3"):
            config = hydra.compose(
                stage, quoted_texts(stage, overrides, multirun=False), return_hydra_config=True
            )
    except Exception as error:
        message = message_of(stage, error, overrides)
        if message is None:
            raise
        raise UserError(message) from error
    choices = dict(config.hydra.runtime.choices)
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    OmegaConf.set_struct(config, True)
    return _completed(config, choices) if complete else config


def _short(name: str | None) -> str:
    """A name as that of a file, or as part of one."""
    return fitting(str(name))


def options_chosen() -> dict[str, str]:
    """The option behind each part of this run, as `architecture: rave`; empty outside a stage."""
    if not HydraConfig.initialized():
        return {}
    chosen = HydraConfig.get().runtime.choices
    return {group: str(chosen[group]) for group in _CHOSEN if chosen.get(group)}


def prepared(stage: str, config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """What Hydra composed, complete and checked: of a resumed or repeated run its own config."""
    config = _completed(config, dict(HydraConfig.get().runtime.choices))
    if stage == "train":
        for key in ("run", "reproduce"):
            if config[key] is not None:
                config = _of_run(key, config, overrides)
                break
    config = checked(stage, config)
    if stage in ("evaluate", "analyze"):
        take_limits(config, overrides)
    return config


def checked(stage: str, config: DictConfig) -> DictConfig:
    """`config`, complete and without a mistake, its places (`data.root` ...) from the root.

    Raises UserError where a key is missing or values cannot be meant.
    """
    for name in _CHOSEN:
        if name in config and not config[name]:
            raise UserError(f"{name}: no option is chosen; name one: {name}=OPTION")
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise UserError(config_checks.missing_message(stage, missing))
    config_checks.check(OmegaConf.to_object(config))
    if "latent" in config:
        take_attribute_names(config.latent)
    for key in place_keys(stage):
        given = OmegaConf.select(config, key)
        if isinstance(given, str):
            OmegaConf.update(config, key, literal(str(absolute_path(given, key))))
        elif given:
            OmegaConf.update(config, key, literal([str(absolute_path(x, key)) for x in given]))
    return config


def _completed(config: DictConfig, choices: dict[str, Any]) -> DictConfig:
    """Fill in what follows from the rest: names."""
    if "data" in config and config.data.name is None:
        root = None if OmegaConf.is_missing(config.data, "root") else config.data.root
        # Not Path.resolve: that raises where links lead in a circle, which the checks say better.
        place = os.path.realpath(absolute_path(root, "data.root")) if root else None
        config.data.name = literal(os.path.basename(place)) if place else None
    if "architecture" in config and config.name is None:
        parts = [config.data.name, choices.get("architecture"), choices.get("latent")]
        config.name = literal("_".join(str(part) for part in parts if part))
    return config


def _of_run(key: str, config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config saved in the run folder that `key` names, with the command line's device, logger.

    Raises UserError where there is none, and where its recordings are not found.
    """
    folder = check_run(config[key], key)
    merged = saved_config(folder)
    if not config.trust:
        from timbrel.library.targets import check_run_targets  # takes torch, which few need here

        check_run_targets(OmegaConf.to_container(merged), f"{key}={folder}: its config")
    find_recordings(merged, folder, config.data_root)
    overlay(merged, config, overrides, ("device", "logger"))
    merged[key] = literal(str(folder))
    OmegaConf.set_struct(merged, True)
    return merged


def user_error(error: BaseException) -> UserError | None:
    """The UserError at the bottom of `error`: `instantiate` wraps what a constructor raises.

    A disk that refuses a file is no bug of ours either.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, UserError):
            return without_trace(seen)
        if (refused := refusal(seen)) is not None:
            return refused
        seen = seen.__cause__
    return None


def message_of(stage: str, error: Exception, overrides: Sequence[str]) -> str | None:
    """What to tell of an error that composing met; None where it is a bug."""
    mistake = user_error(error)
    if mistake is not None:
        return str(mistake)
    return retold(stage, error, overrides, partial(_open_keys, stage, overrides))


def _open_keys(stage: str, overrides: Sequence[str]) -> list[str]:
    """The keys of the pluggable sections as chosen by `overrides`, to name the nearest."""
    choices = [text for text in overrides if "." not in text.split("=")[0] and text[0] != "+"]
    try:
        config = compose(stage, choices, complete=False)
    except UserError:
        return []
    sections = [name for name in OPEN_SECTIONS if name.split(".")[0] in config]
    plain = OmegaConf.to_container(config)
    return [key for key, _ in leaves(plain) if any(key.startswith(f"{s}.") for s in sections)]
