"""Attack and decay of synthetic envelopes, onsets of click trains, masks where there is none."""

import numpy as np
import pytest

from attributes.synthetic import RATE_HZ, gaussian, seconds, tone
from signals import sine
from timbrel.attributes.envelope import attack_s, decay, peak_envelope
from timbrel.attributes.measurement import measure

CARRIERS = {
    "sine 440": sine(440.0, 1.0),
    "sine 3000": sine(3000.0, 1.0),
    "harmonics 440": tone(440.0, 1.0),
}


def envelope(signal):
    return peak_envelope(np.atleast_2d(signal), RATE_HZ)


@pytest.mark.parametrize("length_s", [0.01, 0.03, 0.1, 0.4])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_linear_attack_reads_its_length(carrier, length_s):
    rise = np.minimum(seconds(1.0) / length_s, 1.0)
    found = attack_s(envelope(CARRIERS[carrier] * rise), RATE_HZ, from_start=True)
    assert found == pytest.approx(length_s, rel=0.1)


def test_a_floor_of_noise_does_not_slow_an_attack_down():
    found = [
        attack_s(
            envelope(np.pad(sine(440.0, 0.5), (9600, 0)) + gaussian(0.7, seed=seed, rms=5e-4)),
            RATE_HZ,
            from_start=False,
        )
        for seed in range(10)
    ]
    assert max(found) < 0.001


def test_an_attack_before_a_decay_reads_its_length():
    time_s = seconds(1.0)
    shape = np.where(time_s < 0.05, time_s / 0.05, 10 ** (-60 * (time_s - 0.05) / 20))
    signal = CARRIERS["sine 440"] * np.roll(shape, 9600)
    found = attack_s(envelope(signal), RATE_HZ, from_start=True)
    assert found == pytest.approx(0.05, rel=0.1)


def test_a_hard_edge_is_as_fast_as_the_waveform():
    # The rise to the first peak, a quarter of a period, whatever is filled up after it.
    edge = np.pad(sine(55.0, 0.5), (4800, 0))
    assert attack_s(envelope(edge), RATE_HZ, from_start=True) < 0.3 / 55
    noises = [envelope(np.pad(gaussian(0.5, seed=seed), (4800, 0))) for seed in range(7)]
    assert np.median([attack_s(noise, RATE_HZ, from_start=True) for noise in noises]) < 0.02


@pytest.mark.parametrize("db_per_s", [10.0, 60.0, 300.0])
@pytest.mark.parametrize("carrier", [*CARRIERS, "sine 55"])
def test_an_exponential_decay_reads_its_rate(carrier, db_per_s):
    signal = (CARRIERS | {"sine 55": sine(55.0, 1.0)})[carrier] * 10 ** (
        -db_per_s * seconds(1.0) / 20
    )
    found = decay(envelope(signal), RATE_HZ)
    assert found.db_per_s == pytest.approx(db_per_s, rel=0.1)
    assert found.confidence > 0.9


@pytest.mark.parametrize("db_per_s", [60.0, 300.0])
def test_a_noise_that_dies_away_reads_its_rate(db_per_s):
    rates = [
        decay(envelope(gaussian(1.0, seed=seed) * 10 ** (-db_per_s * seconds(1.0) / 20)), RATE_HZ)
        for seed in range(5)
    ]
    assert [rate.db_per_s for rate in rates] == pytest.approx([db_per_s] * 5, rel=0.1)


def test_a_held_tone_does_not_decay():
    assert decay(envelope(sine(440.0, 1.0)), RATE_HZ).db_per_s == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize("hz", [55.0, 110.0, 440.0])
def test_it_does_not_matter_where_in_its_period_a_held_tone_is_cut(hz):
    for cut_s in np.linspace(0.0, 1 / hz, 24):
        held = measure(sine(hz, 1.0)[None, : round((1.0 - cut_s) * RATE_HZ)], RATE_HZ)
        assert held.value("decay_db_per_s") == pytest.approx(0.0, abs=0.5)


def test_a_decay_into_noise_ends_where_the_noise_begins_to_rule():
    signal = sine(440.0, 1.0) * 10 ** (-100 * seconds(1.0) / 20) + gaussian(1.0, rms=5e-4)
    assert decay(envelope(signal), RATE_HZ).db_per_s == pytest.approx(100.0, rel=0.1)


