"""The command by which a study has a model analysed."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from timbrel.stages.composing import compose
from timbrel.sweeps.analysis import analysis_words


@pytest.mark.parametrize("device", ["auto", "ddp_cpu"])
def test_a_run_is_analysed_on_the_device_of_its_training(tmp_path: Path, device: str) -> None:
    trained = compose("train", ["data=demo", f"device={device}", "device.threads=3"])
    config = OmegaConf.to_container(trained, resolve=True, enum_to_str=True)
    words = analysis_words(tmp_path, "quick", config)
    found = compose("analyze", words)
    assert (found.run, str(found.profile)) == (str(tmp_path), "quick")
    assert (found.device.accelerator, found.device.threads) == (trained.device.accelerator, 3)
    assert found.device.processes == 1
