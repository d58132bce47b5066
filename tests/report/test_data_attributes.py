"""Attributes on the inspect page: what is missing is said, and f0 lies on its partial."""

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure

from signals import noise, sine
from timbrel.attributes.registry import CLIP_ATTRIBUTES
from timbrel.data.measured.attribute_table import measure_files
from timbrel.data.scan.catalog import scan
from timbrel.report.data_attributes import attribute_section, gap_sentence
from timbrel.report.data_report import write_data_report
from timbrel.report.pictures import draw_f0, draw_spectrogram

BY_NAME = {attribute.name: attribute for attribute in CLIP_ATTRIBUTES}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Where what was measured is kept: the files of one test are those of the next."""
    return tmp_path_factory.mktemp("measured")


@pytest.fixture
def folder(tmp_path):
    """Eight low and six high tones, and two noises; all mono."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    tones_hz = [*np.geomspace(80, 200, 8), *np.geomspace(900, 1500, 6)]
    for index, hz in enumerate(tones_hz):
        soundfile.write(folder / f"tone{index:02d}.wav", sine(hz, 0.3), 48_000)
    for seed in range(2):
        soundfile.write(folder / f"noise{seed}.wav", noise(0.3, seed=seed), 48_000)
    return folder


def test_a_gap_is_told_with_what_lies_on_either_side():
    values = np.array([100.0, 110, 120, 130, 140, 800, 900, 1000, 1100])
    share, sentence = gap_sentence(BY_NAME["f0_hz"], values)
    assert share == pytest.approx(np.log(800 / 140) / np.log(11))
    assert sentence == "Nothing between 140 and 800 Hz: 5 files lie below, 4 above."


@pytest.mark.parametrize(
    "values",
    [
        np.geomspace(100, 1000, 20),  # even
        np.array([100.0, 200, 900, 1000]),  # too few to say
        np.array([*np.linspace(100, 110, 20), 1000.0]),  # one outlier
        440 + 0.001 * np.array([0, 0, 0, 0, 0, 9, 9, 9, 9, 9.0]),  # within the noise
    ],
)
def test_no_gap_is_told_where_there_is_none(values):
    assert gap_sentence(BY_NAME["f0_hz"], values) is None


def test_chance_makes_few_gaps():
    rng = np.random.default_rng(0)
    told = [gap_sentence(BY_NAME["hnr_db"], rng.uniform(0, 30, 40)) for _ in range(200)]
    assert sum(gap is not None for gap in told) < 20


def test_the_section_tells_shares_and_gaps_and_shows_f0(folder, measured):
    catalog = scan(folder, workers=0)
    section = attribute_section(catalog, measure_files(catalog, folder=measured, workers=0))
    told = {title: words for title, words, _ in section.figures}
    assert told["Fundamental"].startswith("14 of 16 files; 12 % without (no clear pitch")
    assert told["Spectral centroid"] == "16 of 16 files"
    assert told["Stereo width"] == "0 of 16 files; 100 % without (not stereo)"
    gaps = {gap.heading: gap.text for gap in section.gaps}
    expected = "Nothing between 200 and 900 Hz: 8 files lie below, 6 above."
    assert gaps["A gap in fundamental."] == expected
    names = [words.split(":")[0] for words, _ in section.pictures]
    assert names == ["tone00.wav", "tone04.wav", "tone09.wav", "tone13.wav"]


def test_what_could_not_be_measured_is_told_and_not_counted(folder, measured):
    soundfile.write(folder / "slow.wav", sine(100.0, 2.0)[:1600], 800)
    catalog = scan(folder, workers=0)
    section = attribute_section(catalog, measure_files(catalog, folder=measured, workers=0))
    told = {title: words for title, words, _ in section.figures}
    assert told["Spectral centroid"] == "16 of 16 files"
    assert section.gaps[0].heading == "1 of 17 files not measured."
    assert "slow.wav" in section.gaps[0].text
    assert "800 Hz" in section.gaps[0].text


def test_f0_is_drawn_at_its_height():
    axis = Figure().subplots()
    draw_spectrogram(axis, sine(1000.0, 0.2), 48_000)
    draw_f0(axis, np.array([0.05, 0.1]), np.array([1000.0, 1000.0]))
    ticks = dict(
        zip([t.get_text() for t in axis.get_yticklabels()], axis.get_yticks(), strict=True)
    )
    assert axis.lines[-1].get_ydata() == pytest.approx([ticks["1"]] * 2)


def test_the_page_has_the_section_where_there_is_a_cache(folder, measured, tmp_path, page):
    catalog, path = scan(folder, workers=0), tmp_path / "page.html"
    write_data_report(catalog, path, name="tones", cache_folder=measured, workers=0)
    words = page(path).words
    assert "A gap in fundamental." in words
    assert "Measured pitch" in words
    assert "Brightness" not in words  # one centroid per page
    write_data_report(catalog, path, name="tones")
    words = page(path).words
    assert "Attributes" not in words
    assert "Brightness" in words
