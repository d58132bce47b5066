"""How loud: peak, true peak and gated loudness (ITU-R BS.1770-4), and how much is silence.

Audio is `(channel, time)` throughout: the functions take it whole, the meters block by block, in
constant memory.
"""

import math

import numpy as np
import soxr
from numpy.typing import NDArray

LOUDNESS_BLOCK_S = 0.4
LOUDNESS_FLOOR_LUFS = -70.0
SILENCE_DBFS = -60.0
_SHELF_HZ = 1500.0
_CHUNK_SAMPLES = 1 << 18


def decibels(amplitude: float) -> float:
    """An amplitude in dB relative to 1; silence is -inf.

    >>> decibels(0.1)
    -20.0
    """
    return 20.0 * math.log10(amplitude) if amplitude > 0 else -math.inf


def peak(audio: NDArray[np.float32]) -> float:
    """The largest magnitude among the samples; 0 where there are none."""
    return float(np.abs(audio).max(initial=0.0))


class TruePeakMeter:
    """The peak of the waveform between its samples (BS.1770-4 annex 2), at fourfold rate."""

    def __init__(self, channels: int, oversampling: int = 4) -> None:
        self._stream = soxr.ResampleStream(1, oversampling, channels, dtype="float32", quality="HQ")
        self._channels = channels
        self._peak = 0.0
        self._ended = False

    def update(self, block: NDArray[np.float32]) -> None:
        """Take in the next block, `(channel, time)`. ValueError once the meter was read."""
        if self._ended:
            raise ValueError("this meter was read; use a new one for more audio")
        oversampled = self._stream.resample_chunk(np.ascontiguousarray(block.T, np.float32))
        self._peak = max(self._peak, peak(block), peak(oversampled))

    @property
    def peak(self) -> float:
        """The true peak as an amplitude, never below the sample peak. Ends the meter."""
        if not self._ended:
            self._ended = True
            rest = np.zeros((0, self._channels), np.float32)
            self._peak = max(self._peak, peak(self._stream.resample_chunk(rest, last=True)))
        return self._peak

    @property
    def dbtp(self) -> float:
        """The true peak in dBTP, -inf for silence. Ends the meter."""
        return decibels(self.peak)


def true_peak_dbtp(audio: NDArray[np.float32]) -> float:
    """The true peak of `audio`, `(channel, time)`, in dBTP; silence is -inf."""
    meter = TruePeakMeter(len(audio))
    for start in range(0, audio.shape[1], _CHUNK_SAMPLES):
        meter.update(audio[:, start : start + _CHUNK_SAMPLES])
    return meter.dbtp


