"""What every stage shares: compose its config, check it, call its job, tell errors in one line.

A stage is a module with `main(argv) -> int`, which is `run_stage(name, argv, job)`; `job(config)`
gets a composed and checked `DictConfig`, and what it returns as an `int` is its exit status. Hydra
does the rest: `--multirun`, `--cfg`, `--info`.
"""

import argparse
import gc
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from timbrel import config_checks, stopping, streams
from timbrel.audio.names import fitted
from timbrel.config import OPEN_SECTIONS, STAGES
from timbrel.errors import UserError, did_you_mean
from timbrel.files import refusal
from timbrel.options import conf_folder, user_conf_folder
from timbrel.paths import absolute_path
from timbrel.stages.overrides import check_overrides, literal, place_keys, quoted_texts, retold
from timbrel.stages.run_folders import (
    check_run,
    find_recordings,
    in_multirun,
    overlay,
    saved_config,
    sweep_folder,
    take_attribute_names,
    take_limits,
)

Job = Callable[[DictConfig], Any]

_LONGEST_NAME_BYTES = 200  # a file takes 255: words stand before and after it
_CHOSEN = ("data", "architecture", "latent", "augmentation", "loss")


class WorkingFolder(SearchPathPlugin):
    """Adds the working folder's own `./conf`, after timbrel's."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra while it gathers config folders."""
        folder = user_conf_folder()
        if folder is not None:
            search_path.append("working-folder", f"file://{folder}")


@dataclass
class _Call:
    """What became of one call: whether a job began, its status, and the user's mistake it met."""

    stage: str
    job: Job
    began: bool = False
    status: int = 0
    mistakes: list[UserError] = field(default_factory=list)


def register() -> None:
    """Make the schemas, the resolver and the search path known to Hydra (repeating is harmless)."""
    store = ConfigStore.instance()
    for name, stage in STAGES.items():
        store.store(name=f"{name}_schema", node=stage.schema, provider="timbrel")
    Plugins.instance().register(WorkingFolder)
    OmegaConf.register_new_resolver(
        "timbrel.sweep_folder", sweep_folder, use_cache=True, replace=True
    )
    OmegaConf.register_new_resolver("timbrel.short", _short, replace=True)


def run_stage(stage: str, argv: Sequence[str], job: Job) -> int:
    """Compose `stage` from `argv` and call `job` with it; the exit status.

    0 done, or what the job returned (the largest of a multirun's); 2 a mistake of the user's (told
    in one message on stderr), 130 stopped by Ctrl-C, 143 by SIGTERM. Any other exception is a bug
    and keeps its traceback, as everything does under HYDRA_FULL_ERROR=1.
    """
    bare = os.environ.get("HYDRA_FULL_ERROR") == "1"
    call = _Call(stage, job)
    overrides: list[str] = []
    try:
        register()
        flags, overrides = _parsed(stage, argv)
        if flags.help:
            from timbrel.stages.help_page import stage_page

            sys.stdout.write(stage_page(stage, compose(stage, overrides, complete=False)))
            return 0
        _hydra_main(call, argv, flags, overrides)
        if call.mistakes:
            raise call.mistakes[0]
    except KeyboardInterrupt as interrupt:
        return _stopped(stage, str(interrupt))
    except Exception as error:
        if stopping.asked():  # a process ended before this one did, say
            return _stopped(stage)
        message = None if bare else _message(call, error, overrides)
        if message is None:
            raise
        sys.stderr.write(f"timbrel {stage}: {message}\n")
        return 2
    finally:
        HydraConfig.instance().cfg = None
    return call.status


def _stopped(stage: str, advice: str = "") -> int:
    advice = advice or "the same command begins again"
    sys.stderr.write(f"\ntimbrel {stage}: stopped; {advice}\n")
    return stopping.status()


def compose(stage: str, overrides: Sequence[str] = (), *, complete: bool = True) -> DictConfig:
    """The config of `stage`, for Python and for tests; `complete` fills names in.

    Raises UserError as the command line does, but checks nothing across fields.
    """
    from hydra.core.global_hydra import GlobalHydra

    register()
    check_overrides(stage, overrides)
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(conf_folder()), job_name=stage, version_base="1.3"):
            config = hydra.compose(
                stage, quoted_texts(stage, overrides, multirun=False), return_hydra_config=True
            )
    except Exception as error:
        message = _message(_Call(stage, print), error, overrides)
        if message is None:
            raise
        raise UserError(message) from error
    choices = dict(config.hydra.runtime.choices)
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    OmegaConf.set_struct(config, True)
    return _completed(config, choices) if complete else config


def _short(name: str | None) -> str:
    """A name within that of a file."""
    return fitted(str(name), _LONGEST_NAME_BYTES)


def options_chosen() -> dict[str, str]:
    """The option behind each part of this run, as `architecture: rave`; empty outside a stage."""
    if not HydraConfig.initialized():
        return {}
    chosen = HydraConfig.get().runtime.choices
    return {group: str(chosen[group]) for group in _CHOSEN if chosen.get(group)}


