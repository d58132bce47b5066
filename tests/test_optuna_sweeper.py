"""`hydra/sweeper=optuna`: the plugin, its options and the ready searches."""

import os
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hydra_plugins.timbrel_optuna_sweeper import _settings
from report_pages import Page
from timbrel.config.options import conf_folder
from timbrel.stages import app
from timbrel.sweeps.search.live import LiveTrial
from timbrel.sweeps.search.note import Ending, TrialNote
from timbrel.sweeps.search.store import join_study, open_storage

SEARCH = ("--multirun", "hydra/sweeper=optuna", "data=demo", "hydra.sweeper.study_name=s")
RATE = "trainer.learning_rate=tag(log,interval(1e-4,1e-2))"
SWEEPER = conf_folder() / "hydra" / "sweeper"
SAMPLERS = sorted(path.stem for path in (SWEEPER / "sampler").glob("*.yaml"))
PRUNERS = sorted(path.stem for path in (SWEEPER / "pruner").glob("*.yaml"))
READY = sorted(path.stem for path in (conf_folder() / "sweep").glob("*.yaml"))


def slow_but(fast: str, names: list[str]) -> list:
    """Every name; each but one starts Hydra and Optuna once more in the slow tests alone."""
    return [name if name == fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


class Formula:
    """A training whose numbers follow from its config; it reports where there is a pruner."""

    def __init__(self) -> None:
        self.configs, self.notes = [], []

    def __call__(self, config):
        note = TrialNote.of(os.environ)
        assert note is not None
        self.configs.append(config)
        self.notes.append(note)
        loss = 100 * config.trainer.learning_rate + config.trainer.batch_size
        if note.pruner is not None and LiveTrial(note).report(100, {note.watched[11:]: loss}):
            return Ending({}, 100).to_json()
        return Ending(dict.fromkeys(note.numbers, loss)).to_json()


def searched(*words: str, status: int = 0) -> Formula:
    job = Formula()
    assert app.run_stage("train", [*SEARCH, *words], job) == status
    return job


def study(folder: Path = Path("sweeps/s"), direction: str = "minimize"):
    return join_study(open_storage(str(folder / "journal.log")), folder.name, [direction])[0]


@pytest.mark.parametrize("name", slow_but("tpe", SAMPLERS))
def test_every_sampler_draws(name: str, here, capsys) -> None:
    missing = name == "cmaes" and find_spec("cmaes") is None
    words = [f"hydra/sweeper/sampler={name}", "hydra.sweeper.n_trials=3", RATE]
    if name in ("tpe", "gp", "cmaes"):
        words.append("hydra.sweeper.sampler.n_startup_trials=2")
    words.append("trainer.batch_size=int(interval(2,9))")
    job = searched(*words, status=2 if missing else 0)
    if missing:
        assert "CmaEsSampler needs the package cmaes" in capsys.readouterr().err
        return
    assert len({config.trainer.learning_rate for config in job.configs}) == 3
    assert [note.number for note in job.notes] == [0, 1, 2]


@pytest.mark.parametrize("name", slow_but("median", PRUNERS))
def test_every_pruner_is_asked(name: str, here) -> None:
    job = searched(f"hydra/sweeper/pruner={name}", "hydra.sweeper.n_trials=3", RATE)
    reported = [bool(trial.intermediate_values) for trial in study().trials]
    assert reported == [name != "none"] * 3 == [note.pruner is not None for note in job.notes]


@pytest.mark.parametrize("place", ["sqlite:///s.db", pytest.param("s.log", marks=pytest.mark.slow)])
def test_a_storage_lost_for_good_ends_the_search_with_the_way_out(
    place: str, here, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(_settings, "_LEAST_DEAD_AFTER_S", 0.0)

    class Losing(Formula):
        def __call__(self, config):
            if not self.configs:
                return super().__call__(config)
            note = TrialNote.of(os.environ)
            live = LiveTrial(note)
            if place == "s.log":
                Path(place).rename("away")
            else:
                with sqlite3.connect("s.db") as tables:
                    tables.execute("ALTER TABLE trials RENAME TO away")
            assert not live.report(100, {note.watched[11:]: 1.0})
            return Ending(dict.fromkeys(note.numbers, 1.0)).to_json()

    words = [f"hydra.sweeper.storage={place}", "hydra.sweeper.dead_after=1s"]
    words += ["hydra.sweeper.n_trials=3", "hydra/sweeper/pruner=median", RATE]
    with pytest.warns(UserWarning, match="the search is not told of this validation"):
        assert app.run_stage("train", [*SEARCH, *words], Losing()) == 2
    ended = capsys.readouterr().err
    where = Path(place).absolute() if place == "s.log" else place
    assert f"timbrel train: hydra.sweeper.storage={where}: out of reach (" in ended
    assert "to go on: timbrel train --multirun" in ended
    assert "Traceback" not in ended


@pytest.mark.parametrize("name", slow_but("loss_weights", READY))
def test_ready_searches_draw(name: str, here, capsys) -> None:
    text = (conf_folder() / "sweep" / f"{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n")
    assert text.count("\n") < 25
    job = Formula()
    words = ["--multirun", f"sweep={name}", "data=demo", "hydra.sweeper.study_name=s"]
    assert app.run_stage("train", [*words, "hydra.sweeper.n_trials=3"], job) == 0
    ended = capsys.readouterr().err
    assert "failed" not in ended
    assert len(job.configs) + ended.count("the same as trial") == 3
    assert len({str(config) for config in job.configs}) == len(job.configs)
    assert ("first trial draws loss.weights.waveform" in ended) == (name == "loss_weights")
    assert ended.count("first trial draws") == (name == "loss_weights")


def test_a_ready_search_trains_once_without_multirun(here, capsys) -> None:
    configs = []
    assert app.run_stage("train", ["sweep=loss_weights", "data=demo"], configs.append) == 0
    assert configs[0].trainer.max_time == "3m"
    assert "sweep=loss_weights searches with --multirun" in capsys.readouterr().err


@pytest.mark.slow
def test_the_first_trial_is_the_config_as_it_is(here) -> None:
    job = searched(RATE, "trainer.batch_size=range(2,9,2)", "hydra.sweeper.n_trials=3")
    usual = app.compose("train", ["data=demo"])
    first = job.configs[0]
    assert first.trainer.learning_rate == usual.trainer.learning_rate
    assert first.trainer.batch_size == usual.trainer.batch_size
    assert all(config.trainer.batch_size in (2, 4, 6, 8) for config in job.configs)
    assert first.logger.group == "s"
    own = searched(
        RATE,
        "hydra.sweeper.study_name=t",
        "hydra.sweeper.defaults_first=false",
        "hydra.sweeper.n_trials=1",
    )
    assert own.configs[0].trainer.learning_rate != usual.trainer.learning_rate


@pytest.mark.slow
def test_conditions_and_fixed_values_of_params(here) -> None:
    file = here / "conf" / "sweep" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "# @package _global_\n"
        "defaults: [override /hydra/sweeper: optuna, override /hydra/sweeper/sampler: random]\n"
        "hydra:\n"
        "  sweeper:\n"
        "    params:\n"
        "      architecture.latent_dim:\n"
        "        - {when: {latent: vae}, draw: 'choice(2,4)'}\n"
        "        - {when: {latent: [free_bits]}, draw: 'range(8,25,8)'}\n"
        "      latent: choice(vae,free_bits,beta_vae)\n"
        "      trainer.batch_size: 3\n"
        "      trainer.learning_rate: interval(0.001,0.002)\n"
    )
    job = searched("sweep=own", "trainer.learning_rate=0.003", "hydra.sweeper.n_trials=8")
    usual = app.compose("train", ["data=demo"]).architecture.latent_dim
    wanted = {"vae": (2, 4), "free_bits": (8, 16, 24), "beta_vae": (usual,)}
    trained = {note.number: config for note, config in zip(job.notes, job.configs, strict=True)}
    chosen = set()
    for number, config in trained.items():
        latent = study().trials[number].params["latent"]
        chosen.add(latent)
        assert config.architecture.latent_dim in wanted[latent]
        assert (config.trainer.batch_size, config.trainer.learning_rate) == (3, 0.003)
    assert chosen == set(wanted)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["seed=1"], "nothing to draw"),
        (["trainer.learning_rat=interval(0,1)"], "did you mean 'trainer.learning_rate'?"),
        (["latent.weights.kk=interval(0,1)"], "did you mean 'latent.weights.kl'?"),
        (["latent=choice(vae,vea)"], "latent=vea: no such option"),
        (["trainer.batch_size=interval(1,4)"], "trainer.batch_size=1.0: expected a whole number"),
        (["latent.weights.kl=interval(1,0)"], "the interval is empty"),
        (["latent.weights.kl=tag(log,interval(0,1))"], "begins above 0"),
        (["latent.weights.kl=tag(lin,interval(0,1))"], "no tag 'lin' (log)"),
        (["latent.weights.kl=tag(log,choice(1,2))"], "only an interval can be logarithmic"),
        ([RATE, "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0: a whole number from 1"),
        ([RATE, "+hydra.sweeper.n_trial=9"], "no such key; did you mean 'n_trials'?"),
        ([RATE, "hydra.sweeper.objectives=validation/loss"], "expected a list"),
        ([RATE, "hydra.sweeper.objectives=[test/mrstft]"], "must not select"),
        ([RATE, "hydra.sweeper.objectives=[validation/mrstf]"], "did you mean 'validation/mrstft'"),
        (
            [RATE, "hydra.sweeper.constraints=['gates/coverag >= 1']"],
            "did you mean 'gates/coverage'",
        ),
        ([RATE, "hydra.sweeper.objectives=[gates/pitch]"], "measured on test files"),
        ([RATE, "hydra.sweeper.direction=up"], "'up' is no direction"),
        ([RATE, "hydra.sweeper.study_name=a/b"], "a name, not a path"),
        ([RATE, "hydra.sweeper.dead_after=soon"], "hydra.sweeper.dead_after: "),
        ([RATE, "hydra.sweeper.dead_after=30s"], "at least 2m"),
        (["trainer.learning_rate=interval(1"], "not understood"),
        ([RATE, "hydra.sweeper.params=3"], "expected KEY: DRAW pairs"),
        ([RATE, "hydra.sweeper.objectives=[validation/loss,validation/loss]"], "there twice"),
        ([RATE, "hydra.sweeper.storage=nosql://x"], "hydra.sweeper.storage=nosql://x: cannot be"),
        (
            [RATE, "hydra.sweeper.storage=pg://a:marlin@/x?host=/y"],
            "=pg://a:***@/x?host=/y: not und",
        ),
        ([RATE, "hydra.sweeper.sampler._target_=optuna.samplers.Tpe"], "no such class"),
        ([RATE, "+hydra.sweeper.sampler.sead=1"], "hydra.sweeper.sampler: TPESampler: "),
        (
            [RATE, "hydra/sweeper/pruner=median", "hydra.sweeper.watched=train/loss"],
            "hydra.sweeper.watched=train/loss: a number of validations",
        ),
    ],
)
def test_mistakes_are_told_in_a_line_and_begin_nothing(words, told, here, capsys) -> None:
    searched(*words, status=2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert told in lines[0]
    assert not Path("sweeps").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{when: {latent: vae}, draw: 3}", "expected choice(...), interval(...) or range(...)"),
        ("{if: {latent: vae}, draw: 'choice(1,2)'}", "expected {when: {KEY: VALUE}, draw: ...}"),
        ("{when: {laten: vae}, draw: 'choice(1,2)'}", "when: laten: not drawn"),
        ("choice(1,", "not understood; write choice(a,b)"),
    ],
)
def test_mistakes_in_params_name_the_key(given: str, told: str, here, capsys) -> None:
    file = here / "conf" / "sweep" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "# @package _global_\n"
        "defaults: [override /hydra/sweeper: optuna]\n"
        "hydra:\n"
        "  sweeper:\n"
        "    params:\n"
        "      latent: choice(vae,beta_vae)\n"
        f"      architecture.latent_dim: {given}\n"
    )
    searched("sweep=own", status=2)
    assert "hydra.sweeper.params.architecture.latent_dim" in (err := capsys.readouterr().err)
    assert told in err


