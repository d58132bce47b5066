"""Does resident memory stay flat over many renders, and over many changes of the model?

    python benchmarks/memory.py outputs/<run> outputs/<another run>

Renders 50 sounds of 1 s from the first model, then changes between the two ten times: opens one,
renders 1 s, drops it. Growth is told in MiB: of renders from the 10th to the last, of changes from
the 2nd to the last. What is opened, imported or compiled once is in neither. `--renders` and
`--switches` set other numbers; with more of them a small leak is told from noise.
"""

import argparse
import ctypes
import gc
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

WARM_RENDERS, WARM_SWITCHES = 10, 2


def growth_mib(models: Sequence[Path], renders: int, switches: int) -> dict[str, float]:
    """Growth of resident memory over renders of the first model and over changes of all.

    And the resident memory at the end, and the CPU seconds of both.
    """
    import timbrel

    instrument = timbrel.load(models[0])
    over_renders = []
    for seed in range(renders):
        instrument.render(seed=seed, seconds=1.0)
        over_renders.append(resident_mib())
    del instrument
    over_switches = []
    for index in range(switches):
        timbrel.load(models[index % len(models)]).render(seed=index, seconds=1.0)
        over_switches.append(resident_mib())
    return {
        "renders": over_renders[-1] - over_renders[WARM_RENDERS - 1],
        "switches": over_switches[-1] - over_switches[WARM_SWITCHES - 1],
        "resident": over_switches[-1],
        "cpu_s": time.process_time(),
    }


def resident_mib() -> float:
    """Resident memory of this process, without garbage and, on Linux, without free memory.

    The C library keeps freed memory for later, up to the weights of a model or two, or gives it
    back, as it happens: it is given back here, so that what grows is in use.
    """
    import psutil

    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return float(psutil.Process().memory_info().rss) / 2**20


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, help="run folders or bundles")
    parser.add_argument("--renders", type=int, default=50)
    parser.add_argument("--switches", type=int, default=10)
    given = parser.parse_args()
    found = growth_mib(given.models, given.renders, given.switches)
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


if __name__ == "__main__":
    main()
