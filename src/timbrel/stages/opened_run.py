"""A finished run as evaluation, prior and analysis need it: its config, model and recordings."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from timbrel.data.split.parts import data_hash
from timbrel.library.bundle import Bundle, load_bundle
from timbrel.models.autoencoder import Autoencoder
from timbrel.stages.recordings import Recordings, recordings
from timbrel.training.compute import rendering_compute
from timbrel.training.provenance import check_same_data


@dataclass(frozen=True)
class OpenedRun:
    """A run's bundle, its model on the device that was asked for, and its recordings."""

    bundle: Bundle
    model: Autoencoder
    recordings: Recordings


def opened_run(folder: Path, trained: DictConfig, device: DictConfig) -> OpenedRun:
    """The run in `folder`, whose config is `trained`, with its model on `device` in fp32.

    Raises UserError where the model cannot be opened, and where its recordings are not found or are
    not those that it was trained on.
    """
    compute = rendering_compute(device)
    bundle = load_bundle(folder, trust=True)  # a run folder is code: its config builds any part
    model = bundle.model.to(compute.torch_device).requires_grad_(False)
    found = recordings(trained.data, seed=trained.seed, guard_samples=model.receptive_field_samples)
    check_same_data(folder, data_hash(found.split))
    return OpenedRun(bundle, model, found)
