"""Study files: what is read, and every mistake with its name."""

from pathlib import Path

import pytest
import yaml

from timbrel.errors import UserError
from timbrel.sweeps.study import read_study, study_names

GOOD = {
    "question": "Which one?\n",
    "base": {"trainer.max_time": "2m"},
    "axes": {"architecture": ["spectral", "rave_small"], "architecture.latent_dim": [8, 32]},
    "seeds": [0, 1],
    "metrics": ["mrstft"],
    "budget": "40m",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str = "mine", **changes) -> None:
    content = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    file = Path("experiments", name, "study.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content))


def test_a_study_is_its_grid(here) -> None:
    write()
    study = read_study("mine")
    assert (study.question, study.seeds, study.budget_s) == ("Which one?", (0, 1), 2400.0)
    assert [cell.label for cell in study.cells()] == [
        "architecture=spectral latent_dim=8",
        "architecture=spectral latent_dim=32",
        "architecture=rave_small latent_dim=8",
        "architecture=rave_small latent_dim=32",
    ]
    assert study.cells()[1].folder == "architecture-spectral_latent_dim-32"


def test_an_analysis_brings_metrics_of_its_own(here) -> None:
    metrics = ["mrstft", "sliders/ok", "sliders/pitch/sdot", "disentanglement/mig", "sliders"]
    write(analyze="quick", metrics=metrics)
    assert (read_study("mine").analyze, read_study("mine").metrics) == ("quick", tuple(metrics))
    write()
    assert read_study("mine").analyze is None
    write(analyze="full", metrics=["disentanglement/migs"])
    with pytest.raises(UserError, match="did you mean 'disentanglement/mig'"):
        read_study("mine")


def test_cells_of_like_names_have_folders_of_their_own(here) -> None:
    write(axes={"architecture.encoder.strides": [[1, 2], "1_2", None]})
    folders = [cell.folder for cell in read_study("mine").cells()]
    assert folders == ["strides-_1_2", "strides-1_2", "strides-null"]
    assert len(set(read_study("mine").cells())) == 3  # lists and all
    write(axes={"data.short": ["a b", "a,b"]})
    assert [c.folder for c in read_study("mine").cells()] == ["short-a_b", "short-a_b_2"]


def test_timbrels_own_studies_are_found_anywhere_and_the_users_come_first(here) -> None:
    assert "architectures" in study_names()
    assert len(read_study("architectures").cells()) == 4
    write("architectures", question="Mine?")
    assert read_study("architectures").question == "Mine?"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axis": {}}, "axis: no such key .*; did you mean 'axes'"),
        ({"question": None}, "question: not set"),
        ({"axes": {}}, "axes: not set"),
        ({"axes": {"architecture": "rave"}}, "axes: architecture: expected a list"),
        ({"axes": {"architecture": ["rave", "rave"]}}, "architecture: rave is there twice"),
        ({"axes": {"seed": [1, 2]}}, "axes: seed: not here; seeds"),
        ({"axes": {"hydra.job.num": [1]}}, "no key of timbrel train"),
        ({"base": {"hydra/launcher": "joblib"}}, "no key of timbrel train"),
        ({"base": {"trainer": {"max_time": "2m"}}}, "write dotted keys, such as 'trainer.max_t"),
        ({"base": {"architecture": "rave"}}, "base: architecture: an axis too"),
        ({"seeds": [0, 0]}, "seeds: one is there twice"),
        ({"seeds": ["a"]}, "seeds: expected whole numbers"),
        ({"metrics": ["mrstf"]}, "no score 'mrstf' .*; did you mean 'mrstft'"),
        ({"metrics": ["sliders/ok"]}, "sliders/ok: of the analysis.*add the key 'analyze: quick'"),
        ({"analyze": "quik"}, "analyze: quik: quick or full.*did you mean 'quick'"),
        ({"analyze": True}, "analyze: True: quick or full, or leave it out"),
        ({"budget": "soon"}, "budget: 'soon' is not a duration"),
        ({"base": {f"loss.weights.w{i}": 1 for i in range(40)}}, "a delta of under 40"),
    ],
)
def test_mistakes_name_file_and_key(here, changes, message) -> None:
    write(**changes)
    with pytest.raises(UserError, match=message) as told:
        read_study("mine")
    assert "experiments/mine/study.yaml" in str(told.value)


@pytest.mark.parametrize("name", ["../mine", "", "min e"])
def test_a_name_is_a_name(here, name) -> None:
    with pytest.raises(UserError, match="a name of letters"):
        read_study(name)


def test_an_unknown_study_names_the_nearest(here) -> None:
    with pytest.raises(UserError, match=r"no experiments/architectres.*mean 'architectures'"):
        read_study("architectres")


def test_a_key_twice_is_told_and_not_lost(here) -> None:
    write()
    file = Path("experiments/mine/study.yaml")
    file.write_text(file.read_text().replace("axes:\n", "axes:\n  latent: [vae]\n  latent: [ar]\n"))
    with pytest.raises(UserError, match=r"study.yaml' is not YAML: 'latent' is there twice .* 3,"):
        read_study("mine")


def test_a_file_of_another_encoding_is_told(here) -> None:
    write()
    Path("experiments/mine/study.yaml").write_bytes(b"question: caf\xe9\n")
    with pytest.raises(UserError, match=r"study.yaml' cannot be read as UTF-8 text"):
        read_study("mine")


def test_broken_yaml_is_told_with_its_place(here) -> None:
    write()
    Path("experiments/mine/study.yaml").write_text("axes: [1,\n")
    with pytest.raises(UserError, match=r"is not YAML: .* line 2"):
        read_study("mine")
