"""`timbrel generate source=keys`: samples, their table, and the SFZ file that maps them."""

import csv
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bundles import small_bundle, tone_bundle
from signals import sine
from timbrel.attributes.measurement import measure
from timbrel.audio.sfz import Region, sfz_text
from timbrel.generation.playing.note import hz_of
from timbrel.stages import generate

RATE_HZ = 48_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone_bundle(tmp_path_factory.mktemp("sampler") / "model")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seconds = np.arange(RATE_HZ) / RATE_HZ
    held = np.interp(seconds, [0, 0.1, 0.12, 0.6, 0.8, 1], [-99, -99, 0, 0, -61, -99])
    plucked = np.interp(seconds, [0, 0.05, 0.06, 1], [-99, -99, 0, -60])
    for name, level in (("held", held), ("plucked", plucked)):
        soundfile.write(f"{name}.wav", 0.3 * 10 ** (level / 20) * sine(220.0, 1.0), RATE_HZ)


def sampled(model: Path, *words: str) -> int:
    words = ("sound=held.wav", "seconds=0.8", *words)
    return generate.main([f"model={model}", "device=cpu", "source=keys", "output=out", *words])


def table() -> list[dict[str, str]]:
    with next(Path("out").glob("*.csv")).open(newline="") as file:
        return list(csv.DictReader(file))


def regions(name: str = "tone") -> list[dict[str, str]]:
    lines = Path(f"out/{name}.sfz").read_text().splitlines()
    return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in lines if "<region>" in line]


def test_every_key_layer_and_take_is_in_tune_level_and_mapped(model: Path, capsys) -> None:
    assert sampled(model, "keys=A2-A3:6", "velocities=2") == 0
    assert "12 samples of 3 keys, within" in capsys.readouterr().out
    found = regions()
    assert [(r["lokey"], r["hikey"], r["pitch_keycenter"]) for r in found[::4]] == [
        ("43", "48", "45"),
        ("49", "54", "51"),
        ("55", "60", "57"),
    ]
    assert {(r["lovel"], r["hivel"], r["seq_length"], r["seq_position"]) for r in found} == {
        (low, high, "2", take) for low, high in (("1", "63"), ("64", "127")) for take in "12"
    }
    for region in found:
        audio, rate_hz = soundfile.read(Path("out", region["sample"]), dtype="float32")
        assert soundfile.info(Path("out", region["sample"])).subtype == "PCM_24"
        measured = measure(audio[None], rate_hz)
        f0_hz = measured.value("f0_hz") * 2 ** (int(region.get("tune", 0)) / 1200)
        assert abs(1200 * np.log2(f0_hz / hz_of(int(region["pitch_keycenter"])))) < 2
        volume = float(region.get("volume", 0))
        assert measured.value("loudness_lufs") + volume == pytest.approx(-18, abs=0.3)
        assert np.argmax(np.abs(audio) > 0.1 * np.abs(audio).max()) < 0.015 * rate_hz
        assert region["loop_mode"] == "loop_sustain"
        assert 0 < int(region["loop_start"]) < int(region["loop_end"]) < 0.85 * rate_hz
        assert len(audio) > 0.8 * rate_hz
    takes = [soundfile.read(Path("out", r["sample"]))[0] for r in found[:2]]
    assert len(takes[0]) != len(takes[1]) or np.abs(takes[0] - takes[1]).max() > 0.001


def test_the_same_command_goes_on_and_other_settings_are_refused(model: Path, capsys) -> None:
    words = ["keys=A2-A3:12", "velocities=1", "round_robins=1"]
    assert sampled(model, *words) == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    Path("out/tone_045_v127_1.wav").unlink()
    lines = Path("out/tone.csv").read_text()
    Path("out/tone.csv").write_text(lines[:-9])  # as if killed amid the last line
    assert sampled(model, *words) == 0
    after = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    del before["tone.csv"], after["tone.csv"]
    assert before == after
    assert sampled(model, *words) == 0
    assert "2 samples of 2 keys, 2 were there" in capsys.readouterr().out
    assert sampled(model, *words, "gain_db=-3") == 2
    assert "samples of other settings; name another folder" in capsys.readouterr().err


def test_what_rings_out_has_no_loop(model: Path) -> None:
    words = ["keys=57", "velocities=1", "round_robins=1", "sound=plucked.wav", "seconds=null"]
    assert sampled(model, *words) == 0
    [region] = regions()
    assert region["loop_mode"] == "no_loop"
    [row] = table()
    assert 0.8 < float(row["seconds"]) < 1.3


def test_without_a_pitch_each_key_is_another_sound(tmp_path: Path, capsys) -> None:
    other = small_bundle(tmp_path / "model", louder=1.0)
    words = ["keys=C2-D2", "velocities=1", "round_robins=1", "sound=null", "seconds=null"]
    assert sampled(other, *words, "seed=3") == 0
    assert "has no pitch: one sound of the model for each key" in capsys.readouterr().out
    found = regions("tiny")
    assert [(r["lokey"], r["hikey"], r["loop_mode"]) for r in found] == [
        (str(key), str(key), "one_shot") for key in (36, 37, 38)
    ]
    assert len({Path("out", r["sample"]).read_bytes()[-3000:] for r in found}) == 3
    assert [row["cents"] for row in table()] == [""] * 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["output=a.wav"], "output=a.wav is one file; source=keys takes a folder"),
        (["controls.level_db=3"], "controls: not with source=keys"),
        (["strength=0.2"], "strength=0.2: only source=vary"),
        (["keys=C9-C2"], "keys=C9-C2: FROM-TO:STEP"),
        (["input=held.wav"], "input=held.wav: source=keys does not take it"),
    ],
)
def test_what_cannot_be_sampled_is_told(model: Path, words: list[str], said: str, capsys) -> None:
    assert sampled(model, *words) == 2
    assert said in capsys.readouterr().err


def test_a_sound_without_a_pitch_is_refused_where_it_is_named(tmp_path: Path, capsys) -> None:
    other = small_bundle(tmp_path / "model", louder=1.0)
    assert sampled(other, "keys=C2-D2") == 2
    assert "held.wav has no pitch that the model follows; leave sound= out" in (
        capsys.readouterr().err
    )


def test_a_region_says_what_is_corrected() -> None:
    region = Region("a b.wav", (59, 62), 60, (1, 127), 1, 1, -3, 1.5, (100, 200))
    assert sfz_text("a", [region], release_s=0.5).splitlines() == [
        "// a",
        "<global> amp_veltrack=100 ampeg_release=0.5",
        "<region> lokey=59 hikey=62 pitch_keycenter=60 lovel=1 hivel=127 tune=-3 volume=1.5 "
        "loop_mode=loop_sustain loop_start=100 loop_end=200 sample=a b.wav",
    ]


@pytest.mark.skipif(not importlib.util.find_spec("sfzlint"), reason="sfzlint is not installed")
def test_a_sampler_reads_it(model: Path) -> None:
    assert sampled(model, "keys=A2-A3:12", "velocities=1") == 0
    program = "from sfzlint.cli import sfzlint; sfzlint()"
    words = [sys.executable, "-c", program, "--no-pickle", "out/tone.sfz"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
