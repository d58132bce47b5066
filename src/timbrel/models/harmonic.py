"""A decoder that plays the pitch it is told: harmonics at f0, a free part, and noise."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from timbrel.contracts import Conditions, Decoded, DecoderState, Latent
from timbrel.dsp.stft import hann, istft, mean_square, power, stft
from timbrel.models.blocks import FrameStack
from timbrel.models.brightness_correction import BrightnessCorrection
from timbrel.models.decoders import NOISE_PERIOD_FRAMES, level, whisper
from timbrel.models.envelope import SmoothEnvelope
from timbrel.models.excitation import Excitation
from timbrel.models.first_weights import Wanted
from timbrel.models.free_sinusoids import FreeSinusoids
from timbrel.models.harmonic_gains import HarmonicGains
from timbrel.models.heard_parts import heard_parts, spectrum_power
from timbrel.models.level_correction import NEPERS_PER_DB, LevelCorrection, nepers_of
from timbrel.models.linear import Linear
from timbrel.models.modes import Modes
from timbrel.models.noise import PositionalNoise
from timbrel.models.noisiness_correction import above_f0, quietened_sum, with_breath
from timbrel.models.parts import Parts
from timbrel.models.seen import code_and_tracks
from timbrel.models.temporal_envelope import TemporalEnvelope

_FOLLOWED = 0.5
_BLOCK_FRAMES, _LEAST_BLOCK_FRAMES = 256, 16  # the first: of one channel, in a processor's cache


class HarmonicDecoder(nn.Module):
    """Residual blocks at frame rate, then an inverse STFT of parts that add up.

    - harmonic: the spectrum of a flat harmonic tone at f0 (`Excitation`), times a learned envelope,
      with `harmonic_gains` the learned gains of so many harmonics by number (`HarmonicGains`), and
      the confidence in f0: its pitch is right whatever has been learned;
    - free: a sinusoid near every bin (`FreeSinusoids`) for strokes, chords, partials of bells and
      whatever else is no harmonic; where f0 is certain, times `free_where_voiced`;
    - noise of a learned level (Serra & Smith 1990);
    - with `modes`, so many partials between one harmonic and the next at learned ratios of f0
      (`Modes`), for what is struck: it has a pitch, and its partials are not harmonic. They need
      `noisiness`.

    All magnitudes follow the level track by a learned share per bin, which begins at one half.
    A window is longer than a stroke, so `TemporalEnvelope` shapes their sum in time. With
    `brightness` each frame is tilted towards the centroid that the track `centroid_hz` gives.
    Outside training it is then brought to the K-weighted level of the track `loudness_db`: by its
    loudest bins, after which it is tilted again, and as a whole; where the track is silent so is
    the sound. In training it is not, or a peak that is too low would cost as little as a right one.
    With `noisiness`, where f0 is certain, the harmonic part is also brought to stand out from the
    two others at least by the track `hnr_db`. In training it is not: noise whose excess is taken
    away costs nothing, and its spectrum is not learned.

    A source and a filter, as in DDSP (Engel et al. 2020); differs: the envelope has a value for
    every bin up to 3 kHz, and the free part plays what has no f0. The blocks see all tracks that
    `conditions` names. Between frames phases go on without end: a stream hands them
    from block to block (`decode_on`).
    """

    balances = True
    """Whether `balance_db` (`contracts.Conditions`) moves its noise against all else."""

    window: Float[Tensor, " window"]

    def __init__(
        self,
        *,
        channels: int,
        latent_dim: int,
        clip_dim: int,
        sample_rate_hz: int,
        window_samples: int,
        hop_samples: int,
        width: int,
        blocks: int,
        kernel_frames: int,
        expansion: int,
        dropout: float = 0.0,
        brightness: bool = False,
        noisiness: bool = False,
        free_where_voiced: float = 0.0,
        modes: int = 0,
        harmonic_gains: int = 0,
    ) -> None:
        super().__init__()
        self.conditions: tuple[str, ...] = ("f0_hz", "confidence", "loudness_db")
        if brightness:
            self.conditions = (*self.conditions, "centroid_hz")
        if noisiness:
            self.conditions = (*self.conditions, "hnr_db")
        self.free_where_voiced = free_where_voiced
        self.channels = channels
        self.hop_samples = hop_samples
        self.bin_hz = sample_rate_hz / window_samples
        self.register_buffer("window", hann(window_samples), persistent=False)
        self.bins = window_samples // 2 + 1
        self.noise_share = hop_samples / window_samples
        self.project = Linear(latent_dim + clip_dim + len(self.conditions), width)
        self.stack = FrameStack(
            width=width,
            blocks=blocks,
            kernel_frames=kernel_frames,
            expansion=expansion,
            dropout=dropout,
        )
        self.excitation = Excitation(sample_rate_hz=sample_rate_hz, hop_samples=hop_samples)
        self.envelope = SmoothEnvelope(width, channels, self.bins)
        self.gains = None
        if harmonic_gains:
            self.gains = HarmonicGains(
                width, channels=channels, count=harmonic_gains, bins=self.bins, bin_hz=self.bin_hz
            )
        self.magnitude = whisper(width, channels * self.bins)
        self.direction = Linear(width, 2 * channels * self.bins)
        self.sinusoids = FreeSinusoids(
            channels=channels,
            sample_rate_hz=sample_rate_hz,
            window_samples=window_samples,
            hop_samples=hop_samples,
        )
        self.deviation = Linear(width, channels * self.sinusoids.tuned_bins)
        self.modes = None
        if modes:
            if not noisiness:
                raise ValueError(f"decoder.modes={modes} needs decoder.noisiness=true")
            self.modes = Modes(
                width,
                between=modes,
                channels=channels,
                sample_rate_hz=sample_rate_hz,
                window_samples=window_samples,
                hop_samples=hop_samples,
            )
        self.followed = nn.Parameter(torch.full((3, channels * self.bins), _FOLLOWED))
        self.level_correction = LevelCorrection(
            channels=channels,
            sample_rate_hz=sample_rate_hz,
            window=self.window,
            hop_samples=hop_samples,
        )
        self.brightness_correction = BrightnessCorrection(
            bins=self.bins, sample_rate_hz=sample_rate_hz
        )
        self.temporal_envelope = TemporalEnvelope(window=self.window, hop_samples=hop_samples)
        self.noise = SmoothEnvelope(width, channels, self.bins)
        self.white = PositionalNoise(channels * self.bins, period_frames=NOISE_PERIOD_FRAMES)
        # The windows that make two frames and measure their levels touch at this distance; and
        # the gain between two frames takes both.
        self.context_frames = max(
            self.stack.context_frames, self.temporal_envelope.context_frames
        ) + math.ceil(window_samples / hop_samples)

    def forward(self, latent: Latent) -> Float[Tensor, "batch channel time"]:
        return self.decode_on(latent, DecoderState()).audio

    def decode_on(self, latent: Latent, known: DecoderState) -> Decoded:
        """Audio, and phases as they go on; `known` has those of the first frames, if any."""
        given = latent.conditions
        assert given.f0_hz is not None  # the autoencoder has checked them
        assert given.loudness_db is not None
        n_batch, _, n_frames = latent.frames.shape
        features = self.features(latent)
        with torch.autocast(features.device.type, enabled=False):  # exp and FFT want fp32
            tone = self.excitation(given.f0_hz, given.first_cycle)
            tone = stft(tone, self.window, self.hop_samples).transpose(1, 2)
            white = torch.view_as_complex(self.white(n_frames, given.first_frame))
            decode = self._at_once if self.training or not features.is_cpu else self._in_blocks
            spectrum, phases = decode(features, tone, white, given, known.phases)
            spectrum = spectrum.unflatten(2, (self.channels, self.bins))
            spectrum = spectrum.permute(0, 2, 3, 1).flatten(0, 1)
            audio = istft(spectrum, self.window, self.hop_samples)
            audio = audio.view(n_batch, self.channels, -1)
            audio = audio * self.temporal_envelope(given.loudness_db)
            if not self.training:
                audio = audio * self.level_correction.gain(audio, given.loudness_db)
        return Decoded(audio, DecoderState(phases.detach()))

    def features(self, latent: Latent) -> Float[Tensor, "batch frame width"]:
        """What all layers of levels read."""
        features: Tensor = self.stack(self.project(code_and_tracks(latent, self.conditions)))
        return features

    def wanted(
        self, audio: Float[Tensor, "batch channel time"], conditions: Conditions
    ) -> list[Wanted]:
        """The log magnitudes of its parts, for `first_weights.fit_first`."""
        heard = heard_parts(
            spectrum_power(audio, self.window, self.hop_samples), conditions, self.bin_hz
        )
        parts = (heard.harmonic, heard.free, heard.noise)
        harmonic, free, noise = (
            (log_magnitude.flatten(2) - followed).unflatten(2, (self.channels, self.bins))
            for log_magnitude, followed in zip(parts, self._followed(conditions), strict=True)
        )
        wanted = [
            Wanted(self.envelope.values, self.envelope.values_for(harmonic), heard.voiced),
            Wanted(self.magnitude, free.flatten(2), heard.sounding),
            Wanted(self.noise.values, self.noise.values_for(noise), heard.sounding),
        ]
        if self.modes is not None:
            levels = self.modes.values_for(heard.spectrum, heard.smooth, conditions)
            wanted.append(Wanted(self.modes.magnitude, levels, heard.voiced))
        return wanted

    def _in_blocks(
        self, features: Tensor, tone: Tensor, white: Tensor, given: Conditions, known: Tensor | None
    ) -> tuple[Complex[Tensor, "batch frame bin"], Complex[Tensor, "batch frame phase"]]:
        """`_at_once` of so few frames at a time that a processor's cache holds them.

        A block begins with the last frame of the one before: phases go on from there.
        """
        n_batch, n_frames, _ = features.shape
        spectra: list[Tensor] = []
        phases: list[Tensor] = []
        length = max(_LEAST_BLOCK_FRAMES, _BLOCK_FRAMES // (n_batch * self.channels))
        for start in range(0, n_frames, length):
            block = slice(max(0, start - 1), start + length)
            before = None if known is None else known[:, block]
            if start and (before is None or before.shape[1] == 0):
                before = phases[-1][:, -1:]
            spectrum, states = self._at_once(
                features[:, block],
                tone[:, block],
                white[:, block],
                given.cut(block.start, block.stop),
                before,
            )
            spectra.append(spectrum[:, start - block.start :])
            phases.append(states[:, start - block.start :])
        return torch.cat(spectra, 1), torch.cat(phases, 1)

    def _at_once(
        self, features: Tensor, tone: Tensor, white: Tensor, given: Conditions, known: Tensor | None
    ) -> tuple[Complex[Tensor, "batch frame bin"], Complex[Tensor, "batch frame phase"]]:
        """The spectrum of all parts, and the phases of the free sinusoids and of the modes.

        `tone` and `white` are the spectra of the excitation and of the noise.
        """
        assert given.confidence is not None
        assert given.f0_hz is not None
        sure = given.confidence[..., None]
        harmonic, free, noise = self._levels(features, given)
        full_scale = self.window.sum() / 2
        share = full_scale * (1 - (1 - self.free_where_voiced) * sure)
        of_bins, of_modes = self._split(known)
        free_part, phases = self.sinusoids(
            free,
            self.deviation(features),
            self.direction(features),
            share,
            of_bins,
            given.transposed_octaves,
        )
        gains = 0.0 if self.gains is None else self.gains(features, given.f0_hz)
        tonal = self._in_all_channels(tone) * (level(harmonic + gains) * sure)
        if self.modes is not None:
            partials, turned = self.modes(features, self._amplitude(tonal), given, of_modes)
            free_part = free_part + full_scale * partials
            phases = torch.cat([phases, turned], dim=2)
        magnitude = full_scale * level(noise)
        if given.balance_db is not None and "hnr_db" in self.conditions:
            magnitude = with_breath(
                magnitude,
                full_scale * level(harmonic),
                power(tonal).sum(2),
                given,
                above_f0=self._in_all_channels(above_f0(given.f0_hz, self.bin_hz, self.bins)),
                share=self.noise_share,
            )
        parts = Parts(tonal, free_part, white * magnitude)
        return self._corrected(parts, given), phases

    def _split(self, known: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """The phases of the free sinusoids and of the modes."""
        if known is None:
            return None, None
        n_bins = self.channels * self.bins
        return known[..., :n_bins], known[..., n_bins:]

    def _amplitude(self, spectrum: Tensor) -> Float[Tensor, "batch frame channel"]:
        """That of a sine with the power of each channel of `spectrum`; no gradient passes."""
        found = power(spectrum.detach()).unflatten(2, (self.channels, self.bins)).sum(3)
        return (2 * mean_square(found, self.window)).sqrt()

    def _corrected(self, parts: Parts, given: Conditions) -> Complex[Tensor, "batch frame bin"]:
        """The sum of all parts, every frame with the centroid of its track.

        Outside training also with its level, and as little noisy as its track says.
        """
        assert given.loudness_db is not None
        spectrum = parts.harmonic + parts.free + parts.noise
        found = power(spectrum)
        factor = self._tilt(found, given)
        if not self.training:
            factor = factor * self.level_correction.lift(found * factor**2, given.loudness_db)
            if "hnr_db" in self.conditions:
                spectrum = quietened_sum(parts, factor, given, self.noise_share)
                found = power(spectrum)
            factor = factor * self._tilt(found * factor**2, given)
            if given.more_tilt_db is not None and "hnr_db" in self.conditions:
                spectrum = quietened_sum(parts, factor, given, self.noise_share)  # again
        return spectrum * factor

    def _tilt(self, found: Tensor, given: Conditions) -> Float[Tensor, "batch frame #bin"]:
        """The factors that bring bins of the power `found` to the centroid of the track."""
        if "centroid_hz" not in self.conditions:
            return torch.ones_like(found[..., :1])
        assert given.centroid_hz is not None
        found = found.unflatten(2, (self.channels, self.bins)).sum(2)
        return self._in_all_channels(
            self.brightness_correction(found, given.centroid_hz, given.more_tilt_db)
        )

    def _in_all_channels(self, bins: Tensor) -> Tensor:
        return bins if self.channels == 1 else bins.repeat(1, 1, self.channels)

    def _levels(
        self, features: Tensor, given: Conditions
    ) -> list[Float[Tensor, "batch frame bin"]]:
        """Log magnitudes of the three parts; `balance_db` moves the noise against the others.

        With a track of noisiness only downwards: what is added has another colour.
        """
        heads = (self.envelope, self.magnitude, self.noise)
        levels = [
            head(features).float() + followed
            for head, followed in zip(heads, self._followed(given), strict=True)
        ]
        if given.balance_db is None:
            return levels
        half = NEPERS_PER_DB / 2 * given.balance_db[..., None]
        if "hnr_db" in self.conditions:
            half = half.clamp_min(0.0)
        return [levels[0] + half, levels[1] + half, levels[2] - half]

    def _followed(self, given: Conditions) -> list[Float[Tensor, "batch frame bin"]]:
        """What the level track adds to the log magnitudes of each part."""
        assert given.loudness_db is not None
        nepers = nepers_of(given.loudness_db)
        return [share * nepers for share in self.followed]
