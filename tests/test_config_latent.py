"""Latent options that mean nothing together are refused before anything is read or built."""

from typing import Any

import pytest

from models.presets import LATENTS, config
from timbrel.config import DataConfig, DataKind, TrainConfig, TrainerConfig
from timbrel.config_checks import check
from timbrel.errors import UserError
from timbrel.target_checks import locate

POINT = "timbrel.models.posteriors.PointPosterior"
CONTROLLED = {"_target_": "timbrel.losses.control.TargetRate", "target_nats_per_frame": 10.0}


def chosen(latent: str, **architecture: Any) -> TrainConfig:
    from omegaconf import OmegaConf

    root = OmegaConf.to_container(config("spectral", latent, **architecture), resolve=True)
    return TrainConfig(
        data=DataConfig(kind=DataKind.demo, root=None, files=6),
        trainer=TrainerConfig(max_steps=1),
        architecture=root["architecture"],
        latent=root["latent"],
    )


@pytest.mark.parametrize("latent", LATENTS)
def test_every_option_passes_as_it_is(latent: str) -> None:
    check(chosen(latent))


@pytest.mark.parametrize("latent", [name for name in LATENTS if name != "wae_mmd"])
def test_a_point_with_a_rate_is_refused_with_the_way_out(latent: str) -> None:
    train = chosen(latent)
    train.latent["posterior"]["_target_"] = POINT
    with pytest.raises(UserError) as caught:
        check(train)
    assert "weighs a rate, and a point has none; take latent=wae_mmd" in str(caught.value)
    assert ("latent.weights.kl: a rate is its target" in str(caught.value)) is (
        latent == "target_kl"
    )


def test_a_point_with_a_target_rate_is_refused() -> None:
    train = chosen("wae_mmd")
    train.latent["weights"]["mmd"] = CONTROLLED
    with pytest.raises(UserError, match=r"latent.weights.mmd: a rate is its target.*Gaussian"):
        check(train)


def test_the_way_out_is_one() -> None:
    train = chosen("wae_mmd")
    train.latent["posterior"]["_target_"] = "timbrel.models.posteriors.GaussianPosterior"
    check(train)
    assert locate(train.latent["posterior"]["_target_"]).__name__ == "GaussianPosterior"


def test_every_attribute_needs_a_dimension() -> None:
    check(chosen("ar_vae", latent_dim=2))
    with pytest.raises(UserError, match=r"latent.frame_attributes=\[log_f0,log_centroid\]: each"):
        check(chosen("ar_vae", latent_dim=1))
    train = chosen("ar_vae")
    train.latent["clip_attributes"] = ["log_attack_time"]
    with pytest.raises(UserError, match=r"or take architecture.clip_dim=1"):
        check(train)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, "much"])
def test_dropout_is_a_probability(dropout: Any) -> None:
    train = chosen("vae")
    train.latent["dropout"] = dropout
    with pytest.raises(UserError, match=r"latent.dropout=.*: a probability, from 0 to below 1"):
        check(train)
