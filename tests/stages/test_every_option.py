"""Every YAML under conf/ trains, exports or is read once."""

from itertools import zip_longest
from pathlib import Path

import pytest
import soundfile
import torch

from stages.training_jobs import FEW, TINY, lean, only_run
from timbrel.stages import evaluate, generate, inspect, train

CONF = Path(__file__).resolve().parents[2] / "conf"
DEMO = ("data=demo", "data.files=6")
NEEDED = {
    "augmentation=counterfactual": "architecture=harmonic_small",
    "architecture=ddsp": "architecture.decoder.least_voiced=0",
    "architecture=ddsp_small": "architecture.decoder.least_voiced=0",
    "architecture=ddsp_hybrid": "architecture.decoder.least_voiced=0",
}
OWN_KEYS = {"architecture": "architecture.", "loss": "loss.", "trainer": "trainer."}


def options(*groups: str) -> list[str]:
    return [
        f"{group}={path.stem}" for group in groups for path in sorted((CONF / group).glob("*.yaml"))
    ]


ALONE = options("data")
HERE = ["device=auto", "device=cpu"]
# One option of each in a training: every latent trains once, and the others, fewer, beside them.
TOGETHER = [
    tuple(filter(None, row))
    for row in zip_longest(
        options("latent"),
        [*options("augmentation"), *options("architecture")],
        [*options("loss"), *options("optimizer", "callbacks", "trainer", "prior"), *HERE],
        options("logger"),
    )
]
TRAINED = [*((option,) for option in ALONE), *TOGETHER]
DEVICES = [option for option in options("device") if option not in HERE]
EXPERIMENTS = options("experiment")
EXPORTS = options("export")


def test_no_group_is_forgotten() -> None:
    trained = [text for row in TRAINED for text in row]
    assert len(trained) == len(set(trained))
    covered = {text.split("=")[0] for text in trained + DEVICES + EXPERIMENTS + EXPORTS}
    searched = {"hydra", "sweep"}  # tests/test_optuna_sweeper.py
    assert {path.name for path in CONF.iterdir() if path.is_dir()} - searched == covered
    roots = {"train", "inspect", "evaluate", "prior", "analyze", "generate"}
    assert {path.stem for path in CONF.glob("*.yaml")} == roots


def two_steps(*overrides: str) -> list[str]:
    """A tiny training with `overrides` last; an option's own group keeps the option's values."""
    chosen = {text.split("=")[0] for text in overrides}
    own = tuple(OWN_KEYS[group] for group in chosen & OWN_KEYS.keys())
    tiny = [t for t in TINY if t.split("=")[0] not in chosen and not (own and t.startswith(own))]
    if "loss" not in chosen and "architecture" in chosen:
        tiny = [t for t in tiny if not t.startswith("loss.")]
    for option in NEEDED.keys() & set(overrides):
        tiny = [NEEDED[option], *(t for t in tiny if not t.startswith("architecture="))]
    limits = ["trainer.max_steps=2", "trainer.batch_size=2", "trainer.max_time=null"]
    if "architecture" in chosen:  # as it is, and so with room for its receptive field
        limits.append("data.chunk_samples=32768")
        tiny = [t for t in tiny if not t.startswith("data.chunk_samples")]
    return [*DEMO, *tiny, *limits, *overrides]


@pytest.mark.parametrize("chosen", TRAINED, ids=",".join)
def test_option_trains(
    chosen: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recordings: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = chosen == ("data=demo",)  # it does all that a user's training does
    if not whole:
        lean(monkeypatch)
    overrides = two_steps(*chosen)
    if chosen == ("data=folder",):
        overrides = [t for t in overrides if t not in DEMO] + [f"data.root={recordings}"]
    assert train.main(overrides) == 0
    run = only_run(tmp_path)
    assert (run / "model" / "weights.safetensors").stat().st_size > 0
    assert "train/loss" in (run / "metrics.csv").read_text()
    assert (run / "report.html").is_file() == whole


SLOW_DEVICES = [
    pytest.param(option, marks=pytest.mark.slow) if option == "device=ddp_cpu" else option
    for option in DEVICES
]


@pytest.mark.parametrize("option", SLOW_DEVICES)
def test_device_trains_or_is_refused(
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    lean(monkeypatch)
    name = option.split("=")[1].removeprefix("ddp_")
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }[name]
    if option == "device=ddp_cuda":
        there = torch.cuda.device_count() >= 2
    status = train.main(two_steps(option))
    if there:
        assert status == 0
    else:
        assert status == 2
        assert name in capsys.readouterr().err


@pytest.mark.parametrize("option", EXPERIMENTS)
def test_experiment_is_a_short_delta_that_trains(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lean(monkeypatch)
    path = CONF / "experiment" / f"{option.split('=')[1]}.yaml"
    assert len(path.read_text().splitlines()) < 25
    assert train.main(two_steps(option)) == 0
    only_run(tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        lean(monkeypatch)
        assert train.main(two_steps()) == 0
    return only_run(folder)


@pytest.mark.parametrize("option", EXPORTS)
def test_export_writes_its_format(option: str, model: Path, tmp_path: Path) -> None:
    name = option.split("=")[1]
    output = tmp_path / f"sound.{name}"
    assert generate.main([f"model={model}", f"output={output}", "seconds=0.5", option]) == 0
    info = soundfile.info(output)
    assert (info.samplerate, info.subtype, info.frames) == (48_000, "PCM_24", 24_000)
    assert info.format in ("WAV", "WAVEX", "FLAC")


def test_evaluate_chooses_a_device(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lean(monkeypatch)
    assert evaluate.main([f"run={model}", "device=auto", *FEW]) == 0


@pytest.mark.parametrize("option", options("data"))
def test_inspect_reads_it(option: str, recordings: Path, tmp_path: Path) -> None:
    root = [f"data.root={recordings}"] if option == "data=folder" else ["data.files=6"]
    table = tmp_path / "table.csv"
    assert inspect.main([option, *root, f"output={table}", "report=null"]) == 0
    assert len(table.read_text().splitlines()) > 6
