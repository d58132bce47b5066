"""The DDSP decoder: in tune whatever its weights are, at its level, and the same as a stream."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models.presets import build, tracks
from timbrel.attributes.measurement import measure
from timbrel.contracts import TRACKS, Conditions, Latent
from timbrel.dsp.bands import band_centres_hz
from timbrel.dsp.stft import hann
from timbrel.generation.engine import decode_stream
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.heard_parts import spectrum_power
from timbrel.models.noise import BandNoise

RATE_HZ, HOP, FRAMES = 48_000, 512, 94
SMALL = {"encoder": {"width": 16, "blocks": 1}, "latent_dim": 4}


def instrument(
    *,
    brightness: bool = False,
    noise: float = -20.0,
    channels: int = 1,
    partials: int = 40,
    **settings: float,
) -> Autoencoder:
    """A string in small, its partials falling by 9 dB per octave, with random weights."""
    decoder = {"blocks": 1, "partials": partials, "brightness": brightness, **settings}
    model = build("ddsp", channels=channels, decoder=decoder, **SMALL)
    falling = -1.5 * torch.arange(1, partials + 1).log()
    model.decoder.amplitude.bias = nn.Parameter(falling.repeat(channels))
    nn.init.constant_(model.decoder.noise.bias, noise)
    return model.eval().requires_grad_(False)


def code(f0_hz: torch.Tensor, confidence: float = 1.0, level_db: float = -30.0) -> Latent:
    shape = (1, len(f0_hz))
    frames = torch.randn(1, 4, 1, generator=torch.Generator().manual_seed(0))
    given = Conditions(
        f0_hz=f0_hz[None].float(),
        confidence=torch.full(shape, confidence),
        loudness_db=torch.full(shape, level_db),
        centroid_hz=3 * f0_hz[None].float(),
    )
    return Latent(frames.expand(-1, -1, len(f0_hz)), torch.zeros(1, 0), given)


def steady(f0_hz: float, **settings: float) -> Latent:
    return code(torch.full((FRAMES,), f0_hz), **settings)


def value(audio: torch.Tensor, name: str) -> float:
    found = measure(audio[0].numpy(), RATE_HZ).value(name)
    assert found is not None
    return found


@pytest.mark.parametrize("f0_hz", [82.4, 196.0, 987.7])
def test_an_untrained_decoder_is_in_tune_and_as_loud_as_its_track(f0_hz: float) -> None:
    audio = instrument().decode(steady(f0_hz, level_db=-27.0))
    assert 1200 * np.log2(value(audio, "f0_hz") / f0_hz) == pytest.approx(0, abs=2)
    levels = measure(audio[0].numpy(), RATE_HZ).track("level_k_db")[0]
    assert np.abs(levels[10:-10] + 27.0).max() < 0.5


def test_a_track_moves_the_pitch_of_the_same_code() -> None:
    track = 2 ** torch.linspace(7.0, 8.0, FRAMES)
    found, voiced = measure(instrument().decode(code(track))[0].numpy(), RATE_HZ).track("f0_hz")
    middle = (np.arange(len(found)) + 0.5) * 0.01 * RATE_HZ / HOP - 0.5
    wanted = np.interp(middle, np.arange(FRAMES), track.numpy())
    assert voiced.mean() > 0.9
    assert np.abs(1200 * np.log2(found[voiced] / wanted[voiced]))[3:-3].max() < 20


def test_without_confidence_only_noise_is_heard() -> None:
    model = instrument(noise=-6.0)
    low, high = (model.decode(steady(f0_hz, confidence=0.0)) for f0_hz in (110.0, 880.0))
    assert torch.equal(low, high)
    assert low.abs().max() > 0
    assert not torch.equal(low, model.decode(steady(110.0, confidence=0.5)))


@pytest.mark.parametrize(
    ("confidence", "noise", "wanted_db"), [(1.0, -40.0, 6.0), (0.0, -4.0, -6.0)]
)
def test_a_balance_moves_the_noise_against_the_tone(
    confidence: float, noise: float, wanted_db: float
) -> None:
    model, latent = instrument(noise=noise), steady(220.0, confidence=confidence)
    given = replace(latent.conditions, balance_db=torch.full((1, FRAMES), 12.0))
    model.train()  # else both are brought to the level of the track
    as_learned, moved = (model.decode(x) for x in (latent, replace(latent, conditions=given)))
    torch.testing.assert_close(moved, as_learned * 10 ** (wanted_db / 20), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("confidence", [1.0, 0.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_brightness_is_that_of_the_track(channels: int, confidence: float) -> None:
    plain, model = (instrument(channels=channels, brightness=bright) for bright in (False, True))
    assert (plain.conditions, model.conditions) == (TRACKS[:3], TRACKS[:4])
    partials = -torch.arange(1, 41).log()  # 6 dB per octave: there is room on both sides
    centres_hz = torch.from_numpy(band_centres_hz(64, RATE_HZ)).float()
    bands = -2 * (centres_hz.clamp_min(20.0) / 1500).log2().abs() - 6.0
    latent = steady(110.0, confidence=confidence)

    def centroid_hz(of: Autoencoder, asked_hz: float, more_db: float | None = None) -> float:
        for head, levels in ((of.decoder.amplitude, partials), (of.decoder.noise, bands)):
            head.weight.zero_()
            head.bias.copy_(levels.repeat(channels))
        asked = torch.full((1, FRAMES), asked_hz)
        more = None if more_db is None else torch.full((1, FRAMES), more_db)
        conditions = replace(latent.conditions, centroid_hz=asked, more_tilt_db=more)
        audio = of.decode(replace(latent, conditions=conditions))[0].numpy()
        return float(np.median(measure(audio, RATE_HZ).track("centroid_hz")[0]))

    learned_hz = centroid_hz(plain, 1000.0)
    for octaves in (-0.2, 0.0, 0.2):
        asked_hz = learned_hz * 2**octaves
        assert np.log2(centroid_hz(model, asked_hz) / asked_hz) == pytest.approx(0.0, abs=0.1)
    far_hz = learned_hz * (6 if confidence else 3)
    assert centroid_hz(model, far_hz) < 0.9 * far_hz
    assert centroid_hz(model, far_hz, 20.0) == pytest.approx(far_hz, rel=0.07)


@pytest.mark.parametrize("level", [1.0, 0.01])
def test_bands_say_the_level_of_a_noise(level: float) -> None:
    rng = torch.Generator().manual_seed(0)
    audio = level * torch.randn(1, 1, 200 * HOP, generator=rng)
    noise = BandNoise(
        channels=1, bands=32, sample_rate_hz=RATE_HZ, hop_samples=HOP, period_frames=4096
    )
    window = hann(4 * HOP)
    log_magnitude = 0.5 * spectrum_power(audio, window, HOP).log()
    found = noise.levels_for(log_magnitude[:, 2:-2], window)[..., 1:-1].mean()  # but for 0 Hz
    assert float(found) == pytest.approx(math.log(level), abs=0.03)


def test_partials_of_a_stiff_string_lie_where_its_stiffness_says() -> None:
    model = instrument(inharmonicity=0.001)
    nn.init.zeros_(model.decoder.stiffness.weight)
    nn.init.zeros_(model.decoder.stiffness.bias)  # half of the greatest
    assert value(model.decode(steady(196.0)), "inharmonicity") == pytest.approx(0.0005, rel=0.03)
    assert value(instrument().decode(steady(196.0)), "inharmonicity") < 1e-5


@pytest.mark.parametrize(
    ("channels", "settings"),
    [
        (1, {}),
        (2, {"inharmonicity": 0.002, "brightness": True}),
        (1, {"room_s": 0.3, "inharmonicity": 0.002}),
    ],
)
def test_a_stream_is_the_whole_sound(channels: int, settings: dict[str, float]) -> None:
    model = instrument(noise=-6.0, channels=channels, **settings)
    if model.decoder.room is not None:
        nn.init.normal_(model.decoder.room.taps, std=0.01)
    track = 2 ** (7.5 + torch.sin(torch.linspace(0.0, 20.0, 300)))
    latent = code(track, 0.7)
    frames = torch.randn(1, 4, 300, generator=torch.Generator().manual_seed(1))
    latent = replace(latent, frames=frames)
    whole = model.decode(latent)[0].numpy()
    for taken, block_frames in ((7, 40), (300, 33), (100, 512)):
        blocks = [latent.cut(start, start + taken) for start in range(0, 300, taken)]
        streamed = np.concatenate(list(decode_stream(model, blocks, block_frames=block_frames)), 1)
        np.testing.assert_allclose(streamed, whole, atol=1e-4 * np.abs(whole).max())


def test_noise_has_the_levels_of_its_bands() -> None:
    bands, n_frames = 64, 1024
    noise = BandNoise(
        channels=1, bands=bands, sample_rate_hz=RATE_HZ, hop_samples=HOP, period_frames=n_frames
    )
    wanted_db = 10 * torch.sin(torch.linspace(0, 9, bands))
    log_level = noise.bins((wanted_db * np.log(10) / 20).expand(1, 1, n_frames, bands))
    audio = noise(log_level, torch.tensor([5]))[0, 0].numpy()
    assert len(audio) == n_frames * HOP
    density = np.square(np.abs(np.fft.rfft(audio))) / len(audio)
    found_db = 10 * np.log10(density[1 : 1 + HOP * 512].reshape(HOP, -1).mean(1))
    bins_db = wanted_db @ noise.shares
    between_db = ((bins_db[:-1] + bins_db[1:]) / 2).numpy()  # blocks begin at bins
    smooth = np.ones(6) / 6  # of 512 blocks of 512 values some are off by 0.8 dB
    apart_db = np.convolve(found_db - between_db, smooth, mode="valid")
    assert np.abs(apart_db).max() < 0.5
    assert torch.equal(
        noise(log_level[:, :, :9], torch.tensor([5])),
        noise(log_level[:, :, :9], torch.tensor([5 + n_frames])),
    )


@pytest.mark.parametrize("name", ["ddsp", "ddsp_small", "ddsp_hybrid"])
def test_the_code_with_its_tracks_is_small(name: str) -> None:
    assert build(name).latent_values_per_second <= 3000


def test_a_room_has_a_loss_of_its_own_that_shortens_it() -> None:
    assert instrument().own_terms()["room_tail"] == 0
    model = build("ddsp", decoder={"blocks": 1, "room_s": 0.1}, **SMALL)
    nn.init.ones_(model.decoder.room.taps)
    model.own_terms()["room_tail"].backward()
    assert (model.decoder.room.taps.grad > 0).all()
    assert (model.decoder.room.log_decay.grad < 0).all()
    assert build("spectral_small").own_terms() == {}


def test_every_setting_learns() -> None:
    settings = {"inharmonicity": 0.001, "room_s": 0.05, "transients": 4, "free_where_voiced": 0.2}
    model = build("ddsp", decoder=settings, **SMALL)
    audio = 0.1 * torch.randn(1, 1, 8192, generator=torch.Generator().manual_seed(0))
    latent = model.encode(audio, tracks(model, 1, 8192)).mean
    model.decode(latent).square().sum().backward()
    decoder = dict(model.decoder.named_parameters())
    wanted = {"stiffness.weight", "room.taps", "room.log_decay", "transients.steps.weight"}
    assert wanted | {"free.followed", "free.deviation.bias"} <= decoder.keys()
    assert all((parameter.grad != 0).any() for parameter in decoder.values())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("partials", 0),
        ("noise_bands", 1),
        ("inharmonicity", 0.1),
        ("room_s", 3.0),
        ("transients", 513),
        ("free_where_voiced", 1.5),
        ("least_voiced", 2),
    ],
)
def test_settings_out_of_bounds_are_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(Exception, match=f"decoder.{setting}={value}: from "):
        build("ddsp", decoder={setting: value})
