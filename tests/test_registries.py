"""Registries are closed under use: who reads a table of names knows every name in it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console

from report_pages import Page
from run_folders import write_evaluation, write_run
from signals import noise
from timbrel import cli
from timbrel.analysis import generation_gates, held_gates, latent_gates, slider_gates
from timbrel.analysis.evaluation import MeanScore
from timbrel.attributes.measurement import measure
from timbrel.attributes.registry import ATTRIBUTES, CLIP_ATTRIBUTES, FRAME_ATTRIBUTES
from timbrel.commands.completion import candidates
from timbrel.config.limits import LIMITS
from timbrel.config.options import conf_folder
from timbrel.config.schema import OPEN_SECTIONS
from timbrel.config.slider_limits import SLIDER_LIMITS
from timbrel.config.stage_schemas import STAGES
from timbrel.data.measured.chunk_attributes import check_names
from timbrel.metrics.analysis_scores import ANALYSIS_SCORES, DISENTANGLEMENT, SLIDER_AXES
from timbrel.metrics.attributes import attribute_errors, measured_pitch
from timbrel.metrics.disentanglement import METRICS
from timbrel.metrics.frame_rate import frame_rate_lines_db
from timbrel.metrics.intervals import Interval
from timbrel.metrics.partials import partials_error_db
from timbrel.metrics.reconstruction import evaluate
from timbrel.metrics.ringing import ringing_db
from timbrel.metrics.scores import RUN_SCORES, SCORES
from timbrel.metrics.sliders import AXES
from timbrel.report.comparison import comparison_page
from timbrel.report.data_attributes import _SHOWN_OTHERWISE
from timbrel.report.run_report import write_run_report
from timbrel.runs.folder import read_run
from timbrel.stages.evaluation_tables import print_evaluation
from timbrel.stages.overrides import schema_keys
from timbrel.sweeps.study import read_study
from timbrel.training.wandb_log import _direction

ROOT = Path(__file__).parents[1]
MEANS = dict.fromkeys(SCORES, (0.5, 0.4, 0.6))


def test_of_two_channels_every_score_is_measured() -> None:
    time_s = np.arange(48_000) / 48_000
    note = 10 ** (-2 * time_s) * np.sin(2 * np.pi * 220 * time_s)
    sound = np.stack([note + noise(1.0, seed=seed) / 100 for seed in (0, 1)]).astype(np.float32)
    measured = measure(sound, 48_000)
    found = [
        *evaluate(sound, 0.5 * sound),
        *attribute_errors(measured, measured),
        "frame_rate_lines_db",
        "partials_error_db",
        "ringing_db",
    ]
    assert found == [name for name in SCORES if not name.startswith("second_")]
    assert frame_rate_lines_db(sound, sound, rate_hz=48_000, frame_rate_hz=93.75) == 0
    assert ringing_db(sound, sound, rate_hz=48_000) == 0
    pitch = measured_pitch(measured)
    assert partials_error_db(sound, sound, pitch, rate_hz=48_000) == 0


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder that has every score."""
    folder = write_run(tmp_path_factory.mktemp("runs") / "scored", mrstft=0.5)
    write_evaluation(folder, MEANS)
    return folder


def test_pages_show_every_score_with_what_it_means(scored: Path) -> None:
    page = write_run_report(scored)
    assert page is not None
    words = Page(page.read_text("utf-8")).words
    run = read_run(scored)
    compared = Page(comparison_page([run, run])).words
    for score in SCORES.values():
        assert words.count(score.heading) >= 2  # of the means, and of every file
        assert score.meaning in words
        assert score.heading in compared


def test_the_library_shows_every_score_and_lists_it(scored: Path, capsys) -> None:
    assert cli.main(["library", "show", str(scored)]) == 0
    shown = capsys.readouterr().out
    assert cli.main(["library", "list", "--csv", str(scored.parent)]) == 0
    columns = capsys.readouterr().out.splitlines()[0].split(",")
    for name, score in SCORES.items():
        assert score.heading in shown
        assert {f"test_{name}", f"test_{name}_low", f"test_{name}_high"} <= set(columns)


def test_the_terminal_shows_every_score() -> None:
    interval = Interval(0.5, 0.4, 0.6, 3)
    rows = [MeanScore("test", "model", name, interval) for name in SCORES]
    console = Console(width=200, record=True, quiet=True)
    with console.capture() as shown:
        console.quiet = False
        print_evaluation(rows, [], 100.0, console=console)
    assert all(score.heading in shown.get() for score in SCORES.values())