@pytest.mark.parametrize("per_s", [1, 2, 4, 8])
def test_a_click_train_has_its_rate(per_s):
    clicks = np.zeros(2 * RATE_HZ, np.float32)
    clicks[4800 :: RATE_HZ // per_s] = 0.8
    assert measure(clicks[None], RATE_HZ).value("onsets_per_s") == pytest.approx(per_s, abs=1e-6)


def test_repeated_notes_are_counted_and_librosa_counts_the_same():
    librosa = pytest.importorskip("librosa")
    shape = 10 ** (-40 * np.mod(seconds(2.0), 0.25) / 20)
    notes = np.pad((tone(220.0, 2.0) * shape).astype(np.float32), (9600, 0))
    found = measure(notes[None], RATE_HZ).value("onsets_per_s") * len(notes) / RATE_HZ
    theirs = librosa.onset.onset_detect(y=notes, sr=RATE_HZ, hop_length=480)
    assert round(found) == len(theirs) == 8


@pytest.mark.parametrize("signal", [sine(440.0, 1.0), tone(110.0, 1.0), gaussian(1.0)])
def test_a_steady_sound_begins_once(signal):
    assert measure(signal[None], RATE_HZ).value("onsets_per_s") == pytest.approx(1.0)


@pytest.mark.parametrize("signal", [sine(440.0, 1.0), tone(110.0, 1.0), gaussian(1.0)])
def test_a_crop_from_within_has_no_temporal_attributes(signal):
    crop = measure(signal[None], RATE_HZ, from_start=False)
    for name in ("log_attack_time", "decay_db_per_s", "onsets_per_s"):
        assert crop.value(name) is None
    assert crop.value("centroid_hz") is not None


@pytest.mark.parametrize("make", [sine, tone], ids=["sine", "harmonics"])
def test_a_crop_of_a_held_tone_has_no_attack_wherever_it_begins(make):
    for hz in (55.0, 110.0, 440.0):
        for begin in np.linspace(0, RATE_HZ / hz, 48)[15::8].astype(int):
            crop = measure(make(hz, 0.4)[None, begin:], RATE_HZ, from_start=False)
            assert crop.value("log_attack_time") is None


def test_a_crop_with_an_onset_has_them():
    time_s = seconds(1.0)
    shape = np.where(time_s < 0.3, 0.001, 10 ** (-60 * np.maximum(time_s - 0.3, 0) / 20))
    crop = measure((sine(440.0, 1.0) * shape).astype(np.float32)[None], RATE_HZ, from_start=False)
    assert crop.value("log_attack_time") < -2.5
    assert crop.value("decay_db_per_s") == pytest.approx(60.0, rel=0.1)
    assert crop.value("onsets_per_s") == pytest.approx(1.0)


@pytest.mark.parametrize("offset", [0.05, 0.2])
def test_an_offset_neither_begins_nor_slows_a_sound_down(offset):
    time_s = seconds(1.0)
    struck = np.where(time_s < 0.2, 0.0, 0.5 * 10 ** (-60 * (time_s - 0.2) / 20))
    swelling = 0.5 * np.minimum(time_s / 0.3, 1.0)
    for shape in (struck, swelling):
        clean = (sine(440.0, 1.0) * shape).astype(np.float32)[None]
        expected, found = (measure(audio, RATE_HZ) for audio in (clean, clean + np.float32(offset)))
        assert found.value("onsets_per_s") == expected.value("onsets_per_s")
        attack = expected.value("log_attack_time")
        assert found.value("log_attack_time") == pytest.approx(attack, abs=0.01)


@pytest.mark.parametrize(("width", "at"), [(24, 4824), (32, 4806), (16, 4818), (1, 4817)])
def test_a_click_between_two_points_of_a_millisecond_does_not_hide_the_decay(width, at):
    sound = np.zeros(RATE_HZ // 2, np.float32)
    sound[at : at + width] = 0.9 * np.hanning(width + 2)[1:-1]
    after = np.arange(len(sound) - at - width)
    ring = 0.2 * 10 ** (-100 * after / RATE_HZ / 20) * np.sin(2 * np.pi * 300 * after / RATE_HZ)
    sound[at + width :] += ring.astype(np.float32)
    assert 0 < at % (RATE_HZ // 1000) <= RATE_HZ // 1000 - width
    assert decay(envelope(sound), RATE_HZ).db_per_s == pytest.approx(100.0, rel=0.1)


@pytest.mark.parametrize("at", [0, 1, 2399, 4798, 4799])
def test_a_single_sample_is_measured_wherever_it_lies(at):
    sound = np.zeros(4800, np.float32)
    sound[at] = 1.0
    found = measure(sound[None], RATE_HZ)
    assert found.value("log_attack_time") == pytest.approx(-4.0, abs=0.05)
    # Filtered below 20 Hz it rings a little: over at once, or too short to have a rate.
    assert (found.value("decay_db_per_s") or 1e4) > 1000
