"""Latents to audio: streamed with the decoder's context, shaped with gain and fades."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.contracts import Decoded, DecoderState, Latent, joined
from timbrel.dsp.phase import elapsed_periods
from timbrel.errors import UserError
from timbrel.generation.source import LatentSource
from timbrel.models.autoencoder import Autoencoder

AudioBlock = NDArray[np.float32]  # channel time

_BLOCK_FRAMES = 512
_SILENCE_SAMPLES = 1 << 16


def render(
    model: Autoencoder,
    source: LatentSource,
    *,
    gain_db: float = 0.0,
    fade_in_s: float = 0.0,
    fade_out_s: float = 0.0,
    block_frames: int = _BLOCK_FRAMES,
) -> Iterator[AudioBlock]:
    """`source.n_samples` of audio (channel time), block by block, in constant memory.

    Raises UserError where the model's output is not finite.
    """
    decoded = decode_stream(model, source.blocks(), block_frames=block_frames)
    shaped = shape(
        decoded,
        n_samples=source.n_samples,
        rate_hz=model.sample_rate_hz,
        gain_db=gain_db,
        fade_in_s=fade_in_s,
        fade_out_s=fade_out_s,
    )
    start = 0
    for block in shaped:
        if not np.isfinite(block).all():
            raise UserError(
                f"the model's output is not finite (NaN or infinity) near "
                f"{start / model.sample_rate_hz:.2f} s; its training diverged: use another model"
            )
        start += block.shape[1]
        yield block


@dataclass(frozen=True)
class _Place:
    """Where in its sound a code begins, and what is known of it there (`contracts.Conditions`)."""

    first_frame: int = 0
    first_cycle: float = 0.0
    known: DecoderState = field(default_factory=DecoderState)
    """Of the frames that have been decoded before, on the model's device."""

    def after(self, frames: int, latent: Latent, known: DecoderState, frame_s: float) -> "_Place":
        """The place `frames` further on in `latent`, of which this state is `known` here."""
        f0_hz, cycle = latent.conditions.f0_hz, self.first_cycle
        if f0_hz is not None:
            cycle += float(elapsed_periods(f0_hz[:, : frames + 1], frame_s)[0, frames])
        return _Place(self.first_frame + frames, cycle % 1.0, known.cut(frames))


@torch.inference_mode()
def _decode(model: Autoencoder, latent: Latent, place: _Place) -> Decoded:
    device = next(model.parameters()).device
    conditions = replace(
        latent.conditions,
        first_frame=torch.tensor([place.first_frame]),
        first_cycle=torch.tensor([place.first_cycle]),
    )
    placed = replace(latent, conditions=conditions).map(lambda x: x.to(device))
    return model.decode_on(placed, place.known)


def _block(decoded: Decoded, start: int, stop: int | None = None) -> AudioBlock:
    return decoded.audio[0, :, start:stop].float().cpu().numpy()


def decode_stream(
    model: Autoencoder,
    blocks: Iterable[Latent],
    *,
    block_frames: int = _BLOCK_FRAMES,
    first_frame: int = 0,
    first_cycle: float = 0.0,
) -> Iterator[AudioBlock]:
    """What `model.decode` gives for the joined blocks, in blocks of `block_frames`.

    Every block is decoded with `decoder_context_frames` of its neighbours on each side and those
    are cut off again, and goes on from the state of those ahead of it, so that the result is the
    whole decoding's up to rounding. Another first frame gives the same sound with other noise,
    another first cycle (`contracts.Conditions`) the same with harmonics of other phases.
    """
    context, hop = model.decoder_context_frames, model.hop_samples
    frame_s = hop / model.sample_rate_hz
    held: Latent | None = None  # frames from `before` frames ahead of the next one to play
    before = 0
    place = _Place(first_frame, first_cycle)  # of the held frames
    for block in blocks:
        held = block if held is None else joined([held, block])
        while held.n_frames >= before + block_frames + context:
            played = before + block_frames
            decoded = _decode(model, held.cut(0, played + context), place)
            yield _block(decoded, before * hop, played * hop)
            drop = max(0, played - context)
            place = place.after(drop, held, decoded.state.cut(0, played), frame_s)
            held = held.cut(drop)
            before = played - drop
    if held is not None and held.n_frames > before:
        yield _block(_decode(model, held, place), before * hop)


def shape(
    blocks: Iterable[AudioBlock],
    *,
    n_samples: int,
    rate_hz: int,
    gain_db: float,
    fade_in_s: float,
    fade_out_s: float,
) -> Iterator[AudioBlock]:
    """The first `n_samples` with a gain and raised-cosine fades.

    A fade longer than the sound spans all of it; fades that overlap multiply.
    """
    gain = 10 ** (gain_db / 20)
    fade_in = min(round(fade_in_s * rate_hz), n_samples)
    fade_out = min(round(fade_out_s * rate_hz), n_samples)
    start = 0
    for block in blocks:
        block = block[:, : n_samples - start]
        if block.shape[1] == 0:
            return
        index = np.arange(start, start + block.shape[1])
        envelope = _rise(index, fade_in) * _rise(n_samples - 1 - index, fade_out)
        yield (block * (gain * envelope)).astype(np.float32)
        start += block.shape[1]


def silence(channels: int, n_samples: int) -> Iterator[AudioBlock]:
    """Digital silence, in blocks."""
    for start in range(0, n_samples, _SILENCE_SAMPLES):
        yield np.zeros((channels, min(_SILENCE_SAMPLES, n_samples - start)), np.float32)


def _rise(index: NDArray[np.int64], length: int) -> NDArray[np.float64]:
    """Raised cosine from 0 to 1 over `length` samples, sampled mid-way, then 1."""
    if length == 0:
        return np.ones(len(index))
    return 0.5 - 0.5 * np.cos(math.pi * np.clip((index + 0.5) / length, 0.0, 1.0))
