"""A second opinion on pitch: SwiftF0, a small network (Nieradzik 2025), through its own package.

It shares nothing with `timbrel.attributes.pitch`: where both call a reconstruction out of tune, it
is. It knows 46.9 to 2093.8 Hz. The extra timbrel[swiftf0] brings the weights along.
"""

from functools import cache
from typing import Any

import numpy as np

from timbrel.attributes.frames import Signal
from timbrel.attributes.pitch import PitchTrack
from timbrel.errors import UserError


def swift_pitch(audio: Signal, rate_hz: int) -> PitchTrack:
    """f0 per 16 ms of `(channel, time)`, and how sure the network is; believed from 0.5 up.

    Of several channels the loudest is heard, as antiphase would cancel in their mean.

    Raises UserError where swift-f0 is not installed.
    """
    heard = audio[int(np.argmax(np.square(audio, dtype=np.float64).sum(1)))]
    found = _detector().detect(heard, rate_hz)
    return PitchTrack(found.pitch_hz, found.confidence, found.confidence >= 0.5)


@cache
def _detector() -> Any:
    try:
        import swift_f0
    except ModuleNotFoundError as error:
        raise UserError(
            "evaluate.second_pitch=swift_f0 needs swift-f0: pip install 'timbrel[swiftf0]'"
        ) from error
    return swift_f0.SwiftF0(threads=1)
