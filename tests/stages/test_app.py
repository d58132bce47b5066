"""Composing, checking and dispatching: every option composes, every mistake is told in one line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from timbrel.config.options import conf_folder, groups_of
from timbrel.config.stage_schemas import STAGES
from timbrel.errors import UserError
from timbrel.stages import app
from timbrel.stages.overrides import check_overrides
from timbrel.stages.run_folders import run_folder

ROOTS = {
    "train": ["data=demo"],
    "inspect": ["data=demo"],
    "evaluate": ["run=."],
    "prior": ["run=."],
    "analyze": ["run=."],
    "generate": ["model=."],
}
ARCHITECTURES = ", ".join(groups_of("train")["architecture"])
FILES = sorted(conf_folder().rglob("*.yaml"))
OPTIONS = sorted(
    (stage, group, name)
    for stage in STAGES
    for group, names in groups_of(stage).items()
    for name in names
)


class Recorder:
    """A job that keeps the configs it is given, or does what it is told."""

    def __init__(self, act=lambda config: None):
        self.configs: list[DictConfig] = []
        self.act = act

    def __call__(self, config: DictConfig):
        self.configs.append(config)
        return self.act(config)


@pytest.fixture
def told(here, capsys):
    """`told(stage, *words)`: the one message of a refused call, which left nothing behind."""

    def call(stage: str, *words: str) -> str:
        job = Recorder()
        before = sorted(here.iterdir())
        assert app.run_stage(stage, words, job) == 2
        assert not job.configs
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(f"timbrel {stage}: ")
        assert shown.err.count("\n") == 1
        assert sorted(here.iterdir()) == before
        return shown.err.removeprefix(f"timbrel {stage}: ").rstrip("\n")

    return call


# Those of the pair compose below, each with every one of the other.
PAIR = [("train", "architecture"), ("train", "latent")]


@pytest.mark.parametrize(
    ("stage", "group", "name"), [option for option in OPTIONS if option[:2] not in PAIR]
)
def test_every_option_composes(stage, group, name):
    given = [*([] if group == "data" else ROOTS[stage]), f"{group}={name}"]
    config = app.compose(stage, given)
    if group not in ("experiment", "sweep"):
        assert config[group] is not None
    OmegaConf.to_container(config, resolve=True)


def test_every_file_of_conf_is_an_option_or_a_root():
    reached = {conf_folder() / group / f"{name}.yaml" for _, group, name in OPTIONS}
    roots = {conf_folder() / f"{stage}.yaml" for stage in STAGES}
    bases = set(conf_folder().glob("*/base/*.yaml"))
    of_pairs = set(conf_folder().glob("*/for/*.yaml"))  # tests/config reads each
    of_hydra = set(conf_folder().glob("hydra/**/*.yaml"))  # tests/test_optuna_sweeper.py uses each
    assert set(FILES) == reached | roots | bases | of_pairs | of_hydra
    options = "\n".join(path.read_text("utf-8") for path in reached)
    assert all(f"- base/{path.stem}@_here_" in options for path in bases)


@pytest.mark.parametrize("file", [f for f in FILES if f.parent.name == "experiment"])
def test_experiments_are_short_deltas(file):
    text = file.read_text()
    assert text.startswith("# @package _global_\n")
    assert text.count("\n") < 25


def test_experiments_say_what_they_promise():
    assert app.compose("train", ["experiment=drums_8min"]).trainer.max_time == "8m"
    demo = app.compose("train", ["experiment=demo"])
    assert (demo.data.kind, demo.trainer.max_time, demo.data.root) == ("demo", "3m", None)
    longer = app.compose("train", ["experiment=demo", "trainer.max_time=5m"])
    assert longer.trainer.max_time == "5m"


@pytest.mark.parametrize("architecture", groups_of("train")["architecture"])
@pytest.mark.parametrize("latent", groups_of("train")["latent"])
def test_every_architecture_with_every_latent(architecture, latent):
    config = app.compose("train", ["data=demo", f"architecture={architecture}", f"latent={latent}"])
    assert config.name == f"demo_{architecture}_{latent}"
    OmegaConf.to_container(config, resolve=True)


@pytest.mark.parametrize(
    ("stage", "words", "message"),
    [
        (
            "train",
            ["trainer.max_step=5"],
            "trainer.max_step: no such key; did you mean 'trainer.max_steps'?",
        ),
        (
            "train",
            ["architecture=spectrl"],
            f"architecture=spectrl: no such option in conf/architecture ({ARCHITECTURES}); "
            "did you mean 'spectral'?",
        ),
        ("train", ["trainer.learning_rate=abc"], "trainer.learning_rate=abc: expected a number"),
        ("train", ["trainer.batch_size=1.5"], "trainer.batch_size=1.5: expected a whole number"),
        ("train", ["trainer.batch_size=null"], "trainer.batch_size=null: expected a whole number"),
        ("train", ["dry_run=maybe"], "dry_run=maybe: expected true or false"),
        (
            "train",
            ["device.accelerator=gpu"],
            "device.accelerator=gpu: expected one of auto, cpu, cuda, mps",
        ),
        ("train", ["logger.tags=5"], "logger.tags=5: expected a list such as [one,two]"),
        (
            "train",
            [],
            "data.root: not set; give data.root=FOLDER with your recordings, or data=demo for the "
            "built-in set",
        ),
        ("generate", [], "model: not set; give model=FOLDER, a run folder or a model bundle"),
        (
            "train",
            ["+trainer.max_step=5"],
            "+trainer.max_step: no such key; did you mean 'trainer.max_steps'?",
        ),
        ("train", ["+extra=1"], "+extra: no such key"),
        (
            "train",
            ["++trainer.max_steps=5"],
            "++trainer.max_steps: the key exists; write trainer.max_steps=..., without the ++",
        ),
        ("train", ["+latent=vae"], "+latent=vae: write latent=vae, without the +"),
        ("train", ["batch_size=3"], "batch_size: no such key; did you mean 'trainer.batch_size'?"),
        (
            "train",
            ["architecture=beta_vae"],
            f"architecture=beta_vae: no such option in conf/architecture ({ARCHITECTURES}); "
            "use latent=beta_vae",
        ),
        (
            "train",
            ["data=demo", "architecture.encoder.widht=1"],
            "architecture.encoder.widht: no such key; did you mean 'architecture.encoder.width'?",
        ),
        (
            "train",
            ["data=demo", "trainer.batch_size=8,16"],
            "trainer.batch_size=8,16: several values need --multirun (for a list write "
            "trainer.batch_size=[...], for text with a comma put it in quotes)",
        ),
        (
            "train",
            ["latent=vae,beta_vae"],
            "latent=vae,beta_vae: several choices need --multirun",
        ),
        (
            "generate",
            ["architecture=spectral"],
            "architecture=spectral: timbrel generate has no choice of architecture (timbrel train "
            "has); its choices: device, export",
        ),
        ("train", ["--multirum"], "--multirum: no such flag; did you mean '--multirun'?"),
        ("train", ["--cfg", "jub"], "argument --cfg/-c: invalid choice: 'jub' (choose from 'job'"),
        ("train", ["~data"], "~data: nothing can be deleted; set the key to null instead"),
        ("train", ["~data=demo"], "~data=demo: nothing can be deleted"),
        (
            "train",
            ["generate"],
            "generate: an override is KEY=VALUE; one stage at a time: 'timbrel generate ...'",
        ),
        ("train", ["seed"], "seed: an override is KEY=VALUE; did you mean 'seed='?"),
        (
            "train",
            ["trainer.betas=[1"],
            "trainer.betas=[1: not understood; put the value in quotes",
        ),
        ("train", ["data.root=/no/where"], "data.root=/no/where: no such folder"),
        ("train", ["data=demo", "data.also=[/no/where]"], "data.also: /no/where: no such folder"),
        (
            "inspect",
            ["data=demo", "data.also=[~/nö (1) it, ~/kicks]"],
            "data.also: ~/nö (1) it: no such folder",
        ),
        (
            "train",
            ["data.root=~/kicks", "data.also=[~]"],
            "data.also: ~: '",
        ),
        (
            "train",
            ["data=demo", "data.also=~/kicks"],
            "data.also='~/kicks': expected a list such as",
        ),
        ("train", ["data=demo", "data.train_files=0"], "data.train_files=0: 1 or more, or null"),
        ("train", ["data.root=~/nö, (1) it's"], "data.root=~/nö, (1) it's: no such folder"),
        ("train", ["run=outputs/gone"], "run=outputs/gone: no such folder"),
        ("train", ["run=.."], "run=..: no config.yaml there: not a run folder"),
        (
            "train",
            ["run=outputs/gone", "trainer.batch_size=4"],
            "trainer.batch_size=4: run= goes on with the run's own config, where only device and "
            "logger may change",
        ),
        ("train", ["run=outputs/gone", "latent=vae"], "latent=vae: run= goes on with"),
        ("train", ["data=demo", "trainer.max_time=8x"], "trainer.max_time: '8x' is not a duration"),
        (
            "inspect",
            ["data=demi"],
            "data=demi: no such option in conf/data (demo, folder); did you",
        ),
        (
            "train",
            ["optimizer=null"],
            "optimizer=null: null is no option of optimizer (adamw); leave",
        ),
        ("train", ["callbacks=[default,Null]"], "callbacks=[default,Null]: null is no option of"),
        (
            "train",
            ["hydra/launcher=null"],
            "hydra/launcher=null: null is no option of hydra/launch",
        ),
        ("inspect", ["data.rot=x"], "data.rot: no such key; did you mean 'data.root'?"),
    ],
)
def test_a_mistake_is_told_in_one_line(told, stage, words, message):
    assert told(stage, *words).startswith(message)


@pytest.mark.parametrize("group", groups_of("train"))
def test_null_is_an_option_of_no_group(group, told):
    message = told("train", "data=demo", f"{group}=null")
    assert message.startswith(f"{group}=null: null is no option of {group} (")
    has_none = "none" in groups_of("train")[group]
    assert message.endswith("none goes without" if has_none else "leave it out for the default")


@pytest.mark.parametrize("group", ["architecture", "latent", "augmentation", "loss"])
def test_a_file_that_chooses_no_option_is_told_which(group, here, told):
    file = here / "conf" / "experiment" / "bare.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package _global_\ndefaults:\n  - override /{group}: null\n")
    assert told("train", "data=demo", "experiment=bare").startswith(f"{group}: no option is chosen")


def test_several_options_of_a_group_are_merged_in_their_order(here):
    job = Recorder()
    assert app.run_stage("train", ["data=demo", "logger=[wandb,none]"], job) == 0
    assert str(job.configs[0].logger.kind) == "none"


def test_names_and_folders_may_hold_anything(here):
    folder = here.parent / "Kicks (2019), it's [müde] = 1"
    folder.mkdir()
    job = Recorder()
    assert app.run_stage("train", [f"data.root={folder}"], job) == 0
    (config,) = job.configs
    assert config.data.root == str(folder)
    assert config.name == f"{folder.name}_harmonic_vae"
    assert run_folder(config).name.endswith("_Kicks_2019_it_s_müde_1_harmonic_vae")


def test_the_home_folder_is_understood(here):
    job = Recorder()
    assert app.run_stage("train", ["data.root=~/kicks", "name=null"], job) == 0
    assert job.configs[0].data.name == "kicks"


def test_flags_may_stand_between_overrides(here, capsys):
    words = ["data=demo", "--cfg", "job", "seed=3", "--package", "seed"]
    assert app.run_stage("train", words, Recorder()) == 0
    assert capsys.readouterr().out.strip() == "3"


def test_cfg_info_and_help_leave_nothing_behind(here, capsys):
    for words in (["--cfg", "job"], ["--cfg", "hydra"], ["--help"]):
        job = Recorder()
        assert app.run_stage("train", words, job) == 0
        assert not job.configs
    assert capsys.readouterr().err == ""
    # --info sets up logging, and leaves it so: in a process of its own.
    timbrel = Path(sys.executable).with_name("timbrel")
    done = subprocess.run([timbrel, "train", "--info", "defaults"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "spectral" in done.stdout
    assert not list(here.iterdir())


@pytest.mark.parametrize("stage", STAGES)
def test_help_names_groups_keys_and_values(stage, capsys):
    assert app.run_stage(stage, ["--help", "seed=7"] if stage == "train" else ["-h"], print) == 0
    page = capsys.readouterr().out
    for group, names in groups_of(stage).items():
        assert re.search(rf"^  {group} +{', '.join(names)}$", page, re.M)
    if stage == "train":
        assert "seed=7" in page
        assert "architecture.encoder.width=256" in page
        assert "data.root=???" in page
    for example in STAGES[stage].examples:
        assert f"timbrel {stage} {example}" in page


def test_examples_on_the_help_pages_compose():
    for stage, about in STAGES.items():
        for example in about.examples:
            words = example.partition("#")[0].split()
            words = [word for word in words if word != "folder>"]
            if "--multirun" in words:
                check_overrides(stage, words[1:], multirun=True)
            else:
                app.compose(stage, words)


def test_non_train_stages_and_dry_runs_make_no_folder(here):
    assert app.run_stage("train", ["data=demo", "dry_run=true"], Recorder()) == 0
    assert app.run_stage("inspect", ["data.root=~/kicks"], Recorder()) == 0
    assert app.run_stage("generate", ["model=.", "seed=4"], Recorder()) == 0
    assert app.run_stage("evaluate", ["run=."], Recorder()) == 0
    job = Recorder()
    assert app.run_stage("generate", ["--multirun", "model=.", "seed=1,2"], job) == 0
    assert [config.seed for config in job.configs] == [1, 2]
    assert not list(here.iterdir())


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1), (["a.wav"], 0)])
def test_a_job_may_hand_back_an_exit_status(here, returned, status):
    assert app.run_stage("evaluate", ["run=."], Recorder(lambda config: returned)) == status


def test_the_worst_status_of_a_multirun_counts(here):
    job = Recorder(lambda config: config.seed)
    assert app.run_stage("evaluate", ["--multirun", "run=.", "seed=0,3,1"], job) == 3


def test_generate_leaves_the_length_to_the_sound(here):
    assert app.compose("generate", ["model=."]).seconds is None
    assert app.compose("generate", ["model=.", "source=file"]).seconds is None
    assert app.compose("generate", ["model=.", "export.encoding=16"]).export.encoding == "16"


def test_hydra_composes_once(here, monkeypatch):
    """Twice only where a file of the user's might set `hydra.mode`, and there it is obeyed."""
    composed = []
    load = ConfigLoaderImpl.load_configuration

    def counted(self, *arguments, **named):
        composed.append(named["run_mode"])
        return load(self, *arguments, **named)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    assert app.run_stage("evaluate", ["run=."], Recorder()) == 0
    assert composed == [RunMode.RUN]
    job = Recorder()
    assert app.run_stage("evaluate", ["run=.", "hydra.mode=MULTIRUN"], job) == 0
    assert len(job.configs) == 1
    assert composed.count(RunMode.MULTIRUN) == 2
    (here / "conf" / "experiment").mkdir(parents=True)
    many = here / "conf" / "experiment" / "many.yaml"
    many.write_text("# @package _global_\nhydra: {mode: MULTIRUN}\n")
    job = Recorder()
    assert app.run_stage("train", ["data=demo", "experiment=many", "seed=1,2"], job) == 0
    assert [config.seed for config in job.configs] == [1, 2]


