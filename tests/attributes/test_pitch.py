"""f0 to the cent, periodicity as a share of power, octave errors repaired and leaps kept."""

import numpy as np
import pytest

from attributes.synthetic import RATE_HZ, gaussian, seconds, tone
from signals import sine
from timbrel.attributes.frames import frame_count
from timbrel.attributes.measurement import measure
from timbrel.attributes.pitch import octave_choice, pitch_track


def track(signal, rate_hz=RATE_HZ):
    audio = np.atleast_2d(signal)
    return pitch_track(audio, rate_hz, np.ones(frame_count(audio.shape[1], rate_hz), bool))


def cents(f0_hz, true_hz):
    return np.abs(1200 * np.log2(f0_hz / true_hz))


TONES_HZ = [55.0, 82.4, 110.0, 196.0, 330.7, 440.0, 698.5, 1046.5, 1760.0]


@pytest.mark.parametrize("make", [sine, tone], ids=["sine", "harmonics"])
def test_f0_of_tones_is_exact_to_a_cent(make):
    errors = [cents(track(make(hz, 0.4)).f0_hz, hz) for hz in TONES_HZ]
    assert max(np.median(error) for error in errors) < 1.0
    found = [measure(make(hz, 0.4)[None], RATE_HZ).value("f0_hz") for hz in TONES_HZ]
    assert cents(np.array(found), np.array(TONES_HZ)).max() < 1.0


@pytest.mark.parametrize("hz", [55.0, 220.0, 880.0])
def test_f0_holds_in_noise_at_10_db(hz):
    clean = tone(hz, 0.6)
    power = np.mean(clean.astype(float) ** 2)
    found = track(clean + gaussian(0.6, rms=np.sqrt(power / 10)))
    assert np.median(cents(found.f0_hz, hz)) < 10
    assert found.voiced.mean() > 0.9


def test_a_missing_fundamental_is_heard():
    time_s = seconds(0.5)
    upper = sum(np.sin(2 * np.pi * n * 150.0 * time_s) for n in (2, 3, 4, 5))
    assert np.median(cents(track(0.1 * upper).f0_hz, 150.0)) < 1


@pytest.mark.parametrize("rate_hz", [8000, 22_050, 44_100, 96_000])
def test_f0_does_not_depend_on_the_rate(rate_hz):
    found = track(tone(220.0, 0.4, rate_hz=rate_hz), rate_hz)
    assert np.median(cents(found.f0_hz, 220.0)) < 5


def test_a_glide_is_followed():
    time_s = seconds(1.0)
    hz = 200.0 * 2**time_s
    glide = 0.5 * np.sin(2 * np.pi * np.cumsum(hz) / RATE_HZ)
    found = track(glide).f0_hz[5:-5]
    centres = (np.arange(100)[5:-5] + 0.5) * 480
    # YIN's window precedes the period it is compared with: a lag of a few ms is its own.
    assert np.median(cents(found, hz[centres.astype(int)])) < 10


@pytest.mark.parametrize("snr_db", [-5, 0, 10, 20, 30])
def test_hnr_is_the_ratio_of_tone_to_white_noise(snr_db):
    clean = sine(220.0, 1.0)
    noise = gaussian(1.0, rms=np.sqrt(0.125 / 10 ** (snr_db / 10)))
    assert measure((clean + noise)[None], RATE_HZ).value("hnr_db") == pytest.approx(snr_db, abs=0.8)


def test_a_steady_decay_is_still_periodic():
    decaying = sine(110.0, 0.5) * 10 ** (-60 * seconds(0.5) / 20)
    assert np.median(track(decaying).hnr_db) > 30


def partials(ratios, amplitudes, hz, duration_s=0.4):
    time_s = seconds(duration_s)
    waves = [
        amplitude * np.sin(2 * np.pi * ratio * hz * time_s + number)
        for number, (ratio, amplitude) in enumerate(zip(ratios, amplitudes, strict=True))
    ]
    return 0.2 * np.sum(waves, 0)


def test_an_unrelated_high_partial_does_not_draw_f0():
    time_s = seconds(0.4)
    strike = 0.1 * np.exp(-time_s / 0.05) * np.sin(2 * np.pi * 10.33 * 220.0 * time_s)
    found = track(sine(220.0, 0.4, amplitude=0.2) + strike)
    assert found.voiced[4:-4].all()
    assert cents(found.f0_hz[4:-4], 220.0).max() < 3


@pytest.mark.parametrize("hz", [110.0, 220.0, 880.0])
@pytest.mark.parametrize("second", [0.25, 1.0])
def test_f0_of_a_free_bar_is_its_first_mode(hz, second):
    bar = partials([1.0, 2.756, 5.404], [1.0, second, second**2], hz)
    assert cents(track(bar).f0_hz[4:-4], hz).max() < 1


@pytest.mark.parametrize("hz", [330.0, 440.0, 523.0])
@pytest.mark.parametrize("second", [2.667, 2.75, 2.8])
def test_what_repeats_after_some_periods_of_a_bar_is_no_f0(hz, second):
    bar = partials([1.0, second, 2 * second], [1.0, 0.7, 0.5], hz)
    found = track(bar)
    for number in range(3, 11):  # a fundamental of which a partial is a harmonic, alone
        assert cents(found.f0_hz[4:-4], hz / number).min() > 50
    assert cents(found.f0_hz[found.voiced], hz).max(initial=0) < 50


@pytest.mark.parametrize("hz", [60.0, 110.0, 220.0])
@pytest.mark.parametrize("lowest", [2, 3, 4])
def test_more_than_a_fundamental_may_be_missing(hz, lowest):
    found = track(partials(range(lowest, 2 * lowest + 3), np.ones(lowest + 3), hz))
    assert cents(found.f0_hz[4:-4], hz).max() < 1


