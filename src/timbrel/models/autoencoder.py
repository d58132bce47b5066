"""The autoencoder: an encoder, a posterior and a decoder, composed in YAML."""

import math
from dataclasses import replace
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from timbrel.contracts import TRACKS, Conditions, Decoded, DecoderState, Latent, Posterior
from timbrel.dsp.mid_side import mid_side


@runtime_checkable
class Encoder(Protocol):
    """A module from audio in whole hops to features `batch frame width`."""

    hop_samples: int
    context_frames: int

    def __call__(
        self, audio: Float[Tensor, "batch channel time"], /
    ) -> Float[Tensor, "batch frame width"]: ...


@runtime_checkable
class Decoder(Protocol):
    """A module from a code to audio of `frame * hop_samples` samples.

    One that needs tracks beside the code (`contracts.TRACKS`) names them in `conditions`; they are
    then measured of every sound that is encoded, and the code carries them.
    """

    hop_samples: int
    context_frames: int

    def __call__(self, latent: Latent, /) -> Float[Tensor, "batch channel time"]: ...


@runtime_checkable
class ContinuingDecoder(Protocol):
    """A decoder whose state goes on from frame to frame, further than its context reaches.

    Given the state of the first frames, it goes on from the last of them, and returns that of all
    frames: so a stream is the whole sound. Its context is one frame at least.
    """

    def decode_on(self, latent: Latent, known: DecoderState, /) -> Decoded: ...


class Autoencoder(nn.Module):
    """`encode(audio) -> Posterior`, `decode(latent) -> audio`; stereo is mid/side inside.

    Every architecture's `_target_` builds one: this class, a function that returns one, or a class
    derived from it. Encoder, posterior and decoder are any modules that meet the protocols above.

    `encoder_context_frames` and `decoder_context_frames` tell how far, on each side, a frame
    depends on its neighbours, but for what `contracts.DecoderState` carries on;
    `receptive_field_samples` is the whole chain's.
    """

    def __init__(
        self,
        *,
        sample_rate_hz: int,
        channels: int,
        latent_dim: int,
        clip_dim: int,
        encoder: Encoder,
        posterior: nn.Module,
        decoder: Decoder,
    ) -> None:
        super().__init__()
        if channels not in (1, 2):
            raise ValueError(f"channels={channels}: a model is mono (1) or stereo (2)")
        if latent_dim + clip_dim == 0:
            raise ValueError("latent_dim=0 and clip_dim=0: nothing would pass the bottleneck")
        _check_part("encoder", encoder)
        _check_part("decoder", decoder)
        if encoder.hop_samples != decoder.hop_samples:
            raise ValueError(
                f"encoder hop {encoder.hop_samples} and decoder hop {decoder.hop_samples} differ"
            )
        self.sample_rate_hz = sample_rate_hz
        self.channels = channels
        self.latent_dim = latent_dim
        self.clip_dim = clip_dim
        self.encoder = encoder
        self.posterior = posterior
        self.decoder = decoder
        self.hop_samples = encoder.hop_samples
        self.encoder_context_frames = encoder.context_frames
        self.decoder_context_frames = decoder.context_frames
        self.conditions: tuple[str, ...] = tuple(getattr(decoder, "conditions", ()))
        unknown = [name for name in self.conditions if name not in TRACKS]
        if unknown:
            raise ValueError(
                f"decoder.conditions: {', '.join(unknown)}; known: {', '.join(TRACKS)}"
            )

    @property
    def receptive_field_samples(self) -> int:
        """Samples of input that one output sample can depend on."""
        reach_frames = self.encoder_context_frames + self.decoder_context_frames
        return (2 * reach_frames + 1) * self.hop_samples

    @property
    def latent_values_per_second(self) -> float:
        """Frame-code and track values per second (a clip code adds `clip_dim` per clip)."""
        width = self.latent_dim + len(self.conditions)
        return width * self.sample_rate_hz / self.hop_samples

    def encode(
        self, audio: Float[Tensor, "batch channel time"], conditions: Conditions | None = None
    ) -> Posterior:
        """q(z|audio); the end is padded with zeros to whole hops: `ceil(time / hop)` frames.

        The mean carries `conditions`, which must have the tracks that the decoder needs.

        Raises:
            ValueError: the channel count is not the model's, there is no sample, or a track that
                the decoder needs is missing.
        """
        if audio.shape[1] != self.channels or audio.shape[2] == 0:
            raise ValueError(
                f"expected audio (batch, {self.channels}, time > 0), got {tuple(audio.shape)}"
            )
        missing = math.ceil(audio.shape[2] / self.hop_samples) * self.hop_samples - audio.shape[2]
        padded = nn.functional.pad(audio, (0, missing))
        posterior = self.posterior(self.encoder(mid_side(padded)))
        carried = conditions or Conditions()
        self._check(carried)
        return replace(posterior, mean=replace(posterior.mean, conditions=carried))

    def decode(self, latent: Latent) -> Float[Tensor, "batch channel time"]:
        """Audio of `frame * hop_samples` samples.

        Raises:
            ValueError: the code lacks a track that the decoder needs.
        """
        self._check(latent.conditions)
        return mid_side(self.decoder(latent))

    def decode_on(self, latent: Latent, known: DecoderState) -> Decoded:
        """`decode`, with the state of the first frames where these have been decoded before.

        Raises:
            ValueError: as `decode`.
        """
        if not isinstance(self.decoder, ContinuingDecoder):
            return Decoded(self.decode(latent))
        self._check(latent.conditions)
        decoded = self.decoder.decode_on(latent, known)
        return replace(decoded, audio=mid_side(decoded.audio))

    def own_terms(self) -> dict[str, Tensor]:
        """Losses of the decoder's weights alone, by name; none where it has no `own_terms`."""
        terms: dict[str, Tensor] = getattr(self.decoder, "own_terms", dict)()
        return terms

    def _check(self, conditions: Conditions) -> None:
        lacking = [name for name in self.conditions if name not in conditions.tracks]
        if lacking:
            raise ValueError(f"the decoder needs {', '.join(lacking)} for every frame of a code")


def _check_part(role: str, part: object) -> None:
    """Raise ValueError where an encoder or decoder lacks what its protocol asks for."""
    name = type(part).__name__
    if not isinstance(part, nn.Module):
        raise ValueError(f"{role}: {name} is not a torch.nn.Module")
    lacking = [key for key in ("hop_samples", "context_frames") if not hasattr(part, key)]
    if lacking:
        raise ValueError(f"{role}: {name} has no {' and no '.join(lacking)}")


def not_an_autoencoder(built: object) -> str:
    """The message for an architecture that builds something else."""
    return (
        f"its _target_ builds a {type(built).__name__}, not an Autoencoder; return a "
        "timbrel.models.autoencoder.Autoencoder around your own encoder, posterior and decoder"
    )
