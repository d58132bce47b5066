"""What a loss, a penalty or an adversary returns: terms by name, and diagnostics beside them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Diagnostic:
    """A value to be logged under its name, as terms are.

    It needs no weight, and without one it is no part of the objective.
    """

    value: Tensor


Terms = dict[str, Tensor | Diagnostic]
"""One value per example each, or one where the examples are judged together."""


def value_of(term: Tensor | Diagnostic) -> Tensor:
    """The value itself, of either."""
    return term.value if isinstance(term, Diagnostic) else term