def test_a_refused_job_of_a_sweep_stops_no_other(here, capsys):
    job = Recorder()
    words = ["--multirun", "data=demo", "trainer.batch_size=0,4"]
    assert app.run_stage("train", words, job) == 2
    assert [config.trainer.batch_size for config in job.configs] == [4]
    assert "trainer.batch_size=0: 1 or more" in capsys.readouterr().err


def test_a_users_error_inside_the_job_is_told_without_a_stack_trace(here, capsys):
    def act(config):
        try:
            raise UserError("kick.wav: no samples; remove it")
        except UserError as error:
            raise RuntimeError("while instantiating") from error

    assert app.run_stage("train", ["data=demo"], Recorder(act)) == 2
    assert capsys.readouterr().err == "timbrel train: kick.wav: no samples; remove it\n"


def test_a_bug_keeps_its_traceback(here):
    with pytest.raises(ZeroDivisionError):
        app.run_stage("train", ["data=demo"], Recorder(lambda config: 1 / 0))
    with pytest.raises(Exception, match="nonsense"):
        app.run_stage("train", ["data=demo"], Recorder(lambda config: config.nonsense))
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_ctrl_c_is_one_line_and_status_130(here, capsys):
    def act(config):
        raise KeyboardInterrupt

    assert app.run_stage("train", ["data=demo"], Recorder(act)) == 130
    assert capsys.readouterr().err == "\ntimbrel train: stopped; the same command begins again\n"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("flags", [(), ("--multirun", "seed=1,2")])
