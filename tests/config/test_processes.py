"""What several processes of one training cannot share is told before anything is read."""

from pathlib import Path
from typing import Any

import pytest
import torch

from timbrel.config.checks import check
from timbrel.config.choices import Accelerator, DataKind
from timbrel.config.schema import (
    DataConfig,
    DeviceConfig,
    EvaluateConfig,
    TrainConfig,
    TrainerConfig,
)
from timbrel.errors import UserError
from timbrel.randomness import WHOLE, Share
from timbrel.stages.composing import compose
from timbrel.training.compute import resolve_compute

HINGE = {"adversary": {"_target_": "training.hinge.Hinge", "channels": 1}, "weights": {"gen": 1.0}}


def shared(
    processes: int, *, batch_size: int = 8, accelerator: str = "cpu", **loss: Any
) -> TrainConfig:
    return TrainConfig(
        data=DataConfig(kind=DataKind.demo, root=None, files=6),
        trainer=TrainerConfig(max_steps=1, batch_size=batch_size),
        device=DeviceConfig(accelerator=Accelerator(accelerator), processes=processes),
        loss=loss,
    )


def test_equal_shares_pass() -> None:
    check(shared(2))
    check(shared(3, batch_size=9, accelerator="cuda"))
    check(shared(1, batch_size=7, accelerator="auto", adversaries={"hinge": HINGE}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            shared(3),
            r"device\.processes=3: trainer\.batch_size=8 cannot be shared equally; take "
            r"trainer\.batch_size=9",
        ),
        (shared(16), r"device\.processes=16: trainer\.batch_size=8 .* take trainer\.batch_size=16"),
        (shared(2, accelerator="auto"), r"accelerator=auto one process trains; take device=ddp_"),
        (shared(2, accelerator="mps"), r"accelerator=mps one process trains; take device=ddp_"),
        (
            shared(2, adversaries={"hinge": HINGE}),
            r"device\.processes=2: the networks of loss\.adversaries judge whole batches",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused(config: TrainConfig, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(config)


def test_other_stages_have_one_process(tmp_path: Path) -> None:
    config = EvaluateConfig(run=str(tmp_path), device=DeviceConfig(processes=2))
    with pytest.raises(UserError, match=r"device\.processes=2: only timbrel train takes several"):
        check(config)


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_an_option_names_the_kind_of_device(kind: str) -> None:
    device = compose("train", ["data=demo", f"device=ddp_{kind}"]).device
    assert (device.accelerator, device.processes) == (Accelerator(kind), 2)


def resolved(share: Share, **changes: Any) -> Any:
    settings = {"accelerator": "cpu", "precision": "fp32", "workers": None, "threads": None}
    return resolve_compute(**{**settings, "pin_memory": None, "tf32": True, **changes}, share=share)


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    monkeypatch.setattr("timbrel.training.compute.available_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert resolved(Share(1, 3)).share == Share(1, 3)
    resolved(WHOLE)
    resolved(Share(0, 3), threads=5)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    resolved(Share(0, 3))
    assert taken == [2, 5]


def test_every_process_has_a_cuda_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolved(Share(1, 2), accelerator="cuda").torch_device == torch.device("cuda", 1)
    assert resolved(WHOLE, accelerator="cuda").torch_device == torch.device("cuda")
    with pytest.raises(UserError, match=r"processes=4: each needs a cuda device .* finds 2; take"):
        resolved(Share(0, 4), accelerator="cuda")
