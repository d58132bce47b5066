"""`timbrel generate` with the config of the command line."""

import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import timbrel
from bundles import small_bundle
from signals import noise
from timbrel.errors import UserError
from timbrel.stages.composing import compose
from timbrel.stages.generate import generate, main


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("run") / "model", louder=1.0).parent


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _generate(model: Path, *overrides: str) -> list[Path]:
    return generate(compose("generate", [f"model={model}", "device=cpu", *overrides]))


def _sound(path: str, seconds: float = 0.3) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(seconds), 48_000)
    return Path(path)


@pytest.mark.parametrize("format", ["wav", "flac"])
@pytest.mark.parametrize("source", ["prior", "file"])
def test_python_writes_the_same_bytes(model: Path, format: str, source: str) -> None:
    _sound("in.wav")
    of_source = ["source=file", "input=in.wav"] if source == "file" else ["seconds=0.4"]
    [path] = _generate(
        model, *of_source, "seed=5", "gain_db=3", "fade_in_s=0.02", f"export={format}"
    )
    audio = timbrel.load(model).render(
        source="in.wav" if source == "file" else "prior",
        seconds=None if source == "file" else 0.4,
        seed=5,
        gain_db=3,
        fade_in_s=0.02,
    )
    audio.save(f"python.{format}", encoding="24")
    assert path.read_bytes() == Path(f"python.{format}").read_bytes()
    assert soundfile.info(path).duration == (0.4 if source == "prior" else 0.3)


@pytest.mark.parametrize(
    "name",
    ["../../x", "/tmp/x", "", ".", "..", "n" * 300, "a\0b", "a\nb", "\x1b[2J\x07", "gpj.\u202ewav"],
)
def test_a_models_name_is_no_path(model: Path, tmp_path: Path, name: str, capsys) -> None:
    stranger = shutil.copytree(model / "model", tmp_path / "stranger")
    card = stranger / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"name": name}))
    [path] = _generate(stranger, "seconds=0.05")
    assert path.parent == Path("outputs", "generated")
    assert path.name.isprintable()
    assert path.is_file()
    assert capsys.readouterr().out.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", 5), ("name", ["a"]), ("name", None), ("metrics", []), ("licence", 1)],
)
def test_a_card_of_other_kinds_is_damaged(model: Path, tmp_path: Path, key: str, value) -> None:
    stranger = shutil.copytree(model / "model", tmp_path / "stranger")
    card = stranger / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {key: value}))
    with pytest.raises(UserError, match=f"card.json' is damaged: {key} is no"):
        _generate(stranger)


def test_names_are_given_in_turn_and_one_line_says_what(model: Path, capsys) -> None:
    paths = [_generate(model, "seconds=0.1", "seed=2")[0] for _ in range(3)]
    assert [str(p) for p in paths] == [
        f"outputs/generated/tiny_prior_seed2{n}.wav" for n in ("", "-2", "-3")
    ]
    assert paths[0].read_bytes() == paths[2].read_bytes()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("outputs/generated/tiny_prior_seed2.wav: 0.10 s, peak ")
    with soundfile.SoundFile(paths[0]) as file:
        comment = json.loads(file.comment)
    assert comment["seed"] == 2
    assert comment["model_hash"] == timbrel.load(model).bundle.card.model_hash


def test_a_gain_reduction_is_told(model: Path, capsys) -> None:
    _generate(model, "seconds=0.2", "gain_db=60")
    assert "peak -1.0 dBTP, gain reduced by" in capsys.readouterr().out
    _generate(model, "seconds=0.2", "gain_db=-60")
    assert "reduced" not in capsys.readouterr().out


def test_a_folder_in_is_a_folder_out(model: Path, capsys) -> None:
    _sound("kicks/a.wav")
    _sound("kicks/b.wav")
    Path("kicks/broken.wav").write_bytes(b"RIFF")
    Path("kicks/notes.txt").write_text("not a sound")
    written = _generate(model, "source=file", "input=kicks", "output=again")
    assert [str(p) for p in written] == ["again/a.wav", "again/b.wav"]
    assert "passed over: 'kicks/broken.wav'" in capsys.readouterr().err


