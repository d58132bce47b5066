"""Latents of a sound file: any rate, any channel count, any length, in constant memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.audio.read import describe, read_blocks
from timbrel.audio.resample import resample_blocks
from timbrel.contracts import Latent, Posterior
from timbrel.data.cache_entry import amplified, file_gain, loudest_channel, mix
from timbrel.errors import UserError
from timbrel.models.autoencoder import Autoencoder

_BLOCK_FRAMES = 1024


class FileSource:
    """Posterior means of a file, encoded block by block with the encoder's context.

    The clip code is the mean of the blocks' clip codes, weighted by frames; of a file of up to
    `block_frames` frames it is the model's own. A first pass counts and checks the samples, since
    headers lie. `downmix` and `normalise` are those of the recordings that trained the model.

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
            raise UserError(f"'{self.path}': 0 frames; give a file that holds sound")
        self._clip = self._clip_code()

    def blocks(self) -> Iterator[Latent]:
        """Consecutive frames, all with the file's clip code."""
        for latent in self._encoded():
            yield Latent(latent.frames, self._clip)

    def _encoded(self) -> Iterator[Latent]:
        return encode_stream(self.model, self.audio(), block_frames=self.block_frames)

    def _clip_code(self) -> torch.Tensor:
        if self.model.clip_dim == 0:
            return torch.zeros(1, 0)
        return mean_clip(self._encoded())

    def audio(self) -> Iterator[NDArray[np.float32]]:
        """What the model hears: blocks (channel time) at its rate, with its channels."""
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


class Encodes(Protocol):
    """What `encode_stream` asks of a model."""

    hop_samples: int
    encoder_context_frames: int
    channels: int

    def parameters(self) -> Iterator[torch.Tensor]:
        """Its weights, which tell the device."""

    def encode(self, audio: torch.Tensor) -> Posterior:
        """The posterior of audio (batch channel time)."""


def encode_stream(
    model: Encodes,
    blocks: Iterable[NDArray[np.float32]],
    *,
    block_frames: int = _BLOCK_FRAMES,
) -> Iterator[Latent]:
    """Posterior means of audio blocks (channel time), `block_frames` at a time, on the CPU.

    The frames are those of encoding the whole, up to rounding: every block is encoded with
    `encoder_context_frames` on each side. Each block carries the clip code of its own audio.
    """
    hop, context = model.hop_samples, model.encoder_context_frames
    held = np.zeros((model.channels, 0), np.float32)  # begins `before` frames ahead of the next
    before = 0
    for block in blocks:
        held = np.concatenate([held, block], axis=1)
        while held.shape[1] >= (before + block_frames + context) * hop:
            latent = _encode(model, held[:, : (before + block_frames + context) * hop])
            yield Latent(latent.frames[:, :, before : before + block_frames], latent.clip)
            drop = max(0, before + block_frames - context)
            held = held[:, drop * hop :]
            before = before + block_frames - drop
    if held.shape[1] > before * hop:
        latent = _encode(model, held)
        yield Latent(latent.frames[:, :, before:], latent.clip)


def encode_whole(model: Autoencoder, audio: NDArray[np.float32]) -> Latent:
    """Posterior means of audio (channel time) as one code, encoded in blocks all the same."""
    blocks = list(encode_stream(model, [audio]))
    return Latent(torch.cat([block.frames for block in blocks], dim=2), mean_clip(blocks))


def mean_clip(latents: Iterable[Latent]) -> torch.Tensor:
    """The clip code of consecutive blocks (batch clip_latent): their mean, weighted by frames."""
    total: torch.Tensor | float = 0.0
    frames = 0
    for latent in latents:
        total = total + latent.clip.double() * latent.frames.shape[2]
        frames += latent.frames.shape[2]
    return (total / frames).float()


@torch.inference_mode()
def _encode(model: Encodes, audio: NDArray[np.float32]) -> Latent:
    device = next(model.parameters()).device
    tensor = torch.from_numpy(np.ascontiguousarray(audio))[None].to(device)
    return model.encode(tensor).mean.map(lambda x: x.float().cpu())