@pytest.mark.parametrize("hz", [220.0, 440.0, 880.0])
def test_f0_of_a_bell_with_a_strong_hum_is_the_hum(hz):
    # Bells whose prime is as loud as the hum have no one period: which is found is not defined.
    bell = partials([0.5, 1.0, 1.183, 1.506, 2.0], [1.5, 0.7, 0.4, 0.3, 0.5], hz)
    assert cents(track(bell).f0_hz[4:-4], hz / 2).max() < 3


@pytest.mark.parametrize("hz", [41.2, 110.0, 440.0])
def test_f0_of_a_stiff_string_is_its_first_partial(hz):
    found = track(tone(hz, 0.4, stiffness=1e-3)).f0_hz[4:-6]
    assert cents(found, hz * np.sqrt(1 + 1e-3)).max() < 1


def test_a_missing_fundamental_is_not_looked_for_in_noise():
    upper = partials(range(6, 16), np.ones(10), 150.0, 1.0)
    noisy = upper + gaussian(1.0, rms=np.sqrt(np.mean(upper**2) / 10**0.5))
    assert cents(track(noisy).f0_hz[4:-4], 150.0).max() < 10


def test_low_noise_does_not_hide_what_the_upper_partials_tell():
    spectrum = np.fft.rfft(gaussian(1.0, rms=1.0))
    spectrum[400:] = 0  # a bin per hertz
    low = np.fft.irfft(spectrum)
    loud = partials(range(1, 13), np.ones(12), 150.0, 1.0) + 0.15 / low.std() * low
    assert cents(track(loud).f0_hz[5:-5], 150.0).max() < 3


@pytest.mark.parametrize("hz", [41.2, 55.0, 220.0, 880.0, 3000.0, 3900.0])
def test_f0_is_exact_in_every_frame(hz):
    both = np.stack([tone(hz, 0.4), -tone(hz, 0.4)])
    assert cents(track(both).f0_hz[5:-5], hz).max() < 0.5


@pytest.mark.parametrize("db_per_s", [60.0, 200.0, -60.0])
@pytest.mark.parametrize("hz", [41.2, 110.0, 440.0])
def test_f0_of_a_decaying_sine_is_its_own(hz, db_per_s):
    decaying = sine(hz, 0.4) * 10 ** (-db_per_s * seconds(0.4) / 20)
    assert cents(track(decaying).f0_hz[5:-5], hz).max() < 2


def test_f0_stays_within_its_range():
    found = track(sine(36.0, 0.5)).f0_hz[5:-5]
    assert found == pytest.approx(40.0, abs=0.1)


@pytest.mark.parametrize("hz", [4500.0, 9000.0, 12_700.0])
def test_a_tone_above_the_range_is_periodic_all_the_same(hz):
    assert track(sine(hz, 0.4)).periodicity[5:-5].min() > 0.95


def test_white_noise_has_no_f0():
    found = measure(gaussian(1.0)[None], RATE_HZ)
    assert found.value("f0_hz") is None
    assert found.value("hnr_db") < -8


def test_octave_errors_are_repaired_where_the_other_octave_is_as_periodic():
    f0_hz = np.tile([[220.0, 110.0, 440.0]], (60, 1))
    periodicity = np.full((60, 3), 0.95)
    f0_hz[20:23] = [440.0, 220.0, 880.0]
    f0_hz[40:43] = [440.0, 220.0, 880.0]
    periodicity[40:43, 1] = 0.5
    choice = octave_choice(f0_hz, periodicity)
    assert np.flatnonzero(choice).tolist() == [20, 21, 22]
    assert (choice[20:23] == 1).all()


def test_an_octave_leap_that_lasts_is_kept():
    leap = np.concatenate([tone(220.0, 0.6), tone(440.0, 0.6)])
    found = track(leap)
    assert np.median(cents(found.f0_hz[5:50], 220.0)) < 1
    assert np.median(cents(found.f0_hz[70:115], 440.0)) < 1


@pytest.mark.parametrize("hz", [131.0, 185.0, 277.0])
def test_f0_of_a_struck_skin_is_its_first_mode_from_the_strike_on(hz):
    # Together the modes of a membrane repeat after two or three periods of the first.
    modes = ((1.0, 1.0, 25), (1.58, 0.5, 60), (2.24, 0.5, 80), (2.92, 0.5, 90), (3.5, 0.4, 100))
    time_s = seconds(1.3)
    skin = sum(
        amplitude * 10 ** (-db_per_s * time_s / 20) * np.sin(2 * np.pi * hz * ratio * time_s)
        for ratio, amplitude, db_per_s in modes
    )
    assert cents(track(skin).f0_hz[6:-4], hz).max() < 50


def test_a_low_note_with_a_strong_octave_is_low_before_a_higher_one():
    low = partials(range(1, 9), [0.5, 1, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2], 110.0, 0.7)
    found = track(np.concatenate([low, tone(220.0, 1.5)]))
    assert cents(found.f0_hz[5:60], 110.0).max() < 1
    assert cents(found.f0_hz[80:-5], 220.0).max() < 1


def test_f0_agrees_with_librosa():
    librosa = pytest.importorskip("librosa")
    for hz in (82.4, 330.7):
        signal = tone(hz, 0.5)
        theirs = librosa.yin(
            signal, fmin=40, fmax=2000, sr=RATE_HZ, frame_length=4096, hop_length=480
        )
        assert cents(np.median(track(signal).f0_hz), np.median(theirs)) < 5
