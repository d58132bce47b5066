"""A decoder for one pitch at a time refuses recordings without one, and inspect tells of them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

import signals
from models.presets import option
from stages.training_jobs import TINY
from timbrel.data.chunks.conditions import MONOPHONIC
from timbrel.stages import inspect, train

DDSP = (
    "architecture=ddsp_small",
    *(t for t in TINY if not t.startswith("architecture=")),
    "architecture.decoder.blocks=1",
    "architecture.decoder.partials=4",
)


@pytest.fixture
def hisses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six bursts of noise."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "hisses"
    folder.mkdir()
    for seed in range(6):
        burst = 0.1 * signals.noise(0.5, seed=seed) * np.linspace(1, 0, 24_000, dtype=np.float32)
        soundfile.write(folder / f"hiss_{seed}.wav", burst, 48_000)
    return folder


@pytest.mark.parametrize("more", [[], ["dry_run=true"]])
def test_noise_is_refused_before_there_is_a_run(hisses: Path, more: list[str], capsys) -> None:
    assert train.main([f"data.root={hisses}", *DDSP, *more]) == 2
    told = capsys.readouterr().err
    assert "architecture.decoder.least_voiced=0.6: of what sounds in the recordings 0%" in told
    assert "architecture.decoder.least_voiced=0 to train nevertheless" in told
    assert not (hisses.parent / "outputs").exists()


def test_noise_is_trained_on_where_it_is_asked_for(hisses: Path, capsys) -> None:
    words = [f"data.root={hisses}", *DDSP, "dry_run=true"]
    assert train.main([*words, "architecture.decoder.least_voiced=0"]) == 0


def test_tones_are_trained_on(recordings: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main([f"data.root={recordings}", *DDSP, "dry_run=true"]) == 0
    assert option("architecture", "ddsp").decoder.least_voiced == MONOPHONIC


def test_a_recurrent_stack_is_trained_and_another_name_refused(
    recordings: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [f"data.root={recordings}", *DDSP, "dry_run=true"]
    assert train.main([*words, "architecture.decoder.stack=recurrent"]) == 0
    assert train.main([*words, "architecture.decoder.stack=lstm"]) == 2
    told = capsys.readouterr().err
    assert "architecture: decoder.stack=lstm: convolutional or recurrent" in told


@pytest.mark.slow
def test_inspect_tells_how_much_has_a_pitch(hisses: Path, recordings: Path, capsys) -> None:
    told = []
    for folder in (hisses, recordings):
        assert inspect.main([f"data.root={folder}", "workers=0", "report=page.html"]) == 0
        told.append(capsys.readouterr().out)
    assert "0% of what sounds has a clear pitch: too little for architecture=ddsp" in told[0]
    assert "% of what sounds has a clear pitch: enough for architecture=ddsp" in told[1]
    page = (hisses.parent / "page.html").read_text("utf-8")
    assert "with a clear pitch, of what sounds" in page
