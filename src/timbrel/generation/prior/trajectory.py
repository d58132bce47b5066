"""Hits and notes as arrays of one shape, which a network can learn, and back.

A trajectory is `(row, point)`: 4 points ahead of the onset and 6 from it on, a frame each, and 118
that the rest is brought to, whatever its length. Lengths, peaks and clip codes are rows that do not
change from point to point. So a hit of 10 frames and a note of 500 begin in the same point, and the
end is where the points end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from timbrel.generation.prior.bank import BankClip
from timbrel.generation.tracks import at_places

LEAD_FRAMES, ONSET_FRAMES = 4, 6
HEAD_POINTS = LEAD_FRAMES + ONSET_FRAMES
POINTS = 128

_BODY_POINTS = POINTS - HEAD_POINTS
_KEPT, _MOST_COMPONENTS = 0.999, 16
_COURSES = 24  # of a row's covariance over time; the rest is white
_QUIET_DB, _FLOOR_DB = -40.0, -90.0
_PER_QUIET_DB = 0.25  # below `_QUIET_DB` a decibel counts so much: nobody hears the rest of it
_SILENT_DB = -200.0
_SURE, _VOICED_SHARE = 0.5, 0.1
_ACTIVE_DB = 40.0

Array = NDArray[np.float64]
Stored = NDArray[np.float32]


@dataclass(frozen=True)
class Attributes:
    """What a trajectory is conditioned on: in octaves, and natural logarithms of frames.

    `f0_octaves` is what the row of f0 is relative to, also where the sound has no pitch (`voiced`).
    `log_frames` is how long it goes on behind its onset, `log_attack_frames` how long it rises to
    its peak, and `mean_level_db` how far below it is on average, with what is quiet counted less.
    What the code has no track for is 0.
    """

    f0_octaves: float
    voiced: float
    centroid_octaves: float
    log_frames: float
    log_attack_frames: float
    mean_level_db: float


NAMES = tuple(field.name for field in fields(Attributes))


def attributes_of(clip: BankClip, tracks: tuple[str, ...]) -> Attributes:
    """Medians over the frames within 40 dB of the loudest, of f0 over the voiced ones."""
    rows = _track_rows(clip.rows[:, : clip.end_frame].astype(np.float64), tracks)
    heard, level = np.ones(clip.end_frame, bool), np.zeros(clip.end_frame)
    if "loudness_db" in rows:
        level = rows["loudness_db"] - rows["loudness_db"].max()
        heard = level > -_ACTIVE_DB
    voiced = heard & (rows["confidence"] >= _SURE) if "confidence" in rows else heard
    sure = "f0_hz" in rows and voiced.sum() >= _VOICED_SHARE * heard.sum()
    return Attributes(
        float(np.median(rows["f0_hz"][voiced if sure else heard])) if "f0_hz" in rows else 0.0,
        float(sure),
        float(np.median(rows["centroid_hz"][heard])) if "centroid_hz" in rows else 0.0,
        float(np.log(_body_frames(clip))),
        float(np.log1p(level.argmax())),
        float(_squeezed(level).mean()),
    )


@dataclass(frozen=True, eq=False)
class Space:
    """What brings rows to standardised trajectories, fitted to recordings by `fit_space`.

    Frame codes are projected on `components` (component latent), clip codes on `clip_components`
    (component clip_latent). `mean` (row point) and `scale` (row) standardise a trajectory;
    `courses` (row course point) and `white` (row) are roots of the covariance of each row over
    time, which noise is drawn with.
    """

    tracks: tuple[str, ...]
    code_mean: Stored
    components: Stored
    clip_mean: Stored
    clip_components: Stored
    mean: Stored
    scale: Stored
    courses: Stored
    white: Stored

    @property
    def n_rows(self) -> int:
        """Of a trajectory: components, tracks, and what does not change."""
        return len(self.scale)

    def trajectory(self, clip: BankClip) -> Stored:
        """The standardised trajectory (row point) of `clip`."""
        raw = self._raw(clip, attributes_of(clip, self.tracks))
        return ((raw - self.mean) / self.scale[:, None]).astype(np.float32)

    def places(self, clip: BankClip) -> Array:
        """The frame of `clip` in which each point lies."""
        return _places(clip)

    def noise(self, rng: np.random.Generator, count: int) -> Stored:
        """As strong and as smooth as the trajectories: (count row point)."""
        n_rows, n_courses, n_points = self.courses.shape
        smooth = np.einsum(
            "brc,rcp->brp", rng.standard_normal((count, n_rows, n_courses)), self.courses
        )
        white = rng.standard_normal((count, n_rows, n_points)) * self.white[:, None]
        return (smooth + white).astype(np.float32)

    def rows(
        self, trajectory: Stored, attributes: Attributes, length: float = 1.0
    ) -> tuple[Array, Array]:
        """The rows of a bank's clip, and its clip code; `length` stretches what follows the onset.

        What lies at the points is that of the recordings; between them it is on straight lines.
        """
        made, steady = self._made(trajectory, attributes)
        log_frames, lead = steady[:2]
        body = max(1, round(length * float(np.exp(min(log_frames, 12.0)))))
        first = LEAD_FRAMES - min(max(round(lead), 0), LEAD_FRAMES)
        place = np.concatenate(
            [np.arange(first, HEAD_POINTS), np.linspace(HEAD_POINTS, POINTS - 1, body)]
        )
        return at_places(made, place), self.clip_components.T @ steady[3:] + self.clip_mean

    def rows_at_frames(self, trajectory: Stored, attributes: Attributes, clip: BankClip) -> Array:
        """The rows of `trajectory` in each frame of `clip` up to its end."""
        made, _ = self._made(trajectory, attributes)
        points = np.interp(np.arange(clip.end_frame), *_first_of_equal(_places(clip)))
        return at_places(made, points)

    def _made(self, trajectory: Stored, attributes: Attributes) -> tuple[Array, Array]:
        raw = trajectory * self.scale[:, None].astype(np.float64) + self.mean
        n_codes, n_tracks = len(self.components), len(self.tracks)
        codes = self.components.T @ raw[:n_codes] + self.code_mean[:, None]
        tracks = dict(zip(self.tracks, raw[n_codes : n_codes + n_tracks], strict=True))
        steady = raw[n_codes + n_tracks :].mean(1)
        peak_db = steady[2]
        if "f0_hz" in tracks:
            tracks["f0_hz"] = tracks["f0_hz"] + attributes.f0_octaves
        if "loudness_db" in tracks:
            level = _spread(tracks["loudness_db"])
            heard = level > _FLOOR_DB + 1.0
            tracks["loudness_db"] = np.where(heard, level - level.max() + peak_db, _SILENT_DB)
        made = np.concatenate([codes, *(track[None] for track in tracks.values())])
        return made, steady

    def _raw(self, clip: BankClip, attributes: Attributes) -> Array:
        rows = clip.rows.astype(np.float64)
        width = len(rows) - len(self.tracks)
        codes = self.components @ (rows[:width] - self.code_mean[:, None])
        heard = rows[:, : clip.end_frame]
        tracks = _track_rows(rows, self.tracks)
        peak_db = 0.0
        if "f0_hz" in tracks:
            tracks["f0_hz"] = _carried(tracks, clip.end_frame) - attributes.f0_octaves
        if "loudness_db" in tracks:
            peak_db = float(_track_rows(heard, self.tracks)["loudness_db"].max())
            tracks["loudness_db"] = _squeezed(tracks["loudness_db"] - peak_db)
        moving = np.concatenate([codes, *(track[None] for track in tracks.values())])
        lead = min(clip.onset_frame, LEAD_FRAMES)
        steady = np.array(
            [
                attributes.log_frames,
                lead,
                peak_db,
                *(self.clip_components @ (clip.clip_code - self.clip_mean)),
            ]
        )
        return np.concatenate([at_places(moving, _places(clip)), np.tile(steady[:, None], POINTS)])


def fit_space(clips: Sequence[BankClip], tracks: tuple[str, ...]) -> Space:
    """The space of hits and notes `clips`."""
    codes = np.concatenate(
        [clip.rows[: len(clip.rows) - len(tracks), : clip.end_frame] for clip in clips], axis=1
    )
    code_mean, components = _principal(codes)
    clip_mean, clip_components = _principal(np.stack([clip.clip_code for clip in clips], axis=1))
    n_rows = len(components) + len(tracks) + 3 + len(clip_components)
    plain = Space(
        tracks,
        code_mean,
        components,
        clip_mean,
        clip_components,
        mean=np.zeros((n_rows, POINTS), np.float32),
        scale=np.ones(n_rows, np.float32),
        courses=np.zeros((n_rows, _COURSES, POINTS), np.float32),
        white=np.zeros(n_rows, np.float32),
    )
    raw = np.stack([plain._raw(clip, attributes_of(clip, tracks)) for clip in clips])
    mean = raw.mean(0)
    scale = np.sqrt(np.square(raw - mean).mean((0, 2)))
    scale = np.where(scale > 1e-4, scale, 1.0)
    courses, white = zip(
        *map(_courses, ((raw - mean) / scale[:, None]).swapaxes(0, 1)), strict=True
    )
    return Space(
        tracks,
        code_mean,
        components,
        clip_mean,
        clip_components,
        mean=mean.astype(np.float32),
        scale=scale.astype(np.float32),
        courses=np.ascontiguousarray(np.stack(courses), np.float32),
        white=np.array(white, np.float32),
    )


def _principal(columns: NDArray[np.float32]) -> tuple[Stored, Stored]:
    """The mean of the columns, and the directions that hold `_KEPT` of their variance."""
    mean = columns.mean(1, dtype=np.float64) if len(columns) else np.zeros(0)
    centred = columns - mean[:, None]
    # In deviations of each coordinate: a narrow one may be heard as well as a wide one.
    deviation = centred.std(1)
    deviation = np.where(deviation > 0, deviation, 1.0)
    scaled = centred / deviation[:, None]
    variance, vectors = np.linalg.eigh(scaled @ scaled.T / columns.shape[1])
    variance, vectors = np.maximum(variance[::-1], 0.0), vectors[:, ::-1]
    total = variance.sum()
    kept = 0
    if total > 0:
        kept = 1 + int(np.searchsorted(variance.cumsum() / total, _KEPT))
    kept = min(kept, _MOST_COMPONENTS, len(variance))
    # Orthonormal in the coordinates themselves, so that the transpose is the way back.
    directions, _ = np.linalg.qr(deviation[:, None] * vectors[:, :kept])
    return mean.astype(np.float32), np.ascontiguousarray(directions.T, np.float32)


def _courses(row: Array) -> tuple[Array, float]:
    """Of trajectories of one row (clip point): roots of the covariance over time."""
    variance, vectors = np.linalg.eigh(row.T @ row / len(row))
    variance, vectors = np.maximum(variance[::-1], 0.0), vectors[:, ::-1]
    courses = (vectors[:, :_COURSES] * np.sqrt(variance[:_COURSES])).T
    return courses, float(np.sqrt(variance[_COURSES:].sum() / POINTS))


def _body_frames(clip: BankClip) -> int:
    return max(1, clip.end_frame - _anchor(clip) - ONSET_FRAMES)


def _anchor(clip: BankClip) -> int:
    """The onset, or an earlier frame where it comes late: no slow attack is cut."""
    return min(clip.onset_frame, LEAD_FRAMES)


def _places(clip: BankClip) -> Array:
    anchor = _anchor(clip)
    fixed = anchor + ONSET_FRAMES
    last = max(clip.end_frame, fixed + 1) - 1
    head = np.arange(anchor - LEAD_FRAMES, fixed)
    place = np.concatenate([head, np.linspace(fixed, last, _BODY_POINTS)])
    return np.clip(place, 0, clip.rows.shape[1] - 1)


def _first_of_equal(place: Array) -> tuple[Array, Array]:
    """Places that rise, and the last point that lies in each: a recording without a lead has
    several points in its first frame.
    """
    last = np.append(np.diff(place) > 0, True)
    return place[last], np.flatnonzero(last).astype(np.float64)


def _track_rows(rows: Array, tracks: tuple[str, ...]) -> dict[str, Array]:
    return dict(zip(tracks, rows[len(rows) - len(tracks) :], strict=True))


def _carried(tracks: dict[str, Array], end_frame: int) -> Array:
    """The row of f0, on straight lines where its confidence is low."""
    f0 = tracks["f0_hz"]
    if "confidence" not in tracks:
        return f0
    sure = np.flatnonzero(tracks["confidence"][:end_frame] >= _SURE)
    return np.interp(np.arange(len(f0)), sure, f0[sure]) if len(sure) else f0


def _squeezed(level_db: Array) -> Array:
    level = np.clip(level_db, _FLOOR_DB, None)
    return np.where(level > _QUIET_DB, level, _QUIET_DB + _PER_QUIET_DB * (level - _QUIET_DB))


def _spread(level: Array) -> Array:
    wide = _QUIET_DB + (level - _QUIET_DB) / _PER_QUIET_DB
    return np.clip(np.where(level > _QUIET_DB, level, wide), _FLOOR_DB, None)
