"""The bank of a model: what of recordings it holds, at which speeds, and where sounds end."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from models.test_harmonic import autoencoder
from segments import segment
from signals import noise, sine
from timbrel.analysis.bank import SPEEDS_SEMITONES, fit_bank
from timbrel.contracts import TRACKS
from timbrel.generation.file_source import encode_whole
from timbrel.generation.prior.kinds import fitting_kind
from timbrel.generation.tracks import rows_of

RATE_HZ, HOP = 48_000, 512


def note(seconds: float = 0.6, f0_hz: float = 220.0, silence_s: float = 0.0) -> np.ndarray:
    """A tone that falls by 60 dB/s after 0.1 s of rise, behind `silence_s`."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    shape = np.minimum(t / 0.1, 1.0) * 10 ** (-3.0 * t)
    wave = sine(f0_hz, seconds) + 0.5 * sine(2 * f0_hz, seconds)
    return np.concatenate([np.zeros(round(silence_s * RATE_HZ)), shape * wave]).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    made = autoencoder(brightness=True)
    made.place = torch.nn.Parameter(torch.zeros(0))
    return made


def test_a_note_is_there_at_its_own_and_six_other_speeds(model) -> None:
    bank = fit_bank(model, [segment("a.wav", note())])
    assert bank.tracks == TRACKS[:4]
    assert [clip.semitones for clip in bank.clips] == [0.0, *SPEEDS_SEMITONES]
    for clip in bank.clips:
        speed = 2 ** (clip.semitones / 12)
        frames = np.ceil((np.round(0.6 * RATE_HZ / speed) + 0.6 * RATE_HZ) / HOP)
        assert clip.rows.shape[1] == pytest.approx(frames, abs=1)
        middle = slice(15, 30)
        f0_octaves = clip.rows[-4, middle]
        assert 12 * np.median(f0_octaves - np.log2(220.0)) == pytest.approx(
            clip.semitones, abs=0.05
        )
        assert clip.event


def test_the_code_is_that_of_the_recording_with_silence_behind_it(model) -> None:
    sound = segment("a.wav", note())
    own = fit_bank(model, [sound]).clips[0]
    padded = np.pad(sound.samples(), ((0, 0), (0, round(0.6 * RATE_HZ))))
    assert_allclose(own.rows, rows_of(encode_whole(model, padded))[0].numpy(), atol=1e-4)
    assert own.rows[-2, -20:].max() < -100  # digital silence has no level


def test_a_sound_begins_at_a_tenth_of_its_peak_and_ends_with_its_recording(model) -> None:
    both = [segment("a", note()), segment("b", note(silence_s=0.32))]
    quiet, late = fit_bank(model, both).recordings
    assert late.onset_frame - quiet.onset_frame == 30
    assert quiet.end_frame == np.ceil(0.6 * RATE_HZ / HOP)
    long = np.concatenate([note(), np.zeros(3 * RATE_HZ, np.float32)])
    [cut] = fit_bank(model, [segment("c", long)]).recordings
    assert cut.end_frame == pytest.approx((0.6 + 1.0) * RATE_HZ / HOP, abs=8)


def test_textures_are_there_once_and_silence_is_not(model) -> None:
    bank = fit_bank(model, [segment("t", noise(2.5)), segment("s", np.zeros(9600, np.float32))])
    assert [(clip.name, clip.event) for clip in bank.clips] == [("t", False)]


def test_what_the_recordings_are_decides_which_prior_fits(model) -> None:
    hit, texture = segment("a", note()), segment("t", noise(2.5))
    assert fitting_kind(fit_bank(model, [hit])) == "bank"
    assert fitting_kind(fit_bank(model, [texture])) == "resample"
    assert fitting_kind(fit_bank(model, [hit, texture])) == "auto"
    assert fitting_kind(None) == fitting_kind(fit_bank(model, [])) == "gaussian"