def test_without_optuna_the_extra_is_named(here, monkeypatch, capsys) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    searched(RATE, status=2)
    assert "pip install 'timbrel[optuna]'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["train", "--cfg", "job", "data=demo"]])
def test_only_a_search_imports_optuna(words, here) -> None:
    program = (
        "import sys; from timbrel.cli import main; main(sys.argv[1:]); "
        "print(sorted({'optuna', 'sqlalchemy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_a_study_goes_on_and_several_objectives_have_a_front(here, capsys) -> None:
    words = [RATE, "hydra.sweeper.objectives=[validation/mrstft,model/real_time]"]
    words += ["hydra/sweeper/pruner=median", "hydra.sweeper.constraints=['gates/diversity >= 0']"]
    searched(*words, "hydra.sweeper.n_trials=2")
    job = searched(*words, "hydra.sweeper.n_trials=5")
    assert [note.number for note in job.notes] == [2, 3, 4]
    assert {note.numbers for note in job.notes} == {
        ("validation/mrstft", "model/real_time", "gates/diversity")
    }
    shown = capsys.readouterr()
    assert shown.err.count("no trial is pruned") == 2  # once a call
    assert "the front: trial" in shown.out
    page = Page(Path("sweeps/s/report.html").read_text())
    for words in (
        "5 of 5 trials (5 complete)",
        "gates/diversity >= 0",
        "hydra.sweeper.study_name=s",
    ):
        assert words in page.words
    assert "Front of two objectives" in page.html


def test_a_study_goes_on_in_its_own_space_alone(here, capsys) -> None:
    searched("latent.weights.kl=choice(1,2)", "hydra.sweeper.n_trials=1")
    searched("latent.weights.kl=choice(1,3)", "hydra.sweeper.n_trials=2", "seed=4", status=2)
    shown = capsys.readouterr().err
    assert "latent.weights.kl: the study has another draw of it" in shown
    assert "note: the study was begun without seed=4" in shown
    assert [trial.state.name for trial in study().trials] == ["COMPLETE", "FAIL"]


def test_failures_do_not_end_a_search_and_alone_they_are_a_failure(here, capsys) -> None:
    def fails(config):
        raise ValueError("no room")

    assert app.run_stage("train", [*SEARCH, RATE, "hydra.sweeper.n_trials=2"], fails) == 2
    shown = capsys.readouterr().err
    assert shown.count("failed: ValueError: no room") == 2
    assert "no trial gave a number" in shown
    assert Path("sweeps/s/report.html").read_text().count("ValueError: no room") == 2


def test_a_folder_with_runs_of_another_study_is_left_alone(here, capsys) -> None:
    Path("sweeps/s/0").mkdir(parents=True)
    searched(RATE, status=2)
    assert "holds runs of another study" in capsys.readouterr().err
