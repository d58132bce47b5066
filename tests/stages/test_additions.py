"""An optimizer, callbacks and loggers of a user's own: they join and go on, or are refused."""

import csv
import io
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
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
from timbrel.training.callbacks import Checkpoints
from timbrel.training.checkpoint import LAST, resume_step

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
        with open("built", "a") as file:
            file.write(".")

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
CUT = 3
STEPS = {
    "trainer.max_steps": 6,
    "trainer.warmup_steps": 2,
    "trainer.validate_every_steps": 4,
    "trainer.checkpoint_every_steps": CUT,
    "data": "demo",
    "data.files": 6,
}
BASE = (
    *(text for text in TINY if text.partition("=")[0] not in STEPS),
    *(f"{key}={value}" for key, value in STEPS.items()),
)
WITNESS = "+callbacks.mine._target_=additions_of_mine.Witness"
CSV = "+logger.extra.csv._target_=lightning.pytorch.loggers.CSVLogger"


@dataclass(frozen=True)
class Trained:
    """A run folder, a copy of it as a kill after step `CUT` leaves it, and what was told."""

    run: Path
    cut: Path
    told: str

    def goes_on(self, folder: Path, *, forgotten: tuple[str, ...] = ()) -> Path:
        """The copy, moved to `folder` and trained to its end, without the `forgotten` keys."""
        again = shutil.copytree(self.cut, folder)
        assert resume_step(again) == CUT
        config = OmegaConf.load(again / "config.yaml")
        for key in forgotten:
            section, _, leaf = key.rpartition(".")
            del (OmegaConf.select(config, section) if section else config)[leaf]
        OmegaConf.save(config, again / "config.yaml")
        assert train.main([f"run={again}", "trust=true"]) == 0
        return again


def trained(*words: str) -> Trained:
    """A whole training in the working folder."""
    here = Path.cwd()
    told = io.StringIO()
    with (
        redirect_stderr(told),
        after_the_cut(lambda: shutil.copytree(only_run(here), here / "cut")),
    ):
        assert train.main([*BASE, *words]) == 0
    return Trained(only_run(here), here / "cut", told.getvalue())


@contextmanager
def after_the_cut(act: Callable[[], object]) -> Iterator[None]:
    """Inside, a training calls `act` once its checkpoint of step `CUT` is written."""

    def watched(self, trainer, module, *rest):
        real(self, trainer, module, *rest)
        if module.step == CUT:
            act()

    real = Checkpoints.on_train_batch_end
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Checkpoints, "on_train_batch_end", watched)
        yield


def interrupt() -> None:
    raise KeyboardInterrupt


def outcome(run: Path) -> object:
    curves = read_metrics(run / "metrics.csv")
    curves.pop("train/elapsed_s")
    return (run / "model" / "weights.safetensors").read_bytes(), curves


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training without the built-in callbacks that watch one."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(tmp_path_factory.mktemp("plain"))
        lean(monkeypatch)
        return trained(*(f"callbacks.{name}=null" for name in ("alarms", "audio", "console")))


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


@pytest.mark.parametrize("name", [pytest.param("rmsprop", marks=pytest.mark.slow), "signs"])
def test_an_optimizer_of_ones_own_trains_and_goes_on(name: str, here: Path) -> None:
    whole = trained(f"optimizer={name}", "latent=factor_vae")
    peak = {"rmsprop": 1e-3, "signs": 5e-4}[name]  # trainer's, and its own
    rates = [rate for _, rate in read_metrics(whole.run / "metrics.csv")["train/learning_rate"]]
    assert max(rates) == pytest.approx(peak, rel=0.1)
    state = torch.load(whole.run / LAST, weights_only=True)
    (group,) = state["optimizer_states"][0]["param_groups"]
    assert ("alpha" in group) is (name == "rmsprop")
    assert outcome(whole.goes_on(here / "again")) == outcome(whole.run)


def test_a_run_of_before_goes_on_with_adamw(plain: Trained, here: Path) -> None:
    new_keys = ("optimizer", "callbacks", "logger.extra")
    assert outcome(plain.goes_on(here / "again", forgotten=new_keys)) == outcome(plain.run)


def test_a_callback_and_a_logger_join_and_go_on(plain: Trained, here: Path, capsys) -> None:
    assert not (plain.run / "alarms.csv").exists()
    assert not (plain.run / "audio").exists()
    assert "loss" not in plain.told.partition("trained")[0]
    monitor = "+callbacks.rate._target_=lightning.pytorch.callbacks.LearningRateMonitor"
    words = (WITNESS, CSV, "+logger.extra.csv.version=0", monitor)
    with after_the_cut(interrupt):
        assert train.main([*BASE, *words]) == 130
    again = only_run(here)
    assert train.main([f"run={again}", "trust=true"]) == 0
    assert outcome(again) == outcome(plain.run)  # who watches changes nothing
    assert (here / "built").read_text() == ".."  # once by either command
    assert "Witness: on_validation_end: never called" in capsys.readouterr().err
    rows = [line.split() for line in (here / "witness.txt").read_text().splitlines()]
    assert [int(row[0]) for row in rows] == [int(row[1]) for row in rows] == [*range(1, 7)]
    losses = dict(read_metrics(again / "metrics.csv")["validation/loss"])
    assert float(rows[3][2]) == pytest.approx(losses[4], rel=1e-5)
    with (again / "lightning_logs" / "version_0" / "metrics.csv").open(newline="") as file:
        logged = list(csv.DictReader(file))
    assert float(logged[-1]["validation/loss"]) == pytest.approx(losses[6], rel=1e-5)
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
