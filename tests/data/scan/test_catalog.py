import csv
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

import timbrel.data.scan.catalog as catalog_module
from signals import noise, sine
from timbrel.audio.level import LoudnessMeter
from timbrel.data.scan import probe
from timbrel.data.scan.catalog import Catalog, FileReport, scan
from timbrel.data.scan.catalog_table import catalog_table, shortened, summary
from timbrel.data.scan.probe import Measurement, measure
from timbrel.data.scan.probe_process import probing_process
from timbrel.data.scan.probing import measure_all
from timbrel.data.scan.verdicts import Verdict
from timbrel.errors import UserError
from timbrel.words import printable


def write(path: Path, audio: np.ndarray | None = None, **settings: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = sine(440, 0.5) if audio is None else audio
    # Whole numbers, because WAV and FLAC round floats in different ways.
    soundfile.write(path, np.round(32_767 * samples.T).astype(np.int16), 48_000, **settings)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two different takes and a duplicate of the first in another container."""
    root = tmp_path / "takes"
    write(root / "a.wav")
    write(root / "sub/b.wav", noise(0.5))
    write(root / "c.flac")
    return root


def by_path(catalog: Catalog) -> dict[str, FileReport]:
    return {file.path: file for file in catalog.files}


def test_a_folder_is_cataloged_in_order(folder: Path) -> None:
    catalog = scan(folder, workers=0)
    assert [file.path for file in catalog.files] == ["a.wav", "c.flac", "sub/b.wav"]
    assert [file.path for file in catalog.training_files] == ["a.wav", "sub/b.wav"]
    assert catalog.counts()[Verdict.ACCEPT] == 2
    assert catalog.counts()[Verdict.ACCEPT_WARN] == 1
    report = catalog.files[0]
    assert (report.format, report.subtype, report.rate_hz, report.channels) == (
        *("WAV", "PCM_16"),
        *(48_000, 1),
    )
    assert report.n_samples == report.header_samples == 24_000
    assert report.peak == pytest.approx(0.5, abs=1e-4)
    assert report.duration_s == 0.5
    assert catalog.absolute(report) == folder / "a.wav"


def test_processes_measure_what_this_process_measures(folder: Path) -> None:
    assert scan(folder, workers=1) == scan(folder, workers=0)


def test_the_hash_is_of_samples_rate_and_channels(tmp_path: Path) -> None:
    tone = sine(440, 0.5)
    wav = measure(write(tmp_path / "a.wav", tone)).content_hash
    assert measure(write(tmp_path / "a.flac", tone)).content_hash == wav
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    soundfile.write(tmp_path / "slow.wav", samples, 44_100)
    assert measure(tmp_path / "slow.wav").content_hash != wav
    stereo = np.stack([tone[::2], tone[1::2]])
    assert measure(write(tmp_path / "stereo.wav", stereo)).content_hash != wav


def test_the_first_of_duplicates_stays(folder: Path) -> None:
    reports = by_path(scan(folder, workers=0))
    assert reports["c.flac"].duplicate_of == "a.wav"
    assert not reports["c.flac"].trains
    assert "'a.wav'" in reports["c.flac"].reasons[0]
    assert reports["a.wav"].duplicate_of is None


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that are decoded from here on."""
    names: list[str] = []

    def counting(paths: Sequence[Path], **options: object) -> list[Measurement | None]:
        names.extend(path.name for path in paths)
        return measure_all(paths, workers=0)

    monkeypatch.setattr(catalog_module, "measure_all", counting)
    return names


def test_a_second_scan_decodes_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = counted(monkeypatch)
    first = scan(folder, memory=tmp_path / "memory")
    assert sorted(decoded) == ["a.wav", "b.wav", "c.flac"]
    decoded.clear()
    assert scan(folder, memory=tmp_path / "memory") == first
    assert decoded == []
    write(folder / "a.wav", noise(0.4))
    assert scan(folder, memory=tmp_path / "memory") != first
    assert decoded == ["a.wav"]


@pytest.mark.parametrize("content", ["", "{", '{"version": "0", "files": []}', "[]", "null"])
def test_a_damaged_memory_is_replaced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    memory = tmp_path / "memory"
    scan(folder, memory=memory, workers=0)
    (file,) = memory.iterdir()
    file.write_text(content)
    decoded = counted(monkeypatch)
    scan(folder, memory=memory)
    assert len(decoded) == 3
    assert len(json.loads(file.read_text())["files"]) == 3


def test_a_memory_that_cannot_be_written_is_no_obstacle(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "memory").write_text("a file where a folder should be")
    assert len(scan(folder, memory=tmp_path / "memory", workers=0).files) == 3


def test_nothing_is_written_in_the_folder(folder: Path, tmp_path: Path) -> None:
    def state() -> list[tuple[str, int, int]]:
        found = sorted(folder.rglob("*"))
        return [(str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in [folder, *found]]

    before = state()
    scan(folder, memory=tmp_path / "memory", workers=0).to_csv(tmp_path / "catalog.csv")
    assert state() == before


def test_files_of_earlier_versions_keep_their_names(folder: Path, tmp_path: Path) -> None:
    """Columns of the CSV and records of remembered measurements call numbers of samples frames."""
    scan(folder, workers=0).to_csv(tmp_path / "catalog.csv")
    row = next(csv.DictReader((tmp_path / "catalog.csv").open()))
    assert (row["frames"], row["header_frames"]) == ("24000", "24000")
    assert list(row)[:8] == [
        *("path", "verdict", "reasons", "format", "subtype", "rate_hz", "channels"),
        "header_frames",
    ]
    found = measure(folder / "a.wav")
    record = asdict(found)
    record["frames"] = record.pop("n_samples")
    record["header_frames"] = record.pop("header_samples")
    assert Measurement.from_json(record) == found


CRASHING = """
import os, signal
from timbrel.data.scan.probe import measure
from timbrel.data.worker_process import serve

def answer(path):
    if path.endswith("crash.wav"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return measure(path)

serve(answer)
"""


def test_a_crash_of_the_decoder_costs_one_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "crash.wav", noise(0.3))
    write(folder / "z.wav", noise(0.2))

    def crashing(paths: Sequence[Path], **options: object) -> list[Measurement | None]:
        process = partial(probing_process, (sys.executable, "-P", "-c", CRASHING))
        return measure_all(paths, workers=1, process=process)

    monkeypatch.setattr(catalog_module, "measure_all", crashing)
    reports = by_path(scan(folder))
    assert reports["crash.wav"].verdict == "skip_warn"
    assert "crashed" in reports["crash.wav"].reasons[0]
    assert [path for path, report in reports.items() if report.trains] == [
        *("a.wav", "sub/b.wav", "z.wav")
    ]


def test_a_worker_that_does_not_start_is_no_crash_of_a_decoder(folder: Path) -> None:
    process = partial(probing_process, (sys.executable, "-c", ""))
    with pytest.raises(UserError, match="did not start"):
        measure_all([folder / "a.wav"], workers=1, process=process)


def test_a_fault_while_a_file_is_measured_costs_one_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scan(folder, workers=0)

    def no_memory(rate_hz: int, channels: int) -> LoudnessMeter:
        if channels == 2:
            raise MemoryError
        return LoudnessMeter(rate_hz, channels)

    monkeypatch.setattr(probe, "LoudnessMeter", no_memory)
    write(folder / "wide.wav", np.stack([noise(0.5), noise(0.5, seed=9)]))
    found = {file.path: file for file in scan(folder, workers=0, memory=tmp_path / "m").files}
    assert found["wide.wav"].verdict is Verdict.SKIP_WARN
    assert found["wide.wav"].reasons == ("Cannot be measured (MemoryError).",)
    others = [file for file in whole.training_files if file.channels == 1]
    assert others
    assert all(found[file.path] == file for file in others)
    monkeypatch.undo()  # it was not remembered: another time there may be memory
    again = {file.path: file for file in scan(folder, workers=0, memory=tmp_path / "m").files}
    assert again["wide.wav"].verdict is Verdict.ACCEPT


def test_neither_a_scan_nor_its_workers_import_torch() -> None:
    program = (
        "import sys, timbrel.data.scan.catalog_table, timbrel.data.scan.probe_process\n"
        "heavy = {'torch', 'lightning', 'hydra', 'scipy.signal'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_progress_counts_up_to_all(folder: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    scan(folder, workers=0, progress=lambda *told: seen.append(told))
    assert [told[:2] for told in seen] == [(1, 3), (2, 3), (3, 3)]
    assert seen[0][2].endswith("a.wav")


@pytest.mark.parametrize("content", ["missing", "file", "empty", "no sound", "broken"])
def test_dead_ends_name_the_folder(folder: Path, tmp_path: Path, content: str) -> None:
    root = tmp_path / content
    if content == "file":
        root = folder / "a.wav"
    elif content != "missing":
        root.mkdir()
    if content == "no sound":
        (root / "notes.txt").write_text("later")
    if content == "broken":
        (root / "x.wav").write_text("not a wave")
    with pytest.raises(UserError) as caught:
        scan(root, workers=0)
    assert str(root) in str(caught.value)
    assert "data.root" in str(caught.value)


def test_content_decides_and_companions_are_silent(folder: Path) -> None:
    write(folder / "no_suffix", noise(0.3, seed=3), format="WAV")
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0 a picture")
    (folder / "README.md").write_text("# Takes")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX/a.wav").write_text("")
    reports = by_path(scan(folder, workers=0))
    assert reports["no_suffix"].verdict == "accept"
    for name in ("cover.jpg", "README.md", ".DS_Store", "__MACOSX"):
        assert reports[name].verdict == "skip"
    assert "__MACOSX/a.wav" not in reports


def test_links_are_followed_but_not_in_circles(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside / "far.wav", noise(0.5, seed=9))
    (outside / "back").symlink_to(outside)
    (folder / "a_link.wav").symlink_to(outside / "far.wav")
    (folder / "elsewhere").symlink_to(outside)
    (folder / "up").symlink_to(tmp_path)
    (folder / "twice").symlink_to(folder / "sub")
    reports = by_path(scan(folder, workers=0))
    assert reports["a_link.wav"].trains
    assert reports["elsewhere/far.wav"].duplicate_of == "a_link.wav"
    for name in ("up", "twice", "elsewhere/back"):
        assert reports[name].verdict == "skip"
    assert "twice/b.wav" not in reports


def test_long_files_take_no_more_memory(tmp_path: Path) -> None:
    def peak_bytes(duration_s: float) -> int:
        path = write(tmp_path / f"{duration_s}.wav", np.stack([noise(duration_s)] * 2))
        tracemalloc.start()
        measure(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    measure(write(tmp_path / "imports.wav"))
    assert peak_bytes(60) < 1.1 * peak_bytes(6)


@pytest.mark.parametrize(
    ("right_gain", "warned"), [(1.0, False), (0.0, True), (-1.0, True), (-0.9, True)]
)
def test_what_a_mono_mix_would_lose_is_warned_of(
    tmp_path: Path, right_gain: float, warned: bool
) -> None:
    left = noise(0.5)
    write(tmp_path / "x.wav", np.stack([left, right_gain * left]))
    (report,) = scan(tmp_path, workers=0).files
    assert (report.verdict == "accept_warn") is warned
    assert warned == any("data.downmix" in reason for reason in report.reasons)


@pytest.mark.parametrize(("peak_dbfs", "warned"), [(-79.0, False), (-81.0, True), (-99.0, True)])
def test_a_very_quiet_file_is_warned_of_with_the_gain_that_helps(
    tmp_path: Path, peak_dbfs: float, warned: bool
) -> None:
    quiet = sine(440, 0.5, amplitude=10 ** (peak_dbfs / 20))
    soundfile.write(tmp_path / "x.wav", quiet, 48_000, subtype="FLOAT")
    (report,) = scan(tmp_path, workers=0).files
    assert report.trains
    said = [reason for reason in report.reasons if "data.normalise=peak" in reason]
    assert bool(said) is warned
    assert all(f"peaks at {peak_dbfs:.1f} dBFS; {-1 - peak_dbfs:+.1f} dB" in one for one in said)


def test_clipping_is_three_samples_in_a_row_at_full_scale(tmp_path: Path) -> None:
    touching = sine(12_000, 0.5, amplitude=1.0)
    assert measure(write(tmp_path / "touching.wav", touching)).clipped_share == 0
    clipped = np.clip(4 * sine(100, 0.5), -1, 1)
    share = measure(write(tmp_path / "clipped.wav", clipped)).clipped_share
    expected = 2 / np.pi * np.arccos(0.5) - 2 * 200 / 48_000
    assert share == pytest.approx(expected, abs=0.005)


ODD_NAMES = [
    "new\nline.wav",
    "car\rriage.wav",
    "a 'b' \"c\", d;e$F*.wav",
    "cafe\u0301.wav",
    "[b]x[/b].wav",
]


def test_odd_names_survive_the_csv(folder: Path, tmp_path: Path) -> None:
    for index, name in enumerate(ODD_NAMES):
        write(folder / name, noise(0.1, seed=index))
    undecodable = os.fsdecode(b"caf\xe9.wav")
    write(folder / "plain.wav", noise(0.1, seed=99)).rename(folder / undecodable)
    catalog = scan(folder, workers=0)
    catalog.to_csv(tmp_path / "catalog.csv")
    with open(
        tmp_path / "catalog.csv", encoding="utf-8", errors="surrogateescape", newline=""
    ) as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == [file.path for file in catalog.files]
    assert {undecodable, *ODD_NAMES} <= {row["path"] for row in rows}
    reports = by_path(catalog)
    assert all(reports[row["path"]].verdict == row["verdict"] for row in rows)
    assert all(float(row["duration_s"]) > 0 for row in rows)


def test_the_table_puts_warnings_first_and_obeys_no_name(folder: Path) -> None:
    write(folder / "evil\x1b[31m\n\u202e.wav", noise(0.1, seed=5))
    write(folder / "[red]markup.wav", noise(0.1, seed=6))
    write(folder / "broken.wav").write_text("no")
    undecodable = os.fsdecode(b"caf\xe9.wav")
    write(folder / "plain.wav", noise(0.1, seed=99)).rename(folder / undecodable)
    catalog = scan(folder, workers=0)
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(catalog_table(catalog))
    text = console.export_text()
    assert text.index("broken.wav") < text.index("c.flac") < text.index("a.wav")
    assert "\x1b" not in text
    assert "\\x1b[31m\\n\\u202e" in text
    assert "[red]markup.wav" in text
    assert summary(catalog) == (
        "7 files: 5 ok (✓), 1 with a warning (!), 1 left out (✗), 1 duplicates; 5 train, 1.3 s"
    )
    assert summary(catalog) in text


def test_names_are_shortened_in_the_middle() -> None:
    assert shortened("x" * 40, 11) == "xxxxx…xxxxx"
    assert shortened("short", 11) == "short"
    assert printable("日本語 🎵") == "日本語 🎵"


@pytest.mark.parametrize("theme", ["mixed_formats", "five_glitch"])
def test_real_recordings_are_accepted(shared: Path, theme: str) -> None:
    root = shared / "data" / theme
    sounds = [file for file in scan(root, workers=0).files if file.verdict != "skip"]
    warned = {file.path for file in sounds if file.verdict != "accept"}
    assert warned <= {"subfolder_a/scratch_44k_mono_8bit.wav"}
    assert all(file.trains for file in sounds)
    if theme == "mixed_formats":
        assert {"MPEG_LAYER_III", "OPUS", "VORBIS"} <= {file.subtype for file in sounds}
