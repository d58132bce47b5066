"""`timbrel inspect` on a small folder: the table, the CSV, and what cannot be written."""

import base64
import csv
import io
import re
import sys

import numpy as np
import pytest
import soundfile

from timbrel.stages import inspect


@pytest.fixture
def kicks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "kicks"
    folder.mkdir()
    samples = 0.5 * np.sin(2 * np.pi * 100 * np.arange(24000) / 48000)
    soundfile.write(folder / "good.wav", samples, 48000)
    soundfile.write(folder / "twin.flac", samples, 48000)
    (folder / "broken.wav").write_bytes(b"RIFF no sound")
    return folder


def test_the_table_names_every_file_and_the_csv_every_measure(kicks, tmp_path, capsys):
    words = [f"data.root={kicks}", "output=kicks.csv", "workers=0"]
    assert inspect.main(words) == 0
    shown = capsys.readouterr().out
    for name in ("good.wav", "twin.flac", "broken.wav"):
        assert name in shown
    assert "wrote kicks.csv" in shown
    with (tmp_path / "kicks.csv").open(newline="") as stream:
        rows = {row["path"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {"good.wav", "twin.flac", "broken.wav"}
    assert rows["good.wav"]["rate_hz"] == "48000"
    assert float(rows["good.wav"]["duration_s"]) == 0.5
    assert rows["broken.wav"]["trains"] == "False"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kicks", "kicks.csv", "outputs"]
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["inspect_kicks.html"]


def test_the_page_is_named_after_its_sentence(kicks, tmp_path, capsys):
    assert inspect.main([f"data.root={kicks}", "report=pages/of/kicks.html", "workers=0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("Too little to train on. 2 recordings can train, 1.0 s in all")
    assert lines[-1].startswith("wrote pages/of/kicks.html")
    assert "twin.flac" in (tmp_path / "pages" / "of" / "kicks.html").read_text("utf-8")


@pytest.mark.parametrize("wanted", [True, False])
def test_attributes_are_on_the_page_unless_refused(kicks, tmp_path, wanted, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("TIMBREL_CACHE", str(cache))
    words = [f"data.root={kicks}", "workers=0", "report=page.html"]
    assert inspect.main(words if wanted else [*words, "attributes=false"]) == 0
    assert ("Harmonic-to-noise ratio" in (tmp_path / "page.html").read_text("utf-8")) == wanted
    assert (cache / "attributes").is_dir() == wanted


@pytest.mark.slow
def test_pitch_may_be_found_by_crepe(kicks, tmp_path, monkeypatch):
    pytest.importorskip("torchcrepe")
    monkeypatch.setenv("TIMBREL_CACHE", str(tmp_path / "cache"))
    words = [f"data.root={kicks}", "workers=0", "report=page.html"]
    assert inspect.main(words) == 0
    kept = set((tmp_path / "cache" / "attributes").iterdir())
    assert inspect.main([*words, "pitch=crepe"]) == 0
    assert len(set((tmp_path / "cache" / "attributes").iterdir()) - kept) == len(kept) > 0


def test_crepe_without_its_extra_is_refused_before_the_scan(kicks, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torchcrepe", None)
    assert inspect.main([f"data.root={kicks}", "pitch=crepe"]) == 2
    shown = capsys.readouterr()
    assert "pip install 'timbrel[crepe]', or take pitch=yin" in shown.err
    assert shown.out == ""
    assert inspect.main([f"data.root={kicks}", "pitch=crepe", "report=null", "workers=0"]) == 0


def test_no_page_where_none_is_wanted(kicks, tmp_path, capsys):
    assert inspect.main([f"data.root={kicks}", "report=null", "workers=0"]) == 0
    assert "wrote" not in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["kicks"]


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ("kicks.pdf", "give a name that ends in .html"),
        ("kicks/good.wav/page.html", "good.wav' is a file, not a folder"),
        ("taken.html", "a folder; name a file"),
    ],
)
def test_a_page_that_cannot_be_is_refused_before_the_scan(kicks, report, message, capsys):
    (kicks.parent / "taken.html").mkdir()
    assert inspect.main([f"data.root={kicks}", f"report={report}"]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("kicks.wav", "give a name that ends in .csv"),
        ("none/kicks.csv", "no folder none; make it first"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_the_scan(kicks, output, message, capsys):
    assert inspect.main([f"data.root={kicks}", f"output={output}"]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""


def test_an_augmentation_is_shown_before_and_after(kicks, tmp_path):
    words = [f"data.root={kicks}", "workers=0", "report=page.html", "attributes=false"]
    up = ["augmentation.transforms.pitch.probability=1", "augmentation.mask.probability=1"]
    slow = np.sin(2 * np.pi * 100 * np.arange(1600) / 800)
    soundfile.write(kicks / "slow.wav", 0.5 * slow, 800)  # too low a rate to be shown
    assert inspect.main([*words, *up]) == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "semitones" in page
    assert "input of the encoder" in page
    clips = sorted(path.name for path in (tmp_path / "page_augmentation").iterdir())
    assert clips[:4] == [f"000_good_after_{k}.wav" for k in (1, 2, 3)] + ["000_good_before.wav"]
    assert len(clips) == 8
    before, rate_hz = soundfile.read(tmp_path / "page_augmentation" / "000_good_before.wav")
    assert rate_hz == 48000
    assert soundfile.info(tmp_path / "page_augmentation" / clips[0]).subtype == "PCM_24"
    np.testing.assert_allclose(before, soundfile.read(kicks / "good.wav")[0], atol=2e-6)


@pytest.mark.parametrize(("normalise", "peak"), [("null", 0.005), ("peak", 0.891)])
def test_recordings_are_played_as_training_would_hear_them(kicks, tmp_path, normalise, peak):
    soft = 0.01 * soundfile.read(kicks / "good.wav")[0]
    soundfile.write(kicks / "good.wav", soft, 48000, subtype="FLOAT")
    (kicks / "twin.flac").unlink()
    words = [f"data.root={kicks}", "workers=0", "report=page.html", "attributes=false"]
    words += ["augmentation.transforms.pitch.probability=1", f"data.normalise={normalise}"]
    assert inspect.main(words) == 0
    before = soundfile.read(tmp_path / "page_augmentation" / "000_good_before.wav")[0]
    assert np.abs(before).max() == pytest.approx(peak, rel=0.01)
    page = (tmp_path / "page.html").read_text("utf-8")
    players = re.findall(r"data:audio/flac;base64,([A-Za-z0-9+/=]+)", page)
    card = soundfile.read(io.BytesIO(base64.b64decode(players[-1])))[0]
    assert np.abs(card).max() == pytest.approx(peak, rel=0.01)


def test_what_is_mixed_in_is_the_next_recording(tmp_path, monkeypatch):
    """Two tones: after mixing at 0 dB both are there at the same level, whatever their lengths."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tones").mkdir()
    for hertz, seconds in ((500, 1.0), (3000, 0.4)):
        tone = 0.25 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 48000)) / 48000)
        soundfile.write(tmp_path / "tones" / f"{hertz}.wav", tone, 48000)
    words = ["data.root=tones", "workers=0", "report=page.html", "attributes=false"]
    mix = [f"augmentation.mix.{key}" for key in ("probability=1", "min_db=0", "max_db=0")]
    assert inspect.main([*words, "augmentation=none", *mix]) == 0
    assert "pitch no longer known" in (tmp_path / "page.html").read_text("utf-8")
    for hertz in (500, 3000):
        clips = sorted((tmp_path / "page_augmentation").glob(f"*_{hertz}_after_1.wav"))
        mixed = soundfile.read(clips[0])[0][:19200]
        spectrum = np.abs(np.fft.rfft(mixed))
        low, high = spectrum[200], spectrum[1200]  # 2.5 Hz a bin: 500 and 3000 Hz
        assert low == pytest.approx(high, rel=0.02)
        assert low > 0.2 * len(mixed) / 4


def test_of_a_pair_the_target_is_played_and_the_input_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tones").mkdir()
    tone = 0.25 * np.sin(2 * np.pi * 500 * np.arange(24_000) / 48000)
    soundfile.write(tmp_path / "tones" / "500.wav", tone, 48000)
    words = ["data.root=tones", "workers=0", "report=page.html", "attributes=false"]
    pairs = "augmentation.counterfactual"
    gain = [f"{pairs}.transforms.gain.{key}=-6" for key in ("min_db", "max_db")]
    only = [f"{pairs}.transforms.{name}=null" for name in ("varispeed", "noise", "tilt", "decay")]
    always = [f"{pairs}.probability=1", f"{pairs}.transforms.gain.probability=1"]
    assert inspect.main([*words, "augmentation=none", *gain, *only, *always]) == 0
    [before], [after] = (
        (tmp_path / "page_augmentation").glob(f"*_{kind}.wav") for kind in ("before", "after_1")
    )
    found, expected = soundfile.read(after)[0], 10**-0.3 * soundfile.read(before)[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("input of the encoder") == 3
    assert "gain of a pair&#39;s target" in page


def test_a_mistake_in_an_augmentation_is_named_before_the_scan(kicks, capsys):
    words = [f"data.root={kicks}", "augmentation=strong", "augmentation.expansion=-1"]
    assert inspect.main(words) == 2
    assert "augmentation: augmentation.expansion=-1: give 0" in capsys.readouterr().err
