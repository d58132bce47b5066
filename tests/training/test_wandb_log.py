"""A real offline run, read back by W&B's own reader."""

import csv
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import wandb

from timbrel.runs.folder import read_metrics
from timbrel.stages import train
from wandb_records import Rows, history, inspected, of_kind, summary


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight steps on the built-in set."""
    from stages.training_jobs import TINY, lean, only_run

    folder = tmp_path_factory.mktemp("wandb")
    overrides = [text for text in TINY if text != "logger=none"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        lean(monkeypatch)
        chosen = ["logger.group=study", "logger.tags=[small,b]", "logger.clips=2"]
        data = ["data=demo", "data.files=12", "data.validation_fraction=0.3"]
        assert train.main([*overrides, *data, "trainer.max_steps=8", *chosen]) == 0
    return only_run(folder)


@pytest.fixture(scope="module")
def rows(run: Path) -> Rows:
    return inspected(sorted((run / "wandb").glob("offline-run-*"))[0])


def test_identity_group_tags_and_job_type(run: Path, rows: Rows) -> None:
    (begun,) = of_kind(rows, "run")
    assert begun["display_name"] == run.name
    assert begun["run_group"] == "study"
    assert begun["tags"] == ["small", "b"]
    assert begun["job_type"] == "train"
    assert begun["project"] == "timbrel"
    assert begun["run_id"] == (run / "wandb_run_id.txt").read_text()


def test_a_resumed_run_keeps_its_identity(tmp_path: Path) -> None:
    from timbrel.training.wandb_log import WandbSettings, start_run

    settings = WandbSettings("offline", "timbrel", "study", (), "run")
    identities = []
    for _ in range(2):
        run = start_run(settings, tmp_path, {})
        run.send(lambda begun: identities.append(begun.id))
        run.finish()
    assert identities[0] == identities[1] == (tmp_path / "wandb_run_id.txt").read_text()


def test_config_has_dotted_keys(rows: Rows) -> None:
    config = of_kind(rows, "run")[0]["config"]["update"]
    assert config["architecture.latent_dim"] == 4
    assert config["trainer.max_steps"] == 8
    assert config["data.kind"] == "demo"
    assert config["loss.reconstruction.window_samples"] == [512, 128]
    assert not any(isinstance(value, dict) for key, value in config.items() if key[0] != "_")


def test_curves_lie_over_the_training_step(rows: Rows) -> None:
    steps = [item["trainer/global_step"] for item in history(rows) if "train/loss" in item]
    assert steps == [1, 2, 3, 4, 5, 6, 7, 8]
    validated = {i["trainer/global_step"] for i in history(rows) if "validation/loss" in i}
    assert validated == {7, 8}


def test_directions_are_defined(rows: Rows) -> None:
    metrics = {row.get("name"): row for row in of_kind(rows, "metric")}
    assert metrics["validation/loss"]["summary"] == {"min": True, "last": True}
    assert metrics["validation/nats_per_second"]["summary"] == {"last": True}
    assert metrics["validation/loss"]["step_metric"] == "trainer/global_step"
    losses = [item["validation/loss"] for item in history(rows) if "validation/loss" in item]
    assert summary(rows)["validation/loss"] == {"min": min(losses), "last": losses[-1]}


def test_disentanglement_is_logged_with_directions_as_metrics_csv_has_it(
    run: Path, rows: Rows
) -> None:
    curves = read_metrics(run / "metrics.csv")
    metrics = {row.get("name"): row for row in of_kind(rows, "metric")}
    for name in ("mig", "sap", "modularity", "scc", "n"):
        key = f"validation/disentanglement_{name}"
        logged = {i["trainer/global_step"]: i[key] for i in history(rows) if key in i}
        assert list(logged) == [7, 8]
        assert logged == pytest.approx(dict(curves[key]))
        best = {} if name == "n" else {"max": True}
        assert metrics[key]["summary"] == {**best, "last": True}
    assert curves["validation/disentanglement_n"][0][1] >= 10


def test_held_out_clips_have_fixed_keys_and_files_that_exist(run: Path, rows: Rows) -> None:
    (folder,) = sorted((run / "wandb").glob("offline-run-*"))[:1]
    logged = [item for item in history(rows) if "held_out/1/audio.path" in item]
    assert [item["trainer/global_step"] for item in logged] == [7, 8]
    for item in logged:
        for key in (f"held_out/{n}/{kind}" for n in (1, 2) for kind in ("audio", "spectrogram")):
            kind = "audio-file" if key.endswith("audio") else "image-file"
            assert item[f"{key}._type"] == kind
            assert item[f"{key}.caption"].endswith(f", step {item['trainer/global_step']}")
            assert (folder / "files" / item[f"{key}.path"]).is_file()
        assert "held_out/3/audio.path" not in item
    originals = [item for item in history(rows) if "held_out/1/original.path" in item]
    assert [item["trainer/global_step"] for item in originals] == [7]
    name = originals[0]["held_out/1/original.caption"]
    assert logged[0]["held_out/1/audio.caption"] == f"{name}, step 7"
    assert (folder / "files" / originals[0]["held_out/1/original.path"]).is_file()


def test_the_model_is_an_artifact_without_its_parts(run: Path, rows: Rows) -> None:
    card = json.loads((run / "model" / "card.json").read_text())
    (artifact,) = of_kind(rows, "artifact")
    assert artifact["name"] == f"model-{card['model_hash'][:32]}"
    assert artifact["type"] == "model"
    about = json.loads(artifact["metadata"])
    assert about["data_hash"] == card["data_hash"]
    assert about["parent"] is None
    contents = {item["path"]: item["local_path"] for item in artifact["manifest"]["contents"]}
    assert set(contents) == {
        "config.yaml", "frontend.json", "latents.safetensors", "weights.safetensors"
    }  # fmt: skip
    assert all(path == str(run.resolve() / "model" / name) for name, path in contents.items())
    assert (run / "model" / "parts" / "prior").is_dir()  # codes of recordings stay at home
    assert summary(rows)["model/hash"] == card["model_hash"]


def test_the_test_scores_are_in_the_summary(rows: Rows) -> None:
    assert summary(rows)["test/mrstft"] > 0


def test_gates_are_in_the_summary_and_failed_ones_are_alerts(run: Path, rows: Rows) -> None:
    """All of them, those on invented sounds and front-end parity too, as gates.csv has them."""
    with (run / "evaluation" / "gates.csv").open(newline="") as file:
        gates = {row["gate"]: row for row in csv.DictReader(file)}
    assert {"kl_floor", "front_end_parity", "memorisation", "diversity"} <= gates.keys()
    logged = summary(rows)
    for name, gate in gates.items():
        assert logged[f"gate/{name}_passed"] == gate["passed"]
        assert logged.get(f"gate/{name}", math.nan) == pytest.approx(
            float(gate["value"] or "nan"), rel=1e-6, nan_ok=True
        )
    failed = {f"gate {name} failed" for name, gate in gates.items() if gate["passed"] == "no"}
    assert failed
    assert failed <= {alert["title"] for alert in of_kind(rows, "alert")}


def test_summary_rows_with_intervals_controls_and_directions(tmp_path: Path) -> None:
    from timbrel.training.wandb_log import WandbSettings, log_summary, start_run

    folder = tmp_path / "sweeps" / "2026-01-02_030405_abcd" / "3"
    folder.mkdir(parents=True)
    settings = WandbSettings("offline", "timbrel", None, (), "3")
    run = start_run(settings, folder, {"augmentation": {"transforms": {"speed": {"octaves": 0.5}}}})

    def row(system: str, metric: str, *values: float) -> dict[str, Any]:
        named = zip(("mean", "low", "high"), values, strict=True)
        return {"part": "test", "system": system, "metric": metric, **dict(named)}

    table = [
        row("model", "mrstft", 1.5, 1.25, 1.75),
        row("silence", "mrstft", 4.5, 4.0, 5.0),
        row("model", "si_sdr_db", 3.0, 2.0, float("nan")),
        row("model", "width_error", 0.25, 0.25, 0.25),
    ]
    run.send(lambda begun: log_summary(begun, table))
    run.finish()
    (found,) = (folder / "wandb").glob("offline-run-*")
    rows = inspected(found)
    values = {name: v for name, v in summary(rows).items() if name.startswith("test/")}
    assert values == {
        "test/mrstft": 1.5,
        "test/mrstft_low": 1.25,
        "test/mrstft_high": 1.75,
        "test/silence/mrstft": 4.5,
        "test/silence/mrstft_low": 4.0,
        "test/silence/mrstft_high": 5.0,
        "test/si_sdr_db": 3.0,
        "test/si_sdr_db_low": 2.0,
        **{f"test/width_error{end}": 0.25 for end in ("", "_low", "_high")},
    }
    metrics = {item.get("name"): item.get("summary") for item in of_kind(rows, "metric")}
    assert metrics["test/mrstft"] == {"min": True, "last": True}
    assert metrics["test/si_sdr_db"] == {"max": True, "last": True}
    assert metrics["test/width_error"] == {"min": True, "last": True}
    (begun,) = of_kind(rows, "run")
    assert begun["run_group"] == "2026-01-02_030405_abcd"  # the sweep's
    assert begun["config"]["update"]["augmentation.transforms.speed.octaves"] == 0.5


def test_a_model_that_was_continued_names_its_parent(tmp_path: Path) -> None:
    from run_folders import write_bundle
    from timbrel.training.wandb_model import log_model

    bundle = write_bundle(tmp_path / "model")
    card = json.loads((bundle / "card.json").read_text())
    card |= {"model_hash": "a" * 64, "parent": "b" * 64, "format_version": 2}
    (bundle / "card.json").write_text(json.dumps(card))
    run = begun(tmp_path)
    run.send(lambda opened: log_model(opened, bundle))
    run.finish()
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    rows = inspected(folder)
    (artifact,) = of_kind(rows, "artifact")
    assert artifact["name"] == f"model-{'a' * 32}"
    assert json.loads(artifact["metadata"])["parent"] == f"model-{'b' * 32}"
    assert summary(rows)["model/parent"] == "b" * 64


def test_a_cell_and_a_trial_are_known_as_such(tmp_path: Path, monkeypatch) -> None:
    from omegaconf import OmegaConf

    from timbrel.stages.watchers import sweep_of, wandb_settings
    from timbrel.sweeps.record import Record, write_record
    from timbrel.sweeps.search.note import VARIABLE, TrialNote

    logger = OmegaConf.create({"mode": "offline", "project": "p", "group": None, "tags": []})
    assert sweep_of(tmp_path) == {}
    assert wandb_settings(logger, "a", tmp_path).job_type == "train"
    write_record(tmp_path, Record({}, about={"study": "codes", "cell": "dim=8", "seed": 2}))
    assert sweep_of(tmp_path) == {"study": "codes", "cell": "dim=8"}
    cell = wandb_settings(logger, "a", tmp_path)
    assert (cell.job_type, cell.group) == ("cell", "codes")
    note = TrialNote("journal", "widths", 7, (), "validation/loss", None)
    monkeypatch.setenv(VARIABLE, note.text())
    assert sweep_of(tmp_path) == {"study": "widths", "trial": 7}
    trial = wandb_settings(logger, "a", tmp_path)
    assert (trial.job_type, trial.group) == ("trial", "widths")


def test_an_unreachable_server_costs_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    from timbrel.training import wandb_log

    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(wandb_log, "_ONLINE_TIMEOUT_S", 3)
    settings = wandb_log.WandbSettings("online", "timbrel", None, (), "run")
    run = wandb_log.start_run(settings, tmp_path, {"seed": 0})
    run.send(lambda begun: begun.log({"a": 1}))
    run.finish()
    assert list((tmp_path / "wandb").glob("offline-run-*"))
    assert "logging offline" in capsys.readouterr().err


def begun(folder: Path, name: str = "run", group: str | None = None):
    from timbrel.training.wandb_log import WandbSettings, start_run

    return start_run(WandbSettings("offline", "timbrel", group, (), name), folder, {"seed": 0})


@pytest.mark.slow
def test_a_service_that_dies_costs_one_line(tmp_path: Path) -> None:
    """In a process of its own: what W&B does when a program ends counts too."""
    program = """if True:
        import sys, time
        from pathlib import Path
        import psutil
        from timbrel.training.wandb_log import WandbSettings, start_run

        for folder in (Path("first"), Path("second")):
            folder.mkdir()
            run = start_run(WandbSettings("offline", "timbrel", None, (), "run"), folder, {})
            run.send(lambda begun: begun.log({"a": 1}))
            if folder.name == "first":
                for child in psutil.Process().children(recursive=True):
                    child.kill()
                    child.wait()
            for step in range(20):
                run.send(lambda begun: begun.log({"a": step}))
                time.sleep(0.01)
            run.finish()
        print("done")
    """
    command = [sys.executable, "-c", program]
    # Else it would use the service of this process.
    own = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}
    done = subprocess.run(
        command, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr.count("W&B fails") == 1
    assert "metrics.csv has every curve" in done.stderr
    assert "Traceback" not in done.stderr
    (second,) = (tmp_path / "second" / "wandb").glob("offline-run-*")  # the next run is not hurt
    assert [item["a"] for item in history(inspected(second))] == [1, *range(20)]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("WANDB_PROJECT", "a/b"), ("WANDB_TAGS", "x" * 65), ("WANDB_MODE", "nonsense")],
)
def test_a_setting_of_the_environment_costs_one_line(
    tmp_path: Path, monkeypatch, capsys, variable: str, value: str
) -> None:
    wandb.teardown()  # W&B reads the environment once in a process
    monkeypatch.setenv(variable, value)
    run = begun(tmp_path)
    run.send(lambda run: run.log({"a": 1}))
    run.finish()
    told = capsys.readouterr().err
    assert told.count("W&B fails") == told.count("\n") == 1


def test_what_cannot_be_logged_costs_one_line(tmp_path: Path, capsys) -> None:
    from timbrel.training.held_out_audio import HeldOutFiles
    from timbrel.training.wandb_log import _media

    run = begun(tmp_path)
    gone = tmp_path / "gone.wav"
    run.send(lambda run: run.log(_media(HeldOutFiles(1, "kick", gone, gone, gone), 1)))
    run.send(lambda run: run.log({"a": 1}))
    run.finish()
    assert capsys.readouterr().err.count("W&B fails") == 1


def test_names_that_come_of_folders_are_made_to_fit(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["timbrel", "data.root=k\udcff"])
    run = begun(tmp_path, name="録" * 80 + "\udcff", group="g" * 200)
    run.finish()
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (row,) = of_kind(inspected(folder), "run")
    assert len(row["display_name"].encode()) <= 128
    assert row["display_name"].startswith("録" * 39)
    assert len(row["run_group"]) == 128


def test_the_command_line_is_noted_without_a_password(tmp_path: Path, monkeypatch) -> None:
    storage = "hydra.sweeper.storage=postgresql://ann:{}@host/trials"
    monkeypatch.setattr(sys, "argv", ["timbrel", storage.format("marlin")])
    begun(tmp_path).finish()
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    deadline_s = time.monotonic() + 30
    while storage.format("***").encode() not in (noted := file.read_bytes()):
        assert time.monotonic() < deadline_s, noted
        time.sleep(0.1)  # W&B writes in a process of its own
    assert b"marlin" not in noted


def test_an_identity_cut_short_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "wandb_run_id.txt").touch()
    begun(tmp_path).finish()
    assert (tmp_path / "wandb_run_id.txt").read_text().strip()
    assert list((tmp_path / "wandb").glob("offline-run-*"))
