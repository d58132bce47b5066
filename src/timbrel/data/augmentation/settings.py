"""Checks that the settings of several transforms share."""

from timbrel.errors import UserError


def check_probability(owner: str, probability: float) -> float:
    """`probability`, if it is one. Raises UserError."""
    if not 0 <= probability <= 1:
        raise UserError(f"{owner}: probability={probability} must lie between 0 and 1")
    return probability


_FARTHEST = 200.0  # in dB far more than float32 audio has use for


def check_range(owner: str, unit: str, low: float, high: float) -> None:
    """`min_<unit>` and `max_<unit>` are in order and within 200 of 0. Raises UserError."""
    if not -_FARTHEST <= low <= high <= _FARTHEST:
        raise UserError(
            f"{owner}: min_{unit}={low} must not be above max_{unit}={high}, nor either beyond "
            f"-{_FARTHEST:g} to {_FARTHEST:g}"
        )
