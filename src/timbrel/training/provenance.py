"""The record that a run needs to be repeated: code, versions, data, seed."""

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import timbrel
from timbrel.errors import UserError
from timbrel.files import write_text
from timbrel.words import without_password

_PACKAGES = ("timbrel", "torch", "lightning", "hydra-core", "numpy", "auraloss", "soxr", "wandb")


PROVENANCE_FILE = "run.json"


@dataclass(frozen=True)
class Parent:
    """The model that a run started from (`init_from`): its folder, its name and its hash."""

    path: str
    name: str
    model_hash: str


def git_revision() -> str | None:
    """The revision of timbrel's own checkout, with `+changes` where files differ; else None."""
    folder = Path(timbrel.__file__).parent
    try:
        revision = _git(folder, "rev-parse", "HEAD")
        tracked = _git(folder, "ls-files", "--error-unmatch", Path(timbrel.__file__).name)
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None  # installed from a wheel
    return revision + ("+changes" if changes else "") if tracked else None


def surroundings() -> dict[str, Any]:
    """What this process runs on: the git revision, python, the platform, versions of packages."""
    versions: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "git_revision": git_revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
    }


def write_provenance(
    path: Path,
    *,
    seed: int,
    data_hash: str,
    notes: tuple[str, ...],
    choices: Mapping[str, str],
    device: Mapping[str, Any],
    parent: Parent | None = None,
) -> dict[str, Any]:
    """Write `run.json`, and return what it holds.

    `choices` are the options that made the run, by group; `device` is `Compute.kind`.
    """
    record: dict[str, Any] = {
        "seed": seed,
        "choices": dict(choices),
        "data_hash": data_hash,
        "data_notes": list(notes),
        "init_from": asdict(parent) if parent else None,
        **surroundings(),
        "device": dict(device),
        "command": ["timbrel", *map(without_password, sys.argv[1:])],
    }
    write_text(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return record


def note_status(folder: Path, status: str | None) -> None:
    """Let `run.json` say how a run stands, such as `pruned at step 40`; None takes it out again."""
    path = folder / PROVENANCE_FILE
    try:
        record = json.loads(path.read_text("utf-8", errors="surrogateescape"))
    except (OSError, ValueError):
        return  # whoever needs the file says so
    if record.get("status") == status:
        return
    record.pop("status", None)
    if status is not None:
        record["status"] = status
    write_text(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def check_same_data(folder: Path, data_hash: str) -> None:
    """Raise UserError where the recordings or their split are not those the run began with."""
    began_with = _read(folder, "data_hash")
    if began_with != data_hash:
        raise UserError(
            f"run={folder}: the recordings or their split have changed since it began (data hash "
            f"{data_hash}, was {began_with}); put them back, or start a new run"
        )


def parent_of(folder: Path) -> Parent | None:
    """The model that the run in `folder` started from; None where it started afresh.

    Raises UserError where run.json cannot be read.
    """
    recorded = _read(folder, "init_from", None)
    try:
        return Parent(**recorded) if recorded else None
    except TypeError as error:
        path = folder / PROVENANCE_FILE
        raise UserError(f"'{path}' is damaged: init_from is no model; start a new run") from error


def check_same_parent(folder: Path, parent: Parent) -> None:
    """Raise UserError where `parent` is not the model that the run in `folder` started from."""
    began_with = parent_of(folder)
    if began_with is None or began_with.model_hash != parent.model_hash:
        raise UserError(
            f"run={folder}: init_from={parent.path} is another model than the one it began with, "
            "and it has no checkpoint yet; put that model back, or start a new run"
        )


def _read(folder: Path, key: str, *otherwise: Any) -> Any:
    path = folder / PROVENANCE_FILE
    try:
        record = json.loads(path.read_text("utf-8", errors="surrogateescape"))
        return record.get(key, *otherwise) if otherwise else record[key]
    except OSError as error:
        reason = "there is no such file" if not path.exists() else str(error.strerror)
    except ValueError as error:
        reason = f"damaged: {error}"
    except (KeyError, AttributeError, TypeError):
        reason = f"damaged: no '{key}' in it"
    raise UserError(
        f"'{path}' cannot be read ({reason}), so nothing tells whether the recordings are those "
        "of this run; put the file back, or start a new run"
    )


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        check=True,
        encoding="utf-8",
        errors="replace",
    ).stdout.strip()
