"""Fields of the schema, each with the bounds of its values.

The checks of a composed config read the bounds, and so do the parts that take the same values from
Python: both accept the same values.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from timbrel.errors import UserError, override_text


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The bounds of a number, inclusive (`least`, `most`) or not (`above`, `below`), or `choices`.

    A number without an upper bound must be finite. Every item of a list must be within the bounds.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] = ()

    def holds(self, value: Any) -> bool:
        """Whether `value` is within the bounds; nan never is.

        >>> Bounds(least=0, below=1).holds(0.5), Bounds(above=0).holds(math.inf)
        (True, False)
        """
        if isinstance(value, list | tuple):
            return all(map(self.holds, value))
        if self.choices:
            return value in self.choices
        low = (self.least is None or value >= self.least) and (
            self.above is None or value > self.above
        )
        if self.most is None and self.below is None:
            return low and value < math.inf
        return (
            low
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    @property
    def words(self) -> str:
        """The bounds in words, for messages.

        >>> Bounds(least=2).words, Bounds(least=0, below=1).words, Bounds(choices=(1, 2)).words
        ('2 or more', 'from 0 to below 1', 'one of 1, 2')
        """
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        least = "" if self.least is None else f"{self.least}"
        most = "" if self.most in (None, math.inf) else f"{self.most}"
        if least and most:
            return f"between {least} and {most}"
        if self.above is not None:
            return f"above {self.above}" + (f", at most {most}" if most else "")
        return (
            f"from {least} to below {self.below}" if self.below is not None else f"{least} or more"
        )


def key(default: Any, help: str, **bounds: Any) -> Any:
    """A field with its one-line explanation (printed by `timbrel STAGE --help`) and its `Bounds`.

    An item of a list has the bounds that are given for it.
    """
    about: dict[str, Any] = {"help": help}
    if bounds:
        about["bounds"] = Bounds(**bounds)
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=about)
    return field(default=default, metadata=about)


def place(default: Any, help: str) -> Any:
    """A key that takes a path or a list of paths; `stages/app.py` makes them absolute."""
    item = key(default, help)
    item.metadata = {**item.metadata, "place": True}
    return item


def section(kind: Any) -> Any:
    """A field that is a section of its own."""
    return field(default_factory=kind)


def out_of_bounds(config: Any, prefix: str = "") -> Iterator[str]:
    """A line for every value of `config`, a dataclass of the schema, that its field refuses."""
    for item in fields(config):
        name, value = f"{prefix}{item.name}", getattr(config, item.name)
        if is_dataclass(value):
            yield from out_of_bounds(value, f"{name}.")
        elif fault := _fault(item, value):
            yield f"{name}={override_text(value)}: {fault}"


def value_problems(schema: type, prefix: str = "", **values: Any) -> Iterator[str]:
    """A line for every one of `values`, by the names of `schema`'s fields, that these refuse."""
    by_name = {item.name: item for item in fields(schema)}
    for name, value in values.items():
        if fault := _fault(by_name[name], value):
            yield f"{prefix}{name}={override_text(value)}: {fault}"


def check_values(schema: type, prefix: str = "", **values: Any) -> None:
    """Raise UserError with the lines of `value_problems`, where there are any."""
    refuse(value_problems(schema, prefix, **values))


def refuse(problems: Iterator[str]) -> None:
    """Raise UserError with all `problems`, where there are any."""
    if found := list(problems):
        raise UserError("\n  ".join(found))


def _fault(item: Any, value: Any) -> str | None:
    """The bounds of a field in words if `value` is outside them, else None.

    Of a field that takes a number or a text, a text is judged by whoever reads it.
    """
    bounds: Bounds | None = item.metadata.get("bounds")
    text = isinstance(value, str) and not (bounds and bounds.choices)
    if bounds is None or value is None or text or bounds.holds(value):
        return None
    return bounds.words + (", or null" if "None" in str(item.type) else "")
