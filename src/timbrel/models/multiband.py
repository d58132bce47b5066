"""Encoder and decoder on the bands of a PQMF bank: the variational autoencoder of RAVE.

Caillon & Esling 2021, "RAVE: A variational autoencoder for fast and high-quality neural audio
synthesis", section 3. Written from the paper. Differs: the encoder sees companded bands, residual
units are normalised frame by frame, the amplitude gate is a level in nepers per band, and the noise
branch draws by position. Their adversarial second phase is not part of it.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import Latent
from timbrel.dsp.pqmf import Pqmf
from timbrel.models.activations import Activation, make_activation
from timbrel.models.convolutions import Convolution, FrameNorm, ResidualStage, features
from timbrel.models.noise import FilteredNoise
from timbrel.models.upsamplers import Upsampler, make_upsampler

_FLOOR = 1e-7  # as in the spectral encoder
_LOG_LEVEL_START = math.log(5e-2)  # an untrained decoder whispers
_LOG_LEVEL_MAX = math.log(4.0)
_END_KERNEL = 7  # of the layers at band rate


class MultibandEncoder(nn.Module):
    """Bands, then residual stages between strided convolutions: `batch frame width`, one per hop.

    `widths` and `dilations` hold one entry per rate, from the band rate down, so one more than
    `strides`. Each band is seen twice: companded by the mu-law (ITU-T G.711), for its phase, and as
    a log level from -140 dB up, which no norm over channels can take away. A learned lapped basis
    (`basis`) leads straight from the bands to frames, beside the stages.
    """

    def __init__(
        self,
        *,
        channels: int,
        bands: int,
        strides: Sequence[int],
        widths: Sequence[int],
        dilations: Sequence[Sequence[int]],
        width: int,
        kernel: int = 3,
        activation: Activation = "leaky_relu",
        causal: bool = False,
        companding_mu: float = 1e4,
    ) -> None:
        super().__init__()
        _check_rates(strides, widths, dilations)
        self.hop_samples = bands * math.prod(strides)
        self.width = width
        self.companding_mu = companding_mu
        self.bank = Pqmf(bands=bands)
        self.first = Convolution(2 * channels * bands, widths[0], kernel=_END_KERNEL, causal=causal)
        stages = [
            ResidualStage(n, dilations=d, kernel=kernel, activation=activation, causal=causal)
            for n, d in zip(widths, dilations, strict=True)
        ]
        self.stages = nn.ModuleList(stages)
        down = [
            _strided(before, after, stride, causal=causal)
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        ]
        self.down = nn.ModuleList(down)
        self.basis = _strided(2 * channels * bands, widths[-1], math.prod(strides), causal=causal)
        self.last = nn.Sequential(
            make_activation(activation, widths[-1]),
            nn.Conv2d(widths[-1], width, 1),
            FrameNorm(width),
        )
        step = 1  # band frames per frame of the stage
        reach = self.bank.analysis_reach_frames + self.first.reach + stages[0].reach
        for stride, layer, stage in zip(strides, down, stages[1:], strict=True):
            reach += step * layer.reach
            step *= stride
            reach += step * stage.reach
        reach = max(reach, self.bank.analysis_reach_frames + self.basis.reach)
        self.context_frames = math.ceil(reach * bands / self.hop_samples)

    def forward(
        self, audio: Float[Tensor, "batch channel time"]
    ) -> Float[Tensor, "batch frame width"]:
        with torch.autocast(audio.device.type, enabled=False):  # 90 dB need fp32
            bands = self.bank.analyse(audio.float()).flatten(1, 2)
            size = bands.abs()
            companded = torch.log1p(self.companding_mu * size) / math.log1p(self.companding_mu)
            level = 1.0 + torch.log(size.clamp_min(_FLOOR)) * (2.0 / -math.log(_FLOOR))
            seen = torch.cat([bands.sign() * companded, level], dim=1)
        layout = features(seen)
        x = self.stages[0](self.first(layout))
        for down, stage in zip(self.down, self.stages[1:], strict=True):
            x = stage(down(x))
        return self.last(x + self.basis(layout)).squeeze(2).transpose(1, 2)


class MultibandDecoder(nn.Module):
    """A code up-sampled through residual stages to a waveform and a level per band; and noise.

    `widths` and `dilations` hold one entry per rate, from the frame rate up to the band rate. Each
    band is tanh(waveform) times the gate, a level in nepers at band rate. The waveform is what the
    stages make, added to a learned lapped basis (`basis`): frame features straight to band
    samples. (Without the two bases no phase is found within minutes of training.) With
    `noise`, filtered noise is added, read from the features one rate below the bands'.
    """

    def __init__(
        self,
        *,
        channels: int,
        bands: int,
        latent_dim: int,
        clip_dim: int,
        strides: Sequence[int],
        widths: Sequence[int],
        dilations: Sequence[Sequence[int]],
        kernel: int = 3,
        activation: Activation = "leaky_relu",
        upsampler: Upsampler = "transposed",
        causal: bool = False,
        noise: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check_rates(strides, widths, dilations)
        self.channels = channels
        self.hop_samples = bands * math.prod(strides)
        self.bank = Pqmf(bands=bands)
        self.first = Convolution(latent_dim + clip_dim, widths[0], kernel=3, causal=causal)
        stages = [
            ResidualStage(
                n,
                dilations=d,
                kernel=kernel,
                activation=activation,
                causal=causal,
                dropout=dropout,
            )
            for n, d in zip(widths, dilations, strict=True)
        ]
        self.stages = nn.ModuleList(stages)
        up = [
            make_upsampler(upsampler, before, after, factor=stride, causal=causal)
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        ]
        self.up = nn.ModuleList(up)
        self.basis = make_upsampler(
            upsampler, widths[0], channels * bands, factor=math.prod(strides), causal=causal
        )
        self.norm = FrameNorm(widths[-1])
        self.activation = make_activation(activation, widths[-1])
        self.last = Convolution(widths[-1], 2 * channels * bands, kernel=_END_KERNEL, causal=causal)
        with torch.no_grad():
            self.last.convolution.bias[channels * bands :] = _LOG_LEVEL_START  # type: ignore[index]
        noise_hop = bands * strides[-1]
        self.noise_frames_per_frame = self.hop_samples // noise_hop
        self.noise = (
            FilteredNoise(widths[-2], channels=channels, hop_samples=noise_hop) if noise else None
        )

        step = self.hop_samples  # samples per frame of the stage
        reach = step * (self.first.reach + stages[0].reach)
        noise_reach = 0
        for stride, layer, stage in zip(strides, up, stages[1:], strict=True):
            if self.noise is not None:
                noise_reach = reach + self.noise.reach_samples
            reach += step * layer.reach
            step //= stride
            reach += step * stage.reach
        reach += step * (self.last.reach + self.bank.synthesis_reach_frames)
        self.context_frames = math.ceil(max(reach, noise_reach) / self.hop_samples)

    def forward(self, latent: Latent) -> Float[Tensor, "batch channel time"]:
        n_frames = latent.frames.shape[2]
        clip = latent.clip[:, :, None].expand(-1, -1, n_frames)
        x = self.stages[0](self.first(features(torch.cat([latent.frames, clip], dim=1))))
        coarse = self.basis(x).squeeze(2)
        for up, stage in zip(self.up, self.stages[1:], strict=True):
            below = x
            x = stage(up(x))
        wave, log_level = self.last(self.activation(self.norm(x))).squeeze(2).chunk(2, dim=1)
        with torch.autocast(wave.device.type, enabled=False):  # exp and the bank want fp32
            level = torch.exp(log_level.float().clamp_max(_LOG_LEVEL_MAX))
            bands = torch.tanh((coarse + wave).float()) * level
            audio = self.bank.synthesise(bands.unflatten(1, (self.channels, -1)))
        if self.noise is None:
            return audio
        first = latent.conditions.first_frame
        return audio + self.noise(
            below, None if first is None else first * self.noise_frames_per_frame
        )


def _strided(before: int, after: int, stride: int, *, causal: bool) -> Convolution:
    """Down-sampling by overlapping kernels, of an even excess over the stride."""
    kernel = stride * (2 if stride % 2 == 0 else 3)
    return Convolution(before, after, kernel=kernel, stride=stride, causal=causal)


def _check_rates(
    strides: Sequence[int], widths: Sequence[int], dilations: Sequence[Sequence[int]]
) -> None:
    if not strides or len(widths) != len(strides) + 1 or len(dilations) != len(widths):
        raise ValueError(
            f"{len(strides)} strides need {len(strides) + 1} widths and lists of dilations, one "
            f"per rate; got {len(widths)} and {len(dilations)}"
        )
