"""Reconstruction losses where their values are known in closed form."""

import math

import auraloss
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor, nn

from timbrel.dsp.stft import hann
from timbrel.losses.reconstruction import AuralossMultiResolution, SpectralLoss

WINDOWS = [2048, 1024, 512, 256]
LOSSES = [SpectralLoss(window_samples=WINDOWS), AuralossMultiResolution()]


def _noise(*shape: int, seed: int = 0, rms: float = 0.3) -> Tensor:
    return rms * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _spectral(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    terms = SpectralLoss(window_samples=WINDOWS)(estimate, target)
    assert list(terms) == ["stft_relative", "stft_log", "waveform", "level"]
    return terms["stft_relative"], terms["stft_log"]


@pytest.mark.parametrize("loss", LOSSES)
def test_identical_signals_cost_nothing(loss: nn.Module) -> None:
    audio = _noise(2, 2, 9000)
    for term in loss(audio, audio).values():
        assert_allclose(term, [0.0, 0.0], atol=1e-7)


def test_six_decibels_are_ln_2_and_a_whole_norm() -> None:
    audio = _noise(2, 1, 48_000)
    relative, log = _spectral(2 * audio, audio)
    assert_allclose(relative, 1.0, atol=1e-5)
    assert_allclose(log, math.log(2), rtol=1e-5)
    relative, log = _spectral(0.5 * audio, audio)
    assert_allclose(relative, 0.5, atol=1e-5)
    assert_allclose(log, math.log(2), rtol=1e-5)


def test_phase_is_not_heard() -> None:
    audio = _noise(1, 1, 9000)
    relative, log = _spectral(-audio, audio)
    assert relative.item() == log.item() == 0.0


def test_independent_noises_score_what_theory_says() -> None:
    """Rayleigh magnitudes: sqrt(2 - pi/2) = 0.655, and half of E|logistic| = ln 2 = 0.693."""
    given, wanted = _noise(1, 1, 10 * 48_000), _noise(1, 1, 10 * 48_000, seed=1)
    relative, log = _spectral(given, wanted)
    assert relative.item() == pytest.approx(math.sqrt(2 - math.pi / 2), abs=0.01)
    assert log.item() == pytest.approx(math.log(2), abs=0.01)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("channels", [1, 2])
def test_examples_do_not_touch_each_other(loss: nn.Module, channels: int) -> None:
    given = _noise(2, channels, 9000)
    wanted = torch.stack([_noise(channels, 9000, seed=1), _noise(channels, 9000, seed=2, rms=1e-3)])
    both = loss(given, wanted)
    for i in range(2):
        alone = loss(given[i : i + 1], wanted[i : i + 1])
        for name, term in both.items():
            assert term.shape == (2,)
            assert_allclose(term[i], alone[name][0], rtol=1e-5)


def test_the_gradient_of_one_example_is_zero_in_the_other() -> None:
    given = _noise(2, 1, 4096).requires_grad_(True)
    relative, log = _spectral(given, _noise(2, 1, 4096, seed=1))
    (relative[0] + log[0]).backward()
    assert given.grad is not None
    assert (given.grad[1] == 0).all()
    assert (given.grad[0] != 0).any()


def test_the_channels_of_an_example_share_one_ratio() -> None:
    """All of the distance in one channel of two equally loud ones: 1 over the root of 2."""
    audio = _noise(1, 1, 48_000)
    wanted = torch.cat([audio, audio], dim=1)
    given = torch.cat([2 * audio, audio], dim=1)
    relative, log = _spectral(given, wanted)
    assert relative.item() == pytest.approx(1 / math.sqrt(2), abs=1e-5)
    assert log.item() == pytest.approx(math.log(2) / 2, rel=1e-5)


def test_a_side_is_heard_in_left_and_right_and_its_phase_in_the_waveform() -> None:
    wanted = _noise(1, 2, 48_000)
    mid = wanted.mean(1, keepdim=True).expand(1, 2, -1)
    loss = SpectralLoss(window_samples=[1024, 256])
    for given in (mid, wanted.flip(1)):
        assert all(float(term) > 0.1 for term in loss(given, wanted).values())
    terms = loss(mid * torch.tensor([[[1.0], [-1.0]]]), mid)  # mid and side exchanged
    assert terms.pop("waveform").item() == pytest.approx(1.0, abs=1e-3)
    assert all(float(term) == pytest.approx(0.0, abs=1e-5) for term in terms.values())


def test_one_resolution_equals_the_formula() -> None:
    given, wanted = _noise(1, 1, 4096), _noise(1, 1, 4096, seed=1)
    window = hann(512)

    def magnitude(audio: Tensor) -> Tensor:
        spectrum = torch.stft(
            audio[0], 512, 128, window=window, pad_mode="constant", return_complex=True
        )
        return spectrum.abs().clamp_min(1e-4)

    terms = SpectralLoss(window_samples=[512])(given, wanted)
    ours, theirs = magnitude(given), magnitude(wanted)
    assert_allclose(terms["stft_relative"], (ours - theirs).norm() / theirs.norm(), rtol=1e-4)
    assert_allclose(terms["stft_log"], (ours.log() - theirs.log()).abs().mean(), rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("given", "wanted"), [(0.0, 0.3), (0.3, 0.0), (0.0, 0.0)])
def test_silence_on_either_side_stays_finite(loss: nn.Module, given: float, wanted: float) -> None:
    estimate = _noise(1, 1, 9000, rms=given).requires_grad_(True)
    terms = loss(estimate, _noise(1, 1, 9000, seed=1, rms=wanted))
    sum(term.sum() for term in terms.values()).backward()
    assert all(torch.isfinite(term).all() for term in terms.values())
    assert estimate.grad is not None
    assert torch.isfinite(estimate.grad).all()
    if given == wanted == 0:
        assert all((term == 0).all() for term in terms.values())


def test_the_auraloss_option_is_auraloss() -> None:
    given, wanted = _noise(2, 1, 9000), _noise(2, 1, 9000, seed=1)
    theirs = auraloss.freq.MultiResolutionSTFTLoss()
    terms = AuralossMultiResolution()(given, wanted)
    assert list(terms) == ["mrstft"]
    for i in range(2):
        one = theirs(given[i : i + 1], wanted[i : i + 1])
        assert terms["mrstft"][i].item() == pytest.approx(float(one), rel=1e-6)


def test_windows_that_the_overlap_does_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[2048, 1022\] must be multiples of 4"):
        SpectralLoss(window_samples=[2048, 1022])


def test_it_has_nothing_to_save() -> None:
    """Windows are made, not stored: a checkpoint does not carry them."""
    assert not SpectralLoss(window_samples=WINDOWS).state_dict()
    assert not list(SpectralLoss(window_samples=WINDOWS).parameters())


@pytest.mark.parametrize(("factor", "expected"), [(1.0, 0.0), (0.25, 0.0), (-1.0, 2.0)])
def test_waveform_term_is_one_minus_the_cosine(factor: float, expected: float) -> None:
    wanted = 0.3 * torch.randn(2, 1, 8192, generator=torch.Generator().manual_seed(0))
    term = SpectralLoss(window_samples=[256])(factor * wanted, wanted)["waveform"]
    assert_allclose(term, torch.full((2,), expected), atol=1e-5)


def test_waveform_term_of_independent_noises_is_one_and_of_silence_is_nothing() -> None:
    rng = torch.Generator().manual_seed(0)
    given, wanted = 0.3 * torch.randn(2, 1, 1, 65_536, generator=rng)
    loss = SpectralLoss(window_samples=[256])
    assert float(loss(given, wanted)["waveform"]) == pytest.approx(1.0, abs=4 / 65_536**0.5)
    silent = torch.zeros(1, 1, 8192, requires_grad=True)
    term = loss(silent, torch.zeros(1, 1, 8192))["waveform"].sum()
    term.backward()
    assert float(term.detach()) == 0.0
    assert torch.isfinite(silent.grad).all()


def _level(given: Tensor, wanted: Tensor) -> float:
    return float(SpectralLoss(window_samples=[256])(given, wanted)["level"])


def test_the_level_of_a_sound_a_half_as_loud_is_off_by_ln_2() -> None:
    wanted = _noise(1, 1, 48_000)
    assert _level(0.5 * wanted, wanted) == pytest.approx(math.log(2), rel=1e-3)
    assert _level(2.0 * wanted, wanted) == pytest.approx(math.log(2), rel=1e-3)


def test_levels_of_independent_noises_agree_better_than_their_bins() -> None:
    given, wanted = _noise(1, 1, 96_000), _noise(1, 1, 96_000, seed=1)
    assert _level(given, wanted) < 0.2 * math.log(2)  # a bin by itself is off by ln 2


def test_the_level_term_alone_asks_for_the_level_of_noise() -> None:
    """Distances of bins do not: for two noises they are smaller where one is scaled by 0.7."""
    given, wanted = _noise(1, 1, 96_000), _noise(1, 1, 96_000, seed=1)
    gains = [0.5, 0.7, 1.0, 1.4]
    assert min(gains, key=lambda gain: _level(gain * given, wanted)) == 1.0
    assert min(gains, key=lambda gain: float(_spectral(gain * given, wanted)[0])) < 1.0


def test_what_is_inaudible_beside_the_loudest_band_is_not_weighed() -> None:
    time_s = torch.arange(48_000) / 48_000
    wanted = 0.5 * torch.sin(2 * math.pi * 200 * time_s)[None, None]
    assert _level(wanted + _noise(1, 1, 48_000, rms=1e-6), wanted) < 1e-3


@pytest.mark.parametrize("loss", LOSSES)
def test_no_gradient_reaches_the_target(loss: nn.Module) -> None:
    """No term moves the target towards the estimate."""
    target, estimate = _noise(2, 1, 4096).requires_grad_(), _noise(2, 1, 4096, seed=1)
    names = loss(estimate, target)
    assert not any(term.requires_grad for term in names.values())
    for name in names:
        loss(estimate.requires_grad_(), target)[name].sum().backward()
        assert estimate.grad is not None
        assert target.grad is None


def advance(estimate: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    loss = SpectralLoss(window_samples=[1024], phase_window_samples=2048)
    return loss(estimate[None, None], target[None, None])["phase_advance"]


def tone(hz: float | torch.Tensor, phase: float = 0.0) -> torch.Tensor:
    return 0.1 * torch.sin(2 * torch.pi * hz * torch.arange(65_536) / 48_000 + phase)


def test_the_phase_advance_hears_frequencies_and_no_phases() -> None:
    """Half a bin off, in a quarter of the window: an eighth of a turn."""
    bin_hz = 48_000 / 2048
    assert advance(tone(440.0, 1.3), tone(440.0)) == pytest.approx(0, abs=2e-3)
    assert advance(0.1 * tone(440.0), tone(440.0)) == pytest.approx(0, abs=2e-3)
    off = advance(tone(440.0 + bin_hz / 2), tone(440.0))
    assert off == pytest.approx(1 - math.cos(math.pi / 4), abs=0.03)
    assert advance(tone(440.0 + bin_hz), tone(440.0)) == pytest.approx(1, abs=0.05)


def test_the_phase_advance_draws_a_frequency_to_its_target() -> None:
    hz = torch.tensor(446.0, requires_grad=True)
    advance(tone(hz), tone(440.0)).sum().backward()
    assert hz.grad > 0


def test_the_phase_advance_of_silence_costs_nothing() -> None:
    silence = torch.zeros(8192)
    assert advance(silence, silence) == 0
    assert advance(tone(440.0)[:8192], silence) == 0
    assert torch.isfinite(advance(silence, tone(440.0)[:8192]))


def ltas(estimate: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    loss = SpectralLoss(window_samples=[1024], ltas_window_samples=8192)
    return loss(estimate[None, None], target[None, None])["ltas"]


def white(seed: int) -> torch.Tensor:
    return 0.1 * torch.randn(65_536, generator=torch.Generator().manual_seed(seed))


def test_the_long_term_spectrum_tells_noise_from_tones_and_not_from_noise() -> None:
    """Where the other distances, bin by bin, prefer the tones."""
    bins = SpectralLoss(window_samples=[1024])
    comb = torch.stack([tone(46.875 * k, float(k * k)) for k in range(1, 512)]).sum(0)
    comb = 0.1 * comb / comb.std()
    near, far = (
        bins(x[None, None], white(0)[None, None])["stft_relative"] for x in (comb, white(1))
    )
    assert near < far
    assert ltas(white(1), white(0)) < 0.25
    assert ltas(comb, white(0)) > 1.0


def test_the_long_term_spectrum_of_half_the_amplitude_is_off_by_ln_2() -> None:
    assert ltas(0.5 * white(0), white(0)) == pytest.approx(math.log(2), rel=1e-3)
    assert ltas(white(0), white(0)) == 0
    assert ltas(torch.zeros(8192), torch.zeros(8192)) == 0


def test_the_long_term_spectrum_makes_noise_of_tones() -> None:
    """The share of noise in a mixture grows along its gradient."""
    share = torch.tensor(0.3, requires_grad=True)
    comb = torch.stack([tone(46.875 * k, float(k * k)) for k in range(1, 512)]).sum(0)
    comb = 0.1 * comb / comb.std()
    mixed = share.sqrt() * white(1) + (1 - share).sqrt() * comb
    ltas(mixed, white(0)).sum().backward()
    assert share.grad < 0


def brightness(estimate: torch.Tensor, target: torch.Tensor) -> float:
    loss = SpectralLoss(window_samples=[512], brightness=True)
    return float(loss(estimate[None, None], target[None, None])["brightness"])


def test_the_brightness_of_a_tone_an_octave_higher_is_off_by_ln_2() -> None:
    assert brightness(tone(2000.0), tone(1000.0)) == pytest.approx(math.log(2), rel=0.01)
    assert brightness(0.1 * tone(1000.0, phase=1.0), tone(1000.0)) == pytest.approx(0, abs=0.01)


def test_a_faint_noise_over_a_low_tone_is_heard_by_its_brightness() -> None:
    """Noise of 1 % of the power has a mean of 12 kHz: 0.99 * 60 Hz + 0.01 * 12 kHz."""
    low = tone(60.0)
    noise = _noise(*low.shape, rms=0.1 * float(low.square().mean().sqrt()))
    wanted = math.log((60 + 0.01 * 12_000) / (1.01 * 60))
    assert brightness(low + noise, low) == pytest.approx(wanted, rel=0.1)


def test_the_brightness_of_frames_that_nobody_hears_does_not_count() -> None:
    target = tone(1000.0).clone()
    half = target.shape[-1] // 2
    target[..., half:] *= 1e-3
    estimate = target.clone()
    estimate[..., half + 4096 :] = 1e-3 * tone(8000.0)[..., half + 4096 :]
    assert brightness(estimate, target) == pytest.approx(0, abs=0.02)
    assert brightness(tone(1000.0), torch.zeros_like(target)) == 0
