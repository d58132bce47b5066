"""Phases and adversaries that cannot be meant are refused before anything is read or built."""

from pathlib import Path
from typing import Any

import pytest

from timbrel.config.checks import check
from timbrel.config.choices import DataKind
from timbrel.config.schema import DataConfig, PhaseConfig, TrainConfig, TrainerConfig
from timbrel.errors import UserError
from timbrel.stages import train
from timbrel.stages.composing import compose
from timbrel.stages.parts import check_sections

HINGE = {"adversary": {"_target_": "training.hinge.Hinge", "channels": 1}, "weights": {"gen": 1.0}}


def chosen(*phases: dict[str, Any], max_steps: int | None = 100) -> TrainConfig:
    return TrainConfig(
        data=DataConfig(kind=DataKind.demo, root=None, files=6),
        trainer=TrainerConfig(max_steps=max_steps, max_time="8m"),
        loss={"weights": {"stft_log": 1.0}, "adversaries": {"hinge": HINGE}},
        latent={"weights": {"kl": 1.0}},
        phases=[PhaseConfig(**phase) for phase in phases],
    )


def test_what_can_be_meant_passes() -> None:
    first = {"name": "a", "adversaries": [], "weights": {"kl": 0.0}}
    check(chosen())
    check(chosen(first))
    check(chosen(first, {"name": "b", "from_step": 99, "weights": {"hinge/gen": 2.0}}))
    check(chosen(first, {"name": "b", "from_share": 0.1, "train": ["encoder", "decoder"]}))
    check(chosen({**first, "from_step": 0}, {"name": "b", "from_step": 500}, max_steps=None))


A = {"name": "a"}
BOTH = [A, {"name": "b", "from_step": 10}]


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ([{}], r"phases.0: a phase needs a name of its own"),
        ([A, {"name": "a", "from_step": 3}], r"phases.a: a phase needs a name of its own"),
        ([{"name": "a", "from_step": 3}], r"phases.a: the first phase begins at step 0; leave out"),
        ([A, {"name": "b"}], r"phases.b: give from_step or from_share, one of them"),
        ([A, {"name": "b", "from_step": 3, "from_share": 0.5}], r"phases.b: give from_step or"),
        ([A, {"name": "b", "from_step": 0}], r"phases.b.from_step=0: 1 or more"),
        ([A, {"name": "b", "from_share": 1.0}], r"phases.b.from_share=1.0: above 0 and below 1"),
        ([A, {"name": "b", "from_step": 100}], r"never begins, with trainer.max_steps=100"),
        ([*BOTH, {"name": "c", "from_share": 0.5}], r"some have from_step, some from_share"),
        ([*BOTH, {"name": "c", "from_step": 10}], r"each must begin after the one before it"),
        (
            [A, {"name": "b", "from_share": 0.501}, {"name": "c", "from_share": 0.509}],
            r"phases: each must begin after the one before it",  # both at step 51
        ),
        ([{"name": "a", "train": ["decodr"]}], r"phases.a.train: no part of the model 'decodr', "
         r"only encoder, posterior, decoder; did you mean 'decoder'"),
        ([{"name": "a", "train": []}], r"phases.a.train=\[\]: nothing would learn"),
        ([{"name": "a", "train": ["encoder", "encoder"]}], r"train: 'encoder' is given twice"),
        ([{"name": "a", "adversaries": ["hing"]}], r"no adversary 'hing', only hinge; did you mea"),
        ([{"name": "a", "weights": {"stft_lo": 1.0}}], r"phases.a.weights.stft_lo: no such term, "
         r"only stft_log, kl, hinge/gen; did you mean 'stft_log'"),
        ([{"name": "a", "weights": {"kl": float("inf")}}], r"a.weights.kl=inf: expected a number"),
        ([{"name": "a", "weights": {"hinge/gen": 1.0}, "adversaries": []}],
         r"phases.a.weights.hinge/gen: 'hinge' is not used in this phase"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(phases: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(chosen(*phases))


@pytest.mark.parametrize(
    ("adversaries", "message"),
    [
        ([], r"loss.adversaries=\[\]: a mapping from name to adversary"),
        ({"a/b": HINGE}, r"loss.adversaries.a/b: a name is letters, digits and underscores"),
        ({"a": HINGE["adversary"]}, r"loss.adversaries.a: a mapping with the two keys adversary a"),
        ({"a": {**HINGE, "adversary": 3}}, r"loss.adversaries.a.adversary=3: a mapping with a _t"),
        ({"a": {**HINGE, "weights": {"gen": "x"}}}, r"loss.adversaries.a.weights.gen=x: expected"),
        (
            {"a": {**HINGE, "weights": {"gen": {
                "_target_": "timbrel.losses.control.TargetRate", "target_nats_per_frame": 1.0,
            }}}},
            r"loss.adversaries.a.weights.gen: TargetRate sets the weight of a term",
        ),
    ],
)  # fmt: skip
def test_adversaries_that_are_none_are_refused(adversaries: Any, message: str) -> None:
    config = chosen()
    config.loss["adversaries"] = adversaries
    with pytest.raises(UserError, match=message):
        check(config)


def test_arguments_of_an_adversary_are_checked_like_any_targets() -> None:
    text = (
        "+loss.adversaries.hinge={adversary:{_target_:training.hinge.Hinge,chanels:1},weights:{}}"
    )
    with pytest.raises(UserError, match=r"adversary.chanels: Hinge takes no 'chanels'; did you me"):
        check_sections(compose("train", ["data=demo", text]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "phases=[{name:a,trains:[decoder]}]",
            "phases: no 'trains' in one of them, only name, from_step, from_share, weights, train, "
            "adversaries; did you mean 'train'?",
        ),
        (
            "phases=[{name:a,from_step:soon}]",
            "phases: from_step=soon: expected a whole number or null",
        ),
        ("phases=[{name:a,train:decoder}]", "phases: train: expected a list such as"),
        ("phases=[{name:a,weights:{kl:x}}]", "phases.a.weights.kl=x: expected a number"),
        ("phases=3", "phases=3: expected a list such as"),
    ],
)
def test_a_phase_with_a_mistyped_key_is_told_without_a_trace(
    text: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert train.main(["data=demo", text]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"timbrel train: {message}")
    assert "Traceback" not in said
