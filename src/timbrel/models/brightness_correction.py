"""What brings decoded frames towards a measured spectral centroid, by formula."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from timbrel.models.level_correction import NEPERS_PER_DB
from timbrel.models.linear import linear

_BANDS_PER_OCTAVE = 8
_SINGLE_BINS = 16
_REACH_OCTAVES = 1.0
_MOST_NEPERS = 0.5  # per octave
_ROUNDS, _MORE_ROUNDS = 3, 10
_MOST_STEP = 1.0  # a step of Newton's method that is longer leads astray
_LEAST_POWER = 1e-10  # of a bin of a spectrum, in which a full-scale sine has 1e5 and more
_LEAST_MEAN_SQUARE = 1e-20


class BrightnessCorrection(nn.Module):
    """A factor per bin that tilts every frame until its centroid is the one that is asked for.

    The tilt is straight, in nepers over octaves, one octave to either side of a pivot halfway
    between the centroid that is and the one that is asked for, and flat beyond: it turns what
    makes the sound and not the faint noise far above. It is 4.3 dB per octave at most, or as much
    more as a control asks for (`more_db`): a centroid that would need more is not reached. Channels
    are tilted alike, and their powers added, as in `attributes.spectrum`.

    `(power of the bins, centroid_hz, more_db) -> factor`, by Newton's method on the centroid's
    logarithm.
    """

    band_of: Int[Tensor, " bin"]
    sums: Float[Tensor, "twice_band bin"]

    def __init__(self, *, bins: int, sample_rate_hz: int) -> None:
        super().__init__()
        bin_hz = sample_rate_hz / (2 * (bins - 1))
        index = torch.arange(bins)
        above = (index.clamp_min(1) / _SINGLE_BINS).log2()
        in_octaves = _SINGLE_BINS + (above * _BANDS_PER_OCTAVE).floor().long()
        bands = torch.where(index < _SINGLE_BINS, index, in_octaves)
        _, band_of = bands.unique(return_inverse=True)  # a narrow band may hold no bin
        self.register_buffer("band_of", band_of, persistent=False)
        level = nn.functional.one_hot(band_of).float()
        bins_hz = bin_hz * index.clamp_min(0.5)
        self.lowest_hz = float(bins_hz[0])
        sums = torch.cat([level, bins_hz[:, None] * level], dim=1)
        self.register_buffer("sums", sums.T.contiguous(), persistent=False)

    def forward(
        self,
        power: Float[Tensor, "batch frame bin"],
        centroid_hz: Float[Tensor, "batch frame"],
        more_db: Float[Tensor, "batch frame"] | None = None,
    ) -> Float[Tensor, "batch frame bin"]:
        level, moment = linear(power + _LEAST_POWER, self.sums).chunk(2, dim=2)
        factor = _tilt(level, moment, centroid_hz.clamp_min(self.lowest_hz), more_db)
        return factor.gather(2, self.band_of.expand(*factor.shape[:2], -1))


def tilted(
    power: Float[Tensor, "batch frame part"],
    hz: Float[Tensor, "batch frame part"],
    centroid_hz: Float[Tensor, "batch frame"],
    more_db: Float[Tensor, "batch frame"] | None = None,
) -> Float[Tensor, "batch frame part"]:
    """The factors of `BrightnessCorrection` for parts of a sound that each have one frequency.

    `power` is their mean square.
    """
    level = power + _LEAST_MEAN_SQUARE
    return _tilt(level, hz * level, centroid_hz.clamp_min(1.0), more_db)


def _tilt(
    level: Float[Tensor, "batch frame band"],
    moment: Float[Tensor, "batch frame band"],
    wanted_hz: Float[Tensor, "batch frame"],
    more_db: Float[Tensor, "batch frame"] | None,
) -> Float[Tensor, "batch frame band"]:
    """The factor per band; `moment` is power times frequency, `level` power."""
    now_hz = moment.sum(2) / level.sum(2)
    octaves = (moment / level).log2() - (0.5 * (now_hz * wanted_hz).log2())[..., None]
    octaves = octaves.clamp(-_REACH_OCTAVES, _REACH_OCTAVES)
    most = torch.full_like(now_hz, _MOST_NEPERS)
    if more_db is not None:
        most = most + NEPERS_PER_DB * more_db
    tilt = torch.zeros_like(now_hz)
    for _ in range(_ROUNDS if more_db is None else _MORE_ROUNDS):
        gain = (2 * tilt[..., None] * octaves).exp()
        level_now, moment_now = gain * level, gain * moment
        total, weighed = level_now.sum(2), moment_now.sum(2)
        # How far the centroid's logarithm moves with the tilt.
        slope = (moment_now * octaves).sum(2) / weighed - (level_now * octaves).sum(2) / total
        missing = (wanted_hz * total / weighed).log()
        step = (missing / (2 * slope).clamp_min(0.2)).clamp(-_MOST_STEP, _MOST_STEP)
        tilt = (tilt + step).clamp(-most, most)
    return (tilt[..., None] * octaves).exp()
