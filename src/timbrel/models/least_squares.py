"""Weighted ridge regression of many values at once, from sums over batches."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Line:
    """`x @ weight.T + bias`, as a `torch.nn.Linear` computes it; float64."""

    weight: Float[Tensor, "out in"]
    bias: Float[Tensor, " out"]


class Moments:
    """Weighted means and covariances of rows `x` and `y`, which are added batch by batch.

    Sums are float64 on the CPU (Apple's GPUs have no float64), and as large after a thousand
    batches as after one.
    """

    def __init__(self) -> None:
        self.weight = 0.0
        self._sums: list[Tensor] = []

    def add(
        self,
        x: Float[Tensor, "*row in"],
        y: Float[Tensor, "*row out"],
        weight: Float[Tensor, "*row"],
    ) -> None:
        """Take rows in; those of weight 0 count for nothing."""
        x, y = (values.detach().cpu().double().flatten(0, -2) for values in (x, y))
        each = weight.detach().cpu().double().flatten()
        weighed = x * each[:, None]
        found = [weighed.sum(0), each @ y, weighed.T @ x, weighed.T @ y]
        self.weight += float(each.sum())
        if self._sums:
            found = [before + more for before, more in zip(self._sums, found, strict=True)]
        self._sums = found

    @property
    def means(self) -> tuple[Float[Tensor, " in"], Float[Tensor, " out"]]:
        """Those of `x` and of `y`."""
        x, y, _, _ = self._found()
        return x / self.weight, y / self.weight

    @property
    def covariances(self) -> tuple[Float[Tensor, "in in"], Float[Tensor, "in out"]]:
        """That of `x`, and that of `x` with `y`."""
        _, _, xx, xy = self._found()
        mean_x, mean_y = self.means
        return (
            xx / self.weight - torch.outer(mean_x, mean_x),
            xy / self.weight - torch.outer(mean_x, mean_y),
        )

    def line(self, ridge: float) -> Line:
        """What comes nearest to `y` of all lines in `x`, with `solved`'s ridge."""
        weight = solved(*self.covariances, ridge=ridge).T
        mean_x, mean_y = self.means
        return Line(weight, mean_y - weight @ mean_x)

    def _found(self) -> list[Tensor]:
        if self.weight <= 0:
            raise ValueError("no row of a weight above 0")
        return self._sums


def solved(
    of_x: Float[Tensor, "in in"], with_y: Float[Tensor, "in out"], *, ridge: float
) -> Float[Tensor, "in out"]:
    """The coefficients of a ridge regression (Hoerl & Kennard 1970) from its covariances.

    `ridge` is a share of the mean variance of the inputs. Where they have none, all are 0.
    """
    mean = of_x.diagonal().mean()
    if mean <= 0:
        return torch.zeros_like(with_y)
    eye = torch.eye(len(of_x), dtype=of_x.dtype)
    return torch.linalg.solve(of_x + ridge * mean * eye, with_y)
