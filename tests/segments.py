"""Segments of sounds made in memory."""

from dataclasses import dataclass

import numpy as np

from timbrel.data.split.parts import Segment

RATE_HZ = 48_000


@dataclass(frozen=True)
class _Clip:
    """What a segment asks of a clip."""

    name: str
    audio: np.ndarray
    rate_hz: int = RATE_HZ

    @property
    def clip_id(self) -> str:
        return self.name

    @property
    def n_samples(self) -> int:
        return self.audio.shape[1]

    def open(self) -> np.ndarray:
        return self.audio


def segment(name: str, audio: np.ndarray) -> Segment:
    """A whole clip of `audio`, `(time)` or `(channel, time)`."""
    audio = np.atleast_2d(audio).astype(np.float32)
    return Segment(_Clip(name, audio), 0, audio.shape[1])
