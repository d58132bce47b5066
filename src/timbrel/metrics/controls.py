"""Controls for the scores: silence, and noise with the spectrum of the reference.

A model must score better than both. Silence holds nothing of the reference. Matched noise has the
reference's spectrum and level and none of its timing: on hiss and cymbals it scores well, and a
model that scores no better has learned nothing but the average spectrum.
"""

import numpy as np
from numpy.typing import NDArray

from timbrel.metrics.stereo import rotated

Signal = NDArray[np.float32]


def silence(reference: Signal) -> Signal:
    """Zeros as long as the reference."""
    return np.zeros_like(reference)


def matched_noise(reference: Signal, rng: np.random.Generator) -> Signal:
    """The whole reference's magnitude spectrum with random phases (Theiler et al. 1992).

    `(time)`, or `(channel, time)` of one channel or two. Every bin of the long-term spectrum, the
    mean and the level are the reference's own; its energy is spread evenly over its length. Of a
    tone it is a tone, because the spectrum determines it. Of two channels those of the mid and
    those of the side are kept, with phases of their own: as wide as the reference, but panned
    nowhere.

    Raises ValueError where the reference holds no sample.
    """
    if reference.shape[-1] == 0:
        raise ValueError("the reference holds no sample")
    channels = rotated(np.atleast_2d(reference))
    noise = np.stack([_with_random_phases(channel, rng) for channel in channels])
    return rotated(noise).reshape(reference.shape)


def _with_random_phases(channel: Signal, rng: np.random.Generator) -> Signal:
    n = len(channel)
    spectrum = np.fft.rfft(channel.astype(np.float64))
    # Mean and (of an even length) Nyquist are real: no phase to draw, and they keep their sign.
    inner = slice(1, (n + 1) // 2)
    phases = rng.uniform(0.0, 2.0 * np.pi, len(spectrum[inner]))
    spectrum[inner] = np.abs(spectrum[inner]) * np.exp(1j * phases)
    return np.fft.irfft(spectrum, n).astype(np.float32)
