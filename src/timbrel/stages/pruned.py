"""The pruning of a training that is the trial of a search with a pruner."""

import os
from typing import Any

from timbrel.sweeps.search.note import TrialNote
from timbrel.training.callbacks import Validation
from timbrel.training.pruning import Pruning


def with_pruning(callbacks: list[Any]) -> Pruning | None:
    """Put `Pruning` before the checkpoints, which come last; None where nothing is pruned.

    Raises UserError where the search's storage cannot be reached.
    """
    note = TrialNote.of(os.environ)
    if note is None or note.pruner is None:
        return None
    # Optuna takes long to import: only a search that prunes waits for it.
    from timbrel.sweeps.search.live import LiveTrial

    (validation,) = (item for item in callbacks if isinstance(item, Validation))
    pruning = Pruning(validation, LiveTrial(note).report)
    callbacks.insert(len(callbacks) - 1, pruning)
    return pruning
