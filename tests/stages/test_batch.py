"""`timbrel generate count=N`: a manifest that tells every sound, and goes on where it was ended."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from bundles import small_bundle
from timbrel.stages import generate
from timbrel.stages.manifest import Manifest


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("batch") / "model", louder=1.0)


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def batch(model: Path, *words: str) -> int:
    return generate.main([f"model={model}", "device=cpu", "seconds=0.05", "output=out", *words])


def lines() -> list[dict[str, str]]:
    with Path("out/manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def sounds() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path("out").glob("*.wav"))}


def test_a_line_per_sound_and_the_same_command_does_nothing_more(model: Path, capsys) -> None:
    assert batch(model, "count=3", "seed=5") == 0
    assert "3 sounds written: out/manifest.csv" in capsys.readouterr().out
    assert [line["seed"] for line in lines()] == ["5", "6", "7"]
    assert [line["file"] for line in lines()] == [f"tiny_prior_seed{i}.wav" for i in (5, 6, 7)]
    first = sounds()
    assert batch(model, "count=4", "seed=5") == 0
    assert "1 sounds written, 3 were there" in capsys.readouterr().out
    assert {name: sounds()[name] for name in first} == first
    for line in lines():
        assert float(line["seconds"]) == soundfile.info(Path("out") / line["file"]).duration
    assert (
        generate.main([f"model={model}", "device=cpu", "seconds=0.05", "output=one", "seed=6"]) == 0
    )
    assert next(Path("one").iterdir()).read_bytes() == first["tiny_prior_seed6.wav"]


def test_other_settings_are_other_sounds_in_the_same_manifest(model: Path) -> None:
    assert batch(model, "count=2") == 0
    assert batch(model, "count=2", "temperature=0.5") == 0
    assert [line["file"] for line in lines()][2:] == [f"tiny_prior_seed{i}-2.wav" for i in (0, 1)]
    assert len({line["settings"] for line in lines()}) == 2
    assert batch(model, "count=2") == 0
    assert len(lines()) == 4


def test_a_sound_that_was_removed_is_made_again(model: Path) -> None:
    assert batch(model, "count=3") == 0
    before = sounds()
    Path("out/tiny_prior_seed1.wav").unlink()
    assert batch(model, "count=3") == 0
    assert sounds() == before


def test_a_batch_that_is_killed_goes_on_to_the_same_sounds(model: Path) -> None:
    words = ["count=40", "seconds=0.05", f"model={model}", "device=cpu", "device.threads=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "timbrel", "generate", *words, "output=out"],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(sounds()) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    at_kill = sounds()
    assert 3 <= len(at_kill) < 40
    with Path("out/manifest.csv").open("r+") as file:  # as if killed amid the last line
        whole = file.read()
        file.truncate(len(whole) - 9)
    assert batch(model, "count=40", "device.threads=1") == 0
    assert [line["seed"] for line in lines()] == [str(i) for i in range(40)]
    assert list(sounds()) == sorted(f"tiny_prior_seed{i}.wav" for i in range(40))
    assert {name: sounds()[name] for name in at_kill} == at_kill


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["count=2", "output=one.wav"], "count=2 asks for several; name a folder"),
        (["count=2", "source=file", "input=a.wav"], "source=file gives one sound"),
        (["count=0"], "count=0"),
        (["novelty=0.3"], "knows no recordings to compare with"),
        (["novelty=2"], "novelty=2"),
        (["attributes.centroid=900"], "did you mean 'attributes.centroid_hz'"),
        (["attributes.centroid_hz=-3"], "attributes.centroid_hz=-3"),
        (["source=continue", "input=a.wav", "attributes.flatness=0.5"], "only source=prior"),
    ],
)
def test_what_cannot_be_is_told(model: Path, words: list[str], said: str, capsys) -> None:
    soundfile.write("a.wav", [0.1, -0.1] * 9600, 48_000)
    assert batch(model, *words) == 2
    assert said in capsys.readouterr().err
    assert not list(Path().glob("**/*seed*"))


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "", "file;seed\n"])
def test_a_file_that_is_no_manifest_is_left_alone(model: Path, text: str, capsys) -> None:
    Path("out").mkdir()
    Path("out/manifest.csv").write_text(text)
    assert batch(model, "count=2") == 2
    assert "is no manifest of sounds; name another folder by output=" in capsys.readouterr().err
    assert Path("out/manifest.csv").read_text() == text


def test_any_bytes_of_a_name_are_kept(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path, "d")
    manifest.add(3, tmp_path / "a\udcff,\n.wav", {"made_of": 'x "y"'})
    again = Manifest(tmp_path, "d")
    assert not again.holds(3)  # no such file
    (tmp_path / "a\udcff,\n.wav").touch()
    assert again.holds(3)
    assert not Manifest(tmp_path, "e").holds(3)


def test_steering_moves_what_is_asked_for(model: Path, capsys) -> None:
    assert batch(model, "attributes.centroid_hz=300", "seconds=0.3") == 0
    low = capsys.readouterr().out
    assert batch(model, "attributes.centroid_hz=20000", "seconds=0.3") == 0
    high = capsys.readouterr().out
    found = [float(said.split("centroid_hz ")[1].split()[0]) for said in (low, high)]
    assert found[0] < found[1]
    assert "(asked 300)" in low
