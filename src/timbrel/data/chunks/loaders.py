"""Loaders of training and validation batches.

Workers change nothing but speed. They are started once, compute with one thread each (torch
sees to that: the training process owns the cores), and may be forked or spawned: datasets carry
no open files along.
"""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from timbrel.data.augmentation import Augment
from timbrel.data.chunks.chunk import Example, Measuring, Short, Variant
from timbrel.data.chunks.collate import collate, collate_in_worker
from timbrel.data.chunks.sampling import (
    StepSampler,
    TrainingChunks,
    ValidationChunks,
    validation_chunks,
)
from timbrel.data.split.parts import Segment, data_hash
from timbrel.randomness import WHOLE, Share

__all__ = ["data_hash", "train_loader", "validation_loader"]

PREFETCHED_BATCHES = 4


def train_loader(
    segments: Sequence[Segment],
    *,
    seed: int,
    first_step: int = 0,
    batch_size: int,
    chunk_samples: int,
    short: Short = "pad",
    augmentation: Augment | None = None,
    variants: Sequence[Sequence[Variant]] | None = None,
    measuring: Measuring | None = None,
    hop_samples: int = 1,
    share: Share = WHOLE,
    workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Example]:
    """This process's `share` of batches of `batch_size`, from step `first_step` on, without end.

    Yields `timbrel.contracts.Batch`. The loader shards by itself: Lightning must be told
    `use_distributed_sampler=False`. Raises `UserError` for an empty part and settings that are
    not offered; an error in a worker names the recording.
    """
    dataset = TrainingChunks(
        segments,
        seed=seed,
        chunk_samples=chunk_samples,
        short=short,
        augmentation=augmentation,
        variants=variants,
        measuring=measuring,
        hop_samples=hop_samples,
    )
    sampler = StepSampler(first_step=first_step, batch_size=batch_size, share=share)
    return _loader(dataset, workers, pin_memory, batch_sampler=sampler)


def validation_loader(
    segments: Sequence[Segment],
    *,
    batch_size: int,
    chunk_samples: int,
    limit: int | None = None,
    short: Short = "pad",
    measuring: Measuring | None = None,
    workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Example]:
    """The same batches at every pass: consecutive chunks of the segments, `limit` at most.

    No segments give an empty loader.
    """
    chunks = validation_chunks(segments, chunk_samples, limit)
    dataset = ValidationChunks(
        chunks, chunk_samples=chunk_samples, short=short, measuring=measuring
    )
    return _loader(dataset, workers, pin_memory, batch_size=batch_size)


def _loader(
    dataset: Dataset[Example], workers: int, pin_memory: bool, **batches: Any
) -> DataLoader[Example]:
    return DataLoader(
        dataset,
        **batches,
        collate_fn=collate_in_worker if workers else collate,
        num_workers=workers,
        worker_init_fn=_on_its_own,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        prefetch_factor=PREFETCHED_BATCHES if workers else None,
        generator=torch.Generator(),  # else every pass draws from the global generator
    )


def _on_its_own(worker: int) -> None:
    """Keep a terminal's Ctrl-C from the worker: the training receives it and ends its workers."""
    if hasattr(os, "setsid"):
        os.setsid()
