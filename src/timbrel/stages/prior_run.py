"""Fits the prior of a run's model, after a training and by `timbrel prior`."""

import sys
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from timbrel.analysis.bank import fit_bank, fit_recordings
from timbrel.data.split.parts import Split, data_hash
from timbrel.generation.prior.bank import Bank
from timbrel.generation.prior.draw import Prior
from timbrel.generation.prior.kinds import fitting_kind, make_prior
from timbrel.generation.prior.recordings import Recordings
from timbrel.generation.statistics import LatentStatistics
from timbrel.library.bundle import load_bundle
from timbrel.library.prior_part import save_prior
from timbrel.models.autoencoder import Autoencoder
from timbrel.stages.evaluation_run import full_precision, run_config
from timbrel.stages.recordings import recordings
from timbrel.stages.run_folders import check_run
from timbrel.training.compute import resolve_compute
from timbrel.training.provenance import check_same_data


@dataclass(frozen=True)
class Fitted:
    """A prior, what it is called, and what goes into the bundle with it."""

    prior: Prior
    kind: str
    bank: Bank | None
    recordings: Recordings | None

    def save(self, folder: Path) -> None:
        """Make it the prior of the bundle at `folder`."""
        save_prior(folder, self.kind, self.bank, self.recordings)

    @property
    def said(self) -> str:
        """In words, with the reason, and what it means for who passes the model on."""
        if self.bank is None:
            return "prior: gaussian, the moments of all codes"
        events = sum(clip.event for clip in self.bank.recordings)
        return (
            f"prior: {self.kind} ({events} of {len(self.bank.recordings)} recordings are hits or "
            f"notes); the model holds the recordings' codes ({self.bank.size_bytes / 1e6:.1f} MB): "
            "who has it can hear them; prior=gaussian leaves them out"
        )


def fit_prior(
    model: Autoencoder, split: Split, statistics: LatentStatistics, prior: DictConfig
) -> Fitted:
    """What `prior`, the section of a config, asks for."""
    kind, bank, known = str(prior.kind), None, None
    if prior.bank and kind != "gaussian":
        with full_precision():
            bank = fit_bank(model, split.train)
        bank = bank if bank.clips else None  # nothing but silence
        known = fit_recordings(split, model.sample_rate_hz)
    if kind == "auto" or bank is None:
        kind = fitting_kind(bank)
    made = make_prior(
        kind,
        bank,
        statistics,
        hop_samples=model.hop_samples,
        sample_rate_hz=model.sample_rate_hz,
    )
    return Fitted(made, kind, bank, known)


def fit(config: DictConfig) -> DictConfig:
    """Fit the prior of the run that `config` names, and write it into the run's model."""
    folder = check_run(config.run)
    trained = run_config(folder, data_root=config.data_root)
    compute = resolve_compute(**{**config.device, "precision": "fp32"})
    bundle = load_bundle(folder, trust=True)  # a run folder is code: its config builds any part
    model = bundle.model.to(compute.torch_device).requires_grad_(False)
    found = recordings(trained.data, seed=trained.seed, guard_samples=model.receptive_field_samples)
    check_same_data(folder, data_hash(found.split))
    fitted = fit_prior(model, found.split, bundle.statistics, config.prior)
    fitted.save(bundle.folder)
    sys.stdout.write(f"{fitted.said}\n{bundle.folder}\n")
    return config
