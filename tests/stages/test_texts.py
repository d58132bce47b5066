"""Paths and names on the command line are text; what is saved means the same everywhere."""

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from timbrel.config.stage_schemas import STAGES
from timbrel.errors import UserError
from timbrel.stages import app, composing
from timbrel.stages.overrides import place_keys, quoted, quoted_texts, text_keys
from timbrel.stages.run_folders import run_folder, save_config, saved_config

NAMES = (
    "take ${n}", "open ${", "a\\\\${n} tail\\", "$HOME 100% {x}", "it's \"q\"", "'tis", "-k=b,c ",
    "a\nb", "k\udcff🥁", "[a] (x) #y:z", "choice(a)", "~old",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_read_by_its_very_name(here: Path, name: str) -> None:
    """From the command line to the config, to config.yaml, and back from it."""
    (here / name).mkdir()
    seen: list[str] = []

    def job(config) -> None:
        seen.extend([config.data.root, config.data.name, config.data.also[0], config.init_from])
        (here / "run").mkdir()
        save_config(config, here / "run")

    (here / "further").mkdir()
    further = here / "further" / name
    further.mkdir()
    also = quoted([str(further)])
    words = [f"data.root={name}", f"data.also={also}", f"init_from={name}", f"name={name}"]
    assert app.run_stage("train", words, job) == 0
    assert seen == [str(here / name), name, str(further), str(here / name)]

    saved = saved_config(here / "run")
    assert saved.data.root == str(here / name)
    assert saved.name == name
    # What was given, given again: in another folder it is the same.
    given = yaml.safe_load((here / "run" / "overrides.yaml").read_text("utf-8"))
    assert given[0] == f"data.root={quoted(str(here / name))}"
    assert quoted_texts("train", given, multirun=False) == given


def test_in_a_multirun_too(here: Path) -> None:
    names = ["take ${n}", "it's", "~old"]
    seen: list[str] = []
    for name in names:
        (here / name).mkdir()
    words = ["--multirun", f"data.root={','.join(names)}", "hydra.sweep.dir=s ${n}"]

    def job(config) -> None:
        seen.append(config.data.root)
        assert run_folder(config).parent == here / "s ${n}"

    assert app.run_stage("train", words, job) == 0
    assert seen == [str(here / name) for name in names]


def test_every_text_key_of_every_stage_is_text() -> None:
    for stage in STAGES:
        for key in text_keys(stage):
            value = "x/${n}" if key not in ("data.also", "logger.tags") else "[x/${n}]"
            (override,) = quoted_texts(stage, [f"{key}={value}"], multirun=False)
            if key == "evaluate.parts":
                continue
            assert r"\${n}" in override, (stage, key)


def test_a_config_of_ones_own_may_refer_to_the_environment(here: Path, monkeypatch) -> None:
    monkeypatch.setenv("SOUNDS", str(here.parent))
    folder = here / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        "# @package _global_\ndata: {root: '${oc.env:SOUNDS}/kicks'}\n", "utf-8"
    )
    config = composing.checked("train", app.compose("train", ["experiment=mine"]))
    assert config.data.root == str(here.parent / "kicks")
    assert config.data.name == "kicks"


def test_the_page_of_a_long_name_fits(here: Path) -> None:
    (here / ("録" * 80)).mkdir()
    config = app.compose("inspect", ["data.root=" + "録" * 80])
    page = Path(config.report)
    assert len(f"{page.stem}_augmentation".encode()) <= 255
    assert config.data.name == "録" * 80
    assert Path(app.compose("inspect", ["data.root=~/kicks"]).report).name == "inspect_kicks.html"


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "\x1b[2J", ".."])
def test_the_page_of_any_name_lies_in_outputs(here: Path, name: str) -> None:
    page = Path(app.compose("inspect", ["data.root=~/kicks", f"data.name={name}"]).report)
    assert page.parent == Path("outputs")
    assert page.name.isprintable()


def test_what_is_saved_starts_at_the_root(here: Path) -> None:
    (here / "lists.json").touch()
    (here / "more").mkdir()
    kept = {
        "data.root": "../kicks", "data.also": "[more]", "data.split_file": "lists.json",
        "data.cache_dir": "cache", "init_from": "base",
    }  # fmt: skip
    assert set(place_keys("train")) == {*kept, "reproduce"}
    config = app.compose("train", [f"{key}={value}" for key, value in kept.items()])
    config = composing.checked("train", config)
    assert [OmegaConf.select(config, key) for key in kept] == [
        str(here.parent / "kicks"), [str(here / "more")], str(here / "lists.json"),
        str(here / "cache"), str(here / "base"),
    ]  # fmt: skip
    config.reproduce = "first"
    assert composing.checked("train", config).reproduce == str(here / "first")


