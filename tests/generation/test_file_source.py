"""The model gets files of any kind at the rate, channels and level of its front end."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.testing import assert_allclose

from bundles import small_model
from headers import pcm, wav
from signals import noise, sine
from timbrel.errors import UserError
from timbrel.generation.file_source import FileSource


def _file(path: Path, samples, rate_hz: int = 48_000) -> Path:
    soundfile.write(path, np.asarray(samples).T, rate_hz, subtype="FLOAT")
    return path


def _frames(source: FileSource) -> np.ndarray:
    return torch.cat([b.frames for b in source.blocks()], 2)[0].numpy()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("block_frames", [8, 1024])
def test_a_file_is_encoded_like_its_samples(tmp_path, channels: int, block_frames: int) -> None:
    model, _ = small_model(channels=channels, clip_dim=2)
    samples = np.stack([noise(0.7, seed=s) for s in range(channels)])
    path = _file(tmp_path / "a.wav", samples)
    source = FileSource(path, model=model, downmix="mean", block_frames=block_frames)
    whole = model.encode(torch.from_numpy(samples)[None]).mean
    assert source.n_samples == samples.shape[1]
    assert_allclose(_frames(source), whole.frames[0].numpy(), atol=1e-5)
    clips = [b.clip for b in source.blocks()]
    assert all(torch.equal(clip, clips[0]) for clip in clips)
    if block_frames == 1024:
        assert_allclose(clips[0].numpy(), whole.clip.numpy(), atol=1e-5)


@pytest.mark.parametrize(("downmix", "gain"), [("mean", 0.25), ("left", 0.2), ("loudest", 0.7)])
def test_four_channels_are_mixed_as_the_model_was_trained(tmp_path, downmix, gain) -> None:
    model, _ = small_model()
    sound = noise(0.3, amplitude=1.0)  # loud in every bin: rounding is not heard
    path = _file(tmp_path / "a.wav", np.stack([0.2 * sound, 0.1 * sound, 0.7 * sound, 0 * sound]))
    mono = _file(tmp_path / "b.wav", gain * sound)
    assert_allclose(
        _frames(FileSource(path, model=model, downmix=downmix)),
        _frames(FileSource(mono, model=model, downmix="mean")),
        atol=1e-4,
    )


@pytest.mark.parametrize("normalise", ["peak", "loudness"])
def test_a_file_is_heard_at_the_level_of_training_whatever_its_own(tmp_path, normalise) -> None:
    model, _ = small_model()
    sound = np.stack([noise(0.5), 0.5 * noise(0.5)])
    heard = [
        FileSource(
            _file(tmp_path / f"{gain}.wav", np.float32(gain) * sound),
            model=model,
            downmix="loudest",
            normalise=normalise,
            max_samples=9000,
        )
        for gain in (1.0, 1e-4, 7.0)
    ]
    audio = [np.concatenate(list(source.audio()), 1) for source in heard]
    assert audio[0].shape == (1, 9000)
    for other in audio[1:]:
        assert_allclose(other, audio[0], atol=1e-6)
    assert_allclose(_frames(heard[1]), _frames(heard[0]), atol=1e-4)


def test_another_rate_is_resampled(tmp_path: Path) -> None:
    model, _ = small_model()
    path = _file(tmp_path / "a.wav", sine(1000.0, 1.0, rate_hz=44_100), 44_100)
    source = FileSource(path, model=model, downmix="mean")
    assert source.n_samples == 48_000
    wanted = FileSource(_file(tmp_path / "b.wav", sine(1000.0, 1.0)), model=model, downmix="mean")
    # Between tone and silence an encoder that hears log magnitudes also hears -80 dB.
    assert_allclose(_frames(source)[:, 10:80], _frames(wanted)[:, 10:80], atol=0.02)


def test_only_the_start_is_taken(tmp_path: Path) -> None:
    model, _ = small_model()
    path = _file(tmp_path / "a.wav", noise(1.0))
    source = FileSource(path, model=model, downmix="mean", max_samples=700)
    short = FileSource(_file(tmp_path / "b.wav", noise(1.0)[:700]), model=model, downmix="mean")
    assert source.n_samples == 700
    assert_allclose(_frames(source), _frames(short), atol=1e-6)


@pytest.mark.parametrize("n_samples", [1, 512, 513])
def test_silence_of_any_length(tmp_path: Path, n_samples: int) -> None:
    model, _ = small_model()
    path = _file(tmp_path / "a.wav", np.zeros((2, n_samples)))
    frames = _frames(FileSource(path, model=model, downmix="mean"))
    assert frames.shape == (6, -(-n_samples // 512))
    assert np.isfinite(frames).all()


@pytest.mark.parametrize(
    ("samples", "message"), [(np.zeros((1, 0)), "no samples"), ([[0.0, np.nan]], "not finite")]
)
def test_what_holds_no_sound_is_named(tmp_path, samples, message: str) -> None:
    model, _ = small_model()
    path = _file(tmp_path / "odd.wav", samples)
    with pytest.raises(UserError, match=rf"odd\.wav.*{message}"):
        FileSource(path, model=model, downmix="mean")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    model, _ = small_model()
    with pytest.raises(UserError, match=r"gone\.wav"):
        FileSource(tmp_path / "gone.wav", model=model, downmix="mean")


def test_what_its_header_does_not_count_is_heard(tmp_path: Path) -> None:
    model, _ = small_model()
    whole, crashed = tmp_path / "whole.wav", tmp_path / "crashed.wav"
    whole.write_bytes(wav(pcm()))
    crashed.write_bytes(wav(pcm(), 0, 0))
    expected = FileSource(whole, model=model, downmix="mean")
    source = FileSource(crashed, model=model, downmix="mean")
    assert source.n_samples == expected.n_samples > 0
    assert_allclose(_frames(source), _frames(expected))
