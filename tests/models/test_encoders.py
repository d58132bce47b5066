"""What an encoder hears of a level."""

import math

import pytest
import torch
from torch import Tensor

from timbrel.models.encoders import SpectralEncoder

RATE_HZ, SAMPLES = 48_000, 24_576


def encoder(*, relative: float) -> SpectralEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SpectralEncoder(
            channels=1,
            window_samples=2048,
            hop_samples=512,
            phase_bins=64,
            width=16,
            blocks=1,
            kernel_frames=3,
            expansion=2,
            relative=relative,
        ).eval()


def tone() -> Tensor:
    time = torch.arange(SAMPLES) / RATE_HZ
    noise = torch.randn(SAMPLES, generator=torch.Generator().manual_seed(1))
    return (0.3 * torch.sin(2 * math.pi * 330 * time) + 0.003 * noise)[None, None]


def heard(made: SpectralEncoder, audio: Tensor) -> Tensor:
    with torch.no_grad():
        return made(audio)


@pytest.mark.parametrize("gain_db", [-40.0, -12.0, 6.0])
def test_with_all_of_it_off_it_does_not_hear_the_level(gain_db: float) -> None:
    audio = tone()
    louder = audio * 10 ** (gain_db / 20)
    made = encoder(relative=1.0)
    torch.testing.assert_close(heard(made, louder), heard(made, audio), atol=1e-3, rtol=0)
    made = encoder(relative=0.0)
    assert (heard(made, louder) - heard(made, audio)).abs().max() > 0.1


def test_with_all_of_it_off_it_hears_another_spectrum() -> None:
    made, audio = encoder(relative=1.0), tone()
    tilted = torch.diff(audio, prepend=audio[..., :1])
    assert (heard(made, tilted) - heard(made, audio)).abs().max() > 0.1


@pytest.mark.parametrize("relative", [0.0, 0.5, 1.0])
def test_silence_is_finite_and_unlike_a_flat_spectrum(relative: float) -> None:
    made = encoder(relative=relative)
    silent = heard(made, torch.zeros(1, 1, SAMPLES))
    click = torch.zeros(1, 1, SAMPLES)
    click[..., ::512] = 1e-4
    assert silent.isfinite().all()
    assert (silent - heard(made, click)).abs().max() > 0.1


def test_more_than_all_of_it_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        encoder(relative=1.5)
