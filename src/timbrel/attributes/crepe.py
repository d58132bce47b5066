"""The octave of a pitch by a network: CREPE `tiny` (Kim et al. 2018) through torchcrepe.

The network reads 64 ms at 16 kHz and covers 32.7 to 1975 Hz in steps of 20 cents. It is used for
the octave only: `timbrel.attributes.pitch` then measures the period near the network's pitch. The
weights come with the extra timbrel[crepe].

It finds the octave of every rendered note of five instruments. Of a bass lyre's plucked strings (73
to 220 Hz, weak fundamentals) it is confident of a quarter only, and places most of those an octave
too high; YIN places a quarter too high.
"""

import numpy as np
import soxr

from timbrel.attributes.frames import Signal, Values, frame_count
from timbrel.errors import UserError

RANGE_HZ = (32.7, 1975.5)
CONFIDENT = 0.35
"""The least confidence at which the network's pitch is taken."""

_MISSING = "pitch=crepe needs torchcrepe: pip install 'timbrel[crepe]', or take pitch=yin"
_RATE_HZ, _HOP = 16_000, 160
_BATCH_FRAMES = 512


def check_installed() -> None:
    """Raises UserError where torchcrepe is not installed, in an instant: nothing is imported."""
    from importlib.util import find_spec

    if find_spec("torchcrepe") is None:
        raise UserError(_MISSING)


def guide_hz(audio: Signal, rate_hz: int) -> Values:
    """A pitch per frame of 10 ms, `(channel, time)`; nan where the network is not confident.

    Of several channels the loudest is used, because channels in antiphase cancel in their mean. The
    path over time is Viterbi's, which keeps an octave where one frame alone would leave it.

    Raises UserError where torchcrepe is not installed.
    """
    try:
        import torch
        import torchcrepe
    except ModuleNotFoundError as error:
        raise UserError(_MISSING) from error
    frames = frame_count(audio.shape[1], rate_hz)
    heard = audio[int(np.argmax(np.square(audio, dtype=np.float64).sum(1)))]
    mono = soxr.resample(np.asarray(heard, np.float32), rate_hz, _RATE_HZ, quality="HQ")
    # Its frames are centred on multiples of the hop, ours on the middles between them.
    mono = np.pad(mono, (0, max(0, frames * _HOP + _HOP // 2 - len(mono))))[_HOP // 2 :]
    f0_hz, confidence = torchcrepe.predict(
        torch.from_numpy(np.ascontiguousarray(mono, np.float32))[None],
        _RATE_HZ,
        _HOP,
        *RANGE_HZ,
        model="tiny",
        return_periodicity=True,
        batch_size=_BATCH_FRAMES,
        device="cpu",
    )
    known = confidence[0].numpy() >= CONFIDENT
    found = np.where(known, f0_hz[0].numpy(), np.nan).astype(np.float64)
    return np.pad(found[:frames], (0, max(0, frames - len(found))), constant_values=np.nan)
