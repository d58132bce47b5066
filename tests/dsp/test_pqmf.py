"""The filterbank against its own definition and against physics: levels, aliases, edges, reach."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor

from signals import chirp
from timbrel.dsp.pqmf import (
    Pqmf,
    analyse_reference,
    analysis_filters,
    prototype,
    synthesise_reference,
)

EVERY = (4, 8, 16)
RATE_HZ = 48_000


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _silent_edges(audio: Tensor, bank: Pqmf) -> Tensor:
    """Zeros where the missing frames beyond the clip would be needed."""
    quiet = torch.zeros_like(audio)
    edge = bank.context_samples
    quiet[..., edge:-edge] = audio[..., edge:-edge]
    return quiet


def _round_trip(bank: Pqmf, audio: Tensor) -> Tensor:
    return bank.synthesise(bank.analyse(audio))


def _snr_db(clean: Tensor, other: Tensor) -> float:
    clean, other = clean.double(), other.double()
    return float(10 * torch.log10(clean.square().sum() / (clean - other).square().sum()))


@pytest.mark.parametrize("bands", [*EVERY, 2, 32, 64])
def test_the_fast_path_is_the_defining_sum(bands: int) -> None:
    bank, filters = Pqmf(bands=bands), analysis_filters(bands)
    frames = 2 * bank.analysis_reach_frames + 7 if bands <= 16 else 9
    audio = _noise(1, 1, bands * frames)
    slow = analyse_reference(audio[0, 0].double().numpy(), filters)
    assert_allclose(bank.analyse(audio)[0, 0], slow, atol=5e-6)
    bands_in = _noise(1, 1, bands, frames, seed=1)
    back = synthesise_reference(bands_in[0, 0].double().numpy(), filters)
    assert_allclose(bank.synthesise(bands_in)[0, 0], back, atol=5e-6)


@pytest.mark.parametrize("bands", [*EVERY, 2, 32, 64])
def test_round_trip_of_noise_sweep_and_impulses(bands: int) -> None:
    bank = Pqmf(bands=bands)
    samples = 8 * bank.context_samples
    sweep = torch.from_numpy(chirp(20.0, RATE_HZ / 2, samples / RATE_HZ))[None, None]
    for audio in (_noise(1, 1, samples), sweep):
        quiet = _silent_edges(audio, bank)
        assert _snr_db(quiet, _round_trip(bank, quiet)) > 95.0
        # with sound up to the edges, all but the edges is the same
        inner = slice(bank.context_samples, -bank.context_samples)
        assert _snr_db(audio[..., inner], _round_trip(bank, audio)[..., inner]) > 95.0
    for position in (0, 1, bands // 2, bands - 1):  # every place within a frame has its own path
        impulse = torch.zeros(1, 1, samples)
        impulse[..., samples // 2 + position] = 1.0
        assert _snr_db(impulse, _round_trip(bank, impulse)) > 95.0


@pytest.mark.parametrize("bands", EVERY)
def test_edges_lose_only_what_is_near_them(bands: int) -> None:
    """Frames beyond the clip are missing: a quarter of the amplitude is lost in the outermost."""
    bank = Pqmf(bands=bands)
    audio = _noise(64, 1, 64 * bands)
    error = (_round_trip(bank, audio) - audio).square().mean((0, 1)).reshape(-1, bands).mean(1)
    error_db = 10 * torch.log10(error)  # per frame, of noise at 0 dB
    both = torch.maximum(error_db[:32], error_db.flip(0)[:32])
    assert both[0] < -10.0
    assert (both[bank.synthesis_reach_frames :] < -95.0).all()
    assert (both[4:] < -40.0).all()


@pytest.mark.parametrize("bands", EVERY)
def test_stop_band_of_every_filter(bands: int) -> None:
    response = np.abs(np.fft.rfft(analysis_filters(bands), 1 << 16))
    width_rad = np.pi / bands
    omega = np.linspace(0.0, np.pi, response.shape[1])
    for k in range(bands):
        outside = np.abs(omega - (k + 0.5) * width_rad) >= width_rad
        level_db = 20 * np.log10(response[k] / response[k].max())
        assert level_db[outside].max() < -95.0, k
        crossing = np.abs(np.abs(omega - (k + 0.5) * width_rad) - width_rad / 2).argmin()
        if 0 < k < bands - 1:
            assert level_db[crossing] == pytest.approx(-3.01, abs=0.1)


@pytest.mark.parametrize("attenuation_db", [80.0, 90.0, 110.0, 120.0])
def test_the_stop_band_asked_for(attenuation_db: float) -> None:
    shape = prototype(16, attenuation_db)
    level = np.abs(np.fft.rfft(shape, 1 << 16)) / shape.sum()
    assert 20 * np.log10(level[(1 << 16) // 32 :].max()) < -attenuation_db + 2.0


@pytest.mark.parametrize("bands", EVERY)
def test_the_prototype_is_power_complementary(bands: int) -> None:
    shape = prototype(bands)
    lags = [shape[lag:] @ shape[: len(shape) - lag] for lag in range(0, len(shape), 2 * bands)]
    assert_allclose(lags, np.eye(len(lags))[0], atol=1e-7)
    assert_allclose(shape, shape[::-1], atol=0.0)
    with pytest.raises(ValueError, match="read-only"):
        shape[0] = 1.0


@pytest.mark.parametrize("bands", EVERY)
def test_a_sine_comes_back_without_aliases(bands: int) -> None:
    """In the middle of each band and at each crossing: nothing but the sine, 90 dB down."""
    bank = Pqmf(bands=bands)
    samples = 64 * bank.context_samples
    n = torch.arange(samples, dtype=torch.float64)
    window = torch.from_numpy(np.kaiser(samples - 2 * bank.context_samples, 25.0))
    for step in range(1, 2 * bands):
        omega = math.pi * step / (2 * bands) + 0.003  # off the grid, or aliases fall onto the sine
        sine = torch.sin(omega * n)
        back = _round_trip(bank, sine.float()[None, None])[0, 0].double()
        inner = back[bank.context_samples : -bank.context_samples]
        spectrum = torch.fft.rfft(inner * window).abs()
        peak = int(spectrum.argmax())
        assert peak == pytest.approx(omega / (2 * math.pi) * len(inner), abs=1.0)
        level = float(spectrum[peak])
        spectrum[max(0, peak - 12) : peak + 13] = 0.0
        assert 20 * math.log10(float(spectrum.max()) / level) < -90.0, step


@pytest.mark.parametrize("bands", EVERY)
def test_a_sine_stands_in_its_own_band(bands: int) -> None:
    bank = Pqmf(bands=bands)
    n = torch.arange(8 * bank.context_samples, dtype=torch.float64)
    for k in range(bands):
        sine = torch.sin(math.pi * (k + 0.5) / bands * n + 0.3).float()[None, None]
        power = bank.analyse(sine)[0, 0, :, 26:-26].square().mean(-1)
        assert power[k] == pytest.approx(0.5 * bands, rel=0.05)  # a frame holds `bands` samples
        others = torch.cat([power[:k], power[k + 1 :]])
        near = [j for j in (k - 1, k + 1) if 0 <= j < bands]
        assert float(others.max()) == pytest.approx(float(power[near].max()))
        far = [j for j in range(bands) if abs(j - k) > 1]
        assert float(power[far].sum()) < 1e-9 * bands


@pytest.mark.parametrize("bands", EVERY)
def test_energy_and_level_are_kept(bands: int) -> None:
    bank = Pqmf(bands=bands)
    audio = _silent_edges(_noise(2, 1, 32 * bank.context_samples), bank)
    split = bank.analyse(audio)
    assert float(split.square().sum() / audio.square().sum()) == pytest.approx(1.0, abs=1e-5)
    per_band = split.square().mean((0, 1, 3)) / audio.square().mean()
    assert_allclose(per_band, 1.0, atol=0.15)  # white noise is as loud in every band


@pytest.mark.parametrize("bands", EVERY)
def test_synthesis_is_the_adjoint_of_analysis(bands: int) -> None:
    bank = Pqmf(bands=bands)
    audio, split = _noise(1, 1, bands * 40), _noise(1, 1, bands, 40, seed=1)
    forwards = (bank.analyse(audio) * split).sum()
    backwards = (audio * bank.synthesise(split)).sum()
    assert float(forwards) == pytest.approx(float(backwards), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("bands", EVERY)
def test_blocks_with_their_context_are_the_whole(bands: int) -> None:
    bank = Pqmf(bands=bands)
    frames, block = 200, 40
    audio = _noise(1, 1, frames * bands)
    whole, reach = _round_trip(bank, audio), bank.context_samples
    padded = torch.nn.functional.pad(audio, (reach, reach))
    inner = range(bank.synthesis_reach_frames, frames - bank.synthesis_reach_frames - block, block)
    for start in (frame * bands for frame in inner):
        part = padded[..., start : start + block * bands + 2 * reach]
        made = _round_trip(bank, part)[..., reach : reach + block * bands]
        assert_allclose(made, whole[..., start : start + block * bands], atol=5e-6)


@pytest.mark.parametrize("bands", EVERY)
def test_reach_is_as_said_and_no_longer(bands: int) -> None:
    bank = Pqmf(bands=bands)
    centre, frames = 40, 81
    audio = torch.zeros(1, 1, frames * bands)
    audio[..., centre * bands : (centre + 1) * bands] = 1.0 + torch.arange(bands)
    touched = bank.analyse(audio)[0, 0].abs().amax(0).nonzero()[:, 0]
    reach = bank.analysis_reach_frames
    assert (int(touched.min()), int(touched.max())) == (centre - reach, centre + reach)
    split = torch.zeros(1, 1, bands, frames)
    split[..., centre] = 1.0 + torch.arange(bands)
    heard = bank.synthesise(split)[0, 0].nonzero()[:, 0] // bands
    reach = bank.synthesis_reach_frames
    assert (int(heard.min()), int(heard.max())) == (centre - reach, centre + reach)
    assert bank.context_samples == 2 * reach * bands


def test_gradients() -> None:
    bank = Pqmf(bands=4).double()
    audio = _noise(1, 2, 4 * 10).double().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: _round_trip(bank, x), audio, atol=1e-8)
    bank = Pqmf(bands=16)
    audio = _noise(2, 1, 16 * 64).requires_grad_(True)
    wanted = _noise(2, 1, 16 * 64, seed=1)
    (_round_trip(bank, audio) * wanted).sum().backward()
    assert audio.grad is not None
    # the round trip is its own adjoint: its gradient is the round trip of what comes back
    assert_allclose(audio.grad, _round_trip(bank, wanted), atol=5e-6)


def test_channels_and_examples_do_not_mix() -> None:
    bank = Pqmf(bands=16)
    audio = _noise(3, 2, 16 * 50)
    split = bank.analyse(audio)
    for example in range(3):
        for channel in range(2):
            alone = bank.analyse(audio[example, channel][None, None])
            assert_allclose(split[example, channel], alone[0, 0], atol=1e-5)
    audio[:, 1] = 0.0
    assert _round_trip(bank, audio)[:, 1].abs().max() == 0.0


def test_precision_survives_autocast_and_half_inputs() -> None:
    bank = Pqmf(bands=16)
    audio = _silent_edges(_noise(1, 1, 16 * 200), bank)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert _snr_db(audio, _round_trip(bank, audio)) > 95.0
        assert bank.analyse(audio.bfloat16()).dtype == torch.float32


def test_design_takes_few_small_solutions_and_is_not_stored(monkeypatch) -> None:
    sizes: list[int] = []
    solve = np.linalg.lstsq

    def counted(matrix, *rest, **settings):
        sizes.append(matrix.size)
        return solve(matrix, *rest, **settings)

    monkeypatch.setattr(np.linalg, "lstsq", counted)
    prototype.cache_clear()
    bank = Pqmf(bands=64)
    first, *newton = sizes
    assert first <= bank.taps * 11  # one long system, whatever the number of bands
    assert len(newton) < 20  # converged, long before the last step allowed
    assert max(newton) <= 14 * 11
    Pqmf(bands=64)
    assert len(sizes) == 1 + len(newton)  # designed once in a process
    assert not bank.state_dict()
    assert not list(bank.parameters())


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match="bands=12: a power of two"):
        Pqmf(bands=12)
    with pytest.raises(ValueError, match="attenuation_db=60"):
        Pqmf(bands=8, attenuation_db=60.0)
    with pytest.raises(ValueError, match="33 samples are not whole frames of 16"):
        Pqmf(bands=16).analyse(torch.zeros(1, 1, 33))
