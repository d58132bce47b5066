"""Fits the flow prior: flow matching on trajectories, stopped before it knows them by heart."""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from timbrel.generation.prior.bank import Bank, BankClip
from timbrel.generation.prior.flow import Flow, Size, new_network
from timbrel.generation.prior.trajectory import (
    NAMES,
    Attributes,
    attributes_of,
    fit_space,
)
from timbrel.randomness import numpy_generator, torch_generator

FEWEST = 4
"""Hits and notes that are needed: a part of them is held out where no others are."""

COPY = 0.35
"""A draw nearer to a training trajectory than this share of the usual distance is a copy."""

_FEWEST_HELD_OUT, _HELD_OUT_SHARE = 3, 0.15
_TIMES = 8  # at which each held-out trajectory is looked at
_NEIGHBOURS = 8
_MOST = 2048  # trajectories of training: their distances are compared in pairs

Array = NDArray[np.float32]


@dataclass(frozen=True)
class FlowSettings:
    """How long and on what it is fitted.

    Of a batch, `mixed_share` are mixtures of two like trajectories, and `masked_share` have a part
    that is known. It ends after `steps`, `patience` looks
    without a lower held-out loss, `limit_s`, or when more than `most_copies` of `draws` are copies.
    """

    size: Size = field(default_factory=Size)
    steps: int = 1200
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    averaged: float = 0.99
    mixed_share: float = 0.9
    masked_share: float = 0.3
    look_every_steps: int = 100
    patience: int = 3
    draws: int = 16
    most_copies: float = 0.1
    limit_s: float = 90.0


class Look(NamedTuple):
    """What was found at a step: the held-out loss, and the share of draws that are copies."""

    step: int
    loss: float
    copies: float


@dataclass(frozen=True, eq=False)
class FittedFlow:
    """The flow of the best step, every look at it, and what ended the fit.

    `textures` is how many recordings are not in it, since they are no hits or notes.
    """

    flow: Flow
    looks: tuple[Look, ...]
    step: int
    ended_by: str
    textures: int


@dataclass(frozen=True, eq=False)
class _Examples:
    """Trajectories (clip row point), their conditions, and what they are mixed from."""

    x: Array
    attributes: Array
    names: NDArray[np.int64]


def fit_flow(
    bank: Bank, held_out: Sequence[BankClip], seed: int, settings: FlowSettings | None = None
) -> FittedFlow:
    """The flow of the hits and notes of `bank`, which has `FEWEST` of them or more.

    `held_out` are recordings that are not in it; where fewer than three are hits or notes, a part
    of the bank's is held out instead. The same seed gives the same weights, as long as the time
    limit does not end it.

    Raises ValueError where there are too few recordings.
    """
    settings = settings or FlowSettings()
    training, others = _parted(bank, [clip for clip in held_out if clip.event], seed)
    space = fit_space(training, bank.tracks)
    own = [clip for clip in training if clip.semitones == 0]
    attributes = _table([attributes_of(clip, bank.tracks) for clip in own])
    with torch.random.fork_rng(devices=[]):  # layers draw their first weights globally
        torch.manual_seed(torch_generator(seed, 0, "flow weights").initial_seed())
        network = new_network(space, settings.size)
    flow = Flow(space, network, settings.size, attributes)
    known, unseen = (_examples(flow, clips) for clips in (training, others))
    fitted = _Fit(flow, known, unseen, seed, settings).run()
    return replace(fitted, textures=sum(not clip.event for clip in bank.recordings))


def _parted(
    bank: Bank, held_out: list[BankClip], seed: int
) -> tuple[list[BankClip], list[BankClip]]:
    events = [clip for clip in bank.clips if clip.event]
    names = sorted({clip.name for clip in events})
    if len(names) < FEWEST:
        raise ValueError(
            f"{len(names)} hits and notes to learn from, {FEWEST} are needed; take prior=auto, "
            "which draws on few recordings, and textures, too"
        )
    if len(events) > _MOST:
        events = [events[i] for i in np.linspace(0, len(events) - 1, _MOST).round().astype(int)]
        names = sorted({clip.name for clip in events if clip.semitones == 0})
    if len(held_out) >= _FEWEST_HELD_OUT:
        return events, held_out
    count = max(1, round(_HELD_OUT_SHARE * len(names)))
    left_out = set(numpy_generator(seed, 0, "flow held out").permutation(names)[:count])
    training = [clip for clip in events if clip.name not in left_out]
    return training, [clip for clip in events if clip.name in left_out and clip.semitones == 0]


