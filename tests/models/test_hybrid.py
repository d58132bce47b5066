"""DDSP with a spectral decoder beside it: in tune, without a hum, and the same as a stream."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models.presets import build, tracks
from models.test_ddsp import FRAMES, HOP, RATE_HZ, code, instrument, steady, value
from timbrel.contracts import Latent
from timbrel.generation.engine import decode_stream
from timbrel.metrics.frame_rate import frame_rate_lines_db
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.ddsp import DdspDecoder

DB_PER_NEPER = 20 / np.log(10)


def hybrid(*, where_voiced: float = 0.2, free_db: float = 0.0, **settings: float) -> Autoencoder:
    """`instrument` with sinusoids near every bin, at random frequencies and from random phases."""
    model = instrument(free_where_voiced=where_voiced, **settings)
    nn.init.constant_(model.decoder.free.magnitude.bias, free_db / DB_PER_NEPER)
    return model


def hum_db(audio: np.ndarray) -> float:
    noise = np.random.default_rng(0).standard_normal(audio.shape).astype(np.float32)
    return frame_rate_lines_db(noise, audio, rate_hz=RATE_HZ, frame_rate_hz=RATE_HZ / HOP)


@pytest.mark.parametrize("f0_hz", [82.4, 196.0, 987.7])
def test_a_free_part_does_not_take_the_note_over(f0_hz: float) -> None:
    audio = hybrid(free_db=-40.0).decode(steady(f0_hz))
    assert 1200 * np.log2(value(audio, "f0_hz") / f0_hz) == pytest.approx(0, abs=5)
    assert hum_db(audio[0].numpy()) < 3


def test_where_f0_is_certain_it_is_a_share_of_itself() -> None:
    none, fifth, whole, plain = (
        model.train()  # else all are brought to the level of the track
        for model in (*(hybrid(where_voiced=x) for x in (0.0, 0.2, 1.0)), instrument())
    )
    for model in (none, fifth, whole):
        model.load_state_dict(plain.state_dict(), strict=False)
    sound = plain.decode(steady(220.0))
    assert torch.equal(none.decode(steady(220.0)), sound)
    free = whole.decode(steady(220.0)) - sound
    assert free.abs().max() > 0.01
    torch.testing.assert_close(fifth.decode(steady(220.0)) - sound, 0.2 * free, atol=1e-5, rtol=0)
    unsure = steady(220.0, confidence=0.0)
    assert torch.equal(none.decode(unsure), whole.decode(unsure))


def test_what_is_steady_does_not_come_out_on_the_frame_rate() -> None:
    model = hybrid(noise=-20.0)
    nn.init.zeros_(model.decoder.free.deviation.weight)
    nn.init.constant_(model.decoder.free.deviation.bias, 0.37)
    latent = code(torch.full((2 * FRAMES,), 220.0), confidence=0.0)
    assert hum_db(model.decode(latent)[0].numpy()) < 1
    # It hums where every fourth bin, a multiple of the frame rate, is 26 dB louder.
    nn.init.zeros_(model.decoder.free.deviation.bias)
    model.decoder.free.magnitude.bias[::4] += 3.0
    assert hum_db(model.decode(latent)[0].numpy()) > 6


def beating(f0_hz: torch.Tensor, confidence: float) -> Latent:
    """A code that differs from frame to frame, with a level that moves up and down."""
    latent = code(f0_hz, confidence)
    rng = torch.Generator().manual_seed(1)
    frames = torch.randn(1, 4, len(f0_hz), generator=rng)
    level_db = -30.0 + 8.0 * torch.sin(torch.arange(len(f0_hz)) * 0.9)
    conditions = replace(latent.conditions, loudness_db=level_db[None])
    return replace(latent, frames=frames, conditions=conditions)


@pytest.mark.parametrize(
    ("channels", "settings"),
    [
        (1, {"transients": 8}),
        (2, {"transients": 16, "inharmonicity": 0.002, "brightness": True}),
        (1, {"room_s": 0.1}),
    ],
)
def test_a_stream_is_the_whole_sound(channels: int, settings: dict[str, float]) -> None:
    model = hybrid(noise=-6.0, channels=channels, free_db=-10.0, **settings)
    if model.decoder.transients is not None:
        rng = torch.Generator().manual_seed(2)
        nn.init.normal_(model.decoder.transients.steps.weight, std=1.0, generator=rng)
        nn.init.constant_(model.decoder.transients.steps.bias, 0.0)
    latent = beating(2 ** (7.5 + torch.sin(torch.linspace(0.0, 20.0, 200))), 0.7)
    whole = model.decode(latent)[0].numpy()
    assert np.array_equal(whole, model.decode(latent)[0].numpy())
    for taken, block_frames in ((7, 40), (100, 512)):
        blocks = [latent.cut(start, start + taken) for start in range(0, 200, taken)]
        streamed = np.concatenate(list(decode_stream(model, blocks, block_frames=block_frames)), 1)
        np.testing.assert_allclose(streamed, whole, atol=1e-4 * np.abs(whole).max())


def test_every_part_follows_the_brightness_of_the_track() -> None:
    model = hybrid(noise=-4.0, brightness=True, transients=8).train()
    nn.init.constant_(model.decoder.transients.steps.bias, -2.0)
    latent = beating(torch.full((FRAMES,), 220.0), 0.0)

    def centroid_hz(asked_hz: float) -> float:
        asked = torch.full((1, FRAMES), asked_hz)
        conditions = replace(latent.conditions, centroid_hz=asked)
        audio = model.decode(replace(latent, conditions=conditions))[0, 0]
        spectrum = torch.fft.rfft(audio).abs().square()
        hz = torch.fft.rfftfreq(len(audio), 1 / RATE_HZ)
        return float((hz * spectrum).sum() / spectrum.sum())

    asked_hz = (9_000.0, 11_000.0)
    found = [centroid_hz(hz) for hz in asked_hz]
    assert found == pytest.approx(asked_hz, rel=0.06)


def test_a_silent_track_is_digital_silence() -> None:
    model = hybrid(noise=0.0, transients=8)
    assert not model.decode(code(torch.full((9,), 220.0), 0.5, level_db=-120.0)).any()


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    decoder = DdspDecoder(
        channels=2, latent_dim=3, clip_dim=0, sample_rate_hz=RATE_HZ, window_samples=64,
        hop_samples=16, width=8, blocks=1, kernel_frames=3, expansion=2, partials=3, noise_bands=4,
        inharmonicity=0.01, transients=4, free_where_voiced=0.3, brightness=True,
    ).double()  # fmt: skip
    latent = beating(torch.linspace(3000.0, 5000.0, 12), 0.6)
    latent = replace(latent, frames=latent.frames[:, :3]).map(
        lambda x: x.double() if x.is_floating_point() else x
    )
    rng = torch.Generator().manual_seed(2)
    for parameter in decoder.parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=rng).double())
    weights = torch.randn(1, 2, 12 * 16, generator=rng).double()

    def loss() -> torch.Tensor:
        return (decoder(latent) * weights).sum()

    loss().backward()
    for part, module in decoder.named_children():
        parameters = list(module.parameters())
        if not parameters:
            continue
        ways = [torch.randn(p.shape, generator=rng).double() for p in parameters]
        ends = []
        for step in (1e-6, -1e-6):
            for parameter, way in zip(parameters, ways, strict=True):
                parameter.data.add_(step * way)
            ends.append(float(loss().detach()))
            for parameter, way in zip(parameters, ways, strict=True):
                parameter.data.sub_(step * way)
        slope = sum(float((p.grad * w).sum()) for p, w in zip(parameters, ways, strict=True))
        assert slope != 0
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(slope, rel=1e-4, abs=1e-7), part


def distance(model: Autoencoder, latent: Latent, wanted: torch.Tensor) -> torch.Tensor:
    """Of the magnitudes of spectra, relative."""
    one, two = (
        torch.stft(x[0, 0], 512, window=torch.hann_window(512), return_complex=True).abs()
        for x in (model.decode(latent), wanted)
    )
    return (one - two).norm() / two.norm()


def test_it_learns_what_is_no_harmonic() -> None:
    """Two tones a tritone apart, without an f0: partials play none of them."""
    hop, n = 128, 32 * 128
    time_s = torch.arange(n) / RATE_HZ
    wanted = 0.1 * sum(torch.sin(2 * np.pi * hz * time_s) for hz in (1414.0, 2000.0))[None, None]
    apart = []
    for free in (None, 0.2):
        model = build(
            "ddsp",
            encoder={"width": 16, "blocks": 1, "window_samples": 4 * hop, "hop_samples": hop},
            decoder={"free_where_voiced": free, "partials": 8, "blocks": 1, "noise_bands": 8},
        )
        latent = model.encode(wanted, tracks(model, 1, n, confidence=0.0)).mean
        latent = latent.map(torch.Tensor.detach)
        optimizer = torch.optim.Adam(model.decoder.parameters(), lr=0.02)
        distances = []
        for _ in range(60):
            optimizer.zero_grad()
            found = distance(model, latent, wanted)
            found.backward()
            optimizer.step()
            distances.append(float(found.detach()))
        apart.append(min(distances))  # such long steps do not settle
    assert apart[1] < 0.3 < 0.7 * apart[0]
