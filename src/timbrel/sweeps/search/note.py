"""What a job is told of its trial: by an environment variable, which is no part of its config."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

VARIABLE = "TIMBREL_TRIAL"
DEFAULTS = "defaults"
"""Set on the trial that is the config as it is."""


@dataclass(frozen=True)
class TrialNote:
    """A trial, as its job knows it."""

    storage: str
    """A file of Optuna's journal, or the address of a database."""
    study: str
    number: int
    numbers: tuple[str, ...]
    """What is to be measured, by name (`stages.sweep_number`)."""
    watched: str
    """The column of metrics.csv by which it may be pruned."""
    pruner: Mapping[str, Any] | None
    """Class and arguments of the pruner; None where no trial is pruned."""

    def text(self) -> str:
        """The variable's value."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "TrialNote | None":
        """The trial that this process works on; None outside a search."""
        text = environment.get(VARIABLE)
        if not text:
            return None
        record = json.loads(text)
        return cls(**{**record, "numbers": tuple(record["numbers"])})


@dataclass(frozen=True)
class Ending:
    """How a trial's training ended: with numbers, pruned after a step, or failed for a reason."""

    numbers: Mapping[str, float]
    pruned_at: int | None = None
    failed: str = ""
    folder: str = ""

    def to_json(self) -> dict[str, Any]:
        """The ending in what JSON knows, as a job returns it."""
        return asdict(self)
