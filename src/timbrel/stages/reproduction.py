"""`reproduce.sh` in a run folder, and `timbrel train reproduce=FOLDER`: the training once more."""

import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from timbrel.errors import UserError
from timbrel.files import write_text
from timbrel.runs.folder import Run, read_run
from timbrel.runs.repetition import TOLERANCE, compare, matches, surroundings_differ, table
from timbrel.stages.overrides import quoted
from timbrel.training.checkpoint import LAST, DamagedError, read_checkpoint
from timbrel.training.compute import Compute
from timbrel.training.horizon import Horizon
from timbrel.training.provenance import Parent, surroundings

SCRIPT_FILE = "reproduce.sh"
REPORT_FILE = "reproduced.json"


def write_script(folder: Path, config: DictConfig, record: Mapping[str, Any]) -> None:
    """Write `reproduce.sh`: the command of the run in `folder`, whose `run.json` holds `record`."""
    if config.reproduce is not None:
        words = [f"reproduce={quoted(config.reproduce)}"]
    else:
        words = _command(config.seed)
    path = folder / SCRIPT_FILE
    write_text(path, script_text(words, record, timed=config.trainer.max_time is not None))
    path.chmod(0o755)


def script_text(words: Sequence[str], record: Mapping[str, Any], *, timed: bool) -> str:
    """`timbrel train` with `words`, quoted for any POSIX shell, below what it was run with."""
    versions = " ".join(f"{name} {text}" for name, text in record["versions"].items())
    device = " ".join(f"{name} {value}" for name, value in record["device"].items())
    about = [
        "Trains this run again, from the folder in which its command was given.",
        *(["The number of steps depends on the machine: trainer.max_time."] if timed else []),
        "To compare as well: timbrel train reproduce=THIS_FOLDER",
        "",
        f"git revision {record['git_revision'] or 'unknown'}",
        f"python {record['python']} {versions}",
        f"device {device}",
        f"data hash {record['data_hash']}",
    ]
    lines = [f"# {line}".rstrip() for line in about]
    command = " \\\n  ".join(["exec timbrel train", *map(shlex.quote, words)])
    return "\n".join(["#!/bin/sh", *lines, command]) + "\n"


def _command(seed: int) -> list[str]:
    """The overrides as they were given, and the seed; a folder of configs that was named."""
    if not HydraConfig.initialized():
        return [f"seed={seed}"]
    hydra = HydraConfig.get()
    given = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    seeds = [] if any(text.startswith("seed=") for text in given) else [f"seed={seed}"]
    sources = hydra.runtime.config_sources
    folders = [source.path for source in sources if source.provider == "command-line"]
    return [*(word for path in folders for word in ("--config-dir", path)), *given, *seeds]


def original_of(config: DictConfig, compute: Compute) -> Run | None:
    """The run that `reproduce` names; None without. What is other now is told on stderr.

    Raises UserError where that run has not finished.
    """
    if config.reproduce is None:
        return None
    run = read_run(Path(config.reproduce))
    if not run.card:
        status = run.provenance.get("status")
        why = f"its search gave it up ({status})" if status else "it has not finished"
        raise UserError(
            f"reproduce={run.folder}: {why}, so there is nothing to compare with; "
            f"to go on: timbrel train run={shlex.quote(str(run.folder))}"
        )
    for line in surroundings_differ(run.provenance, _now(compute)):
        sys.stderr.write(f"reproduce: {line}\n")
    return run


def _now(compute: Compute) -> dict[str, Any]:
    return {**surroundings(), "device": compute.kind()}


def check_original(original: Run, data_hash: str, parent: Parent | None) -> None:
    """Raise UserError where the recordings or the parent are not those of `original`."""
    before = original.provenance.get("data_hash")
    where = f"reproduce={original.folder}"
    if before != data_hash:
        raise UserError(
            f"{where}: the recordings or their split have changed since (data hash {data_hash}, "
            f"was {before}); put them back, or give data_root=FOLDER, where they lie as they were"
        )
    was = original.provenance.get("init_from")
    if parent is not None and (not was or was.get("model_hash") != parent.model_hash):
        raise UserError(
            f"{where}: init_from={parent.path} is another model than the one it began with; put "
            "that model back"
        )


def repeat_horizon(horizon: Horizon, original: Run) -> None:
    """Let `horizon`, if it hangs on a clock, be what that of `original` was.

    Raises UserError where the checkpoint that holds it is gone or damaged.
    """
    if horizon.max_time_s is None:
        return
    path = original.folder / LAST
    try:
        kept = read_checkpoint(path)["timbrel"]
    except DamagedError as error:
        raise UserError(
            f"reproduce={original.folder}: it ended by the clock, and how many steps that were is "
            f"in '{path}', which cannot be read: {error}"
        ) from error
    horizon.restore({**kept["horizon"], "elapsed_s": 0.0})
    horizon.repeats_steps = kept["step"]


def tell(original: Run, folder: Path) -> bool:
    """Compare the run in `folder` with `original`, print it, write `reproduced.json`.

    Returns whether they match.
    """
    again = read_run(folder)
    differ = surroundings_differ(original.provenance, again.provenance)
    rows = compare(original, again, exactly=not differ)
    found = matches(rows)
    report = {
        "original": str(original.folder),
        "matches": found,
        "exactly": not differ,
        "tolerance": 0.0 if not differ else TOLERANCE,
        "differs": differ,
        "rows": [_row(asdict(row)) for row in rows],
    }
    path = folder / REPORT_FILE
    write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    by = f"within {TOLERANCE:.0%}" if differ else "bit for bit"
    verdict = f"reproduced {by}" if found else f"NOT reproduced {by}"
    sys.stdout.write(f"{table(rows)}{verdict}: {original.folder}  table: {path}\n")
    return found


def _row(row: dict[str, Any]) -> dict[str, Any]:
    known = math.isfinite(row["difference"])
    return row | {"difference": row["difference"] if known else None}
