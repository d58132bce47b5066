"""Noise is told from tones that have its spectrum."""

import numpy as np
import pytest

from timbrel.metrics.ringing import ringing_db

RATE_HZ = 48_000


def white(seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal((1, round(seconds * RATE_HZ)))
    return (0.1 * made).astype(np.float32)


def tones(spacing_hz: float, seconds: float = 2.0) -> np.ndarray:
    """Steady ones of equal amplitude and random phases, with the power of `white`."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    hz = np.arange(spacing_hz, 0.5 * RATE_HZ, spacing_hz)
    phases = np.random.default_rng(1).uniform(0, 2 * np.pi, len(hz))
    total = np.zeros(len(time_s))
    for each, phase in zip(hz, phases, strict=True):
        total += np.sin(2 * np.pi * each * time_s + phase)
    return (0.1 * total / total.std())[None].astype(np.float32)


def rings(reference: np.ndarray, given: np.ndarray) -> float | None:
    return ringing_db(reference, given, rate_hz=RATE_HZ)


def test_other_noise_of_the_same_spectrum_does_not_ring() -> None:
    assert rings(white(), white(seed=1)) < 0.2
    assert rings(white(), 0.1 * white(seed=1)) < 0.2


@pytest.mark.parametrize("spacing_hz", [46.875, 60.0])
def test_tones_in_the_place_of_noise_do(spacing_hz: float) -> None:
    assert rings(white(), tones(spacing_hz)) > 10
    half = np.float32(np.sqrt(0.5)) * (white(seed=1) + tones(spacing_hz))
    assert rings(white(), half) == pytest.approx(2.1, abs=0.3)


def test_only_what_is_noise_is_judged() -> None:
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    note = sum(np.sin(2 * np.pi * 220 * k * time_s + k * k) / k for k in range(1, 60))
    note = (0.1 * note)[None].astype(np.float32)
    assert rings(note, tones(46.875)) is None
    assert rings(white(), white(seed=1)[:, : RATE_HZ // 2]) > 0  # silence is rougher than noise


def test_what_cannot_be_told_has_no_score() -> None:
    assert rings(white(0.5), white(0.5)) is None
    assert rings(white(), np.zeros((1, 2 * RATE_HZ), np.float32)) is None
    assert rings(np.zeros((1, 2 * RATE_HZ), np.float32), white()) is None
