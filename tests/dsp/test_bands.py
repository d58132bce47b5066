"""Bands of a spectrum, and noise of the levels that it is told."""

import numpy as np
import torch

from timbrel.dsp.bands import band_centres_hz, band_shares, shaped_noise, sine_window

RATE_HZ, HOP = 48_000, 512


def white(n_frames: int, bins: int = HOP + 1) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(1, n_frames, bins, dtype=torch.complex64, generator=rng)


def test_bands_reach_from_nothing_to_half_the_rate_and_share_every_bin() -> None:
    centres_hz = band_centres_hz(64, RATE_HZ)
    assert centres_hz[0] == 0
    assert np.isclose(centres_hz[-1], RATE_HZ / 2)
    assert (np.diff(centres_hz) > 0).all()
    shares = band_shares(64, HOP + 1, RATE_HZ)
    torch.testing.assert_close(shares.sum(0), torch.ones(HOP + 1))
    straight = torch.from_numpy(centres_hz).float() @ shares  # lines between the centres
    np.testing.assert_allclose(straight, np.linspace(0, RATE_HZ / 2, HOP + 1), atol=0.01)


def test_squares_of_windows_add_up_to_one() -> None:
    square = sine_window(2 * HOP).square()
    torch.testing.assert_close(square[:HOP] + square[HOP:], torch.ones(HOP))


def test_a_level_of_one_is_white_noise_of_mean_square_one_everywhere() -> None:
    audio = shaped_noise(white(2000), torch.ones(1, 2000, HOP + 1), HOP)[0].numpy()
    assert len(audio) == 2000 * HOP
    by_place = np.square(audio).reshape(-1, HOP)[1:-1].mean(0)  # within a hop, over all hops
    assert abs(10 * np.log10(by_place.mean())) < 0.02
    assert np.abs(10 * np.log10(by_place.reshape(-1, 32).mean(1))).max() < 0.15
    density = np.square(np.abs(np.fft.rfft(audio))).reshape(-1)[1:-1] / len(audio)
    blocks = density[: len(density) // 64 * 64].reshape(64, -1).mean(1)
    assert np.abs(10 * np.log10(blocks)).max() < 0.2


def test_a_frame_is_as_loud_as_its_level() -> None:
    level = torch.full((1, 300, HOP + 1), 0.01)
    level[:, 100:200] = 1.0
    audio = shaped_noise(white(300), level, HOP)[0].numpy()
    power = np.square(audio).reshape(-1, HOP).mean(1)
    for part, wanted_db in ((slice(0, 99), -40), (slice(101, 199), 0), (slice(201, 300), -40)):
        assert abs(10 * np.log10(power[part].mean()) - wanted_db) < 0.2
