"""The page's core: what it escapes, and that a page is written whole or not at all."""

import base64
import io

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure

from report_pages import Page
from signals import noise
from timbrel.errors import UserError
from timbrel.report.figures import curves_figure
from timbrel.report.page import (
    INK,
    audio_player,
    drawing,
    duration,
    picture,
    render_page,
    write_page,
)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_player_holds_the_samples_at_their_level(channels):
    audio = np.stack([0.3 * noise(0.2, seed=seed) for seed in range(channels)])
    markup = audio_player(audio, 44_100, "a <b>")
    assert "a &lt;b&gt;" in markup
    data = base64.b64decode(markup.split("base64,")[1].split('"')[0])
    decoded, rate_hz = soundfile.read(io.BytesIO(data), always_2d=True)
    assert rate_hz == 44_100
    assert np.abs(decoded.T - audio).max() <= 0.5001 / 32768


def test_beyond_full_scale_is_clipped_not_wrapped():
    data = audio_player(np.array([[2.0, -2.0, np.nan, np.inf]], np.float32), 8000, "x")
    flac = base64.b64decode(data.split("base64,")[1].split('"')[0])
    samples, _ = soundfile.read(io.BytesIO(flac), dtype="int16")
    assert samples.tolist() == [32767, -32768, 0, 32767]


@pytest.mark.parametrize("shape", [(100,), (3, 100)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="1 or 2 channels"):
        audio_player(np.zeros(shape, np.float32), 48_000, "x")


def test_a_page_escapes_and_loads_nothing():
    html = render_page(
        "base.html.j2", title="<script>alert(1)</script>\udcff\n", lead="<i>", contents=[]
    )
    page = Page(html)
    assert "<script>alert(1)</script>\\udcff\\n" in page.words
    assert "<i>" in page.words


def test_two_drawings_of_one_page_share_no_name():
    curves = {"one": [(0, 1.0), (1, 2.0)], "two": [(0, 2.0), (1, 1.0)]}
    parts = [drawing(curves_figure(curves, y_label=name), f"figure {name}") for name in "ab"]
    page = Page(f"<main>{''.join(parts)}</main>")
    assert len(page.ids) > 10
    labels = [values.get("aria-label") for tag, values in page.tags if tag == "svg"]
    assert labels == ["figure a", "figure b"]


def test_ink_takes_the_pages_colour():
    figure = Figure((2, 1))
    figure.text(0.5, 0.5, "words", color=INK)
    svg = drawing(figure, "words")
    assert "currentColor" in svg
    assert INK not in svg
    assert svg == drawing(figure, "words")


def test_a_picture_has_its_description():
    assert 'alt="a &#34;b&#34;"' in picture(b"png", 'a "b"')


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path):
    target = tmp_path / "page.html"
    target.mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_page(target, "text")
    assert list(tmp_path.iterdir()) == [target]
    write_page(tmp_path / "other.html", "caf\udce9")
    assert (tmp_path / "other.html").read_bytes() == b"caf\\udce9"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.9999, "1.0 s"), (59.97, "1 min"), (3599.6, "1 h"), (float("nan"), "\N{EN DASH}")],
)
def test_durations_at_their_edges(seconds, words):
    assert duration(seconds) == words
