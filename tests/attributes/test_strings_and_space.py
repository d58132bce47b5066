"""Inharmonicity of stiff strings with a known B; width of known mixtures of mid and side."""

import numpy as np
import pytest

from attributes.synthetic import RATE_HZ, gaussian, seconds, tone
from timbrel.attributes.measurement import measure
from timbrel.attributes.space import decorrelation, width


@pytest.mark.parametrize("stiffness", [5e-5, 4e-4, 1e-3, 3e-3])
@pytest.mark.parametrize("f0_hz", [65.4, 110.0, 261.6])
def test_a_stiff_string_has_its_coefficient(f0_hz, stiffness):
    string = tone(f0_hz, 0.8, stiffness=stiffness) * 10 ** (-20 * seconds(0.8) / 20)
    found = measure(string.astype(np.float32)[None], RATE_HZ)
    assert found.value("inharmonicity") == pytest.approx(stiffness, rel=0.05)
    assert found.confidence("inharmonicity") > 0.8


def test_whole_multiples_have_none():
    assert measure(tone(220.0, 0.8)[None], RATE_HZ).value("inharmonicity") < 1e-6


@pytest.mark.parametrize("signal", [gaussian(0.8), tone(220.0, 0.8, partials=3)])
def test_too_few_partials_are_masked(signal):
    assert measure(signal[None], RATE_HZ).value("inharmonicity") is None


@pytest.mark.parametrize("side", [0.0, 0.25, 1.0, 3.0])
def test_the_width_is_the_sides_share(side):
    mid_signal, side_signal = gaussian(0.5), gaussian(0.5, seed=1)
    mid_signal /= np.sqrt(np.mean(mid_signal**2))
    side_signal /= np.sqrt(np.mean(side_signal**2))
    stereo = 0.1 * np.stack([mid_signal + side * side_signal, mid_signal - side * side_signal])
    found = measure(stereo, RATE_HZ)
    assert found.value("width") == pytest.approx(side / (1 + side), abs=1e-4)
    frames, defined = found.track("width")
    assert defined.all()
    assert np.median(frames) == pytest.approx(side / (1 + side), abs=0.02)


def test_antiphase_is_all_side_and_a_panned_sound_half():
    signal = gaussian(0.3)
    assert width(np.stack([signal, -signal])) == 1.0
    assert width(np.stack([signal, 0 * signal])) == 0.5


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
def test_decorrelation_is_what_is_not_shared(shared):
    common, left, right = (gaussian(2.0, seed=seed) for seed in range(3))
    weight = np.sqrt(1 - shared)
    stereo = np.sqrt(shared) * common + weight * np.stack([left, right])
    assert decorrelation(stereo, RATE_HZ) == pytest.approx(1 - shared, abs=0.02)


def test_a_delay_within_a_millisecond_and_the_sign_do_not_decorrelate():
    signal = gaussian(1.0)
    delayed = np.stack([signal, -0.3 * np.roll(signal, 40)])
    assert decorrelation(delayed, RATE_HZ) < 0.01
    assert decorrelation(delayed[::-1], RATE_HZ) < 0.01
    assert decorrelation(np.stack([signal, np.roll(signal, 480)]), RATE_HZ) > 0.95


def test_mono_has_no_width():
    found = measure(gaussian(0.2)[None], RATE_HZ)
    assert found.value("width") is None
    assert found.value("decorrelation") is None
