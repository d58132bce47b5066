"""Reconstruction losses: `(estimate, target) -> named terms`, one value per example.

The target side is computed without gradient. Digital silence and padding are well-behaved: every
ratio has a floor and every logarithm a clamp, so that a silent example costs a finite amount and
a silent answer to it costs nothing.
"""

from collections.abc import Sequence

import auraloss
import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.dsp.mel import mel_filterbank
from timbrel.dsp.oscillators import TUNED_HZ
from timbrel.dsp.stft import hann, power, spectra
from timbrel.losses.spectrogram_distance import SpectrogramDistance

_LEVEL_WINDOW = 2048
_LEVEL_BANDS = 32
_SOUNDING = 1e-4  # of the loudest frame
_LTAS_RANGE = 1e-8  # 80 dB
_LEVEL_RANGE = 1e-6  # what lies 60 dB below an example's loudest band and frame is not weighed

Terms = dict[str, Float[Tensor, " batch"]]


class SpectralLoss(nn.Module):
    """Multi-resolution STFT distance (Yamamoto et al. 2020, eq. 4 to 6), per example.

    Terms, each averaged over resolutions:

    - `stft_relative`: Frobenius distance of the magnitudes over the target's norm;
    - `stft_log`: mean absolute difference of log magnitudes (nepers);

    and `waveform`, one minus the cosine between the sample vectors: magnitudes alone leave every
    phase free, and a tone may then sit on the nearest multiple of the frame rate. (A distance of
    samples would serve too, but as long as the phase is wrong it is least for silence.)

    And `level`, the mean absolute log ratio (nepers) of short-time levels, half of it in mel bands
    and half over all of them: where bins cannot be matched one by one, the distances above are
    least for an answer that is many dB too quiet, and this one is not.

    With `brightness`, also that: the mean absolute log ratio (nepers) of the spectral centroids,
    over the target's frames within 40 dB of its loudest. A faint noise lifts the centroid of a low
    tone by an octave, which the distances of bins hardly notice.

    With `phase_window_samples`, also `phase_advance`: one minus the cosine between how far each
    bin's phase moves in a quarter of that window, averaged by the target's magnitudes over bins up
    to 6 kHz; above, half a bin is less than 4 cents. It tells a decoder that carries phases on at
    which frequency (the phase vocoder's instantaneous frequency), whatever the phases are.

    With `ltas_window_samples`, also `ltas`: the mean absolute log ratio (nepers) of the long-term
    average spectra, the mean power of every bin over the whole example, down to 80 dB below the
    greatest. Bin by bin and frame by frame, a steady tone near every bin is closer to noise than
    other noise is; their long-term spectra differ, and those of two noises do not.

    The channels are left and right. A side that is lost or inverted shows where it made them differ
    in a bin, by little if it is well below the mid; what the phase between them alone carries (one
    channel inverted makes a mono sound all side), only `waveform` measures.

    Differs: magnitudes are floored at `floor` (absolute, as the STFT gives them), the norm at that
    of white noise of `silence_rms`, and the channels of an example share one ratio.
    """

    level_window: Float[Tensor, " window"]
    phase_window: Float[Tensor, " window"]
    ltas_window: Float[Tensor, " ltas"]
    bands: Float[Tensor, "band bin"]

    def __init__(
        self,
        *,
        window_samples: Sequence[int],
        phase_window_samples: int | None = None,
        ltas_window_samples: int | None = None,
        brightness: bool = False,
        sample_rate_hz: int = 48_000,
        overlap: int = 4,
        floor: float = 1e-4,
        silence_rms: float = 1e-4,
    ) -> None:
        super().__init__()
        if any(n % overlap for n in window_samples):
            raise ValueError(f"windows {list(window_samples)} must be multiples of {overlap}")
        self.window_samples = list(window_samples)
        self.overlap = overlap
        self.floor = floor
        self.silence_rms = silence_rms
        self.brightness = brightness
        for n in window_samples:
            self.register_buffer(f"window_{n}", hann(n), persistent=False)
        self.register_buffer("level_window", hann(_LEVEL_WINDOW), persistent=False)
        self.register_buffer("phase_window", hann(phase_window_samples or 0), persistent=False)
        self.register_buffer("ltas_window", hann(ltas_window_samples or 0), persistent=False)
        self.phase_bins = 1 + round(TUNED_HZ / sample_rate_hz * (phase_window_samples or 0))
        bands = torch.from_numpy(mel_filterbank(sample_rate_hz, _LEVEL_WINDOW, _LEVEL_BANDS))
        self.register_buffer("bands", bands / bands.sum(0).clamp_min(1e-12), persistent=False)

    def forward(
        self,
        estimate: Float[Tensor, "batch channel time"],
        target: Float[Tensor, "batch channel time"],
    ) -> Terms:
        target = target.detach()
        distances = [
            SpectrogramDistance.apply(
                estimate,
                target,
                getattr(self, f"window_{n}"),
                n // self.overlap,
                self.floor,
                self.silence_rms,
            )
            for n in self.window_samples
        ]
        relative, log = zip(*distances, strict=True)
        terms = {
            "stft_relative": torch.stack(relative).mean(0),
            "stft_log": torch.stack(log).mean(0),
            "waveform": self._waveform(estimate, target),
            **self._of_power(estimate, target),
        }
        if len(self.phase_window):
            terms["phase_advance"] = self._phase_advance(estimate, target)
        if len(self.ltas_window):
            terms["ltas"] = self._ltas(estimate, target)
        return terms

    def _of_power(self, estimate: Tensor, target: Tensor) -> Terms:
        wanted, given = self._power(target), self._power(estimate)
        silence = self.silence_rms**2 * self.level_window.square().sum()
        terms = {"level": self._level(given @ self.bands.T, wanted @ self.bands.T, silence)}
        if self.brightness:
            terms["brightness"] = self._brightness(given.sum(1), wanted.sum(1), silence)
        return terms

    def _power(self, audio: Tensor) -> Tensor:
        """Power of every bin: `batch channel frame bin`."""
        n = len(self.level_window)
        padded = nn.functional.pad(audio, (n // 2, n // 2))
        return power(spectra(padded, self.level_window, n // 2))

    def _level(self, given: Tensor, wanted: Tensor, silence: Tensor) -> Tensor:
        floor = silence + _LEVEL_RANGE * wanted.amax((1, 2, 3), keepdim=True)
        in_bands = ((given + floor) / (wanted + floor)).log().abs()
        overall = ((given + floor).sum(3) / (wanted + floor).sum(3)).log().abs()
        return 0.25 * (in_bands.flatten(1).mean(1) + overall.flatten(1).mean(1))

    def _brightness(self, given: Tensor, wanted: Tensor, silence: Tensor) -> Tensor:
        level = wanted.sum(2)
        sounds = level > _SOUNDING * level.amax(1, keepdim=True) + silence
        bins = torch.arange(wanted.shape[2], device=wanted.device, dtype=wanted.dtype)
        ratio = (given @ bins + silence) * (level + silence)
        ratio = ratio / ((wanted @ bins + silence) * (given.sum(2) + silence))
        return (ratio.log().abs() * sounds).sum(1) / sounds.sum(1).clamp_min(1)

    def _phase_advance(self, estimate: Tensor, target: Tensor) -> Tensor:
        window, hop = self.phase_window, len(self.phase_window) // 4
        edge = 3 * hop // 2
        whole = target.shape[-1] // hop * hop
        given, wanted = (
            spectra(nn.functional.pad(x[..., :whole], (edge, edge)), window, hop)
            for x in (estimate, target)
        )
        given, wanted = (x[..., : self.phase_bins] for x in (given, wanted))
        moved, meant = (x[..., 1:, :] * x[..., :-1, :].conj() for x in (given, wanted))
        silence = (self.silence_rms * window.norm()) ** 2
        cosine = (moved * meant.conj()).real / (moved.abs() * meant.abs() + silence**2)
        weight = meant.abs().sqrt()
        heard, total = (x.flatten(1).sum(1) for x in (weight * cosine, weight))
        return (total - heard) / total.clamp_min(1e-12)

    def _ltas(self, estimate: Tensor, target: Tensor) -> Tensor:
        n = len(self.ltas_window)
        given, wanted = (
            power(spectra(nn.functional.pad(x, (n // 2, n // 2)), self.ltas_window, n // 4)).mean(2)
            for x in (estimate, target)
        )
        silence = self.silence_rms**2 * self.ltas_window.square().sum()
        floor = silence + _LTAS_RANGE * wanted.amax((1, 2), keepdim=True)
        return 0.5 * ((given + floor) / (wanted + floor)).log().abs().flatten(1).mean(1)

    def _waveform(self, estimate: Tensor, target: Tensor) -> Tensor:
        silence = self.silence_rms**2 * target[0].numel()
        wanted_energy = target.square().flatten(1).sum(1)
        given_energy = estimate.square().flatten(1).sum(1)
        product = (estimate * target).flatten(1).sum(1)
        cosine = product / ((wanted_energy + silence) * (given_energy + silence)).sqrt()
        return wanted_energy / (wanted_energy + silence) - cosine


class AuralossMultiResolution(nn.Module):
    """`auraloss.freq.MultiResolutionSTFTLoss` with its own defaults (Steinmetz & Reiss 2020).

    The score that `metrics.reconstruction` reports, as a training loss: one term, `mrstft`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.distance = auraloss.freq.MultiResolutionSTFTLoss()

    def forward(
        self,
        estimate: Float[Tensor, "batch channel time"],
        target: Float[Tensor, "batch channel time"],
    ) -> Terms:
        pairs = zip(estimate.split(1), target.detach().split(1), strict=True)
        return {"mrstft": torch.stack([self.distance(given, want) for given, want in pairs])}
