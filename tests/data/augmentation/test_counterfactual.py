"""Tilt and decay are as drawn; what a counterfactual pair is made of, and what is refused."""

import numpy as np
import pytest

from signals import noise
from timbrel.data.augmentation import (
    Augment,
    Change,
    Counterfactual,
    DecayRamp,
    Gain,
    Tilt,
    Varispeed,
)
from timbrel.errors import UserError

RATE_HZ = 48_000
seeds = pytest.mark.parametrize("seed", range(3))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@seeds
def test_a_tilt_changes_noise_by_the_drawn_slope(seed):
    drawn_db = rng(seed).uniform(-6.0, 6.0)
    sound = np.pad(noise(0.5), RATE_HZ // 4)[None]
    tilted = Tilt(max_db_per_octave=6.0)(sound, RATE_HZ, rng(seed)).audio
    before, after = (np.fft.rfft(audio[0].astype(float)) for audio in (sound, tilted))
    frequency_hz = np.fft.rfftfreq(sound.shape[1], 1 / RATE_HZ)
    centres_hz = 1000.0 * 2.0 ** np.arange(-3, 4)
    bands = [np.abs(np.log2(frequency_hz[1:] / centre)) < 1 / 12 for centre in centres_hz]
    ratios = [after[1:][band] / before[1:][band] for band in bands]
    gains_db = [10 * np.log10(np.mean(np.abs(ratio) ** 2)) for ratio in ratios]
    np.testing.assert_allclose(gains_db, drawn_db * np.arange(-3, 4), atol=0.1)
    assert all(np.abs(np.angle(ratio.mean())) < 0.01 for ratio in ratios)  # zero phase


def test_a_tilt_is_bounded_at_both_ends():
    click = np.zeros((1, RATE_HZ), np.float32)
    click[0, RATE_HZ // 2] = 1.0
    slope_db = rng().uniform(-12.0, 12.0)
    tilted = Tilt(max_db_per_octave=12.0)(click, RATE_HZ, rng()).audio
    gains_db = 20 * np.log10(np.abs(np.fft.rfft(tilted[0].astype(float))))  # bins of 1 Hz
    np.testing.assert_allclose(gains_db[20_000], slope_db * np.log2(16.0), atol=0.05)
    np.testing.assert_allclose(gains_db[5:40], slope_db * np.log2(0.06), atol=0.5)


@seeds
def test_a_decay_ramp_has_the_drawn_slope_and_its_ceiling(seed):
    slope_db = rng(seed).uniform(-40.0, 40.0)
    ones = np.ones((2, RATE_HZ), np.float32)
    changed = DecayRamp(max_db_per_s=40.0, max_db=6.0)(ones, RATE_HZ, rng(seed))
    expected_db = np.minimum(slope_db * np.arange(RATE_HZ) / RATE_HZ, 6.0)
    np.testing.assert_allclose(20 * np.log10(changed.audio[0]), expected_db, atol=1e-5)
    np.testing.assert_array_equal(changed.audio[0], changed.audio[1])
    assert changed.change == Change()


def test_a_pair_applies_its_chain_and_has_its_periodicity_measured_again():
    pairs = Counterfactual(
        probability=1.0,
        transforms={
            "speed": Varispeed(octaves=0.5),
            "gain": Gain(min_db=-6.0, max_db=-6.0),
            "out": None,
            "never": Tilt(probability=0.0),
        },
    )
    assert list(pairs.chain.transforms) == ["speed", "gain"]
    assert pairs.max_speed == pytest.approx(2**0.5)
    changed = pairs(np.ones((1, 4800), np.float32), RATE_HZ, rng())
    assert not changed.change.keeps_periodicity
    assert not Change(f0_ratio=2.0).then(changed.change).keeps_periodicity
    assert changed.change.f0_ratio * changed.change.time_ratio == pytest.approx(1.0)
    assert np.median(changed.audio) == pytest.approx(10**-0.3, rel=1e-3)


def test_without_a_probability_there_are_no_pairs():
    pairs = Counterfactual(transforms={"tilt": Tilt()})
    assert Augment(transforms={}, counterfactual=pairs).counterfactual is None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Tilt(max_db_per_octave=0.0), r"max_db_per_octave=0\.0 must be above 0"),
        (lambda: DecayRamp(max_db_per_s=-1.0), r"max_db_per_s=-1\.0 must be above 0"),
        (lambda: DecayRamp(max_db=-1.0), r"max_db=-1\.0 from 0 to 60"),
        (
            lambda: Counterfactual(probability=0.5, transforms={"tilt": None}),
            r"augmentation\.counterfactual\.probability=0\.5: every transform is left out",
        ),
        (
            lambda: Counterfactual(transforms=[Tilt()]),
            r"augmentation\.counterfactual\.transforms: a mapping by name",
        ),
        (
            lambda: Counterfactual(transforms={"gain": 5}),
            r"augmentation\.counterfactual\.transforms\.gain=5: give its keys",
        ),
        (
            lambda: Augment(transforms={}, counterfactual=0.5),
            r"augmentation\.counterfactual=0\.5: give its keys",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(build, message):
    with pytest.raises(UserError, match=message):
        build()
