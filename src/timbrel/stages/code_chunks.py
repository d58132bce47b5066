"""The chunks by which a training is told what its code holds, and their attributes."""

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from omegaconf import DictConfig

from timbrel.analysis.disentanglement import measured_factors, sounding
from timbrel.data.cache.store import Cache
from timbrel.data.chunks.chunk import Chunk
from timbrel.data.chunks.loaders import validation_loader
from timbrel.data.chunks.sampling import evenly_spaced, validation_chunks
from timbrel.data.measured.attribute_table import measure_segments
from timbrel.data.split.parts import Segment, Split
from timbrel.metrics.disentanglement import FEWEST
from timbrel.models.autoencoder import Autoencoder
from timbrel.stages.progress import measured_recordings
from timbrel.training.code_scores import MeasuredChunks

MOST = 64
"""Chunks, at most; half of them of held-out recordings where there are as many."""

_KEY = "trainer.disentanglement_every_validations"


def measured_chunks(config: DictConfig, split: Split, model: Autoencoder) -> MeasuredChunks | None:
    """Chunks of the validation part and of training recordings, each measured once and kept.

    None where the config wants none, or there are fewer than 10 recordings, which is told. Raises
    UserError where a recording's cache entry is damaged.
    """
    data = config.data
    if not config.trainer.disentanglement_every_validations:
        return None
    segments = _chosen(split)
    recordings = {segment.clip.content_hash for segment in segments}
    if len(recordings) < FEWEST:
        sys.stderr.write(
            f"note: {len(recordings)} recordings to follow the disentanglement of the code by; it "
            f"takes {FEWEST} ({_KEY}=0: no note)\n"
        )
        return None
    chunks = validation_chunks(segments, data.chunk_samples, MOST)
    pieces = [_piece(chunk, data.chunk_samples) for chunk in chunks]
    table = measure_segments(
        pieces, folder=Cache(data.cache_dir).folder, progress=measured_recordings()
    )
    heard = np.zeros((len(chunks), data.chunk_samples // model.hop_samples), bool)
    for row, (piece, found) in enumerate(zip(pieces, table.measurements, strict=True)):
        if found is not None:
            sounds = sounding(found, piece.n_samples, model.hop_samples)
            heard[row, : len(sounds)] = sounds
    batches = validation_loader(
        segments,
        batch_size=config.trainer.batch_size,
        chunk_samples=data.chunk_samples,
        limit=MOST,
        short="pad",  # one sound in each, as it was measured
    )
    return MeasuredChunks(
        batches,
        measured_factors(table.measurements),
        heard,
        np.array([piece.clip.content_hash for piece in pieces]),
    )


def _chosen(split: Split) -> list[Segment]:
    """Held-out recordings, then as many of training as there is room for, evenly spaced."""
    held_out = _spaced(split.validation, MOST // 2)
    return [*held_out, *_spaced(split.train, MOST - len(held_out))]


def _spaced(segments: Sequence[Segment], most: int) -> list[Segment]:
    count = min(most, len(segments))
    return [segments[place] for place in evenly_spaced(len(segments), count)]


def _piece(chunk: Chunk, chunk_samples: int) -> Segment:
    """What of its recording lies in a chunk."""
    stop = min(chunk.segment.stop_sample, chunk.start_sample + chunk_samples)
    return replace(chunk.segment, start_sample=chunk.start_sample, stop_sample=stop)
