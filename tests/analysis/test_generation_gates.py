"""Gates on generated sounds: copies fail, noise passes, and with few files they are unknown."""

import math
from dataclasses import replace

import numpy as np
import pytest

from timbrel.analysis.generated_sounds import GeneratedClip, GeneratedSounds, compare
from timbrel.analysis.generation_gates import (
    GATES,
    coverage,
    diversity,
    generation_gates,
    interpolation,
    memorisation,
)
from timbrel.config.limits import DEFAULTS
from timbrel.metrics.diversity import nearest

RNG = np.random.default_rng(0)
TRAINING, HELD_OUT = RNG.standard_normal((30, 8)), RNG.standard_normal((9, 8))


def sounds(
    generated: np.ndarray, held_out: np.ndarray = HELD_OUT, training: np.ndarray = TRAINING
) -> GeneratedSounds:
    found = nearest(generated, training)
    clips = [
        GeneratedClip(seed, f"{index}.wav", 0.25, float(distance))
        for seed, (index, distance) in enumerate(zip(found.index, found.distance, strict=True))
    ]
    measured = compare(training, held_out, generated, seed=0)
    return replace(measured, clip_s=1.0, clips=tuple(clips), smoothness=(0.9, math.nan, 0.7))


ALIKE = np.random.default_rng(1).standard_normal((32, 8))


def verdicts(measured: GeneratedSounds) -> dict[str, bool | None]:
    return {gate.name: gate.passed for gate in generation_gates(measured, DEFAULTS)}


def test_sounds_of_the_recordings_distribution_pass() -> None:
    assert verdicts(sounds(ALIKE)) == dict.fromkeys(GATES, True)


def test_one_copy_among_many_is_caught_and_named() -> None:
    copied = ALIKE.copy()
    copied[17] = TRAINING[4] + 0.01
    gate = memorisation(sounds(copied), 0.2)
    assert gate.passed is False
    assert gate.value < 0.02
    assert "seed 17 nearly is '4.wav' at 0.25 s (32 generated, 30 training clips)" in gate.meaning
    exact = copied.copy()
    exact[17] = TRAINING[4]
    assert memorisation(sounds(exact), 0.2).value == 0.0


def test_noise_far_away_is_no_copy_but_reaches_nothing() -> None:
    far = sounds(ALIKE + 100.0)
    assert memorisation(far, 0.2).value > 10
    assert verdicts(far) == {
        "memorisation": True,
        "coverage": False,
        "diversity": True,
        "interpolation": True,
    }
    assert "0.98 is expected of a perfect model, 0.17 of one sound" in coverage(far, 0.1).meaning


def test_a_collapsed_model_always_plays_the_same() -> None:
    collapsed = sounds(np.repeat(ALIKE[:1], 32, axis=0))
    gate = diversity(collapsed, 0.1)
    assert (gate.passed, gate.value) == (False, pytest.approx(0.0, abs=1e-6))
    assert "Vendi score 1.00" in gate.meaning
    assert "30 of each" in gate.meaning
    assert coverage(collapsed, 0.1).passed is False
    assert "if the code has not collapsed, raise the penalty" in coverage(collapsed, 0.1).meaning
    other = replace(collapsed, vendi=3.0, vendi_training=5.0)
    assert diversity(other, 0.1).value == 0.5  # (3 - 1) / (5 - 1)


@pytest.mark.parametrize("n", [8, 32])
def test_the_limit_of_coverage_follows_the_number_of_clips(n: int) -> None:
    """Between what one sound reaches, 5 of 30 balls, and what a perfect model does with n."""
    measured = sounds(ALIKE[:n])
    perfect = measured.support.expected_coverage
    assert coverage(measured, 1.0).limit == pytest.approx(perfect)
    assert coverage(measured, 0.5).limit == pytest.approx((5 / 30 + perfect) / 2)
    assert coverage(measured, 0.1).passed is True
    assert coverage(measured, 1.5).passed is False


def test_twins_in_the_data_lower_the_limit_of_memorisation_but_a_copy_stays_one() -> None:
    twins = HELD_OUT.copy()
    twins[0] = TRAINING[0] + 0.05
    near = ALIKE.copy()
    near[3] = TRAINING[1] + 0.08
    assert memorisation(sounds(near), 0.2).passed is False
    assert memorisation(sounds(near, twins), 0.2).passed is True
    twins[0], near[3] = TRAINING[0], TRAINING[1]
    gate = memorisation(sounds(near, twins), 0.2)
    assert (gate.passed, gate.limit) == (False, 0.02)


def test_interpolation_is_the_median_of_pairs_that_move() -> None:
    measured = sounds(ALIKE)
    assert interpolation(measured, 0.5).value == pytest.approx(0.8)
    assert "2 pairs" in interpolation(measured, 0.5).meaning
    jumping = interpolation(replace(measured, smoothness=(0.1,)), 0.5)
    assert jumping.passed is False
    assert "1 pair;" in jumping.meaning
    still = interpolation(replace(measured, smoothness=(math.nan,)), 0.5)
    assert (still.passed, math.isnan(still.value)) == (None, True)
    assert "hardly changes" in still.meaning
    assert "two recordings" in interpolation(replace(measured, smoothness=()), 0.5).meaning


def test_few_files_are_no_verdict() -> None:
    few = sounds(ALIKE[:4], HELD_OUT[:2], TRAINING[:3])
    assert verdicts(few) == {**dict.fromkeys(GATES, None), "interpolation": True}
    assert "3 are needed, and there are 2" in memorisation(few, 0.2).meaning
    assert "there is 1" in memorisation(sounds(ALIKE, HELD_OUT[:1]), 0.2).meaning
    assert "3 of training (8 are needed), 4 generated (8 are needed)" in coverage(few, 0.2).meaning
    assert memorisation(sounds(ALIKE, TRAINING[:4]), 0.2).passed is None  # nothing but copies
    alike = sounds(ALIKE, training=np.ones((9, 8)))
    assert diversity(alike, 0.1).passed is None
    assert {gate.passed for gate in generation_gates(None, DEFAULTS)} == {None}
