"""Scores of one reconstruction against its reference.

Task: how close is a decoded recording to the original? Conventions: float signals, `(time)` or
`(channel, time)` of one channel or two, 48 kHz where nothing else is said; the reconstruction is
cut or zero-padded to the reference; nothing else is normalised. Signals below 4,096 samples are
zero-padded to that. Units: `mrstft`, `log_mel_l1` and `width_error` are dimensionless (the first
two natural logarithms), `si_sdr_db` is in decibels, `loudness_error_lu` in loudness units; which
way is better stands in `metrics.scores.SCORES`.

Of two channels the spectral distances are means over mid, side, left and right, by their shares of
the reference (`metrics.stereo` says why). The SI-SDR takes both channels as one vector, so that one
factor stands for both: a factor of its own would undo an inverted side, and have no meaning for a
silent one. Mid/side or left/right are the same to it, and to the loudness, which sums the channels'
power. So a side that is missing, inverted or another's costs, and of one channel all is as ever.

Two independent noises of equal spectrum score an `mrstft` of about 1.35, so on noisy material a
lower value mostly rewards bin-level copying.

Spectra are taken in blocks of frames: beyond the signals themselves memory does not grow with them.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timbrel.audio.level import LOUDNESS_FLOOR_LUFS, loudness_lufs
from timbrel.dsp.mel import mel_filterbank
from timbrel.dsp.stft import hann
from timbrel.metrics import stereo
from timbrel.metrics.lengths import of_length

Signal = NDArray[np.float32]

_MIN_SAMPLES = 4096
_SILENT_DB = -120.0
_BLOCK_FRAMES = 4096
_RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # FFT, hop, window; samples
_POWER_FLOOR = 1e-8
_MEL_FLOOR = 1e-5


def mrstft(reference: Signal, reconstruction: Signal) -> float:
    """Multi-resolution STFT distance (Yamamoto et al. 2020) as auraloss 0.4 computes it by default.

    Spectral convergence plus mean absolute log-magnitude difference, averaged over FFT sizes 1024,
    2048 and 512 (Steinmetz & Reiss 2020).
    """
    wanted, given = _aligned(reference, reconstruction)
    return _over_views(_mrstft, wanted, given, stereo.shares(wanted))


def log_mel_l1(
    reference: Signal,
    reconstruction: Signal,
    *,
    rate_hz: int = 48_000,
    shares: NDArray[np.float64] | None = None,
) -> float:
    """Mean absolute difference of ln(mel + 1e-5): 128 Slaney mels, magnitudes, 2,048 / 512 Hann.

    `shares` are what the views of two channels count for, those of the reference if None.
    """
    wanted, given = _aligned(reference, reconstruction)
    shares = stereo.shares(wanted) if shares is None else shares
    return _over_views(partial(_log_mel_l1, rate_hz), wanted, given, shares)


def si_sdr_db(reference: Signal, reconstruction: Signal) -> float:
    """Scale-invariant signal-to-distortion ratio of the zero-mean signals (Le Roux et al. 2019).

    One scale for all channels. A silent reconstruction scores -120 dB.
    """
    pair = (x.astype(np.float64) for x in _aligned(reference, reconstruction))
    wanted, given = ((x - x.mean(1, keepdims=True)).ravel() for x in pair)
    if given @ given < 1e-10 * max(wanted @ wanted, 1e-12):
        return _SILENT_DB
    target = (given @ wanted) / (wanted @ wanted + 1e-12) * wanted
    noise = given - target
    return float(10 * np.log10((target @ target + 1e-12) / (noise @ noise + 1e-12)))


def loudness_error_lu(reference: Signal, reconstruction: Signal, *, rate_hz: int = 48_000) -> float:
    """Absolute difference of the two gated loudnesses (ITU-R BS.1770-4), in LU.

    A signal below one gating block of 0.4 s is measured as if silence followed it, and what is
    quieter than the absolute gate counts as -70 LUFS: of a 50 ms hit and of silence the error is
    finite, and between two silences 0.
    """
    pair = _aligned(reference, reconstruction)
    wanted, given = (max(loudness_lufs(x, rate_hz), LOUDNESS_FLOOR_LUFS) for x in pair)
    return abs(given - wanted)


def evaluate(
    reference: Signal, reconstruction: Signal, *, rate_hz: int = 48_000
) -> dict[str, float]:
    """The spectral scores of one file, named and ordered as in `metrics.scores.SCORES`.

    `width_error` exists of two channels whose reference is not silent.
    """
    scores = {
        "mrstft": mrstft(reference, reconstruction),
        "log_mel_l1": log_mel_l1(reference, reconstruction, rate_hz=rate_hz),
        "si_sdr_db": si_sdr_db(reference, reconstruction),
        "loudness_error_lu": loudness_error_lu(reference, reconstruction, rate_hz=rate_hz),
    }
    width_error = stereo.width_error(*_aligned(reference, reconstruction))
    return scores if width_error is None else {**scores, "width_error": width_error}


def _aligned(reference: Signal, reconstruction: Signal) -> tuple[Signal, Signal]:
    """Both as `(channel, time)`, of the reference's length and not too short."""
    wanted, given = np.atleast_2d(reference), np.atleast_2d(reconstruction)
    n = wanted.shape[1]
    if n == 0:
        raise ValueError("the reference holds no sample")
    if len(given) != len(wanted):
        raise ValueError(f"{len(given)} channels beside the reference's {len(wanted)}")
    longest = max(n, _MIN_SAMPLES)
    return of_length(wanted, longest), of_length(of_length(given, n), longest)


