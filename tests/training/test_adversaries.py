"""Adversaries on audio: which weights get which gradients, and what is refused."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from timbrel.errors import UserError
from timbrel.losses.latent import KL
from timbrel.losses.reconstruction import SpectralLoss
from timbrel.randomness import torch_generator
from timbrel.training.adversaries import adversary_terms, own_loss
from timbrel.training.module import Training, forward_pass
from timbrel.training.phases import Phase
from training.hinge import Hinge
from training.tiny import choices, measured, moved, training, weights_of

TERMS = ("generator", "feature_matching")


def hinge(seed: int = 0, **arguments: Any) -> Hinge:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Hinge(**{"channels": 1, **arguments})


def with_adversaries(
    adversaries: Mapping[str, nn.Module], latent: str = "vae", **settings: Any
) -> Training:
    weights = {f"{name}/{term}": 1.0 for name in adversaries for term in TERMS}
    settings = {"more_weights": weights, "adversaries": adversaries, **settings}
    return training(choices("rave", latent), **settings)


def test_terms_reach_the_model_alone_and_the_own_loss_the_adversary_alone() -> None:
    adversary, module, batch = hinge(), training(choices("rave", "vae")), measured("rave")
    generators = partial(torch_generator, 0, 0)
    forward = forward_pass(module.model, batch, generators("posterior"), autocast=False)
    terms = adversary_terms({"hinge": adversary}, forward, batch, 0, generators, autocast=False)
    assert terms.keys() == {"hinge/generator", "hinge/feature_matching"}
    for term in terms.values():
        assert term.shape == (3,)  # one per example
        module.zero_grad()
        term.mean().backward(retain_graph=True)
        for part in (module.model.encoder, module.model.decoder):
            assert any((p.grad != 0).any() for p in part.parameters() if p.grad is not None)
        assert all(p.grad is None and p.requires_grad for p in adversary.parameters())
    module.zero_grad()
    own_loss(
        "hinge/adversary", adversary, forward.detached(), batch, 0, generators, False
    ).backward()
    assert all((p.grad != 0).any() for p in adversary.parameters())
    assert all(p.grad is None for p in module.model.parameters())


def test_several_adversaries_each_have_their_optimizer_and_their_names() -> None:
    two = {"hinge": hinge(), "other": hinge(1, learning_rate=1e-4)}
    module = with_adversaries(two, "factor_vae")
    optimizers = module.optimizers()
    assert [o.param_groups[0]["lr"] for o in optimizers] == [1e-3, 1e-4, 1e-3, 1e-4]
    owned = [{id(p) for g in o.param_groups for p in g["params"]} for o in optimizers]
    parts = (module.model, module.penalty, two["hinge"], two["other"])
    assert owned == [{id(p) for p in part.parameters()} for part in parts]
    before = [weights_of(part) for part in parts]
    module.training_step(measured("rave"), 0)
    assert [moved(old, part) for old, part in zip(before, parts, strict=True)] == [
        old.keys() for old in before
    ]
    assert module.objective is not None
    names = {f"{name}/{term}" for name in two for term in (*TERMS, "adversary")}
    assert names | {"adversary", "kl", "total_correlation"} <= module.objective.terms.keys()


def test_an_adversary_changes_no_draw_of_the_others() -> None:
    """With weights of 0 every term of the model is the one without it, to the bit."""
    batch = measured("rave")
    plain = training(choices("rave", "factor_vae"), latent_dropout=0.2)
    beside = with_adversaries(
        {"hinge": hinge()}, "factor_vae", latent_dropout=0.2,
        more_weights={f"hinge/{term}": 0.0 for term in TERMS},
    )  # fmt: skip
    for index in range(3):
        plain.training_step(batch, index)
        beside.training_step(batch, index)
        assert plain.objective is not None
        assert beside.objective is not None
        found = beside.objective.terms
        assert {name: found[name] for name in plain.objective.terms} == plain.objective.terms


def norm(module: nn.Module) -> float:
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return float(torch.stack([g.norm() for g in gradients]).norm())


def test_every_gradient_is_clipped_by_itself() -> None:
    """What is left on the parameters after a step is what the optimizer saw."""
    batch = measured("rave")
    free = with_adversaries({"hinge": hinge()}, "factor_vae", clip_norm=float("inf"))
    free.training_step(batch, 0)
    parts = ("model", "penalty", "adversaries")
    whole = {name: norm(getattr(free, name)) for name in parts}
    assert whole["model"] == pytest.approx(free.gradient_norm, rel=1e-5)
    limit = 0.5 * min(whole.values())
    clipped = with_adversaries({"hinge": hinge()}, "factor_vae", clip_norm=limit)
    clipped.training_step(batch, 0)
    assert clipped.gradient_norm == free.gradient_norm  # logged before clipping
    for name in parts:
        assert norm(getattr(clipped, name)) == pytest.approx(limit, rel=1e-3)
    between = with_adversaries({"hinge": hinge()}, "factor_vae", clip_norm=2 * limit)
    between.training_step(batch, 0)
    smallest = min(whole, key=lambda name: whole[name])  # untouched by the larger ones beside it
    assert norm(getattr(between, smallest)) == pytest.approx(whole[smallest], rel=1e-3)


class Scaled(SpectralLoss):
    def __init__(self) -> None:
        super().__init__(window_samples=[256])
        self.scale = nn.Parameter(torch.ones(()))


class Owner(KL):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))


def rebuilt(**changes: Any) -> Training:
    module = training(choices("rave", "vae"))
    settings = {
        "model": module.model, "reconstruction": module.reconstruction,
        "penalty": module.penalty, "mix": module.mix, "optimizer": module.settings,
        "horizon": module.horizon, "seed": 0, "autocast": False, **changes,
    }  # fmt: skip
    return Training(**settings)


def test_parameters_that_nothing_would_train_are_refused() -> None:
    with pytest.raises(UserError, match=r"loss.reconstruction: Scaled has parameters.*freeze them"):
        rebuilt(reconstruction=Scaled())
    with pytest.raises(UserError, match=r"latent.penalty: Owner has parameters.*own_loss and opt"):
        rebuilt(penalty=Owner())
    with pytest.raises(UserError, match=r"loss.adversaries.x: Linear is no adversary.*own_loss"):
        rebuilt(adversaries={"x": nn.Linear(1, 1)})
    rebuilt(reconstruction=Scaled().requires_grad_(False))  # a pretrained network measures
    rebuilt(penalty=Owner().requires_grad_(False))


def test_shared_parameters_are_refused() -> None:
    model = training(choices("rave", "vae")).model
    one, other = hinge(), hinge()
    one.part = model.encoder
    with pytest.raises(UserError, match=r"loss.adversaries.one: Hinge holds parameters of the mod"):
        rebuilt(model=model, adversaries={"one": one})
    one.part = other.first
    with pytest.raises(UserError, match=r"loss.adversaries.two: .* of loss.adversaries.one; give"):
        rebuilt(adversaries={"one": one, "two": other})


def test_an_optimizer_moves_its_adversarys_parameters_and_no_others() -> None:
    class Half(Hinge):
        def optimizer(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.first.parameters())

    module = rebuilt(adversaries={"x": Half(channels=1)})
    with pytest.raises(UserError, match=r"loss.adversaries.x: the optimizer of Half must move"):
        module.configure_optimizers()


@pytest.mark.parametrize("phases", [(), (Phase(adversaries=()), Phase(name="b", from_step=50))])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"hinge/generator": 1.0}, "term 'hinge/feature_matching' has no weight; set it to 0"),
        (
            {f"hinge/{term}": 1.0 for term in (*TERMS, "feature_matchin")},
            "weight 'hinge/feature_matchin' names no loss term",
        ),
    ],
)
def test_terms_and_weights_are_compared_in_the_first_step(
    weights: dict[str, float], message: str, phases: tuple[Phase, ...]
) -> None:
    """Also those of an adversary of a later phase, which would fail hours later."""
    module = with_adversaries({"hinge": hinge()}, more_weights=weights, phases=phases)
    with pytest.raises(UserError, match=message):
        module.training_step(measured("rave"), 0)


@pytest.mark.parametrize("method", ["terms", "own_loss"])
def test_what_was_reduced_in_bfloat16_is_refused(method: str) -> None:
    class Coarse(Hinge):
        pass

    def coarse(self: Hinge, *arguments: Any) -> Any:
        found = getattr(Hinge, method)(self, *arguments)
        half: Callable[[Tensor], Tensor] = Tensor.bfloat16
        return {k: half(v) for k, v in found.items()} if method == "terms" else half(found)

    setattr(Coarse, method, coarse)
    module = with_adversaries({"hinge": Coarse(channels=1)}, autocast=True)
    with pytest.raises(UserError, match=r"loss.adversaries.hinge: .* is torch.bfloat16; .*float"):
        module.training_step(measured("rave"), 0)


def test_an_adversarys_gradient_that_is_not_finite_is_told_by_its_name() -> None:
    from timbrel.training.module import DivergedError

    class Wild(Hinge):
        def own_loss(self, *arguments: Any) -> Tensor:
            return super().own_loss(*arguments) * float("inf")

    module = with_adversaries({"hinge": Wild(channels=1)})
    with pytest.raises(DivergedError, match="the gradient of hinge/adversary is not finite"):
        module.training_step(measured("rave"), 0)
