"""The inspect page: its advice follows from the files, names are harmless, measures true."""

import os
import shlex
import time

import numpy as np
import pytest
import soundfile

from signals import noise, sine
from timbrel.data.scan.catalog import scan
from timbrel.report.data_advice import advise
from timbrel.report.data_factors import factors
from timbrel.report.data_measures import POINTS, look, look_at_all
from timbrel.report.data_report import MOST_PLAYERS, write_data_report
from timbrel.stages.composing import compose


def sounds(folder, count, seconds=2.0, rate_hz=48_000):
    folder.mkdir(exist_ok=True)
    for i in range(count):
        audio = 0.5 * noise(seconds, seed=i)[: round(seconds * rate_hz)]
        soundfile.write(folder / f"s{i:02d}.wav", audio, rate_hz)
    return folder


@pytest.mark.parametrize(
    ("count", "seconds", "verdict"),
    [
        (20, 1.5, "Enough to train."),
        (20, 1.4, "Enough to try."),
        (6, 2.0, "Enough to try."),
        (4, 4.0, "Too little to train on."),
        (6, 1.0, "Too little to train on."),
    ],
)
def test_enough_follows_from_files_and_seconds(tmp_path, count, seconds, verdict):
    advice = advise(scan(sounds(tmp_path / "d", count, seconds), workers=0))
    assert advice.verdict == verdict
    assert advice.sentence.startswith(f"{count} recordings can train")
    assert advice.notices == ()


def test_what_is_to_mend_is_told(tmp_path):
    folder = sounds(tmp_path / "my sounds", 5)
    soundfile.write(folder / "copy.flac", *soundfile.read(folder / "s00.wav"))
    (folder / "broken.wav").write_bytes(b"RIFF no sound")
    soundfile.write(folder / "silent.wav", np.zeros(48_000), 48_000)
    soundfile.write(
        folder / "clipped.wav", np.sign(sine(50.0, 1.0)) * 0.9999, 48_000, subtype="FLOAT"
    )
    soundfile.write(folder / "short.wav", noise(0.05), 48_000)
    soundfile.write(folder / "dull.wav", 0.5 * noise(1.0), 22_050)
    trailing = np.concatenate([0.5 * noise(0.5), np.zeros(72_000)])
    soundfile.write(folder / "trailing.wav", trailing, 48_000)
    soundfile.write(folder / "quiet.wav", 0.02 * noise(1.0), 48_000)
    advice = advise(scan(folder, workers=0))
    told = {notice.heading: notice.text for notice in advice.notices}
    expected = {
        "1 file cannot be used.": "broken.wav",
        "1 duplicate.": "s00.wav",  # copy.flac comes first
        "1 file with nothing but silence.": "silent.wav",
        "1 file clipped.": "clipped.wav",
        "1 file shorter than 100 ms.": "short.wav",
        "1 file at a low sample rate.": "dull.wav",
        "1 file mostly silent.": "trailing.wav",
        "Levels differ widely.": "LUFS",
    }
    assert set(told) == set(expected)
    assert all(word in told[heading] for heading, word in expected.items())
    assert "8 % of 13" in told["1 file cannot be used."]
    assert advice.command == f"timbrel train 'data.root={folder}'"


def test_the_command_trains_on_what_was_looked_at(tmp_path):
    folder, further = sounds(tmp_path / "d", 2), sounds(tmp_path / "it's, more", 3, 1.0)
    soundfile.write(folder / "silent.wav", np.zeros(48_000), 48_000)
    advice = advise(scan(folder, also=[further], workers=0, include_silent=True))
    assert not any("silence" in notice.heading for notice in advice.notices)
    program, stage, *words = shlex.split(advice.command)
    assert (program, stage) == ("timbrel", "train")
    data = compose("train", words).data
    assert (data.root, list(data.also)) == (str(folder), [str(further)])
    assert data.include_silent


def test_the_page_shows_every_file_and_players_of_their_samples(tmp_path, page):
    folder = sounds(tmp_path / "d", 5)
    (folder / "notes.txt").write_text("no sound")
    path = tmp_path / "made" / "inspect.html"
    advice = write_data_report(scan(folder, workers=0), path, name="my drums")
    shown = page(path)
    assert advice.sentence in shown.words
    assert all(f"s{i:02d}.wav" in shown.words for i in range(5))
    assert "files that are not audio 1" in shown.words
    audio, rate_hz = shown.players["s03.wav"]
    expected, _ = soundfile.read(folder / "s03.wav", dtype="int16", always_2d=True)
    assert rate_hz == 48_000
    assert np.array_equal(audio, expected)


