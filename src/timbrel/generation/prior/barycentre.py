"""New hits and notes: onset-aligned mixtures of two recordings' codes, from beginning to end.

A process that is fitted to all frames knows no attack, decay or end. A whole trajectory keeps them,
and so does the mean of two like ones that begin together.
"""

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.generation.prior.bank import Bank, BankClip
from timbrel.generation.prior.draw import Draw
from timbrel.generation.source import FixedSource
from timbrel.generation.tracks import latent_of
from timbrel.randomness import numpy_generator

ONSET_FRAMES = 6
"""What begins a sound is never stretched: the frame of its onset and the five behind it."""

FEWEST_NEIGHBOURS, MOST_NEIGHBOURS, SHARE_OF_NEIGHBOURS = 2, 8, 0.2
ALPHA = 0.5
PERTURBATION = 0.35
"""The share of the neighbours' residual covariance that a sound is moved by."""

_POINTS = 12
_LEAST_DB, _SILENT_DB = -100.0, -200.0
_MOVES_FRAMES = 8  # standard deviation of the window that smooths a perturbation
_STEADY = 0.5  # the share of a perturbation's variance that stays throughout a sound
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
        if not bank.recordings:
            raise ValueError("an empty bank")
        self.bank = bank
        self.hop_samples = hop_samples

    def draw(
        self,
        seed: int,
        *,
        n_samples: int | None = None,
        length: float = 1.0,
        temperature: float = 1.0,
    ) -> Draw:
        """The sound of `seed`, with an end of its own."""
        anchors = self.bank.recordings
        rng = numpy_generator(seed // len(anchors), 0, "prior anchors")
        anchor = anchors[rng.permutation(len(anchors))[seed % len(anchors)]]
        rng = numpy_generator(seed, 0, "prior bank")
        near = self.neighbours(anchor)
        partner = near[rng.integers(len(near))] if near else anchor
        weight = float(rng.dirichlet([ALPHA, ALPHA]).max()) if near else 1.0
        rows = mixed(anchor, partner, weight, self.bank.tracks, length)
        rows = self._perturbed(rows, temperature, rng)
        clip = weight * anchor.clip_code + (1 - weight) * partner.clip_code
        latent = latent_of(
            torch.from_numpy(rows.astype(np.float32))[None],
            torch.from_numpy(clip.astype(np.float32))[None],
            self.bank.tracks,
        )
        source = FixedSource(latent, hop_samples=self.hop_samples, n_samples=n_samples)
        made_of = ((anchor.name, weight), (partner.name, 1 - weight))
        whole = rows.shape[1] * self.hop_samples
        return Draw(source, made_of[: 2 if near else 1], ends=True, cut=source.n_samples < whole)

    def neighbours(self, anchor: BankClip) -> list[BankClip]:
        """The recordings most like `anchor`, nearest first, each at its most similar speed."""
        clips = self.bank.clips
        own = self._points[clips.index(anchor)]
        distance = np.square(self._points - own).sum(1)
        best: dict[str, int] = {}
        for index in np.argsort(distance, kind="stable"):
            best.setdefault(clips[index].name, int(index))
        best.pop(anchor.name)
        share = round(SHARE_OF_NEIGHBOURS * len(self.bank.recordings))
        count = min(max(share, FEWEST_NEIGHBOURS), MOST_NEIGHBOURS)
        return [clips[index] for index in list(best.values())[:count]]

    @cached_property
    def _points(self) -> Array:
        """Every clip as one point: its course from the onset, in deviations of the recordings'."""
        courses = np.stack([_course(clip, self.bank.tracks) for clip in self.bank.clips])
        own = courses[[clip.semitones == 0 for clip in self.bank.clips]]
        deviation = own.transpose(1, 0, 2).reshape(own.shape[1], -1).std(1)
        scaled = courses / np.where(deviation > 0, deviation, 1.0)[:, None]
        return scaled.reshape(len(scaled), -1)

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
        reach = 3 * _MOVES_FRAMES
        window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _MOVES_FRAMES) ** 2)
        window /= np.linalg.norm(window)
        white = rng.standard_normal((root.shape[1], n_frames + 2 * reach))
        moving = np.stack([np.convolve(row, window, "valid") for row in root @ white])
        steady = root @ rng.standard_normal((root.shape[1], 1))
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
    left = np.floor(place).astype(int)
    right = np.minimum(left + 1, rows.shape[1] - 1)
    return rows[:, left] + (place - left) * (rows[:, right] - rows[:, left])


def _course(clip: BankClip, tracks: tuple[str, ...]) -> Array:
    """The first frames and points of the rest, the level below its own peak: `(row, point)`."""
    rows = np.concatenate([_laid(clip, 0, _POINTS)], axis=1)
    if "loudness_db" in tracks:
        row = len(rows) - len(tracks) + tracks.index("loudness_db")
        rows[row] = np.maximum(rows[row] - rows[row].max(), _LEAST_DB)
    return rows
