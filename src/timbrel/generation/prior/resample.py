"""New textures: pieces of one recording's code in another order, joined where they agree.

Texture synthesis by quilting (Efros & Freeman 2001, section 2), in the code and in one dimension.
A process that is fitted to all frames of a set wanders from the colour of one recording to that of
the next within a second; one sound made of one recording keeps to it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter

from timbrel.config.choices import TextureKind
from timbrel.contracts import Latent
from timbrel.generation.prior.autoregression import AutoregressiveSource, fit_autoregression
from timbrel.generation.prior.bank import Bank, BankClip
from timbrel.generation.prior.draw import Draw, visited
from timbrel.generation.prior.process import LinearProcess
from timbrel.generation.source import LatentSource
from timbrel.generation.tracks import latent_of
from timbrel.randomness import numpy_generator

PIECE_S = (0.3, 0.45)
"""How long pieces are; with what a join hides, no run of a recording lasts half a second."""

_JOIN_S = 0.08
_CANDIDATES, _BEST = 32, 3
_RECENT = 4  # so many pieces are not played again at once
_TOWARDS = 0.25  # the most of the way to the nearest recording's mean
_PERTURBATION = 0.05  # of the recording's own variance
_MOVES_S = 0.1
_STAYS = ("f0_hz", "confidence", "loudness_db")
_SURE = 0.5
_RANGE_DB = 60.0

Array = NDArray[np.float64]


class ResamplePrior:
    """Sounds of any length that go on like one recording of `bank`, at its own speed.

    N recordings are visited once each by the seeds 0 to N - 1, and again by the next N. Pieces of
    0.3 to 0.45 s follow each other where their frames agree best, cross-faded; the whole is moved
    a little towards the mean of the nearest recording, and perturbed smoothly. f0, its confidence
    and the level stay as they are. With `texture="var"` every frame is drawn instead, by a vector
    autoregression of the recording's own frames.
    """

    kind = "resample"

    def __init__(
        self,
        bank: Bank,
        *,
        hop_samples: int,
        sample_rate_hz: int,
        texture: TextureKind = TextureKind.quilt,
    ) -> None:
        self.bank = bank
        self.texture = texture
        self.hop_samples = hop_samples
        self.sample_rate_hz = sample_rate_hz

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
        """The sound of `seed`: `n_samples` long, or as long as its recording, times `length`.

        It is like `of`, or like the recording that the seed visits.
        """
        clip = of or visited(self.bank.recordings, seed)
        clips = self.bank.recordings
        index = clips.index(clip)
        rng = numpy_generator(seed, redraw, "prior direction")
        share = min(1.0, temperature * float(rng.uniform(0.0, _TOWARDS)))
        nearest = self._nearest(index)
        offset = share * (self._means[nearest] - self._means[index])
        length_samples = n_samples or max(1, round(length * clip.end_frame * self.hop_samples))
        source: LatentSource
        if self.texture == TextureKind.var:
            process = self._process(clip)
            source = AutoregressiveSource(
                replace(process, mean=process.mean + offset, output=temperature * process.output),
                clip.clip_code,
                self.bank.tracks,
                seed=seed,
                redraw=redraw,
                n_samples=length_samples,
                hop_samples=self.hop_samples,
            )
        else:
            source = _Quilt(
                self,
                clip,
                offset,
                seed=seed,
                redraw=redraw,
                n_samples=length_samples,
                temperature=temperature,
            )
        if nearest == index:
            return Draw(source, ((clip.name, 1.0),))
        return Draw(source, ((clip.name, 1 - share), (clips[nearest].name, share)))

    def go_on(self, sound: BankClip, seed: int, *, n_samples: int, temperature: float) -> Draw:
        """`sound`, which need not be in the bank, and what goes on like it behind its end."""
        source = _Quilt(
            self,
            sound,
            np.zeros(len(sound.rows)),
            seed=seed,
            n_samples=n_samples,
            temperature=temperature,
            whole=True,
        )
        return Draw(source, ((sound.name, 1.0),))

    def frames(self, seconds: float) -> int:
        """`seconds` in frames, at least one."""
        return max(1, round(seconds * self.sample_rate_hz / self.hop_samples))

    @cached_property
    def moved_rows(self) -> NDArray[np.bool_]:
        """Which rows may be changed: the codes, and tracks that say nothing of pitch or level."""
        n_rows = len(self.bank.clips[0].rows)
        moved = np.ones(n_rows, bool)
        for row, name in enumerate(self.bank.tracks, n_rows - len(self.bank.tracks)):
            moved[row] = name not in _STAYS
        return moved

    @cached_property
    def deviation(self) -> Array:
        """Of every row, over all recordings; 1 where nothing moves."""
        everything = np.concatenate([body(clip) for clip in self.bank.recordings], axis=1)
        spread = everything.std(1)
        return np.where(spread > 0, spread, 1.0)

    def _process(self, clip: BankClip) -> LinearProcess:
        """Of the frames of `clip`; what is more than 60 dB below its loudest counts as that."""
        rows = body(clip)
        if "loudness_db" in self.bank.tracks:
            level = rows[len(rows) - len(self.bank.tracks) + self.bank.tracks.index("loudness_db")]
            np.maximum(level, level.max() - _RANGE_DB, out=level)
        return fit_autoregression(rows)

    @cached_property
    def _means(self) -> Array:
        return np.stack(
            [np.where(self.moved_rows, body(clip).mean(1), 0.0) for clip in self.bank.recordings]
        )

    def _nearest(self, index: int) -> int:
        """The other recording of the nearest mean; itself where there is no other."""
        distance = np.square((self._means - self._means[index]) / self.deviation).sum(1)
        distance[index] = np.inf
        return int(distance.argmin()) if len(distance) > 1 else index


class _Quilt:
    """A run of pieces, drawn one after the other: the memory does not depend on how many."""

    def __init__(
        self,
        prior: ResamplePrior,
        clip: BankClip,
        offset: Array,
        *,
        seed: int,
        n_samples: int,
        temperature: float,
        redraw: int = 0,
        whole: bool = False,
    ) -> None:
        self.prior = prior
        self.clip = clip
        self.offset = offset
        self.seed = seed
        self.redraw = redraw
        self.n_samples = n_samples
        self.temperature = temperature
        self.whole = whole
        self.scaled = body(clip) / prior.deviation[:, None]

    def blocks(self) -> Iterator[Latent]:
        """A piece each; the same ones at every call."""
        rows = body(self.clip)
        missing = -(-self.n_samples // self.prior.hop_samples)
        rng = numpy_generator(self.seed, self.redraw, "prior pieces")
        perturbation = _Perturbation(self, rows)
        clip_code = torch.from_numpy(self.clip.clip_code)[None]
        for piece in self._pieces(rows, rng):
            changed = piece + self.offset[:, None] + perturbation(piece.shape[1])
            made = torch.from_numpy(changed[:, :missing].astype(np.float32))[None]
            yield latent_of(made, clip_code, self.prior.bank.tracks)
            missing -= piece.shape[1]
            if missing <= 0:
                return

    def _pieces(self, rows: Array, rng: np.random.Generator) -> Iterator[Array]:
        """Pieces without end, each with its join to the one before it at its beginning."""
        n = rows.shape[1]
        shortest, longest = (min(self.prior.frames(s), max(1, n // 3)) for s in PIECE_S)
        join = min(self.prior.frames(_JOIN_S), max(0, n - longest), max(1, longest // 2))
        start = int(rng.integers(max(1, n - longest - join + 1)))
        tail = None
        if self.whole:
            # Without the last frames, which the first join needs.
            yield rows[:, : max(1, n - join)].copy()
            tail = rows[:, max(1, n - join) :]
            start = self._follows(rows, [n - longest, n - join], join, longest, rng)
        recent = deque([start], maxlen=_RECENT)
        while True:
            stop = start + int(rng.integers(shortest, longest + 1))
            piece = rows[:, start:stop].copy()
            if tail is not None:
                width = min(tail.shape[1], piece.shape[1])
                piece[:, :width] = self._joined(tail[:, :width], piece[:, :width])
            yield piece
            tail = rows[:, stop : stop + join]
            start = self._follows(rows, [*recent, stop], join, longest, rng)
            recent.append(start)

    def _follows(
        self, rows: Array, heard: list[int], join: int, longest: int, rng: np.random.Generator
    ) -> int:
        """Where the next piece begins: one of the best of some places.

        `heard` are the places where the last pieces began, and where the last one stopped: those
        near them are left out, as many of the last as leave a choice.
        """
        last = rows.shape[1] - longest - join
        places = np.arange(last + 1)
        for first in range(len(heard) - 1):
            apart = np.abs(places[:, None] - heard[first:]).min(1)
            free = places[apart > longest // 2]
            if len(free):
                break
        else:
            return int(rng.integers(max(1, last + 1)))
        tried = rng.choice(free, min(_CANDIDATES, len(free)), replace=False)
        stop, scaled = heard[-1], self.scaled
        after = scaled[:, stop : stop + join]
        width = after.shape[1]
        cost = [np.square(scaled[:, x : x + width] - after).sum() for x in tried]
        best = tried[np.argsort(cost)[:_BEST]]
        return int(best[rng.integers(len(best))])

    def _joined(self, one: Array, other: Array) -> Array:
        """From `one` to `other` in straight lines; f0 leaps half way where one of them has none."""
        share = (np.arange(one.shape[1]) + 0.5) / one.shape[1]
        made = one + share * (other - one)
        tracks = self.prior.bank.tracks
        if "f0_hz" in tracks:
            first = len(one) - len(tracks)
            f0, sure = first + tracks.index("f0_hz"), first + tracks.index("confidence")
            unsure = np.minimum(one[sure], other[sure]) < _SURE
            leap = np.where(share < 0.5, one[f0], other[f0])
            made[f0] = np.where(unsure, leap, made[f0])
        return made


class _Perturbation:
    """Smooth noise of the recording's own covariance, as many frames at a time as it is asked."""

    def __init__(self, quilt: _Quilt, rows: Array) -> None:
        self.rng = numpy_generator(quilt.seed, quilt.redraw, "prior perturbation")
        moved = quilt.prior.moved_rows[:, None]
        centred = np.where(moved, rows - rows.mean(1, keepdims=True), 0.0)
        variance, vectors = np.linalg.eigh(centred @ centred.T / rows.shape[1])
        scale = quilt.temperature * np.sqrt(_PERTURBATION)
        self.root = scale * vectors * np.sqrt(np.maximum(variance, 0.0))
        # Twice the same low-pass, with the gain that leaves white noise its power.
        keeps = float(np.exp(-1 / quilt.prior.frames(_MOVES_S)))
        gain = (1 - keeps**2) * np.sqrt((1 - keeps**2) / (1 + keeps**2))
        self.filter = [gain], [1.0, -2 * keeps, keeps**2]
        self.state = np.zeros((len(rows), 2))
        self(round(10 / (1 - keeps)))  # from its first frame on it is as strong as later

    def __call__(self, n_frames: int) -> Array:
        if not len(self.root):  # a model whose codes are of whole clips alone
            return np.zeros((0, n_frames))
        white = self.root @ self.rng.standard_normal((self.root.shape[1], n_frames))
        smooth, self.state = lfilter(*self.filter, white, zi=self.state)
        return smooth


def body(clip: BankClip) -> Array:
    """The rows of a recording without the silence behind it."""
    return clip.rows[:, : clip.end_frame].astype(np.float64)