def _table(attributes: Sequence[Attributes]) -> Array:
    return np.array([[getattr(x, name) for name in NAMES] for x in attributes], np.float32)


def _examples(flow: Flow, clips: Sequence[BankClip]) -> _Examples:
    space = flow.space
    order = {name: i for i, name in enumerate(sorted({clip.name for clip in clips}))}
    return _Examples(
        np.stack([space.trajectory(clip) for clip in clips]),
        _table([attributes_of(clip, space.tracks) for clip in clips]),
        np.array([order[clip.name] for clip in clips]),
    )


class _Fit:
    def __init__(
        self, flow: Flow, known: _Examples, unseen: _Examples, seed: int, settings: FlowSettings
    ) -> None:
        self.flow = flow
        self.known = known
        self.seed = seed
        self.settings = settings
        self.neighbours = _neighbours(known)
        self.averaged = copy.deepcopy(flow.network).requires_grad_(False)
        rng = numpy_generator(seed, 0, "flow look")
        x = np.repeat(unseen.x, _TIMES, axis=0)
        self.looked_at = (
            torch.from_numpy(x),
            torch.from_numpy(flow.space.noise(rng, len(x))),
            torch.from_numpy(np.tile((np.arange(_TIMES) + 0.5) / _TIMES, len(unseen.x))).float(),
            torch.from_numpy(flow.conditions(np.repeat(unseen.attributes, _TIMES, axis=0))),
        )
        picked = rng.integers(len(flow.attributes), size=settings.draws)
        self.draws = (
            flow.space.noise(rng, settings.draws),
            flow.conditions(flow.attributes[picked]),
        )
        usual = np.median([_nearest(trajectory, known.x) for trajectory in unseen.x])
        self.copy_distance = COPY * float(usual)

    def run(self) -> FittedFlow:
        settings, network = self.settings, self.flow.network
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        rng = numpy_generator(self.seed, 0, "flow batches")
        began = time.monotonic()
        looks: list[Look] = []
        best, kept, ended_by = None, copy.deepcopy(self.averaged), "steps"
        with torch.random.fork_rng(devices=[]):  # dropout draws globally
            torch.manual_seed(torch_generator(self.seed, 1, "flow dropout").initial_seed())
            for step in range(1, settings.steps + 1):
                network.train()
                for group in optimizer.param_groups:
                    group["lr"] = settings.learning_rate * _schedule(step / settings.steps)
                loss = self._loss(rng)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                self._average(step)
                if step % settings.look_every_steps and step < settings.steps:
                    continue
                look = self._look(step)
                looks.append(look)
                if look.copies > settings.most_copies:
                    ended_by = "copies"
                    break
                if best is None or look.loss < best.loss:
                    best, kept = look, copy.deepcopy(self.averaged)
                elif step - best.step >= settings.patience * settings.look_every_steps:
                    ended_by = "held-out loss"
                    break
                if time.monotonic() - began > settings.limit_s:
                    ended_by = "time"
                    break
        flow = Flow(self.flow.space, kept.eval(), settings.size, self.flow.attributes)
        return FittedFlow(flow, tuple(looks), best.step if best else 0, ended_by, textures=0)

    def _loss(self, rng: np.random.Generator) -> Float[Tensor, ""]:
        settings, flow = self.settings, self.flow
        batch = settings.batch_size
        x, attributes = self._batch(rng)
        conditions = flow.conditions(attributes)
        mask = _masks(rng, batch, x.shape[2], settings.masked_share)
        target, noise = torch.from_numpy(x), torch.from_numpy(flow.space.noise(rng, batch))
        time_on_path = torch.from_numpy(rng.random(batch).astype(np.float32))
        where = torch.from_numpy(mask)
        place = time_on_path[:, None, None]
        moving = (1 - place) * noise + place * target
        found = flow.network(moving, time_on_path, torch.from_numpy(conditions), target, where)
        error = (found - (target - noise)).square() * (1 - where[:, None])
        return error.mean()

    def _batch(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Trajectories of training recordings, some of them mixed with one that is like them."""
        settings, known = self.settings, self.known
        first = rng.integers(len(known.x), size=settings.batch_size)
        other = self.neighbours[first, rng.integers(self.neighbours.shape[1], size=len(first))]
        weight = rng.beta(0.5, 0.5, size=len(first))
        weight = np.maximum(weight, 1 - weight)
        weight[rng.random(len(first)) >= settings.mixed_share] = 1.0
        share = weight[:, None, None].astype(np.float32)
        x = share * known.x[first] + (1 - share) * known.x[other]
        tracks = self.flow.space.tracks
        for row, name in enumerate(tracks, len(self.flow.space.components)):
            if name in ("f0_hz", "confidence"):  # a mixture of two pitches is neither
                x[:, row] = known.x[first, row]
        attributes = share[:, :, 0] * known.attributes[first]
        attributes = attributes + (1 - share[:, :, 0]) * known.attributes[other]
        for name in ("f0_octaves", "voiced"):
            column = NAMES.index(name)
            attributes[:, column] = known.attributes[first, column]
        return x, attributes.astype(np.float32)

    def _average(self, step: int) -> None:
        keeps = min(self.settings.averaged, step / (step + 10))
        for mean, now in zip(
            self.averaged.parameters(), self.flow.network.parameters(), strict=True
        ):
            mean.lerp_(now.detach(), 1 - keeps)

    def _look(self, step: int) -> Look:
        flow = Flow(self.flow.space, self.averaged, self.settings.size, self.flow.attributes)
        target, noise, times, conditions = self.looked_at
        place = times[:, None, None]
        moving = (1 - place) * noise + place * target
        none = torch.zeros_like(target)
        self.averaged.eval()
        with torch.no_grad():
            found = self.averaged(moving, times, conditions, none, none[:, 0])
            loss = float((found - (target - noise)).square().mean())
        drawn = flow.solve(*self.draws)
        distances = np.array([_nearest(trajectory, self.known.x) for trajectory in drawn])
        return Look(step, loss, float((distances < self.copy_distance).mean()))


def _schedule(share: float) -> float:
    """Of the learning rate: half a cosine, down to a tenth."""
    return 0.55 + 0.45 * math.cos(math.pi * share)


def _masks(rng: np.random.Generator, batch: int, points: int, share: float) -> Array:
    """1 where a point is known: all but a stretch of a tenth to nine tenths, in `share` of rows."""
    mask = np.zeros((batch, points), np.float32)
    for row in np.flatnonzero(rng.random(batch) < share):
        missing = round(points * float(rng.uniform(0.1, 0.9)))
        start = int(rng.integers(points - missing + 1))
        mask[row] = 1.0
        mask[row, start : start + missing] = 0.0
    return mask


def _neighbours(known: _Examples) -> NDArray[np.int64]:
    """Of each trajectory, those of other recordings that are most like it; itself if none is."""
    flat = known.x.reshape(len(known.x), -1)
    squares = np.square(flat).sum(1)
    distance = squares[:, None] + squares - 2 * flat @ flat.T
    distance[known.names[:, None] == known.names] = np.inf
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :_NEIGHBOURS]
    alone = ~np.isfinite(np.take_along_axis(distance, nearest, axis=1))
    return np.where(alone, np.arange(len(flat))[:, None], nearest)


def _nearest(trajectory: Array, others: Array) -> float:
    """The root mean square distance to the nearest of `others`."""
    return float(np.sqrt(np.square(others - trajectory).mean((1, 2)).min()))
