"""New hits and notes: onset-aligned mixtures of two recordings' codes, from beginning to end.

A process that is fitted to all frames knows no attack, decay or end. A whole trajectory keeps them,
and so does the mean of two like ones that begin together.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.generation.prior.bank import Bank, BankClip
from timbrel.generation.prior.draw import Draw, visited
from timbrel.generation.source import FixedSource
from timbrel.generation.tracks import at_places, latent_of
from timbrel.randomness import numpy_generator

ONSET_FRAMES = 6
"""What begins a sound is never stretched: the frame of its onset and the five behind it."""

FEWEST_NEIGHBOURS, MOST_NEIGHBOURS, SHARE_OF_NEIGHBOURS = 2, 8, 0.2
ALPHA = 0.5
PERTURBATION = 0.35
"""The share of the neighbours' residual covariance that a sound is moved by."""

_LESS_EACH = 0.1  # of the first recording, with every redraw
_POINTS = 12
_SURE = 0.5
_LEAST_DB, _SILENT_DB = -100.0, -200.0
_MOVES_FRAMES = 8  # standard deviation of the window that smooths a perturbation
_STEADY = 0.5  # the share of a perturbation's variance that stays throughout a sound
_VARIED_SHARE, _VARIED = 0.8, 2.0
_STAYS = ("f0_hz", "confidence", "loudness_db")

Array = NDArray[np.float64]


