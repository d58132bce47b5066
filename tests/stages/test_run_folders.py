"""A run's folder: its own, named by what it is, with the config that `run=` goes on from."""

import os
import re
import sys
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from timbrel.errors import UserError
from timbrel.runs.folder import CONFIG_FILE
from timbrel.stages import app
from timbrel.stages.run_folders import fixed_folder, go_home, run_folder, save_config


def test_two_runs_in_one_second_have_two_folders(here):
    config = app.compose("train", ["data=demo", "name=twice"])
    folders = [run_folder(config) for _ in range(4)]
    assert len(set(folders)) == 4
    for folder in folders:
        assert folder.is_dir()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d{6}_twice(_[0-9a-f]{4})?", folder.name)
        assert folder.parent == Path("outputs")


def test_a_fixed_folder_is_the_runs_own_and_taken_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = Path("sweeps", "a study", "it's", "seed0")
    words = ["data=demo", "hydra.run.dir='sweeps/a study/it\\'s/seed0'"]

    def begin(config):
        assert run_folder(config) == fixed_folder() == folder
        (folder / CONFIG_FILE).write_text("")

    assert app.run_stage("train", words, begin) == 0
    assert folder.is_dir()
    assert not Path("outputs").exists()
    assert app.run_stage("train", words, begin) == 2
    assert (
        "holds a run already; go on with run=sweeps/a study/it's/seed0" in capsys.readouterr().err
    )


def test_a_sweep_has_one_folder_with_a_folder_per_job(here, capsys):
    configs: list[DictConfig] = []
    made: list[Path] = []

    def begin(config):
        configs.append(config)
        made.append(run_folder(config))

    words = ["--multirun", "data=demo", "latent=vae,beta_vae", "seed=0,1"]
    assert app.run_stage("train", words, begin) == 0
    assert [(c.name, c.seed) for c in configs] == [
        ("demo_harmonic_vae", 0),
        ("demo_harmonic_vae", 1),
        ("demo_harmonic_beta_vae", 0),
        ("demo_harmonic_beta_vae", 1),
    ]
    assert [folder.name for folder in made] == ["0", "1", "2", "3"]
    assert len({folder.parent for folder in made}) == 1
    assert made[0].parent.parent == here / "sweeps"
    assert sorted(p.name for p in here.iterdir()) == ["sweeps"]
    assert "job 3: data=demo,latent=beta_vae,seed=1" in capsys.readouterr().err


def test_resuming_takes_the_saved_config_with_the_device_and_logger_given(here):
    started = app.compose(
        "train", ["data=demo", "trainer.batch_size=3", "latent=beta_vae", "logger.clips=2"]
    )
    folder = run_folder(started)
    save_config(started, folder)
    configs: list[DictConfig] = []
    words = [f"run={folder}", "device=cpu", "device.threads=1", "logger=none"]
    assert app.run_stage("train", words, configs.append) == 0
    (config,) = configs
    assert config.run == str(folder)
    assert (config.trainer.batch_size, config.latent.weights.kl) == (3, started.latent.weights.kl)
    assert (config.device.accelerator, config.device.threads) == ("cpu", 1)
    assert config.logger.kind == "none"
    assert run_folder(config) == folder
    assert app.run_stage("train", [f"run={folder}"], configs.append) == 0
    assert configs[-1].logger == started.logger


def test_the_saved_config_is_resolved_and_names_its_overrides(here):
    saved = []

    def act(config):
        folder = run_folder(config)
        save_config(config, folder)
        saved.append(folder)

    assert app.run_stage("train", ["data=demo", "data.channels=2"], act) == 0
    text = (saved[0] / "config.yaml").read_text()
    assert "${" not in text
    assert OmegaConf.load(saved[0] / "config.yaml").architecture.decoder.channels == 2
    assert OmegaConf.load(saved[0] / "overrides.yaml") == ["data=demo", "data.channels=2"]


def test_a_job_works_where_its_sweep_was_begun(here, monkeypatch):
    """Wherever a launcher has begun it: relative places and modules of the user's are there."""
    monkeypatch.setattr(sys, "path", ["/library"])
    went = []

    def job(config):
        os.chdir("/")
        go_home()
        went.append((os.getcwd(), list(sys.path)))

    words = ["--multirun", "data=demo", "seed=0,1", f"hydra.sweep.dir='{here}/sweep'"]
    assert app.run_stage("train", words, job) == 0
    assert went == [(str(here), ["/library", str(here)])] * 2


def test_a_machine_without_the_folder_of_the_sweep_is_named(monkeypatch):
    there = OmegaConf.create({"hydra": {"runtime": {"cwd": "/no/where"}}})
    monkeypatch.setattr(HydraConfig.instance(), "cfg", there)
    with pytest.raises(UserError, match=r"^hydra/launcher: .* has no folder '/no/where', where"):
        go_home()