def _parsed(stage: str, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Hydra's flags and the checked overrides, which may stand between them."""
    parser = get_args_parser()
    known = [text for action in parser._actions for text in action.option_strings]

    def refuse(message: str) -> NoReturn:
        flag = re.search(r"unrecognized arguments: (\S+)", message)
        if flag:
            hint = did_you_mean(flag[1], known) or f" (timbrel {stage} --help lists them)"
            raise UserError(f"{flag[1]}: no such flag{hint}")
        raise UserError(message)

    parser.error = refuse  # type: ignore[method-assign]
    flags = parser.parse_intermixed_args(list(argv))
    folders = [Path(flags.config_dir)] if flags.config_dir else []
    overrides = quoted_texts(stage, flags.overrides, multirun=flags.multirun)
    check_overrides(stage, flags.overrides, multirun=flags.multirun, folders=folders)
    return flags, overrides


def _hydra_main(
    call: _Call, argv: Sequence[str], flags: argparse.Namespace, overrides: list[str]
) -> None:
    leading = list(argv)
    for override in flags.overrides:
        leading.remove(override)
    task = partial(_task, call, overrides)
    decorated = hydra.main(str(conf_folder()), call.stage, version_base="1.3")(_named(task))
    with tempfile.TemporaryDirectory() as scratch, _reraising():
        # A sweep leaves a record of itself; only training has a folder for it.
        ours = (
            []
            if call.stage == "train"
            else quoted_texts(call.stage, [f"hydra.sweep.dir={scratch}"], multirun=False)
        )
        with _argv([f"timbrel {call.stage}", *leading, *overrides, *ours]):
            decorated()


def _named(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    # Hydra asks the task for its module; a partial has none.
    task.__module__ = __name__  # type: ignore[attr-defined]
    task.__name__ = "task"  # type: ignore[attr-defined]
    return task


def _task(call: _Call, overrides: list[str], config: DictConfig) -> Any:
    multirun = in_multirun()
    if multirun:
        streams.guard()  # a launcher may have begun this job in a process of its own
        job = HydraConfig.get()
        sys.stderr.write(f"timbrel {call.stage}: job {job.job.num}: {job.job.override_dirname}\n")
    try:
        config = _prepared(call.stage, config, overrides)
        call.began = True
        gc.enable()
        result = call.job(config)
        if isinstance(result, int):
            call.status = max(call.status, result)
        return result
    except Exception as error:
        mistake = _user_error(error)
        if mistake is None or multirun:
            raise
        # Raised through Hydra it would be announced twice.
        call.mistakes.append(mistake)
        return None


def _prepared(stage: str, config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    config = _completed(config, dict(HydraConfig.get().runtime.choices))
    if stage == "train" and config.run is not None:
        config = _resumed(config, overrides)
    config = checked(stage, config)
    if stage == "evaluate":
        take_limits(config, overrides)
    return config


def checked(stage: str, config: DictConfig) -> DictConfig:
    """`config`, complete and without a mistake, its places (`data.root` ...) from the root.

    Raises UserError where a key is missing or values cannot be meant.
    """
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
    """Fill in what follows from the rest: names, and the prior's length."""
    if "data" in config and config.data.name is None:
        root = None if OmegaConf.is_missing(config.data, "root") else config.data.root
        # Not Path.resolve: that raises where links lead in a circle, which the checks say better.
        place = os.path.realpath(absolute_path(root, "data.root")) if root else None
        config.data.name = literal(os.path.basename(place)) if place else None
    if "architecture" in config and config.name is None:
        parts = [config.data.name, choices.get("architecture"), choices.get("latent")]
        config.name = literal("_".join(str(part) for part in parts if part))
    if "source" in config and config.source == "prior" and config.seconds is None:
        config.seconds = 4.0
    return config


def _resumed(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config saved in the run folder, with the command line's device and logger.

    Raises UserError where there is none, and where its recordings are not found.
    """
    folder = check_run(config.run)
    merged = saved_config(folder)
    find_recordings(merged, folder, config.data_root)
    overlay(merged, config, overrides, ("device", "logger"))
    merged.run = literal(str(folder))
    OmegaConf.set_struct(merged, True)
    return merged


def _user_error(error: BaseException) -> UserError | None:
    """The UserError at the bottom of `error`: `instantiate` wraps what a constructor raises.

    A disk that refuses a file is no bug of ours either.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, UserError):
            return seen
        if (refused := refusal(seen)) is not None:
            return refused
        seen = seen.__cause__
    return None


def _message(call: _Call, error: Exception, overrides: Sequence[str]) -> str | None:
    mistake = _user_error(error)
    if mistake is not None:
        return str(mistake)
    if call.began:
        return None
    return retold(call.stage, error, overrides, partial(_open_keys, call.stage, overrides))


def _open_keys(stage: str, overrides: Sequence[str]) -> list[str]:
    """The keys of the pluggable sections as chosen by `overrides`, to name the nearest."""
    choices = [text for text in overrides if "." not in text.split("=")[0] and text[0] != "+"]
    try:
        config = compose(stage, choices, complete=False)
    except UserError:
        return []
    return [key for section in OPEN_SECTIONS & set(config) for key in _leaves(config, str(section))]


def _leaves(config: DictConfig, prefix: str) -> Iterator[str]:
    node = OmegaConf.select(config, prefix)
    if isinstance(node, DictConfig):
        for key in node:
            yield from _leaves(config, f"{prefix}.{key}")
    else:
        yield prefix


@contextmanager
def _argv(words: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, words
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _reraising() -> Iterator[None]:
    """Let Hydra raise what it would print: it reads this variable and nothing else."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before