class BarycentrePrior:
    """Every sound is a recording of `bank`, mixed with one of the most like it.

    N recordings are visited once each by the seeds 0 to N - 1, and again by the next N. The other
    one is among the nearest clamp(N / 5, 2, 8), each at the speed at which it is most alike;
    weights are of a symmetric Dirichlet distribution (alpha 0.5), the greater one the first's.
    Both begin in the same frame, their first six frames are mixed as they are, and what follows is
    brought to a common length. On top lies a smooth perturbation with 0.35 of the covariance by
    which recordings differ from their neighbours' mean.

    f0 and confidence are the first recording's alone: a mixture of two pitches is neither. The
    level is mixed in decibels below each one's peak, and keeps the first one's.
    """

    kind = "bank"

    def __init__(self, bank: Bank, *, hop_samples: int) -> None:
        self.bank = bank
        self.hop_samples = hop_samples

    def draw(
        self,
        seed: int,
        *,
        n_samples: int | None = None,
        length: float = 1.0,
        temperature: float = 1.0,
        redraw: int = 0,
        of: BankClip | None = None,
    ) -> Draw:
        """The sound of `seed`, mostly `of` or the recording that the seed visits; it has an end."""
        anchor = of or visited(self.bank.recordings, seed)
        rng = numpy_generator(seed, redraw, "prior bank")
        near = self.neighbours(anchor)
        partner = near[rng.integers(len(near))] if near else anchor
        weight = float(rng.dirichlet([ALPHA, ALPHA]).max()) if near else 1.0
        if near and redraw:
            weight = max(0.5, min(weight, 1.0 - _LESS_EACH * redraw))
        rows = mixed(anchor, partner, weight, self.bank.tracks, length)
        rows = self._perturbed(rows, temperature, rng)
        made_of = ((anchor.name, weight), (partner.name, 1 - weight))[: 2 if near else 1]
        clip_code = weight * anchor.clip_code + (1 - weight) * partner.clip_code
        return self._sound(rows, clip_code, made_of, n_samples)

    def vary(
        self,
        sound: BankClip,
        strength: float,
        seed: int,
        *,
        n_samples: int | None = None,
        length: float = 1.0,
    ) -> Draw:
        """Another sound like `sound`, which need not be in the bank; at strength 0 it is that.

        The strength, 0 to 1, is how far it goes towards one of the recordings most like it, and
        times `_VARIED` how strongly it is perturbed.
        """
        rng = numpy_generator(seed, 0, "vary")
        near = self.neighbours(sound)
        partner = near[rng.integers(len(near))] if near else sound
        share = _VARIED_SHARE * strength if near else 0.0
        rows = mixed(sound, partner, 1 - share, self.bank.tracks, length)
        rows = self._perturbed(rows, _VARIED * strength, rng)
        made_of = ((sound.name, 1 - share), (partner.name, share))[: 2 if share > 0 else 1]
        clip_code = (1 - share) * sound.clip_code + share * partner.clip_code
        return self._sound(rows, clip_code, made_of, n_samples)

    def _sound(
        self,
        rows: Array,
        clip_code: NDArray[Any],
        made_of: tuple[tuple[str, float], ...],
        n_samples: int | None,
    ) -> Draw:
        return sound_of(rows, clip_code, self.bank.tracks, made_of, self.hop_samples, n_samples)

    def neighbours(self, anchor: BankClip) -> list[BankClip]:
        """The recordings most like `anchor`, nearest first, each at its most similar speed."""
        clips = self.bank.clips
        own = (_course(anchor, self.bank.tracks) / self._deviation).ravel()
        distance = np.square(self._points - own).sum(1)
        best: dict[str, int] = {}
        for index in np.argsort(distance, kind="stable"):
            best.setdefault(clips[index].name, int(index))
        best.pop(anchor.name, None)
        share = round(SHARE_OF_NEIGHBOURS * len(self.bank.recordings))
        count = min(max(share, FEWEST_NEIGHBOURS), MOST_NEIGHBOURS)
        return [clips[index] for index in list(best.values())[:count]]

    @cached_property
    def _points(self) -> Array:
        """Every clip as one point: its course from the onset, in deviations of the recordings'."""
        courses = [_course(clip, self.bank.tracks) for clip in self.bank.clips]
        return np.stack([(course / self._deviation).ravel() for course in courses])

    @cached_property
    def _deviation(self) -> Array:
        """Of every row, `(row, 1)`, over the courses of all recordings; 1 where nothing moves."""
        courses = [_course(clip, self.bank.tracks) for clip in self.bank.recordings]
        deviation = np.concatenate(courses, axis=1).std(1, keepdims=True)
        return np.where(deviation > 0, deviation, 1.0)

    @cached_property
    def _residual(self) -> Array:
        """A matrix L with L L^T the covariance of recordings about their neighbours' mean."""
        differences = []
        for clip in self.bank.recordings:
            near = self.neighbours(clip)
            if near:
                courses = [_course(other, self.bank.tracks) for other in near]
                differences.append(_course(clip, self.bank.tracks) - np.mean(courses, axis=0))
        n_rows = len(self.bank.clips[0].rows)
        if not differences:
            return np.zeros((n_rows, 1))
        joined = np.concatenate(differences, axis=1)
        root = joined / np.sqrt(joined.shape[1])
        for row, name in enumerate(self.bank.tracks, n_rows - len(self.bank.tracks)):
            if name in _STAYS:
                root[row] = 0.0
        return root

    def _perturbed(self, rows: Array, temperature: float, rng: np.random.Generator) -> Array:
        root = self._residual
        n_frames = rows.shape[1]
        if not len(rows):  # a model whose codes are of whole clips alone
            return rows
        reach = 3 * _MOVES_FRAMES
        window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _MOVES_FRAMES) ** 2)
        window /= np.linalg.norm(window)
        steady = root @ rng.standard_normal((root.shape[1], 1))
        # Frame by frame: a longer sound of a seed is perturbed as a shorter one is.
        white = rng.standard_normal((n_frames + 2 * reach, root.shape[1])).T
        moving = np.stack([np.convolve(row, window, "valid") for row in root @ white])
        drawn = np.sqrt(_STEADY) * steady + np.sqrt(1 - _STEADY) * moving
        return rows + temperature * np.sqrt(PERTURBATION) * drawn


def mixed(
    anchor: BankClip, partner: BankClip, weight: float, tracks: tuple[str, ...], length: float
) -> Array:
    """The rows of `weight` times `anchor` and the rest `partner`, from beginning to end."""
    before = min(anchor.onset_frame, partner.onset_frame)
    share = np.array([weight, 1 - weight])
    bodies = [
        max(1, clip.end_frame - clip.onset_frame - ONSET_FRAMES) for clip in (anchor, partner)
    ]
    body = max(1, round(length * float(np.exp(share @ np.log(bodies)))))
    one, other = (_laid(clip, before, body) for clip in (anchor, partner))
    rows = weight * one + (1 - weight) * other
    first = len(rows) - len(tracks)
    for row, name in enumerate(tracks, first):
        if name in ("f0_hz", "confidence"):
            rows[row] = one[row]
        elif name == "loudness_db":
            rows[row] = _levels(one[row], other[row], weight)
    return rows


