"""What magnitudes do not show: the phase of a tone, and whether noise is periodic."""

from dataclasses import replace

import torch

import signals
from models.presets import build
from timbrel.contracts import Conditions, Latent

HOP = 512


def test_frames_of_a_steady_tone_differ_by_their_phase() -> None:
    model = build("spectral_small").eval()
    tone = torch.from_numpy(signals.sine(70.0, 1.0))[None, None]  # no multiple of the frame rate
    with torch.no_grad():
        seen = model.encode(tone).mean.frames[0, :, 20:70]
    spread = seen.std(dim=1).norm() / seen.mean(dim=1).norm()
    assert spread > 0.01


def noisy_model() -> torch.nn.Module:
    """A decoder whose coherent part is silent and whose noise is at -40 dB in every bin."""
    model = build("spectral_small").eval()
    decoder = model.decoder
    with torch.no_grad():
        for layer, level in ((decoder.magnitude, -20.0), (decoder.noise, -4.6)):
            layer.weight.zero_()
            layer.bias.fill_(level)
    return model


def test_noise_from_a_constant_code_does_not_repeat_with_the_frame() -> None:
    model = noisy_model()
    code = Latent(torch.zeros(1, model.latent_dim, 200), torch.zeros(1, model.clip_dim))
    with torch.no_grad():
        audio = model.decode(code)[0, 0, 4096:-4096]
    power = audio.square().mean()
    assert power > 0
    repeated = (audio[HOP:] * audio[:-HOP]).mean() / power
    assert abs(repeated) < 0.05


def test_noise_follows_the_position_in_the_sound() -> None:
    model = noisy_model()
    code = Latent(torch.zeros(1, model.latent_dim, 60), torch.zeros(1, model.clip_dim))
    tail = Latent(code.frames[:, :, 20:], code.clip)
    with torch.no_grad():
        whole = model.decode(code)
        later = model.decode(replace(tail, conditions=Conditions(first_frame=torch.tensor([20]))))
    torch.testing.assert_close(later[..., 4 * HOP :], whole[..., 24 * HOP :])
