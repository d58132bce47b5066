"""One of the processes of a training, but for the first: `python -m timbrel.stages.follower`.

It builds what the first one has built, from the same config, and takes every step with it.
"""

import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import yaml

from timbrel import streams
from timbrel.data.split.parts import data_hash
from timbrel.data.worker_process import READY
from timbrel.stages.additions import additions
from timbrel.stages.composing import user_error
from timbrel.stages.followers import Task
from timbrel.stages.measuring import measuring
from timbrel.stages.recordings import recordings
from timbrel.stages.run_folders import typed_config
from timbrel.stages.training_parts import (
    chosen_compute,
    fit_first_weights,
    fitting_model,
    training_loader,
    training_module,
)
from timbrel.stages.warm_start import warm_started
from timbrel.training.fit import follow
from timbrel.training.processes import arrived, joined
from timbrel.training.provenance import check_same_data


def main() -> int:
    """Do the task on the input; end when the input ends, for then the first process has ended."""
    streams.guard()
    with suppress(FileNotFoundError):  # for parts of the user's own, after all other modules
        sys.path.append(os.getcwd())
    task = Task(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    try:
        with os.fdopen(os.dup(1), "wb") as answers:
            streams.to_nowhere(1)  # nobody reads what parts of the user's own may print
            train(task, answers)
    except Exception as error:
        mistake = user_error(error)
        if mistake is None:
            raise
        sys.stderr.write(f"{mistake}\n")
        return 2
    return 0


def train(task: Task, answers: BinaryIO) -> None:
    """Build, say so, and train."""
    config = typed_config(yaml.safe_load(task.config))
    # They watch what the first process alone has: curves, sounds, the run's folder.
    config.callbacks, config.logger.extra = {}, {}
    folder = Path(task.folder)
    compute = chosen_compute(config, task.process)
    model = fitting_model(config)
    warm_started(config, model)
    module = training_module(config, model, compute, additions(config))
    found = recordings(config.data, seed=config.seed, guard_samples=model.receptive_field_samples)
    check_same_data(folder, data_hash(found.split))
    measured = measuring(config, found, model)
    if not task.first_step:
        fit_first_weights(config, found, model, measured)
    loader = training_loader(config, found, compute, task.first_step, measured)
    answers.write(READY)
    answers.flush()
    with joined(compute.share, arrived(task.port), compute.accelerator):
        follow(module, loader, folder, compute)


def _end_with_the_first() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
