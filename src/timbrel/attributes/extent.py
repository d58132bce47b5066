"""Whether a recording is an event that ends, as a hit or a note does, or a texture."""

import numpy as np

from timbrel.attributes.frames import Signal

EVENT_S, ENDED_S = 2.0, 12.0
ENDED_DB = -30.0
_LAST_S = 0.05


def last_db(audio: Signal, rate_hz: int) -> float:
    """The peak of the last 50 ms of `audio` (channel time) relative to its peak, in dB.

    Minus infinity where the last 50 ms are silent, and of silence.

    >>> last_db(np.repeat([[1.0, 0.1]], 500, axis=1), 1000).__round__(6)
    -20.0
    """
    last = max(1, round(_LAST_S * rate_hz))
    end, peak = (float(np.abs(x).max(initial=0.0)) for x in (audio[:, -last:], audio))
    return 20.0 * float(np.log10(end / peak)) if end > 0 else -np.inf


def is_event(audio: Signal, rate_hz: int) -> bool:
    """Whether `audio` (channel time) is a one-shot or a note; if not, it is a texture.

    It is one if it is shorter than 2 s, or if it is shorter than 12 s and the peak of its last
    50 ms lies 30 dB or more below its peak.

    >>> is_event(np.ones((1, 1000)), 1000), is_event(np.ones((1, 3000)), 1000)
    (True, False)
    """
    seconds = audio.shape[1] / rate_hz
    if seconds < EVENT_S:
        return True
    return seconds < ENDED_S and last_db(audio, rate_hz) <= ENDED_DB
