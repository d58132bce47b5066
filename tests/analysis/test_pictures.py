"""Levels in the pictures are levels: a full-scale sine is 0 dB."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from signals import noise, sine
from timbrel.analysis.pictures import save_spectrogram_pair, spectrogram_db


@pytest.mark.parametrize(("amplitude", "level_db"), [(1.0, 0.0), (0.5, -6.0206), (0.01, -40.0)])
def test_a_sine_at_a_bins_centre_reads_its_level(amplitude: float, level_db: float) -> None:
    level = spectrogram_db(sine(100 * 48_000 / 2048, 0.5, amplitude=amplitude))
    assert level.shape == (1025, 1 + 24_000 // 256)
    inner = level[:, 8:-8]
    assert (inner.argmax(0) == 100).all()
    assert inner[100] == pytest.approx(level_db, abs=0.01)


def test_silence_lies_on_the_floor() -> None:
    assert (spectrogram_db(np.zeros(4096, np.float32)) == -90.0).all()


@pytest.mark.parametrize("n", [1, 100, 2047])
def test_short_signals_have_a_picture(n: int) -> None:
    assert spectrogram_db(noise(1.0)[:n]).shape == (1025, 1 + n // 256)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_pair_is_written_as_png(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "made" / "on the way" / "pair.png"
    audio = np.stack([sine(440.0, 0.3)] * channels)
    save_spectrogram_pair(path, audio, 0.5 * audio[:, :9000], rate_hz=48_000, title="a clip")
    picture = imread(path)
    assert picture.shape[:2] == (450, 720)
    assert picture.std() > 0.05  # something is drawn


def test_the_same_signals_give_the_same_file(tmp_path: Path) -> None:
    audio = noise(0.1)[None]
    for name in ("one.png", "two.png"):
        save_spectrogram_pair(tmp_path / name, audio, audio, rate_hz=48_000, title="a clip")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
