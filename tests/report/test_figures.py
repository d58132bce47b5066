"""Figures show the values they are given."""

import io

import numpy as np
import pytest
from matplotlib.image import imread

from report_pages import Page
from signals import sine
from timbrel.report.figures import (
    bars,
    curves_figure,
    heat_map,
    histogram,
    score_scale,
    spectrogram_png,
    waveform_thumbnail,
)


def test_curves_are_the_values_and_long_ones_are_smoothed_and_say_so():
    long = [(step, float(step % 2)) for step in range(100)]
    figure = curves_figure(
        {"training": long, "held-out": [(0, 3.0), (50, 2.0)]}, y_label="loss",
        smooth=("training",), best=(50, "best"),
    )  # fmt: skip
    axis = figure.axes[0]
    raw, smooth, held_out = axis.lines[:3]
    assert raw.get_ydata().tolist() == [value for _, value in long]
    assert smooth.get_ydata()[10:90] == pytest.approx(0.5, abs=0.11)
    assert held_out.get_xdata().tolist() == [0, 50]
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels == ["training (mean of 5)", "held-out"]
    assert axis.get_xlabel() == "step"


@pytest.mark.parametrize(("lowest", "scale"), [(0.1, "log"), (0.0, "linear")])
def test_a_log_axis_needs_positive_values(lowest, scale):
    axis = curves_figure({"a": [(0, lowest), (1, 100.0)]}, y_label="y", log_y=True).axes[0]
    assert axis.get_yscale() == scale
    assert ("log" in axis.get_ylabel()) == (scale == "log")


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("values", [[0.1, 1.0, 10.0, 10.0], [2.0], [3.0, 3.0], [1.0, np.nan], []])
def test_a_histogram_counts_every_finite_value(values, log):
    axis = histogram(values, x_label="length in s", log_x=log).axes[0]
    assert sum(patch.get_height() for patch in axis.patches) == np.isfinite(values).sum()
    assert axis.get_xlabel().startswith("length in s")


def test_bars_are_the_counts():
    axis = bars({"48 kHz": 3, "$44.1": 1}, x_label="files", size_in=(3, 2)).axes[0]
    assert [patch.get_width() for patch in axis.patches] == [3, 1]


def test_the_scale_shows_model_and_controls_where_they_are():
    axis = score_scale(1.4, (1.2, 1.6), {"noise": 2.7, "silence": 4.3}, x_label="MR-STFT").axes[0]
    shown = {text.get_text(): text.xy[0] for text in axis.texts}
    assert shown == {"perfect": 0.0, "noise": 2.7, "silence": 4.3, "this model": 1.4}


def test_a_heat_map_has_a_cell_with_its_value_for_each_that_is_known():
    values = np.array([[0.25, 3.5], [np.nan, 1.0]])
    figure = heat_map(values, ["a", "$b"], ["x", "y"], most=2.0, label="spreads")
    axis, scale = figure.axes
    shown = {text.get_position(): text.get_text() for text in axis.texts}
    assert shown == {(0.5, 0.5): "0.25", (1.5, 0.5): "3.50", (1.5, 1.5): "1.00"}
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", r"\$b"]
    assert axis.yaxis_inverted()  # the first row is on top
    cells = axis.collections[0]
    assert cells.get_array().mask.tolist() == [[False, False], [True, False]]
    assert cells.get_clim() == (0.0, 2.0)
    assert scale.get_ylim() == (0.0, 2.0)


@pytest.mark.parametrize("n", [1, 3000, 48_000])
def test_a_spectrogram_is_a_png_of_its_size(n):
    png = spectrogram_png(np.stack([sine(440.0, 1.0)[:n]] * 2), 48_000, size_in=(4, 2), dpi=100)
    assert imread(io.BytesIO(png)).shape == (200, 400, 4)


@pytest.mark.parametrize("envelope", [np.zeros((2, 5)), np.array([[-0.1], [0.2]])])
def test_a_thumbnail_of_little_is_still_a_drawing(envelope):
    markup = waveform_thumbnail(envelope, "<x>")
    assert "nan" not in markup
    assert "&lt;x&gt;" in markup
    Page(str(markup))


def test_a_thumbnail_fills_its_height():
    envelope = np.array([[-0.1, -0.2, 0.0], [0.1, 0.05, 0.0]])
    path = waveform_thumbnail(envelope, "x", height=40).split(' d="M')[1].split("Z")[0]
    heights = [float(point.split()[1]) for point in path.split("L")]
    assert max(heights) == 39.0  # the least sample, -0.2, one unit above the edge
    assert min(heights) == 10.5  # 0.1 of 0.2 above the middle
