"""A search whose training is a formula: the distance of `x` from 0.3."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from timbrel.sweeps.search.goals import Objective
from timbrel.sweeps.search.note import Ending
from timbrel.sweeps.search.search import Drawn, Goals, search
from timbrel.sweeps.search.space import Between, Draw, Space
from timbrel.sweeps.search.store import join_study, made, open_storage

SPACE = Space((Draw("x", Between(0.0, 1.0)),))
RANDOM = {"_target_": "optuna.samplers.RandomSampler", "seed": 0}
LOSS = Objective("validation/loss", "minimize")


def goals(n_trials: int, **changes) -> Goals:
    return Goals(
        **{"space": SPACE, "objectives": (LOSS,), "constraints": (), **changes}, n_trials=n_trials
    )


def value(drawn: Drawn) -> Ending:
    return Ending({"validation/loss": abs(float(drawn.overrides["x"]) - 0.3)})


def launch(batch: Sequence[Drawn]) -> list[Ending]:
    return [value(drawn) for drawn in batch]


def join(journal: Path, *, directions: Sequence[str] = ("minimize",)):
    storage = open_storage(str(journal))
    return join_study(storage, "s", directions, sampler=made(RANDOM, "sampler"))[0]


def work(journal: Path, n_trials: int, train: Callable = launch) -> None:
    """A worker: it joins the study and goes on until it has `n_trials`."""
    search(join(journal), goals(n_trials), train, lambda line: None)


def every(count: int, act: Callable[[], None]) -> Callable:
    """A launch that calls `act` before the trial of that number, counted from 1."""
    calls = itertools.count(1)

    def acting(batch: Sequence[Drawn]) -> list[Ending]:
        if next(calls) == count:
            act()
        return launch(batch)

    return acting
