import os
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile

from signals import noise, sine
from timbrel.audio.read import describe, read, read_blocks
from timbrel.errors import UserError


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "take.wav"
    stereo = np.stack([sine(440, 0.5), noise(0.5)], axis=1)
    soundfile.write(path, stereo, 48_000, subtype="FLOAT")
    return path


def test_samples_come_back_as_they_were_stored(recording: Path) -> None:
    audio, rate_hz = read(recording)
    assert rate_hz == 48_000
    assert audio.shape == (2, 24_000)
    assert audio.dtype == np.float32
    np.testing.assert_array_equal(audio[0], sine(440, 0.5))


@pytest.mark.parametrize("block_samples", [1, 1000, 24_000, None])
def test_blocks_equal_the_whole(recording: Path, block_samples: int | None) -> None:
    if block_samples == 1:
        first = next(iter(read_blocks(recording, 1)))
        assert first.shape == (1, 2)
        return
    blocks = np.concatenate(list(read_blocks(recording, block_samples)))
    np.testing.assert_array_equal(blocks.T, read(recording)[0])


def test_blocks_of_a_vbr_mp3_equal_the_whole(shared: Path) -> None:
    """soundfile's own block reading seeks, which damages this file by 0.44 of full scale."""
    path = shared / "data/mixed_formats/guitar_em9_48k_mono_vbr.mp3"
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(np.concatenate(list(read_blocks(path, 4096))), whole)


@pytest.mark.parametrize("name", ["cineboom_48k_stereo.opus", "train_24k_stereo.ogg"])
def test_blocks_of_lossy_files_equal_the_whole(shared: Path, name: str) -> None:
    path = shared / "data/mixed_formats" / name
    np.testing.assert_array_equal(np.concatenate(list(read_blocks(path, 1000))).T, read(path)[0])


def test_header_tells_without_decoding(recording: Path) -> None:
    header = describe(recording)
    assert (header.rate_hz, header.channels, header.n_samples) == (48_000, 2, 24_000)
    assert (header.format, header.subtype) == ("WAV", "FLOAT")
    assert header.duration_s == 0.5


def test_float_beyond_full_scale_is_not_clipped(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    soundfile.write(path, sine(440, 0.1, amplitude=3.7), 48_000, subtype="FLOAT")
    np.testing.assert_array_equal(read(path)[0][0], sine(440, 0.1, amplitude=3.7))


def test_denormals_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "tiny.wav"
    soundfile.write(path, np.full(1000, 1e-39, np.float32), 48_000, subtype="FLOAT")
    assert read(path)[0].max() < 1e-38


@pytest.mark.parametrize(
    "name",
    [
        "日本語 🎵.wav",
        "cafe\u0301.wav",
        "new\nline.wav",
        "a 'quoted' \"name\".wav",
        "x.raw",
        "x.vox",
    ],
)
def test_any_name_and_any_suffix(recording: Path, name: str) -> None:
    odd = recording.rename(recording.with_name(name))
    assert read(odd)[0].shape == (2, 24_000)


def test_a_name_that_is_not_unicode(recording: Path) -> None:
    odd = os.fsdecode(os.fsencode(recording.parent) + b"/\xff\xfe.wav")
    os.rename(recording, odd)
    assert describe(odd).n_samples == 24_000


def test_noise_with_an_audio_suffix_is_not_guessed_to_be_headerless_audio(tmp_path: Path) -> None:
    path = tmp_path / "noise.vox"
    path.write_bytes(b"no header here " * 100)
    with pytest.raises(UserError, match=r"noise\.vox"):
        read(path)


@pytest.mark.timeout(5)
def test_a_named_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(UserError, match="not a regular file"):
        read(pipe)


def test_a_missing_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        describe(tmp_path / "gone.wav")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(UserError, match="not recognised"):
        describe(tmp_path / "empty.wav")


def test_no_frames_keep_their_channels(tmp_path: Path) -> None:
    path = tmp_path / "none.wav"
    soundfile.write(path, np.zeros((0, 2), np.float32), 48_000)
    assert read(path)[0].shape == (2, 0)
    assert list(read_blocks(path)) == []


def test_no_descriptor_is_left_open(recording: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else None
    if before is None:
        pytest.skip("no /proc to count open files in")
    for _ in range(5):
        read(recording)
        next(iter(read_blocks(recording, 10)))
    assert len(os.listdir("/proc/self/fd")) == before
