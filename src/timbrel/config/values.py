"""Rules that the check of a config shares with the parts which take the same values from Python."""

from collections.abc import Iterator
from typing import Any, Protocol

PRESET = "preset:"
"""What stands before the name of a preset that is given in place of a file."""


class Shares(Protocol):
    """How recordings are split, as `data` of a config and `SplitPlan` have it."""

    @property
    def validation_fraction(self) -> float: ...  # noqa: D102
    @property
    def test_fraction(self) -> float: ...  # noqa: D102
    @property
    def folds(self) -> int | None: ...  # noqa: D102
    @property
    def fold(self) -> int: ...  # noqa: D102
    @property
    def split_file(self) -> Any: ...  # noqa: D102


def split_problems(plan: Shares) -> Iterator[str]:
    """A line for every contradiction between fractions, folds and lists."""
    total = plan.validation_fraction + plan.test_fraction
    if total >= 1:
        yield (
            f"data.validation_fraction + data.test_fraction = {total:g}: no file is left to train"
        )
    if plan.folds is None:
        if plan.fold != 0:
            yield f"data.fold={plan.fold}: needs data.folds, the number of folds"
        return
    if plan.fold >= plan.folds:
        yield f"data.fold={plan.fold}: from 0 to {plan.folds - 1} (data.folds={plan.folds})"
    if plan.split_file is not None:
        yield "data.folds and data.split_file: both say which files are held out; set only one"


def encoding_problems(export: Any) -> Iterator[str]:
    """A line if `format` and `encoding` exclude each other."""
    if export.format == "flac" and export.encoding == "32f":
        yield "export.encoding=32f: FLAC holds whole numbers only; take 24, or export=wav"
