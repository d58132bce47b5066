"""Events and textures, told by length and by what the last 50 ms hold."""

import numpy as np
import pytest

from timbrel.attributes.extent import is_event


def _sound(seconds: float, end_db: float, rate_hz: int = 8000) -> np.ndarray:
    sound = np.ones((2, round(seconds * rate_hz)), np.float32)
    sound[:, -round(0.06 * rate_hz) :] *= 10 ** (end_db / 20)
    return sound


@pytest.mark.parametrize(
    ("seconds", "end_db", "event"),
    [
        (1.9, 0.0, True),
        (2.1, 0.0, False),
        (2.1, -29.0, False),
        (2.1, -31.0, True),
        (11.9, -31.0, True),
        (12.1, -31.0, False),
    ],
)
def test_an_event_is_short_or_has_ended(seconds: float, end_db: float, event: bool) -> None:
    assert is_event(_sound(seconds, end_db), 8000) is event
    assert is_event(0.01 * _sound(seconds, end_db), 8000) is event


def test_silence_of_some_seconds_is_an_event_that_has_ended() -> None:
    assert is_event(np.zeros((1, 3 * 8000), np.float32), 8000)
