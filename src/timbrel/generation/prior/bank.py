"""The codes of training recordings: what sounds are made of that begin, go on and end."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from timbrel.errors import UserError
from timbrel.files import write_bytes, write_text

Array = NDArray[np.float32]

_TENSORS, _RECORD = "bank.safetensors", "bank.json"


@dataclass(frozen=True, eq=False)
class BankClip:
    """The code of one recording, or of one played at another speed.

    `rows` (row frame) are those of `generation.tracks`: the frame codes and, below them, the
    tracks, with hertz as octaves; `clip_code` (clip_latent). The sound begins in `onset_frame` and
    has ended in `end_frame`; the frames behind it are those of silence. `event` says whether the
    recording is a hit or a note that ends (`attributes.extent`). `name` is the recording's, and
    `semitones` how much higher it is played: 0 for the recording itself.
    """

    name: str
    rows: Array
    clip_code: Array
    onset_frame: int
    end_frame: int
    event: bool
    semitones: float = 0.0


@dataclass(frozen=True)
class Bank:
    """All clips, and which tracks their rows end with."""

    clips: tuple[BankClip, ...]
    tracks: tuple[str, ...]

    @property
    def recordings(self) -> tuple[BankClip, ...]:
        """The clips that are recordings at their own speed."""
        return tuple(clip for clip in self.clips if clip.semitones == 0)

    @property
    def size_bytes(self) -> int:
        """What the codes take on disk."""
        return len(_bytes(self))


def save_bank(folder: Path, bank: Bank) -> None:
    """Write `bank` into `folder`: frame codes in half precision, tracks in single.

    In half precision an f0 in octaves would be off by up to 5 cents.
    """
    heads = [
        {k: v for k, v in asdict(clip).items() if k not in ("rows", "clip_code")}
        | {"frames": clip.rows.shape[1]}
        for clip in bank.clips
    ]
    write_bytes(folder / _TENSORS, _bytes(bank))
    write_text(folder / _RECORD, json.dumps({"tracks": bank.tracks, "clips": heads}, indent=1))


def has_bank(folder: Path) -> bool:
    """Whether `save_bank` wrote one into `folder`."""
    return (folder / _RECORD).exists() or (folder / _TENSORS).exists()


def load_bank(folder: Path) -> Bank:
    """Read what `save_bank` wrote.

    Raises UserError where a file is missing or damaged.
    """
    try:
        record = json.loads((folder / _RECORD).read_text("utf-8"))
        tensors = load_file(folder / _TENSORS)
        return _bank(record, tensors)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(
            f"'{folder}' cannot be read: {error}; make it again: timbrel prior run=RUN"
        ) from error


def _bytes(bank: Bank) -> bytes:
    n_tracks = len(bank.tracks)

    def joined(parts: Iterable[NDArray[Any]], axis: int) -> NDArray[Any]:
        return np.ascontiguousarray(np.concatenate(list(parts), axis=axis))

    rows = joined((clip.rows for clip in bank.clips), 1)
    width = len(rows) - n_tracks
    tensors = {
        "frames": rows[:width].astype(np.float16),
        "tracks": rows[width:].astype(np.float32),
        "clip_codes": np.stack([clip.clip_code for clip in bank.clips]).astype(np.float32),
    }
    return save(tensors)


def _bank(record: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Bank:
    rows = np.concatenate([tensors["frames"].astype(np.float32), tensors["tracks"]])
    clips, start = [], 0
    for head, clip_code in zip(record["clips"], tensors["clip_codes"], strict=True):
        stop = start + int(head.pop("frames"))
        clips.append(BankClip(rows=rows[:, start:stop], clip_code=clip_code, **head))
        start = stop
    if start != rows.shape[1]:
        raise ValueError(f"{rows.shape[1]} frames of codes for {start} of clips")
    return Bank(tuple(clips), tuple(record["tracks"]))
