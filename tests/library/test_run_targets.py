"""What a run folder may name untrusted: going on with it calls what its config names."""

from itertools import zip_longest

import pytest

from timbrel.errors import UserError
from timbrel.library.targets import check_run_targets
from timbrel.stages.composing import compose


def test_every_option_of_timbrel_is_its_own() -> None:
    from omegaconf import OmegaConf

    from timbrel.config.options import options

    groups = ("architecture", "latent", "loss", "augmentation")
    columns = [[f"{group}={name}" for name in options()[group]] for group in groups]
    for row in zip_longest(*columns):
        config = OmegaConf.to_container(compose("train", ["data=demo", *filter(None, row)]))
        check_run_targets(config, "run=x")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "mine.Decoder",
        "torch.hub.load",
        "torch.load",
        "timbrel.files.write_text",
        "timbrel.models.autoencoder.torch.load",
        "timbrel.library.bundle.os.system",
        "timbrel.losses.latent.no_such",
        "torch.nn.modules.module.OrderedDict",  # a class, and not of torch
    ],
)
def test_what_is_no_part_of_a_training_asks(target: str) -> None:
    with pytest.raises(UserError, match=r"names .* give trust=true"):
        check_run_targets({"loss": {"terms": [{"_target_": target}]}}, "run=x")


def test_parts_of_torch_do_not() -> None:
    check_run_targets({"a": {"_target_": "torch.optim.AdamW"}}, "run=x")
    check_run_targets({"a": {"_target_": "torch.nn.Linear"}}, "run=x")
