"""Latents to audio: streamed with the decoder's context, shaped with gain and fades."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.contracts import Latent, joined
from timbrel.dsp.phase import elapsed_periods
from timbrel.errors import UserError
from timbrel.generation.source import LatentSource
from timbrel.models.autoencoder import Autoencoder

AudioBlock = NDArray[np.float32]  # channel time

_BLOCK_FRAMES = 512


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


@torch.inference_mode()
def _decode(model: Autoencoder, latent: Latent, first_frame: int, first_cycle: float) -> AudioBlock:
    device = next(model.parameters()).device
    position = replace(
        latent.conditions,
        first_frame=torch.tensor([first_frame]),
        first_cycle=torch.tensor([first_cycle]),
    )
    placed = replace(latent, conditions=position).map(lambda x: x.to(device))
    return model.decode(placed)[0].float().cpu().numpy()


def decode_stream(
    model: Autoencoder, blocks: Iterable[Latent], *, block_frames: int = _BLOCK_FRAMES
) -> Iterator[AudioBlock]:
    """What `model.decode` gives for the joined blocks, in blocks of `block_frames`.

    Every block is decoded with `decoder_context_frames` of its neighbours on each side and those
    are cut off again, so that the result is the whole decoding's up to rounding.
    """
    context, hop = model.decoder_context_frames, model.hop_samples
    held: Latent | None = None  # frames from `before` frames ahead of the next one to play
    before = 0
    first = 0  # the position of the held frames in the sound
    cycle = 0.0  # the phase of f0 there
    for block in blocks:
        held = block if held is None else joined([held, block])
        while held.n_frames >= before + block_frames + context:
            audio = _decode(model, held.cut(0, before + block_frames + context), first, cycle)
            yield audio[:, before * hop : (before + block_frames) * hop]
            drop = max(0, before + block_frames - context)
            cycle = _cycle_at(drop, held, cycle, hop / model.sample_rate_hz)
            held = held.cut(drop)
            before = before + block_frames - drop
            first += drop
    if held is not None and held.n_frames > before:
        yield _decode(model, held, first, cycle)[:, before * hop :]


def _cycle_at(frame: int, latent: Latent, first_cycle: float, frame_s: float) -> float:
    """The phase of f0 in the middle of `frame`, in periods from 0 to 1; 0 where there is no f0."""
    f0_hz = latent.conditions.f0_hz
    if f0_hz is None:
        return 0.0
    periods = elapsed_periods(f0_hz[:, : frame + 1], frame_s)[0, frame]
    return (first_cycle + float(periods)) % 1.0


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


def _rise(index: NDArray[np.int64], length: int) -> NDArray[np.float64]:
    """Raised cosine from 0 to 1 over `length` samples, sampled mid-way, then 1."""
    if length == 0:
        return np.ones(len(index))
    return 0.5 - 0.5 * np.cos(math.pi * np.clip((index + 0.5) / length, 0.0, 1.0))
