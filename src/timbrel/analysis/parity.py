"""Whether training and generation read the same samples, and blocks encode as a whole file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.analysis.tracks import Tracks, tracks_once
from timbrel.contracts import joined
from timbrel.data.chunks.sampling import ValidationChunks, validation_chunks
from timbrel.data.split.parts import Segment
from timbrel.generation.file_source import FileSource, encode_stream
from timbrel.models.autoencoder import Autoencoder

_BLOCK_FRAMES = 64
_LONGEST_S = 20.0


def front_end_difference(
    model: Autoencoder,
    segment: Segment,
    file: Path,
    *,
    downmix: str,
    normalise: str = "none",
    chunk_samples: int,
) -> float:
    """Largest absolute difference between a segment's samples in training and in generation.

    Training: the cache, cut into chunks, without augmentation. Generation: the file itself,
    decoded and resampled anew by `source=file`. inf where their lengths differ.

    Raises UserError where the file cannot be read.
    """
    source = FileSource(file, model=model, downmix=downmix, normalise=normalise)
    if source.n_samples != segment.clip.n_samples:
        return float("inf")
    heard = np.concatenate(
        list(_cut(source.audio(), segment.start_sample, segment.stop_sample)), axis=1
    )
    places = validation_chunks([segment], chunk_samples)
    chunks = ValidationChunks(places, chunk_samples=chunk_samples, short="pad")
    difference = 0.0
    for index in range(len(chunks)):
        example = chunks[index]
        start = example.start_sample - segment.start_sample
        wanted = heard[:, start : start + chunk_samples]
        given = example.audio[:, : wanted.shape[1]]
        difference = max(difference, float(np.abs(given - wanted).max()))
    return difference


def _cut(
    blocks: Iterator[NDArray[np.float32]], start: int, stop: int
) -> Iterator[NDArray[np.float32]]:
    """The samples from `start` to `stop` of consecutive blocks (channel time)."""
    at = 0
    for block in blocks:
        piece = block[:, max(start - at, 0) : max(stop - at, 0)]
        at += block.shape[1]
        yield piece


@torch.inference_mode()
def latent_difference(model: Autoencoder, segment: Segment, tracks: Tracks | None = None) -> float:
    """Largest absolute difference of posterior means, encoded whole and streamed in short blocks.

    Of the segment's first 20 s, frame codes; the clip code of a stream is a mean over its blocks by
    definition.
    """
    audio = segment.samples()[:, : round(_LONGEST_S * model.sample_rate_hz)]
    device = next(model.parameters()).device
    conditions = (tracks or tracks_once(model))(segment, audio.shape[1])
    there = conditions.map(lambda x: x.to(device))
    whole = model.encode(torch.from_numpy(audio)[None].to(device), there).mean.frames.float().cpu()
    blocks = encode_stream(model, [audio], conditions, block_frames=_BLOCK_FRAMES)
    streamed = joined(list(blocks)).frames
    return float((whole - streamed).abs().max()) if whole.numel() else 0.0
