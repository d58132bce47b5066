"""The priors by name, and which of them fits a set."""

from timbrel.generation.prior.bank import Bank
from timbrel.generation.prior.barycentre import BarycentrePrior
from timbrel.generation.prior.draw import Prior
from timbrel.generation.prior.gaussian import GaussianPrior
from timbrel.generation.prior.resample import ResamplePrior
from timbrel.generation.statistics import LatentStatistics


def fitting_kind(bank: Bank | None) -> str:
    """`bank` where at least half of the recordings are hits or notes, else `resample`.

    `gaussian` where there are no codes.
    """
    if bank is None or not bank.recordings:
        return "gaussian"
    events = sum(clip.event for clip in bank.recordings)
    return "bank" if 2 * events >= len(bank.recordings) else "resample"


def make_prior(
    kind: str,
    bank: Bank | None,
    statistics: LatentStatistics,
    *,
    hop_samples: int,
    sample_rate_hz: int,
) -> Prior:
    """The prior `kind`: `bank`, `resample` or `gaussian`.

    Raises ValueError for another kind, and where it needs a bank and there is none.
    """
    if kind == "gaussian":
        return GaussianPrior(statistics, hop_samples=hop_samples, sample_rate_hz=sample_rate_hz)
    if bank is None:
        raise ValueError(f"the prior '{kind}' needs a bank")
    if kind == "bank":
        return BarycentrePrior(bank, hop_samples=hop_samples)
    if kind == "resample":
        return ResamplePrior(bank, hop_samples=hop_samples, sample_rate_hz=sample_rate_hz)
    raise ValueError(f"no prior is called '{kind}'")
