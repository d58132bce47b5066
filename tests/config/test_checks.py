"""The schema, its durations and the checks across fields."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from timbrel.config import checks as config_checks
from timbrel.config.choices import Accelerator, DataKind, ExportFormat, Precision, Source
from timbrel.config.generate_schema import GenerateConfig
from timbrel.config.generate_sections import PresetConfig
from timbrel.config.limits import DEFAULTS, LimitsConfig
from timbrel.config.options import conf_folder, options
from timbrel.config.schema import (
    DataConfig,
    EvaluateConfig,
    EvaluateSection,
    InspectConfig,
    TrainConfig,
)
from timbrel.config.stage_schemas import STAGES
from timbrel.errors import UserError
from timbrel.words import duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("8m", 480.0),
        ("8min", 480.0),
        ("00:08:00", 480.0),
        ("08:00", 480.0),
        ("480", 480.0),
        ("480s", 480.0),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("1.5h", 5400.0),
        ("0:00:90", 90.0),
        ("2h3m4.5s", 7384.5),
    ],
)
def test_durations(text, seconds):
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "8x", "m", "1:2:3:4", "-5m", "0", "0s", "5m3h", "eight"])
def test_what_is_no_duration(text):
    with pytest.raises(UserError):
        duration_s(text)


def demo(**changes: Any) -> DataConfig:
    return DataConfig(
        **{"kind": DataKind.demo, "name": "demo", "root": None, "files": 4, **changes}
    )


def good() -> TrainConfig:
    config = TrainConfig(data=demo())
    config.trainer.max_time = "8m"
    return config


def test_defaults_pass_every_check(tmp_path):
    config_checks.check(good())
    config_checks.check(InspectConfig(data=DataConfig(root=str(tmp_path))))
    config_checks.check(GenerateConfig(model=str(tmp_path), seconds=4.0))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", -1, "seed=-1: 0 or more"),
        ("data.root", "/x", "the demo set has no folder"),
        ("data.files", 0, "data.files=0: between 1 and 100000"),
        ("data.files", None, "data.files=null: 1 or more"),
        ("data.split_file", "/no/such.json", "data.split_file=/no/such.json: no such file"),
        ("data.split_theme", "drums", "needs data.split_file"),
        ("data.sample_rate_hz", 48, "between 8000 and 192000"),
        ("data.channels", 3, "data.channels=3: one of 1, 2"),
        ("data.chunk_samples", 100, "1024 or more"),
        ("data.validation_fraction", -0.1, "from 0 to below 1"),
        ("data.test_fraction", 0.95, "no file is left to train"),
        ("data.folds", 2, "data.folds=2: 3 or more, or null"),
        ("data.fold", 1, "needs data.folds"),
        ("trainer.batch_size", 0, "trainer.batch_size=0: 1 or more"),
        ("trainer.max_time", None, "training never ends"),
        ("trainer.max_time", "8x", "trainer.max_time: '8x' is not a duration"),
        ("trainer.max_steps", 0, "trainer.max_steps=0: 1 or more"),
        ("trainer.learning_rate", 0.0, "above 0"),
        ("trainer.learning_rate", float("nan"), "above 0"),
        ("trainer.betas", [0.9], "two numbers"),
        ("trainer.ema_decay", 1.0, "from 0 to below 1"),
        ("trainer.warmup_steps", -1, "0 or more"),
        ("trainer.gradient_clip_norm", 0.0, "above 0"),
        ("device.workers", -1, "0 or more"),
        ("device.threads", 0, "1 or more"),
        ("logger.clips", -1, "0 or more"),
        ("logger.every_validations", 0, "1 or more"),
    ],
)
def test_what_cannot_work_is_refused_by_key(key, value, message):
    config = good()
    *path, name = key.split(".")
    section: Any = config
    for part in path:
        section = getattr(section, part)
    setattr(section, name, value)
    with pytest.raises(UserError) as caught:
        config_checks.check(config)
    assert message in str(caught.value)
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_problems_are_told_at_once():
    config = good()
    config.seed = -1
    config.trainer.batch_size = 0
    with pytest.raises(UserError) as caught:
        config_checks.check(config)
    assert str(caught.value).count("\n") == 1


def test_fold_lies_within_folds():
    config = good()
    config.data.folds, config.data.fold = 3, 3
    with pytest.raises(UserError, match=r"data\.fold=3: from 0 to 2"):
        config_checks.check(config)
    config.data.fold = 2
    config_checks.check(config)


def test_folder_must_exist_and_be_one(tmp_path, monkeypatch):
    config = good()
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "kicks").mkdir()
    (tmp_path / "kick.wav").touch()
    config.data = DataConfig(root="~/kicks")
    config_checks.check(config)
    for root, message in (("~/none", "no such folder"), ("~/kick.wav", "a file")):
        config.data = DataConfig(root=root)
        with pytest.raises(UserError, match=message):
            config_checks.check(config)
    config.data = DataConfig(root="~/kicks", files=3)
    with pytest.raises(UserError, match="only data=demo"):
        config_checks.check(config)


def test_chunk_is_a_multiple_of_the_hop_and_holds_the_window():
    config = good()
    config.architecture = {"encoder": {"hop_samples": 512, "window_samples": 2048}}
    config.data.chunk_samples = 65000
    with pytest.raises(UserError, match=r"architecture\.encoder\.hop_samples=512; take 65024"):
        config_checks.check(config)
    config.data.chunk_samples = 65024
    config_checks.check(config)
    config.loss = {"reconstruction": {"window_samples": [256, 131072]}}
    with pytest.raises(
        UserError, match=r"shorter than loss\.reconstruction\.window_samples=131072"
    ):
        config_checks.check(config)


def test_devices_that_cannot_work(monkeypatch):
    config = good()
    config.device.accelerator = Accelerator.mps
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(UserError, match="only on a Mac"):
        config_checks.check(config)
    monkeypatch.setattr(sys, "platform", "darwin")
    config_checks.check(config)
    config.device.precision = Precision.bf16
    with pytest.raises(UserError, match="not on mps"):
        config_checks.check(config)
    config.device.accelerator = Accelerator.cpu
    config_checks.check(config)
    config.device.pin_memory = True
    with pytest.raises(UserError, match="only for cuda"):
        config_checks.check(config)


def message(config: GenerateConfig | EvaluateConfig) -> str:
    with pytest.raises(UserError) as caught:
        config_checks.check(config)
    return str(caught.value)


def test_generate_checks(tmp_path):
    model = str(tmp_path)
    assert "no such folder" in message(GenerateConfig(model=str(tmp_path / "none")))
    assert "needs input=FILE" in message(GenerateConfig(model=model, source=Source.file))
    gone = GenerateConfig(model=model, source=Source.file, input=str(tmp_path / "kick.wav"))
    assert "no such file" in message(gone)
    assert "source=prior does not take it" in message(GenerateConfig(model=model, input=model))
    assert "needs input=FILE, a MIDI file" in message(GenerateConfig(model=model, source="midi"))
    assert "a preset is a sound=preset:a" in message(
        GenerateConfig(model=model, source="midi", input="preset:a")
    )
    assert "sound=gone.wav: no such file" in message(GenerateConfig(model=model, sound="gone.wav"))
    assert "velocities=2: only source=keys" in message(GenerateConfig(model=model, velocities=2))
    assert "keys=x: FROM-TO:STEP" in message(GenerateConfig(model=model, source="keys", keys="x"))
    sampled = GenerateConfig(model=model, source="keys", count=2)
    assert "count=2: source=keys gives one sound" in message(sampled)
    sampled = GenerateConfig(model=model, source="keys", preset=PresetConfig(save="a"))
    assert "preset.save=a: not with source=keys" in message(sampled)
    assert "seconds=-1" in message(GenerateConfig(model=model, seconds=-1))
    assert "longer than" in message(GenerateConfig(model=model, seconds=0.1, fade_out_s=1.0))
    assert "temperature=-1" in message(GenerateConfig(model=model, temperature=-1))
    config = GenerateConfig(model=model)
    config.export.format, config.export.encoding = ExportFormat.flac, "32f"
    assert "FLAC holds whole numbers" in message(config)
    config.export.encoding = "12"
    assert "one of 16, 24, 32f" in message(config)
    config.export.encoding, config.export.ceiling_dbtp = "16", 1.0
    assert "between -60 and 0" in message(config)


def test_every_key_is_explained():
    from timbrel.stages.overrides import schema_keys

    for stage, about in STAGES.items():
        for key, annotation, item in schema_keys(about.schema):
            assert annotation == dict[str, Any] or item.metadata.get("help"), f"{stage}: {key}"


def test_options_are_the_files_of_conf():
    listed = {(group, name) for group, names in options().items() for name in names}
    assert listed == {(f.parent.name, f.stem) for f in conf_folder().glob("*/*.yaml")}


def test_conf_folder_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TIMBREL_CONF", str(tmp_path))
    with pytest.raises(UserError, match="TIMBREL_CONF"):
        conf_folder()
    (tmp_path / "train.yaml").touch()
    assert conf_folder() == tmp_path.resolve()


def evaluation(tmp_path: Path, **changes: Any) -> EvaluateConfig:
    return EvaluateConfig(run=str(tmp_path), evaluate=EvaluateSection(**changes))


def test_evaluate(tmp_path):
    config_checks.check(evaluation(tmp_path))
    config_checks.check(evaluation(tmp_path, parts=["test"], bootstrap_draws=100))
    assert "at least one of train, validation, test" in message(evaluation(tmp_path, parts=[]))
    assert "did you mean 'test'?" in message(evaluation(tmp_path, parts=["test", "tst"]))
    assert "'test' is given twice" in message(evaluation(tmp_path, parts=["test", "test"]))
    assert "bootstrap_draws=99" in message(evaluation(tmp_path, bootstrap_draws=99))
    for name in DEFAULTS:
        for value in (0.0, -1.0, float("nan")):
            limits = LimitsConfig(**{name: value})
            wrong = EvaluateConfig(run=str(tmp_path), limits=limits)
            assert f"limits.{name}={value}: above 0" in message(wrong)
    config_checks.check(EvaluateConfig(run=str(tmp_path), limits=LimitsConfig(parity=None)))
    assert "no such folder" in message(EvaluateConfig(run=str(tmp_path / "gone")))
    (tmp_path / "file").touch()
    assert "a file; give the run folder" in message(EvaluateConfig(run=str(tmp_path / "file")))
    moved = EvaluateConfig(run=str(tmp_path), data_root=str(tmp_path / "gone"), seed=-1)
    assert "data_root=" in message(moved)
    assert "seed=-1" in message(moved)
    moved.device.workers = -1
    assert "device.workers=-1" in message(moved)
    assert "give run=FOLDER" in config_checks.missing_message("evaluate", ["run"])


def test_checks_across_fields_import_nothing_heavy():
    code = "import sys, timbrel.config.checks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
