"""Pseudo-QMF bank: audio as `bands` signals at 1/`bands` of the rate, and back without delay.

A cosine-modulated bank (Nguyen 1994, "Near-perfect-reconstruction pseudo-QMF banks"; Vaidyanathan
1993, "Multirate Systems and Filter Banks", ch. 8): one low-pass prototype `p` of even symmetry,

    h_k(n) = sqrt(2) p(n) cos((k + 1/2) n pi / bands + (-1)^k pi / 4),   n = -(N-1)/2 ... (N-1)/2,
    u_k(m) = sum_t h_k(c_m - t) x(t),    y(t) = sum_k sum_m h_k(c_m - t) u_k(m),

where `c_m = bands * m + (bands - 1) / 2` is the centre of frame m: neighbouring bands cancel each
other's aliases, all others are left to the stop-band, and analysis and synthesis have the same
energy (the bank is paraunitary up to the stop-band). It is not causal: frame m sees as far ahead
as back. Outside the clip there are zeros, and no frames either, so the round trip misses what the
frames beyond would have given: in noise 11 dB down in the outermost frame, 26 in the second, 42
from the fifth on, below 95 from the eleventh. Where that matters, pad by `context_samples`.

The prototype is a Kaiser window, as in Lin & Vaidyanathan 1998 ("A Kaiser window approach for the
design of prototype filters of cosine modulated filterbanks"). Differs: they window an ideal
low-pass and move its one cutoff until `p * p` is nearly zero at the multiples of `2 * bands`;
here the windowed response has one weight per frequency bin, and Newton's method makes it vanish
there to 1e-8. That lifts the round trip from about 60 dB to the stop-band's own level.

Bands are not frequency-inverted: odd bands run from high to low, as decimation leaves them. What
follows a bank are convolutions that mix all bands, to which the direction is just another weight;
turning it would cost a sign per sample.
"""

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

_NEWTON_STEPS = 50
_CONVERGED = 1e-14


class Pqmf(nn.Module):
    """Splits audio into bands and puts them together again; nothing in it is learned.

    White noise has the same level in every band as in the audio. The arithmetic stays in the
    number format of the filters (float32), also under autocast: bf16 would leave 50 dB of 100.

    Attributes:
        bands: how many, which is also the samples per frame.
        taps: length of every filter, in samples.
        analysis_reach_frames: frames of audio to either side that one frame of bands depends on.
        synthesis_reach_frames: frames of bands to either side that one frame of audio depends on.
        context_samples: samples to either side of whole frames that the round trip depends on.

    Raises:
        ValueError: bands is no power of two from 2 to 64, or attenuation_db not from 80 to 120.

    >>> bank = Pqmf(bands=16)
    >>> bank.analyse(torch.zeros(1, 2, 1600)).shape
    torch.Size([1, 2, 16, 100])
    >>> bank.taps, bank.context_samples
    (432, 416)
    """

    kernel: Float[Tensor, "band phase 1 reach"]
    inverse_kernel: Float[Tensor, "phase band 1 reach"]

    def __init__(self, *, bands: int, attenuation_db: float = 100.0) -> None:
        super().__init__()
        filters = analysis_filters(bands, attenuation_db)
        self.bands = bands
        self.taps = filters.shape[1]
        self.analysis_reach_frames = self.synthesis_reach_frames = self.taps // bands // 2
        self.context_samples = bands * (self.analysis_reach_frames + self.synthesis_reach_frames)
        # A filter is as many whole frames: over audio cut into frames it is one dense convolution.
        # (torch correlates, hence the filters turned round for analysis and not for synthesis.)
        turned = torch.from_numpy(filters[:, ::-1].copy()).float()
        kernel = turned.unflatten(1, (-1, bands)).transpose(1, 2)  # band phase reach
        self.register_buffer("kernel", kernel.unsqueeze(2).contiguous(), persistent=False)
        inverse = kernel.transpose(0, 1).flip(2)
        self.register_buffer("inverse_kernel", inverse.unsqueeze(2).contiguous(), persistent=False)

    def analyse(
        self, audio: Float[Tensor, "batch channel time"]
    ) -> Float[Tensor, "batch channel band frame"]:
        """The bands' signals, one frame per `bands` samples.

        Raises:
            ValueError: `time` is not a multiple of `bands`.
        """
        batch, channels, samples = audio.shape
        if samples % self.bands:
            raise ValueError(f"{samples} samples are not whole frames of {self.bands}")
        frames = audio.to(self.kernel.dtype).reshape(batch * channels, -1, self.bands)
        with _full_precision(audio):
            return self._convolved(frames.transpose(1, 2), self.kernel).unflatten(
                0, (batch, channels)
            )

    def synthesise(
        self, bands: Float[Tensor, "batch channel band frame"]
    ) -> Float[Tensor, "batch channel time"]:
        """The audio of the bands' signals, `bands` samples per frame."""
        batch, channels = bands.shape[:2]
        with _full_precision(bands):
            phases = self._convolved(
                bands.to(self.inverse_kernel.dtype).flatten(0, 1), self.inverse_kernel
            )
        return phases.transpose(1, 2).reshape(batch, channels, -1)

    def _convolved(
        self, rows: Float[Tensor, "row channel frame"], kernel: Float[Tensor, "band phase 1 reach"]
    ) -> Float[Tensor, "row band frame"]:
        # Channels-last, as frames of audio lie in memory anyway, and in two dimensions: conv1d has
        # no such format, and copying to and fro makes it five times as slow on the CPU.
        wide = rows.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return functional.conv2d(wide, kernel, padding=(0, self.analysis_reach_frames)).squeeze(2)


