"""The parts of a training, built from their config sections."""

from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from timbrel.config.targets import check_targets
from timbrel.data.augmentation import Augment
from timbrel.errors import UserError
from timbrel.library.targets import foreign_parts
from timbrel.losses.mix import LossMix
from timbrel.models.autoencoder import Autoencoder, not_an_autoencoder
from timbrel.randomness import derived_seed
from timbrel.stages.built import built
from timbrel.stages.measuring import check_attributes
from timbrel.stages.sweep_number import check_objective
from timbrel.training.phases import Phase

SECTIONS = ("architecture", "latent", "augmentation", "loss")


def check_sections(config: DictConfig) -> None:
    """Every `_target_` exists and takes the arguments it is given; raises UserError.

    What an augmentation refuses, such as a missing library, and attributes that cannot be measured
    are told before recordings are read.
    """
    for name in SECTIONS:
        check_targets(OmegaConf.to_container(config[name], resolve=True), name)
    foreign_parts(model_config(config), "architecture")  # what a bundle could not keep
    check_objective(config.objective, channels=config.data.channels)
    build_augmentation(config)
    check_attributes(config)


def model_config(config: DictConfig) -> dict[str, Any]:
    """The architecture with everything filled in: what a bundle keeps."""
    return OmegaConf.to_container(config.architecture, resolve=True)


def build_model(config: DictConfig) -> Autoencoder:
    """The model; its first weights follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(config.seed, 0, "weights"))
        model = built(model_config(config), "architecture")
    if not isinstance(model, Autoencoder):
        raise UserError(f"architecture: {not_an_autoencoder(model)}")
    return model


def build_reconstruction(config: DictConfig) -> torch.nn.Module:
    """The reconstruction loss."""
    return built(config.loss.reconstruction, "loss")


def build_adversaries(config: DictConfig) -> dict[str, torch.nn.Module]:
    """Those of `loss.adversaries` by name; first weights follow from the seed and the name."""
    found = {}
    for name, section in config.loss.get("adversaries", {}).items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(config.seed, 0, f"adversaries/{name}"))
            found[name] = built(section.adversary, f"loss.adversaries.{name}")
    return found


def build_phases(config: DictConfig) -> list[Phase]:
    """The phases of the training, in order; [] where it has none."""
    return [Phase(**OmegaConf.to_container(phase)) for phase in config.phases]


def build_penalty(config: DictConfig) -> torch.nn.Module:
    """The penalty on the posterior; an adversary's first weights follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(config.seed, 0, "penalty"))
        return built(config.latent.penalty, "latent")


def build_mix(config: DictConfig) -> LossMix:
    """All weights, numbers or schedules; a name may stand in one section only.

    Those of an adversary's terms are named `ADVERSARY/TERM`.
    """
    weights: dict[str, Any] = {}
    for section in ("loss", "latent"):
        for name, weight in built(config[section].weights, section).items():
            if name in weights:
                raise UserError(f"{section}.weights.{name}: loss.weights has that name already")
            weights[name] = weight
    for adversary, section in config.loss.get("adversaries", {}).items():
        where = f"loss.adversaries.{adversary}"
        found = built(section.weights, where)
        weights |= {f"{adversary}/{term}": weight for term, weight in found.items()}
    return LossMix(weights)


def build_augmentation(config: DictConfig) -> Augment:
    """The live augmentation."""
    return built(config.augmentation, "augmentation")
