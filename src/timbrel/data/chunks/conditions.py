"""The tracks that a decoder needs beside its code, from measured attributes.

f0 is the frame's fundamental; where a frame has none, that of the nearest frame that has one, so
that it does not leap while the confidence opens or closes. The confidence follows the periodicity:
0 up to 0.5, where noise is as strong as the tone, and 1 from 0.8 on; it is 0 throughout where no
frame has a fundamental. Loudness is the K-weighted level. In silence the spectral centroid and the
harmonic-to-noise ratio are those of the nearest frame that sounds.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from timbrel.attributes.frames import frame_count, hop_of
from timbrel.attributes.measurement import Measurement, measure_frames
from timbrel.contracts import Columns, Conditions

Track = Float[Tensor, "batch frame"]

_ATTRIBUTES = {
    "f0_hz": ("f0_hz",),
    "confidence": ("f0_hz", "hnr_db"),
    "loudness_db": ("level_k_db",),
    "centroid_hz": ("centroid_hz",),
    "hnr_db": ("hnr_db",),
}
_CLOSED, _OPEN = 0.5, 0.8  # periodicity
MONOPHONIC = 0.6
"""The `voiced_share` from which on recordings are taken to be of one pitch at a time."""


def attributes_of(tracks: Sequence[str]) -> tuple[str, ...]:
    """The frame attributes that `tracks` (of `contracts.TRACKS`) are made from, each once."""
    return tuple(dict.fromkeys(name for track in tracks for name in _ATTRIBUTES[track]))


def conditions_from(tracks: Sequence[str], measured: Columns) -> Conditions:
    """The `tracks` of a batch whose latent frames have the attributes that they are made from."""
    return Conditions(**{track: _MADE[track](measured) for track in tracks})


def _track_from_nearest(name: str) -> Callable[[Columns], Track]:
    def made(measured: Columns) -> Track:
        values, defined = measured.of([name])
        return from_nearest(values[:, 0], defined[:, 0])

    return made


def _confidence(measured: Columns) -> Track:
    values, defined = measured.of(["f0_hz", "hnr_db"])
    power = 10 ** (values[:, 1] / 10)
    opened = ((power / (1 + power) - _CLOSED) / (_OPEN - _CLOSED)).clamp(0.0, 1.0)
    smooth = opened * opened * (3 - 2 * opened)
    return smooth * defined[:, 1] * defined[:, 0].any(1, keepdim=True)


def _loudness_db(measured: Columns) -> Track:
    return measured.of(["level_k_db"])[0][:, 0]


_MADE = {
    "f0_hz": _track_from_nearest("f0_hz"),
    "confidence": _confidence,
    "loudness_db": _loudness_db,
    "centroid_hz": _track_from_nearest("centroid_hz"),
    "hnr_db": _track_from_nearest("hnr_db"),
}


def from_nearest(values: Track, defined: Bool[Tensor, "batch frame"]) -> Track:
    """Each frame's value where it is defined, else that of the nearest such; as is without one."""
    n_frames = values.shape[1]
    frame = torch.arange(n_frames, device=values.device).expand_as(values)
    before = torch.where(defined, frame, -n_frames).cummax(1).values
    after = torch.where(defined, frame, 2 * n_frames).flip(1).cummin(1).values.flip(1)
    nearest = torch.where(frame - before <= after - frame, before, after)
    known = torch.where(defined.any(1, keepdim=True), nearest, frame)
    return values.gather(1, known)


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


def voiced_share(found: Iterable[Measurement]) -> float:
    """How much of what sounds has a clear pitch: the mean confidence of all frames that sound.

    Those are the frames within 40 dB of a sound's loudest. Chords may have a clear pitch too; 0
    where nothing sounds.
    """
    heard = [torch.zeros(0)]
    for sound in found:
        rows = [sound.track(name) for name in _ATTRIBUTES["confidence"]]
        values, defined = (torch.from_numpy(np.stack(x))[None] for x in zip(*rows, strict=True))
        sounding = torch.from_numpy(sound.sounding)
        heard.append(_confidence(Columns(_ATTRIBUTES["confidence"], values, defined))[0, sounding])
    every = torch.cat(heard)
    return float(every.mean()) if len(every) else 0.0


def latent_frames(found: Measurement, samples: int, hop_samples: int) -> NDArray[np.intp]:
    """For every latent frame of a sound of `samples`, the 10 ms frame that its middle lies in."""
    return frames_at(samples, found.rate_hz, hop_samples)


def frames_at(samples: int, rate_hz: int, hop_samples: int) -> NDArray[np.intp]:
    """`latent_frames` of a sound that is not measured as a whole."""
    middles = (np.arange(math.ceil(samples / hop_samples)) + 0.5) * hop_samples
    return np.minimum(middles // hop_of(rate_hz), frame_count(samples, rate_hz) - 1).astype(np.intp)
