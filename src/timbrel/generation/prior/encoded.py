"""A sound's code as the priors mix it: from its onset to its end, with silence behind it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.extent import is_event
from timbrel.contracts import Conditions, Latent, joined
from timbrel.generation.file_source import conditions_of, encode_stream, mean_clip
from timbrel.generation.prior.bank import BankClip
from timbrel.generation.tracks import rows_of
from timbrel.models.autoencoder import Autoencoder

SILENCE_S = 0.6
"""So much silence lies behind each sound: what a model makes of an end is part of its code."""

_ONSET_DB, _ENDED_DB = -20.0, -60.0
_TAIL_S = 1.0

Audio = NDArray[np.float32]


def encoded_clip(
    model: Autoencoder, audio: Audio, name: str, conditions: Conditions | None = None
) -> BankClip:
    """The code of `audio` (channel time), which is not all silence.

    `conditions` are the tracks of `with_silence(audio)`, which are measured where they are not
    given.
    """
    padded = with_silence(audio, model.sample_rate_hz)
    if conditions is None:
        conditions = conditions_of(model, padded)
    blocks = list(encode_stream(model, [padded], conditions))
    code = replace(joined(blocks), clip=mean_clip(blocks))
    return clip_of(code, audio, name, rate_hz=model.sample_rate_hz, hop_samples=model.hop_samples)


def clip_of(code: Latent, audio: Audio, name: str, *, rate_hz: int, hop_samples: int) -> BankClip:
    """`code` (batch 1) with the extent of `audio`, which it stands for."""
    onset, end = _extent(audio, rate_hz, hop_samples)
    return BankClip(
        name=name,
        rows=rows_of(code)[0].numpy(),
        clip_code=code.clip[0].numpy(),
        onset_frame=onset,
        end_frame=min(end, code.n_frames),
        event=is_event(audio, rate_hz),
    )


def with_silence(audio: Audio, rate_hz: int) -> Audio:
    """`audio` and `SILENCE_S` of silence."""
    return np.pad(audio, ((0, 0), (0, round(SILENCE_S * rate_hz))))


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
