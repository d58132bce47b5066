"""One small training step of every latent with every architecture: gradients and updates."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from models.presets import LATENTS, config
from timbrel.losses.terms import value_of
from timbrel.models.dropout import SeededDropout
from timbrel.training.callbacks import training_values
from timbrel.training.module import forward_pass
from training.tiny import FAMILIES, adamw, choices, curve, measured, moved, training, weights_of


@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize("architecture", FAMILIES)
def test_every_pair_takes_steps(architecture: str, latent: str) -> None:
    module = training(choices(architecture, latent))
    before, batch = weights_of(module.model), measured(architecture)
    module.training_step(batch, 0)
    assert moved(before, module.model) == before.keys()
    module.training_step(batch, 1)
    assert module.step == 2
    assert all(torch.isfinite(p).all() for p in module.parameters())
    assert module.objective is not None
    unweighted = module.objective.terms.keys() - module.mix.weights.keys()
    assert unweighted == (
        ({"kl"} if latent in WATCHED else set())
        | ({"adversary"} if latent == "factor_vae" else set())
        | ({"room_tail"} if "ddsp" in architecture else set())
    )


WATCHED = ["beta_tcvae", "capacity", "free_bits", "kl_floor"]


@pytest.mark.parametrize("latent", WATCHED)
def test_a_diagnostic_is_told_and_moves_nothing(latent: str) -> None:
    """Earlier runs have it with weight 0: they resume unchanged, as do runs without it."""
    batch = measured("rave")
    old = training(choices("rave", latent), more_weights={"kl": 0.0})
    new = training(choices("rave", latent))
    assert curve(old, batch, 3) == pytest.approx(curve(new, batch, 3), rel=1e-6)
    for before, after in zip(old.model.parameters(), new.model.parameters(), strict=True):
        assert torch.equal(before, after)
    assert old.objective is not None
    assert new.objective is not None
    assert old.objective.terms["kl"] == new.objective.terms["kl"] > 0
    assert training_values(new)["train/kl"] == float(new.objective.terms["kl"])


PENALISED = [(name, term) for name in LATENTS for term in config("rave", name).latent.weights]


@pytest.mark.parametrize(("latent", "term"), PENALISED)
def test_every_term_alone_reaches_the_encoder(latent: str, term: str) -> None:
    chosen = choices("rave", latent, latent_dim=6)
    if latent in ("free_bits", "kl_floor"):  # an untrained code lies above; so do all its rates
        for key in chosen.latent.penalty:
            if "floor" in key:
                chosen.latent.penalty[key] = 0.01
    module = training(chosen)
    batch = measured("rave")
    rng = torch.Generator().manual_seed(0)
    posterior = module.model.encode(batch.input)
    noise = [] if posterior.log_var is None else [posterior.log_var]
    latent_codes = posterior.mean.map(lambda x: x + 0.1 * torch.randn(x.shape, generator=rng))
    terms = module.penalty(posterior, latent_codes, batch, 5, rng)
    assert noise or latent == "wae_mmd"
    if term == "clip_order":  # no clip attribute is named
        assert float(terms[term]) == 0.0
        return
    value_of(terms[term]).mean().backward()
    reached = [p.grad for p in module.model.encoder.parameters() if p.grad is not None]
    assert reached
    assert any((gradient != 0).any() for gradient in reached)
    assert all(p.grad is None for p in module.penalty.parameters())  # never by a term
    assert all(p.grad is None for p in module.model.decoder.parameters())


def test_an_adversary_and_the_model_learn_each_from_its_own_loss() -> None:
    module = training(choices("rave", "factor_vae"))
    batch = measured("rave")
    main, own = module.configure_optimizers()
    in_main = {id(p) for group in main.param_groups for p in group["params"]}
    in_own = {id(p) for group in own.param_groups for p in group["params"]}
    assert in_main == {id(p) for p in module.model.parameters()}
    assert in_own == {id(p) for p in module.penalty.parameters()}

    module.training_step(batch, 0)
    assert module.objective is not None
    assert float(module.objective.terms["adversary"]) == pytest.approx(0.693, abs=0.05)
    model, penalty = weights_of(module.model), weights_of(module.penalty)
    rng = torch.Generator().manual_seed(0)
    detached = forward_pass(module.model, batch, rng, autocast=False).detached()
    module._adversaries_step(module.optimizers()[1:], module.phases[0], detached, batch)
    assert moved(penalty, module.penalty) == penalty.keys()
    assert moved(model, module.model) == set()


STATEFUL = ["target_kl", "factor_vae", "ar_vae", "beta_tcvae", "dip_vae_ii"]


@pytest.mark.parametrize("latent", STATEFUL)
def test_a_resumed_training_repeats_its_curve(latent: str) -> None:
    """Discriminator, its optimizer, queues and controlled weights are all in the checkpoint."""
    chosen, batch = choices("rave", latent), measured("rave")
    whole = training(chosen, latent_dropout=0.2)
    curve(whole, batch, 3)
    checkpoint: dict[str, Any] = {}
    whole.on_save_checkpoint(checkpoint)
    checkpoint["state"] = {k: v.clone() for k, v in whole.state_dict().items()}
    optimizers = whole.optimizers()
    optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
    checkpoint["optimizers"] = [
        {k: torch.utils._pytree.tree_map(_copy, v) for k, v in o.state_dict().items()}
        for o in optimizers
    ]
    expected = curve(whole, batch, 4)

    again = training(chosen, latent_dropout=0.2)
    again.load_state_dict(checkpoint["state"])
    again.on_load_checkpoint(checkpoint)
    found = again.optimizers()
    for optimizer, state in zip(
        found if isinstance(found, list) else [found], checkpoint["optimizers"], strict=True
    ):
        optimizer.load_state_dict(state)
    assert curve(again, batch, 4) == expected
    assert again.mix.weights_at(again.step) == whole.mix.weights_at(whole.step)


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


TAKES_A_TARGET = [
    (name, term)
    for name, term in [*PENALISED, *((name, "kl") for name in WATCHED)]
    if term in ("kl", "floored_kl")
    and name not in ("annealed", "target_kl")  # a ramp of its own; that option itself
]


@pytest.mark.parametrize(("latent", "term"), TAKES_A_TARGET)
def test_every_gaussian_option_takes_a_target_rate(latent: str, term: str) -> None:
    chosen = choices("rave", latent)
    chosen.latent.weights[term] = {
        "_target_": "timbrel.losses.control.TargetRate", "target_nats_per_frame": 0.5,
    }  # fmt: skip
    module, batch = training(chosen), measured("rave")
    weights = []
    for index in range(3):
        module.training_step(batch, index)
        weights.append(module.mix.weights_at(module.step)[term])
    assert 1.0 < weights[0] < weights[1] < weights[2]  # the rate of an untrained code is too high


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_weight_decay_draws_the_model_to_zero_and_nothing_else(decay: float) -> None:
    """Without a gradient AdamW multiplies by 1 - rate x decay; the adversary has no decay."""
    module = training(choices("rave", "factor_vae"))
    module.settings = replace(module.settings, make=adamw(1e-3, decay))
    main, own = module.configure_optimizers()
    before = weights_of(module)
    for parameter in (*module.model.parameters(), *module.penalty.parameters()):
        parameter.grad = torch.zeros_like(parameter)
    main.step()
    own.step()
    for name, parameter in module.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[f"model.{name}"] * (1 - 1e-3 * decay))
    assert moved(before, module) == (
        {f"model.{n}" for n in weights_of(module.model) if before[f"model.{n}"].any()}
        if decay
        else set()
    )


def test_a_controlled_weight_moves_with_the_rate() -> None:
    module = training(choices("rave", "target_kl"))
    before = module.mix.weights_at(0)["kl"]
    curve(module, measured("rave"), 5)
    assert module.mix.weights_at(5)["kl"] != before
    assert module.mix.weights_at(5)["stft_log"] == 1.0


@pytest.mark.parametrize("architecture", ["spectral", "rave"])
def test_dropout_is_the_seeds_and_off_outside_training(architecture: str) -> None:
    batch = measured(architecture)
    dropped = choices(architecture, "vae", decoder={"dropout": 0.3})
    runs = [
        training(choices(architecture, "vae")), training(dropped), training(dropped),
        training(choices(architecture, "vae"), latent_dropout=0.3), training(dropped, seed=1),
    ]  # fmt: skip
    plain, one, two, latent, other = ([*curve(module, batch, 2)] for module in runs)
    assert one == two
    assert len({tuple(c) for c in (plain, one, latent, other)}) == 4
    state = torch.get_rng_state()
    codes = runs[1].model.encode(batch.input).mean
    whole = runs[1].model.decode(codes)  # in training mode, and yet without a mask
    assert torch.equal(whole, runs[1].model.eval().decode(codes))
    assert torch.equal(torch.get_rng_state(), state)
    assert any(
        isinstance(part, SeededDropout) and part.probability == 0.3
        for part in runs[1].model.decoder.modules()
    )
    assert all(
        part.probability == 0.0
        for part in runs[1].model.encoder.modules()
        if isinstance(part, SeededDropout)
    )
