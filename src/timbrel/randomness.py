"""Every random draw of a step is a function of (seed, step, name), whatever the number of workers.

Where several processes share a batch, each draws for all of it and keeps its own part (`Share`).
No module touches the global generators: it is handed a generator made here.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    import torch

Rows = TypeVar("Rows", bound=Any)


@dataclass(frozen=True)
class Share:
    """Which examples of a step's batch a process has: part `index` of `count` equal parts.

    >>> Share(1, 2).of(range(6))
    range(3, 6)
    """

    index: int = 0
    count: int = 1

    def of(self, batch: Rows) -> Rows:
        """This process's part of something with a row per example of the batch."""
        rows = len(batch) // self.count
        return cast(Rows, batch[self.index * rows : (self.index + 1) * rows])

    def draw(
        self,
        function: "Callable[..., torch.Tensor]",
        shape: Sequence[int],
        rng: "torch.Generator",
        **settings: Any,
    ) -> "torch.Tensor":
        """`function` of torch's, such as `rand`, on `rng`'s device; `shape` begins with the rows.

        It is drawn for the batch, so that what an example gets does not depend on its process.
        """
        whole = (shape[0] * self.count, *shape[1:])
        return self.of(function(whole, generator=rng, device=rng.device, **settings))


WHOLE = Share()
"""That of a process by itself."""


def derived_seed(seed: int, step: int, name: str) -> int:
    """A 63-bit seed for one named draw of one step.

    >>> derived_seed(0, 1, "crop") == derived_seed(0, 1, "crop")
    True
    >>> derived_seed(0, 1, "crop") == derived_seed(0, 2, "crop")
    False
    """
    digest = hashlib.blake2b(f"{seed}/{step}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def torch_generator(
    seed: int, step: int, name: str, device: "torch.device | str" = "cpu"
) -> "torch.Generator":
    """A `torch.Generator` on `device`, seeded for one named draw of one step."""
    import torch  # takes seconds, which processes without it need not spend

    return torch.Generator(device).manual_seed(derived_seed(seed, step, name))


def numpy_generator(seed: int, step: int, name: str) -> np.random.Generator:
    """A `numpy.random.Generator`, seeded for one named draw of one step."""
    return np.random.default_rng(derived_seed(seed, step, name))
