"""Fits what new sounds are made of: the codes of training recordings, and how these sound."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from timbrel.analysis.excerpts import MOST_HELD_OUT, of_events, sounding, unseen
from timbrel.contracts import Conditions, Latent
from timbrel.data.split.parts import Segment, Split
from timbrel.generation.file_source import conditions_of
from timbrel.generation.prior.bank import Bank, BankClip
from timbrel.generation.prior.encoded import encoded_clip, with_silence
from timbrel.generation.prior.recordings import Recordings, recordings_of
from timbrel.generation.tracks import latent_of, rows_of
from timbrel.models.autoencoder import Autoencoder

SPEEDS_SEMITONES = (-4.0, -2.0, -1.0, 1.0, 2.0, 4.0)
"""At which speeds hits and notes are in the bank beside their own."""

Audio = NDArray[np.float32]


def fit_bank(model: Autoencoder, segments: Sequence[Segment]) -> Bank:
    """The codes of `segments`; silent ones are left out.

    Of hits and notes also at `SPEEDS_SEMITONES`, with the tracks of the recording itself: f0 and
    centroid times the speed, the rest as it is.
    """
    clips = [clip for segment in segments for clip in _clips(model, segment)]
    return Bank(tuple(clips), model.conditions)


def encoded(model: Autoencoder, segments: Sequence[Segment]) -> list[BankClip]:
    """`segments` as a bank has its recordings, at their own speed; silent ones are left out."""
    audio = [(segment.label, segment.samples()) for segment in segments]
    return [encoded_clip(model, x, name) for name, x in audio if np.abs(x).max(initial=0.0) > 0]


def fit_recordings(split: Split, rate_hz: int) -> Recordings | None:
    """The training recordings as patterns, and how far held-out ones lie from them.

    None where nothing says that: of a single recording, or where all are copies of each other.
    """
    training = sounding(split.train, len(split.train))
    if not training:
        return None
    others = sounding(unseen(split), MOST_HELD_OUT)
    return recordings_of(
        [(segment.label, segment.samples()) for segment in training],
        [segment.samples() for segment in others],
        rate_hz,
        events=of_events(split.train),
    )


def _clips(model: Autoencoder, segment: Segment) -> Iterator[BankClip]:
    audio, name = segment.samples(), segment.label
    if not np.abs(audio).max(initial=0.0) > 0:
        return
    conditions = conditions_of(model, with_silence(audio, model.sample_rate_hz))
    own = encoded_clip(model, audio, name, conditions)
    yield own
    for semitones in SPEEDS_SEMITONES if own.event else ():
        speed = 2 ** (semitones / 12)
        faster = np.ascontiguousarray(soxr.resample(audio.T, speed, 1.0, quality="MQ").T)
        if not np.abs(faster).max(initial=0.0) > 0:
            continue
        n_samples = with_silence(faster, model.sample_rate_hz).shape[1]
        tracks = _at_speed(conditions, speed, -(-n_samples // model.hop_samples))
        clip = encoded_clip(model, faster, name, tracks)
        yield replace(clip, semitones=semitones, event=True)


def _at_speed(conditions: Conditions, speed: float, n_frames: int) -> Conditions:
    """The tracks of a sound played `speed` times as fast, in `n_frames`."""
    names = tuple(conditions.tracks)
    if not names:
        return conditions
    # As rows, where hertz are octaves: an f0 that glides is on a straight line there too.
    frames = conditions.tracks[names[0]].shape[1]
    bare = Latent(torch.zeros(1, 0, frames), torch.zeros(1, 0), conditions)
    rows = rows_of(bare)[0].numpy()
    place = (np.arange(n_frames) + 0.5) * speed - 0.5
    moved = np.stack([np.interp(place, np.arange(frames), row) for row in rows])
    moved[[name.endswith("_hz") for name in names]] += np.log2(speed)
    made = latent_of(torch.from_numpy(moved).float()[None], torch.zeros(1, 0), names)
    return made.conditions