def test_hostile_names_are_only_names(tmp_path, page):
    folder = sounds(tmp_path / "d", 1)
    names = [b"<script>alert(1)<&\"'>.wav", b"caf\xe9.wav", b"new\nline.wav", b"$a_b$.wav"]
    for number, name in enumerate(names):
        path = os.path.join(os.fsencode(folder), name)
        soundfile.write(path, noise(0.2, seed=number), 48_000, format="WAV")
    (folder / "factors.csv").write_text("file,<b>kind\n$a_b$.wav,<i>\ns00.wav,y\n")
    path = tmp_path / "page.html"
    write_data_report(scan(folder, workers=0), path, name="<b>d</b>")
    shown = page(path)
    for name in ("<script>alert(1)<&\"'>.wav", "caf\\udce9.wav", "new\\nline.wav", "$a_b$.wav"):
        assert name in shown.words
    assert "<b>kind" in shown.words


def test_many_files_have_no_players_and_a_small_page(tmp_path, page):
    folder = sounds(tmp_path / "d", MOST_PLAYERS + 1, 0.1)
    path = tmp_path / "page.html"
    write_data_report(scan(folder, workers=0), path, name="d")
    shown = page(path)
    assert shown.players == {}
    assert "There are no players" in shown.words
    assert path.stat().st_size < 6000 * (MOST_PLAYERS + 1) + 150_000


@pytest.mark.parametrize("frequency_hz", [100.0, 1000.0, 10_000.0])
def test_the_centroid_of_a_sine_is_its_frequency(tmp_path, frequency_hz):
    path = tmp_path / "s.wav"
    soundfile.write(path, sine(frequency_hz, 7.0, amplitude=0.5), 48_000, subtype="FLOAT")
    seen = look(path, 7 * 48_000)
    assert seen.centroid_hz == pytest.approx(frequency_hz, rel=0.05)
    assert seen.rms == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)
    assert seen.envelope.shape == (2, POINTS)
    assert seen.envelope[1] == pytest.approx(0.5, abs=0.01)


def test_white_noise_lies_at_half_of_nyquist(tmp_path):
    soundfile.write(tmp_path / "n.wav", 0.1 * noise(2.0), 48_000, subtype="FLOAT")
    assert look(tmp_path / "n.wav", 96_000).centroid_hz == pytest.approx(12_000, rel=0.02)


def test_channels_in_antiphase_are_seen(tmp_path):
    tone = sine(1000.0, 0.5, amplitude=0.5)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, -tone], 1), 48_000, subtype="FLOAT")
    seen = look(tmp_path / "a.wav", 24_000)
    assert seen.rms == pytest.approx(0.3536, rel=1e-3)
    assert seen.centroid_hz == pytest.approx(1000, rel=0.05)


@pytest.mark.parametrize("n", [1, 7, 479, 481, 5000])
def test_the_envelope_spans_every_sample(tmp_path, n):
    audio = noise(0.2)[:n]
    soundfile.write(tmp_path / "a.wav", audio, 48_000, subtype="FLOAT")
    envelope = look(tmp_path / "a.wav", n).envelope
    assert envelope[0].min() == audio.min()
    assert envelope[1].max() == audio.max()
    assert envelope.shape[1] <= POINTS
    # A header that claims another length costs resolution, nothing else.
    assert look(tmp_path / "a.wav", 10 * n).envelope[1].max() == audio.max()


def test_what_cannot_be_read_is_none(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    assert look(tmp_path / "a.wav", 100) is None
    assert look_at_all([(tmp_path / "a.wav", 1), (tmp_path / "none.wav", 1)]) == [None, None]


def test_factors_are_those_that_vary_over_what_trains(tmp_path):
    folder = sounds(tmp_path / "d", 20, 0.1)
    rows = [
        f"s{i:02d}.wav,{'kick' if i < 5 else 'snare'},{i * 1.5},same,note {i}" for i in range(20)
    ]
    rows.append("gone.wav,bell,99,same,x")
    (folder / "SOURCES.csv").write_text("\n".join(["file,class,pitch,maker,note", *rows]) + "\n")
    name, found = factors(scan(folder, workers=0))
    assert name == "SOURCES.csv"
    assert [(f.name, f.files, f.values) for f in found] == [
        ("class", 20, "kick (5), snare (15)"),
        ("pitch", 20, "0 to 28.5"),
    ]


def test_a_table_that_a_spreadsheet_wrote_is_read_too(tmp_path):
    folder = sounds(tmp_path / "d", 4, 0.1)
    rows = [f"s{i:02d}.wav,{'kick' if i < 3 else 'bell'}" for i in range(4)]
    (folder / "factors.csv").write_text("\n".join(["file,class", *rows]), "utf-8-sig")
    _, found = factors(scan(folder, workers=0))
    assert [(factor.name, factor.values) for factor in found] == [("class", "bell (1), kick (3)")]


def test_the_page_is_quick(tmp_path):
    catalog = scan(sounds(tmp_path / "d", 60, 0.5), workers=0)
    start_s = time.process_time()
    write_data_report(catalog, tmp_path / "page.html", name="d", threads=1)
    assert time.process_time() - start_s < 15


def test_real_recordings_have_a_page(tmp_path, shared, page):
    path = tmp_path / "page.html"
    write_data_report(scan(shared / "data" / "drums_oneshots", workers=0), path, name="drums")
    shown = page(path)
    assert "46 recordings can train, 35.4 s in all" in shown.words
    assert "drum_class" in shown.words
