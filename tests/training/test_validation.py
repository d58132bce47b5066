"""The held-out loss against a mean by hand."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from models.presets import build, transparent
from timbrel.contracts import Batch, Conditions, Latent
from timbrel.losses.latent import kl_nats, rate_nats
from timbrel.losses.mix import LossMix
from timbrel.losses.reconstruction import SpectralLoss
from timbrel.losses.schedules import Ramp
from timbrel.metrics.latent import nats_per_dimension
from timbrel.models.autoencoder import Autoencoder
from timbrel.training.validation import validate

LOSS = SpectralLoss(window_samples=[512, 256])
MIX = LossMix(
    {
        "stft_relative": 2.0,
        "stft_log": 0.5,
        "waveform": 0.25,
        "level": 0.125,
        "kl": Ramp(start=0.0, stop=1.0, steps=100),
    }
)


def _batch(n: int, seed: int, time: int = 2048) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    index = torch.arange(n)
    noise = 0.3 * torch.randn(2, n, 1, time, generator=rng)
    return Batch(noise[0], noise[1], index, index)


def _transparent() -> Autoencoder:
    """Loses nothing, has no rate; one weight tells the device."""
    model = transparent(1)
    model.unused = nn.Parameter(torch.zeros(1))
    return model


def test_means_are_over_chunks_whatever_the_batches() -> None:
    model = build("spectral_small")
    whole = _batch(5, seed=0)
    parts = [whole.map(lambda x: x[:2]), whole.map(lambda x: x[2:])]
    one = validate(model, [whole], LOSS, MIX, 0, nullcontext())
    two = validate(model, parts, LOSS, MIX, 0, nullcontext())
    assert one.keys() == two.keys()
    assert all(two[name] == pytest.approx(value, rel=1e-5) for name, value in one.items())


def test_values_equal_those_by_hand() -> None:
    model = build("spectral_small")
    batch = _batch(3, seed=1)
    values = validate(model, [batch], LOSS, MIX, 50, nullcontext())
    with torch.no_grad():
        posterior = model.encode(batch.input)
        terms = LOSS(model.decode(posterior.mean), batch.target)  # the mean, not a draw
        nats = float(rate_nats(posterior).mean())
    assert values["stft_log"] == pytest.approx(float(terms["stft_log"].mean()), rel=1e-6)
    assert values["stft_relative"] == pytest.approx(float(terms["stft_relative"].mean()), rel=1e-6)
    by_hand = 2.0 * values["stft_relative"] + 0.5 * values["stft_log"] + 0.25 * values["waveform"]
    by_hand += 0.125 * values["level"]
    assert values["loss"] == pytest.approx(by_hand, rel=1e-6)  # the rate is not in it
    assert values["nats_per_frame"] == pytest.approx(nats / 4, rel=1e-6)  # 2,048 samples
    assert values["nats_per_second"] == pytest.approx(nats * 48_000 / 2048, rel=1e-6)


def test_the_target_is_what_counts_not_the_input() -> None:
    model = _transparent()
    batch = _batch(2, seed=2)
    equal = Batch(batch.target, batch.target, batch.clip_id, batch.start_sample)
    same = validate(model, [equal], LOSS, MIX, 0, nullcontext())
    other = validate(model, [batch], LOSS, MIX, 0, nullcontext())
    assert same["loss"] == pytest.approx(0.0, abs=1e-4)
    assert other["loss"] > 1


def test_a_deterministic_posterior_has_no_rate() -> None:
    model = _transparent()
    values = validate(model, [_batch(2, seed=3)], LOSS, MIX, 0, nullcontext())
    terms = {"loss", "stft_relative", "stft_log", "waveform", "level"}
    assert set(values) == terms | {"active_units", "decode_change"}


def test_a_tail_shorter_than_a_hop_is_not_compared() -> None:
    """The decoder answers in whole hops; the target may end sooner."""
    model = build("spectral_small")
    values = validate(model, [_batch(2, seed=4, time=2000)], LOSS, MIX, 0, nullcontext())
    assert values["nats_per_second"] == pytest.approx(values["nats_per_frame"] * 48_000 / 512)


def test_nothing_held_out_gives_no_values() -> None:
    assert validate(build("spectral_small"), [], LOSS, MIX, 0, nullcontext()) == {}


def test_it_draws_nothing_and_leaves_no_gradient() -> None:
    model = build("spectral_small")
    state = torch.get_rng_state()
    one, two = (validate(model, [_batch(2, seed=5)], LOSS, MIX, 0, nullcontext()) for _ in range(2))
    assert one == two
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_number_format_is_the_callers() -> None:
    model = build("spectral_small")
    batch = _batch(2, seed=6)
    exact = validate(model, [batch], LOSS, MIX, 0, nullcontext())
    half = validate(model, [batch, batch], LOSS, MIX, 0, torch.autocast("cpu", torch.bfloat16))
    assert half["loss"] != exact["loss"]
    assert half["loss"] == pytest.approx(exact["loss"], rel=0.05)


def test_the_rate_is_the_sum_over_dimensions() -> None:
    model = build("spectral_small", clip_dim=3)
    batch = _batch(4, seed=7)
    values = validate(model, [batch], LOSS, MIX, 0, nullcontext())
    with torch.no_grad():
        posterior = model.encode(batch.input)
    frames, clip = (
        kl_nats(getattr(posterior.mean, part), getattr(posterior.log_var, part)).numpy()
        for part in ("frames", "clip")
    )
    nats = nats_per_dimension(frames.transpose(0, 2, 1).reshape(-1, frames.shape[1]), clip)
    assert len(nats) == model.latent_dim + 3
    assert values["nats_per_frame"] == pytest.approx(nats.sum(), rel=1e-5)


class _Deaf(nn.Module):
    """Answers with one sound, whatever the code, scaled by f0 where there is one."""

    hop_samples = 4
    context_frames = 0

    def forward(self, latent: Latent) -> Tensor:
        time = latent.frames.shape[2] * self.hop_samples
        answer = torch.linspace(-1, 1, time).expand(len(latent.frames), 1, time)
        f0_hz = latent.conditions.f0_hz
        return answer if f0_hz is None else answer * f0_hz[:, :1, None]


def test_the_decode_test_tells_a_deaf_decoder_from_a_perfect_one() -> None:
    batch = _batch(4, seed=8)
    batch = Batch(batch.target, batch.target, batch.clip_id, batch.start_sample)
    perfect = _transparent()
    deaf = _transparent()
    deaf.decoder = _Deaf()
    parts = [batch.map(lambda x: x[:3]), batch.map(lambda x: x[3:])]
    values = [validate(m, parts, LOSS, MIX, 0, nullcontext()) for m in (perfect, deaf)]
    assert values[0]["decode_change"] == pytest.approx(1.0, abs=1e-6)
    assert values[1]["decode_change"] == 0.0
    assert values[0]["active_units"] == values[1]["active_units"] == 4.0  # a hop of noise each


def test_conditions_stay_while_the_code_changes() -> None:
    """A decoder that follows its conditions alone has a decode change of 0."""
    batch = _batch(4, seed=9)
    f0_hz = torch.tensor([1.0, 0.1, 2.0, 0.5])[:, None].expand(4, 512)
    batch = replace(batch, conditions=Conditions(f0_hz=f0_hz))
    deaf = _transparent()
    deaf.decoder = _Deaf()
    assert validate(deaf, [batch], LOSS, MIX, 0, nullcontext())["decode_change"] == 0.0


def test_one_chunk_has_no_neighbour() -> None:
    values = validate(_transparent(), [_batch(1, seed=10)], LOSS, MIX, 0, nullcontext())
    assert "decode_change" not in values
    assert "active_units" in values  # its frames differ
    quick = validate(
        _transparent(), [_batch(2, seed=10)], LOSS, MIX, 0, nullcontext(), watch_code=False
    )
    assert not {"decode_change", "active_units"} & quick.keys()
