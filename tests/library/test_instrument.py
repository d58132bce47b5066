"""The instrument renders the same sound from Python as from the command line."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.testing import assert_allclose, assert_array_equal

import timbrel
from bundles import small_bundle, small_model
from signals import noise
from timbrel.contracts import Latent
from timbrel.errors import UserError
from timbrel.library import Instrument


@pytest.fixture(scope="module")
def instrument(tmp_path_factory: pytest.TempPathFactory) -> Instrument:
    return timbrel.load(small_bundle(tmp_path_factory.mktemp("bundle") / "model", clip_dim=2))


def test_the_prior_renders_as_long_as_asked(instrument: Instrument) -> None:
    audio = instrument.render(seconds=0.7, seed=3)
    assert audio.samples.shape == (1, 33_600)
    assert audio.samples.dtype == np.float32
    assert audio.rate_hz == 48_000
    assert audio.metadata["model_hash"] == instrument.bundle.card.model_hash
    assert instrument.render().duration_s == 4.0
    assert instrument.render(seconds=1e-9).samples.shape == (1, 1)


def test_the_seed_is_the_sound(instrument: Instrument) -> None:
    first, again, other = (instrument.render(seconds=0.2, seed=s).samples for s in (1, 1, 2))
    assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_the_temperature_arrives_and_at_0_every_seed_is_the_mean(instrument: Instrument) -> None:
    still, other = (instrument.render(seconds=0.2, seed=s, temperature=0.0).samples for s in (1, 2))
    assert_array_equal(still, other)
    warm = instrument.render(seconds=0.2, seed=1).samples
    assert np.abs(warm - still).max() > 1e-3


def test_blocks_join_to_the_render(instrument: Instrument) -> None:
    blocks = list(instrument.render_blocks(seconds=15.0, seed=1))
    assert len(blocks) > 2
    assert_array_equal(np.concatenate(blocks, 1), instrument.render(seconds=15.0, seed=1).samples)


def test_a_file_and_its_code_render_alike(instrument: Instrument, tmp_path: Path) -> None:
    path = tmp_path / "hit.wav"
    samples = noise(0.5)
    soundfile.write(path, samples, 48_000, subtype="FLOAT")
    model, _ = small_model(clip_dim=2)
    expected = model.decode(model.encode(torch.from_numpy(samples)[None, None]).mean)
    from_file = instrument.render(source=path, fade_out_s=0.0)
    assert_allclose(from_file.samples, expected[0, :, :24_000].numpy(), atol=1e-5)
    code = instrument.encode(path)
    assert_allclose(code.frames, instrument.encode(samples).frames, atol=1e-6)
    from_code = instrument.render(source=code, seconds=0.5, fade_out_s=0.0)
    assert_allclose(from_code.samples, from_file.samples, atol=1e-6)
    assert str(tmp_path) not in str(from_file.metadata)


def test_gain_and_fades_arrive(instrument: Instrument) -> None:
    plain = instrument.render(seconds=0.3, fade_out_s=0.0).samples
    shaped = instrument.render(seconds=0.3, gain_db=-6.0, fade_in_s=0.1, fade_out_s=0.1).samples
    middle = slice(4800, 9600)
    assert_allclose(shaped[:, middle], plain[:, middle] * 10 ** (-6 / 20), rtol=1e-5)
    assert abs(shaped[0, 0]) < 1e-6
    assert abs(shaped[0, -1]) < 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 0}, "seconds=0: above 0"),
        ({"seconds": -1.0}, "above 0"),
        ({"seconds": float("nan")}, "above 0"),
        ({"temperature": -0.1}, "temperature=-0.1"),
        ({"fade_in_s": -1.0}, "fade_in_s"),
        ({"gain_db": float("inf")}, "gain_db"),
        ({"controls": {"brightness": 1.0}}, "controls.brightness: no such control"),
        ({"controls": {"pitch_st": 1.0}}, "'tiny' has no sliders yet"),
        ({"source": "gone.wav"}, r"gone\.wav"),
        (
            {"source": "gone.wav", "temperature": 0.5},
            "only source=prior, continue, midi or keys takes it",
        ),
        ({"source": "gone.wav", "length": 2}, "length=2.0: only source=prior, vary or"),
        ({"strength": 0.1}, "strength=0.1: only source=vary takes it"),
        ({"source": "vary"}, "source=vary needs input=FILE"),
        ({"source": "between", "input": "a.wav"}, "source=between needs to=FILE"),
        (
            {"input": "a.wav"},
            "input=a.wav: only source=vary, between, continue, fill, preset or midi takes it",
        ),
        ({"source": "continue", "input": "gone.wav"}, r"gone\.wav"),
        ({"length": 0.4}, "length=0.4"),
        ({"source": Latent(torch.zeros(1, 3, 4), torch.zeros(1, 0))}, r"widths \(3, 0\)"),
    ],
)
def test_what_cannot_be_rendered_is_named(instrument, arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        instrument.render(**arguments)


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 100)), np.zeros(0), [np.nan], np.zeros((1, 1, 9))]
)
def test_samples_the_model_cannot_hear_are_refused(instrument: Instrument, samples) -> None:
    with pytest.raises(UserError):
        instrument.encode(samples)


def test_save_takes_the_format_of_its_path(instrument: Instrument, tmp_path: Path) -> None:
    audio = instrument.render(seconds=0.1)
    report = audio.save(tmp_path / "a.flac", encoding="16", sample_rate_hz=44_100)
    info = soundfile.info(report.path)
    assert (info.format, info.subtype, info.samplerate) == ("FLAC", "PCM_16", 44_100)
    with pytest.raises(UserError, match="exists"):
        audio.save(tmp_path / "a.flac")
    audio.save(tmp_path / "a.flac", overwrite=True)
