"""An optimizer, callbacks and loggers of a user's own: they join and go on, or are refused."""

import csv
import shutil
import sys
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from lightning.pytorch import loggers
from omegaconf import OmegaConf

from stages.training_jobs import TINY, lean, only_run
from timbrel.errors import UserError
from timbrel.runs.folder import read_metrics
from timbrel.stages import additions, train
from timbrel.stages.composing import compose
from timbrel.sweeps.signature import config_digest
from timbrel.training.checkpoint import LAST

MODULE = '''
import lightning.pytorch as pl
import numpy as np
import torch


class Signs(torch.optim.Optimizer):
    """Steps of one size, along the sign of a running mean of gradients."""

    def __init__(self, params, lr, memory=0.5):
        super().__init__(params, {"lr": lr, "memory": memory})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                    mean.lerp_(p.grad, 1 - group["memory"])
                    p.sub_(group["lr"] * mean.sign())


class Odd(Signs):
    def step(self, closure=None):
        super().step()
        for state in self.state.values():
            state["odd"] = np.float64(1.0)


class Witness(pl.Callback):
    """Counts steps, over resumes too, and notes what it is told of a validation."""

    def __init__(self, path="witness.txt"):
        self.path, self.count = path, 0

    def on_train_batch_end(self, trainer, module, *_):
        self.count += 1
        loss = trainer.callback_metrics.get("validation/loss", -1)
        with open(self.path, "a") as file:
            file.write(f"{module.step} {self.count} {float(loss)}\\n")

    def on_validation_end(self, trainer, module):
        raise AssertionError("never called")

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


class Unreadable(pl.Callback):
    def state_dict(self):
        return {"mean": np.float64(1.0)}


class Validation(Unreadable):
    """Of a name that a watcher has."""


def not_one(params=None, **settings):
    return torch.nn.Linear(1, 1)
'''
STEPS = ("trainer.max_steps=12", "data=demo", "data.files=6")
BASE = (*(text for text in TINY if not text.startswith("trainer.max_steps")), *STEPS)
WITNESS = "+callbacks.mine._target_=additions_of_mine.Witness"
CSV = "+logger.extra.csv._target_=lightning.pytorch.loggers.CSVLogger"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    options = {
        "rmsprop": "_target_: torch.optim.RMSprop\nalpha: 0.9\n",
        "signs": "_target_: additions_of_mine.Signs\nlr: 0.0005\n",
    }
    (folder / "conf" / "optimizer").mkdir(parents=True)
    for name, text in options.items():
        (folder / "conf" / "optimizer" / f"{name}.yaml").write_text(text)
    (folder / "additions_of_mine.py").write_text(MODULE)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    monkeypatch.delitem(sys.modules, "additions_of_mine", raising=False)
    lean(monkeypatch)
    return folder


def outcome(run: Path) -> object:
    curves = read_metrics(run / "metrics.csv")
    curves.pop("train/elapsed_s")
    return (run / "model" / "weights.safetensors").read_bytes(), curves


def cut(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    at: int,
    words: tuple[str, ...] = (),
    forgotten: tuple[str, ...] = (),
) -> Path:
    """A run of the same that stopped after step `at`, then went on without the `forgotten` keys."""
    from timbrel.training.callbacks import Checkpoints

    def stopped(self, trainer, module, *rest):
        real(self, trainer, module, *rest)
        if module.step == at:
            raise KeyboardInterrupt

    real = Checkpoints.on_train_batch_end
    shutil.move(run, run.parent.parent / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "on_train_batch_end", stopped)
        assert train.main([*BASE, *words]) == 130
    again = only_run(Path.cwd())
    config = OmegaConf.load(again / "config.yaml")
    for key in forgotten:
        section, _, leaf = key.rpartition(".")
        del (OmegaConf.select(config, section) if section else config)[leaf]
    OmegaConf.save(config, again / "config.yaml")
    assert train.main([f"run={again}", "trust=true"]) == 0
    return again


