"""Trainings small enough for a test, as real processes that start warm and can be killed."""

import multiprocessing
import os
import sys
import time
from functools import partial
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from PIL import Image

from timbrel.analysis.flow_fit import FlowSettings
from timbrel.config.schema import EvaluateSection
from timbrel.data.scan import catalog, probing
from timbrel.generation.prior.flow import Size
from timbrel.stages import evaluation_run, prior_run, training_run
from timbrel.training import held_out_audio
from timbrel.training.in_use import only_training

TINY = (
    "architecture=spectral_small",
    "architecture.encoder.width=16",
    "architecture.encoder.window_samples=512",
    "architecture.encoder.hop_samples=128",
    "architecture.latent_dim=4",
    "loss.reconstruction.window_samples=[512,128]",
    "data.chunk_samples=8192",
    "trainer.batch_size=2",
    "trainer.max_time=null",
    "trainer.max_steps=40",
    "trainer.warmup_steps=4",
    "trainer.validate_every_steps=7",
    "trainer.checkpoint_every_steps=5",
    "trainer.log_every_steps=1",
    "prior=gaussian",  # a bank encodes every recording seven times; test_prior.py has one
    "logger=none",
    "logger.every_validations=1",
    "device=cpu",
    "device.threads=1",
)
FEW = ("evaluate.generated_clips=4", "evaluate.bootstrap_draws=100")
FAST = ("device=cpu", "device.threads=1", *FEW)
"""For `timbrel evaluate` where a test reads neither generated sounds nor intervals."""


def lean(monkeypatch: pytest.MonkeyPatch, *, page: bool = False) -> None:
    """Leave out what a test of training does not look at, which takes half of a tiny one's time.

    Files are measured in this process (a worker takes seconds to start; tests/data proves them); a
    flow is fitted in four steps.
    The report, its pictures and the usual number of generated sounds are made only where `page`
    asks for it.
    """

    def measured(paths, *, workers=None, progress=None):
        return probing.measure_all(paths, workers=0, progress=progress)

    monkeypatch.setattr(catalog, "measure_all", measured)
    brief_flow(monkeypatch)
    if not page:
        few = partial(EvaluateSection, generated_clips=4, bootstrap_draws=100)
        monkeypatch.setattr(training_run, "EvaluateSection", few)
        monkeypatch.setattr(held_out_audio, "save_spectrogram_pair", _dot)
        monkeypatch.setattr(evaluation_run, "page_of", lambda *_: None)
        monkeypatch.setattr(training_run, "page_of", lambda *_: None)


def brief_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have flows fitted in four steps."""
    brief = partial(FlowSettings, size=Size(width=16, blocks=1), steps=4, look_every_steps=2)
    monkeypatch.setattr(prior_run, "FlowSettings", brief)


def _dot(path: Path, *_: object, **__: object) -> None:
    Image.new("L", (1, 1)).save(path)


def warm_context() -> ForkServerContext:
    """A fork server with timbrel and torch imported: children start in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["timbrel.stages.training_run"])
    return context


def start(
    context: ForkServerContext, folder: Path, *overrides: str, log: Path | None = None
) -> BaseProcess:
    """`timbrel train` with `overrides`, in `folder`, as its own process; `log` gets its stderr.

    It is `lean`.
    """
    process = context.Process(target=_train, args=(str(folder), list(overrides), log))
    process.start()
    return process


def _train(folder: str, overrides: list[str], log: Path | None) -> None:
    os.chdir(folder)
    if log is not None:
        sys.stderr = log.open("w")
    from timbrel.stages.train import main

    lean(pytest.MonkeyPatch())
    raise SystemExit(main(overrides))


def hold(folder: str, held: Event) -> None:
    """Hold the run in `folder`, as a training does; for a process of its own, to be killed."""
    with only_training(Path(folder)):
        held.set()
        time.sleep(600)


def only_run(folder: Path) -> Path:
    """The one run folder under `folder/outputs`."""
    (run,) = (folder / "outputs").iterdir()
    return run
