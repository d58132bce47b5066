"""Phases: frozen parts stay, active adversaries are used, and borders lie at their steps."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from timbrel.contracts import Batch
from timbrel.errors import UserError
from timbrel.models.dropout import SeededDropout
from timbrel.training.horizon import Horizon, Measured
from timbrel.training.module import Training
from timbrel.training.phases import Phase, Phases
from training.hinge import Hinge
from training.tiny import choices, curve, measured, moved, training, weights_of

PARTS = ("encoder", "posterior", "decoder")


def phased(*phases: Phase, latent: str = "vae", **settings: Any) -> Training:
    module = training(choices("rave", latent), phases=phases, **settings)
    module.settings.__dict__["weight_decay"] = 0.5  # would be seen
    (main, *_) = module.configure_optimizers()
    found = module.optimizers()
    others = found[1:] if isinstance(found, list) else []
    module.optimizers = lambda: [main, *others] if others else main
    return module


def states(module: Training) -> dict[str, dict[str, Tensor]]:
    """Weights and averaged weights of every part."""
    return {
        name: weights_of(module.model.get_submodule(name))
        | {f"averaged {k}": v for k, v in weights_of(module.averaged.get_submodule(name)).items()}
        for name in PARTS
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def run(module: Training, batch: Batch, steps: int) -> None:
    for index in range(steps):
        module.training_step(batch, index)


@pytest.mark.parametrize("trained", PARTS)
def test_a_part_at_rest_does_not_move_by_a_bit(trained: str) -> None:
    module = phased(Phase(name="one"), Phase(name="two", from_step=3, train=[trained]))
    batch = measured("rave")
    run(module, batch, 3)
    at_border = states(module)
    run(module, batch, 1)
    rested = states(module)
    run(module, batch, 3)
    end = states(module)
    for name in PARTS:
        part = module.model.get_submodule(name)
        if name == trained:
            assert not same(end[name], rested[name])
            assert all(p.grad is not None for p in part.parameters())
            continue
        assert same(end[name], rested[name])
        assert all(p.grad is None for p in part.parameters())  # of this step; zero exactly
        averaged = {k: v for k, v in at_border[name].items() if k.startswith("averaged")}
        assert same(averaged, end[name])  # the average is what it was at the border,
        for key, value in averaged.items():
            assert torch.equal(end[name][key.removeprefix("averaged ")], value)  # and so the part


def test_a_part_comes_back_to_life() -> None:
    module = phased(
        Phase(name="one", train=["decoder"]),
        Phase(name="two", from_step=2, train=["encoder"]),
        Phase(name="three", from_step=4),
    )
    batch, first = measured("rave"), states(module)
    run(module, batch, 2)
    assert same(first["encoder"], states(module)["encoder"])
    second = states(module)
    run(module, batch, 2)
    assert same(first["posterior"], states(module)["posterior"])
    assert moved(first["encoder"], module.model.encoder) == weights_of(module.model.encoder).keys()
    third = states(module)
    run(module, batch, 1)
    for name in PARTS:
        assert moved(third[name], module.model.get_submodule(name))
    assert not same(second["decoder"], states(module)["decoder"])


def again(module: Training, *phases: Phase) -> Training:
    """A training of the same model, which a test has changed."""
    made = Training(
        model=module.model, reconstruction=module.reconstruction, penalty=module.penalty,
        mix=module.mix, optimizer=module.settings, horizon=module.horizon, seed=0, autocast=False,
        phases=phases,
    )  # fmt: skip
    (main,) = made.configure_optimizers()
    made.optimizers = lambda: main
    made.manual_backward = Tensor.backward
    return made


def test_what_was_frozen_from_the_start_stays_so() -> None:
    """A phase that trains everything leaves a part frozen that was built frozen."""
    module = training(choices("rave", "vae"))
    module.model.encoder.requires_grad_(False)
    module = again(module, Phase(name="one", train=["decoder"]), Phase(name="two", from_step=1))
    encoder, posterior = (weights_of(module.model.get_submodule(name)) for name in PARTS[:2])
    run(module, measured("rave"), 3)
    assert moved(encoder, module.model.encoder) == set()
    assert moved(posterior, module.model.posterior)


class Normalised(nn.Module):
    """An encoder with what batches leave traces in: statistics, and dropout of torch's own."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder, self.norm, self.drop = encoder, nn.BatchNorm1d(width), nn.Dropout(0.5)

    def forward(self, audio: Tensor) -> Tensor:
        return self.drop(self.norm(self.encoder(audio).transpose(1, 2)).transpose(1, 2))