@pytest.mark.parametrize("name", ["rmsprop", "signs"])
def test_an_optimizer_of_ones_own_trains_and_goes_on(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (f"optimizer={name}", "latent=factor_vae")
    assert train.main([*BASE, *words]) == 0
    run = only_run(here)
    whole = outcome(run)
    peak = {"rmsprop": 1e-3, "signs": 5e-4}[name]  # trainer's, and its own
    rates = [rate for _, rate in read_metrics(run / "metrics.csv")["train/learning_rate"]]
    assert max(rates) == pytest.approx(peak, rel=0.1)
    (group,) = torch.load(run / LAST, weights_only=True)["optimizer_states"][0]["param_groups"]
    assert ("alpha" in group) is (name == "rmsprop")
    assert outcome(cut(run, monkeypatch, at=5, words=words)) == whole


def test_a_run_of_before_goes_on_with_adamw(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train.main([*BASE]) == 0
    run = only_run(here)
    whole = outcome(run)
    new_keys = ("optimizer", "callbacks", "logger.extra")
    assert outcome(cut(run, monkeypatch, at=5, forgotten=new_keys)) == whole


def test_a_callback_and_a_logger_join_and_go_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monitor = "+callbacks.rate._target_=lightning.pytorch.callbacks.LearningRateMonitor"
    words = (WITNESS, CSV, "+logger.extra.csv.version=0", monitor)
    plain = [*BASE, "callbacks.alarms=null", "callbacks.audio=null", "callbacks.console=null"]
    assert train.main(plain) == 0
    run = only_run(here)
    assert not (run / "alarms.csv").exists()
    assert not (run / "audio").exists()
    assert "loss" not in capsys.readouterr().err.partition("trained")[0]
    whole = outcome(run)
    again = cut(run, monkeypatch, at=5, words=words)
    assert outcome(again) == whole  # who watches changes nothing
    assert "Witness: on_validation_end: never called" in capsys.readouterr().err
    rows = [line.split() for line in (here / "witness.txt").read_text().splitlines()]
    assert [int(row[0]) for row in rows] == [int(row[1]) for row in rows] == [*range(1, 13)]
    losses = dict(read_metrics(again / "metrics.csv")["validation/loss"])
    assert float(rows[6][2]) == pytest.approx(losses[7], rel=1e-5)
    with (again / "lightning_logs" / "version_0" / "metrics.csv").open(newline="") as file:
        logged = list(csv.DictReader(file))
    assert float(logged[-1]["validation/loss"]) == pytest.approx(losses[12], rel=1e-5)
    assert any(name.startswith("lr-") for name in logged[0])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("+callbacks.mine._target_=nowhere.Mine",), "callbacks.mine._target_: nowhere.Mine: no"),
        (("+callbacks.mine._target_=additions_of_mine.not_one",), "mine: builds a Linear, not a c"),
        ((WITNESS, "+callbacks.mine.pth=x"), "callbacks.mine.pth: Witness takes no 'pth'; did you"),
        (("+callbacks.mine=3",), "callbacks.mine=3: a mapping with a _target_"),
        (("+callbacks.checkpoints=null",), "that is not set here (a run is resumed from them)"),
        (
            ("callbacks.alarms=3",),
            "callbacks.alarms=3: the name of a built-in callback: true, or null",
        ),
        (
            ("+callbacks.m._target_=lightning.pytorch.callbacks.ModelCheckpoint",),
            "callbacks.m: ModelCheckpoint cannot join a training here: checkpoints are timbrel's",
        ),
        (("+callbacks.v._target_=additions_of_mine.Validation",), "two keep a state called 'Valid"),
        (("+callbacks.u._target_=additions_of_mine.Unreadable",), "could not be read again: numpy"),
        (
            ("+callbacks.rate._target_=lightning.pytorch.callbacks.LearningRateMonitor",),
            "callbacks, logger.extra: Lightning refuses them",
        ),
        (("+logger.extra.x._target_=additions_of_mine.Witness",), "extra.x: builds a Witness, not"),
        (("+logger.extra.x._target_=additions_of_mine.not_one",), "extra.x: builds a Linear, not"),
        ((CSV, "+logger.extra.csv.nam=x"), "logger.extra.csv.nam: CSVLogger takes no 'nam'; did"),
        (
            ("+logger.extra.c._target_=lightning.pytorch.loggers.CometLogger",),
            "logger.extra.c: CometLogger needs comet_ml, which is not installed: pip install",
        ),
        (("optimizer._target_=torch.optim.AdamX",), "optimizer._target_: torch.optim.AdamX: no"),
        (("+optimizer.beta=1",), "optimizer.beta: AdamW takes no 'beta'"),
        (("optimizer.lr=-1",), "optimizer.lr=-1: above 0"),
        (("optimizer.betas=[2,2]",), "optimizer: Invalid beta parameter at index 0: 2"),
        (
            ("optimizer=signs", "optimizer._target_=torch.optim.LBFGS"),
            "LBFGS fails at step(closure)",
        ),
        (("optimizer=signs", "optimizer._target_=torch.optim.Muon"), "optimizer: Muon only supp"),
        (("optimizer=signs", "optimizer._target_=torch.nn.Flatten"), "Flatten takes no 'lr'"),
        (
            ("optimizer=signs", "optimizer._target_=additions_of_mine.not_one"),
            "optimizer: builds a Linear, not an optimizer",
        ),
        (("optimizer=signs", "optimizer._target_=additions_of_mine.Odd"), "a checkpoint: numpy"),
    ],
)
def test_what_cannot_join_is_one_sentence(words: tuple[str, ...], told: str, capsys) -> None:
    assert train.main([*BASE, *words]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


def test_another_optimizer_is_another_run_and_a_logger_is_not() -> None:
    def digest(*words: str) -> str:
        config = compose("train", [*BASE, *words])
        return config_digest(OmegaConf.to_container(config, resolve=True))

    first = digest()
    assert digest("optimizer=rmsprop") != first
    assert digest("optimizer.betas=[0.8,0.9]") != first
    assert digest(WITNESS) != first
    assert digest(CSV) == first
    assert digest("callbacks.alarms=null") == first


def test_a_key_of_no_section_is_still_refused() -> None:
    with pytest.raises(UserError, match=r"logger\.extr\.csv: no such key"):
        compose("train", [*BASE, "+logger.extr.csv=1"])


@pytest.mark.parametrize("kind", sorted(set(loggers.__all__) - {"Logger", "CSVLogger"}))
def test_a_loggers_missing_package_is_told_before_recordings_are_read(kind: str) -> None:
    words = [f"+logger.extra.x._target_=lightning.pytorch.loggers.{kind}"]
    told = nullcontext()
    if not any(find_spec(name) for name in additions._PACKAGES[kind]):
        told = pytest.raises(UserError, match=rf"logger\.extra\.x: {kind} needs \w+, which is not")
        with pytest.raises((ModuleNotFoundError, TypeError)):  # built, the class refuses as well
            getattr(loggers, kind)(save_dir=".")
    with told:
        additions.additions(compose("train", [*BASE, *words]))


def test_a_callback_is_built_once(here: Path) -> None:
    init = "    def __init__(self):\n        open('built', 'a').write('.')"
    text = f"from lightning.pytorch import Callback\n\n\nclass Counted(Callback):\n{init}\n"
    (here / "counting.py").write_text(text)
    short = [text for text in BASE if not text.startswith("trainer.max_steps")]
    words = ("trainer.max_steps=1", "+callbacks.mine._target_=counting.Counted")
    assert train.main([*short, *words]) == 0
    assert (here / "built").read_text() == "."
