"""`timbrel STAGE [overrides]`. Imports only the standard library until a stage is chosen."""

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from timbrel import stopping, streams
from timbrel.config.options import options
from timbrel.config.stage_schemas import STAGES
from timbrel.errors import UserError, did_you_mean
from timbrel.files import refusal

_PAGE = """\
timbrel trains a generative instrument from 5 to 500 of your own recordings, at 48 kHz.

Usage
  timbrel STAGE [GROUP=OPTION ...] [KEY=VALUE ...] [flags]
  timbrel STAGE --help       every choice and key of that stage

Stages
{stages}

Your runs
  library list                   the runs and models you have, one line each
  library show RUN               settings and scores of one run or model
  compare RUN RUN ...            write a page with what differs between runs: scores, curves, sounds

Studies
  ablate study=NAME              train a grid of settings with several seeds and compare them
  train --multirun sweep=NAME    search for good settings (timbrel[optuna]; docs/sweeps.md)

Choices
{choices}

Examples
  timbrel train experiment=demo
      three minutes on the built-in data: a first run without recordings of your own
  timbrel train data.root=~/kicks architecture=spectral_small latent=annealed trainer.max_time=8m
      eight minutes on your own folder
  timbrel generate model=outputs/<run folder> seed=7 seconds=2
      a new sound of two seconds
  timbrel analyze run=outputs/<run folder>
      find sliders that move one thing of its sounds; generate controls.brightness_hz=1800 uses them
  timbrel evaluate run=outputs/<run folder>
      score the model on every file, beside silence and noise, and check its gates
  timbrel compare outputs/<run folder> outputs/<another run folder>
      compare two runs by score and by ear

Where things go
  outputs/<date>_<time>_<name>/   one folder per training run: report, scores, curves, model ...
  sweeps/<date>_<time>/<number>/  run folders of a --multirun; a search has its report.html there
  sweeps/<study>/<cell>/seed<k>/  run folders of an ablation
  experiments/<study>/            an ablation's plan (study.yaml), tables, figure and README
  outputs/*.html                  pages of inspect and compare
  ./conf/GROUP/OPTION.yaml        your own options and experiments, used like the built-in ones
  ./NAME.py                       your own classes; an option names one by _target_: NAME.Decoder

Also
  timbrel completion bash|zsh|fish   install tab completion (stages, choices, keys, values)
  timbrel --version
"""


_COMMANDS = ("ablate", "library", "compare")
"""Plain commands: their words are no Hydra overrides."""

_LASTING = (*STAGES, "ablate", "compare")
"""Commands whose result is files: for them it is no failure if the printed text is lost."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status (2 for a mistake of the user's).

    Without `argv` it runs as the program `timbrel`: it takes the words from `sys.argv` and sets up
    signals, streams and the import path of the process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        _begin()
    try:
        status = _run(words)
    except UserError as error:
        sys.stderr.write(f"timbrel: {error}\n")
        return 2
    except KeyboardInterrupt:
        return _stopped()
    except Exception as error:
        # An import that is cut short may fail in many ways.
        if stopping.asked():
            return _stopped()
        refused = refusal(error)
        if refused is None:
            raise
        sys.stderr.write(f"timbrel: {refused}\n")
        return 2
    if status == 0 and stopping.asked():
        return _stopped()
    lost = streams.lost_output()
    if lost is not None:
        sys.stderr.write(f"timbrel: some of the printed text was lost: {lost}\n")
        lasting = bool(words) and words[0] in _LASTING
        return status if lasting else status or 1
    return status


def _begin() -> None:
    streams.guard()
    stopping.listen()
    # A file of the user's, `random.py` say, must not stand in for a module of Python's: not here,
    # nor in a process started from here. Modules for a `_target_` are found, after all others.
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray, if used, reports its use
    with suppress(FileNotFoundError):  # the working folder is gone
        sys.path.append(os.getcwd())


def _stopped() -> int:
    sys.stderr.write("\ntimbrel: stopped\n")
    return stopping.status()


def _run(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        if words[1:] and words[1] in (*STAGES, *_COMMANDS):
            return _run([words[1], "--help"])
        sys.stdout.write(page())
        sys.stdout.flush()
        return 0
    command, rest = words[0], words[1:]
    if "--version" in (command, *rest):
        from timbrel import __version__

        sys.stdout.write(f"timbrel {__version__}\n")
        return 0
    if command in ("completion", "_complete"):
        from timbrel.commands import completion

        return completion.install(rest) if command == "completion" else completion.answer(rest)
    if command in _COMMANDS:
        return int(import_module(f"timbrel.commands.{command}").main(rest))
    if command not in STAGES:
        if "=" in command or command.startswith("-"):
            known = ", ".join(STAGES)
            raise UserError(f"{command}: the stage comes first ({known}): timbrel STAGE {command}")
        hint = did_you_mean(command, [*STAGES, *_COMMANDS, "completion"], cutoff=0.4)
        raise UserError(f"{command}: no such stage ({', '.join(STAGES)}){hint}")
    # Importing and composing make much and free little: without collection a tenth less time.
    # The job runs with it again (stages/app.py).
    gc.disable()
    try:
        return int(import_module(f"timbrel.stages.{command}").main(rest))
    finally:
        gc.enable()


def page() -> str:
    """The page of `timbrel --help`, with the options of `conf/`."""
    stages = [f"  {name:<10}{stage.summary}" for name, stage in STAGES.items()]
    choices = [f"  {group:<14}{', '.join(names)}" for group, names in options().items()]
    return _PAGE.format(stages="\n".join(stages), choices="\n".join(choices))


if __name__ == "__main__":
    sys.exit(main())
