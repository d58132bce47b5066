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
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from timbrel import stopping, streams
from timbrel.config.options import conf_folder, user_conf_folder
from timbrel.errors import UserError, did_you_mean
from timbrel.stages.composing import compose, message_of, prepared, register, user_error
from timbrel.stages.overrides import by_own_name, check_overrides, quoted_texts
from timbrel.stages.run_folders import go_home, in_multirun
from timbrel.words import without_password

Job = Callable[[DictConfig], Any]


@dataclass
class _Call:
    """What became of one call: whether a job began, its status, and the user's mistake it met."""

    stage: str
    job: Job
    began: bool = False
    status: int = 0
    mistakes: list[UserError] = field(default_factory=list)


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
        register(stage)
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
        if stopping.asked():  # an import that is cut short may fail in many ways
            return _stopped(stage)
        message = None if bare else _message(call, error, overrides)
        if message is None:
            raise
        sys.stderr.write(f"timbrel {stage}: {without_password(message)}\n")
        return 2
    finally:
        HydraConfig.instance().cfg = None
    return call.status


def _message(call: _Call, error: Exception, overrides: Sequence[str]) -> str | None:
    if call.began:
        mistake = user_error(error)
        return None if mistake is None else str(mistake)
    return message_of(call.stage, error, overrides)


def _stopped(stage: str, advice: str = "") -> int:
    advice = advice or "the same command begins again"
    sys.stderr.write(f"\ntimbrel {stage}: stopped; {advice}\n")
    return stopping.status()


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
    given = [by_own_name(override) for override in flags.overrides]
    overrides = quoted_texts(stage, given, multirun=flags.multirun)
    check_overrides(stage, given, multirun=flags.multirun, folders=folders)
    searches = [word for word in given if word.startswith("sweep=") and word != "sweep=null"]
    if searches and not (flags.multirun or flags.help or flags.cfg or flags.info):
        sys.stderr.write(f"note: {searches[0]} searches with --multirun; this trains once\n")
    return flags, overrides


def _hydra_main(
    call: _Call, argv: Sequence[str], flags: argparse.Namespace, overrides: list[str]
) -> None:
    leading = list(argv)
    for override in flags.overrides:
        leading.remove(override)
    task = partial(_task, call, overrides)
    decorated = hydra.main(str(conf_folder()), call.stage, version_base="1.3")(_named(task))
    with _scratch() as scratch, _reraising(), _composed_once(flags):
        # A sweep leaves a record of itself; only training has a folder for it.
        ours = (
            []
            if call.stage == "train"
            else quoted_texts(call.stage, [f"hydra.sweep.dir={scratch}"], multirun=False)
        )
        with _argv([f"timbrel {call.stage}", *leading, *overrides, *ours]):
            decorated()


@contextmanager
def _scratch() -> Iterator[str]:
    try:
        folder = tempfile.TemporaryDirectory()
    except OSError as error:
        raise UserError(
            f"no temporary file can be made ({error}); set the environment variable TMPDIR to a "
            "folder with room"
        ) from error
    with folder as path:
        yield path


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
        if multirun:
            go_home()
        config = prepared(call.stage, config, overrides)
        call.began = True
        gc.enable()
        result = call.job(config)
        stopping.heed()
        if isinstance(result, int):
            call.status = max(call.status, result)
        return result
    except Exception as error:
        if stopping.asked():  # a process ended before this one did, say
            raise KeyboardInterrupt from error
        mistake = user_error(error)
        if mistake is None or multirun:
            raise
        # Raised through Hydra it would be announced twice.
        call.mistakes.append(mistake)
        return None


@contextmanager
def _argv(words: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, words
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _composed_once(flags: argparse.Namespace) -> Iterator[None]:
    """Spare Hydra's composition for `hydra.mode` alone where nothing can set it.

    Hydra composes a config once to see whether `hydra.mode` is set, which no file of timbrel does,
    and once more for the job.
    """
    given = [override.lstrip("+") for override in flags.overrides]
    named = any(override.startswith(("hydra.mode", "hydra=")) for override in given)
    others = flags.config_dir or flags.config_path or flags.config_name or user_conf_folder()
    if named or others:
        yield
        return
    asks, Hydra.get_mode = Hydra.get_mode, _no_mode
    try:
        yield
    finally:
        Hydra.get_mode = asks


def _no_mode(*_: Any, **__: Any) -> None:
    """What Hydra finds where no file sets `hydra.mode`: the flags decide."""


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
