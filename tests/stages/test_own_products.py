"""A training whose outputs lie among its recordings: resumed, evaluated and started again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from signals import noise, sine
from stages.training_jobs import FAST, TINY, lean, only_run
from timbrel.data.scan.catalog import scan
from timbrel.stages import evaluate, generate, inspect, train

SHORT = [text for text in TINY if not text.startswith("trainer.max_steps")]


@pytest.fixture(autouse=True)
def _lean(monkeypatch: pytest.MonkeyPatch) -> None:
    lean(monkeypatch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six recordings, in which a training was started, and a sound rendered."""
    folder = tmp_path_factory.mktemp("kicks")
    for i in range(6):
        soundfile.write(folder / f"{i}.wav", noise(0.3, seed=i), 48_000, subtype="PCM_24")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        lean(monkeypatch)
        assert train.main(["data.root=.", *SHORT, "trainer.max_steps=2"]) == 0
        assert generate.main([f"model={only_run(folder)}", "seconds=0.1"]) == 0
    return folder


@pytest.fixture
def kicks(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def run_of(folder: Path) -> Path:
    (run,) = (path for path in (folder / "outputs").iterdir() if path.name != "generated")
    return run


def test_the_data_do_not_change_by_training(kicks: Path, capsys) -> None:
    assert train.main([f"run={run_of(kicks)}"]) == 0
    assert evaluate.main([f"run={run_of(kicks)}", "data_root=.", *FAST]) == 0
    told = capsys.readouterr().err
    assert "6 recordings" in told
    assert "outputs: Written by timbrel (1 sound and 1 run folder): not a recording" in told
    assert train.main(["data.root=.", *TINY, "dry_run=true", "data.skip_unreadable=false"]) == 0


def test_reconstructions_taken_out_of_the_run_are_known(kicks: Path) -> None:
    run = run_of(kicks)
    found = [*run.glob("evaluation/audio/**/*.wav"), *run.glob("audio/validation/**/*.wav")]
    (kicks / "outside").mkdir()
    for number, path in enumerate(sorted(found)):
        copies_a_recording = path.parent.name in ("reference", "original", "training")
        copies_a_recording |= path.name == "training.wav" or path.stem.endswith("_nearest")
        kind = "copy" if copies_a_recording else "made"
        shutil.copy(path, kicks / f"outside/{kind}_{number}.wav")
    left = {file.path for file in scan(kicks / "outside", workers=0).files if file.rate_hz}
    assert left
    assert left == {f"outside/{p.name}"[8:] for p in (kicks / "outside").glob("copy_*")}


def test_inspect_tells_on_the_screen_the_page_and_in_the_table(kicks: Path, capsys) -> None:
    words = ["data.root=.", "attributes=false", "report=page.html", "output=files.csv"]
    assert inspect.main(words) == 0
    out = capsys.readouterr().out
    assert "6 files: 6 ok" in out
    assert "1 by timbrel (-), left out" in out
    assert "Written by timbrel (1 sound and 1 run folder)" in out
    assert "outputs: not read." in Path("page.html").read_text("utf-8")
    assert "outputs,skip,Written by timbrel" in Path("files.csv").read_text("utf-8")


def test_favourites_are_fed_back_on_demand(kicks: Path, capsys) -> None:
    (sound,) = (kicks / "outputs/generated").iterdir()
    shutil.move(sound, kicks / "my favourite.wav")
    words = ["data.root=.", *TINY, "dry_run=true"]
    assert train.main(words) == 0
    assert "6 recordings" in capsys.readouterr().err
    assert train.main([*words, "data.include_generated=true"]) == 0
    assert "7 recordings" in capsys.readouterr().err


def test_recordings_do_not_become_part_of_a_run_folder(here: Path, recordings: Path, capsys):
    words = [f"data.root={recordings}", *SHORT, "trainer.max_steps=1"]
    assert train.main([*words, f"hydra.run.dir='{recordings}'"]) == 2
    assert "holds your recordings" in capsys.readouterr().err
    assert not (recordings / "config.yaml").exists()


def test_too_few_recordings_say_what_was_left_out(here: Path, capsys) -> None:
    folder = here.parent / "kicks"
    for name in "abcdef":
        soundfile.write(folder / f"{name}.wav", sine(220, 0.05), 48_000)
    soundfile.write(folder / "silent.wav", np.zeros(9600), 48_000)
    soundfile.write(folder / "short.wav", sine(220, 0.01), 48_000)
    (folder / "broken.wav").write_bytes(b"RIFF")
    words = [f"data.root={folder}", *TINY, "dry_run=true"]
    assert train.main(words) == 2
    told = capsys.readouterr().err
    assert "1 recording is too few to hold out whole ones" in told
    assert "5 the same as another, 1 that cannot be read, 1 too short, 1 silent" in told
    assert train.main([*words, "data.folds=3"]) == 2
    assert "5 the same as another" in capsys.readouterr().err
