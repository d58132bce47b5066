"""Latents of a sound file: any rate, any channel count, any length, in constant memory."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.audio.read import describe, read_blocks
from timbrel.audio.resample import resample_blocks
from timbrel.contracts import Conditions, Latent, Posterior, joined
from timbrel.data.cache.entry import amplified, file_gain, loudest_channel, mix
from timbrel.data.chunks.conditions import measured_conditions
from timbrel.errors import UserError
from timbrel.models.autoencoder import Autoencoder

_BLOCK_FRAMES = 1024


class FileSource:
    """Posterior means of a file, encoded block by block with the encoder's context.

    The clip code is the mean of the blocks' clip codes, weighted by frames; of a file of up to
    `block_frames` frames it is the model's own. A first pass counts and checks the samples, because
    headers may be wrong. `downmix` and `normalise` are those of the recordings that trained the
    model. A model whose decoder needs tracks has them measured of the whole file at once, which
    then is held in memory.

    Raises UserError where the file cannot be read, is empty or not finite.
    """

    def __init__(
        self,
        path: Path,
        *,
        model: Autoencoder,
        downmix: str,
        normalise: str = "none",
        max_samples: int | None = None,
        block_frames: int = _BLOCK_FRAMES,
    ) -> None:
        self.path = Path(path)
        self.model = model
        self.downmix = downmix
        self.max_samples = max_samples
        self.block_frames = block_frames
        self._loudest = loudest_channel(self.path) if downmix == "loudest" else 0
        self._gain = file_gain(
            self.path, channels=model.channels, downmix=downmix, normalise=normalise
        )
        self.n_samples = sum(block.shape[1] for block in self.audio())
        if self.n_samples == 0:
            raise UserError(f"'{self.path}': no samples; give a file that holds sound")

    def blocks(self) -> Iterator[Latent]:
        """Consecutive frames, all with the file's clip code."""
        for latent in self._encoded():
            yield replace(latent, clip=self._clip)

    def _encoded(self) -> Iterator[Latent]:
        return encode_stream(
            self.model, self.audio(), self.conditions, block_frames=self.block_frames
        )

    @cached_property
    def conditions(self) -> Conditions:
        """The tracks that the decoder needs, of all frames."""
        if not self.model.conditions:
            return Conditions()
        return conditions_of(self.model, np.concatenate(list(self.audio()), axis=1))

    @cached_property
    def _clip(self) -> torch.Tensor:
        if self.model.clip_dim == 0:
            return torch.zeros(1, 0)
        return mean_clip(self._encoded())

    def audio(self) -> Iterator[NDArray[np.float32]]:
        """The model's input: blocks (channel time) at its sample rate, with its channels."""
        header = describe(self.path)
        remaining = self.max_samples
        for block in resample_blocks(self._mixed(), header.rate_hz, self.model.sample_rate_hz):
            kept = block if remaining is None else block[:remaining]
            if len(kept):
                yield kept.T
            if remaining is not None:
                remaining -= len(kept)
                if remaining == 0:
                    return

    def _mixed(self) -> Iterator[NDArray[np.float32]]:
        for block in read_blocks(self.path):
            if not np.isfinite(block).all():
                raise UserError(f"'{self.path}': samples that are not finite; repair or replace it")
            mixed = mix(
                block, channels=self.model.channels, downmix=self.downmix, loudest=self._loudest
            )
            yield amplified(mixed, self._gain)


def encode_posteriors(
    model: Autoencoder,
    blocks: Iterable[NDArray[np.float32]],
    conditions: Conditions | None = None,
    *,
    block_frames: int = _BLOCK_FRAMES,
) -> Iterator[Posterior]:
    """Posteriors of audio blocks (channel time), `block_frames` at a time, on the CPU.

    The frames are those of encoding the whole, up to rounding: every block is encoded with
    `encoder_context_frames` on each side. Each posterior has the clip code of its own audio, and
    its frames' part of `conditions`, which are the whole sound's.
    """
    hop, context = model.hop_samples, model.encoder_context_frames
    conditions = conditions or Conditions()
    held = np.zeros((model.channels, 0), np.float32)  # begins `before` frames ahead of the next
    before = 0
    first = 0  # the place of the held frames in the sound

    def encoded(audio: NDArray[np.float32]) -> Posterior:
        n_frames = math.ceil(audio.shape[1] / hop)
        return _encode(model, audio, conditions.cut(first, first + n_frames))

    for block in blocks:
        held = np.concatenate([held, block], axis=1)
        while held.shape[1] >= (before + block_frames + context) * hop:
            posterior = encoded(held[:, : (before + block_frames + context) * hop])
            yield posterior.cut(before, before + block_frames)
            drop = max(0, before + block_frames - context)
            held = held[:, drop * hop :]
            before = before + block_frames - drop
            first += drop
    if held.shape[1] > before * hop:
        yield encoded(held).cut(before)


def encode_stream(
    model: Autoencoder,
    blocks: Iterable[NDArray[np.float32]],
    conditions: Conditions | None = None,
    *,
    block_frames: int = _BLOCK_FRAMES,
) -> Iterator[Latent]:
    """The means of `encode_posteriors`."""
    for posterior in encode_posteriors(model, blocks, conditions, block_frames=block_frames):
        yield posterior.mean


def encode_whole(model: Autoencoder, audio: NDArray[np.float32]) -> Latent:
    """Posterior means of audio (channel time) as one code, encoded in blocks all the same."""
    blocks = list(encode_stream(model, [audio], conditions_of(model, audio)))
    return replace(joined(blocks), clip=mean_clip(blocks))


def conditions_of(model: Autoencoder, audio: NDArray[np.float32]) -> Conditions:
    """The tracks that the model's decoder needs, measured of a whole sound (channel time)."""
    return measured_conditions(
        audio,
        tracks=model.conditions,
        rate_hz=model.sample_rate_hz,
        hop_samples=model.hop_samples,
    )


def mean_clip(latents: Iterable[Latent]) -> torch.Tensor:
    """The clip code of consecutive blocks (batch clip_latent): their mean, weighted by frames."""
    total: torch.Tensor | float = 0.0
    frames = 0
    for latent in latents:
        total = total + latent.clip.double() * latent.n_frames
        frames += latent.n_frames
    return (total / frames).float()


@torch.inference_mode()
def _encode(model: Autoencoder, audio: NDArray[np.float32], conditions: Conditions) -> Posterior:
    device = next(model.parameters()).device
    tensor = torch.from_numpy(np.ascontiguousarray(audio))[None].to(device)
    posterior = model.encode(tensor, conditions.map(lambda x: x.to(device)))
    return posterior.map(lambda x: x.float().cpu())