@pytest.mark.parametrize("key", ["data.root", "data.also", "data.cache_dir", "data.split_file"])
def test_a_tilde_of_nobody_names_its_key(here: Path, key: str) -> None:
    value = "[~nosuchuser/x]" if key == "data.also" else "~nosuchuser/x"
    words = [f"{key}={value}", *([] if key == "data.root" else ["data.root=~/kicks"])]
    with pytest.raises(UserError, match=f"{key}=~nosuchuser/x: there is no user 'nosuchuser'"):
        composing.checked("train", app.compose("train", words))


@pytest.mark.parametrize(
    ("stage", "words", "key"),
    [
        ("train", ["run=~nosuchuser/x"], "run"),
        ("evaluate", ["run=~nosuchuser/x"], "run"),
        ("evaluate", ["run=.", "data_root=~nosuchuser/x"], "data_root"),
        ("generate", ["model=~nosuchuser/x"], "model"),
        ("generate", ["model=.", "source=file", "input=~nosuchuser/x"], "input"),
        ("train", ["data=demo", "hydra.run.dir=~nosuchuser/x"], "hydra.run.dir"),
    ],
)
def test_so_in_every_stage(here: Path, capsys, stage: str, words: list[str], key: str) -> None:
    assert app.run_stage(stage, words, lambda config: None) == 2
    assert f"{key}=~nosuchuser/x: there is no user 'nosuchuser'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["library", "show"], ["library", "list"]])
def test_and_in_plain_commands(here: Path, capsys, words: list[str]) -> None:
    from timbrel import cli

    assert cli.main([*words, "~nosuchuser/a"]) == 2
    assert "'~nosuchuser/a': there is no user 'nosuchuser'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("logger.project=synth/kicks", "logger.project=synth/kicks: W&B takes no '/'"),
        ("logger.project=", "logger.project=: empty; W&B takes 1 to 128"),
        (f"logger.project={'p' * 129}", "129 characters; W&B takes 128 at most"),
        (f"logger.group={'g' * 129}", "129 characters; W&B takes 128 at most"),
        (f"logger.tags=[a,{'t' * 65}]", "65 characters; W&B takes 64 at most"),
        ("logger.tags=['']", "logger.tags=: empty; W&B takes 1 to 64"),
        ("logger.group=a\nb", "logger.group='a\\nb': W&B takes no line ends"),
    ],
)
def test_names_that_wandb_refuses_are_refused_first(
    here: Path, capsys, override: str, told: str
) -> None:
    words = ["data.root=~/kicks", override]
    assert app.run_stage("train", words, lambda config: None) == 2
    assert told in capsys.readouterr().err
    assert app.run_stage("train", [*words, "logger=none"], lambda config: None) == 0


def test_a_study_may_refer_to_the_environment_and_a_command_line_not(
    here: Path, monkeypatch
) -> None:
    from timbrel.commands.ablate import _overrides
    from timbrel.sweeps.study import read_study

    monkeypatch.setenv("SOUNDS", "/sounds")
    folder = here / "experiments" / ("s" * 200)
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(
        "question: q\nbase: {data.root: '${oc.env:SOUNDS}/kicks'}\n"
        f"axes: {{data.split_theme: [{'長' * 90}, b]}}\nseeds: [0]\n",
        "utf-8",
    )
    study = read_study("s" * 200)
    cell = study.cells()[0]
    assert len(cell.folder.encode()) <= 200
    words = _overrides(study, cell, {"data.cache_dir": "${oc.env:SOUNDS}"})
    config = app.compose("train", words)
    assert (config.data.root, config.data.cache_dir) == ("/sounds/kicks", "${oc.env:SOUNDS}")
    assert len(config.logger.group.encode()) <= 128


def test_files_made_of_long_names_fit(here: Path) -> None:
    from timbrel.audio.export import ExportSettings
    from timbrel.commands.compare import _target
    from timbrel.stages.sound_files import Target

    for name in ("録" * 83, "k" * 251, "k\udcff" * 100):
        made = Target("out", ExportSettings()).path(Path(name))
        made.parent.mkdir(exist_ok=True)
        made.touch()
        assert Target("out", ExportSettings()).path(Path(name)) != made
        assert not _target(None, [name, "b"]).exists()  # a name too long would raise


@pytest.mark.parametrize(
    ("word", "multirun", "quoted"),
    [
        ("3", False, "3"),
        ("-1.5e1", False, "-1.5e1"),
        ("[[0,0],[1,2]]", False, "'[[0,0],[1,2]]'"),
        ("~/my bend.csv", False, "'~/my bend.csv'"),
        ("0,3", True, "0,3"),
        ("0,bend.csv", True, "0,'bend.csv'"),
        ("[[0,0],[1,2]]", True, "'[[0,0],[1,2]]'"),
        ("range(0,3)", True, "range(0,3)"),
        ("null", False, "null"),
    ],
)
def test_a_control_is_a_number_or_a_text(word: str, multirun: bool, quoted: str) -> None:
    [found] = quoted_texts("generate", [f"controls.pitch_st={word}"], multirun=multirun)
    assert found == f"controls.pitch_st={quoted}"
