"""Files of other instruments through a model: transposed, matched, and the same from both faces."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose, assert_array_equal

import timbrel
from bundles import small_bundle, tone_bundle
from signals import sine
from timbrel.attributes.measurement import measure
from timbrel.errors import UserError
from timbrel.generation.controls.fit import mean_of_recordings
from timbrel.generation.controls.follow import SHARES, track_tables
from timbrel.generation.controls.mapper import Mapper
from timbrel.generation.prior.bank import Bank
from timbrel.generation.prior.encoded import encoded_clip
from timbrel.library import Instrument, RenderSettings
from timbrel.library.fitting import tables_of
from timbrel.library.prior_part import save_prior
from timbrel.stages import generate

RATE_HZ = 48_000
SECONDS = np.arange(RATE_HZ) / RATE_HZ


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose bank holds two falling tones, at 200 and 300 Hz."""
    folder = tone_bundle(tmp_path_factory.mktemp("fitting") / "model")
    made = timbrel.load(folder).model
    fall = 0.3 * 10 ** (-1.5 * SECONDS)
    clips = [
        encoded_clip(made, (fall * sine(f, 1.0))[None].astype("f4"), f"{f}") for f in (200, 300)
    ]
    save_prior(folder, "bank", Bank(tuple(clips), made.conditions))
    return folder


@pytest.fixture(scope="module")
def instrument(model: Path) -> Instrument:
    return timbrel.load(model)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    soundfile.write("low.wav", 0.3 * sine(110.0, 1.0), RATE_HZ)
    soundfile.write("swell.wav", 0.5 * 10 ** (2 * SECONDS - 2) * sine(110.0, 1.0), RATE_HZ)


def heard_hz(samples: np.ndarray) -> float:
    f0_hz, defined = measure(samples, RATE_HZ).track("f0_hz")
    return float(np.median(f0_hz[defined]))


@pytest.mark.parametrize(
    ("transpose", "hz"), [(12, 220.0), (-12, 55.0), (7, 164.81), ("auto", 220.0), (0, 110.0)]
)
def test_a_tone_comes_out_transposed(instrument: Instrument, transpose, hz: float) -> None:
    audio = instrument.render(source="low.wav", file={"transpose": transpose})
    assert audio.samples.shape == (1, RATE_HZ)
    assert 1200 * np.log2(heard_hz(audio.samples) / hz) == pytest.approx(0, abs=5)
    told = audio.metadata.get("file", {"semitones": 0.0})
    assert told["semitones"] == pytest.approx(12 * np.log2(hz / 110.0), abs=1e-3)


def test_a_file_is_reconstructed_where_nothing_is_asked(instrument: Instrument) -> None:
    plain = instrument.render(source="low.wav")
    for file in ({}, {"transpose": 0}, {"transpose": None, "match_loudness": False}):
        again = instrument.render(source="low.wav", file=file)
        assert_array_equal(again.samples, plain.samples)
        assert again.metadata == plain.metadata
    assert "file" not in plain.metadata


def test_levels_become_those_of_the_recordings(instrument: Instrument) -> None:
    bank = instrument.prior.bank
    table = track_tables([clip.rows for clip in bank.clips], bank.tracks)["loudness_db"]
    assert tables_of(instrument.prior, lambda: None)["loudness_db"] == table
    prepared = instrument.prepare(RenderSettings(file={"match_loudness": True}), source="swell.wav")
    [block] = prepared.draw.source.blocks()
    level = block.conditions.loudness_db[0].numpy()
    assert_allclose(np.quantile(level, SHARES), table, atol=0.6)
    heard = measure(np.concatenate(list(prepared.blocks), axis=1), RATE_HZ).track("level_k_db")[0]
    assert_allclose(
        np.quantile(heard, (0.25, 0.5, 0.75)), np.quantile(level, (0.25, 0.5, 0.75)), atol=1
    )


