"""Checks that the settings of several transforms share."""

import math

from timbrel.errors import UserError


def check_probability(owner: str, probability: float) -> float:
    """`probability`, if it is one. Raises UserError."""
    if not 0 <= probability <= 1:
        raise UserError(f"{owner}: probability={probability} must lie between 0 and 1")
    return probability


def check_range(owner: str, unit: str, low: float, high: float) -> None:
    """`min_<unit>` and `max_<unit>` are finite and in order. Raises UserError."""
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise UserError(f"{owner}: min_{unit}={low} must not be above max_{unit}={high}")
