"""The tracks that a decoder needs beside its code, from measured attributes.

f0 is the frame's fundamental, confidence 1 where the frame is voiced and 0 elsewhere, loudness the
A-weighted level.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.attributes.frames import frame_count
from timbrel.attributes.measurement import Measurement, measure_frames
from timbrel.contracts import Columns, Conditions

_ATTRIBUTES = {"f0_hz": "f0_hz", "confidence": "f0_hz", "loudness_db": "level_a_db"}


def attributes_of(tracks: Sequence[str]) -> tuple[str, ...]:
    """The frame attributes that `tracks` (of `contracts.TRACKS`) are made from, each once."""
    return tuple(dict.fromkeys(_ATTRIBUTES[track] for track in tracks))


def conditions_from(tracks: Sequence[str], measured: Columns) -> Conditions:
    """The `tracks` of a batch whose latent frames have the attributes that they are made from."""
    made = {}
    for track in tracks:
        values, defined = measured.of([_ATTRIBUTES[track]])
        made[track] = (defined.float() if track == "confidence" else values)[:, 0]
    return Conditions(**made)


def measured_conditions(
    audio: NDArray[np.float32], *, tracks: Sequence[str], rate_hz: int, hop_samples: int
) -> Conditions:
    """The `tracks` of a whole sound (channel time), a value per latent frame, a batch of one."""
    if not tracks:
        return Conditions()
    found = measure_frames(audio, rate_hz)
    names = attributes_of(tracks)
    rows = [found.track(name) for name in names]
    columns = latent_frames(found, audio.shape[1], hop_samples)
    values = np.stack([values[columns] for values, _ in rows])
    defined = np.stack([defined[columns] for _, defined in rows])
    return conditions_from(
        tracks, Columns(names, torch.from_numpy(values)[None], torch.from_numpy(defined)[None])
    )


def latent_frames(found: Measurement, samples: int, hop_samples: int) -> NDArray[np.intp]:
    """For every latent frame of a sound of `samples`, the 10 ms frame that its middle lies in."""
    middles = (np.arange(math.ceil(samples / hop_samples)) + 0.5) * hop_samples
    last = frame_count(samples, found.rate_hz) - 1
    return np.minimum(middles // found.hop_samples, last).astype(np.intp)
