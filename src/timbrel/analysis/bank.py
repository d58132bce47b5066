"""Fits the bank of a model: the codes of its training recordings, and of others played faster."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from timbrel.attributes.extent import is_event
from timbrel.contracts import Conditions, Latent, joined
from timbrel.data.split.parts import Segment
from timbrel.generation.file_source import conditions_of, encode_stream, mean_clip
from timbrel.generation.prior.bank import Bank, BankClip
from timbrel.generation.tracks import latent_of, rows_of
from timbrel.models.autoencoder import Autoencoder

SPEEDS_SEMITONES = (-4.0, -2.0, -1.0, 1.0, 2.0, 4.0)
"""At which speeds hits and notes are in the bank beside their own."""
SILENCE_S = 0.6
"""So much silence lies behind each recording: what a model makes of an end is part of its code."""

_ONSET_DB, _ENDED_DB = -20.0, -60.0
_TAIL_S = 1.0

Audio = NDArray[np.float32]


def fit_bank(model: Autoencoder, segments: Sequence[Segment]) -> Bank:
    """The codes of `segments`; silent ones are left out.

    Of hits and notes also at `SPEEDS_SEMITONES`, with the tracks of the recording itself: f0 and
    centroid times the speed, the rest as it is.
    """
    clips = [clip for segment in segments for clip in _clips(model, segment)]
    return Bank(tuple(clips), model.conditions)


def _clips(model: Autoencoder, segment: Segment) -> Iterator[BankClip]:
    audio = segment.samples()
    if not np.abs(audio).max(initial=0.0) > 0:
        return
    event = is_event(audio, segment.clip.rate_hz)
    padded = _padded(audio, model.sample_rate_hz)
    conditions = conditions_of(model, padded)
    own = _clip(model, audio, segment.label, event, conditions)
    yield own
    for semitones in SPEEDS_SEMITONES if event else ():
        speed = 2 ** (semitones / 12)
        faster = soxr.resample(audio.T, speed, 1.0, quality="MQ").T
        faster = np.ascontiguousarray(faster, np.float32)
        if not faster.shape[1]:
            continue
        tracks = _at_speed(conditions, speed, -(-_length(faster, model) // model.hop_samples))
        clip = _clip(model, faster, segment.label, event, tracks)
        yield replace(clip, semitones=semitones)


def _clip(
    model: Autoencoder, audio: Audio, name: str, event: bool, conditions: Conditions
) -> BankClip:
    blocks = list(encode_stream(model, [_padded(audio, model.sample_rate_hz)], conditions))
    code = replace(joined(blocks), clip=mean_clip(blocks))
    onset, end = _extent(audio, model.sample_rate_hz, model.hop_samples)
    return BankClip(
        name=name,
        rows=rows_of(code)[0].numpy(),
        clip_code=code.clip[0].numpy(),
        onset_frame=onset,
        end_frame=end,
        event=event,
    )


def _padded(audio: Audio, rate_hz: int) -> Audio:
    return np.pad(audio, ((0, 0), (0, round(SILENCE_S * rate_hz))))


def _length(audio: Audio, model: Autoencoder) -> int:
    return audio.shape[1] + round(SILENCE_S * model.sample_rate_hz)


def _extent(audio: Audio, rate_hz: int, hop_samples: int) -> tuple[int, int]:
    """The frame in which the sound comes within 20 dB of its loudest, and that of its end.

    It ends with the recording, or `_TAIL_S` behind the last frame that is within 60 dB of it.
    """
    n_frames = -(-audio.shape[1] // hop_samples)
    filled = np.pad(audio, ((0, 0), (0, n_frames * hop_samples - audio.shape[1])))
    power = np.square(filled, dtype=np.float64).sum(0).reshape(n_frames, hop_samples).mean(1)
    onset = int(np.argmax(power >= power.max() * 10 ** (_ONSET_DB / 10)))
    last = np.flatnonzero(power >= power.max() * 10 ** (_ENDED_DB / 10))[-1]
    tail = round(_TAIL_S * rate_hz / hop_samples)
    return onset, min(int(last) + 1 + tail, n_frames)


def _at_speed(conditions: Conditions, speed: float, n_frames: int) -> Conditions:
    """The tracks of a sound played `speed` times as fast, in `n_frames`."""
    if not conditions.tracks:
        return conditions
    # As rows, where hertz are octaves: an f0 that glides is on a straight line there too.
    names = tuple(conditions.tracks)
    empty = Latent(torch.zeros(1, 0, len(_first(conditions))), torch.zeros(1, 0), conditions)
    rows = rows_of(empty)[0].numpy()
    place = np.minimum((np.arange(n_frames) + 0.5) * speed - 0.5, rows.shape[1] - 1).clip(0)
    moved = np.stack([np.interp(place, np.arange(rows.shape[1]), row) for row in rows])
    moved[[name.endswith("_hz") for name in names]] += np.log2(speed)
    made = latent_of(torch.from_numpy(moved).float()[None], torch.zeros(1, 0), names)
    return made.conditions


def _first(conditions: Conditions) -> torch.Tensor:
    return next(iter(conditions.tracks.values()))[0]
