"""The oscillator bank: no drift, no clicks, silence above the band, gradients, bounded memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from timbrel.dsp.additive import audible, cycles_at_middles, dispersed, oscillators, stretched

RATE_HZ, HOP = 48_000, 512
FRAME_S = HOP / RATE_HZ


def sound(
    hz: torch.Tensor, amplitude: torch.Tensor, first: torch.Tensor | None = None, hop: int = HOP
) -> np.ndarray:
    """Of one sound with one channel; `hz` and `amplitude` are (frame, partial)."""
    first = torch.zeros(1, hz.shape[1]) if first is None else first
    cycles = cycles_at_middles(hz[None], first, frame_s=hop / RATE_HZ)
    audio = oscillators(
        hz[None], amplitude[None, None], cycles, sample_rate_hz=RATE_HZ, hop_samples=hop
    )
    return audio[0, 0].numpy()


def seconds(n_frames: int, hop: int = HOP) -> np.ndarray:
    """Of every sample, from the middle of the first frame on."""
    return (np.arange(n_frames * hop) - (hop - 1) / 2) / RATE_HZ


@pytest.mark.parametrize("hop", [512, 511])
def test_a_minute_is_the_very_sine_from_the_first_sample_to_the_last(hop: int) -> None:
    n_frames, f0_hz = 60 * RATE_HZ // hop, torch.tensor(220.37)
    hz = stretched(f0_hz.expand(1, n_frames), 3)[0]
    audio = sound(hz, torch.tensor([0.5, 0.3, 0.2]).expand(n_frames, 3), hop=hop)
    phase = 2 * np.pi * float(f0_hz) * seconds(n_frames, hop)
    wanted = 0.5 * np.sin(phase) + 0.3 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase)
    assert len(audio) == n_frames * hop
    assert np.abs(audio - wanted).max() < 5e-5  # a cent would be off by 40 rad at the end


def test_between_frames_frequency_and_amplitude_move_in_straight_lines() -> None:
    n_frames = 8
    track, level = torch.linspace(300.0, 1000.0, n_frames), torch.linspace(0.1, 0.8, n_frames)
    audio = sound(track[:, None], level[:, None])
    t, end = seconds(n_frames), (n_frames - 1) * FRAME_S
    inside = (t >= 0) & (t <= end)
    phase = 2 * np.pi * (300 * t + 700 / end * t**2 / 2)
    wanted = np.interp(t, [0, end], [0.1, 0.8]) * np.sin(phase)
    np.testing.assert_allclose(audio[inside], wanted[inside], atol=5e-5)
    before = t < 0  # where nothing is known, all stays as it is
    np.testing.assert_allclose(audio[before], 0.1 * np.sin(2 * np.pi * 300 * t[before]), atol=5e-5)


def test_partials_of_a_stiff_string() -> None:
    found = stretched(torch.tensor([[100.0, 200.0]]), 3, torch.tensor([[0.0, 0.01]]))
    wanted = [[100, 200, 300], [200 * n * (1 + 0.01 * n**2) ** 0.5 for n in (1, 2, 3)]]
    torch.testing.assert_close(found[0], torch.tensor(wanted, dtype=torch.float32))


def test_dispersed_phases_lower_the_peak_of_a_tone() -> None:
    assert dispersed(3).tolist() == [1 / 128, 4 / 128, 9 / 128]
    hz = stretched(torch.full((1, 20), 100.0), 64)[0]
    flat, peaky = (sound(hz, torch.ones_like(hz), first) for first in (dispersed(64)[None], None))
    assert np.abs(flat).max() < 0.5 * np.abs(peaky).max()


def test_a_partial_is_whole_up_to_the_fade_and_nothing_from_the_band_on() -> None:
    hz = torch.tensor([0.1, 0.40, 0.425, 0.4499, 0.45, 0.46, 3.0])[None, None].expand(1, 3, 7)
    gain = audible(hz * RATE_HZ, RATE_HZ)[0, 1].tolist()
    assert gain[:3] == pytest.approx([1.0, 1.0, 0.5], abs=1e-4)
    assert 0 < gain[3] < 1e-4
    assert gain[4:] == [0.0, 0.0, 0.0]


def test_a_partial_that_glides_across_the_band_leaves_without_a_click() -> None:
    n_frames = 60
    hz = torch.linspace(0.35 * RATE_HZ, 0.6 * RATE_HZ, n_frames)[:, None]
    audio = sound(hz, audible(hz[None], RATE_HZ)[0])
    middles = (np.arange(n_frames) + 0.5) * HOP
    at_hz = np.interp(np.arange(len(audio)), middles, hz[:, 0].numpy())
    assert (audio[at_hz >= 0.45 * RATE_HZ] == 0).all()
    assert np.abs(audio[at_hz < 0.39 * RATE_HZ]).max() == pytest.approx(1.0, abs=1e-2)
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    low = np.fft.rfftfreq(len(audio), 1 / RATE_HZ) < 0.25 * RATE_HZ
    assert spectrum[low].max() < 1e-3 * spectrum.max()  # a click has all frequencies


def test_what_is_above_the_band_all_the_time_is_left_out() -> None:
    hz = torch.tensor([[1000.0, 0.45 * RATE_HZ, 30_000.0]]).expand(20, 3)
    low = torch.tensor([[1.0, 0.0, 0.0]]).expand(20, 3)
    assert np.array_equal(sound(hz, torch.ones(20, 3)), sound(hz, low))
    assert (sound(hz[:, 1:], torch.ones(20, 2)) == 0).all()


def test_a_sound_goes_on_from_the_phases_of_a_middle() -> None:
    hz = stretched(2 ** (7 + torch.rand(1, 40, generator=torch.Generator().manual_seed(0))), 5)
    whole = cycles_at_middles(hz, torch.zeros(1, 5), frame_s=FRAME_S)
    later = cycles_at_middles(hz[:, 17:], whole[:, 17], frame_s=FRAME_S)
    apart = (later - whole[:, 17:]).abs()
    assert torch.minimum(apart, 1 - apart).max() < 1e-6
    assert ((whole >= 0) & (whole <= 1)).all()


def test_gradients_are_those_of_differences() -> None:
    rng = torch.Generator().manual_seed(0)

    def audio(f0_hz: torch.Tensor, b: torch.Tensor, amplitude: torch.Tensor) -> torch.Tensor:
        hz = stretched(f0_hz, 3, b)
        gain = audible(hz, 8_000)
        cycles = cycles_at_middles(hz, dispersed(3)[None].expand(1, -1), frame_s=5 / 8_000)
        return oscillators(
            hz, amplitude * gain[:, None], cycles, sample_rate_hz=8_000, hop_samples=5
        )

    f0_hz = 1100 + 100 * torch.rand(1, 4, generator=rng, dtype=torch.float64)
    b = 0.01 + 0.01 * torch.rand(1, 4, generator=rng, dtype=torch.float64)
    amplitude = torch.rand(1, 2, 4, 3, generator=rng, dtype=torch.float64)
    inputs = tuple(x.requires_grad_() for x in (f0_hz, b, amplitude))
    assert torch.autograd.gradcheck(audio, inputs)


MINUTE = """
import re, torch
from pathlib import Path
from timbrel.dsp.additive import cycles_at_middles, oscillators, stretched
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
hz = stretched(torch.full((1, 5625), 100.0), 128)
amplitude = torch.full((1, 1, 5625, 128), 0.01, requires_grad=True)
cycles = cycles_at_middles(hz, torch.zeros(1, 128), frame_s=512 / 48_000)
audio = oscillators(hz, amplitude, cycles, sample_rate_hz=48_000, hop_samples=512)
audio.square().sum().backward()
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_minute_of_128_partials_and_its_gradient_take_less_than_a_gibibyte() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MINUTE], check=True, capture_output=True, text=True
    )
    assert 0 < int(done.stdout) < 2**20  # KiB; one array of all would take 1.5 GB
