"""An instrument whose decoder follows tracks: sounds that follow a recording, and curves."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_array_equal
from scipy.stats import spearmanr

import timbrel
from bundles import tone_bundle
from signals import sine
from timbrel.attributes.measurement import measure
from timbrel.errors import UserError
from timbrel.generation.controls.follow import SHARES
from timbrel.generation.controls.mapper import Mapper, Slider
from timbrel.library import Instrument
from timbrel.library.mapper_part import save_mapper
from timbrel.stages import generate

RATE_HZ = 48_000
LEVEL = Slider("level", "level", "LU", "gain", "level", (-12.0, 0.0, 12.0), (-12.0, 0.0, 12.0))
PITCH = Slider(
    "pitch", "harmony", "octaves", "operator", "pitch", (-12.0, 0.0, 12.0), (-1.0, 0.0, 1.0)
)
TABLES = {
    "loudness_db": tuple(np.linspace(-50.0, -20.0, len(SHARES))),
    "centroid_hz": tuple(np.linspace(8.0, 10.0, len(SHARES))),
    "f0_hz": tuple(np.linspace(7.0, 8.5, len(SHARES))),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tone_bundle(tmp_path_factory.mktemp("follow") / "model")
    save_mapper(folder, Mapper({"level": LEVEL, "pitch": PITCH}, {}, {}, tracks=TABLES))
    return folder


@pytest.fixture
def instrument(model: Path) -> Instrument:
    return timbrel.load(model)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    seconds = np.arange(2 * RATE_HZ) / RATE_HZ
    loud = np.interp(seconds, [0, 0.2, 1.0, 1.2, 1.4, 2.0], [0, 0.5, 0.2, 0, 0.4, 0.1])
    soundfile.write("voice.wav", loud * sine(440.0, 2.0), RATE_HZ)
    soundfile.write("note.wav", 0.3 * sine(220.0, 0.5) * np.exp(-4 * seconds[:24_000]), RATE_HZ)
    soundfile.write("silent.wav", np.zeros(4800), RATE_HZ)


@pytest.mark.parametrize(
    "given", [{}, {"source": "note.wav"}, {"source": "continue", "input": "note.wav"}]
)
def test_every_source_follows_for_as_long_as_the_voice(instrument: Instrument, given: dict) -> None:
    audio = instrument.render(**given, controls={"follow": "voice.wav"})
    assert audio.samples.shape == (1, 2 * RATE_HZ)
    told = audio.metadata["follow"]
    assert told == {"file": "voice.wav", "looseness": 0.0, "semitones": -12.0}
    assert "controls" not in audio.metadata
    voice, _ = soundfile.read("voice.wav")
    asked, heard = (
        measure(np.atleast_2d(sound).astype("f4"), RATE_HZ) for sound in (voice, audio.samples)
    )
    loud = asked.track("level_k_db")[0] > -45
    loud[-3:] = False
    levels = [one.track("level_k_db")[0][loud] for one in (asked, heard)]
    assert spearmanr(*levels).statistic > 0.95
    f0_hz, defined = heard.track("f0_hz")
    assert np.median(f0_hz[defined & loud]) == pytest.approx(220.0, rel=0.005)


def test_the_command_line_gives_the_same_sound_and_tells(model: Path, capsys) -> None:
    words = [f"model={model}", "device=cpu", "seconds=1", "output=out"]
    words += ["controls.from=voice.wav", "controls.looseness=0.2", "controls.transpose=-5"]
    words += ["controls.pitch_st=[[0,0],[1,3]]", "controls.curves=more.yaml"]
    Path("more.yaml").write_text("level_db: [[0, -6], [1, 0]]\n")
    assert generate.main(words) == 0
    said = capsys.readouterr().out
    assert "follows voice.wav (-5 semitones)" in said
    assert "pitch_st over time (2 breakpoints)" in said
    controls = {
        "follow": "voice.wav",
        "looseness": 0.2,
        "transpose": -5,
        "pitch_st": [(0, 0), (1, 3)],
        "level_db": [(0, -6), (1, 0)],
    }
    timbrel.load(model).render(seconds=1, controls=controls).save("python.wav")
    [path] = Path("out").iterdir()
    assert path.read_bytes() == Path("python.wav").read_bytes()
    with soundfile.SoundFile(path) as file:
        told = json.loads(file.comment)
    assert told["controls"] == {
        "pitch_st": [[0.0, 0.0], [1.0, 3.0]],
        "level_db": [[0.0, -6.0], [1.0, 0.0]],
    }
    assert told["follow"] == {"file": "voice.wav", "looseness": 0.2, "semitones": -5.0}


def test_a_preset_keeps_what_was_followed_and_its_curves(instrument: Instrument) -> None:
    controls = {"follow": "voice.wav", "level_db": [(0, -6), (1, 0)]}
    rendering = instrument.prepare(timbrel.library.RenderSettings(), controls=controls)
    first = np.concatenate(list(rendering.blocks), axis=1)
    instrument.save_preset("sung", rendering)
    Path("voice.wav").unlink()
    again = instrument.render(source="preset", input="sung")
    assert_array_equal(again.samples, first)
    assert again.metadata["controls"] == {"level_db": [[0.0, -6.0], [1.0, 0.0]]}


def test_curves_are_part_of_what_tells_batches_apart(model: Path, capsys) -> None:
    def batch(curve: str) -> str:
        words = [f"model={model}", "device=cpu", "seconds=0.1", "output=out", "count=2"]
        assert generate.main([*words, f"controls.level_db={curve}"]) == 0
        return capsys.readouterr().out

    Path("a.csv").write_text("seconds,value\n0,-6\n0.1,0\n")
    assert "2 sounds written:" in batch("a.csv")
    assert "0 sounds written, 2 were there" in batch("[[0,-6],[0.1,0]]")
    Path("a.csv").write_text("seconds,value\n0,-6\n0.1,-3\n")
    assert "2 sounds written:" in batch("a.csv")


def test_what_cannot_be_followed_is_told(instrument: Instrument, model: Path) -> None:
    with pytest.raises(UserError, match=r"silent\.wav: nothing but silence"):
        instrument.render(controls={"follow": "silent.wav"})
    click = np.pad(0.5 * sine(440.0, 0.05), (24_000, 24_000))
    soundfile.write("click.wav", click, RATE_HZ)
    assert np.abs(instrument.render(controls={"follow": "click.wav"}).samples).max() > 0
    with pytest.raises(
        UserError, match=r"click\.wav: nothing but silence at controls\.looseness=1"
    ):
        instrument.render(controls={"follow": "click.wav", "looseness": 1.0})
    instrument.mapper = Mapper({"level": LEVEL}, {}, {})
    with pytest.raises(UserError, match="make them again: timbrel analyze run=RUN"):
        instrument.render(controls={"follow": "voice.wav"})
    instrument.mapper = None
    with pytest.raises(UserError, match=r"controls.follow: 'tone' has no sliders yet"):
        instrument.render(controls={"follow": "voice.wav"})
