"""Latent options that mean nothing together are refused before anything is read or built."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from models.presets import LATENTS, config
from timbrel.config.checks import check
from timbrel.config.choices import DataKind
from timbrel.config.schema import DataConfig, TrainConfig, TrainerConfig
from timbrel.config.targets import locate
from timbrel.errors import UserError
from timbrel.stages.composing import checked, compose

POINT = "timbrel.models.posteriors.PointPosterior"
CONTROLLED = {"_target_": "timbrel.losses.control.TargetRate", "target_nats_per_frame": 10.0}


def chosen(latent: str, **architecture: Any) -> TrainConfig:
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
    assert "needs a KL, and a deterministic posterior has none; take latent=wae_mmd" in str(
        caught.value
    )
    assert ("latent.weights.kl: its target is a KL" in str(caught.value)) is (latent == "target_kl")


def test_a_point_with_a_target_rate_is_refused() -> None:
    train = chosen("wae_mmd")
    train.latent["weights"]["mmd"] = CONTROLLED
    with pytest.raises(UserError, match=r"latent.weights.mmd: its target is a KL.*Gaussian"):
        check(train)


def test_the_way_out_is_one() -> None:
    train = chosen("wae_mmd")
    train.latent["posterior"]["_target_"] = "timbrel.models.posteriors.GaussianPosterior"
    check(train)
    assert locate(train.latent["posterior"]["_target_"]).__name__ == "GaussianPosterior"


def test_every_attribute_needs_a_dimension() -> None:
    check(chosen("ar_vae", latent_dim=2))
    with pytest.raises(
        UserError, match=r"latent.frame_attributes=\[log_f0_octaves,log_centroid_octaves\]: each"
    ):
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


@pytest.mark.parametrize("names", [None, "log_f0_octaves", [1]])
def test_attributes_are_a_list_of_names(names: Any) -> None:
    train = chosen("ar_vae")
    train.latent["frame_attributes"] = names
    with pytest.raises(
        UserError, match=r"latent.frame_attributes=.*: a list such as \[log_f0_octaves\]"
    ):
        check(train)


@pytest.mark.parametrize("width", ["latent_dim", "clip_dim"])
def test_a_width_is_0_or_more(width: str) -> None:
    with pytest.raises(UserError, match=f"architecture.{width}=-1: 0 or more"):
        check(chosen("vae", **{width: -1}))


@pytest.mark.parametrize("weight", ["much", None, True, float("nan"), {"start": 0.0}])
@pytest.mark.parametrize("section", ["latent", "loss"])
def test_a_weight_is_a_number_or_is_built(section: str, weight: Any) -> None:
    train = chosen("vae")
    train.loss = {"weights": {"kl": 1.0}}
    getattr(train, section)["weights"]["kl"] = weight
    with pytest.raises(UserError, match=rf"^{section}.weights.kl=.*: expected a number"):
        check(train)


def test_a_penalty_that_is_none_is_refused() -> None:
    train = chosen("vae")
    train.latent["penalty"] = None
    with pytest.raises(UserError, match=r"latent.penalty=null: a mapping with a _target_"):
        check(train)


def test_a_target_rate_moves_no_weight_of_the_reconstruction() -> None:
    train = chosen("vae")
    train.loss = {"weights": {"waveform": CONTROLLED}}
    with pytest.raises(UserError, match=r"loss.weights.waveform: .* such as latent.weights.kl"):
        check(train)


COMPARING = {"ar_vae", "beta_tcvae", "dip_vae_i", "dip_vae_ii", "factor_vae", "wae_mmd"}


@pytest.mark.parametrize("latent", LATENTS)
def test_what_compares_clips_needs_two(latent: str) -> None:
    train = chosen(latent)
    train.trainer.batch_size = 1
    if "queue_rows" in train.latent["penalty"]:
        check(train)  # clips of earlier steps are others
        train.latent["penalty"]["queue_rows"] = 0
    if latent not in COMPARING:
        check(train)
        return
    with pytest.raises(UserError, match=r"trainer.batch_size=1: .*; take 2 or more"):
        check(train)


@pytest.mark.parametrize("overrides", [[], ["data.channels=2", "latent.frame_attributes=[width]"]])
def test_attributes_with_a_value_are_taken(overrides: list[str]) -> None:
    from timbrel.stages.composing import compose
    from timbrel.stages.parts import check_sections

    check_sections(compose("train", ["data=demo", "latent=ar_vae", *overrides]))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["latent.frame_attributes=[log_fo]"], "did you mean 'log_f0_octaves'"),
        (
            ["latent.frame_attributes=[width]"],
            "latent.frame_attributes: width has no value in mono",
        ),
        (["+latent.penalty.dead_zone.log_fo=0.1"], "dead_zone.log_fo: no such attribute; did you"),
        (["latent.penalty.dead_zone=0.1"], "latent.penalty.dead_zone=0.1: expected a mapping"),
    ],
)
def test_attributes_are_checked_before_recordings_are_read(
    overrides: list[str], message: str
) -> None:
    from timbrel.stages.composing import compose
    from timbrel.stages.parts import check_sections

    with pytest.raises(UserError, match=message):
        check_sections(compose("train", ["data=demo", "latent=ar_vae", *overrides]))


def test_attributes_by_the_names_of_earlier_runs_are_taken_by_those_of_now() -> None:
    """In an option of the user's own, and in a saved config, whose interpolations are resolved."""
    old = ["latent=ar_vae", "data=demo", "latent.frame_attributes=[log_f0,log_rolloff]"]
    old += ["+latent.penalty.dead_zone.log_f0=0.02"]
    config = compose("train", old)
    saved = config.copy()
    OmegaConf.resolve(saved)
    for given in (config, saved):
        latent = checked("train", given).latent
        names = ["log_f0_octaves", "log_rolloff_octaves"]
        assert latent.frame_attributes == latent.penalty.frame_attributes == names
        assert latent.penalty.dead_zone == {"log_f0_octaves": 0.02}
    plain = compose("train", ["latent=vae", "data=demo"])
    before = plain.latent.copy()
    assert checked("train", plain).latent == before
