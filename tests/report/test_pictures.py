"""Levels in the pictures are levels: a full-scale sine is 0 dB."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from signals import noise, sine
from timbrel.report.pictures import draw_spectrogram, save_spectrogram_pair, spectrogram_db


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


@pytest.mark.parametrize("seconds", [0.2, 4.0])
@pytest.mark.parametrize("frequency_hz", [150.0, 5000.0, 17_000.0])
def test_a_sine_is_drawn_at_its_frequency_and_level(frequency_hz: float, seconds: float) -> None:
    bin_hz = 48_000 / 2048
    nearest_hz = bin_hz * round(frequency_hz / bin_hz)
    axis = Figure().subplots()
    picture = draw_spectrogram(axis, sine(nearest_hz, seconds, amplitude=0.5), 48_000)
    level = np.asarray(picture.get_array())
    column = level[:, level.shape[1] // 2]
    bottom, top = picture.get_extent()[2:]
    drawn_at = bottom + (column.argmax() + 0.5) / len(column) * (top - bottom)
    # The axis' own ticks say where the frequency belongs.
    ticks = {
        float(t.get_text()): y
        for t, y in zip(axis.get_yticklabels(), axis.get_yticks(), strict=True)
    }
    expected = np.interp(nearest_hz / 1000, [*ticks, 24], [*ticks.values(), top])
    assert drawn_at == pytest.approx(expected, abs=0.12)
    assert column.max() == pytest.approx(-6.02, abs=0.01)
    assert picture.get_extent()[1] == pytest.approx(seconds)


def test_pictures_need_no_torch() -> None:
    code = "import sys, timbrel.report.pictures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