def line(
    one: BankClip,
    other: BankClip,
    position: float,
    tracks: tuple[str, ...],
    *,
    to: float | None = None,
    length: float = 1.0,
    hop_samples: int,
    n_samples: int | None = None,
) -> Draw:
    """A sound on the line from `one` (position 0) to `other` (1), onsets aligned.

    With `to` the position moves from `position` to it within the sound. Everything lies on the
    line: a pitch at half way is half way between the two in semitones. Where only one of the two
    has a pitch, the other one's takes it over.
    """
    rows = mixed(one, other, 1 - position, tracks, length)
    before = min(one.onset_frame, other.onset_frame)
    body = rows.shape[1] - before - ONSET_FRAMES
    ends = [_laid(clip, before, body) for clip in (one, other)]
    if "f0_hz" in tracks:
        _take_over_pitch(ends, tracks)
    place = np.linspace(position, position if to is None else to, rows.shape[1])
    first = len(rows) - len(tracks)
    made = ends[0] + place * (ends[1] - ends[0])
    if "loudness_db" in tracks:
        row = first + tracks.index("loudness_db")
        level = [np.maximum(end[row], _LEAST_DB) for end in ends]
        mixture = level[0] + place * (level[1] - level[0])
        made[row] = np.where(mixture > _LEAST_DB, mixture, _SILENT_DB)
    middle = float(place.mean())
    clip_code = (1 - middle) * one.clip_code + middle * other.clip_code
    made_of = ((one.name, 1 - middle), (other.name, middle))
    return sound_of(made, clip_code, tracks, made_of, hop_samples, n_samples)


def _take_over_pitch(ends: list[Array], tracks: tuple[str, ...]) -> None:
    first = len(ends[0]) - len(tracks)
    f0, sure = first + tracks.index("f0_hz"), first + tracks.index("confidence")
    for own, beside in (ends, ends[::-1]):
        unvoiced = (own[sure] < _SURE) & (beside[sure] >= _SURE)
        own[f0] = np.where(unvoiced, beside[f0], own[f0])


def sound_of(
    rows: Array,
    clip_code: NDArray[Any],
    tracks: tuple[str, ...],
    made_of: tuple[tuple[str, float], ...],
    hop_samples: int,
    n_samples: int | None,
) -> Draw:
    """Rows (row frame) and a clip code (clip_latent) as a sound that ends; `n_samples` cuts it."""
    latent = latent_of(
        torch.from_numpy(rows.astype(np.float32))[None],
        torch.from_numpy(clip_code.astype(np.float32))[None],
        tracks,
    )
    source = FixedSource(latent, hop_samples=hop_samples, n_samples=n_samples)
    whole = rows.shape[1] * hop_samples
    return Draw(source, made_of, ends=True, cut=source.n_samples < whole)


def _levels(one: Array, other: Array, weight: float) -> Array:
    """Levels mixed in decibels below each one's peak, at the peak of `one`."""
    one, other = (np.maximum(level, _LEAST_DB) for level in (one, other))
    level = one.max() + weight * (one - one.max()) + (1 - weight) * (other - other.max())
    return np.where(level > _LEAST_DB, level, _SILENT_DB)


def _laid(clip: BankClip, before: int, body: int) -> Array:
    """The rows from `before` frames ahead of the onset, the frames behind its first stretched."""
    start = clip.onset_frame - before
    fixed = clip.onset_frame + ONSET_FRAMES
    rows = clip.rows.astype(np.float64)
    last = max(clip.end_frame, fixed + 1) - 1
    place = np.concatenate([np.arange(start, fixed), np.linspace(fixed, last, body)])
    place = np.minimum(place, rows.shape[1] - 1)
    return at_places(rows, place)


def _course(clip: BankClip, tracks: tuple[str, ...]) -> Array:
    """The first frames and points of the rest, the level below its own peak: `(row, point)`."""
    rows = np.concatenate([_laid(clip, 0, _POINTS)], axis=1)
    if "loudness_db" in tracks:
        row = len(rows) - len(tracks) + tracks.index("loudness_db")
        rows[row] = np.maximum(rows[row] - rows[row].max(), _LEAST_DB)
    return rows
