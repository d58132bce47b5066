"""A decoder whose every part has a name: partials of a tone, bands of noise, bursts, a room."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from timbrel.contracts import Conditions, Decoded, DecoderState, Latent
from timbrel.dsp.additive import (
    LOWEST_HZ,
    audible,
    cycles_at_middles,
    dispersed,
    oscillators,
    stretched,
)
from timbrel.dsp.stft import hann
from timbrel.models.blocks import FrameStack
from timbrel.models.ddsp_parts import DdspParts
from timbrel.models.decoders import NOISE_PERIOD_FRAMES, level, single, whisper
from timbrel.models.first_weights import Wanted
from timbrel.models.free_sinusoids import FreePart
from timbrel.models.heard_parts import NOISE_GAIN, heard_parts, spectrum_power
from timbrel.models.level_correction import NEPERS_PER_DB, LevelCorrection, nepers_of
from timbrel.models.linear import Linear
from timbrel.models.noise import BandNoise
from timbrel.models.recurrent import RecurrentStack
from timbrel.models.room import Room
from timbrel.models.seen import code_and_tracks
from timbrel.models.transients import REACH_FRAMES, Transients

_FOLLOWED = 0.5
_STIFFNESS_START = math.log(0.01)
STACKS = ("convolutional", "recurrent")
"""What `stack` may be: what the network that sees the frames consists of."""


class DdspDecoder(nn.Module):
    """A stack of blocks at frame rate, then a bank of oscillators, filtered noise and a room.

    - partials: sinusoids at n f0 (`dsp.additive`) with a learned amplitude each, times the
      confidence in f0. With `inharmonicity`, the greatest B of a stiff string, they lie at
      n f0 sqrt(1 + B n^2) with a learned B per frame;
    - noise with a learned level per band (`BandNoise`);
    - with `transients`, so many gains per frame of a second noise (`Transients`);
    - with `free_where_voiced`, a sinusoid near every bin for what is no harmonic of f0, and of it
      this share where f0 is certain (`FreePart`);
    - with `room_s`, a learned response of that length, in which both sound (`Room`).

    All levels follow the level track by a learned share, which begins at one half. With
    `brightness` each frame is tilted towards the centroid that the track `centroid_hz` gives.
    Outside training the sound is brought to the K-weighted level of the track `loudness_db`.

    Engel et al. 2020, "DDSP: Differentiable Digital Signal Processing". Differs: amplitudes are
    levels of their own and not shares of one amplitude; the stack is convolutional, or recurrent
    where `stack` says so (`RecurrentStack`, which has no use for `kernel_frames`); the code is the
    posterior's, frame by frame; phases of partials are dispersed. Without `free_where_voiced` it
    has no part for what is no harmonic of one f0, so it is for monophonic sounds.

    `least_voiced` is how much of what sounds in the recordings must have a clear pitch for a
    training to begin (`voiced_share`).

    Phases and a GRU's state go on from block to block (`decode_on`); a room must be heard anew in
    every block, so its length is part of `context_frames`.
    """

    balances = True
    """Whether `balance_db` (`contracts.Conditions`) moves its noise against all else."""

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
        partials: int,
        noise_bands: int,
        inharmonicity: float = 0.0,
        room_s: float = 0.0,
        transients: int = 0,
        free_where_voiced: float | None = None,
        brightness: bool = False,
        least_voiced: float = 0.0,
        dropout: float = 0.0,
        stack: str = "convolutional",
    ) -> None:
        super().__init__()
        self.conditions: tuple[str, ...] = ("f0_hz", "confidence", "loudness_db")
        if brightness:
            self.conditions = (*self.conditions, "centroid_hz")
        for name, value, low, high in (
            ("partials", partials, 1, 1000),
            ("noise_bands", noise_bands, 2, hop_samples),
            ("inharmonicity", inharmonicity, 0.0, 0.02),
            ("room_s", room_s, 0.0, 2.0),
            ("transients", transients, 0, hop_samples),
            ("free_where_voiced", free_where_voiced or 0.0, 0.0, 1.0),
            ("least_voiced", least_voiced, 0.0, 1.0),
        ):
            if not low <= value <= high:
                raise ValueError(f"decoder.{name}={value}: from {low} to {high}")
        if stack not in STACKS:
            raise ValueError(f"decoder.stack={stack}: {' or '.join(STACKS)}")
        self.least_voiced = least_voiced
        self.channels = channels
        self.sample_rate_hz = sample_rate_hz
        self.hop_samples = hop_samples
        self.partials = partials
        self.inharmonicity = inharmonicity
        self.project = Linear(latent_dim + clip_dim + len(self.conditions), width)
        self.stack: FrameStack | RecurrentStack
        if stack == "recurrent":
            self.stack = RecurrentStack(
                width=width, blocks=blocks, expansion=expansion, dropout=dropout
            )
        else:
            self.stack = FrameStack(
                width=width,
                blocks=blocks,
                kernel_frames=kernel_frames,
                expansion=expansion,
                dropout=dropout,
            )
        self.amplitude = whisper(width, channels * partials)
        self.noise = whisper(width, channels * noise_bands)
        self.followed = nn.ParameterList(
            torch.full((channels * n,), _FOLLOWED) for n in (partials, noise_bands)
        )
        if inharmonicity:
            self.stiffness = Linear(width, 1)
            nn.init.constant_(self.stiffness.bias, _STIFFNESS_START)
        self.white = BandNoise(
            channels=channels,
            bands=noise_bands,
            sample_rate_hz=sample_rate_hz,
            hop_samples=hop_samples,
            period_frames=NOISE_PERIOD_FRAMES,
        )
        self.transients = None
        if transients:
            self.transients = Transients(
                width,
                channels=channels,
                steps=transients,
                sample_rate_hz=sample_rate_hz,
                hop_samples=hop_samples,
            )
        self.free = None
        if free_where_voiced is not None:
            self.free = FreePart(
                width,
                channels=channels,
                sample_rate_hz=sample_rate_hz,
                window_samples=window_samples,
                hop_samples=hop_samples,
                where_voiced=free_where_voiced,
            )
        room_samples = round(room_s * sample_rate_hz)
        self.room = Room(channels=channels, length_samples=room_samples) if room_samples else None
        self.level_correction = LevelCorrection(
            channels=channels,
            sample_rate_hz=sample_rate_hz,
            window=hann(window_samples),
            hop_samples=hop_samples,
        )
        # What sounds between middles of frames is of both, a free part as long as its window; the
        # gain takes a window around each middle, and between two of them both gains.
        made_samples = hop_samples if self.free is None else window_samples // 2
        heard_samples = made_samples + window_samples // 2 + room_samples
        reach_frames = math.ceil(heard_samples / hop_samples)
        seen_frames = self.stack.context_frames
        if self.transients is not None:
            seen_frames = max(seen_frames, REACH_FRAMES)
        self.context_frames = seen_frames + reach_frames

    def own_terms(self) -> dict[str, Tensor]:
        """Losses of its weights alone: the room's tail, 0 without one."""
        tail = self.followed[0].new_zeros(()) if self.room is None else self.room.tail
        return {"room_tail": tail}

    def forward(self, latent: Latent) -> Float[Tensor, "batch channel time"]:
        return self.decode_on(latent, DecoderState()).audio

    def decode_on(self, latent: Latent, known: DecoderState) -> Decoded:
        """Audio and what goes on from it; `known` is that of the first frames.

        Phases are those of the partials, then of the free sinusoids.
        """
        given = latent.conditions
        assert given.f0_hz is not None  # the autoencoder has checked them
        assert given.confidence is not None
        assert given.loudness_db is not None
        features, hidden = self._features(latent, known)
        with torch.autocast(features.device.type, enabled=False):  # sines and FFTs want fp32
            of_partials, of_free = self._split(known.phases)
            hz = stretched(
                single(given.f0_hz).clamp_min(LOWEST_HZ), self.partials, self._stiffness(features)
            )
            cycles = self._cycles(hz, given.first_cycle, of_partials)
            parts, free_phases = self._parts(features, hz, given, of_free)
            if given.centroid_hz is not None and "centroid_hz" in self.conditions:
                parts = parts.as_bright_as(
                    given, partial_hz=hz, noise_hz=self.white.bins_hz, free_part=self.free
                )
            audio = self._sum(parts, hz, cycles, given)
            if self.room is not None:
                audio = self.room(audio)
            if not self.training:
                audio = audio * self.level_correction.gain(audio, given.loudness_db)
            angle = 2 * math.pi * cycles.detach()
            phases = torch.polar(torch.ones_like(angle), angle)
            if free_phases is not None:
                phases = torch.cat([phases, free_phases.detach()], dim=2)
            return Decoded(audio, DecoderState(phases, hidden))

    @property
    def window(self) -> Float[Tensor, " window"]:
        """With it a recording is looked at, for `first_weights.fit_first`."""
        return self.level_correction.window

    def features(self, latent: Latent) -> Float[Tensor, "batch frame width"]:
        """What all layers of levels read."""
        return self._features(latent, DecoderState())[0]

    def wanted(
        self, audio: Float[Tensor, "batch channel time"], conditions: Conditions
    ) -> list[Wanted]:
        """The log levels of partials, noise and a free part, for `first_weights.fit_first`."""
        assert conditions.f0_hz is not None
        assert conditions.loudness_db is not None
        bin_hz = self.sample_rate_hz / len(self.window)
        powers = spectrum_power(audio, self.window, self.hop_samples)
        heard = heard_parts(powers, conditions, bin_hz)
        nepers = nepers_of(conditions.loudness_db)
        hz = stretched(conditions.f0_hz.clamp_min(LOWEST_HZ), self.partials)
        places = (hz / bin_hz).round().long().clamp_max(powers.shape[3] - 1)
        partials = heard.harmonic.gather(3, places[:, :, None].expand(-1, -1, self.channels, -1))
        bands = self.white.levels_for(heard.noise - NOISE_GAIN, self.window)
        values = [
            levels.flatten(2) - share * nepers
            for levels, share in zip((partials, bands), self.followed, strict=True)
        ]
        fitted = [
            Wanted(self.amplitude, values[0], heard.voiced),
            Wanted(self.noise, values[1], heard.sounding),
        ]
        if self.free is not None:
            fitted.append(self.free.wanted(heard.free, nepers, heard.sounding))
        return fitted

    def _features(self, latent: Latent, known: DecoderState) -> tuple[Tensor, Tensor | None]:
        """What the heads see, and the stack's state of every frame where it has one."""
        projected = self.project(code_and_tracks(latent, self.conditions, lowest_hz=LOWEST_HZ))
        if not isinstance(self.stack, RecurrentStack):
            return self.stack(projected), None
        features, hidden = self.stack(projected, known.hidden)
        return features, hidden.detach()

    def _split(self, phases: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Known phases of the partials, and those of the free sinusoids."""
        if phases is None:
            return None, None
        return phases[..., : self.partials], phases[..., self.partials :]

    def _parts(
        self, features: Tensor, hz: Tensor, given: Conditions, known: Tensor | None
    ) -> tuple[DdspParts, Tensor | None]:
        """All parts as they are learned, and the phases of the free one.

        `balance_db` moves noise and bursts against the others.
        """
        assert given.confidence is not None
        assert given.loudness_db is not None
        nepers = nepers_of(given.loudness_db)
        more = torch.zeros_like(nepers)
        if given.balance_db is not None:
            more = NEPERS_PER_DB / 2 * given.balance_db[..., None]
        heads = ((self.amplitude, more), (self.noise, -more))
        partials, bands = (
            (single(head(features)) + share * nepers + lift)
            .unflatten(2, (self.channels, -1))
            .transpose(1, 2)
            for (head, lift), share in zip(heads, self.followed, strict=True)
        )
        gain = audible(hz, self.sample_rate_hz) * given.confidence[..., None]
        bursts, free, phases = None, None, None
        if self.transients is not None:
            bursts = self.transients.bursts(features, nepers, -more, given.loudness_db)
        if self.free is not None:
            free, phases = self.free(features, nepers, more, given, known)
        amplitude = level(partials) * gain[:, None]
        return DdspParts(amplitude, self.white.bins(bands), bursts, free), phases

    def _sum(
        self, parts: DdspParts, hz: Tensor, cycles: Tensor, given: Conditions
    ) -> Float[Tensor, "batch channel time"]:
        """The sound of all parts."""
        tone = oscillators(
            hz,
            parts.amplitude,
            cycles,
            sample_rate_hz=self.sample_rate_hz,
            hop_samples=self.hop_samples,
        )
        audio = tone + self.white(parts.noise, given.first_frame)
        if self.transients is not None and parts.bursts is not None:
            audio = audio + self.transients(parts.bursts, given.first_frame)
        if self.free is not None and parts.free is not None:
            audio = audio + self.free.audio(parts.free)
        return audio

    def _stiffness(self, features: Tensor) -> Float[Tensor, "batch frame"] | None:
        """B of every frame, below `inharmonicity`; None where partials are harmonics."""
        if not self.inharmonicity:
            return None
        return self.inharmonicity * torch.sigmoid(single(self.stiffness(features))).squeeze(2)

    def _cycles(
        self,
        hz: Float[Tensor, "batch frame partial"],
        first_cycle: Float[Tensor, " batch"] | None,
        known: Complex[Tensor, "batch known partial"] | None,
    ) -> Float[Tensor, "batch frame partial"]:
        """Phases in the middles of frames, in periods: they go on from the last known one."""
        frame_s = self.hop_samples / self.sample_rate_hz
        if known is not None:
            before = known.angle() / (2 * math.pi)
            last = before.shape[1] - 1
            after = cycles_at_middles(hz[:, last:], before[:, last], frame_s=frame_s)
            return torch.cat([before[:, :last], after], dim=1)
        first = dispersed(self.partials).expand(len(hz), -1)
        if first_cycle is not None:
            number = torch.arange(1, self.partials + 1, dtype=torch.float64)
            first = first + number * first_cycle.cpu().double()[:, None]
        return cycles_at_middles(hz, first, frame_s=frame_s)
