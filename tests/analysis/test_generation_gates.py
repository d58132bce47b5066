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
    endings,
    generation_gates,
    interpolation,
    memorisation,
    time_structure,
)
from timbrel.analysis.time_measures import Against, TimeMeasures
from timbrel.config.limits import DEFAULTS, LIMITS
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
    return replace(
        compare(training, held_out, generated),
        clip_s=1.0,
        clips=tuple(clips),
        held_out_distance_db=nearest(held_out, training).distance,
        smoothness=(0.9, math.nan, 0.7),
        in_time=GOOD if len(generated) >= 8 and len(training) >= 8 else None,
    )


def of_time(value: float, null: float = 0.1) -> TimeMeasures:
    """Every measure is `value`, and chance reaches `null`."""
    found = Against(value, null)
    shares = Against(value, null, 0.75 + value, 0.75)
    return TimeMeasures(
        events=True,
        n_generated=32,
        n_reference=30,
        time_structure=found,
        two_sample=found,
        diversity=Against(1 + value, null, 3.0, 3.0),
        endings=shares,
        rebound=shares,
        coherence=None,
        descriptors=np.zeros((32, 13)),
    )


GOOD = of_time(0.05)
ALIKE = np.random.default_rng(1).standard_normal((32, 8))


def verdicts(measured: GeneratedSounds) -> dict[str, bool | None]:
    return {gate.name: gate.passed for gate in generation_gates(measured, DEFAULTS)}


def test_sounds_of_the_recordings_distribution_pass() -> None:
    assert verdicts(sounds(ALIKE)) == {**dict.fromkeys(GATES, True), "coherence": None}


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
    assert {name for name, passed in verdicts(far).items() if passed is False} == {"coverage"}
    assert "0.98 is expected of a perfect model, 0.17 of one sound" in coverage(far, 0.1).meaning


def test_one_sound_covers_little() -> None:
    collapsed = sounds(np.repeat(ALIKE[:1], 32, axis=0))
    assert coverage(collapsed, 0.1).passed is False
    assert "if the code has not collapsed, raise the penalty" in coverage(collapsed, 0.1).meaning


def test_a_limit_is_never_narrower_than_chance_and_says_so() -> None:
    gate = time_structure(replace(sounds(ALIKE), in_time=of_time(7.0, 0.2)), 6.0)
    assert (gate.passed, gate.value, gate.limit) == (False, 7.0, 6.0)
    assert "13 numbers; 32 generated, 30 reconstructions; by chance up to 0.2" in gate.meaning
    few = time_structure(replace(sounds(ALIKE), in_time=of_time(7.0, 8.0)), 6.0)
    assert (few.passed, few.limit) == (True, 8.0)
    assert time_structure(sounds(ALIKE), None).passed is None
    assert "0.80 and 0.75; by chance" in endings(sounds(ALIKE), 0.1).meaning


@pytest.mark.parametrize("name", ["time_structure", "two_sample", "endings", "rebound"])
def test_each_measure_of_time_has_its_gate(name: str) -> None:
    limit = LIMITS[name]
    for value, passed in ((0.9 * limit.default, True), (1.1 * limit.default, False)):
        measured = replace(sounds(ALIKE), in_time=of_time(value, 0.0))
        assert GATES[name](measured, limit.default).passed is passed


@pytest.mark.parametrize(
    ("ratio", "value", "passed"),
    [(0.0, 1.0, False), (0.6, 0.4, True), (1.4, 0.4, True), (1.6, 0.6, False)],
)
def test_diversity_has_two_sides(ratio: float, value: float, passed: bool) -> None:
    gate = diversity(replace(sounds(ALIKE), in_time=of_time(ratio - 1)), 0.5)
    assert (gate.value, gate.passed) == (pytest.approx(value), passed)


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
    for gate in (coverage, time_structure, diversity):
        assert "3 of training (8 are needed), 4 generated" in gate(few, 0.2).meaning
    assert memorisation(sounds(ALIKE, TRAINING[:4]), 0.2).passed is None  # nothing but copies
    alike = replace(sounds(ALIKE), in_time=replace(GOOD, diversity=None))
    assert "do not differ among themselves" in diversity(alike, 0.1).meaning
    assert {gate.passed for gate in generation_gates(None, DEFAULTS)} == {None}
