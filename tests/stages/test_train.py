"""`timbrel train` from the outside: what it refuses, when it stops, which files it writes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

import timbrel
from signals import noise
from stages.training_jobs import FAST, TINY, lean, only_run
from timbrel.analysis.generation_gates import GATES as GENERATION_GATES
from timbrel.analysis.held_gates import GATES as HELD_GATES
from timbrel.runs.folder import read_metrics
from timbrel.stages import evaluate, train


@pytest.fixture
def run_train(recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Train on six tones in an empty folder: `(status, run folder or None)`."""
    monkeypatch.chdir(tmp_path)
    lean(monkeypatch)

    def run(*overrides: str) -> tuple[int, Path | None]:
        root = [] if any("data.root" in text for text in overrides) else [f"data.root={recordings}"]
        keys = {text.split("=")[0] for text in overrides}
        tiny = [text for text in TINY if text.split("=")[0] not in keys]
        limit = [] if "trainer.max_steps" in keys else ["trainer.max_steps=3"]
        tiny = [text for text in tiny if not text.startswith("trainer.max_steps")]
        status = train.main([*root, *tiny, *limit, *overrides])
        return status, only_run(tmp_path) if (tmp_path / "outputs").exists() else None

    return run


@pytest.mark.parametrize(
    "overrides",
    [
        ("data.channels=2", "data.short=pad", "augmentation=none"),
        ("data.short=loop", "data.folds=3", "data.fold=1", "architecture.clip_dim=4"),
        (
            "architecture.latent_dim=0",
            "architecture.clip_dim=8",
            "trainer.gradient_clip_norm=null",
            "trainer.ema_decay=null",
            "trainer.validation_chunks=1",
        ),
    ],
)
def test_variants_train_and_render(run_train, overrides: tuple[str, ...]) -> None:
    status, run = run_train(*overrides)
    assert status == 0
    sound = timbrel.load(run).render(source="prior", seconds=0.3)
    assert sound.samples.shape[1] == 14_400
    assert np.isfinite(sound.samples).all()


def test_dry_run_tells_the_cost_and_writes_nothing(run_train, capsys) -> None:
    status, run = run_train("dry_run=true")
    assert (status, run) == (0, None)
    text = capsys.readouterr().out
    for row in ("parameters", "receptive field", "1,500 per second", "memory", "step", "3 steps"):
        assert row in text


def test_an_expansion_is_told_rendered_once_and_trained_on(run_train, tmp_path, capsys) -> None:
    strong = (
        "augmentation=strong",
        "augmentation.expansion=2",
        f"data.cache_dir={tmp_path / 'cache'}",
    )
    status, run = run_train(*strong)
    assert status == 0
    said = capsys.readouterr().err
    assert "8 variants to render ahead" in said
    assert "rendered 8 variants in" in said
    first = read_metrics(run / "metrics.csv")["train/loss"]
    (tmp_path / "outputs").rename(tmp_path / "before")
    assert run_train(*strong, "dry_run=true") == (0, None)
    status, run = run_train(*strong)
    assert "to render ahead" not in capsys.readouterr().err
    assert read_metrics(run / "metrics.csv")["train/loss"] == first


def test_chunk_below_the_receptive_field_is_refused_with_the_numbers(run_train, capsys) -> None:
    status, run = run_train("data.chunk_samples=2048")
    assert (status, run) == (2, None)
    message = capsys.readouterr().err
    assert "2048" in message
    assert "receptive field of 5760" in message


def test_divergence_stops_and_names_the_files(run_train, capsys) -> None:
    status, run = run_train("trainer.learning_rate=1e30", "trainer.max_steps=20")
    assert status == 2
    record = json.loads((run / "diverged.json").read_text())
    assert len(record["batch"]) == 2
    assert all(example["file"].startswith("tone_") for example in record["batch"])
    assert "not finite" in capsys.readouterr().err


def test_early_stop_counts_validations_without_gain(run_train) -> None:
    status, run = run_train(
        "trainer.learning_rate=1e-30",
        "trainer.validate_every_steps=1",
        "trainer.early_stop_patience=2",
        "trainer.max_steps=30",
    )
    assert status == 0
    losses = read_metrics(run / "metrics.csv")["validation/loss"]
    assert [step for step, _ in losses] == [1, 2, 3]


def test_gates_have_the_runs_limits_at_the_end_and_when_evaluated_again(run_train) -> None:
    """One null switches its gate off; the command line may set another for this evaluation."""
    chosen = ["limits.kl_floor_nats=1e6", "limits.active_units=null", "limits.decode_change=7"]
    chosen += ["limits.generalisation_gap=0.5", "limits.parity=1e-5", "limits.memorisation=null"]
    chosen += ["limits.coverage=0.2", "limits.diversity_deviation=null", "limits.interpolation=0.4"]
    chosen += ["limits.pitch=0.5", "limits.level_error=0.5", "limits.brightness_error=0.5"]
    chosen += ["limits.noisiness_error=0.5", "limits.attack_error=null", "limits.decay_error=0.2"]
    chosen += [
        "limits.frame_rate_lines_db=6",
        "limits.ringing_db=9",
        "limits.time_structure=9",
        "limits.endings=null",
    ]
    chosen += ["limits.two_sample_auc=0.7", "limits.rebound=0.3", "limits.coherence=2"]
    chosen += ["limits.clip_change=0.5"]
    status, run = run_train(*chosen)
    assert status == 0
    with (run / "evaluation" / "gates.csv").open() as file:
        gates = {row["gate"]: row for row in csv.DictReader(file)}
    assert (float(gates["kl_floor"]["limit"]), gates["kl_floor"]["passed"]) == (1e6, "no")
    assert gates["active_units"]["limit"] == ""
    assert (gates["clip_listens"]["limit"], gates["clip_listens"]["passed"]) == ("0.5", "unknown")
    assert "off (limits.active_units=null)" in gates["active_units"]["meaning"]
    again = ("evaluate.parts=[test]", "limits.decode_change=8")
    assert evaluate.main([f"run={run}", *FAST, *again]) == 0
    with (run / "evaluation" / "gates.csv").open() as file:
        again = {row["gate"]: row for row in csv.DictReader(file)}
    assert (gates["decoder_listens"]["limit"], again["decoder_listens"]["limit"]) == ("7", "8")
    del gates["decoder_listens"], again["decoder_listens"]
    # The range that errors are compared with is that of all recordings that were scored.
    counted = {"better_than_silence", "better_than_noise", *GENERATION_GATES, *HELD_GATES}
    for name in set(gates) - counted:
        assert {**gates[name], "value": ""} == {**again[name], "value": ""}, name


