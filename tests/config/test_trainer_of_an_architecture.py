"""`conf/trainer/for/`: what an architecture changes in a training."""

from collections.abc import Callable

import pytest

from timbrel.config.options import conf_folder, options
from timbrel.errors import UserError
from timbrel.stages.composing import compose
from timbrel.stages.training_parts import fitting_model


def trainer(*overrides: str) -> tuple[int, float, int]:
    found = compose("train", ["data=demo", *overrides]).trainer
    return found.first_fit_chunks, found.learning_rate, found.batch_size


def test_every_file_is_for_an_architecture_and_a_trainer() -> None:
    known = options()
    pairs = {f"{a}_{trainer}" for a in known["architecture"] for trainer in known["trainer"]}
    files = {path.stem for path in (conf_folder() / "trainer" / "for").glob("*.yaml")}
    assert {"harmonic_default", "harmonic_small_default", "ddsp_default"} <= files <= pairs


@pytest.mark.parametrize("architecture", ["harmonic", "harmonic_small", "ddsp", "ddsp_hybrid"])
def test_weights_that_are_fitted_learn_in_shorter_steps(architecture: str) -> None:
    assert trainer(f"architecture={architecture}") == (96, 3e-4, 4)
    chosen = (f"architecture={architecture}", "trainer.first_fit_chunks=0", "trainer.batch_size=8")
    assert trainer(*chosen, "trainer.learning_rate=1e-3") == (0, 1e-3, 8)


@pytest.mark.parametrize("architecture", ["spectral", "rave"])
def test_the_others_begin_with_random_weights(architecture: str) -> None:
    assert trainer(f"architecture={architecture}") == (0, 1e-3, 8)


def test_a_decoder_that_cannot_be_fitted_is_refused() -> None:
    chosen = ["data=demo", "architecture=spectral_small", "trainer.first_fit_chunks=8"]
    with pytest.raises(UserError, match=r"first_fit_chunks=8: .* take 0 or architecture="):
        fitting_model(compose("train", chosen))


def test_a_file_of_ones_own_and_an_experiment_that_changes_it(
    own_conf: Callable[[dict[str, str]], None],
) -> None:
    files = {
        "experiment/large": "# @package _global_\ntrainer: {batch_size: 16}\n",
        "architecture/mine": "defaults: [harmonic]\n",
        "trainer/for/mine_default": "first_fit_chunks: 8\n",
        "architecture/like": "defaults: [harmonic]\n",
        "trainer/for/like_default": "defaults: [harmonic_default]\n",
        "loss/for/like_spectral": "defaults: [harmonic_spectral]\n",
    }
    own_conf(files)
    assert trainer("experiment=large") == (96, 3e-4, 16)
    assert trainer("architecture=mine") == (8, 1e-3, 8)
    assert trainer("architecture=like") == (96, 3e-4, 4)
    weights = [
        compose("train", ["data=demo", f"architecture={name}"]).loss.weights
        for name in ("like", "harmonic")
    ]
    assert weights[0] == weights[1]
