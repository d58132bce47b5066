"""The scan of files longer than their header claims: the message, and what trains."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from headers import chunk, codes, encoded, fmt, long_wav, pcm, put, riff, wav
from timbrel.audio.read import read
from timbrel.data.cache.store import Cache
from timbrel.data.scan.catalog import FileReport, scan

PCM = pcm()
HALF = len(PCM) // 2
FLAC = bytes(encoded("FLAC", "PCM_16", codes()))


def report_on(tmp_path: Path, name: str, content: bytes) -> FileReport:
    (tmp_path / name).write_bytes(content)
    (report,) = scan(tmp_path, workers=0).files
    return report


MORE = {
    "crashed.wav": wav(PCM, 0, 0),
    "now and then.wav": wav(PCM, HALF, 36 + HALF),
    "long.wav": long_wav(PCM, HALF, b"BW64"),
    "half.flac": put(FLAC, 22, ">I", len(codes()) // 2),
    "zero.au": put(encoded("AU", "PCM_16", codes()), 8, ">I", 0),
}


@pytest.mark.parametrize("name", MORE)
def test_both_lengths_and_the_way_to_mend_it_are_told(tmp_path: Path, name: str) -> None:
    report = report_on(tmp_path, name, MORE[name])
    assert report.verdict == "accept_warn"
    assert report.trains
    assert report.n_samples == len(codes())
    (reason,) = report.reasons
    said = (report.header_samples or 0) / 48_000
    assert f"says {said:.2f} s, but the file holds 0.40 s" in reason
    assert "ffmpeg" in reason
    assert "remove" not in reason
    ordinary = tmp_path / "ordinary"
    ordinary.mkdir()
    assert report.content_hash == report_on(ordinary, "x.wav", wav(PCM)).content_hash


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here")
@pytest.mark.parametrize("name", list(MORE))
def test_the_command_mends_it(tmp_path: Path, name: str) -> None:
    report = report_on(tmp_path, name, MORE[name])
    command = report.reasons[0].rpartition(": ")[2].rstrip(".")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
    (mended,) = tmp_path.glob("*_mended.*")
    assert soundfile.info(mended).frames == len(codes())


def test_what_is_told_is_what_trains(tmp_path: Path) -> None:
    for name, content in MORE.items():
        folder = tmp_path / "recordings"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        catalog = scan(folder, workers=0)
        (file,) = catalog.files
        (clip,) = Cache(tmp_path / "cache").ensure(catalog, sample_rate_hz=48_000)
        np.testing.assert_array_equal(clip.open()[0], codes() / np.float32(32768))
        np.testing.assert_array_equal(clip.open(), read(catalog.absolute(file))[0])
        (folder / name).unlink()


def test_an_open_length_is_a_warning(tmp_path: Path) -> None:
    report = report_on(tmp_path, "stream.wav", wav(PCM, 0x7FFFF000, 0x7FFFF024))
    assert report.verdict == "accept_warn"
    assert "leaves the length open" in report.reasons[0]
    assert "0.40 s" in report.reasons[0]


def test_parts_are_told(tmp_path: Path) -> None:
    body = fmt() + chunk(b"data", PCM[:HALF]) + chunk(b"data", PCM[HALF:])
    report = report_on(tmp_path, "split.wav", riff(body))
    assert report.verdict == "accept_warn"
    assert "2 parts" in report.reasons[0]


def test_junk_is_a_note_and_much_of_it_a_warning(tmp_path: Path) -> None:
    report = report_on(tmp_path, "junk.wav", wav(PCM) + b"JUNK" * 500)
    assert report.verdict == "accept"
    assert "2000 bytes" in report.reasons[0]
    report = report_on(tmp_path, "junk.wav", wav(PCM) + np.random.default_rng(0).bytes(90_000))
    assert report.verdict == "accept_warn"
    assert "0.40 s are read, as its header says, but 90000 bytes more" in report.reasons[0]
    assert report.header_samples == report.n_samples == len(codes())


def test_only_an_empty_file_is_to_be_removed(tmp_path: Path) -> None:
    unusable = {
        "no format.wav": riff(chunk(b"data", PCM)),
        "no samples.wav": wav(b""),
        "noise.wav": np.random.default_rng(0).bytes(5000),
        "cut.flac": FLAC[: len(FLAC) // 2],
        "aac.m4a": b"\0\0\0\x20ftypM4A " + bytes(5000),
    }
    for name, content in unusable.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "good.wav").write_bytes(wav(PCM))
    (tmp_path / "empty.wav").write_bytes(b"")
    reasons = {file.path: " ".join(file.reasons) for file in scan(tmp_path, workers=0).files}
    assert "remove" in reasons.pop("empty.wav")
    assert not [name for name, reason in reasons.items() if "remove" in reason]
