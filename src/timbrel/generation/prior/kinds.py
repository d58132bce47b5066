"""The priors by name, which of them fits a set, and the one for sets of both kinds."""

from timbrel.config.choices import TextureKind
from timbrel.generation.prior.bank import Bank
from timbrel.generation.prior.barycentre import BarycentrePrior
from timbrel.generation.prior.draw import Draw, Prior, visited
from timbrel.generation.prior.flow import Flow, FlowPrior
from timbrel.generation.prior.gaussian import GaussianPrior
from timbrel.generation.prior.resample import ResamplePrior
from timbrel.generation.statistics import LatentStatistics


def fitting_kind(bank: Bank | None) -> str:
    """`bank` where all recordings are hits or notes, `resample` where none is, `auto` where some.

    `gaussian` where there are no codes.
    """
    if bank is None or not bank.recordings:
        return "gaussian"
    events = sum(clip.event for clip in bank.recordings)
    if events == len(bank.recordings):
        return "bank"
    return "auto" if events else "resample"


def make_prior(
    kind: str,
    bank: Bank | None,
    statistics: LatentStatistics,
    *,
    hop_samples: int,
    sample_rate_hz: int,
    flow: Flow | None = None,
    texture: TextureKind = TextureKind.quilt,
) -> Prior:
    """The prior `kind`: `bank`, `resample`, `auto` (each by its kind), `gaussian` or `flow`.

    `texture` says how `resample` and `auto` draw textures.

    Raises ValueError for another kind, and where it needs a bank or a flow and there is none.
    """
    if kind == "gaussian":
        return GaussianPrior(statistics, hop_samples=hop_samples, sample_rate_hz=sample_rate_hz)
    if kind == "flow":
        if flow is None:
            raise ValueError("the prior 'flow' needs its network")
        return FlowPrior(flow, bank, hop_samples=hop_samples)
    if bank is None:
        raise ValueError(f"the prior '{kind}' needs a bank")
    if kind == "bank":
        return BarycentrePrior(bank, hop_samples=hop_samples)
    if kind == "resample":
        return ResamplePrior(
            bank, hop_samples=hop_samples, sample_rate_hz=sample_rate_hz, texture=texture
        )
    if kind == "auto":
        return EachByItsKind(
            bank, hop_samples=hop_samples, sample_rate_hz=sample_rate_hz, texture=texture
        )
    raise ValueError(f"no prior is called '{kind}'")


class EachByItsKind:
    """A hit or note as `bank` draws it, a texture as `resample` does.

    N recordings are visited once each by the seeds 0 to N - 1, and again by the next N. A hit or
    note is mixed with its like only.
    """

    kind = "auto"

    def __init__(
        self,
        bank: Bank,
        *,
        hop_samples: int,
        sample_rate_hz: int,
        texture: TextureKind = TextureKind.quilt,
    ) -> None:
        self.bank = bank
        events, textures = (
            Bank(tuple(clip for clip in bank.clips if clip.event is event), bank.tracks)
            for event in (True, False)
        )
        self.hits = BarycentrePrior(events, hop_samples=hop_samples)
        self.textures = ResamplePrior(
            textures, hop_samples=hop_samples, sample_rate_hz=sample_rate_hz, texture=texture
        )

    def draw(
        self,
        seed: int,
        *,
        n_samples: int | None = None,
        length: float = 1.0,
        temperature: float = 1.0,
        redraw: int = 0,
    ) -> Draw:
        """The sound of `seed`; it ends where its recording is a hit or a note."""
        clip = visited(self.bank.recordings, seed)
        prior = self.hits if clip.event else self.textures
        return prior.draw(
            seed,
            of=clip,
            n_samples=n_samples,
            length=length,
            temperature=temperature,
            redraw=redraw,
        )
