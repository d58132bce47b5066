"""`reproduce.sh` and `timbrel train reproduce=FOLDER`: the training again, and beside the first."""

import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stages.training_jobs import TINY, lean, only_run
from timbrel.runs.folder import read_metrics
from timbrel.stages import train, watchers
from timbrel.stages.composing import compose
from timbrel.stages.reproduction import script_text
from timbrel.training.callbacks import Clock

SHORT = [text for text in TINY if not text.startswith("trainer.max")]
RECORD = {
    "git_revision": "abc",
    "python": "3.11.7",
    "versions": {"timbrel": "0.1.0", "torch": "2"},
    "device": {"accelerator": "cpu", "threads": 1},
    "data_hash": "f00",
}


@pytest.fixture(scope="module")
def original(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training by the clock, of a second a step, that was stopped and resumed in between."""
    folder = tmp_path_factory.mktemp("reproduced")
    ticks = itertools.count()

    def now_s() -> float:
        tick = next(ticks)
        if tick == 18:
            raise KeyboardInterrupt
        return float(tick)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        lean(monkeypatch)
        monkeypatch.setattr(watchers, "Clock", partial(Clock, now_s=now_s))
        given = [f"data.root={recordings}", "name=it's ${n} ~x", "augmentation=light"]
        limits = ["trainer.max_time=24s", "trainer.max_steps=null"]
        assert train.main([*given, *SHORT, *limits]) == 130
        run = only_run(folder)
        assert train.main([f"run={run}"]) == 0
    return run


@pytest.fixture(scope="module")
def repeated(original: Path) -> Path:
    """The original, trained again on the real clock."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = original.parents[1] / "again"
        folder.mkdir()
        monkeypatch.chdir(folder)
        lean(monkeypatch)
        assert train.main([f"reproduce=../outputs/{original.name}"]) == 0
    return only_run(folder)


def found_in(run: Path) -> dict[str, Any]:
    return json.loads((run / "reproduced.json").read_text())  # type: ignore[no-any-return]


def test_a_resumed_training_by_the_clock_is_reproduced_bit_for_bit(
    original: Path, repeated: Path
) -> None:
    found = found_in(repeated)
    assert (found["matches"], found["exactly"], found["differs"]) == (True, True, [])
    names = {row["name"] for row in found["rows"]}
    assert {"train/loss", "train/learning_rate", "validation/loss", "score/test_mrstft"} <= names
    assert {row["difference"] for row in found["rows"]} == {0.0}
    curves = [read_metrics(folder / "metrics.csv") for folder in (original, repeated)]
    clocks = [curve.pop("train/elapsed_s") for curve in curves]
    assert curves[0] == curves[1]
    assert clocks[0] != clocks[1]  # its steps are not of a second
    assert len(curves[0]["train/loss"]) > 20
    assert f"reproduce='{original}'" in shlex.split((repeated / "reproduce.sh").read_text(), True)


def test_a_tampered_curve_is_found(
    original: Path, repeated: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    """By the repetition taken up again, which has nothing left to train."""
    lean(monkeypatch)
    run = shutil.copytree(repeated, tmp_path / "again")
    path = original / "metrics.csv"
    kept = path.read_bytes()
    lines = path.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.startswith("5,train/loss,"))
    lines[at] = "5,train/loss,3.25\n"
    path.write_text("".join(lines))
    try:
        assert train.main([f"run={run}"]) == 1
    finally:
        path.write_bytes(kept)
    (other,) = [row for row in found_in(run)["rows"] if not row["matches"]]
    assert other["name"] == "train/loss"
    told = capsys.readouterr()
    assert "NOT reproduced bit for bit" in told.out
    assert "reproduce: " not in told.err  # nothing is another now


def test_what_cannot_be_repeated_is_refused_with_the_way_out(
    original: Path, recordings: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    lean(monkeypatch)
    shutil.copytree(original, "first")

    def refused(*overrides: str) -> str:
        assert train.main(["reproduce=first", *overrides]) == 2
        assert not Path("outputs").exists()
        return capsys.readouterr().err

    assert "only device and logger may change" in refused("seed=3")
    assert "one or the other" in refused("run=first")
    shutil.copytree(recordings, "other")
    Path("other/tone_0.wav").unlink()
    assert "the recordings or their split have changed" in refused("data_root=other")
    record = json.loads(Path("first/run.json").read_text())
    record["versions"]["torch"] = "1.0"
    Path("first/run.json").write_text(json.dumps(record))
    Path("first/last.ckpt").rename("kept")
    told = refused()
    assert "reproduce: torch " in told
    assert ", was 1.0" in told
    assert "it ended by the clock" in told
    Path("kept").rename("first/last.ckpt")
    shutil.rmtree("first/model")
    assert "to go on: timbrel train run=" in refused()
    assert train.main(["reproduce=nowhere"]) == 2
    assert "reproduce=nowhere: no such folder" in capsys.readouterr().err


def test_the_script_holds_the_command_as_it_was_given(original: Path, tmp_path: Path) -> None:
    script = original / "reproduce.sh"
    text = script.read_text()
    record = json.loads((original / "run.json").read_text())
    for value in (record["data_hash"], record["python"], record["versions"]["torch"]):
        assert str(value) in text
    assert "depends on the machine" in text
    words = _words(script, tmp_path)
    assert words[0] == "train"
    assert words[-1] == "seed=0"
    assert [word for word in words if word.startswith("trainer.max_time")] == [
        "trainer.max_time='24s'"
    ]
    assert compose("train", words[1:]).name == "it's ${n} ~x"


def test_a_script_is_safe_in_any_shell(tmp_path: Path) -> None:
    words = ["data.root='~/my $(touch x) kicks'", "name='a `b` \\'c\\' \\${d} \"'", "x=[a,b]"]
    path = tmp_path / "script.sh"
    path.write_text(script_text(words, RECORD, timed=False))
    path.chmod(0o755)
    assert _words(path, tmp_path) == ["train", *words]
    assert "depends on the machine" not in path.read_text()
    assert not (tmp_path / "x").exists()


def _words(script: Path, folder: Path) -> list[str]:
    """What a shell hands to `timbrel` when it runs the script."""
    stub = folder / "bin" / "timbrel"
    stub.parent.mkdir()
    stub.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    stub.chmod(0o755)
    path = f"{stub.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [script], env={**os.environ, "PATH": path}, capture_output=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))
