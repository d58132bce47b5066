"""Scores with known answers, and the same numbers as the judge's own script."""

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import auraloss
import numpy as np
import pytest
import soundfile
import torch
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from signals import chirp, impulse, noise, sine
from timbrel.metrics.reconstruction import (
    evaluate,
    log_mel_l1,
    loudness_error_lu,
    mrstft,
    si_sdr_db,
)
from timbrel.metrics.scores import SCORES

Signal = NDArray[np.float32]
Score = Callable[[Signal, Signal], dict[str, float]]


def _gaussian(n: int, *, seed: int = 0, rms: float = 0.3) -> Signal:
    return (rms * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


@pytest.fixture(scope="module")
def judge(shared: Path) -> Score:
    """`score` of the stand-alone script beside the real recordings."""
    script = shared / "tools" / "eval_recon.py"
    if not script.exists():
        pytest.skip(f"no {script.name} beside the real recordings")
    spec = importlib.util.spec_from_file_location("eval_recon", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.score


def _pairs() -> dict[str, tuple[Signal, Signal]]:
    loud, other = _gaussian(24_000), _gaussian(24_000, seed=1)
    tone = sine(440.0, 0.5)
    return {
        "noises": (loud, other),
        "tone in noise": (tone, tone + 0.01 * other),
        "quieter": (tone, 0.5 * tone),
        "chirp and tone": (chirp(50, 20_000, 0.5), tone),
        "impulses": (impulse(0.2, at_s=0.1), impulse(0.2, at_s=0.101)),
        "silence given": (tone, np.zeros_like(tone)),
        "silence wanted": (np.zeros_like(tone), other),
        "too long": (tone, np.concatenate([tone, other])),
        "too short": (tone, tone[:9000]),
        "short": (loud[:1000], other[:1000]),
        "offset": (tone + 0.1, tone - 0.05),
    }


@pytest.mark.parametrize("name", _pairs())
def test_equals_the_judge(name: str, judge: Score) -> None:
    reference, reconstruction = _pairs()[name]
    ours, theirs = evaluate(reference, reconstruction), judge(reference, reconstruction)
    # Against silence it is tens of thousands, of which auraloss's float32 sums lose the 5th digit.
    assert ours["mrstft"] == pytest.approx(theirs["mrstft"], abs=1e-4, rel=1e-4)
    assert ours["log_mel_l1"] == pytest.approx(theirs["logmel_l1"], abs=1e-4)
    assert ours["si_sdr_db"] == pytest.approx(theirs["si_sdr"], abs=1e-4)


def test_equals_the_judge_on_a_recording(judge: Score, shared: Path) -> None:
    path = sorted((shared / "data").rglob("*.flac"))[0]
    audio = soundfile.read(path, frames=96_000, dtype="float32", always_2d=True)[0].mean(1)
    worse = np.convolve(audio, [0.25, 0.5, 0.25], "same").astype(np.float32)
    ours, theirs = evaluate(audio, worse), judge(audio, worse)
    for name, other in (("mrstft", "mrstft"), ("log_mel_l1", "logmel_l1"), ("si_sdr_db", "si_sdr")):
        assert ours[name] == pytest.approx(theirs[other], abs=1e-4)


def test_a_perfect_copy() -> None:
    audio = _gaussian(24_000)
    scores = evaluate(audio, audio)
    assert scores["mrstft"] == pytest.approx(0.0, abs=1e-6)
    assert scores["log_mel_l1"] == 0.0
    assert scores["si_sdr_db"] > 100


def test_independent_noises_score_1_35() -> None:
    """Rayleigh magnitudes: sqrt(2 - pi/2) = 0.655 and ln 2 = 0.693."""
    score = mrstft(_gaussian(480_000), _gaussian(480_000, seed=1))
    assert score == pytest.approx(math.sqrt(2 - math.pi / 2) + math.log(2), abs=0.01)


def test_six_decibels_of_log_mel_are_ln_2() -> None:
    audio = _gaussian(48_000)
    assert log_mel_l1(audio, 2 * audio) == pytest.approx(math.log(2), rel=1e-3)
    assert log_mel_l1(audio, -audio) == 0.0


@pytest.mark.parametrize("snr_db", [0.0, 20.0, 40.0])
def test_orthogonal_noise_is_the_ratio_itself(snr_db: float) -> None:
    wanted, added = (x.astype(np.float64) for x in (_gaussian(48_000), _gaussian(48_000, seed=1)))
    wanted -= wanted.mean()
    added -= added.mean()
    added -= (added @ wanted) / (wanted @ wanted) * wanted
    added *= np.sqrt(wanted @ wanted / (added @ added)) * 10 ** (-snr_db / 20)
    score = si_sdr_db(wanted.astype(np.float32), (wanted + added).astype(np.float32))
    assert score == pytest.approx(snr_db, abs=1e-3)


@pytest.mark.parametrize("gain", [0.125, 0.5, 4.0, -2.0])
def test_si_sdr_does_not_hear_the_gain(gain: float) -> None:
    """A power of two is exact in floats, so is the invariance."""
    wanted = _gaussian(24_000)
    given = wanted + _gaussian(24_000, seed=1, rms=0.1)
    assert si_sdr_db(wanted, np.float32(gain) * given) == pytest.approx(
        si_sdr_db(wanted, given), abs=1e-9
    )


def test_si_sdr_does_not_hear_an_offset() -> None:
    wanted = _gaussian(24_000)
    given = wanted + _gaussian(24_000, seed=1, rms=0.1)
    assert si_sdr_db(wanted, given + np.float32(0.25)) == pytest.approx(
        si_sdr_db(wanted, given), abs=1e-4
    )


def test_si_sdr_of_rotation() -> None:
    """A sine given a quarter turn late has nothing of the wanted one; an eighth: 0 dB."""
    tone = [np.sin(2 * np.pi * 0.01 * np.arange(48_000) + p) for p in (0, np.pi / 4, np.pi / 2)]
    wanted, eighth, quarter = (x.astype(np.float32) for x in tone)
    assert si_sdr_db(wanted, eighth) == pytest.approx(0.0, abs=1e-3)
    assert si_sdr_db(wanted, quarter) < -60


def test_silence() -> None:
    tone, silence = sine(440.0, 0.5), np.zeros(24_000, np.float32)
    assert si_sdr_db(tone, silence) == -120.0
    assert si_sdr_db(tone, np.full(24_000, 0.3, np.float32)) == -120.0  # an offset is silence too
    for pair in ((tone, silence), (silence, tone), (silence, silence)):
        assert all(math.isfinite(value) for value in evaluate(*pair).values())
    assert evaluate(silence, silence)["mrstft"] == 0.0


@pytest.mark.parametrize("n", [1, 2, 100, 4095, 4096])
def test_short_signals_have_scores(n: int) -> None:
    scores = evaluate(_gaussian(n), _gaussian(n, seed=1))
    assert all(math.isfinite(value) for value in scores.values())


def test_the_reconstruction_is_cut_or_padded_to_the_reference() -> None:
    wanted, given = noise(0.2), noise(0.2, seed=1)
    longer = np.concatenate([given, noise(0.1, seed=2)])
    assert evaluate(wanted, longer) == evaluate(wanted, given)
    padded = np.concatenate([given[:5000], np.zeros(len(given) - 5000, np.float32)])
    assert evaluate(wanted, given[:5000]) == evaluate(wanted, padded)


def test_signals_are_left_as_they_were() -> None:
    wanted, given = noise(0.2), noise(0.2, seed=1)
    copies = wanted.copy(), given.copy()
    evaluate(wanted, given)
    assert_allclose(wanted, copies[0], rtol=0)
    assert_allclose(given, copies[1], rtol=0)


def test_an_empty_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no sample"):
        mrstft(np.zeros(0, np.float32), noise(0.1))


@pytest.mark.parametrize("seconds", [0.1, 1.0, 9.0])  # of 9 s the finest resolution has 3 blocks
def test_mrstft_is_auralosss_own(seconds: float) -> None:
    wanted, given = noise(seconds), chirp(50, 20_000, seconds)
    pair = [torch.from_numpy(x)[None, None] for x in (given, wanted)]
    expected = float(auraloss.freq.MultiResolutionSTFTLoss()(*pair))
    assert mrstft(wanted, given) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seconds", [0.05, 0.5, 3.0])
def test_loudness_error_is_the_level_difference(seconds: float) -> None:
    tone = sine(1000.0, seconds)
    assert loudness_error_lu(tone, tone) == 0.0
    assert loudness_error_lu(tone, 0.5 * tone) == pytest.approx(6.0206, abs=1e-3)
    assert loudness_error_lu(tone, 2 * tone) == pytest.approx(6.0206, abs=1e-3)
    assert loudness_error_lu(tone, -tone) == 0.0


def test_silence_errs_by_the_height_above_the_gate() -> None:
    """BS.1770-4: a full-scale sine of 997 Hz in one channel reads -3.01 LUFS; the gate is -70."""
    tone = sine(997.0, 2.0, amplitude=1.0)
    quiet = np.zeros_like(tone)
    assert loudness_error_lu(tone, quiet) == pytest.approx(66.99, abs=0.05)
    assert loudness_error_lu(quiet, tone) == pytest.approx(66.99, abs=0.05)
    assert loudness_error_lu(quiet, quiet) == 0.0
    assert loudness_error_lu(quiet, 1e-5 * tone) == 0.0  # below the gate is silence too


def test_a_short_hit_is_as_loud_as_its_share_of_a_block() -> None:
    """50 ms of a tone in a block of 400 ms: an eighth of the power, 9.03 LU below the long tone."""
    hit = np.pad(sine(997.0, 0.05, amplitude=1.0), (0, 16_800))
    long = sine(997.0, 0.4, amplitude=1.0)
    assert loudness_error_lu(long, hit) == pytest.approx(9.03, abs=0.1)


def test_k_weighting_hears_less_at_the_bottom() -> None:
    assert loudness_error_lu(sine(997.0, 1.0), sine(20.0, 1.0)) > 12.0


def test_every_score_has_a_title_and_a_direction() -> None:
    two = np.stack([_gaussian(24_000), _gaussian(24_000, seed=2)])
    assert list(evaluate(two, two)) == list(SCORES)[:5]
    assert SCORES["mrstft"].is_better(1.0, 2.0)
    assert SCORES["si_sdr_db"].is_better(2.0, 1.0)
    other = np.stack([_gaussian(24_000, seed=1), np.zeros(24_000, np.float32)])
    near = evaluate(two, two + np.float32(0.01) * other)
    far = evaluate(two, 3 * other)
    assert all(SCORES[name].is_better(near[name], far[name]) for name in near)


def test_another_rate_has_its_own_mels_and_loudness() -> None:
    tone, louder = sine(997.0, 1.0, rate_hz=16_000), sine(997.0, 1.0, rate_hz=16_000, amplitude=1.0)
    scores = evaluate(tone, louder, rate_hz=16_000)
    assert scores["loudness_error_lu"] == pytest.approx(6.02, abs=0.01)
    assert scores["log_mel_l1"] != log_mel_l1(tone, louder)