def test_a_folder_is_read_as_the_catalog_reads_it(model: Path, capsys) -> None:
    """By content, through sub-folders, without what is hidden or was written by timbrel."""
    for name in ("a.wav", "a.flac", "sub/a.wav", ".hidden/h.wav", "x" * 240 + ".wav"):
        _sound(f"in/{name}")
    _sound("in/bwf.wav").rename("in/loop.bwf")
    _sound("in/plain.wav").rename("in/plain")
    _generate(model, "seconds=0.1", "output=in/mine.wav")
    Path("in/gone.wav").symlink_to("nowhere")
    for _ in range(2):  # what the first call wrote is no input of the second
        written = _generate(model, "source=file", "input=in", "output=in/again")
        assert len(written) == 6
    names = [str(path.relative_to("in/again")) for path in written]
    assert names[:5] == ["a-3.wav", "a-4.wav", "loop-2.wav", "plain-2.wav", "sub/a-2.wav"]
    assert names[5].startswith("x" * 191 + "-")
    assert names[5].endswith("-2.wav")
    told = capsys.readouterr().err
    assert "passed over: 'in/mine.wav': written by timbrel (1 sound)" in told
    assert "passed over: 'in/again': written by timbrel (6 sounds)" in told
    assert "passed over: 'in/gone.wav': A link to a file that is not there" in told
    assert len(_generate(model, "source=file", "input=in/again", "output=third")) == 12


@pytest.mark.parametrize("name", [b"\xff.wav", "й".encode() * 125 + b".wav", "😀".encode() * 62])
def test_files_of_any_name_are_rendered(model: Path, name: bytes) -> None:
    _sound("in/a.wav").rename(Path("in", os.fsdecode(name)))
    assert len(_generate(model, "source=file", "input=in")) == 1
    assert len(_generate(model, "source=file", "input=in", "output=out")) == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seconds=0"], "seconds=0"),
        (["source=file"], "needs input="),
        (["source=file", "input=gone.wav"], "input=gone.wav: no such file"),
        (["source=file", "input=empty"], "no sound files"),
        (["input=a.wav"], "input=a.wav"),
        (["output=there.wav"], "output=there.wav exists"),
        (["output=new.flac"], "ends in .flac but export.format=wav; add export=flac"),
        (["output=new.mp3"], "ends in .mp3"),
        (["model=nowhere"], "model=nowhere: no such folder"),
        (["export=flac", "export.encoding=32f"], "export.encoding=32f"),
        (["device.precision=bf16"], "fp32"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(model, overrides, message, capsys) -> None:
    there = _sound("there.wav").read_bytes()
    Path("empty").mkdir() if "input=empty" in overrides else None
    arguments = [] if overrides[0].startswith("model=") else [f"model={model}"]
    assert main([*arguments, "device=cpu", *overrides]) == 2
    assert message in capsys.readouterr().err
    [left] = [path for path in Path().rglob("*") if path.is_file()]
    assert left.read_bytes() == there


def test_the_named_file_is_written(model: Path) -> None:
    assert _generate(model, "seconds=0.1", "output=deep/er/kick.wav") == [Path("deep/er/kick.wav")]
    assert [p.name for p in Path("deep/er").iterdir()] == ["kick.wav"]


def test_one_sample_and_silence(model: Path) -> None:
    soundfile.write("one.wav", np.zeros(1), 48_000)
    [path] = _generate(model, "source=file", "input=one.wav")
    assert soundfile.info(path).frames == 1
    soundfile.write("still.wav", np.zeros((5000, 2)), 44_100)
    [path] = _generate(model, "source=file", "input=still.wav")
    assert np.isfinite(soundfile.read(path)[0]).all()


def test_a_diverged_model_writes_nothing(tmp_path: Path) -> None:
    broken = small_bundle(tmp_path / "model", louder=float("nan"))
    with pytest.raises(UserError, match="not finite"):
        _generate(broken, "seconds=0.2")
    assert [p.name for p in tmp_path.rglob("*.wav")] == []


@pytest.mark.slow
def test_ten_minutes_in_constant_memory(model: Path) -> None:
    with soundfile.SoundFile("long.wav", "w", samplerate=48_000, channels=2) as file:
        for _ in range(600):
            file.write(np.zeros((48_000, 2), np.float32))
    _generate(model, "source=file", "input=long.wav", "seconds=30", "output=warm.wav")
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [path] = _generate(model, "source=file", "input=long.wav", "export.encoding=16")
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert soundfile.info(path).frames == 600 * 48_000
    assert grown_kib < 60 * 1024  # the rendered sound is 110 MiB as float32
