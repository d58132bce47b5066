"""Fits the prior of a run's model, after a training and by `timbrel prior`."""

import sys
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from timbrel.analysis.bank import encoded, fit_bank, fit_recordings
from timbrel.analysis.excerpts import MOST_HELD_OUT, thinned
from timbrel.analysis.flow_fit import FittedFlow, FlowSettings, fit_flow
from timbrel.config.choices import TextureKind
from timbrel.data.split.parts import Split
from timbrel.errors import UserError
from timbrel.generation.prior.bank import Bank
from timbrel.generation.prior.draw import Prior
from timbrel.generation.prior.kinds import fitting_kind, make_prior
from timbrel.generation.prior.recordings import Recordings
from timbrel.generation.statistics import LatentStatistics
from timbrel.library.prior_part import save_prior
from timbrel.models.autoencoder import Autoencoder
from timbrel.stages.evaluation_run import full_precision, run_config
from timbrel.stages.opened_run import opened_run
from timbrel.stages.run_folders import check_run


@dataclass(frozen=True)
class Fitted:
    """A prior, what it is called, and what goes into the bundle with it."""

    prior: Prior
    kind: str
    bank: Bank | None
    recordings: Recordings | None
    flow: FittedFlow | None = None
    texture: TextureKind = TextureKind.quilt
    instead: str = ""
    """Why it is not the kind that was asked for."""

    def save(self, folder: Path) -> None:
        """Make it the prior of the bundle at `folder`."""
        flow = None if self.flow is None else self.flow.flow
        save_prior(folder, self.kind, self.bank, self.recordings, flow, self.texture)

    @property
    def said(self) -> str:
        """In words, with the reason, and what it means for who passes the model on."""
        if self.flow is not None:
            others = f", {self.flow.textures} textures left out" if self.flow.textures else ""
            how = (
                f"{len(self.flow.flow.attributes)} hits and notes{others}; the weights of step "
                f"{self.flow.step}, ended by {self.flow.ended_by}"
            )
        elif self.bank is None:
            return f"{self.instead}prior: gaussian, the moments of all codes"
        else:
            events = sum(clip.event for clip in self.bank.recordings)
            how = f"{events} of {len(self.bank.recordings)} recordings are hits or notes"
            if self.texture == TextureKind.var:
                how += ", textures are drawn by a vector autoregression of each"
        if self.bank is None:
            return (
                f"prior: {self.kind} ({how}); the recordings' codes are not in the model, its "
                "weights were fitted to them"
            )
        return (
            f"{self.instead}prior: {self.kind} ({how}); the model holds the recordings' codes "
            f"({self.bank.size_bytes / 1e6:.1f} MB): who has it can hear them; prior=gaussian "
            "leaves them out"
        )


def fit_prior(
    model: Autoencoder,
    split: Split,
    statistics: LatentStatistics,
    prior: DictConfig,
    *,
    seed: int,
    strict: bool,
) -> Fitted:
    """What `prior`, the section of a config, asks for.

    Where a flow has too few recordings it is `auto`, so that no training is lost; `strict` raises
    UserError.
    """
    kind, bank, known, flow, instead = str(prior.kind), None, None, None, ""
    if kind == "flow" or (prior.bank and kind != "gaussian"):
        with full_precision():
            bank = fit_bank(model, split.train)
        bank = bank if bank.clips else None  # nothing but silence
    if kind == "flow":
        try:
            flow = _flow(model, bank, split, seed)
        except ValueError as error:
            if strict:
                raise UserError(f"prior=flow: {error}") from error
            kind, instead = "auto", f"prior=flow: {error}; in its place "
    if not prior.bank:
        bank = None
    elif kind != "gaussian":
        known = fit_recordings(split, model.sample_rate_hz)
    if kind == "auto" or (bank is None and flow is None):
        kind = fitting_kind(bank)
    texture = TextureKind.quilt
    if kind in ("auto", "resample"):
        texture = TextureKind(prior.get("texture", texture))  # runs of before have no such key
    made = make_prior(
        kind,
        bank,
        statistics,
        hop_samples=model.hop_samples,
        sample_rate_hz=model.sample_rate_hz,
        flow=None if flow is None else flow.flow,
        texture=texture,
    )
    return Fitted(made, kind, bank, known, flow, texture, instead)


def _flow(model: Autoencoder, bank: Bank | None, split: Split, seed: int) -> FittedFlow:
    """Stopped by the validation recordings. Raises ValueError where there are too few to fit it."""
    if bank is None:
        raise ValueError("nothing but silence; take prior=gaussian")
    with full_precision():
        held_out = encoded(model, thinned(split.validation, MOST_HELD_OUT))
    return fit_flow(bank, held_out, seed, FlowSettings())


def fit(config: DictConfig) -> DictConfig:
    """Fit the prior of the run that `config` names, and write it into the run's model."""
    folder = check_run(config.run)
    trained = run_config(folder, data_root=config.data_root)
    run = opened_run(folder, trained, config.device)
    bundle, model, found = run.bundle, run.model, run.recordings
    fitted = fit_prior(
        model, found.split, bundle.statistics, config.prior, seed=trained.seed, strict=True
    )
    fitted.save(bundle.folder)
    sys.stdout.write(f"{fitted.said}\n{bundle.folder}\n")
    return config
