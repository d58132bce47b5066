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

from timbrel.contracts import Conditions, Latent
from timbrel.dsp.pqmf import Pqmf
from timbrel.dsp.stft import hann, istft
from timbrel.models.activations import Activation, make_activation
from timbrel.models.convolutions import Convolution, Features, FrameNorm, ResidualStage, features
from timbrel.models.noise import PositionalNoise
from timbrel.models.upsamplers import Upsampler, make_upsampler

_FLOOR = 1e-7  # as in the spectral encoder
_LOG_LEVEL_START = math.log(5e-2)  # an untrained decoder whispers
_LOG_LEVEL_MAX = math.log(4.0)
_LOG_NOISE_START = math.log(1e-4)
_NOISE_PERIOD_FRAMES = 8192
_END_KERNEL = 7  # of the layers at band rate


class MultibandEncoder(nn.Module):
    """Bands, then residual stages between strided convolutions: `batch frame width`, one per hop.

    `widths` and `dilations` hold one entry per rate, from the band rate down, so one more than
    `strides`. Each band is seen twice: companded by the mu-law (ITU-T G.711), for its phase, and as
    a log level from -140 dB up, which no norm over channels can take away.
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
        self.stages = nn.ModuleList(
            ResidualStage(
                channels_here,
                dilations=dilated,
                kernel=kernel,
                activation=activation,
                causal=causal,
            )
            for channels_here, dilated in zip(widths, dilations, strict=True)
        )
        self.down = nn.ModuleList(
            Convolution(
                before,
                after,
                kernel=stride * (2 if stride % 2 == 0 else 3),
                stride=stride,
                causal=causal,
            )
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.last = nn.Sequential(
            FrameNorm(widths[-1]),
            nn.Conv2d(widths[-1], width, 1),
            make_activation(activation, width),
        )
        reach, step = self.bank.analysis_reach_frames + self.first.reach, 1
        for index, stage in enumerate(self.stages):
            reach += step * stage.reach
            if index < len(strides):
                reach += step * self.down[index].reach
                step *= strides[index]
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
        x = self.first(features(seen))
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index < len(self.down):
                x = self.down[index](x)
        return self.last(x).squeeze(2).transpose(1, 2)


class MultibandDecoder(nn.Module):
    """A code up-sampled through residual stages to a waveform and a level per band; and noise.

    `widths` and `dilations` hold one entry per rate, from the frame rate up to the band rate. Each
    band is tanh(waveform) times the gate, a level in nepers at band rate. With `noise`, filtered
    noise (Serra & Smith 1990; Engel et al. 2020) is added, its magnitudes drawn from the features
    one rate below the bands'.
    """

    window: Float[Tensor, " window"]

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
    ) -> None:
        super().__init__()
        _check_rates(strides, widths, dilations)
        self.channels = channels
        self.hop_samples = bands * math.prod(strides)
        self.bank = Pqmf(bands=bands)
        self.first = Convolution(latent_dim + clip_dim, widths[0], kernel=3, causal=causal)
        self.stages = nn.ModuleList(
            ResidualStage(
                channels_here,
                dilations=dilated,
                kernel=kernel,
                activation=activation,
                causal=causal,
            )
            for channels_here, dilated in zip(widths, dilations, strict=True)
        )
        self.up = nn.ModuleList(
            make_upsampler(upsampler, before, after, factor=stride, causal=causal)
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.activation = make_activation(activation, widths[-1])
        self.last = Convolution(widths[-1], 2 * channels * bands, kernel=_END_KERNEL, causal=causal)
        with torch.no_grad():
            self.last.convolution.bias[channels * bands :] = _LOG_LEVEL_START
        self.noise_hop = bands * strides[-1] if noise else 0
        reach, step = self.first.reach, self.hop_samples
        reach *= step
        for index, stage in enumerate(self.stages):
            reach += step * stage.reach
            if noise and index == len(strides) - 1:
                noise_reach = reach + (3 * self.noise_hop + 1) // 2
            if index < len(strides):
                reach += step * self.up[index].reach
                step //= strides[index]
        reach += step * (self.last.reach + self.bank.synthesis_reach_frames)
        if noise:
            window_samples = 4 * self.noise_hop
            self.register_buffer("window", hann(window_samples), persistent=False)
            bins = window_samples // 2 + 1
            self.noise = nn.Conv2d(widths[-2], channels * bins, 1)
            nn.init.constant_(self.noise.bias, _LOG_NOISE_START)
            self.white = PositionalNoise(channels * bins, period_frames=_NOISE_PERIOD_FRAMES)
            reach = max(reach, noise_reach)
        self.context_frames = math.ceil(reach / self.hop_samples)

    def forward(
        self, latent: Latent, conditions: Conditions
    ) -> Float[Tensor, "batch channel time"]:
        n_frames = latent.frames.shape[2]
        clip = latent.clip[:, :, None].expand(-1, -1, n_frames)
        x = self.first(features(torch.cat([latent.frames, clip], dim=1)))
        noise: Tensor | float = 0.0
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if self.noise_hop and index == len(self.up) - 1:
                noise = self._noise(x, conditions)
            if index < len(self.up):
                x = self.up[index](x)
        wave, log_level = self.last(self.activation(x)).squeeze(2).chunk(2, dim=1)
        with torch.autocast(wave.device.type, enabled=False):  # exp and the bank want fp32
            level = torch.exp(log_level.float().clamp_max(_LOG_LEVEL_MAX))
            bands = torch.tanh(wave.float()) * level
            return self.bank.synthesise(bands.unflatten(1, (self.channels, -1))) + noise

    def _noise(self, x: Features, conditions: Conditions) -> Float[Tensor, "batch channel time"]:
        log_level = self.noise(x).squeeze(2)
        first = conditions.first_frame
        if first is not None:
            first = first * (self.hop_samples // self.noise_hop)
        with torch.autocast(x.device.type, enabled=False):
            level = torch.exp(log_level.float().clamp_max(_LOG_LEVEL_MAX))
            white = self.white(x.shape[3], first)  # batch frame bin 2
            spectrum = torch.view_as_complex(white).transpose(1, 2) * level
            spectrum = spectrum * (self.window.sum() / 2)
            spectrum = spectrum.unflatten(1, (self.channels, -1)).flatten(0, 1)
            audio = istft(spectrum, self.window, self.noise_hop)
        return audio.unflatten(0, (-1, self.channels))


def _check_rates(
    strides: Sequence[int], widths: Sequence[int], dilations: Sequence[Sequence[int]]
) -> None:
    if not strides or len(widths) != len(strides) + 1 or len(dilations) != len(widths):
        raise ValueError(
            f"{len(strides)} strides need {len(strides) + 1} widths and lists of dilations, one "
            f"per rate; got {len(widths)} and {len(dilations)}"
        )
