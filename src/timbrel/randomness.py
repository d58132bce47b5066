"""Every random draw of a step is a function of (seed, step, name), whatever the number of workers.

No module touches the global generators: it is handed a generator made here.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


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
