"""Loops: found where a sound repeats, without a step where it is joined."""

import numpy as np
import pytest

from signals import noise, sine
from timbrel.audio.loops import find_loop, with_loop

RATE_HZ = 48_000


def tremolo(seconds: float) -> np.ndarray:
    """220 Hz whose level and vibrato go round three times a second."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * 220 * time_s + 2 * np.sin(2 * np.pi * 3 * time_s)
    return (0.3 * (1 + 0.3 * np.sin(2 * np.pi * 3 * time_s)) * np.sin(phase))[None].astype("f4")


def test_a_loop_is_as_long_as_what_goes_round_and_has_no_step() -> None:
    audio = tremolo(2.0)
    loop = find_loop(audio, RATE_HZ, 4800, 91_200)
    assert loop is not None
    rounds = 3 * (loop.stop - loop.start) / RATE_HZ
    assert rounds == pytest.approx(round(rounds), abs=0.05)
    assert rounds > 3.5  # the longest
    assert loop.match > 0.99
    made = with_loop(audio, RATE_HZ, loop)
    played = np.concatenate([made[:, : loop.stop], made[:, loop.start : loop.stop]], axis=1)[0]
    curve = np.abs(np.diff(played, 2))
    at_join = curve[loop.stop - 10 : loop.stop + 10].max()
    assert at_join < 1.1 * curve[4800 : loop.stop - 4800].max()
    release = np.abs(np.diff(made[0], 2))[loop.stop - 10 : loop.stop + 10].max()
    assert release < 1.1 * curve[4800 : loop.stop - 4800].max()
    np.testing.assert_array_equal(made[:, : loop.start], audio[:, : loop.start])


def test_what_never_repeats_or_falls_has_no_loop() -> None:
    hiss = noise(2.0)[None].astype("f4")
    falling = (sine(220.0, 2.0) * 10 ** (-np.arange(2 * RATE_HZ) / RATE_HZ))[None].astype("f4")
    silent = np.zeros((1, 2 * RATE_HZ), np.float32)
    for audio in (hiss, falling, silent, tremolo(0.2)):
        assert find_loop(audio, RATE_HZ, 0, audio.shape[1]) is None
