"""Augmentation: exact factors, seeds, and nothing that clips."""

import numpy as np
import pytest

from signals import noise, sine
from timbrel.data.augmentation import Augment, Gain, Polarity, Varispeed
from timbrel.errors import UserError

STEREO = np.stack([sine(440.0, 0.1), noise(0.1)])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_no_transforms_hand_back_the_very_samples():
    assert Augment(transforms=[])(STEREO, 48_000, rng()) is STEREO


@pytest.mark.parametrize(
    ("gain_db", "factor"), [(0.0, 1.0), (20.0, 10.0), (-20.0, 0.1), (40.0, 100.0)]
)
def test_gain_is_exact(gain_db, factor):
    changed = Gain(min_db=gain_db, max_db=gain_db)(STEREO, 48_000, rng())
    np.testing.assert_allclose(changed, STEREO * factor, rtol=3e-7)
    assert changed.dtype == np.float32


def test_gain_beyond_full_scale_is_not_clipped():
    changed = Gain(min_db=12.0, max_db=12.0)(np.ones((1, 4), np.float32), 48_000, rng())
    np.testing.assert_allclose(changed, 10**0.6, rtol=1e-6)


def test_gain_is_uniform_in_db_and_one_for_all_channels():
    gain = Gain(min_db=-6.0, max_db=2.0)
    generator = rng()
    ones = np.ones((2, 3), np.float32)
    drawn = [gain(ones, 48_000, generator) for _ in range(4000)]
    assert all(np.ptp(audio) == 0 for audio in drawn)
    gains_db = 20 * np.log10([audio[0, 0] for audio in drawn])
    assert -6.0 <= gains_db.min() < -5.9
    assert 1.9 < gains_db.max() <= 2.0
    # A uniform law on [-6, 2]: mean -2, deviation 8/sqrt(12) = 2.309; bounds at 4 sigma.
    assert abs(gains_db.mean() + 2) < 4 * 2.309 / np.sqrt(4000)


def test_polarity_turns_every_channel_or_none():
    np.testing.assert_array_equal(Polarity(probability=1.0)(STEREO, 48_000, rng()), -STEREO)
    np.testing.assert_array_equal(Polarity(probability=0.0)(STEREO, 48_000, rng()), STEREO)
    generator = rng()
    turned = sum(
        Polarity(probability=0.25)(STEREO, 48_000, generator)[0, 10] == -STEREO[0, 10]
        for _ in range(2000)
    )
    assert abs(turned / 2000 - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 2000)


def test_the_argument_stays_as_it_was():
    audio = STEREO.copy()
    audio.setflags(write=False)
    Augment(transforms=[Gain(min_db=3, max_db=6), Polarity(probability=1.0)])(audio, 48_000, rng())


def test_the_order_is_that_of_the_list_and_the_seed_decides():
    chain = Augment(transforms=[Gain(min_db=-6, max_db=6), Polarity(probability=0.5)])
    again = Augment(transforms=[Gain(min_db=-6, max_db=6), Polarity(probability=0.5)])
    for seed in range(5):
        np.testing.assert_array_equal(
            chain(STEREO, 48_000, rng(seed)), again(STEREO, 48_000, rng(seed))
        )
    assert not np.array_equal(chain(STEREO, 48_000, rng(0)), chain(STEREO, 48_000, rng(1)))


def test_a_transform_that_changes_the_length_is_named():
    class Cut:
        def __call__(self, audio, rate_hz, rng):
            return audio[:, 1:]

    with pytest.raises(ValueError, match="Cut made float32"):
        Augment(transforms=[Cut()])(STEREO, 48_000, rng())


@pytest.mark.parametrize(
    "build",
    [
        lambda: Gain(min_db=1.0, max_db=0.0),
        lambda: Gain(min_db=float("nan"), max_db=0.0),
        lambda: Polarity(probability=1.5),
    ],
)
def test_impossible_settings_are_refused(build):
    with pytest.raises(UserError):
        build()


def test_both_files_of_the_config_build_and_run(checkout):
    instantiate = pytest.importorskip("hydra.utils").instantiate
    omegaconf = pytest.importorskip("omegaconf").OmegaConf
    counts = {}
    for name in ("none", "light"):
        augment = instantiate(omegaconf.load(checkout / "conf" / "augmentation" / f"{name}.yaml"))
        counts[name] = len(augment.transforms)
        assert np.abs(augment(STEREO, 48_000, rng())).max() <= np.abs(STEREO).max()
    assert counts == {"none": 0, "light": 2}


@pytest.mark.parametrize("seed", range(4))
def test_varispeed_moves_pitch_by_the_drawn_factor(seed):
    rng = np.random.default_rng(seed)
    speed = 2.0 ** np.random.default_rng(seed).uniform(-0.5, 0.5)
    tone = sine(1000.0, 1.0)[None]
    changed = Varispeed(octaves=0.5)(tone, 48_000, rng)
    assert changed.shape == (1, round(48_000 / speed))
    spectrum = np.abs(np.fft.rfft(changed[0] * np.hanning(changed.shape[1])))
    peak_hz = spectrum.argmax() * 48_000 / changed.shape[1]
    assert peak_hz == pytest.approx(1000.0 * speed, abs=2.0)


def test_varispeed_leaves_enough_to_cut():
    augment = Augment(transforms=[Varispeed(octaves=0.5), Polarity(probability=1.0)])
    assert augment.read_factor == pytest.approx(2**0.5)
    longer = np.zeros((2, int(np.ceil(4096 * augment.read_factor))), np.float32)
    for seed in range(20):
        assert augment(longer, 48_000, np.random.default_rng(seed)).shape[1] >= 4096


def test_varispeed_refuses_a_range_without_meaning():
    with pytest.raises(UserError, match="octaves=0"):
        Varispeed(octaves=0)
