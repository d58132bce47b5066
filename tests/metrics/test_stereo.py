"""Stereo scores: the correct side scores best, and every wrong side scores worse."""

import math

import numpy as np
import pytest

from signals import noise, sine
from timbrel.attributes.space import width
from timbrel.metrics.controls import matched_noise, silence
from timbrel.metrics.latent import DecodeChange
from timbrel.metrics.reconstruction import (
    evaluate,
    log_mel_l1,
    loudness_error_lu,
    mrstft,
    si_sdr_db,
)
from timbrel.metrics.scores import SCORES
from timbrel.metrics.stereo import shares, views, width_error

SECONDS = 0.5


def stereo(mid: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Left and right of a mid and a side."""
    return (np.stack([mid + side, mid - side]) / math.sqrt(2)).astype(np.float32)


def orthogonal(mid_rms: float = 0.2, side_rms: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """A mid and a side of these RMS that share nothing and have no mean."""
    mid, side = (noise(SECONDS, seed=seed).astype(np.float64) for seed in (0, 1))
    mid -= mid.mean()
    side -= side.mean()
    side -= (side @ mid) / (mid @ mid) * mid
    return tuple(x * rms / x.std() for x, rms in ((mid, mid_rms), (side, side_rms)))


MID, SIDE = orthogonal()
ORIGINAL = stereo(MID, SIDE)
ANOTHER = noise(SECONDS, seed=7).astype(np.float64)
WRONG = {
    "no side": stereo(MID, 0 * SIDE),
    "left and right exchanged": ORIGINAL[::-1],
    "another side of the same level": stereo(MID, ANOTHER * SIDE.std() / ANOTHER.std()),
    "one channel out of phase": ORIGINAL * np.array([[1], [-1]], np.float32),
}


def test_views_are_mid_side_left_and_right_by_their_rms() -> None:
    heard = views(ORIGINAL)
    np.testing.assert_allclose(heard[0], MID, atol=1e-6)
    np.testing.assert_allclose(heard[1], SIDE, atol=1e-6)
    np.testing.assert_array_equal(heard[2:], ORIGINAL)
    of_channels = ORIGINAL.std(1) / ORIGINAL.std(1).sum() / 2
    assert shares(ORIGINAL) == pytest.approx([2 / 6, 1 / 6, *of_channels], rel=1e-5)
    assert shares(np.zeros((2, 9), np.float32)).tolist() == [0.25] * 4
    mono = ORIGINAL[:1]
    np.testing.assert_array_equal(views(mono), mono)
    assert shares(mono).tolist() == [1.0]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_side_scores_worse_than_a_right_one(wrong: str) -> None:
    """The right one is not perfect either: every band is 0.9 dB too quiet, and there is a hiss."""
    right = np.float32(0.9) * ORIGINAL + np.float32(1e-3) * stereo(ANOTHER, ANOTHER[::-1])
    good, bad = evaluate(ORIGINAL, right), evaluate(ORIGINAL, WRONG[wrong])
    assert list(good) == list(bad) == list(SCORES)[:5]
    for name in ("mrstft", "log_mel_l1", "si_sdr_db"):
        assert SCORES[name].is_better(good[name], bad[name]), name
    assert bad["mrstft"] > good["mrstft"] + 0.3
    assert bad["si_sdr_db"] < good["si_sdr_db"] - 20


def test_one_scale_for_both_channels_by_hand() -> None:
    """Mid 6.02 dB above the side. Without a side: that. With the side inverted: the vectors' cosine
    is (4 - 1) / (4 + 1), so 10 log10(0.36 / 0.64); a scale of its own would make it perfect."""
    without, exchanged = (
        si_sdr_db(ORIGINAL, WRONG[name]) for name in ("no side", "left and right exchanged")
    )
    assert without == pytest.approx(20 * math.log10(2), abs=1e-3)
    assert exchanged == pytest.approx(10 * math.log10(0.36 / 0.64), abs=1e-3)


def test_spectral_distances_are_the_views_means() -> None:
    """By hand: half of the distance of mid and side by their RMS, half of left and right."""
    given = WRONG["no side"]
    for distance in (mrstft, log_mel_l1):
        of_views = [distance(*pair) for pair in zip(views(ORIGINAL), views(given), strict=True)]
        assert of_views[0] == pytest.approx(0.0, abs=1e-5)  # the mid is right
        expected = float(shares(ORIGINAL) @ of_views)
        assert distance(ORIGINAL, given) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("side_db", [-20, -40, -60])
def test_a_side_counts_by_its_level(side_db: float) -> None:
    """A side 20 dB below the mid costs clearly when lost; one 60 dB below costs next to nothing."""
    side = SIDE * (MID.std() / SIDE.std()) * 10 ** (side_db / 20)
    scores = evaluate(stereo(MID, side), stereo(MID, 0 * side))
    # A side at -40 dB re 1 is some 7 nepers above the floor of the logarithm.
    assert scores["log_mel_l1"] == pytest.approx(3.5 * 10 ** (side_db / 20), rel=0.6)
    assert scores["si_sdr_db"] == pytest.approx(-side_db, abs=0.01)
    assert scores["width_error"] == pytest.approx(1 / (1 + 10 ** (-side_db / 20)), rel=1e-3)


def test_two_equal_channels_score_as_the_one() -> None:
    """And a side that is invented costs, though the original's has no share."""
    one, given = noise(SECONDS), noise(SECONDS, seed=1)
    single, double = evaluate(one, given), evaluate(np.stack([one, one]), np.stack([given, given]))
    assert double.pop("width_error") == 0.0
    assert double == pytest.approx(single, rel=1e-4)
    invented = evaluate(np.stack([one, one]), stereo(math.sqrt(2) * one, 0.3 * given))
    assert invented["width_error"] > 0.15
    assert invented["log_mel_l1"] > 0.03
    assert invented["si_sdr_db"] < 15


def test_antiphase_is_heard() -> None:
    """Its mono mix is digital silence."""
    wanted, given = (np.stack([x, -x]) for x in (noise(SECONDS), noise(SECONDS, seed=1)))
    scores = evaluate(wanted, given)
    assert scores["mrstft"] == pytest.approx(mrstft(wanted[0], given[0]), rel=1e-3)
    assert scores["width_error"] == 0.0
    assert loudness_error_lu(wanted, silence(wanted)) > 50


def test_loudness_is_of_both_channels() -> None:
    """BS.1770 sums their power: of two equally loud ones, one missing is 3.01 LU."""
    wanted = stereo(*orthogonal(0.2, 0.2))
    given = wanted * np.array([[1], [0]], np.float32)
    by_power = 10 * math.log10(np.square(wanted).sum() / np.square(wanted[0]).sum())
    assert loudness_error_lu(wanted, given) == pytest.approx(by_power, abs=0.1)


def test_width_error_is_the_difference_of_the_attribute() -> None:
    for given in WRONG.values():
        expected = abs(width(given) - width(ORIGINAL))
        assert width_error(ORIGINAL, given) == pytest.approx(expected, abs=1e-12)
    assert width_error(ORIGINAL, WRONG["no side"]) == pytest.approx(1 / 3, abs=1e-4)
    assert width_error(ORIGINAL, silence(ORIGINAL)) == pytest.approx(1 / 3, abs=1e-4)


def test_width_does_not_exist_of_mono_and_of_silence() -> None:
    assert "width_error" not in evaluate(noise(0.1), noise(0.1))
    assert "width_error" not in evaluate(silence(ORIGINAL), ORIGINAL)
    assert all(map(math.isfinite, evaluate(silence(ORIGINAL), ORIGINAL).values()))


def test_other_channels_than_the_references_are_refused() -> None:
    with pytest.raises(ValueError, match="1 channels beside the reference's 2"):
        evaluate(ORIGINAL, ORIGINAL[:1])


def test_matched_noise_has_the_spectra_of_mid_and_side() -> None:
    wanted = stereo(noise(SECONDS), sine(440.0, SECONDS, amplitude=0.05))
    control = matched_noise(wanted, np.random.default_rng(0))
    for ours, theirs in zip(views(control)[:2], views(wanted)[:2], strict=True):
        np.testing.assert_allclose(
            np.abs(np.fft.rfft(ours)), np.abs(np.fft.rfft(theirs)), rtol=1e-3, atol=2e-3
        )
    assert width_error(wanted, control) == pytest.approx(0.0, abs=1e-6)
    mid, side = views(matched_noise(stereo(MID, MID), np.random.default_rng(0)))[:2]
    assert abs(np.corrcoef(mid, side)[0, 1]) < 0.05  # nothing ties them but their spectra
    alone = matched_noise(MID.astype(np.float32), np.random.default_rng(0))
    row = matched_noise(MID.astype(np.float32)[None], np.random.default_rng(0))
    np.testing.assert_array_equal(row[0], alone)


def test_decode_change_hears_a_dropped_side() -> None:
    """Sounds that differ in the side alone, or in it too: a decoder without one changes less."""
    alike, apart, perfect = DecodeChange(48_000), DecodeChange(48_000), DecodeChange(48_000)
    sounds = [stereo(MID, SIDE), stereo(MID, 5 * ANOTHER)]
    alike.add(sounds, [stereo(MID, 0 * SIDE)] * 2)
    assert alike.value == pytest.approx(0.0, abs=1e-6)
    sounds = [stereo(MID, SIDE), stereo(0.5 * MID, 2 * ANOTHER)]
    perfect.add(sounds, sounds)
    assert perfect.value == 1.0
    apart.add(sounds, [np.stack([x.mean(0)] * 2) for x in sounds])
    assert 0.1 < apart.value < 0.9


def test_decode_change_is_the_same_both_ways() -> None:
    """Of a wide sound and of one without a side: the side that either has counts."""
    sounds = [stereo(MID, 0 * SIDE), stereo(0.5 * MID, ANOTHER)]
    outputs = [stereo(MID, 0 * SIDE), stereo(0.5 * MID, 0 * SIDE)]
    one, other = DecodeChange(48_000), DecodeChange(48_000)
    one.add(sounds, outputs)
    other.add(sounds[::-1], outputs[::-1])
    assert one.value == pytest.approx(other.value, rel=1e-9)
    assert one.value < 0.5