def test_a_resumed_run_refuses_other_settings(run_train, capsys) -> None:
    _, run = run_train()
    assert train.main([f"run={run}", "trainer.max_steps=9"]) == 2
    assert "trainer.max_steps" in capsys.readouterr().err


def test_one_file_trains_by_time_or_is_refused_with_the_reason(
    run_train, tmp_path: Path, capsys
) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    soundfile.write(folder / "long.wav", noise(6.0), 48_000)
    status, run = run_train(f"data.root={folder}")
    assert status == 0
    assert "pieces of each are held out" in capsys.readouterr().err
    assert json.loads((run / "run.json").read_text())["data_notes"]
    soundfile.write(folder / "long.wav", noise(0.1), 48_000)
    assert train.main([f"data.root={folder}", *TINY]) == 2
    message = capsys.readouterr().err
    assert "too short to hold out pieces" in message
    assert "4800 samples" in message


def test_a_resumed_run_refuses_other_recordings(run_train, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for i in range(6):
        soundfile.write(folder / f"{i}.wav", noise(0.5, seed=i), 48_000)
    status, run = run_train(f"data.root={folder}")
    assert status == 0
    (folder / "0.wav").unlink()
    assert train.main([f"run={run}"]) == 2
    assert "have changed since it began" in capsys.readouterr().err


def test_silent_files_train_when_asked_to(run_train, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for i in range(6):
        soundfile.write(folder / f"{i}.wav", noise(0.5, seed=i), 48_000)
    soundfile.write(folder / "silent.wav", np.zeros(24_000), 48_000)
    run_train(f"data.root={folder}", "dry_run=true")
    assert "6 recordings" in capsys.readouterr().err
    run_train(f"data.root={folder}", "dry_run=true", "data.include_silent=true")
    assert "7 recordings" in capsys.readouterr().err


@pytest.mark.slow
def test_five_hundred_files_train(run_train) -> None:
    status, run = run_train("data.root=null", "data=demo", "data.files=500")
    assert status == 0
    assert (run / "model" / "card.json").exists()


@pytest.fixture
def faint(tmp_path: Path) -> Path:
    """Six noises that die away, each at a level of its own, the softest at -90 dBFS."""
    folder = tmp_path / "faint"
    folder.mkdir()
    for i in range(6):
        hit = noise(0.4, seed=i) * np.linspace(1, 0, 19_200, dtype=np.float32)
        level = np.float32(10 ** (-(15 * i + 15) / 20) / np.abs(hit).max())
        soundfile.write(folder / f"hit_{i}.wav", level * hit, 48_000, subtype="FLOAT")
    return folder


@pytest.mark.parametrize("normalise", [pytest.param("peak", marks=pytest.mark.slow), "loudness"])
def test_every_file_is_heard_at_one_level_and_the_model_keeps_that(
    run_train, faint: Path, tmp_path: Path, normalise: str
) -> None:
    status, run = run_train(f"data.root={faint}", f"data.normalise={normalise}")
    assert status == 0
    frontend = json.loads((run / "model" / "frontend.json").read_text())
    assert frontend["normalisation"] == normalise
    # What scores it is the recording as it was heard.
    for path in (run / "evaluation/audio").glob("*/reference/*.wav"):
        assert 0.1 < np.abs(soundfile.read(path)[0]).max() < 1
    with (run / "evaluation/gates.csv").open(newline="") as stream:
        [parity] = [row for row in csv.DictReader(stream) if row["gate"] == "front_end_parity"]
    assert float(parity["value"]) == 0
    instrument = timbrel.load(run)
    loud, soft = (instrument.render(source=faint / f"hit_{i}.wav").samples for i in (0, 5))
    # Other noises, one level: 75 dB apart they were, and neither goes back to its own.
    assert np.square(soft).mean() > 0.1 * np.square(loud).mean()
    assert evaluate.main([f"run={run}", *FAST]) == 0
    assert train.main([f"run={run}"]) == 0


def test_runs_of_before_there_was_a_level_to_choose_go_on(run_train, capsys) -> None:
    status, run = run_train()
    assert status == 0
    config = OmegaConf.load(run / "config.yaml")
    del config.data["normalise"]
    OmegaConf.save(config, run / "config.yaml")
    assert json.loads((run / "model" / "frontend.json").read_text())["normalisation"] == "none"
    assert evaluate.main([f"run={run}", *FAST]) == 0
    assert train.main([f"run={run}"]) == 0
    assert timbrel.load(run).render(seconds=0.1).samples.size


def test_an_unknown_level_is_refused_with_the_choice(run_train, capsys) -> None:
    assert run_train("data.normalise=peek") == (2, None)
    said = capsys.readouterr().err
    assert "data.normalise" in said
    assert "peak" in said