def test_dropout_and_normalisation_of_a_part_at_rest_are_off() -> None:
    module = training(choices("rave", "vae", decoder={"dropout": 0.5}))
    normalised = module.model.encoder = Normalised(module.model.encoder, 16)
    module = again(module, Phase(name="one", train=["posterior"]), Phase(name="two", from_step=2))
    layers = [m for m in module.model.decoder.modules() if isinstance(m, SeededDropout)]
    masked: list[bool] = []
    for layer in layers:
        layer.register_forward_pre_hook(lambda part, _: masked.append(part.rng is not None))
    drawn = torch.get_rng_state()
    run(module, measured("rave"), 2)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not normalised.norm.running_mean.any()  # as it began
    assert masked
    assert not any(masked)
    masked.clear()
    run(module, measured("rave"), 1)
    assert normalised.norm.running_mean.any()
    assert not torch.equal(torch.get_rng_state(), drawn)
    assert masked
    assert all(masked)


def test_an_adversary_plays_in_its_phase_alone() -> None:
    adversary = Hinge(channels=1)
    weights = {"hinge/generator": 1.0, "hinge/feature_matching": 0.5}
    module = phased(
        Phase(name="one", adversaries=[]),
        Phase(name="two", from_step=2, weights={"hinge/generator": 0.25, "stft_log": 3.0}),
        latent="factor_vae", adversaries={"hinge": adversary}, more_weights=weights,
    )  # fmt: skip
    batch, before = measured("rave"), weights_of(adversary)
    run(module, batch, 2)
    assert moved(before, adversary) == set()
    assert not module.optimizers()[2].state_dict()["state"]
    assert module.objective is not None
    assert not [name for name in module.objective.terms if name.startswith("hinge/")]
    assert "adversary" in module.objective.terms  # a penalty always plays
    assert module.objective.weights["stft_log"] == 1.0
    run(module, batch, 1)
    assert moved(before, adversary) == before.keys()
    objective = module.objective
    assert objective.weights == {
        "stft_relative": 1.0, "stft_log": 3.0, "waveform": 0.5, "level": 1.0, "kl": 1.0,
        "total_correlation": 10.0, "hinge/generator": 0.25, "hinge/feature_matching": 0.5,
    }  # fmt: skip
    by_hand = sum(weight * objective.terms[name] for name, weight in objective.weights.items())
    assert float(objective.total) == pytest.approx(float(by_hand), rel=1e-5)  # once, each


def test_a_controller_waits_while_a_phase_replaces_its_weight() -> None:
    module = phased(
        Phase(name="one", weights={"kl": 0.5}), Phase(name="two", from_step=3), latent="target_kl"
    )
    start = module.mix.state()
    run(module, measured("rave"), 3)
    assert module.mix.state() == start
    assert module.objective is not None
    assert module.objective.weights["kl"] == 0.5
    run(module, measured("rave"), 1)
    assert module.mix.state() != start


def test_a_part_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(UserError, match=r"phases.x.train: .* no part 'bands', only encoder, post"):
        training(choices("rave", "vae"), phases=[Phase(name="x", train=["bands"])])


def test_one_phase_that_names_everything_is_a_training_without() -> None:
    batch = measured("rave")
    plain = curve(training(choices("rave", "factor_vae")), batch, 3)
    one = Phase(name="all", train=PARTS, adversaries=[])
    assert curve(training(choices("rave", "factor_vae"), phases=[one]), batch, 3) == plain


def test_borders_are_steps_or_shares_of_the_horizon() -> None:
    by_step = Phases([Phase(name="a"), Phase(name="b", from_step=7), Phase(name="c", from_step=9)])
    horizon = Horizon(max_steps=10)
    assert [by_step.at(step, horizon) for step in range(11)] == [0] * 7 + [1] * 2 + [2] * 2
    by_share = Phases([Phase(name="a"), Phase(name="b", from_share=0.25)])
    timed = Horizon(max_time_s=100.0)
    assert by_share.at(10_000, timed) == 0  # not known yet
    assert by_share.after(10, timed) == ["b"]
    timed.measured = [Measured(50, 5.0, 1, 1000)]
    assert [by_share.at(step, timed) for step in (249, 250)] == [0, 1]
    assert (by_share.after(250, timed), by_share.after(251, timed)) == (["b"], [])
    timed.measured += [Measured(300, 30.0, 3, 5000)]
    assert [by_share.at(step, timed) for step in (249, 250, 301)] == [0, 1, 1]  # begun is begun
    assert not Phases().given
    assert Phases().is_last(Phases().at(5, horizon))
