"""How far a sound lies from being a copy of a recording, moment by moment.

A sound is a pattern: levels of mel bands every 11 ms, in dB above 60 dB below its loudest cell. The
embedding of `metrics.embedding` ignores order; here a copy must agree at every moment. Events are
compared from their onsets on; a texture wherever it agrees best. Channels are added as powers and
the level does not count: a copy is one at any width and gain.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.dsp.mel import mel_filterbank
from timbrel.dsp.stft import hann, stft

BANDS = 40
RANGE_DB = 60.0
PATCH_S = 1.0
"""So much of a sound is compared."""

_WINDOW, _HOP = 2048, 512
_ONSET = 0.1
_STRIDE = 2

Pattern = NDArray[np.float32]


@torch.no_grad()
def pattern(audio: NDArray[np.float32], rate_hz: int, *, from_onset: bool) -> Pattern:
    """`audio`, `(channel, time)`, as `(frame, 40)`; no cell is below 0, silence is 0 throughout.

    With `from_onset` the first frame begins where the sound first reaches 10 % of its peak.
    """
    if from_onset and audio.shape[1]:
        magnitude = np.abs(audio).max(0)
        audio = audio[:, int(np.argmax(magnitude >= _ONSET * magnitude.max())) :]
    length = max(-(-audio.shape[1] // _HOP), 2) * _HOP
    padded = np.pad(audio, ((0, 0), (0, length - audio.shape[1]))).astype(np.float32)
    spectrum = stft(torch.from_numpy(padded), hann(_WINDOW), _HOP)  # channel bin frame
    power = (spectrum.real.square() + spectrum.imag.square()).sum(0)
    bands = torch.from_numpy(mel_filterbank(rate_hz, _WINDOW, BANDS)) @ power
    peak = bands.amax()
    if not peak > 0:
        return np.zeros((bands.shape[1], BANDS), np.float32)
    level_db = 10 * torch.log10((bands / peak).clamp_min(10 ** (-RANGE_DB / 10)))
    return np.ascontiguousarray((level_db + RANGE_DB).T.numpy(), np.float32)


def patch(cells: Pattern, rate_hz: int, *, start: int = 0) -> Pattern:
    """One second of a pattern from the frame `start` on, filled up with silence."""
    frames = patch_frames(rate_hz)
    part = cells[start : start + frames]
    return np.pad(part, ((0, frames - len(part)), (0, 0)))


def patches(audio: NDArray[np.float32], rate_hz: int, *, from_onset: bool) -> Pattern:
    """What of a sound is compared, `(patch, frame, 40)`: its beginning, and a middle second.

    With `from_onset` the first second from the onset on alone.
    """
    cells = pattern(audio, rate_hz, from_onset=from_onset)
    middle = max(len(cells) - patch_frames(rate_hz), 0) // 2
    starts = (0,) if from_onset else (0, middle)
    return np.stack([patch(cells, rate_hz, start=start) for start in starts])


def patch_frames(rate_hz: int) -> int:
    """Frames of one second.

    >>> patch_frames(48_000)
    94
    """
    return max(1, round(PATCH_S * rate_hz / _HOP))


def distances_db(patches: Pattern, recording: Pattern, *, anywhere: bool) -> NDArray[np.float64]:
    """Of each of `patches`, `(sound, frame, 40)`, to a recording's pattern, in dB.

    Root mean square difference of the cells at the best gain, over the frames in which either
    sounds. With `anywhere` the least over all places of the recording, every 21 ms; otherwise from
    the beginnings of both, one frame earlier or later allowed. 0 is a copy.

    >>> steps = np.arange(3760.0, dtype=np.float32).reshape(1, 94, 40) % 50
    >>> float(distances_db(steps, steps[0] + 3.0, anywhere=False)[0]) < 1e-3
    True
    """
    frames = patches.shape[1]
    farthest = max(len(recording) - frames, 0)
    starts = range(0, farthest + 1, _STRIDE) if anywhere else range(-1, 2)
    pieces = np.stack([_cut(recording, start, frames) for start in starts])
    one = patches.reshape(len(patches), -1).astype(np.float64)
    other = pieces.reshape(len(pieces), -1).astype(np.float64)
    sounds = np.asarray((patches > 0).any(2), np.float64)
    plays = np.asarray((pieces > 0).any(2), np.float64)
    # Frames in which both are silent add nothing to any sum: only their number is left out.
    either = sounds.sum(1)[:, None] + plays.sum(1) - sounds @ plays.T
    cells = BANDS * np.maximum(either, 1.0)
    square = np.square(one).sum(1)[:, None] + np.square(other).sum(1) - 2 * (one @ other.T)
    mean = (one.sum(1)[:, None] - other.sum(1)) / cells
    return np.sqrt(np.maximum(square / cells - np.square(mean), 0.0)).min(1)


def _cut(recording: Pattern, start: int, frames: int) -> Pattern:
    part = recording[max(start, 0) : max(start + frames, 0)]
    before = max(-start, 0)
    return np.pad(part, ((before, frames - before - len(part)), (0, 0)))
