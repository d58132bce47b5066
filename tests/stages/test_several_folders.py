"""Trainings on several folders, and on few files, from the outside."""

import csv
import json
from pathlib import Path

import pytest
import soundfile

from signals import noise
from stages.training_jobs import FAST, TINY, lean, only_run
from timbrel.stages import evaluate, inspect, train

SHORT = (*(t for t in TINY if not t.startswith("trainer.max_steps")), "trainer.max_steps=2")
SHARES = ("data.validation_fraction=0.2", "data.test_fraction=0.4")


@pytest.fixture
def hats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six bursts of noise in a folder whose name needs quotes; the working folder is empty.

    One has the name of a tone in `recordings`.
    """
    lean(monkeypatch)
    folder = tmp_path / "hi hats, it's"
    folder.mkdir()
    for name in ("tone_0", *(f"hat_{i}" for i in range(5))):
        sound = noise(0.2, seed=len(list(folder.iterdir())))
        soundfile.write(folder / f"{name}.wav", sound, 44_100, subtype="PCM_24")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def quoted(folder: Path) -> str:
    return "data.also=['" + str(folder).replace("'", "\\'") + "']"


def table(run: Path, name: str) -> list[dict[str, str]]:
    with (run / "evaluation" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def passed(run: Path) -> dict[str, str]:
    return {row["gate"]: row["passed"] for row in table(run, "gates")}


def test_beside_the_demo_set(hats: Path, tmp_path: Path) -> None:
    assert train.main(["data=demo", "data.files=4", quoted(hats), *SHORT, *SHARES]) == 0
    run = only_run(tmp_path / "here")
    kinds = {row["file"].split("_")[0].split("/")[0] for row in table(run, "files")}
    assert "hi hats, it's" in kinds
    assert kinds & {"pluck", "strike", "noise"}
    assert passed(run)["front_end_parity"] == "yes"


def test_it_trains_is_scored_and_goes_on(
    hats: Path, recordings: Path, tmp_path: Path, capsys
) -> None:
    assert train.main([f"data.root={recordings}", quoted(hats), *SHORT, *SHARES]) == 0
    run = only_run(tmp_path / "here")
    card = json.loads((run / "model" / "card.json").read_text())
    assert card["trained_on"]["names"] == [recordings.name, "hi hats, it's"]
    assert evaluate.main([f"run={run}", *FAST]) == 0
    scored = {(row["part"], row["file"]) for row in table(run, "files")}
    assert len({name for _, name in scored}) == 12
    held_out = {name for part, name in scored if part != "train"}
    assert any(name.startswith("hi hats, it's/") for name in held_out)
    assert passed(run)["front_end_parity"] == "yes"
    assert train.main([f"run={run}"]) == 0

    hats.rename(hats.with_name("moved"))
    capsys.readouterr()
    assert evaluate.main([f"run={run}", *FAST]) == 2
    assert "hi hats, it's (data.also) as well, which is not there" in capsys.readouterr().err
    assert train.main([f"run={run}"]) == 2
    assert "hi hats, it's (data.also) as well, which is not there" in capsys.readouterr().err


@pytest.mark.slow
def test_it_goes_on_elsewhere_and_after_its_recordings_moved(
    hats: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    here = tmp_path / "here"
    hats.rename(here / "hats")
    (here / "lists.json").write_text(json.dumps({
        "hats": {"train": ["hat_0.wav", "hat_1.wav", "hat_2.wav"], "test": ["hat_3.wav"]}
    }))  # fmt: skip
    words = ["data.root=hats", "data.split_file=lists.json", "data.cache_dir=cache"]
    assert train.main([*words, *SHORT, "hydra.run.dir=run"]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = "run=../here/run"
    assert train.main([run, "logger=none", "logger.group=take ${n}"]) == 0
    assert list(Path().iterdir()) == []

    (here / "hats").rename(tmp_path / "moved")
    capsys.readouterr()
    assert train.main([run]) == 2
    assert "give data_root=FOLDER, where they lie now" in capsys.readouterr().err
    assert train.main([run, "data.root=../moved"]) == 2
    assert "for recordings that moved: data_root=FOLDER" in capsys.readouterr().err
    assert train.main([run, "data_root=../moved"]) == 0
    assert evaluate.main([run, "data_root=../moved", "evaluate.parts=[test]", *FAST]) == 0

    (tmp_path / "moved" / "hat_0.wav").write_bytes((tmp_path / "moved/hat_4.wav").read_bytes())
    for stage in (train, evaluate):
        assert stage.main([run, "data_root=../moved"]) == 2
        assert "or their split have changed since it began" in capsys.readouterr().err
    assert train.main(["data_root=../moved", "data=demo"]) == 2
    assert "a new run takes data.root" in capsys.readouterr().err
    (here / "lists.json").unlink()
    for stage in (train, evaluate):
        assert stage.main([run, "data_root=../moved"]) == 2
        assert "(data.split_file), which is not there" in capsys.readouterr().err


def test_inspect_lists_all_of_them(hats: Path, recordings: Path, tmp_path: Path, capsys) -> None:
    listed = tmp_path / "table.csv"
    words = [f"data.root={recordings}", quoted(hats), f"output={listed}", "report=page.html"]
    assert inspect.main([*words, "attributes=false"]) == 0
    with listed.open(newline="") as file:
        paths = {row["path"] for row in csv.DictReader(file)}
    assert {"tone_0.wav", "hi hats, it's/tone_0.wav", "hi hats, it's/hat_4.wav"} < paths
    assert "12 train," in " ".join(capsys.readouterr().out.split())
    assert "hat_4.wav" in Path("page.html").read_text()


def test_beside_lists_further_folders_train(
    hats: Path, recordings: Path, tmp_path: Path, capsys
) -> None:
    lists = tmp_path / "lists.json"
    lists.write_text(
        json.dumps({
            "train": ["tone_0.wav", "tone_1.wav"], "validation": ["tone_2.wav"],
            "test": ["tone_3.wav", "tone_4.wav"],
        })
    )  # fmt: skip
    words = [f"data.root={recordings}", f"data.split_file={lists}", quoted(hats), *SHORT]
    assert train.main([*words, "data.train_files=7", "dry_run=true"]) == 0
    told = capsys.readouterr().err
    assert "(7 train, 1 validation, 2 test)" in told
    assert "apply to data.root only: all 6 recording(s) of data.also are used for training" in told
    assert "data.train_files=7 of 8: seed 0 draws" in told


def test_more_files_than_there_are_is_refused(hats: Path, recordings: Path, capsys) -> None:
    assert train.main([f"data.root={recordings}", *SHORT, "data.train_files=5"]) == 2
    assert "data.train_files=5: only 4 recording(s) train, beside 1 for" in capsys.readouterr().err
