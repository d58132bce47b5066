"""Three facts: a stationary prior fails on hits, copies fail, halves of one set pass."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models.presets import transparent
from segments import segment
from signals import noise, sine
from timbrel.analysis.excerpts import nearest_recordings
from timbrel.analysis.generated_sounds import GeneratedClip, GeneratedSounds, compare, from_prior
from timbrel.analysis.generation_gates import generation_gates
from timbrel.analysis.latent_statistics import fit_latent_statistics
from timbrel.analysis.time_measures import TimeMeasures, measure_in_time
from timbrel.config.limits import DEFAULTS
from timbrel.generation.file_source import encode_whole
from timbrel.metrics.embedding import embed

RATE_HZ = 48_000
N = 19_200


def hits(count: int, seed: int = 0) -> list[np.ndarray]:
    """Tones and noise that die away, each with its own pitch, mixture and rate."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        tone = sine(float(rng.uniform(100, 3000)), N / RATE_HZ)
        rough = rng.uniform(0.1, 1) * noise(N / RATE_HZ, seed=1000 * seed + i)
        fall = 10 ** (-rng.uniform(100, 400) / 20 * np.arange(N) / RATE_HZ)
        made.append(((tone + rough) * fall).astype(np.float32)[None])
    return made


def of_a_stationary_prior(recordings: list[np.ndarray], count: int) -> list[np.ndarray]:
    model = transparent(1)
    model.place = nn.Parameter(torch.zeros(0))
    prior = fit_latent_statistics(encode_whole(model, x) for x in recordings)
    return [from_prior(model, prior, N, seed) for seed in range(count)]


def measured(reference, generated, *, events: bool = True, seed: int = 0) -> TimeMeasures | None:
    rng = np.random.default_rng(seed)
    return measure_in_time(reference, generated, RATE_HZ, events=events, rng=rng)


def verdicts(time: TimeMeasures | None) -> dict[str, bool | None]:
    points = np.random.default_rng(0).standard_normal((20, 4))
    sounds = replace(compare(points, points, points), in_time=time)
    sounds = replace(sounds, clips=(GeneratedClip(0, "", 0.0, 1.0),))
    names = ("time_structure", "two_sample", "endings", "rebound", "coherence", "diversity")
    return {g.name: g.passed for g in generation_gates(sounds, DEFAULTS) if g.name in names}


def test_a_stationary_prior_fails_on_hits() -> None:
    recordings = hits(24)
    time = measured(recordings, of_a_stationary_prior(recordings, 16))
    found = verdicts(time)
    assert (found["time_structure"], found["two_sample"], found["endings"]) == (False,) * 3
    assert time.two_sample.value > 0.99 > time.two_sample.null
    assert time.time_structure.value > 5 * time.time_structure.null
    assert (time.endings.generated, time.endings.reference) == (0.0, 1.0)
    assert found["coherence"] is None
    assert (time.n_generated, time.n_reference, time.descriptors.shape) == (16, 24, (16, 13))


@pytest.mark.parametrize("seed", range(4))
def test_two_halves_of_one_set_pass(seed: int) -> None:
    recordings = hits(48, seed)
    expected = dict.fromkeys(("time_structure", "two_sample", "endings", "rebound"), True)
    found = verdicts(measured(recordings[::2], recordings[1::2], seed=seed))
    assert found == {**expected, "coherence": None, "diversity": True}


def test_copies_of_the_training_set_fail_memorisation() -> None:
    known, unseen = [segment(f"{i}", x) for i, x in enumerate(hits(12))], hits(6, seed=1)
    held_out = nearest_recordings(unseen, known, RATE_HZ, events=True).distance
    for drawn, passed in ((hits(12), False), (hits(12, seed=2), True)):
        louder = [2 * x for x in drawn]
        found = nearest_recordings(louder, known, RATE_HZ, events=True)
        points = np.stack([embed(x, RATE_HZ) for x in drawn])
        sounds: GeneratedSounds = replace(
            compare(points, points, points),
            held_out_distance_db=held_out,
            clips=tuple(GeneratedClip(i, "", 0.0, float(d)) for i, d in enumerate(found.distance)),
        )
        (gate,) = [g for g in generation_gates(sounds, DEFAULTS) if g.name == "memorisation"]
        assert gate.passed is passed
        assert sounds.copies == (0.0 if passed else 1.0)


def test_hits_that_strike_twice_are_heard() -> None:
    recordings = hits(48)
    twice = [x + 0.5 * np.roll(x, N // 2, axis=1) for x in recordings[1::2]]
    time = measured(recordings[::2], twice)
    assert (time.rebound.generated, time.rebound.reference) == (1.0, 0.0)
    assert verdicts(time)["rebound"] is False
    assert time.rebound.value == 1.0


def test_a_collapsed_set_and_one_that_is_too_varied_both_fail_diversity() -> None:
    recordings = hits(24)
    same = measured(recordings, recordings[:1] * 24)
    assert same.diversity.value == pytest.approx(0.0, abs=1e-6)
    assert verdicts(same)["diversity"] is False
    narrow = [(sine(400.0 + i, N / RATE_HZ))[None] for i in range(24)]
    wild = measured(narrow, recordings)
    assert wild.diversity.value > 1.5
    assert verdicts(wild)["diversity"] is False
    alike = measured(recordings[:1] * 24, recordings)
    assert alike.diversity is None
    assert verdicts(alike)["diversity"] is None


def test_textures_that_wander_fail_coherence() -> None:
    """A texture keeps its band; one that wanders changes it half-way."""

    def bands(places: list[float]) -> np.ndarray:
        parts = [sine(hz, 0.5) * (1 + noise(0.5, seed=round(hz))) for hz in places]
        return np.concatenate(parts)[None]

    rng = np.random.default_rng(0)
    pitches = rng.uniform(200, 4000, (3, 20))
    steady = [[bands([hz, hz]) for hz in row] for row in pitches[:2]]
    wandering = [bands([one, other]) for one, other in zip(*pitches[1:], strict=True)]
    assert verdicts(measured(*steady, events=False))["coherence"] is True
    time = measured(steady[0], wandering, events=False)
    assert verdicts(time)["coherence"] is False
    assert (time.endings, time.rebound) == (None, None)
    assert verdicts(time)["endings"] is None
    assert 0.3 < time.coherence.generated < 0.7
    short = [x[:, :1] for x in steady[0]]
    assert measured(short, short, events=False).coherence is None


def test_few_sounds_are_no_verdict() -> None:
    assert measured(hits(7), hits(20)) is None
    assert measured(hits(20), hits(7)) is None
    assert set(verdicts(None).values()) == {None}
    every = measured(hits(8), hits(8, seed=1))
    assert math.isfinite(every.time_structure.null)