class Hops:
    """A value per sample gathered over equal hops of a stream, by sum or by maximum."""

    def __init__(self, gather: np.ufunc, rate_hz: int, hops_per_second: int) -> None:
        self._gather = gather
        self._rate_hz = rate_hz
        self._hops_per_second = hops_per_second
        self._parts: list[NDArray[np.float64]] = []
        self._n_samples = 0

    @property
    def n_samples(self) -> int:
        """The number of samples taken in."""
        return self._n_samples

    def update(self, values: NDArray[np.floating]) -> None:
        """Take in the next values, one per sample and not negative."""
        if not len(values):
            return
        first = self._n_samples * self._hops_per_second // self._rate_hz
        self._n_samples += len(values)
        last = (self._n_samples - 1) * self._hops_per_second // self._rate_hz
        # Hop k starts at the first sample not before k / hops_per_second.
        starts = -(np.arange(first + 1, last + 1) * -self._rate_hz // self._hops_per_second)
        offset = self._n_samples - len(values)
        edges = np.concatenate([[0], starts - offset]).astype(np.intp)
        # A rate below the hop rate leaves hops without a sample; they repeat their neighbour's.
        gathered = self._gather.reduceat(values.astype(np.float64), edges)
        begun = sum(map(len, self._parts))
        if first < begun:
            self._parts[-1][-1] = self._gather(self._parts[-1][-1], gathered[0])
            gathered = gathered[1:]
        if len(gathered):
            self._parts.append(gathered)

    @property
    def values(self) -> NDArray[np.float64]:
        """One value per hop; the last hop may be short."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0)


def _k_sections(rate_hz: int) -> NDArray[np.float64]:
    """The second-order sections of the K-weighting, `(section, b0 b1 b2 a0 a1 a2)`."""
    # scipy.signal takes a second to import: whoever only reads a catalog must not pay it.
    from pyloudnorm.iirfilter import IIRfilter

    shelf = IIRfilter(4.0, 1 / np.sqrt(2), _SHELF_HZ, rate_hz, "high_shelf")
    high_pass = IIRfilter(0.0, 0.5, 38.0, rate_hz, "high_pass")
    # The shelf lies beyond Nyquist for such low rates, where its design would be unstable.
    stages = [high_pass] if rate_hz <= 2 * _SHELF_HZ else [shelf, high_pass]
    return np.array([np.concatenate([stage.b, stage.a]) for stage in stages])


def k_weighting(frequency_hz: NDArray[np.float64], rate_hz: int) -> NDArray[np.float64]:
    """What the K-weighting of BS.1770-4 at `rate_hz` does to the power at each frequency.

    >>> (10 * np.log10(k_weighting(np.array([50.0, 1000.0, 10_000.0]), 48_000))).round(1)
    array([-4. ,  0.7,  4. ])
    """
    delay = np.exp(-2j * np.pi * frequency_hz / rate_hz)
    powers = np.stack([np.ones_like(delay), delay, delay**2])
    weights = np.ones(len(frequency_hz))
    for section in _k_sections(rate_hz):
        weights = weights * np.abs(section[:3] @ powers / (section[3:] @ powers)) ** 2
    return weights


class LoudnessMeter:
    """Gated loudness of a stream (BS.1770-4), with pyloudnorm's K-weighting.

    A stream shorter than the 0.4 s gating block is measured as if silence followed it, as a meter
    that it is played to would. More than five channels are taken as 5.1: the fourth (LFE) does
    not count.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._sections = _k_sections(rate_hz)
        self._state = np.zeros((len(self._sections), channels, 2))
        surround = [1.0, 1.0, 1.0, 1.41, 1.41] if channels <= 5 else [1, 1, 1, 0, 1.41, 1.41]
        self._gains = np.array((surround + [1.0] * channels)[:channels])
        self._hops = Hops(np.add, rate_hz, 10)
        self._rate_hz = rate_hz

    def update(self, block: NDArray[np.float32]) -> None:
        """Take in the next block, `(channel, time)`."""
        from scipy.signal import sosfilt

        if not block.size:
            return
        # Contiguous in time, the filter runs twice as fast.
        samples = np.ascontiguousarray(block, np.float64)
        weighted, self._state = sosfilt(self._sections, samples, zi=self._state)
        self._hops.update(self._gains @ np.square(weighted))

    @property
    def lufs(self) -> float:
        """Loudness so far in LUFS; -inf where nothing exceeds -70 LUFS."""
        blocks = max(1, round(self._hops.n_samples * 10 / self._rate_hz - 4) + 1)
        energy = np.zeros(blocks + 3)
        measured = self._hops.values[: len(energy)]
        energy[: len(measured)] = measured
        power = np.convolve(energy, np.ones(4), "valid") / (LOUDNESS_BLOCK_S * self._rate_hz)
        with np.errstate(divide="ignore"):
            loudness = -0.691 + 10 * np.log10(np.maximum(power, 0.0))
        heard = loudness >= LOUDNESS_FLOOR_LUFS
        if not heard.any():
            return -math.inf
        relative = -0.691 + 10 * np.log10(power[heard].mean()) - 10.0
        return float(-0.691 + 10 * np.log10(power[heard & (loudness > relative)].mean()))


def loudness_lufs(audio: NDArray[np.float32], rate_hz: int) -> float:
    """Gated loudness of `audio`, `(channel, time)`, in LUFS; silence is -inf."""
    meter = LoudnessMeter(rate_hz, len(audio))
    for start in range(0, audio.shape[1], _CHUNK_SAMPLES):
        meter.update(audio[:, start : start + _CHUNK_SAMPLES])
    return meter.lufs


class SilenceMeter:
    """The share of 20 ms hops in which no channel exceeds `threshold_dbfs`."""

    def __init__(self, rate_hz: int, threshold_dbfs: float = SILENCE_DBFS) -> None:
        self._hops = Hops(np.maximum, rate_hz, 50)
        self._threshold = 10 ** (threshold_dbfs / 20)

    def update(self, block: NDArray[np.float32]) -> None:
        """Take in the next block, `(channel, time)`."""
        self._hops.update(np.abs(block).max(axis=0))

    @property
    def share(self) -> float:
        """0 where every hop sounds, 1 where none does (or there is none)."""
        hops = self._hops.values
        return float((hops <= self._threshold).mean()) if len(hops) else 1.0


def silence_share(
    audio: NDArray[np.float32], rate_hz: int, threshold_dbfs: float = SILENCE_DBFS
) -> float:
    """The share of 20 ms hops of `audio`, `(channel, time)`, at or below `threshold_dbfs`."""
    meter = SilenceMeter(rate_hz, threshold_dbfs)
    meter.update(audio)
    return meter.share
