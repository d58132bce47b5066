"""The training recordings as coarse patterns: is a new sound too near one of them?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from timbrel.files import write_bytes
from timbrel.metrics import copies

_STEPS_PER_DB = 4
_FILE = "recordings.safetensors"
_FEWEST_HELD_OUT = 3

Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Nearest:
    """The training recording nearest to a sound.

    `share` is their distance, divided by that of a typical recording that was not trained on: 0 of
    a copy, about 1 of another recording of the kind.
    """

    name: str
    share: float


@dataclass(frozen=True, eq=False)
class Recordings:
    """Patterns of recordings (`metrics.copies`), in quarters of a decibel.

    `events` says that they are hits and notes, compared from their onsets. `typical_db` is the
    median distance of held-out recordings to the nearest one; of each to the nearest other where
    fewer than three are held out.
    """

    names: tuple[str, ...]
    patterns: tuple[NDArray[np.uint8], ...]
    events: bool
    typical_db: float
    rate_hz: int

    def nearest(self, audio: Audio) -> Nearest:
        """The recording nearest to `audio`, (channel time)."""
        heard = copies.patches(audio, self.rate_hz, from_onset=self.events)
        distances = _distances(heard, self.patterns, self.events)
        index = int(distances.argmin())
        return Nearest(self.names[index], float(distances[index] / self.typical_db))

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the patterns into `folder`; what `load_recordings` needs beside them."""
        tensors = {str(i): cells for i, cells in enumerate(self.patterns)}
        write_bytes(folder / _FILE, save(tensors))
        return {
            "names": list(self.names),
            "events": self.events,
            "typical_db": self.typical_db,
            "rate_hz": self.rate_hz,
        }


def load_recordings(folder: Path, record: dict[str, Any]) -> Recordings:
    """What `save` wrote. Raises ValueError where it is damaged."""
    try:
        tensors = load_file(folder / _FILE)
        names = tuple(map(str, record["names"]))
        cells = tuple(tensors[str(i)] for i in range(len(names)))
        numbers = float(record["typical_db"]), int(record["rate_hz"])
        return Recordings(names, cells, bool(record["events"]), *numbers)
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"{folder / _FILE}: {error}") from error


def recordings_of(
    training: Sequence[tuple[str, Audio]], held_out: Sequence[Audio], rate_hz: int, *, events: bool
) -> Recordings | None:
    """The patterns of `training`; None where nothing says how far recordings lie apart."""
    patterns = tuple(
        np.round(copies.pattern(audio, rate_hz, from_onset=events) * _STEPS_PER_DB).astype(np.uint8)
        for _, audio in training
    )
    if events:
        patterns = tuple(cells[: copies.patch_frames(rate_hz) + 1] for cells in patterns)
    if len(held_out) >= _FEWEST_HELD_OUT:
        others = [(audio, patterns) for audio in held_out]
    else:
        others = [
            (audio, patterns[:i] + patterns[i + 1 :]) for i, (_, audio) in enumerate(training)
        ]
    nearest = [
        _distances(copies.patches(audio, rate_hz, from_onset=events), cells, events).min()
        for audio, cells in others
        if cells
    ]
    typical_db = float(np.median(nearest)) if nearest else 0.0
    if not typical_db > 1 / _STEPS_PER_DB:
        return None
    return Recordings(tuple(name for name, _ in training), patterns, events, typical_db, rate_hz)


def _distances(
    heard: copies.Pattern, patterns: Sequence[NDArray[np.uint8]], events: bool
) -> NDArray[np.float64]:
    """Of the patches of one sound to every pattern, in dB."""
    return np.array(
        [
            copies.distances_db(
                heard, cells.astype(np.float32) / _STEPS_PER_DB, anywhere=not events
            ).min()
            for cells in patterns
        ]
    )
