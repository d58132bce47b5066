"""The large parts of a training, from its config: model, device, module and batches."""

import itertools
import math
from typing import Any

from omegaconf import DictConfig

from timbrel.config.counterfactual import has_pairs
from timbrel.data.augmentation import Augment
from timbrel.data.chunks.loaders import train_loader
from timbrel.data.measured.chunk_attributes import ChunkAttributes
from timbrel.errors import UserError
from timbrel.library.bundle import (
    check_saveable,
)
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.first_weights import fit_first, fits_first
from timbrel.randomness import Share, torch_generator
from timbrel.stages import parts
from timbrel.stages.additions import Additions, build_optimizer
from timbrel.stages.composing import options_chosen
from timbrel.stages.expanding import expanded
from timbrel.stages.recordings import Recordings
from timbrel.training.compute import Compute, resolve_compute
from timbrel.training.horizon import Horizon
from timbrel.training.module import OptimizerSettings, Training
from timbrel.words import duration_s


def fitting_model(config: DictConfig) -> Autoencoder:
    """The model, if it hears the data, fits a training chunk and can be kept in a bundle."""
    model = parts.build_model(config)
    for key in ("sample_rate_hz", "channels"):
        if getattr(model, key) != config.data[key]:
            raise UserError(
                f"architecture.{key}: {getattr(model, key)} in the model, but the data has "
                f"{config.data[key]}; take {key}: ${{data.{key}}} in the architecture"
            )
    reach, chunk = model.receptive_field_samples, config.data.chunk_samples
    if chunk % model.hop_samples:
        nearest = max(1, round(chunk / model.hop_samples)) * model.hop_samples
        raise UserError(
            f"data.chunk_samples={chunk}: no multiple of the model's hop_samples="
            f"{model.hop_samples}; take {nearest}"
        )
    if reach > chunk:
        raise UserError(
            f"data.chunk_samples={chunk}: shorter than the model's receptive field of {reach} "
            f"samples, so training would never use all of it; take at least "
            f"{math.ceil(reach / model.hop_samples) * model.hop_samples}, or a smaller architecture"
        )
    if config.trainer.first_fit_chunks and not fits_first(model):
        raise UserError(
            f"trainer.first_fit_chunks={config.trainer.first_fit_chunks}: the decoder of this "
            "architecture cannot say what its layers want; take 0 or architecture=harmonic|ddsp"
        )
    if has_pairs(config.augmentation) and not model.conditions:
        chosen = options_chosen().get("architecture")
        which = f"architecture={chosen}" if chosen else "this architecture"
        raise UserError(
            f"augmentation.counterfactual: the decoder of {which} takes no tracks, which would "
            "tell it what is changed; take architecture=harmonic or "
            "augmentation.counterfactual.probability=0"
        )
    try:
        check_saveable(model, parts.model_config(config))
    except ValueError as error:
        raise UserError(
            f"architecture: built twice from one config it differs ({error}); make every "
            "parameter in the constructor, from its arguments alone"
        ) from error
    return model


def chosen_compute(config: DictConfig, process: int = 0) -> Compute:
    """The device of the `process`-th that trains, the precision, and how many load data."""
    device = config.device
    return resolve_compute(
        accelerator=str(device.accelerator),
        precision=str(device.precision),
        workers=device.workers,
        threads=device.threads,
        pin_memory=device.pin_memory,
        tf32=device.tf32,
        share=Share(process, device.processes),
    )


def training_module(
    config: DictConfig, model: Autoencoder, compute: Compute, added: Additions
) -> Training:
    """The model with its losses, adversaries, phases and optimizers."""
    trainer = config.trainer
    return Training(
        model=model,
        reconstruction=parts.build_reconstruction(config),
        penalty=parts.build_penalty(config),
        mix=parts.build_mix(config),
        optimizer=OptimizerSettings(
            make=build_optimizer(added.optimizer, model, compute.accelerator),
            learning_rate=added.learning_rate,
            warmup_steps=trainer.warmup_steps,
            gradient_clip_norm=trainer.gradient_clip_norm or float("inf"),
            ema_decay=trainer.ema_decay or 0.0,
        ),
        horizon=Horizon(
            max_steps=trainer.max_steps,
            max_time_s=duration_s(trainer.max_time) if trainer.max_time else None,
        ),
        seed=config.seed,
        autocast=compute.autocast,
        latent_dropout=config.latent.get("dropout", 0.0),  # runs of before have no such key
        adversaries=parts.build_adversaries(config),
        phases=parts.build_phases(config),
        share=compute.share,
    )


def fit_first_weights(
    config: DictConfig, found: Recordings, model: Autoencoder, measured: ChunkAttributes | None
) -> int:
    """Fit the first weights to `trainer.first_fit_chunks` chunks; returns to how many.

    A model that begins with another's weights keeps them, and one whose chunks are silent has
    random ones: 0. Every process does the same.
    """
    chunks = config.trainer.first_fit_chunks
    if not chunks or config.init_from is not None:
        return 0
    augmentation = parts.build_augmentation(config)
    augmentation.counterfactual = None  # its codes are not of its targets
    batch_size = min(chunks, config.trainer.batch_size)
    loader = _batches(config, found, measured, augmentation, batch_size=batch_size)
    batches = list(itertools.islice(loader, math.ceil(chunks / batch_size)))
    done = fit_first(
        model, batches, lambda number: torch_generator(config.seed, number, "first fit")
    )
    return len(batches) * batch_size if done else 0


def training_loader(
    config: DictConfig,
    found: Recordings,
    compute: Compute,
    first_step: int,
    measured: ChunkAttributes | None,
    *,
    only_told: bool = False,
) -> Any:
    """Training batches; with `only_told` what is to be rendered ahead is only told."""
    augmentation = parts.build_augmentation(config)
    return _batches(
        config,
        found,
        measured,
        augmentation,
        first_step=first_step,
        batch_size=config.trainer.batch_size,
        variants=expanded(config, augmentation, found, only_told=only_told),
        share=compute.share,
        workers=compute.workers,
        pin_memory=compute.pin_memory,
    )


def _batches(
    config: DictConfig,
    found: Recordings,
    measured: ChunkAttributes | None,
    augmentation: Augment,
    **loading: Any,
) -> Any:
    """Batches of chunks of the training part; `loading` says of how many, and by whom."""
    return train_loader(
        found.split.train,
        seed=config.seed,
        chunk_samples=config.data.chunk_samples,
        short=str(config.data.short),
        augmentation=augmentation,
        measuring=measured,
        hop_samples=measured.hop_samples if measured else 1,
        **loading,
    )
