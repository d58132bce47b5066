"""Configs of a study's runs, kept between calls while nothing they are made of changes."""

from pathlib import Path

import pytest

from timbrel.commands.ablate_configs import Configs

OVERRIDES = ("data=demo", "name=it's", "seed=0")
CONFIG = {"seed": 0, "name": "it's", "data": {"root": None}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study").mkdir()
    return tmp_path / "study"


def test_what_was_remembered_is_given_back(folder: Path) -> None:
    assert Configs(folder).of(OVERRIDES) is None
    Configs(folder).remember({OVERRIDES: CONFIG})
    assert Configs(folder).of(OVERRIDES) == CONFIG
    assert Configs(folder).of(OVERRIDES[:2]) is None
    Configs(folder / "gone").remember({OVERRIDES: CONFIG})
    assert not (folder / "gone").exists()  # --plan writes nothing


def test_an_option_a_folder_or_a_home_that_changed_forgets_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Configs(folder).remember({OVERRIDES: CONFIG})
    option = tmp_path / "conf" / "latent" / "mine.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("dropout: 0.5\n")
    assert Configs(folder).of(OVERRIDES) is None
    Configs(folder).remember({OVERRIDES: CONFIG})
    assert Configs(folder).of(OVERRIDES) == CONFIG
    option.write_text("dropout: 0.25\n")
    assert Configs(folder).of(OVERRIDES) is None
    Configs(folder).remember({OVERRIDES: CONFIG})
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Configs(folder).of(OVERRIDES) is None


def test_options_that_read_the_environment_and_damaged_files_are_composed_again(
    folder: Path, tmp_path: Path
) -> None:
    Configs(folder).remember({OVERRIDES: CONFIG})
    kept = (folder / "configs.json").read_text()
    (folder / "configs.json").write_text(kept[:-5])
    assert Configs(folder).of(OVERRIDES) is None
    (folder / "configs.json").write_text(kept)
    assert Configs(folder).of(OVERRIDES) == CONFIG
    option = tmp_path / "conf" / "latent" / "mine.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("dropout: ${oc.env:DROPOUT}\n")
    Configs(folder).remember({OVERRIDES: CONFIG})
    assert Configs(folder).of(OVERRIDES) is None
