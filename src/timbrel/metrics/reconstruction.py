"""Scores of one reconstruction against its reference.

Task: how close is a decoded recording to the original? Conventions: mono float signals at 48 kHz,
1-D arrays; the reconstruction is cut or zero-padded to the reference; nothing else is normalised.
Signals below 4,096 samples are zero-padded to that. Units: `mrstft` and `log_mel_l1` are
dimensionless (natural logarithms), lower is better; `si_sdr_db` is in decibels, higher is better.

Two independent noises of equal spectrum score an `mrstft` of about 1.35, so on noisy material a
lower value mostly rewards bin-level copying.
"""

from functools import cache

import auraloss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timbrel.dsp.mel import mel_filterbank
from timbrel.dsp.stft import hann

Signal = NDArray[np.float32]

_MIN_SAMPLES = 4096
_SILENT_DB = -120.0


def mrstft(reference: Signal, reconstruction: Signal) -> float:
    """Multi-resolution STFT distance, auraloss defaults (Steinmetz & Reiss 2020).

    Spectral convergence plus mean absolute log-magnitude difference over FFT sizes 512, 1024, 2048.
    """
    pair = torch.from_numpy(np.stack(_aligned(reference, reconstruction)))
    with torch.no_grad():
        distance = auraloss.freq.MultiResolutionSTFTLoss()
        return float(distance(pair[1][None, None], pair[0][None, None]))


def log_mel_l1(reference: Signal, reconstruction: Signal, *, rate_hz: int = 48_000) -> float:
    """Mean absolute difference of ln(mel + 1e-5): 128 Slaney mels, magnitudes, 2,048 / 512 Hann."""
    wanted, given = _aligned(reference, reconstruction)
    return float(np.abs(_log_mel(given, rate_hz) - _log_mel(wanted, rate_hz)).mean())


def si_sdr_db(reference: Signal, reconstruction: Signal) -> float:
    """Scale-invariant signal-to-distortion ratio of the zero-mean signals (Le Roux et al. 2019).

    A silent reconstruction scores -120 dB.
    """
    wanted, given = (x.astype(np.float64) for x in _aligned(reference, reconstruction))
    wanted, given = wanted - wanted.mean(), given - given.mean()
    if given @ given < 1e-10 * max(wanted @ wanted, 1e-12):
        return _SILENT_DB
    target = (given @ wanted) / (wanted @ wanted + 1e-12) * wanted
    noise = given - target
    return float(10 * np.log10((target @ target + 1e-12) / (noise @ noise + 1e-12)))


def evaluate(reference: Signal, reconstruction: Signal) -> dict[str, float]:
    """All scores of one file: `mrstft`, `log_mel_l1`, `si_sdr_db`."""
    return {
        "mrstft": mrstft(reference, reconstruction),
        "log_mel_l1": log_mel_l1(reference, reconstruction),
        "si_sdr_db": si_sdr_db(reference, reconstruction),
    }


def _aligned(reference: Signal, reconstruction: Signal) -> tuple[Signal, Signal]:
    n = len(reference)
    if n == 0:
        raise ValueError("the reference holds no sample")
    given = np.pad(reconstruction, (0, max(0, n - len(reconstruction))))[:n]
    missing = max(0, _MIN_SAMPLES - n)
    return np.pad(reference, (0, missing)), np.pad(given, (0, missing))


def _log_mel(signal: Signal, rate_hz: int) -> NDArray[np.float32]:
    spectrum = torch.stft(
        torch.from_numpy(signal), 2048, 512, window=hann(2048), return_complex=True
    )
    return torch.log(_mel(rate_hz) @ spectrum.abs() + 1e-5).numpy()


@cache
def _mel(rate_hz: int) -> Tensor:
    return torch.from_numpy(mel_filterbank(rate_hz, 2048, 128))
