"""How wide a stereo sound is."""

import numpy as np

from timbrel.attributes.frames import Mask, Signal, Values, framed, hop_of

LAG_S = 0.001


def width(audio: Signal) -> float:
    """S / (M + S) of the mid's and the side's RMS: 0 mono, 1 antiphase; 0 for silence.

    Two channels that share nothing and are equally loud give 0.5, and so does a sound panned hard
    to one side: it is as much side as mid. 0 for any other number of channels than two.

    >>> width(np.array([[1.0, 1.0], [0.5, 0.5]])).__round__(3)
    0.25
    """
    if len(audio) != 2:
        return 0.0
    left, right = audio.astype(np.float64)
    mid, side = np.sqrt(np.sum((left + right) ** 2)), np.sqrt(np.sum((left - right) ** 2))
    return float(side / (mid + side)) if mid + side > 0 else 0.0


def width_frames(audio: Signal, rate_hz: int) -> Values:
    """`width` of every frame of 10 ms."""
    parts = []
    for block in framed(audio, rate_hz, hop_of(rate_hz)):
        left, right = block.astype(np.float64)
        mid, side = (np.sqrt(np.sum(part**2, axis=1)) for part in (left + right, left - right))
        parts.append(np.divide(side, mid + side, out=np.zeros(len(mid)), where=mid + side > 0))
    return np.concatenate(parts)


def decorrelation(audio: Signal, rate_hz: int) -> float:
    """1 minus the largest cross-correlation's magnitude within 1 ms (ISO 3382-1's IACC).

    0 where one channel is a scaled and slightly delayed copy of the other, whatever its sign; 1
    where they share nothing, or one is silent. 0 for any other number of channels than two.
    """
    if len(audio) != 2:
        return 0.0
    left, right = audio.astype(np.float64)
    scale = float(np.sqrt(np.sum(left**2) * np.sum(right**2)))
    if scale <= 0:
        return 1.0
    most = min(round(LAG_S * rate_hz), len(left) - 1)
    peak = 0.0
    for lag in range(-most, most + 1):
        first, second = (left[lag:], right) if lag >= 0 else (right[-lag:], left)
        peak = max(peak, abs(float(first @ second[: len(first)])))
    return min(1.0, max(0.0, 1.0 - peak / scale))


def stereo(audio: Signal, sounding: Mask) -> bool:
    """Whether width means something: two channels, and not silence."""
    return len(audio) == 2 and bool(sounding.any())
