"""What brings the noise of decoded frames down to a measured level, by formula."""

import math

from jaxtyping import Float
from torch import Tensor

_LEAST_POWER = 1e-14
_MOST_NEPERS = math.log(10) * 4  # 80 dB

Frames = Float[Tensor, "batch frame"]


def quietened(
    tonal: Frames, rest: Frames, *, hnr_db: Frames, confidence: Frames
) -> tuple[Frames, Frames]:
    """Factors of a tonal part and of all else whose powers are `tonal` and `rest`.

    Where the tonal part stands out by less than `hnr_db` it does so with them, and the sum of the
    powers is what it was. Where it stands out by more nothing is changed: a tone that moves is less
    periodic than it is noisy. The less certain a pitch is, the less is changed: where there is
    none, the ratio tells nothing of two parts.
    """
    tonal, rest = tonal + _LEAST_POWER, rest + _LEAST_POWER
    wanted = math.log(10) / 10 * hnr_db
    missing = 0.5 * confidence * (wanted - (tonal / rest).log())
    up = (missing.clamp(0.0, _MOST_NEPERS) / 2).exp()
    kept = ((tonal + rest) / (tonal * up.square() + rest / up.square())).sqrt()
    return kept * up, kept / up
