"""Controls on a real decoder: levels are held, moves are what was asked, what cannot be is told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from bundles import small_model
from timbrel.attributes.measurement import measure
from timbrel.audio.level import loudness_lufs
from timbrel.contracts import Latent
from timbrel.errors import UserError
from timbrel.generation.controls.apply import Playable, decoded, playable
from timbrel.generation.controls.mapper import Mapper, Slider, controlled, load_mapper
from timbrel.generation.controls.named import CONTROLS, FAMILIES, check_controls

RATE_HZ = 48_000

TILT = Slider(
    "brightness",
    "timbre",
    "octaves",
    "operator",
    "tilt",
    (-8.0, 0.0, 8.0),
    (-0.8, 0.0, 0.8),
    mends={"balance": (0.0, 0.0, 0.0)},
    verdict="weak",
    why="SDOT 0.40 is below 0.6",
    scores={"sdot": 0.4},
)
SPEED = Slider(
    "onsets", "temporal", "octaves", "operator", "speed", (-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0)
)
WIDTH = Slider(
    "width", "spatial", "", "operator", "width", (-0.4, 0.0, 0.4), (-0.4, 0.0, 0.4), verdict="dsp"
)
LEVEL = Slider("level", "level", "LU", "gain", "level", (-12.0, 0.0, 12.0), (-12.0, 0.0, 12.0))
LOST = Slider("attack", "temporal", "decades", "none", "", (), (), verdict="not held", why="lost")


def mapper(*sliders: Slider) -> Mapper:
    return Mapper(
        {slider.axis: slider for slider in sliders or (TILT, LEVEL, LOST)},
        {"probe": np.arange(6.0)},
        {"brightness": (9.0, 12.0)},
    )


@pytest.fixture(scope="module")
def sound() -> Playable:
    model, _ = small_model()
    model.decoder.magnitude.bias -= 6.0  # far below full scale, where levels can be held
    rng = torch.Generator().manual_seed(3)
    frames = torch.randn(1, 6, 120, generator=rng).cumsum(2) * 0.2
    return playable(model, Latent(frames, torch.zeros(1, 0)), 120 * model.hop_samples - 100)


def test_nothing_moved_is_the_sound_itself(sound: Playable) -> None:
    assert_array_equal(sound.moved({}), sound.audio)
    assert_array_equal(sound.moved({"tilt": 0.0, "speed": 0.0}), sound.audio)
    assert sound.audio.shape[1] == sound.n_samples
    assert_array_equal(sound.again(0), sound.audio)
    other = sound.again(1)
    assert other.shape == sound.audio.shape
    assert np.abs(other - sound.audio).max() > 1e-3


@pytest.mark.parametrize("amounts", [{"tilt": 6.0}, {"speed": 0.5}, {"decay_warp": -1.0}])
def test_the_level_is_held_and_a_gain_comes_on_top(sound: Playable, amounts: dict) -> None:
    wanted = loudness_lufs(sound.audio, RATE_HZ)
    moved = sound.moved(amounts)
    assert np.abs(moved[:, :4000] - sound.audio[:, :4000]).max() > 1e-4
    assert loudness_lufs(moved, RATE_HZ) == pytest.approx(wanted, abs=0.05)
    louder = sound.moved({**amounts, "level": -6.0})
    assert_allclose(louder, moved * 10 ** (-6 / 20), rtol=1e-4, atol=1e-7)


def test_a_level_that_would_pass_full_scale_is_not_held(sound: Playable) -> None:
    loud = replace(sound, audio=sound.audio * (1.0 / np.abs(sound.audio).max()))
    for amounts in ({"tilt": 9.0}, {"tilt": -9.0}, {"attack_ramp": 1.0}, {"decay_ramp": 1.5}):
        assert np.abs(loud.moved(amounts)).max() <= 1.0 + 1e-6


def test_a_direction_moves_every_frame_and_the_clip_code() -> None:
    model, _ = small_model(clip_dim=2)
    latent = Latent(torch.zeros(1, 6, 40), torch.zeros(1, 2))
    sound = playable(model, latent)
    step = np.arange(8.0)
    moved = sound.moved({"probe": 0.5}, {"probe": step})
    shift = torch.from_numpy(0.5 * step).float()
    wanted = playable(model, Latent(latent.frames + shift[None, :6, None], shift[None, 6:])).audio
    gain = np.sqrt(np.mean(wanted**2) / np.mean(moved**2))
    assert_allclose(moved * gain, wanted, atol=1e-4)


def test_a_direction_may_rise_over_the_sound(sound: Playable) -> None:
    step = np.stack([np.zeros(6), np.arange(6.0)])
    rows = sound.sound.rows + 0.5 * step[1][:, None] * sound.sound.courses()[1]
    wanted = decoded(sound.model, replace(sound.sound, rows=rows))[:, : sound.n_samples]
    moved = sound.moved({"probe": 0.5}, {"probe": step})
    gain = np.sqrt(np.mean(wanted**2) / np.mean(moved**2))
    assert_allclose(moved * gain, wanted, atol=1e-4)


def test_a_slider_gives_amounts_between_its_knots_and_no_farther() -> None:
    assert TILT.amounts_of(0.4) == {"tilt": pytest.approx(4.0), "balance": 0.0}
    assert TILT.amounts_of(5.0)["tilt"] == 8.0
    assert TILT.reach == (-0.8, 0.8)
    falling = replace(TILT, amounts=(2.0, 0.0, -1.0), mends={})
    assert falling.amounts_of(0.4) == {"tilt": pytest.approx(-0.5)}
    assert LEVEL.amounts_of(-33.0) == {"level": -33.0}  # a gain has no end


def test_a_brightness_comes_beside_that_of_a_higher_note() -> None:
    pitch = Slider("pitch", "harmony", "octaves", "operator", "pitch", (-12, 0, 12), (-1, 0, 1))
    both = mapper(TILT, pitch).amounts({"pitch": 0.5, "brightness": 0.7})
    assert both == {"pitch": 6.0, "tilt": pytest.approx(2.0), "balance": 0.0}
    assert mapper(TILT, pitch).amounts({"brightness": 0.7})["tilt"] == pytest.approx(7.0)
    elsewhere = replace(pitch, operator="decay_ramp")  # what moves it leaves the spectrum
    other = mapper(TILT, elsewhere).amounts({"pitch": 0.5, "brightness": 0.7})
    assert other["tilt"] == pytest.approx(7.0)


def made(sound: Playable, controls: dict, *, precise: bool = False, of: Mapper | None = None):
    return controlled(sound, of or mapper(), controls, precise=precise, name="tiny")


def test_what_is_asked_is_landed_on_and_corrections_come_nearer(sound: Playable) -> None:
    start = sound.measured.value("log_centroid_octaves")
    [rough] = made(sound, {"brightness_octaves": 0.3}).landings
    assert rough.asked == pytest.approx(start + 0.3, abs=1e-4)
    assert rough.found > start
    precise = made(sound, {"brightness_hz": 2 ** (start + 0.3)}, precise=True)
    [landing] = precise.landings
    assert abs(landing.found - landing.asked) <= abs(rough.found - rough.asked)
    assert abs(landing.found - landing.asked) < 0.03
    found = measure(precise.audio, RATE_HZ).value("log_centroid_octaves")
    assert landing.found == pytest.approx(found)
    assert landing.reached
    assert " Hz (asked " in landing.words


def test_what_lies_beyond_a_slider_is_told(sound: Playable) -> None:
    [landing] = made(sound, {"brightness_octaves": 3.0}).landings
    assert not landing.reached


def test_several_controls_are_applied_together(sound: Playable) -> None:
    result = made(sound, {"brightness_octaves": 0.3, "level_db": -6.0})
    assert [landing.control for landing in result.landings] == ["brightness_octaves", "level_db"]
    level = loudness_lufs(result.audio, RATE_HZ)
    assert level == pytest.approx(loudness_lufs(sound.audio, RATE_HZ) - 6.0, abs=0.05)
    absolute = made(sound, {"level_lufs": -30.0})
    assert loudness_lufs(absolute.audio, RATE_HZ) == pytest.approx(-30.0, abs=0.05)


def test_a_family_moves_its_best_slider_by_its_reach(sound: Playable) -> None:
    [landing] = made(sound, {"timbre": 1.0}).landings
    alone = made(sound, {"brightness_octaves": 0.8})
    assert_array_equal(made(sound, {"timbre": 1.0}).audio, alone.audio)
    assert landing.control == "timbre"


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        ({"attack_ms": 5.0}, "'tiny' cannot move attack: lost"),
        ({"decay_times": 2.0}, "it has no such slider"),
        ({"temporal": 0.5}, "no slider of this family"),
        ({"brightness_hz": 900.0, "timbre": 0.1}, "both move brightness; give one"),
    ],
)
def test_what_a_model_cannot_do_is_told(sound: Playable, controls: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        made(sound, controls)


@pytest.fixture(scope="module")
def wide() -> Playable:
    model, _ = small_model(channels=2)
    model.decoder.magnitude.bias -= 6.0
    for level in (model.decoder.magnitude, model.decoder.noise):
        level.bias[model.decoder.bins :] -= 1.5  # the side, below the mid
    rng = torch.Generator().manual_seed(3)
    return playable(model, Latent(torch.randn(1, 6, 60, generator=rng), torch.zeros(1, 0)))


def test_a_width_lands_and_the_level_is_held(wide: Playable) -> None:
    start = wide.measured.value("width")
    assert 0.1 < start < 0.4
    for controls, wanted in (
        ({"width": 0.45}, 0.45),
        ({"width": 0.0}, 0.0),
        ({"width_change": 0.1}, start + 0.1),
        ({"spatial": 1.0}, start + 0.4),  # a filter's slider is one of its family
    ):
        result = made(wide, controls, of=mapper(WIDTH))
        found = measure(result.audio, RATE_HZ).value("width")
        assert found == pytest.approx(wanted, abs=1e-3)
        assert result.landings[0].found == pytest.approx(found, abs=1e-6)
        level = loudness_lufs(result.audio, RATE_HZ)
        assert level == pytest.approx(loudness_lufs(wide.audio, RATE_HZ), abs=0.05)


def test_a_mono_sound_has_no_width(sound: Playable) -> None:
    with pytest.raises(UserError, match="this sound has no width to move"):
        made(sound, {"width": 0.3}, of=mapper(WIDTH))


def test_a_sound_without_the_attribute_is_told(sound: Playable) -> None:
    with pytest.raises(UserError, match="this sound has no onsets to move"):
        made(sound, {"speed_times": 2.0}, of=mapper(SPEED))


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        ({"brightnes_hz": 900.0}, "did you mean 'brightness_hz'"),
        ({"attack_ms": 0.0}, "above 0"),
        ({"timbre": 2.0}, "between -1 and 1"),
        ({"pitch_hz": -3.0}, "above 0"),
        ({"width": 1.2}, "controls.width=1.2: between 0 and 1"),
        ({"width_change": -1.2}, "between -1 and 1"),
    ],
)
def test_what_is_no_control_is_told(controls: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_controls(controls)


def test_every_control_and_family_is_one_of_an_axis() -> None:
    axes = {control.axis for control in CONTROLS.values()}
    assert {axis for family in FAMILIES.values() for axis in family} <= axes


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    whole = replace(mapper(TILT, LEVEL, SPEED, LOST), tracks={"loudness_db": (-50.0, -20.0)})
    whole.save(tmp_path)
    again = load_mapper(tmp_path)
    assert again.sliders == whole.sliders
    assert again.ranges == whole.ranges
    assert again.tracks == whole.tracks
    assert_array_equal(again.directions["probe"], whole.directions["probe"])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("mapper.json", "{"),
        ("mapper.json", "{}"),
        ("mapper.json", '{"format": 1, "profile": "full", "ranges": {}, "sliders": [{"a": 1}]}'),
        ("mapper.safetensors", "none"),
    ],
)
def test_a_damaged_one_names_the_way_out(tmp_path: Path, file: str, content: str) -> None:
    mapper().save(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match="timbrel analyze run=RUN"):
        load_mapper(tmp_path)
    (tmp_path / "mapper.json").write_text('{"format": 2}')
    with pytest.raises(UserError, match="update timbrel"):
        load_mapper(tmp_path)
