"""What contradicts counterfactual pairs is told before a recording is read, with the way out."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from timbrel.config.counterfactual import counterfactual_problems
from timbrel.config.schema import TrainConfig
from timbrel.errors import UserError
from timbrel.stages import parts
from timbrel.stages.composing import checked, compose
from timbrel.stages.training_parts import fitting_model

PAIRS = "augmentation.counterfactual.probability=0.5"
SMALL = ("data=demo", "architecture.encoder.width=16", "architecture.decoder.blocks=1")
HARMONIC = (*SMALL, "architecture=harmonic_small")


def test_a_decoder_without_tracks_is_refused():
    with pytest.raises(UserError) as caught:
        fitting_model(compose("train", [*SMALL, "architecture=spectral", PAIRS]))
    for part in (
        "takes no tracks",
        "architecture=harmonic",
        "augmentation.counterfactual.probability=0",
    ):
        assert part in str(caught.value)
    fitting_model(compose("train", [*HARMONIC, PAIRS]))


def test_a_code_ordered_by_attributes_is_refused():
    ordered = [*HARMONIC, "latent=ar_vae"]
    checked("train", compose("train", ordered))
    with pytest.raises(UserError, match=r"^latent\.frame_attributes=\[log_f0_octaves.*latent=vae"):
        checked("train", compose("train", [*ordered, PAIRS]))
    names = ["latent.frame_attributes=[]", "latent.clip_attributes=[log_attack_time]"]
    config = compose("train", [*ordered, *names, "architecture.clip_dim=1", PAIRS])
    with pytest.raises(UserError, match=r"^latent\.clip_attributes=\[log_attack_time\]: "):
        checked("train", config)


@pytest.mark.parametrize("pairs", [None, {}, {"probability": 0.0}])
def test_without_pairs_nothing_is_refused(pairs):
    config = TrainConfig(augmentation={"counterfactual": pairs})
    config.latent = {"frame_attributes": ["log_f0_octaves"]}
    assert not list(counterfactual_problems(config))


def test_the_config_of_an_earlier_run_has_no_pairs(tmp_path: Path):
    config = compose("train", ["data=demo"])
    OmegaConf.set_struct(config, False)
    del config.augmentation["counterfactual"]
    assert parts.build_augmentation(checked("train", config)).counterfactual is None