def test_a_stop_that_python_dropped_ends_the_stage_after_its_job(here, capsys, lose_a_stop, flags):
    job = Recorder(lambda config: lose_a_stop() and None)
    assert app.run_stage("evaluate", ["run=.", *flags], job) == 130
    assert len(job.configs) == 1
    assert "timbrel evaluate: stopped; the same command begins again\n" in capsys.readouterr().err


def test_the_working_folders_conf_joins_in(here, told):
    own = here / "conf"
    (own / "latent").mkdir(parents=True)
    (own / "latent" / "mine.yaml").write_text("defaults: [vae]\nweights: {kl: 0.25}\n")
    (own / "experiment").mkdir()
    (own / "experiment" / "quick.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /data: demo\ntrainer: {max_steps: 3}\n"
    )
    job = Recorder()
    assert app.run_stage("train", ["experiment=quick", "latent=mine"], job) == 0
    config = job.configs[0]
    assert (config.latent.weights.kl, config.trainer.max_steps) == (0.25, 3)
    assert config.name == "demo_harmonic_mine"
    (own / "experiment" / "bad.yaml").write_text("# @package _global_\ntrainer: {max_step: 3}\n")
    assert told("train", "experiment=bad").startswith(
        "experiment/bad.yaml: trainer.max_step: no such key; did you mean 'trainer.max_steps'?"
    )
    (own / "experiment" / "bad.yaml").write_text("# @package _global_\ntrainer: {max_steps: x}\n")
    assert told("train", "experiment=bad") == (
        "experiment/bad.yaml: trainer.max_steps=x: expected a whole number or null"
    )
    (own / "experiment" / "bad.yaml").write_text("# @package _global_\ntrainer: [\n")
    assert "bad.yaml" in told("train", "experiment=bad")


def test_a_users_option_of_a_shipped_name_is_refused(here, told):
    (here / "conf" / "latent").mkdir(parents=True)
    (here / "conf" / "latent" / "vae.yaml").write_text("weights: {kl: 9}\n")
    assert "conf/latent/vae.yaml" in told("train", "data=demo")


def test_hydra_full_error_raises(here, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(UserError):
        app.run_stage("train", ["trainer.max_step=5"], Recorder())


def test_one_process_per_call_works_as_well(here):
    """What the tests above do in one process, once as a person does it."""
    done = subprocess.run(
        [Path(sys.executable).with_name("timbrel"), "train", "architecture=beta_vae"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.endswith("; use latent=beta_vae\n")


def test_no_folder_for_temporary_files_is_one_line(here, monkeypatch, capsys):
    def nowhere(*_):
        raise FileNotFoundError(2, "No usable temporary directory found in ['/a', '/b']")

    monkeypatch.setattr("tempfile.mkdtemp", nowhere)
    assert app.run_stage("train", ["data=demo"], Recorder()) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "set the environment variable TMPDIR" in told
