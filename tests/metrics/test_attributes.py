"""Errors of what is measured anew: known changes come back as their own size."""

import numpy as np
import pytest
from numpy.typing import NDArray

from timbrel.attributes.measurement import Measurement, measure
from timbrel.metrics.attributes import HELD, LOST_CENTS, attribute_errors, value_of
from timbrel.metrics.scores import SCORES

RATE_HZ = 48_000
TIME_S = np.arange(round(1.5 * RATE_HZ)) / RATE_HZ


def note(f0_hz: float = 220.0, *, decay_db_per_s: float = 30.0, tilt: float = 1.0) -> NDArray:
    """A decaying note of twenty partials; `tilt` is the exponent of their amplitudes' fall."""
    partials = [np.sin(2 * np.pi * f0_hz * k * TIME_S + k * k) / k**tilt for k in range(1, 21)]
    fall = 10 ** (-decay_db_per_s * TIME_S / 20)
    return (0.1 * fall * np.sum(partials, 0))[None].astype(np.float32)


def white(level: float = 0.01) -> NDArray:
    rng = np.random.default_rng(0)
    return (level * rng.standard_normal((1, len(TIME_S)))).astype(np.float32)


def measured(audio: NDArray) -> Measurement:
    return measure(audio, RATE_HZ)


@pytest.fixture(scope="module")
def original() -> Measurement:
    return measured(note())


def test_a_copy_has_no_error(original: Measurement) -> None:
    errors = attribute_errors(original, original)
    assert errors.pop("pitch_accuracy") == 1
    assert set(errors.values()) == {0.0}
    assert list(errors) == [n for n in SCORES if n in errors]  # in the order of tables


@pytest.mark.parametrize("cents", [-300, -60, -40, 15, 40, 60])
def test_cents_come_back(original: Measurement, cents: int) -> None:
    errors = attribute_errors(original, measured(note(220 * 2 ** (cents / 1200))))
    assert errors["pitch_error_cents"] == pytest.approx(abs(cents), abs=2)
    assert errors["pitch_accuracy"] == (1 if abs(cents) <= 50 else 0)
    assert errors["octave_errors"] == 0


@pytest.mark.parametrize("octaves", [-1, 1, 2])
def test_another_octave_is_wrong_and_is_called_so(original: Measurement, octaves: int) -> None:
    errors = attribute_errors(original, measured(note(220 * 2**octaves)))
    assert errors["pitch_error_cents"] == pytest.approx(1200 * abs(octaves), abs=3)
    assert (errors["pitch_accuracy"], errors["octave_errors"]) == (0, 1)


def test_a_melody_is_compared_note_by_note() -> None:
    half = len(TIME_S) // 2
    up = np.concatenate([note(220)[:, :half], note(330)[:, :half]], axis=1)
    down = np.concatenate([note(330)[:, :half], note(220)[:, :half]], axis=1)
    one = np.concatenate([note(220)[:, :half], note(220)[:, :half]], axis=1)
    assert attribute_errors(measured(up), measured(down))["pitch_accuracy"] < 0.1
    assert 0.4 < attribute_errors(measured(up), measured(one))["pitch_accuracy"] < 0.6


def test_decay_and_brightness_come_back(original: Measurement) -> None:
    faster = attribute_errors(original, measured(note(decay_db_per_s=60)))
    assert faster["decay_error_octaves"] == pytest.approx(1, abs=0.05)
    darker = measured(note(tilt=2.0))
    wanted = original.value("log_centroid_octaves") - darker.value("log_centroid_octaves")
    assert attribute_errors(original, darker)["brightness_error_octaves"] == pytest.approx(wanted)
    assert wanted > 0.5


def test_noise_over_a_note_is_an_error_of_its_harmonic_to_noise_ratio(
    original: Measurement,
) -> None:
    noisy = measured(note() + white(0.03))
    errors = attribute_errors(original, noisy)
    assert errors["hnr_error_db"] > 6
    assert errors["pitch_error_cents"] < 10  # of what is still heard as a note
    assert errors["pitch_accuracy"] < 0.5  # most of its tail is not


def test_a_later_rise_is_an_error_of_the_attack(original: Measurement) -> None:
    slow = note() * np.minimum(1, TIME_S / 0.3).astype(np.float32)
    assert attribute_errors(original, measured(slow))["attack_error_decades"] > 0.5


def test_a_phrase_has_no_attack_and_no_decay(original: Measurement) -> None:
    other = measured(note(decay_db_per_s=60) * np.minimum(1, TIME_S / 0.3).astype(np.float32))
    errors = attribute_errors(original, other)
    phrase = attribute_errors(original, other, event=False)
    assert errors.keys() - phrase.keys() == {"attack_error_decades", "decay_error_octaves"}
    assert phrase == {name: errors[name] for name in phrase}


