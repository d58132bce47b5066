"""Embedding of a clip: statistics over time of its mel spectrum in decibels, relative to its level.

It represents which bands a sound has (timbre, register, noisiness to the width of a band), how much
each band's level varies, and how fast; of two channels the same of the side. It ignores the level,
the order in time (a sound and its reverse lie together), pitch finer than a band, phase, left from
right. It is not learned from listeners: a kick and a snare lie far apart, two singers perhaps not.
It needs no weights, and it is the same in every version of every network.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timbrel.dsp.mel import mel_filterbank
from timbrel.dsp.mid_side import mid_side
from timbrel.dsp.stft import hann, stft

BANDS = 64
DIMENSIONS = 3 * BANDS
"""Of mono, and of what `whatever_width` leaves of stereo, which has twice as many."""
RANGE_DB = 60.0
"""What lies further below a clip's loudest cell counts as silence."""

_WINDOW, _HOP = 2048, 512


@torch.no_grad()
def embed(audio: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """The embedding of one clip, `(time)` or `(channel, time)` of one channel or two.

    Per band, over time: mean in dB above the clip's own mean level, standard deviation, and mean
    step from frame to frame. Scaled so that one decibel in every band's mean is a distance of 1.
    Clips of about one length are comparable. A silent clip lies at -60, 0, 0.

    Of two channels first those of their power together, which no side and no antiphase cancels,
    then those of the side, above the same mean level and down to the same floor: of a clip without
    a side, the floor.

    Raises ValueError where the clip holds no sample.
    """
    channels = np.atleast_2d(audio)
    n = channels.shape[1]
    if not n:
        raise ValueError("the clip holds no sample")
    length = max(math.ceil(n / _HOP), 2) * _HOP
    samples = torch.from_numpy(np.pad(channels, ((0, 0), (0, length - n))).astype(np.float32))
    samples = samples / samples.abs().amax().clamp_min(1e-30)  # no underflow of very quiet ones
    spectrum = stft(mid_side(samples), hann(_WINDOW), _HOP)  # channel bin frame
    power = spectrum.real.square() + spectrum.imag.square()
    # The magnitude by parts: twice as fast as .abs(), which guards against overflow.
    bands = _mel(rate_hz) @ power.sum(0).sqrt()  # mel frame
    side = [_mel(rate_hz) @ power[1].sqrt()] if len(power) > 1 else []
    return np.concatenate([_statistics(part, bands) for part in (bands, *side)])


def whatever_width(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Embeddings `(clip, dimension)` without what they say of the side."""
    return points[:, :DIMENSIONS]


def embed_all(clips: Sequence[NDArray[np.float32]], rate_hz: int) -> NDArray[np.float64]:
    """One row per clip, all of as many channels; `(0, DIMENSIONS)` of none."""
    rows = [embed(clip, rate_hz) for clip in clips]
    return np.stack(rows) if rows else np.zeros((0, DIMENSIONS))


def _statistics(bands: Tensor, of_clip: Tensor) -> NDArray[np.float64]:
    """Of the levels in `bands`, `(mel, frame)`; mean level and floor are those of `of_clip`."""
    peak = of_clip.amax()
    if not peak > 0:
        return _scaled(torch.full((BANDS,), -RANGE_DB), torch.zeros(BANDS), torch.zeros(BANDS))
    level_db = 20 * torch.log10(bands.clamp_min(peak * 10 ** (-RANGE_DB / 20)))
    level_db = level_db - 10 * torch.log10(of_clip.square().mean())
    step_db = level_db.diff(dim=1).abs().mean(1)
    return _scaled(level_db.mean(1), level_db.std(1, correction=0), step_db)


def _scaled(mean_db: Tensor, deviation_db: Tensor, step_db: Tensor) -> NDArray[np.float64]:
    row = torch.cat([mean_db, deviation_db, step_db]).double().numpy()
    return row / math.sqrt(BANDS)


@cache
def _mel(rate_hz: int) -> Tensor:
    return torch.from_numpy(mel_filterbank(rate_hz, _WINDOW, BANDS))