@pytest.mark.parametrize("name", SCORES)
def test_wandb_keeps_the_better_of_every_score(name: str) -> None:
    assert _direction(name) == ("max,last" if SCORES[name].better == "higher" else "min,last")


def test_a_study_may_ask_for_every_score(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("experiments", "all", "study.yaml")
    file.parent.mkdir(parents=True)
    names = [*SCORES, *RUN_SCORES, *ANALYSIS_SCORES]
    content = {"question": "Which?", "base": {}, "axes": {"seed": [0]}, "seeds": [0]}
    content |= {"axes": {"latent": ["vae"]}, "metrics": names, "analyze": "quick"}
    file.write_text(yaml.safe_dump(content, default_flow_style=True, width=9999))
    assert read_study("all").metrics == tuple(names)


def test_a_study_knows_every_slider_and_every_score_of_the_code() -> None:
    assert [*SLIDER_AXES, "level"] == [axis.name for axis in AXES]
    assert tuple(DISENTANGLEMENT) == METRICS


def test_every_limit_has_a_gate_and_every_gate_of_a_table_a_limit() -> None:
    apart = {"kl_floor", "held_out_loss", "generalisation_gap", "front_end_parity"}
    of_tables = {*generation_gates.GATES, *latent_gates.GATES, *held_gates.GATES}
    assert of_tables | apart | slider_gates.GATES.keys() == LIMITS.keys()
    assert slider_gates.GATES.keys() == SLIDER_LIMITS.keys()
    assert RUN_SCORES.keys() == LIMITS.keys() - {"front_end_parity", *SLIDER_LIMITS}
    assert SLIDER_LIMITS.keys() <= ANALYSIS_SCORES.keys()
    for limit in LIMITS.values():
        assert limit.help
        assert limit.title
        assert bool(limit.alarm) == (limit.reads is not None)


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_is_told_of_and_has_its_files(name: str, capsys) -> None:
    assert (conf_folder() / f"{name}.yaml").is_file()
    assert (ROOT / "src" / "timbrel" / "stages" / f"{name}.py").is_file()
    assert name in candidates("timbrel ")
    assert f"timbrel {name}" in (ROOT / "README.md").read_text("utf-8")
    assert cli.main(["--help"]) == 0
    assert STAGES[name].summary in capsys.readouterr().out


def test_every_attribute_is_measured_and_shown() -> None:
    sound = np.stack([noise(0.5, seed=seed) for seed in (0, 1)]).astype(np.float32)
    found = measure(sound, 48_000)
    for attribute in CLIP_ATTRIBUTES:
        value = found.value(attribute.name)
        assert value is None or attribute.low <= value <= attribute.high
    for attribute in FRAME_ATTRIBUTES:
        values, defined = found.track(attribute.name)
        assert values.shape == defined.shape == found.frame_values.shape[1:]
    names = {attribute.name for attribute in ATTRIBUTES}
    assert names == {a.name for a in (*CLIP_ATTRIBUTES, *FRAME_ATTRIBUTES)}
    assert names >= _SHOWN_OTHERWISE
    check_names([a.name for a in FRAME_ATTRIBUTES], [a.name for a in CLIP_ATTRIBUTES])


def keys_of(stage: str) -> list[tuple[str, Any]]:
    return [(key, item) for key, _, item in schema_keys(STAGES[stage].schema)]


@pytest.mark.parametrize("stage", STAGES)
def test_every_key_is_explained(stage: str) -> None:
    for key, item in keys_of(stage):
        assert item.metadata.get("help") or key in OPEN_SECTIONS, key


@pytest.mark.parametrize("stage", STAGES)
def test_every_key_is_set_in_a_test_or_an_option(stage: str) -> None:
    """As an override (`data.fold=1`), an argument (`fold=1`) or in a YAML of `conf/`."""
    tests = [p for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__)]
    words = "\n".join(path.read_text("utf-8") for path in tests)
    options = "\n".join(p.read_text("utf-8") for p in conf_folder().rglob("*.yaml"))
    for key, _ in keys_of(stage):
        leaf = key.rpartition(".")[2]
        set_in_a_test = re.search(rf"(?<![\w-]){leaf}=", words)
        set_in_yaml = re.search(rf"^\s*{leaf}: *\S", options, re.M)
        assert set_in_a_test or set_in_yaml or key in OPEN_SECTIONS, key