def test_rises_that_an_ear_does_not_tell_apart_are_alike() -> None:
    at, tone = 8192, 0.5 * np.sin(2 * np.pi * 5000.0 * np.arange(48_000) / 48_000)
    rises = [
        measured((tone * np.clip((np.arange(48_000) - at) / n, 0, 1))[None].astype(np.float32))
        for n in (5, 48, 960)  # 0.1, 1 and 20 ms
    ]
    assert rises[1].value("log_attack_time") - rises[0].value("log_attack_time") > 0.5
    assert attribute_errors(rises[0], rises[1])["attack_error_decades"] == 0.0
    apart = attribute_errors(rises[0], rises[2])["attack_error_decades"]
    assert apart == pytest.approx(1.0, abs=0.05)  # 2 ms to 20 ms


@pytest.mark.parametrize("f0_hz", [45.0, 60.0, 110.0, 150.0])
def test_the_phase_in_which_a_low_tone_begins_is_no_attack(f0_hz: float) -> None:
    cycles = f0_hz * TIME_S
    fall = 10 ** (-10 * TIME_S / 20)

    def begun(phase: float, rise_s: float = 1e-4) -> Measurement:
        tone = np.sin(2 * np.pi * (cycles + phase)) + 0.3 * np.sin(2 * np.pi * (2 * cycles + 0.2))
        return measured((0.3 * tone * fall * np.minimum(1, TIME_S / rise_s))[None].astype("f4"))

    tones = [begun(phase) for phase in (0.0, 0.1, 0.25, 0.4, 0.6, 0.8)]
    values = [tone.value("log_attack_time") for tone in tones]
    assert max(values) - min(values) > 0.5
    for tone in tones[1:]:
        assert attribute_errors(tones[0], tone)["attack_error_decades"] == 0.0
    rising = attribute_errors(tones[0], begun(0.0, 4 / f0_hz))["attack_error_decades"]
    assert rising == pytest.approx(np.log10(4), abs=0.1)


def test_what_silence_lacks_is_lost(original: Measurement) -> None:
    errors = attribute_errors(original, measured(np.zeros_like(note())))
    assert errors["pitch_error_cents"] == LOST_CENTS
    assert (errors["pitch_accuracy"], errors["octave_errors"]) == (0, 0)
    for name in errors.keys() & HELD.keys():
        assert errors[name] == HELD[name].lost, name


def test_noise_has_no_pitch_to_be_wrong() -> None:
    errors = attribute_errors(measured(white()), measured(note()))
    assert not {"pitch_accuracy", "pitch_error_cents", "octave_errors", "hnr_error_db"} & set(
        errors
    )
    assert "brightness_error_octaves" in errors


def test_a_tail_of_another_pitch_is_wrong_as_far_as_it_is_heard() -> None:
    right, wrong = note(220), note(330)  # both fall by 30 dB/s
    for first_s, heard in ((1.4, 1.4 / 1.5), (0.9, 0.6)):
        first = round(first_s * RATE_HZ)
        made = measured(np.concatenate([right[:, :first], wrong[:, first:]], axis=1))
        errors = attribute_errors(measured(right), made)
        assert errors["pitch_error_cents"] == pytest.approx(0, abs=1)
        assert errors["pitch_accuracy"] == pytest.approx(heard, abs=0.03)
    falling = 10 ** (-60 * TIME_S / 20)  # 90 dB/s in all: 60 dB below the loudest after 0.67 s
    faint, other = right * falling, wrong * falling
    after = round(0.75 * RATE_HZ)
    made = measured(np.concatenate([faint[:, :after], other[:, after:]], axis=1).astype("f4"))
    errors = attribute_errors(measured(faint.astype("f4")), made)
    assert errors["pitch_accuracy"] > 0.95


def test_a_shorter_answer_lacks_the_rest(original: Measurement) -> None:
    cut = measured(note()[:, : len(TIME_S) // 2])
    voiced_s = np.flatnonzero(original.track("f0_hz")[1])[-1] * 0.01
    accuracy = attribute_errors(original, cut)["pitch_accuracy"]
    assert accuracy == pytest.approx(0.5 * TIME_S[-1] / voiced_s, abs=0.03)


def test_values_are_in_the_unit_of_the_error(original: Measurement) -> None:
    assert value_of(original, HELD["decay_error_octaves"]) == pytest.approx(np.log2(30), abs=0.05)
    assert value_of(original, HELD["hnr_error_db"]) == 30  # where the ear has had enough
    assert np.isnan(value_of(measured(white()), HELD["hnr_error_db"]))
