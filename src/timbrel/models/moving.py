"""Where the level of a sound moves: at its attacks, and in its fast decays."""

from jaxtyping import Float
from torch import Tensor, nn

_STEP_DB = (1.5, 4.0)  # how far the level moves in a frame: from here on, and from here in full


def moving(loudness_db: Float[Tensor, "batch frame"]) -> Float[Tensor, "batch frame"]:
    """From 0, where the level hardly moves from two frames before to two frames after, to 1.

    >>> import torch
    >>> moving(torch.tensor([[-30.0, -30.0, -30.0, -30.0, -20.0]])).tolist()
    [[0.0, 0.0, 1.0, 1.0, 1.0]]
    """
    steps = nn.functional.pad((loudness_db[:, 1:] - loudness_db[:, :-1]).abs(), (2, 2))
    least, most = _STEP_DB
    return ((steps.unfold(1, 4, 1).amax(2) - least) / (most - least)).clamp(0.0, 1.0)
