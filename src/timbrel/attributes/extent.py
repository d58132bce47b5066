"""Whether a recording is an event that ends, as a hit or a note does, or a texture."""

import numpy as np

from timbrel.attributes.frames import Signal

EVENT_S, ENDED_S = 2.0, 12.0
_LAST_S = 0.05
_ENDED_DB = -30.0


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
    last = max(1, round(_LAST_S * rate_hz))
    ended = np.abs(audio[:, -last:]).max() <= 10 ** (_ENDED_DB / 20) * np.abs(audio).max()
    return seconds < ENDED_S and bool(ended)