def _over_views(
    distance: Callable[[Tensor], float],
    wanted: Signal,
    given: Signal,
    shares: NDArray[np.float64],
) -> float:
    """The mean of `distance` over the views of both, by their shares; of one view, that view's."""
    pairs = zip(shares, stereo.views(wanted), stereo.views(given), strict=True)
    heard = ((share, torch.from_numpy(np.stack(pair))) for share, *pair in pairs if share > 0)
    return float(sum(share * distance(pair) for share, pair in heard))


def _mrstft(pair: Tensor) -> float:
    return float(np.mean([_stft_distance(pair, *sizes) for sizes in _RESOLUTIONS]))


def _log_mel_l1(rate_hz: int, pair: Tensor) -> float:
    total, elements = 0.0, 0
    for spectra in _spectra(pair, 2048, 512, hann(2048)):
        wanted, given = torch.log(_mel(rate_hz) @ spectra.abs() + _MEL_FLOOR)
        total += float((given - wanted).abs().sum(dtype=torch.float64))
        elements += wanted.numel()
    return total / elements


@torch.no_grad()
def _spectra(pair: Tensor, fft: int, hop: int, window: Tensor) -> Iterator[Tensor]:
    """The frames of `torch.stft`, centred and reflected at the ends, block by block."""
    padded = torch.nn.functional.pad(pair[None], (fft // 2, fft // 2), mode="reflect")[0]
    frames = 1 + (padded.shape[1] - fft) // hop
    for first in range(0, frames, _BLOCK_FRAMES):
        last = min(first + _BLOCK_FRAMES, frames) - 1
        block = padded[:, first * hop : last * hop + fft]
        yield torch.stft(
            block, fft, hop, len(window), window, center=False, return_complex=True
        )  # 2 bin frame


def _stft_distance(pair: Tensor, fft: int, hop: int, window_samples: int) -> float:
    difference = energy = log_difference = 0.0
    elements = 0
    for spectra in _spectra(pair, fft, hop, hann(window_samples)):
        power = (spectra.real.square() + spectra.imag.square()).clamp_min(_POWER_FLOOR)
        wanted, given = power.sqrt()
        difference += float((given - wanted).square().sum(dtype=torch.float64))
        energy += float(power[0].sum(dtype=torch.float64))
        log_difference += float((given.log() - wanted.log()).abs().sum(dtype=torch.float64))
        elements += wanted.numel()
    return float(np.sqrt(difference / energy)) + log_difference / elements


@cache
def _mel(rate_hz: int) -> Tensor:
    return torch.from_numpy(mel_filterbank(rate_hz, 2048, 128))
