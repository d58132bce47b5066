"""`conf/loss/for/`: what an architecture changes in a loss."""

from collections.abc import Callable

import pytest

from timbrel.config.options import conf_folder, options
from timbrel.stages.composing import compose


def weights(*overrides: str) -> dict[str, float]:
    return dict(compose("train", ["data=demo", *overrides]).loss.weights)


def test_every_file_is_for_an_architecture_and_a_loss() -> None:
    known = options()
    pairs = {f"{a}_{loss}" for a in known["architecture"] for loss in known["loss"]}
    files = {path.stem for path in (conf_folder() / "loss" / "for").glob("*.yaml")}
    assert {"harmonic_spectral", "harmonic_small_spectral"} <= files <= pairs


@pytest.mark.parametrize("architecture", ["harmonic", "harmonic_small"])
def test_a_decoder_that_carries_phases_on_has_their_advance(architecture: str) -> None:
    found = weights(f"architecture={architecture}")
    assert (found["waveform"], found["phase_advance"], found["ltas"]) == (0.0, 1.0, 1.0)
    assert weights(f"architecture={architecture}", "loss.weights.waveform=0.3")["waveform"] == 0.3
    assert set(weights(f"architecture={architecture}", "loss=auraloss")) == {"mrstft"}
    assert "phase_advance" not in weights("architecture=spectral")


def test_an_experiment_that_chooses_it_and_a_file_of_ones_own(
    own_conf: Callable[[dict[str, str]], None],
) -> None:
    files = {
        "experiment/bells": "# @package _global_\ndefaults: [override /architecture: harmonic]\n",
        "architecture/mine": "defaults: [spectral_small]\n",
        "loss/for/mine_spectral": "weights: {level: 0.25}\n",
    }
    own_conf(files)
    assert weights("experiment=bells")["phase_advance"] == 1.0
    assert weights("architecture=mine")["level"] == 0.25


@pytest.mark.parametrize("architecture", ["ddsp", "ddsp_small", "ddsp_hybrid"])
def test_a_decoder_with_phases_of_its_own_has_no_waveform(architecture: str) -> None:
    found = weights(f"architecture={architecture}")
    assert (found["waveform"], found["brightness"], found["room_tail"]) == (0.0, 0.5, 1.0)
    assert set(weights(f"architecture={architecture}", "loss=auraloss")) == {"mrstft"}
    assert "room_tail" not in weights("architecture=harmonic")
