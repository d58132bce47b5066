"""The parts of an instrument before they are sound."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from timbrel.contracts import Conditions
from timbrel.dsp.additive import LOWEST_HZ
from timbrel.models.brightness_correction import tilted
from timbrel.models.free_sinusoids import FreePart
from timbrel.models.transients import Bursts


@dataclass(frozen=True)
class DdspParts:
    """What is heard together; `noise` are log levels."""

    amplitude: Float[Tensor, "batch channel frame partial"]
    noise: Float[Tensor, "batch channel frame bin"]
    bursts: Bursts | None
    free: Complex[Tensor, "batch frame channel freebin"] | None

    def as_bright_as(
        self,
        given: Conditions,
        *,
        partial_hz: Float[Tensor, "batch frame partial"],
        noise_hz: Float[Tensor, " bin"],
        free_part: FreePart | None,
    ) -> "DdspParts":
        """The parts, every frame with the centroid of its track."""
        assert given.centroid_hz is not None
        of_noise = (2 * self.noise).exp().sum(1)
        if self.bursts is not None:
            of_noise = of_noise + self.bursts.power()
        powers = [self.amplitude.square().sum(1) / 2, of_noise / of_noise.shape[2]]
        frequencies = [partial_hz, noise_hz.expand(*partial_hz.shape[:2], -1)]
        if free_part is not None and self.free is not None:
            powers.append(free_part.mean_square(self.free))
            frequencies.append(free_part.bins_hz.expand(*partial_hz.shape[:2], -1))
        factor = tilted(
            torch.cat(powers, dim=2),
            torch.cat(frequencies, dim=2).clamp_min(LOWEST_HZ),
            given.centroid_hz,
            given.more_tilt_db,
        )
        by_partial, by_bin, *by_free = factor.split([x.shape[2] for x in powers], dim=2)
        return DdspParts(
            self.amplitude * by_partial[:, None],
            self.noise + by_bin[:, None].log(),
            None if self.bursts is None else self.bursts.times(by_bin),
            None if self.free is None else self.free * by_free[0][:, :, None],
        )
