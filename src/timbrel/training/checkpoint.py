"""Checkpoints as files: written whole or not at all, and checked before a training trusts one."""

import io
import pickle
import re
import shlex
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO
from torch import Tensor, nn

from timbrel.errors import UserError
from timbrel.files import write_bytes
from timbrel.library.bundle import tensors_differ
from timbrel.runs.folder import CARD_FILE, MODEL_FOLDER

LAST, BEST = "last.ckpt", "best.ckpt"
_PARTS = {"timbrel": dict, "state_dict": dict, "optimizer_states": list, "callbacks": dict}
_TENSORS = ("state_dict", "optimizer_states")
_AT_ONCE = 3  # the last, the best, and the one being written before it replaces either


class DamagedError(Exception):
    """A file that is no whole checkpoint of a run; the message says what is wrong with it."""


class CheckpointFiles(CheckpointIO):
    """How Lightning writes and reads checkpoints here: in one move, and nothing but tensors."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write it.

        Raises WriteError, which tells how many bytes it takes, and UserError where a callback
        keeps in it what could not be read again.
        """
        kept = {key: value for key, value in checkpoint.items() if key not in _TENSORS}
        if (what := unreadable(kept)) is not None:
            raise UserError(
                f"callbacks: what they keep in a checkpoint could not be read again: {what}; let "
                "state_dict return numbers, texts, tensors, and lists and mappings of them"
            )
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_bytes(Path(path), content.getbuffer())

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read what `resume_step` has checked."""
        loaded: dict[str, Any] = torch.load(path, map_location, weights_only=True)
        return loaded

    def remove_checkpoint(self, path: Any) -> None:
        """Part of Lightning's interface; nothing here removes one."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The checkpoint at `path`, every byte of it checked.

    Raises DamagedError, also where there is none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if changed := archive.testzip():
                raise DamagedError(f"'{changed}' in it is not what was written")
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DamagedError("there is no such file") from None
    except zipfile.BadZipFile:
        what = "cut short, or no checkpoint" if path.stat().st_size else "empty"
        raise DamagedError(f"it is {what}") from None
    except OSError as error:
        raise DamagedError(f"it cannot be read: {error.strerror or error}") from error
    except (RuntimeError, ValueError, LookupError, EOFError, pickle.UnpicklingError) as error:
        raise DamagedError("it is no checkpoint") from error
    if not isinstance(found, dict) or any(
        not isinstance(found.get(name), kind) for name, kind in _PARTS.items()
    ):
        raise DamagedError("it is no checkpoint of a training run")
    if not isinstance(found["timbrel"].get("step"), int):
        raise DamagedError("it does not say of which step it is")
    return found


def unreadable(state: Any) -> str | None:
    """What a checkpoint with `state` in it could not give back; None where it is read again."""
    content = io.BytesIO()
    try:
        torch.save(state, content)
        content.seek(0)
        torch.load(content, weights_only=True)
    except Exception as error:  # pickle calls methods of anybody's
        named = re.search(r"GLOBAL (\S+)", str(error))
        return named[1] if named else f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return None


def start_of(folder: Path) -> Path | None:
    """The checkpoint that the run in `folder` goes on from; None where it has none yet.

    A kill may come between the first best.ckpt and the first last.ckpt, which hold the same.
    """
    return next((folder / name for name in (LAST, BEST) if (folder / name).exists()), None)


def resume_step(folder: Path, weights: Mapping[str, Tensor] | None = None) -> int | None:
    """The step that the run in `folder` goes on from; None where it has no checkpoint yet.

    Raises UserError where the checkpoint is damaged or does not fit `weights`, with what is left
    to go on from, and where a finished run has no checkpoint any more.
    """
    path = start_of(folder)
    if path is None:
        if (folder / MODEL_FOLDER / CARD_FILE).is_file():
            raise UserError(
                f"run={folder}: its checkpoints are gone, and its model is finished; to train on "
                f"from that: timbrel train init_from={shlex.quote(str(folder))} ..."
            )
        return None
    try:
        return _step(path, weights)
    except DamagedError as error:
        raise UserError(f"'{path}' is damaged: {error}; {_way_out(folder, weights)}") from error


def is_whole(path: Path) -> bool:
    """Whether there is a checkpoint at `path`, and a whole one."""
    try:
        read_checkpoint(path)
    except DamagedError:
        return False
    return True


def room_for_checkpoints(module: nn.Module, folder: Path) -> int:
    """How many bytes a run's checkpoints may still take: weights, and two moments of each."""
    weights = sum(tensor.nbytes for tensor in module.state_dict().values())
    moments = 2 * sum(weight.nbytes for weight in module.parameters() if weight.requires_grad)
    there = sum((folder / name).exists() for name in (LAST, BEST))
    return (_AT_ONCE - there) * (weights + moments)


def _step(path: Path, weights: Mapping[str, Tensor] | None) -> int:
    found = read_checkpoint(path)
    if weights is not None and (problem := tensors_differ(weights, found["state_dict"])):
        raise DamagedError(f"it is of another model: {problem}")
    return int(found["timbrel"]["step"])


def _way_out(folder: Path, weights: Mapping[str, Tensor] | None) -> str:
    last, best = (shlex.quote(str(folder / name)) for name in (LAST, BEST))
    again = f"timbrel train {shlex.quote(f'run={folder}')}"
    try:
        step = _step(folder / BEST, weights)
    except DamagedError:
        there = [shlex.quote(str(folder / n)) for n in (LAST, BEST) if (folder / n).exists()]
        return (
            "no checkpoint of the run is whole; to train it from its first step again: "
            f"rm {' '.join(there)} && {again}"
        )
    return f"{best} is whole, of step {step}; to go on from there: rm {last} && {again}"
