"""Presets: a sound kept by name is that sound again, with its own model alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.testing import assert_array_equal

import timbrel
from bundles import small_bundle
from signals import sine
from timbrel import cli
from timbrel.contracts import Conditions, Latent
from timbrel.errors import UserError
from timbrel.library.instrument import Instrument
from timbrel.library.presets import Preset, _as_json, _of_json, user_folder
from timbrel.library.render_settings import RenderSettings
from timbrel.stages import generate


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("presets") / "model", louder=1.0, clip_dim=2)


@pytest.fixture
def instrument(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instrument:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return timbrel.load(shutil.copytree(model, tmp_path / "tiny"))


def saved(instrument: Instrument, name: str = "glass", *, into: str = "user", **settings) -> Path:
    settings = {"seed": 3, "seconds": 0.5, **settings}
    return instrument.save_preset(name, instrument.prepare(RenderSettings(**settings)), into=into)


@pytest.mark.parametrize("into", ["user", "model"])
def test_a_preset_is_the_sound_that_was_kept(instrument: Instrument, into: str) -> None:
    path = saved(instrument, into=into, gain_db=-6.0, fade_out_s=0.1)
    assert path.is_relative_to(user_folder() if into == "user" else instrument.bundle.folder)
    assert instrument.presets() == ["glass"]
    first = instrument.render(seed=3, seconds=0.5, gain_db=-6.0, fade_out_s=0.1).samples
    assert_array_equal(instrument.render(source="preset", input="glass").samples, first)
    assert_array_equal(instrument.render(source="preset", input=str(path)).samples, first)
    cut = instrument.render(source="preset", input="glass", seconds=0.2)
    assert cut.duration_s == pytest.approx(0.2)
    padded = instrument.render(source="preset", input="glass", seconds=0.7).samples
    assert padded.shape[1] == round(0.7 * 48_000)
    assert not padded[:, 24_000:].any()
    louder = instrument.render(source="preset", input="glass", gain_db=-12.0).samples
    np.testing.assert_allclose(louder, first * 10 ** (-6 / 20), rtol=1e-5, atol=1e-7)


def test_one_in_the_model_goes_with_it_and_the_users_own_comes_first(
    instrument: Instrument, tmp_path: Path
) -> None:
    saved(instrument, "a", into="model")
    saved(instrument, "b", into="model", seed=4)
    saved(instrument, "b", seed=5)
    moved = timbrel.load(shutil.copytree(instrument.bundle.folder, tmp_path / "elsewhere"))
    assert moved.presets() == ["a", "b"]
    of_seed = {s: instrument.render(seed=s, seconds=0.5).samples for s in (4, 5)}
    assert_array_equal(moved.render(source="preset", input="b").samples, of_seed[5])
    shutil.rmtree(user_folder())
    assert_array_equal(moved.render(source="preset", input="b").samples, of_seed[4])


def test_a_morph_begins_as_the_one_and_ends_as_the_other(instrument: Instrument) -> None:
    saved(instrument, "a")
    saved(instrument, "b", seed=4, seconds=0.6)
    sounds = {n: instrument.render(source="preset", input=n, fade_out_s=0.0).samples for n in "ab"}
    for position, name in ((0.0, "a"), (1.0, "b")):
        made = instrument.render(
            source="between", input="preset:a", to="preset:b", position=position, fade_out_s=0.0
        )
        shorter = min(made.samples.shape[1], sounds[name].shape[1]) - 8192
        if name == "a":  # the same length in frames only where the position is at an end
            np.testing.assert_allclose(
                made.samples[:, :shorter], sounds[name][:, :shorter], atol=1e-4
            )
        assert abs(made.duration_s - sounds[name].shape[1] / 48_000) < 512 / 48_000
    moving = instrument.render(
        source="between", input="preset:a", to="preset:b", position=0, position_to=1
    )
    assert moving.metadata["source"] == "between a b"


def test_a_preset_can_be_varied_and_gone_on_from(instrument: Instrument) -> None:
    saved(instrument, "a")
    with pytest.raises(UserError, match="holds no codes of its recordings"):
        instrument.render(source="vary", input="preset:a")
    longer = instrument.render(source="continue", input="preset:a", seconds=0.9)
    assert longer.duration_s == pytest.approx(0.9)


def test_the_tracks_of_a_code_are_kept() -> None:
    frames = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0))
    tracks = {"f0_hz": torch.rand(1, 5) * 400, "confidence": torch.rand(1, 5)}
    code = Latent(frames, torch.zeros(1, 0), Conditions(**tracks))
    preset = Preset("a", code, 5 * 512 - 3, "m", "h" * 64, {"seed": 1})
    again = _of_json("a", json.loads(json.dumps(_as_json(preset))))
    assert torch.equal(again.code.frames, frames)
    assert again.code.clip.shape == (1, 0)
    for name, track in tracks.items():
        assert torch.equal(again.code.conditions.tracks[name], track)
    assert (again.n_samples, again.metadata) == (preset.n_samples, preset.metadata)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "letters, digits"),
        ("../x", "letters, digits"),
        ("a/b", "letters, digits"),
        ("n" * 65, "at most 64"),
        ("part", "and not part"),
        ("glass", "exists; name another"),
    ],
)
def test_a_name_that_cannot_be_is_refused(instrument: Instrument, name: str, said: str) -> None:
    saved(instrument)
    with pytest.raises(UserError, match=said):
        saved(instrument, name)


def test_a_sound_of_more_than_a_minute_is_not_kept(instrument: Instrument) -> None:
    saved(instrument, "minute", seconds=60.0)
    with pytest.raises(UserError, match="at most 60 s long; add seconds="):
        saved(instrument, "longer", seconds=60.1)


def test_one_that_is_not_there_is_told_with_those_that_are(instrument: Instrument) -> None:
    with pytest.raises(UserError, match=r"it has none; preset\.save=NAME makes one"):
        instrument.render(source="preset", input="glas")
    saved(instrument)
    with pytest.raises(UserError, match="it has glass; did you mean 'glass'"):
        instrument.render(source="preset", input="glas")
    with pytest.raises(UserError, match="source=preset needs input=NAME"):
        instrument.render(source="preset")


def test_another_model_does_not_play_it(instrument: Instrument, tmp_path: Path) -> None:
    path = saved(instrument)
    other = timbrel.load(small_bundle(tmp_path / "other", louder=0.5, clip_dim=2))
    with pytest.raises(UserError, match=r"was made with the model 'tiny'.*use that model"):
        other.render(source="preset", input=str(path))
    assert other.presets() == []


DAMAGE = {
    "not json": lambda v: "{",
    "another file": lambda v: json.dumps({"a": 1}),
    "later format": lambda v: json.dumps(v | {"timbrel_preset": 2}),
    "no length": lambda v: json.dumps({k: x for k, x in v.items() if k != "n_samples"}),
    "longer than its code": lambda v: json.dumps(v | {"n_samples": 10**9}),
    "no code": lambda v: json.dumps(v | {"code": {}}),
    "no base64": lambda v: json.dumps(
        v | {"code": v["code"] | {"frames": v["code"]["frames"] | {"f32": "!"}}}
    ),
    "another shape": lambda v: json.dumps(
        v | {"code": v["code"] | {"frames": v["code"]["frames"] | {"shape": [1, 2, 3]}}}
    ),
    "not finite": lambda v: json.dumps(
        v | {"code": v["code"] | {"clip": {"shape": [1, 2], "f32": "AADAfwAAwH8="}}}
    ),
    "other widths": lambda v: json.dumps(
        v | {"code": v["code"] | {"clip": {"shape": [1, 1], "f32": "AAAAAA=="}}}
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_one_is_named(instrument: Instrument, damage: str, capsys) -> None:
    path = saved(instrument)
    path.write_text(DAMAGE[damage](json.loads(path.read_text())))
    with pytest.raises(UserError, match=r"glass\.json"):
        instrument.render(source="preset", input="glass")
    assert cli.main(["library", "presets", "tiny"]) == 0
    shown = capsys.readouterr()
    assert ("passed over" in shown.err) != ("glass" in shown.out)


def test_the_command_line_keeps_lists_and_plays(instrument: Instrument, capsys) -> None:
    soundfile.write("a.wav", 0.3 * sine(440.0, 0.3), 48_000)
    given = ["model=tiny", "device=cpu", "seed=3", "output=out"]
    assert cli.main(["library", "presets", "tiny"]) == 0
    assert "no presets of tiny" in capsys.readouterr().out
    assert generate.main([*given, "seconds=0.4", "preset.save=first one"]) == 0
    assert "preset: " in capsys.readouterr().out
    from_file = ["source=file", "input=a.wav", "preset.save=a", "preset.into=model"]
    assert generate.main([*given, *from_file]) == 0
    capsys.readouterr()
    assert cli.main(["library", "presets", "tiny"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("a  0.30 s  a.wav seed=3  ")
    assert second.startswith("first one  0.40 s  prior seed=3  ")
    assert generate.main([*given, "source=preset", "input=first one"]) == 0
    assert generate.main([*given, "source=between", "input=preset:a", "to=a.wav"]) == 0
    written = sorted(path.name for path in Path("out").iterdir())
    assert written == [
        "tiny_a_seed3.wav",
        "tiny_between_a_seed3.wav",
        "tiny_preset_first one_seed3.wav",
        "tiny_prior_seed3.wav",
    ]
    sounds = {name: soundfile.read(Path("out") / name)[0] for name in written}
    assert_array_equal(sounds["tiny_prior_seed3.wav"], sounds["tiny_preset_first one_seed3.wav"])
    for words, said in (
        (["source=preset"], "needs input=NAME"),
        (["source=file", "input=preset:a"], "source=preset input=a plays it"),
        (["preset.save=x", "count=2"], "one sound at a time"),
        (["source=preset", "input=nothing"], "no preset 'nothing'"),
    ):
        assert generate.main([*given, *words]) == 2
        assert said in capsys.readouterr().err
