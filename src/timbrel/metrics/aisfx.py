"""The embedding of aiSFX, a network that was trained to classify sound effects.

Ma & Lerch 2022 (ISMIR, pages 866 to 875), model X-Sequential-CE: four blocks of convolutions over a
mel spectrogram, trained on eight libraries of effects. It represents the kind of source (a door, an
engine, a splash) more than the exact sound. The package aisfx brings the network and its weights
(MIT, weights CC BY 4.0) in its wheel. The versions it asks for beside them are years old and not
needed, so it is no extra of timbrel: pip install --no-deps aisfx==0.1.2.
"""

import math
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from timbrel.dsp.stft import hann, stft

DIMENSIONS = 512

_RATE_HZ, _WINDOW, _HOP, _BANDS = 44_100, 2048, 1024, 96
_BLOCK_FRAMES, _BLOCK_HOP = 100, 50
_LARGEST = 9.457798957824707
"""The largest value of the training spectrograms, by which its authors divide."""


@torch.no_grad()
def embed(audio: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """The embedding of one clip, `(time)` or `(channel, time)`, mixed to mono: 512 numbers from 0.

    The mean over blocks of 2.3 s, half a block apart; a shorter clip is followed by silence. To
    mono because the network takes one channel: the side is ignored. Differs: the clip's peak is set
    to 1 first, so that level does not count, and the spectrogram, there Essentia's, is made here
    after its description.

    Raises ValueError where the clip holds no sample, ModuleNotFoundError without the package.
    """
    mono = np.atleast_2d(audio).mean(0, dtype=np.float32)
    if not len(mono):
        raise ValueError("the clip holds no sample")
    peak = np.abs(mono).max()
    mono = soxr.resample(mono / peak if peak > 0 else mono, rate_hz, _RATE_HZ, quality="HQ")
    heard = spectrogram(torch.from_numpy(np.ascontiguousarray(mono, np.float32)))
    blocks = max(1, math.ceil((len(heard) - _BLOCK_FRAMES) / _BLOCK_HOP) + 1)
    length = (blocks - 1) * _BLOCK_HOP + _BLOCK_FRAMES
    padded = nn.functional.pad(heard, (0, 0, 0, length - len(heard)))
    stacked = padded.unfold(0, _BLOCK_FRAMES, _BLOCK_HOP).transpose(1, 2)  # block frame band
    row: NDArray[np.float64] = _network()(stacked.contiguous()).double().mean(0).numpy()
    return row


def spectrogram(mono: Tensor) -> Tensor:
    """log10(1 + 10^4 power) in 96 mel bands of 0 to 22.05 kHz, over its largest: `(frame, band)`.

    Of samples at 44.1 kHz, by Hann windows of 2048 samples, 1024 apart.
    """
    padded = nn.functional.pad(mono, (0, max(1, math.ceil(len(mono) / _HOP)) * _HOP - len(mono)))
    spectrum = stft(padded, hann(_WINDOW), _HOP)
    power = spectrum.real.square() + spectrum.imag.square()
    return (torch.log10(1 + 1e4 * (_bands() @ power)) / _LARGEST).T


@cache
def _bands() -> Tensor:
    """Triangles on HTK's mel scale, the weights of each summing to 1: `(band, bin)`."""
    mel = 1127.0 * np.log1p(np.fft.rfftfreq(_WINDOW, 1 / _RATE_HZ) / 700.0)
    step = mel[-1] / (_BANDS + 1)
    centres = step * np.arange(1, _BANDS + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(mel - centres[:, None]) / step)
    return torch.from_numpy((weights / weights.sum(1, keepdims=True)).astype(np.float32))


@cache
def _network() -> nn.Module:
    """Made once per process; nothing but numbers is read from the file of weights."""
    from aisfx.models.cnn2d import EmbeddingNet

    scalar = np.int64(0).__reduce__()[0]  # which numpy 1 kept elsewhere
    numbers: list[Any] = [(scalar, "numpy.core.multiarray.scalar"), np.dtype, np.dtypes.Int64DType]
    with torch.serialization.safe_globals(numbers):
        file = files("aisfx") / "models" / "checkpoint.pth"
        weights, _ = torch.load(str(file), map_location="cpu", weights_only=True)
    prefix = "embedding_net."
    network: nn.Module = EmbeddingNet("max", 3, 1, 64)
    network.load_state_dict(
        {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    )
    return network.eval()
