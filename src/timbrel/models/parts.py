"""The parts of a sound before they are added up."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Parts:
    """Spectra of the parts of a sound, (batch frame bin).

    Frames of noise do not fit together: added up, they have `hop / window` of the power that their
    bins have beside those of a tone.
    """

    harmonic: Tensor
    free: Tensor
    noise: Tensor
