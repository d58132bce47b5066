"""The multi-band autoencoder: what its options change, and what they must not."""

import itertools
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

import signals
from models.presets import build, config
from timbrel.config.targets import check_targets
from timbrel.contracts import Conditions, Latent
from timbrel.errors import UserError
from timbrel.generation.engine import decode_stream
from timbrel.models.activations import Activation
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.upsamplers import Upsampler


def rave(**changes: Any) -> Autoencoder:
    """`rave_small` with changes to the encoder and decoder, frozen."""
    encoder = {key: changes[key] for key in ("activation", "causal") if key in changes}
    decoder = {key: changes[key] for key in ("upsampler", "noise") if key in changes}
    model = build("rave_small", encoder=encoder, decoder=decoder)
    return model.eval().requires_grad_(False)


def _noise(n: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(1, 1, n, generator=torch.Generator().manual_seed(seed))


OPTIONS = list(
    itertools.product(get_args(Activation), get_args(Upsampler), [False, True], [False, True])
)


@pytest.mark.parametrize(("activation", "upsampler", "causal", "noise"), OPTIONS)
def test_every_choice_trains_within_its_declared_reach(
    activation: str, upsampler: str, causal: bool, noise: bool
) -> None:
    model = rave(activation=activation, upsampler=upsampler, causal=causal, noise=noise)
    model.requires_grad_(True)
    hop, reach = model.hop_samples, model.decoder_context_frames
    code = torch.randn(1, model.latent_dim, 2 * reach + 3, requires_grad=True)
    audio = model.decode(Latent(code, torch.zeros(1, 0)))
    middle = audio[..., (reach + 1) * hop : (reach + 2) * hop]
    middle.square().sum().backward()
    for name, parameter in model.decoder.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert code.grad is not None
    heard = code.grad[0].abs().amax(0).nonzero()[:, 0]
    assert reach + 1 in heard
    assert int(heard.min()) >= 1
    assert int(heard.max()) <= 2 * reach + 1


@pytest.mark.parametrize("preset", ["rave", "rave_small"])
def test_the_default_fits_small_sets(preset: str) -> None:
    model = build(preset)
    assert model.hop_samples == 512
    assert model.latent_values_per_second == 3000.0
    assert model.receptive_field_samples <= 20_000


def test_a_causal_model_hears_ahead_by_its_filterbank_alone() -> None:
    model = rave(causal=True)
    hop = model.hop_samples
    bank = model.encoder.bank
    n, at = 40 * hop, 24 * hop
    audio = _noise(n)
    other = audio.clone()
    other[..., at:] = _noise(n - at, seed=1)
    one, two = (model.decode(model.encode(x).mean) for x in (audio, other))
    first = int((one != two)[0, 0].nonzero().min())
    # The hop that a change falls into is encoded whole; the bank looks ahead on the way in and out.
    ahead = bank.context_samples + hop
    if model.decoder.noise is not None:
        ahead = max(ahead, bank.context_samples // 2 + hop + 2 * model.decoder.noise.hop_samples)
    assert at - ahead - hop <= first <= at
    both_ways = rave(causal=False)
    one, two = (both_ways.decode(both_ways.encode(x).mean) for x in (audio, other))
    assert int((one != two)[0, 0].nonzero().min()) < first


def test_width_and_rate_come_from_the_config() -> None:
    model = build(
        "rave_small",
        latent_dim=7,
        clip_dim=2,
        encoder={"strides": [4, 4], "widths": [8, 16, 32], "dilations": [[1], [1], []], "bands": 8},
        decoder={"strides": [4, 4], "widths": [32, 16, 8], "dilations": [[], [1], [1]]},
    )
    assert model.hop_samples == 8 * 16
    assert model.latent_values_per_second == 7 * 48_000 / 128
    code = model.encode(_noise(1000)).mean
    assert code.frames.shape == (1, 7, 8)
    assert code.clip.shape == (1, 2)
    assert model.decode(code).shape == (1, 1, 1024)


def test_rates_that_do_not_agree_are_refused() -> None:
    with pytest.raises(Exception, match="2 strides need 3 widths and lists of dilations"):
        build("rave_small", encoder={"strides": [4, 4]})


def test_a_quiet_sound_and_a_loud_one_have_different_codes() -> None:
    model = rave()
    tone = torch.from_numpy(signals.sine(440.0, 0.5))[None, None]
    codes = [model.encode(tone * 10 ** (level / 20)).mean.frames for level in (0, -40, -80)]
    spread = codes[0].std()
    assert (codes[0] - codes[1]).abs().mean() > 0.05 * spread
    assert (codes[1] - codes[2]).abs().mean() > 0.05 * spread


def _noise_alone() -> Autoencoder:
    """A decoder whose bands are silent and whose noise has one level in every bin."""
    model = rave(noise=True)
    for layer, level in (
        (model.decoder.last.convolution, -30.0),
        (model.decoder.noise.log_level, -4.6),
    ):
        layer.weight.zero_()
        layer.bias.fill_(level)
    return model


def test_the_noise_branch_is_white_where_its_levels_are_flat() -> None:
    model = _noise_alone()
    audio = model.decode(Latent(torch.zeros(1, model.latent_dim, 400), torch.zeros(1, 0)))
    power = torch.fft.rfft(audio[0, 0] * torch.hann_window(audio.shape[-1])).abs().square()
    octaves = torch.stack([x.mean() for x in power[1:].tensor_split(16)])
    assert 10 * torch.log10(octaves.max() / octaves.min()) < 1.5  # dB
    # and does not repeat with the frame: neighbouring hops have nothing in common
    hops = audio[0, 0].unflatten(0, (-1, model.hop_samples))
    product = (hops[:-1] * hops[1:]).sum(1) / hops[1:].square().sum(1)
    assert product.mean().abs() < 0.02


def test_a_stream_draws_the_noise_of_the_whole() -> None:
    model = _noise_alone()
    code = Latent(torch.zeros(1, model.latent_dim, 90), torch.zeros(1, 0))
    whole = model.decode(code)[0].numpy()
    streamed = torch.cat(
        [torch.from_numpy(x) for x in decode_stream(model, [code], block_frames=13)], 1
    ).numpy()
    assert abs(whole - streamed).max() < 1e-6
    later = model.decode(replace(code, conditions=Conditions(first_frame=torch.tensor([90]))))[
        0
    ].numpy()
    assert abs(whole - later).max() > 1e-3


def test_without_the_noise_branch_no_noise_is_kept() -> None:
    assert not [name for name, _ in rave(noise=False).decoder.named_buffers() if "white" in name]
    assert [name for name, _ in rave(noise=True).decoder.named_buffers() if "white" in name]


def test_an_unknown_choice_is_told_by_its_key() -> None:
    section = config("rave_small", "vae").architecture
    section.encoder.activation = "maxout"
    with pytest.raises(UserError, match=r"architecture.encoder.activation='?maxout'?: expected"):
        check_targets(OmegaConf.to_container(section, resolve=True), "architecture")
