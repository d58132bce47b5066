"""What pruning saves of a search, and what it costs in the best value: equal draws, each way.

    python benchmarks/pruning.py --seeds 5 --trials 12 --steps 60 --out FOLDER \\
        data.root=drums_oneshots architecture=spectral_small \\
        'trainer.learning_rate=tag(log,interval(1e-4,1e-2))'

For every seed of the random sampler a search without pruning, and one with `--pruner` to which the
same trials are handed in the same order. Counted are steps of training, not seconds. Called again
it goes on where it was stopped. `pruning.csv` has a line for each seed; printed are the share of
steps saved and the difference of the best values, with 95 % bootstrap intervals over the seeds.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from optuna.trial import FrozenTrial, TrialState
from searches import Search, results_folder

DRAWS = 10_000


@dataclass(frozen=True)
class Row:
    """A seed."""

    seed: int
    steps_without: int
    steps_with: int
    pruned: int
    best_without: float
    best_with: float

    @property
    def saving(self) -> float:
        """The share of steps that pruning saved."""
        return 1 - self.steps_with / self.steps_without


def steps_of(trial: FrozenTrial, steps: int) -> int:
    """The steps that a trial trained: to its last report where it was pruned."""
    return trial.last_step if trial.state == TrialState.PRUNED else steps


def row_of(
    seed: int, without: Sequence[FrozenTrial], pruned: Sequence[FrozenTrial], steps: int
) -> Row:
    """Of the two searches of a seed. Raises RuntimeError where their trials differ."""
    if [trial.params for trial in without] != [trial.params for trial in pruned]:
        raise RuntimeError(
            f"seed {seed}: the two searches trained other trials; remove its folders"
        )
    return Row(
        seed=seed,
        steps_without=sum(steps_of(trial, steps) for trial in without),
        steps_with=sum(steps_of(trial, steps) for trial in pruned),
        pruned=sum(trial.state == TrialState.PRUNED for trial in pruned),
        best_without=min(t.value for t in without if t.state == TrialState.COMPLETE),
        best_with=min(t.value for t in pruned if t.state == TrialState.COMPLETE),
    )


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the 95 % bootstrap interval of it over seeds.

    >>> interval([0.25, 0.25])
    (0.25, 0.25, 0.25)
    """
    found = np.asarray(values)
    picks = np.random.default_rng(0).integers(len(found), size=(DRAWS, len(found)))
    low, high = np.quantile(found[picks].mean(1), (0.025, 0.975))
    return float(found.mean()), float(low), float(high)


def main() -> None:
    """Run what is left of the searches, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--validations", type=int, default=6, help="of a trial, evenly")
    parser.add_argument("--pruner", default="median")
    parser.add_argument("--startup", type=int, default=4, help="trials that are never pruned")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("words", nargs="+", help="overrides; at least one draw")
    given = parser.parse_args()
    every = max(1, given.steps // given.validations)
    shared = [f"hydra.sweeper.n_trials={given.trials}", "hydra/sweeper/sampler=random"]
    shared += ["trainer.max_time=null", f"trainer.max_steps={given.steps}", "device.threads=1"]
    shared += [f"trainer.validate_every_steps={every}", *given.words]
    pruning = [f"hydra/sweeper/pruner={given.pruner}"]
    if given.pruner == "median":
        pruning.append(f"hydra.sweeper.pruner.n_startup_trials={given.startup}")
    out = results_folder(given.out, [*shared, *pruning])
    rows = []
    for seed in range(given.seeds):
        own = (*shared, f"hydra.sweeper.sampler.seed={seed}")
        without = Search(out / f"none_{seed}", own).finish(given.trials)
        search = Search(out / f"{given.pruner}_{seed}", (*own, *pruning))
        if not search.folder.exists():
            search.queue([trial.params for trial in without])
        rows.append(row_of(seed, without, search.finish(given.trials), given.steps))
        print("  ".join(f"{key} {value:.6g}" for key, value in asdict(rows[-1]).items()))
    with (out / "pruning.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Row)])
        table.writeheader()
        table.writerows(map(asdict, rows))
    mean, low, high = interval([r.saving for r in rows])
    print(f"steps saved: {mean:.1%} (95 % over {len(rows)} seeds: {low:.1%} to {high:.1%})")
    mean, low, high = interval([r.best_with - r.best_without for r in rows])
    print(f"best value with pruning less that without: {mean:.4g} ({low:.4g} to {high:.4g})")
    same = sum(r.best_with == r.best_without for r in rows)
    print(f"the same best value in {same} of {len(rows)} seeds")


if __name__ == "__main__":
    main()