@contextmanager
def _full_precision(signal: Tensor) -> Iterator[None]:
    """Neither autocast nor TF32, whose ten bits would cost the bank 40 dB."""
    allowed = torch.backends.cudnn.allow_tf32
    if signal.is_cuda:
        torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast(signal.device.type, enabled=False):
            yield
    finally:
        if signal.is_cuda:
            torch.backends.cudnn.allow_tf32 = allowed


@functools.cache
def prototype(bands: int, attenuation_db: float = 100.0) -> NDArray[np.float64]:
    """The low-pass `p` of cutoff rate / (4 * bands), an odd number of frames long; read-only.

    `sum_n p(n) p(n + 2 * bands * l)` is 1 for l = 0 and 0 for all others. The stop-band, from
    twice the cutoff on, is about `attenuation_db` below the pass-band.

    Raises:
        ValueError: bands is no power of two from 2 to 64, or attenuation_db not from 80 to 120.
    """
    if bands not in (2, 4, 8, 16, 32, 64):
        raise ValueError(f"bands={bands}: a power of two from 2 to 64")
    if not 80.0 <= attenuation_db <= 120.0:
        raise ValueError(f"attenuation_db={attenuation_db}: from 80 to 120")
    # Kaiser's estimates (1974): the window's shape, and its transition width in rad. The width is
    # to be half the prototype's own transition, so that the response has room to be shaped.
    beta = 0.1102 * (attenuation_db - 8.7)
    frames = math.ceil((attenuation_db - 7.95) / (2.285 * math.pi / 2))
    taps = (frames + 1 - frames % 2) * bands
    transition_rad = (attenuation_db - 7.95) / (2.285 * (taps - 1))
    bins = int((math.pi / bands - transition_rad / 2) / (2 * math.pi / taps)) + 1

    n = np.arange(taps) - (taps - 1) / 2
    window = np.kaiser(taps, beta)
    basis = window[:, None] * np.cos(2 * np.pi / taps * np.outer(n, np.arange(bins)))
    start = window * np.sinc(n / (2 * bands))
    weights = np.linalg.lstsq(basis, start / np.linalg.norm(start))[0]
    # products[l, i, j]: what bins i and j contribute to the autocorrelation at lag 2 * bands * l
    lags = range(0, taps, 2 * bands)
    products = np.stack([basis[lag:].T @ basis[: taps - lag] for lag in lags])
    products = (products + products.transpose(0, 2, 1)) / 2
    wanted = np.eye(len(lags))[0]
    for _ in range(_NEWTON_STEPS):
        slopes = products @ weights
        step = np.linalg.lstsq(2 * slopes, wanted - slopes @ weights, rcond=1e-10)[0]
        weights = weights + step
        if np.abs(step).max() < _CONVERGED:
            break
    result = basis @ weights
    result = (result + result[::-1]) / 2  # symmetric to the last bit
    result.flags.writeable = False
    return result


def analysis_filters(bands: int, attenuation_db: float = 100.0) -> NDArray[np.float64]:
    """`h_k(n)`, `(band, tap)`: of unit energy; the synthesis filters are the same turned round."""
    shape = prototype(bands, attenuation_db)
    n = np.arange(len(shape)) - (len(shape) - 1) / 2
    k = np.arange(bands)[:, None]
    phase = (k + 0.5) * np.pi / bands * n + np.where(k % 2, -np.pi / 4, np.pi / 4)
    return math.sqrt(2.0) * shape * np.cos(phase)


def analyse_reference(
    audio: NDArray[np.float64], filters: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Slow `Pqmf.analyse` of one channel, from the sum: `(time,)` to `(band, frame)`."""
    bands, taps = filters.shape
    first = (bands - taps) // 2  # where the first frame's filters begin, before the clip
    result = np.zeros((bands, len(audio) // bands))
    for m in range(result.shape[1]):
        for n in range(taps):
            t = first + bands * m + taps - 1 - n
            if 0 <= t < len(audio):
                result[:, m] += filters[:, n] * audio[t]
    return result


def synthesise_reference(
    bands: NDArray[np.float64], filters: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Slow `Pqmf.synthesise` of one channel, from the sum: `(band, frame)` to `(time,)`."""
    n_bands, taps = filters.shape
    first = (n_bands - taps) // 2
    result = np.zeros(n_bands * bands.shape[1])
    for m in range(bands.shape[1]):
        for n in range(taps):
            t = first + n_bands * m + taps - 1 - n
            if 0 <= t < len(result):
                result[t] += filters[:, n] @ bands[:, m]
    return result
