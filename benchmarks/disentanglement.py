"""What the disentanglement scores of a perfect code are with few rows: the tables of its page.

    python benchmarks/disentanglement.py [--repeats 10]

Five unrelated factors, a code that holds each in a unit of its own, and four units of noise. Means
over draws of the data, and of the same after the rows of the factors were permuted (the null).
"""

import argparse
from functools import partial

import numpy as np

from timbrel.metrics.disentanglement import CHEAP, METRICS, evaluate, values

ROWS = (100, 300, 1000, 5000)
FACTORS, NOISE = 5, 4
TREES_UP_TO, NEIGHBOURS_UP_TO = 1000, 1000
"""Rows up to which the slow scores are repeated as often as the others; once above."""


def drawn(rows: int, seed: int, blur: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Codes and factors; `blur` is the deviation of noise on the code, where factors span 1."""
    rng = np.random.default_rng(seed)
    factors = rng.random((rows, FACTORS))
    blurred = factors + blur * rng.standard_normal(factors.shape)
    return np.concatenate([blurred, rng.random((rows, NOISE))], axis=1), factors


def bias(rows: int, repeats: int, blur: float) -> dict[str, tuple[float, float]]:
    """The mean score and the mean null of every score."""
    trees = METRICS[len(CHEAP) :]
    kinds = {
        "": (partial(values, metrics=CHEAP), repeats),
        " by trees": (partial(values, metrics=trees), repeats if rows <= TREES_UP_TO else 1),
        " by neighbours": (
            partial(values, metrics=["mig"], estimator="neighbours"),
            repeats if rows <= NEIGHBOURS_UP_TO else 1,
        ),
    }
    found: dict[str, tuple[float, float]] = {}
    for kind, (scores, count) in kinds.items():
        own, null = [], []
        for seed in range(count):
            codes, factors = drawn(rows, seed, blur)
            own.append(scores(codes, factors))
            null.append(scores(codes, np.random.default_rng(seed).permutation(factors)))
        for name in own[0]:
            found[name + kind.replace(" by trees", "")] = (
                float(np.mean([x[name] for x in own])),
                float(np.mean([x[name] for x in null])),
            )
    return found


def coverage(rows: int, repeats: int) -> dict[str, float]:
    """How often the 95 % interval holds the mean score of such data, of a blurred code."""
    runs = [
        evaluate(*drawn(rows, seed, 0.2), metrics=CHEAP, draws=50, tree_draws=0, seed=seed)
        for seed in range(repeats)
    ]
    mean = {name: np.mean([run[name].value for run in runs]) for name in CHEAP}
    return {
        name: float(np.mean([run[name].low <= mean[name] <= run[name].high for run in runs]))
        for name in CHEAP
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    for blur in (0.0, 0.1):
        print(f"blur {blur}: score (null; score less null, over 1 less null)")
        tables = [bias(rows, repeats, blur) for rows in ROWS]
        for name in tables[0]:
            cells = (
                f"{v:.2f} ({n:.2f}; {(v - n) / (1 - n):.2f})" for v, n in (t[name] for t in tables)
            )
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for rows in ROWS[:2]:
        print(f"coverage of {rows} rows:", coverage(rows, 10 * repeats))


if __name__ == "__main__":
    main()
