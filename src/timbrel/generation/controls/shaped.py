"""A sound between its code and its decoding, as operators change it."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.contracts import CONTROLS, Latent
from timbrel.generation.tracks import at_places, latent_of, rows_of

_SOUNDS_DB, _ONSET_DB = -60.0, -20.0
_SILENT_DB = -200.0
_STROKE_DB = 6.0

Array = NDArray[np.float64]

COURSES = ("even", "rising")
"""How a direction may go over a sound: alike in all of it, or from -1 at its start to 1 at its end.

Less and less of it is a rising one backwards; any straight course is a sum of the two.
"""


@dataclass(frozen=True, eq=False)
class Shaped:
    """A code, where its sound begins, peaks and ends, and what its decoding is given beside it.

    `rows` (row frame) are those of `generation.tracks`: frame codes and below them the `tracks`,
    with hertz as octaves. The sound begins in `first_frame`, is loudest in `peak_frame` and has
    sunk by 60 dB behind `last_frame`; `strokes` are the frames of all its peaks that rise by 6 dB.
    `balance_db`, `more_tilt_db` and `transposed_octaves` go to the decoder
    (`contracts.Conditions`); the tilt of the spectrum, the gains of mid and side and `gain_db` are
    applied to what it gives. `transposed_octaves` and `gain_db` have a value per frame. Balance and
    tilts are numbers, or values per frame once its frames are the last ones.
    """

    rows: Array
    clip_code: Array
    tracks: tuple[str, ...]
    frame_s: float
    first_frame: int
    peak_frame: int
    last_frame: int
    strokes: Array
    balance_db: float | Array
    more_tilt_db: float | Array
    tilt_db_per_octave: float | Array
    gain_db: Array
    transposed_octaves: Array
    mid_side_gain: tuple[float, float] = (1.0, 1.0)

    @property
    def n_frames(self) -> int:
        """How many frames it has."""
        return self.rows.shape[1]

    def row(self, track: str) -> int:
        """The place of a track among the rows. Raises ValueError where there is no such track."""
        return len(self.rows) - len(self.tracks) + self.tracks.index(track)

    def courses(self) -> Array:
        """`COURSES` over the frames, `(course, frame)`."""
        length = max(1, self.last_frame - self.first_frame)
        along = np.clip((np.arange(self.n_frames) - self.first_frame) / length, 0.0, 1.0)
        return np.stack([np.ones(self.n_frames), 2 * along - 1])

    def latent(self) -> Latent:
        """What the decoder gets."""
        made = latent_of(
            torch.from_numpy(self.rows.astype(np.float32))[None],
            torch.from_numpy(self.clip_code.astype(np.float32))[None],
            self.tracks,
        )
        controls = {name: getattr(self, name) for name in CONTROLS}
        given = {
            name: torch.from_numpy(
                np.broadcast_to(np.asarray(value, np.float32), self.n_frames).copy()
            )[None]
            for name, value in controls.items()
            if np.any(value)
        }
        return replace(made, conditions=replace(made.conditions, **given))

    def at(self, places: Array) -> "Shaped":
        """The sound with the frames `places`, which rise and may lie between frames.

        Levels are mixed as amplitudes: half way between silence and a sound is 6 dB below it.
        """
        rows = self.rows.copy()
        levels = [self.row("loudness_db")] if "loudness_db" in self.tracks else []
        rows[levels] = 10 ** (rows[levels] / 20)
        rows = at_places(rows, places)
        rows[levels] = np.maximum(20 * np.log10(np.maximum(rows[levels], 1e-30)), _SILENT_DB)
        gain, transposed = at_places(np.stack([self.gain_db, self.transposed_octaves]), places)

        def moved(frame: int) -> int:
            return int(np.clip(np.searchsorted(places, frame), 0, len(places) - 1))

        return replace(
            self,
            rows=rows,
            gain_db=gain,
            transposed_octaves=transposed,
            first_frame=moved(self.first_frame),
            peak_frame=moved(self.peak_frame),
            last_frame=moved(self.last_frame),
            strokes=np.array([moved(int(frame)) for frame in self.strokes], float),
        )


def shaped(latent: Latent, audio: NDArray[np.float32], *, rate_hz: int, hop_samples: int) -> Shaped:
    """The sound of `latent` (batch 1), whose decoding is `audio` (channel time)."""
    rows = rows_of(latent)[0].double().numpy()
    n_frames = rows.shape[1]
    power = frame_power(audio, n_frames, hop_samples)
    top = float(power.max())
    sounds = np.flatnonzero(power > top * 10 ** (_SOUNDS_DB / 10)) if top > 0 else np.arange(1)
    peak = int(power.argmax())
    # What lies far ahead of a peak is no attack: a texture's loudest frame may be its last.
    begins = np.flatnonzero(power[: peak + 1] < top * 10 ** (_ONSET_DB / 10))
    first = max(int(sounds[0]), int(begins[-1]) if len(begins) else 0)
    return Shaped(
        rows=rows,
        clip_code=latent.clip[0].double().numpy(),
        tracks=tuple(latent.conditions.tracks),
        frame_s=hop_samples / rate_hz,
        first_frame=min(first, peak),
        peak_frame=peak,
        last_frame=int(sounds[-1]),
        strokes=np.array(_strokes(power, peak), float),
        balance_db=_given(latent.conditions.balance_db),
        more_tilt_db=_given(latent.conditions.more_tilt_db),
        tilt_db_per_octave=0.0,
        gain_db=np.zeros(n_frames),
        transposed_octaves=_per_frame(latent.conditions.transposed_octaves, n_frames),
    )


def _given(control: torch.Tensor | None) -> float:
    """The value of a control that the code has in all frames; 0 for none."""
    return 0.0 if control is None else float(control.mean())


def _per_frame(control: torch.Tensor | None, n_frames: int) -> Array:
    """The values of a control; zeros for none."""
    return np.zeros(n_frames) if control is None else control[0].double().numpy()


def frame_power(audio: NDArray[np.float32], n_frames: int, hop_samples: int) -> Array:
    """The mean square of each frame, summed over channels; silence behind the end of `audio`."""
    filled = np.zeros((len(audio), n_frames * hop_samples))
    kept = audio[:, : filled.shape[1]]
    filled[:, : kept.shape[1]] = kept
    return np.square(filled).sum(0).reshape(n_frames, hop_samples).mean(1)


def _strokes(power: Array, peak: int) -> list[int]:
    """The frames of local peaks that rise by 6 dB or more and come within 20 dB of the loudest."""
    level = 10 * np.log10(np.maximum(power, power.max() * 1e-10) + 1e-30)
    found, lowest, highest = [], np.inf, -1
    for frame, value in enumerate(level):
        if highest >= 0:
            if value > level[highest]:
                highest = frame
            elif value < level[highest] - _STROKE_DB:
                found.append(highest)
                highest, lowest = -1, value
        else:
            lowest = min(lowest, value)
            if value > lowest + _STROKE_DB or frame == 0:
                highest = frame
    if highest >= 0:
        found.append(highest)
    kept = [frame for frame in found if level[frame] > level[peak] + _ONSET_DB]
    return kept or [peak]


def envelope(gain_db: Array, n_samples: int, hop_samples: int) -> Array:
    """A gain per frame as one per sample: straight lines between the frames' middles."""
    return per_sample(10 ** (gain_db / 20), n_samples, hop_samples)


def per_sample(values: Array, n_samples: int, hop_samples: int) -> Array:
    """Values per frame as one per sample: straight lines between the frames' middles."""
    middles = (np.arange(len(values)) + 0.5) * hop_samples
    return np.interp(np.arange(n_samples), middles, values)