def test_the_mean_code_becomes_that_of_the_recordings(instrument: Instrument) -> None:
    settings = RenderSettings(file={"match_timbre": True})
    [block] = instrument.prepare(settings, source="low.wav").draw.source.blocks()
    level = block.conditions.loudness_db[0].numpy()
    mean = block.frames[0].numpy()[:, level >= level.max() - 40].mean(1)
    target = mean_of_recordings(instrument.prior.bank).frames.numpy()
    assert_allclose(mean, target, atol=1e-4)


def test_the_command_line_gives_the_same_bytes_and_tells(model: Path, capsys) -> None:
    words = [f"model={model}", "device=cpu", "source=file", "input=swell.wav", "output=a.wav"]
    words += [
        "file.transpose=auto",
        "file.match_timbre=true",
        "file.match_loudness=true",
        "file.match_brightness=true",
    ]
    assert generate.main([*words, "file.match_pitch=true"]) == 0
    assert "transposed by +12 semitones" in capsys.readouterr().out
    asked = dict.fromkeys(
        ("match_timbre", "match_loudness", "match_brightness", "match_pitch"), True
    )
    audio = timbrel.load(model).render(source="swell.wav", file={"transpose": "auto", **asked})
    audio.save("python.wav")
    assert Path("a.wav").read_bytes() == Path("python.wav").read_bytes()
    with soundfile.SoundFile("a.wav") as file:
        told = json.loads(file.comment)["file"]
    assert told == {"transpose": "auto", **asked, "semitones": 12.0}


def test_a_preset_keeps_it(instrument: Instrument) -> None:
    rendering = instrument.prepare(RenderSettings(file={"transpose": 12}), source="low.wav")
    first = np.concatenate(list(rendering.blocks), axis=1)
    instrument.save_preset("high", rendering)
    again = instrument.render(source="preset", input="high")
    assert_array_equal(again.samples, first)


def test_tables_of_the_sliders_serve_where_no_codes_are_kept(instrument: Instrument) -> None:
    tables = {"f0_hz": (6.0, 7.0)}
    assert tables_of(object(), lambda: Mapper({}, {}, {}, tracks=tables)) == tables
    assert tables_of(object(), lambda: None) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"file": {"transpose": "up"}}, r"file\.transpose=up: auto, or a number of semitones"),
        ({"file": {"transpose": 49}}, r"file\.transpose=49: between -48 and 48"),
        ({"file": {"match": True}}, r"file\.match: no such setting"),
        ({"source": "prior", "file": {"transpose": 1}}, r"file\.\*: only source=file takes it"),
        (
            {"file": {"transpose": 1}, "controls": {"follow": "low.wav"}},
            r"controls\.follow: not with file\.\*, it brings tracks of its own",
        ),
    ],
)
def test_what_cannot_be_is_named(instrument: Instrument, arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        instrument.render(**{"source": "low.wav", **arguments})


def test_a_model_that_lacks_what_is_needed_is_named(tmp_path: Path, instrument: Instrument) -> None:
    deaf = timbrel.load(small_bundle(tmp_path / "deaf"))
    with pytest.raises(UserError, match=r"file\.transpose: the decoder of 'tiny' follows no pitch"):
        deaf.render(source="low.wav", file={"transpose": 12})
    bare = timbrel.load(tone_bundle(tmp_path / "bare"))
    assert heard_hz(bare.render(source="low.wav", file={"transpose": 12}).samples) > 200
    with pytest.raises(UserError, match=r"file\.transpose: 'tone' holds neither codes"):
        bare.render(source="low.wav", file={"transpose": "auto"})
    with pytest.raises(UserError, match=r"match_timbre: 'tone' holds no codes of its recordings"):
        bare.render(source="low.wav", file={"match_timbre": True})
    unpitched = Mapper({}, {}, {}, tracks={"loudness_db": (-30.0, -20.0)})
    bare.mapper = unpitched
    with pytest.raises(UserError, match=r"match_pitch: the recordings of 'tone' have no pitch"):
        bare.render(source="low.wav", file={"match_pitch": True})
    code = instrument.encode("low.wav")
    with pytest.raises(UserError, match=r"file\.transpose: of a file, not of a code"):
        instrument.render(source=code, file={"transpose": 12})
