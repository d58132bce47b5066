"""A warm start takes tensors of equal name and shape, lists the others, refuses other models."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bundles import small_bundle, small_model
from timbrel.errors import UserError
from timbrel.library.bundle import load_weights
from timbrel.library.transfer import compare, warm_start

OF_THE_CODE = {
    "posterior.frame_mean.weight",
    "posterior.frame_mean.bias",
    "posterior.frame_log_var.weight",
    "posterior.frame_log_var.bias",
    "decoder.project.weight",
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory):
    return load_weights(small_bundle(tmp_path_factory.mktemp("transfer") / "model"))


def fresh(**settings) -> torch.nn.Module:
    """Another model of the same build, every weight moved."""
    model, _ = small_model(**settings)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(1.0)
    return model


def test_the_same_build_takes_every_weight(bundle) -> None:
    model = fresh()
    transfer = warm_start(model, bundle)
    assert transfer.share == 1.0
    assert (transfer.fresh, transfer.left) == ((), ())
    assert transfer.weights == sum(tensor.numel() for tensor in model.parameters())
    for name, tensor in bundle.tensors.items():
        assert torch.equal(model.state_dict()[name], tensor)
    count = len(model.state_dict())
    assert transfer.lines() == [f"{count} of {count} tensors taken over, 100.0% of the weights"]


def test_another_latent_leaves_exactly_the_tensors_that_touch_it(bundle) -> None:
    model = fresh(latent_dim=9)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    transfer = warm_start(model, bundle)
    assert {tensor.name for tensor in transfer.fresh} == OF_THE_CODE
    for name, tensor in model.state_dict().items():
        kept = before[name] if name in OF_THE_CODE else bundle.tensors[name]
        assert torch.equal(tensor, kept), name
    lines = transfer.lines()
    assert len(lines) == 4
    assert lines[1] == ("fresh: posterior.frame_mean: weight 9x24 (parent 6x24), bias 9 (parent 6)")
    assert lines[3] == "fresh: decoder.project: weight 24x9 (parent 24x6)"


def test_a_code_per_clip_is_fresh_and_one_that_is_gone_is_named(bundle, tmp_path: Path) -> None:
    transfer = warm_start(fresh(clip_dim=2), bundle)
    new = {tensor.name: tensor for tensor in transfer.fresh}
    assert new["posterior.clip_mean.weight"].parent_shape is None
    assert any("posterior.clip_mean: weight 2x48 (parent has none)" in x for x in transfer.lines())
    with_clip = load_weights(small_bundle(tmp_path / "model", clip_dim=2))
    back = warm_start(fresh(), with_clip)
    assert {name.split(".")[1] for name in back.left} == {"clip_mean", "clip_log_var"}
    assert back.lines()[-1] == (
        "the parent's only: posterior.clip_log_var, posterior.clip_mean (4 tensors)"
    )


def test_shares_count_weights_and_not_tensors() -> None:
    model = {"a.weight": torch.zeros(3, 3), "b": torch.tensor(0.0)}
    transfer = compare(model, {"b": torch.tensor(1.0), "c.x": torch.zeros(2)})
    assert (transfer.weights_taken, transfer.weights, transfer.share) == (1, 10, 0.1)
    assert transfer.left == ("c.x",)


def test_many_modules_are_told_in_a_few_lines() -> None:
    model = {f"net.stack.{i}.{j}.weight": torch.zeros(2) for i in range(4) for j in range(9)}
    lines = compare(model, {name: torch.zeros(3) for name in model}).lines()
    assert len(lines) == 5
    assert lines[1] == (
        "fresh: net.stack.0: 0.weight 2 (parent 3), 1.weight 2 (parent 3), "
        "2.weight 2 (parent 3) and 6 more"
    )


def test_another_architecture_is_refused_and_nothing_changes(bundle) -> None:
    model = fresh(width=40)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError, match=r"only \d\.\d% of the weights fit.*another architecture"):
        warm_start(model, bundle)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_another_front_end_is_refused_with_the_keys(bundle) -> None:
    stranger = replace(bundle, frontend=replace(bundle.frontend, sample_rate_hz=44_100, channels=2))
    with pytest.raises(UserError) as refused:
        warm_start(fresh(), stranger)
    assert "set data.sample_rate_hz=44100 data.channels=2, or leave" in str(refused.value)
    with pytest.raises(UserError, match=r"set data\.channels=1, or"):
        warm_start(fresh(channels=2), bundle)
