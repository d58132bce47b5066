"""What no partial of an f0 plays: a sinusoid near every bin of a spectrum, whose phase goes on."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from timbrel.contracts import Conditions
from timbrel.dsp.oscillators import TUNED_HZ, carried_on, sinusoids, sinusoids_at
from timbrel.dsp.stft import hann, istft, mean_square, power
from timbrel.models.decoders import direction, level, single, whisper
from timbrel.models.first_weights import Wanted
from timbrel.models.linear import Linear

_ONSET_NEPERS = math.log(2.0)
_MOST_DEVIATION_BINS = 0.75
_FOLLOWED = 0.5


class FreeSinusoids(nn.Module):
    """Spectra of sinusoids near every bin, and their phases; it has no weights.

    A sinusoid begins with a given phase where its magnitude rises by 6 dB, and goes on at a given
    frequency (Flanagan & Golden 1966, "phase vocoder"). With a given phase in every frame whatever
    is steady comes out on multiples of the frame rate.

    - `deviation`: from the bin's frequency, 0.75 bins times its tanh, for `tuned_bins` bins;
    - `toward`: points in the plane, all real parts and then all imaginary ones, for the phases;
    - `share`: the magnitudes are this times `level(log_magnitude)`;
    - `known`: the phases of the first frames, where they have been decoded before;
    - `octaves`: how far above these frequencies they are played.
    """

    turn: Complex[Tensor, " bin"]

    def __init__(
        self, *, channels: int, sample_rate_hz: int, window_samples: int, hop_samples: int
    ) -> None:
        super().__init__()
        self.channels = channels
        self.bins = window_samples // 2 + 1
        self.tuned_bins = min(self.bins, round(TUNED_HZ / sample_rate_hz * window_samples))
        self.bin_advance = 2 * math.pi * hop_samples / window_samples
        advance = (self.bin_advance * torch.arange(self.bins)).remainder(2 * math.pi)
        turn = torch.polar(torch.ones_like(advance), advance)
        self.register_buffer("turn", turn, persistent=False)

    def forward(
        self,
        log_magnitude: Float[Tensor, "batch frame channel_bin"],
        deviation: Float[Tensor, "batch frame channel_tuned"],
        toward: Float[Tensor, "batch frame pair"],
        share: Float[Tensor, "batch frame #channel_bin"],
        known: Complex[Tensor, "batch known channel_bin"] | None,
        octaves: Float[Tensor, "batch frame"] | None = None,
    ) -> tuple[
        Complex[Tensor, "batch frame channel_bin"], Complex[Tensor, "batch frame channel_bin"]
    ]:
        deviation = _MOST_DEVIATION_BINS * torch.tanh(single(deviation))
        deviation = deviation.unflatten(2, (self.channels, self.tuned_bins))
        rises = log_magnitude.detach().diff(dim=1) > _ONSET_NEPERS
        begins = nn.functional.pad(rises, (0, 0, 1, 0), value=True).to(deviation)
        goes_on = (1 - begins).unflatten(2, (self.channels, self.bins))
        place = None if octaves is None else self._places(deviation, octaves)
        if place is None:
            low, high = goes_on.split([self.tuned_bins, self.bins - self.tuned_bins], dim=3)
            turn = torch.polar(low, self.bin_advance * deviation) * self.turn[: self.tuned_bins]
            turn = torch.cat([turn, high * self.turn[self.tuned_bins :]], dim=3)
        else:
            turn = torch.polar(goes_on, self.bin_advance * place)
        turn = turn.flatten(2)
        real, imaginary, to_unit = direction(toward)
        to_unit = to_unit * begins
        phases = carried_on(turn, torch.complex(to_unit * real, to_unit * imaginary), known)
        amplitude = phases * (level(log_magnitude) * share)
        amplitude = amplitude.unflatten(2, (self.channels, self.bins))
        spectrum = (
            sinusoids(amplitude, deviation) if place is None else sinusoids_at(amplitude, place)
        )
        return spectrum.flatten(2), phases

    def _places(
        self,
        deviation: Float[Tensor, "batch frame channel tuned"],
        octaves: Float[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch frame channel bin"]:
        """Frequencies in bins, the learned ones moved by `octaves`."""
        untuned = self.bins - self.tuned_bins
        own = nn.functional.pad(deviation, (0, untuned)) + torch.arange(
            self.bins, device=deviation.device
        )
        return own * octaves.to(own).exp2()[:, :, None, None]


class FreePart(nn.Module):
    """`FreeSinusoids` with the layers that say what they are, beside partials of an f0.

    Where f0 is certain it is `where_voiced` of itself: a free part that may play all of a note
    takes it over, and is not held to its pitch. Magnitudes follow the level track by a learned
    share per bin, which begins at one half.
    """

    window: Float[Tensor, " window"]
    bins_hz: Float[Tensor, " bin"]

    def __init__(
        self,
        width: int,
        *,
        channels: int,
        sample_rate_hz: int,
        window_samples: int,
        hop_samples: int,
        where_voiced: float,
    ) -> None:
        super().__init__()
        self.hop_samples = hop_samples
        self.where_voiced = where_voiced
        self.sinusoids = FreeSinusoids(
            channels=channels,
            sample_rate_hz=sample_rate_hz,
            window_samples=window_samples,
            hop_samples=hop_samples,
        )
        bins = self.sinusoids.bins
        self.magnitude = whisper(width, channels * bins)
        self.direction = Linear(width, 2 * channels * bins)
        self.deviation = Linear(width, channels * self.sinusoids.tuned_bins)
        self.followed = nn.Parameter(torch.full((channels * bins,), _FOLLOWED))
        self.register_buffer("window", hann(window_samples), persistent=False)
        bins_hz = torch.linspace(0.0, sample_rate_hz / 2, bins)
        self.register_buffer("bins_hz", bins_hz, persistent=False)

    def forward(
        self,
        features: Float[Tensor, "batch frame width"],
        nepers: Float[Tensor, "batch frame 1"],
        more_nepers: Float[Tensor, "batch frame 1"],
        given: Conditions,
        known: Complex[Tensor, "batch known channel_bin"] | None,
    ) -> tuple[Complex[Tensor, "batch frame channel bin"], Tensor]:
        """Its spectrum, and the phases as they go on.

        `nepers` is the level to follow; its magnitudes are `more_nepers` above what is learned.
        """
        assert given.confidence is not None
        log_magnitude = single(self.magnitude(features)) + self.followed * nepers + more_nepers
        share = 1 - (1 - self.where_voiced) * given.confidence[..., None]
        spectrum, phases = self.sinusoids(
            log_magnitude,
            self.deviation(features),
            self.direction(features),
            share * (self.window.sum() / 2),
            known,
            given.transposed_octaves,
        )
        return spectrum.unflatten(2, (self.sinusoids.channels, -1)), phases

    def wanted(
        self,
        log_magnitude: Float[Tensor, "batch frame channel bin"],
        nepers: Float[Tensor, "batch frame 1"],
        weight: Float[Tensor, "batch frame"],
    ) -> Wanted:
        """What its magnitudes should say for a spectrum, 0 for a full-scale sine."""
        return Wanted(self.magnitude, log_magnitude.flatten(2) - self.followed * nepers, weight)

    def mean_square(
        self, spectrum: Complex[Tensor, "batch frame channel bin"]
    ) -> Float[Tensor, "batch frame bin"]:
        """What every bin adds to the mean square of a frame, the sum of all channels."""
        return mean_square(power(spectrum).sum(2), self.window)

    def audio(
        self, spectrum: Complex[Tensor, "batch frame channel bin"]
    ) -> Float[Tensor, "batch channel time"]:
        sound = istft(spectrum.permute(0, 2, 3, 1).flatten(0, 1), self.window, self.hop_samples)
        return sound.unflatten(0, (len(spectrum), -1))
