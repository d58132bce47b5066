"""Attributes of many sounds: the same in processes, kept by content and code, resumed."""

import sys
import time
from functools import partial

import numpy as np
import pytest
import soundfile

from signals import noise, sine
from timbrel.attributes.measurement import measure
from timbrel.data.cache.store import Cache
from timbrel.data.measured import attribute_store, attribute_table
from timbrel.data.measured.attribute_process import measuring_process
from timbrel.data.measured.attribute_table import measure_clips, measure_files, measure_segments
from timbrel.data.scan.catalog import scan
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError

RATE_HZ = 48_000


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for hz in (110, 220, 440):
        soundfile.write(folder / f"s{hz}.wav", sine(hz, 0.3), RATE_HZ, subtype="FLOAT")
    wide = np.stack([noise(0.3, seed=1), noise(0.3, seed=2)], 1)
    soundfile.write(folder / "wide.wav", wide, RATE_HZ, subtype="FLOAT")
    return folder


@pytest.fixture
def counted(monkeypatch):
    """Every sound that is really measured in this process."""
    seen = []

    def counting(audio, rate_hz, **settings):
        seen.append(audio.shape)
        return measure(audio, rate_hz, **settings)

    monkeypatch.setattr(attribute_store, "measure", counting)
    return seen


def test_files_are_measured_as_they_are_and_only_once(folder, tmp_path, counted):
    catalog, cache = scan(folder, workers=0), tmp_path / "cache"
    first = measure_files(catalog, folder=cache, workers=0)
    assert first.names == ("s110.wav", "s220.wav", "s440.wav", "wide.wav")
    values, defined = first.column("f0_hz")
    assert values[:3] == pytest.approx([110, 220, 440], rel=1e-3)
    assert defined.tolist() == [True, True, True, False]
    assert first.column("width")[1].tolist() == [False, False, False, True]
    with pytest.raises(KeyError, match="brightness"):
        first.column("brightness")
    assert len(counted) == 4
    again = measure_files(catalog, folder=cache, workers=0)
    assert len(counted) == 4
    for before, after in zip(first.measurements, again.measurements, strict=True):
        for name in ("clip_values", "clip_confidence", "clip_defined", "frame_values"):
            assert np.array_equal(getattr(before, name), getattr(after, name))
        assert (after.rate_hz, after.hop_samples) == (RATE_HZ, 480)


def test_new_content_new_code_and_damage_are_measured_anew(folder, tmp_path, counted, monkeypatch):
    cache = tmp_path / "cache"
    measure_files(scan(folder, workers=0), folder=cache, workers=0)
    soundfile.write(folder / "s220.wav", sine(330, 0.3), RATE_HZ, subtype="FLOAT")
    table = measure_files(scan(folder, workers=0), folder=cache, workers=0)
    assert len(counted) == 5
    assert table.column("f0_hz")[0][1] == pytest.approx(330, rel=1e-3)
    next((cache / "attributes").glob("*.npz")).write_bytes(b"PK\x03\x04 cut")
    for _ in range(2):
        measure_files(scan(folder, workers=0), folder=cache, workers=0)
    assert len(counted) in (5, 6)  # the damaged one may be what no file holds any more
    before = len(counted)
    monkeypatch.setattr(attribute_store, "code_version", lambda: "another")
    measure_files(scan(folder, workers=0), folder=cache, workers=0)
    assert len(counted) == before + 4


def test_an_interrupted_call_goes_on_where_it_was(folder, tmp_path, counted):
    catalog, cache = scan(folder, workers=0), tmp_path / "cache"

    def stop(done, total, name):
        assert total == 4
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_files(catalog, folder=cache, workers=0, progress=stop)
    told = []
    measure_files(catalog, folder=cache, workers=0, progress=lambda *words: told.append(words))
    assert len(counted) == 4
    assert [words[:2] for words in told] == [(1, 2), (2, 2)]


def test_clips_are_measured_in_processes_as_here(folder, tmp_path):
    cache = Cache(tmp_path / "cache")
    clips = cache.ensure(scan(folder, workers=0), sample_rate_hz=RATE_HZ, channels=1)
    here = measure_clips(clips, folder=tmp_path / "other", workers=0)
    there = measure_clips(clips, folder=cache.folder, workers=2)
    for one, other in zip(here.measurements, there.measurements, strict=True):
        assert np.array_equal(one.clip_values, other.clip_values)
        assert np.array_equal(one.frame_values, other.frame_values)
    assert not there.column("width")[1].any()  # mono, as it will train
    assert len(list((cache.folder / "attributes").glob("*.npz"))) == 4


def test_a_piece_is_measured_as_it_is_and_a_whole_one_as_its_clip(tmp_path, counted):
    (tmp_path / "recordings").mkdir()
    both = np.concatenate([sine(220, 0.3), sine(440, 0.3)])
    soundfile.write(tmp_path / "recordings" / "both.wav", both, RATE_HZ, subtype="FLOAT")
    catalog = scan(tmp_path / "recordings", workers=0)
    (clip,) = Cache(tmp_path / "cache").ensure(catalog, sample_rate_hz=RATE_HZ, channels=1)
    middle = clip.n_samples // 2
    ends = [(0, clip.n_samples), (0, middle), (middle, clip.n_samples)]
    pieces = [Segment(clip, start, stop) for start, stop in ends]
    for _ in range(2):
        table = measure_segments(pieces, folder=tmp_path / "cache", workers=0)
        assert table.column("f0_hz")[0][1:] == pytest.approx([220, 440], rel=1e-3)
        # Only what begins with the recording begins in silence.
        assert table.column("log_attack_time")[1].tolist() == [True, True, False]
    assert [shape[1] for shape in counted] == [clip.n_samples, middle, middle]
    (whole,) = measure_clips([clip], folder=tmp_path / "cache", workers=0).measurements
    assert len(counted) == 3
    assert np.array_equal(whole.clip_values, table.measurements[0].clip_values)


def test_a_lost_clip_is_told_and_an_unreadable_file_has_no_measurement(folder, tmp_path):
    catalog = scan(folder, workers=0)
    clips = Cache(tmp_path / "cache").ensure(catalog, sample_rate_hz=RATE_HZ)
    clips[1].path.unlink()
    with pytest.raises(UserError, match=r"s220\.wav.*damaged"):
        measure_clips(clips, folder=tmp_path / "cache", workers=0)
    (folder / "s110.wav").write_bytes(b"no sound any more")
    table = measure_files(catalog, folder=tmp_path / "cache", workers=0)
    assert table.measurements[0] is None
    assert table.column("f0_hz")[1].tolist() == [False, True, True, False]


KILLED = """
import os, signal
from timbrel.data.measured.attribute_store import measured
from timbrel.data.worker_process import serve

def answer(job):
    if job[0].name == "s220.wav":
        os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory runs out
    return measured(*job)

serve(answer)
"""


def test_a_process_that_is_killed_costs_one_measurement(folder, tmp_path, monkeypatch, caplog):
    process = partial(measuring_process, (sys.executable, "-P", "-c", KILLED))
    monkeypatch.setattr(attribute_table, "measuring_process", process)
    catalog, cache = scan(folder, workers=0), Cache(tmp_path / "cache")
    clips = cache.ensure(catalog, sample_rate_hz=RATE_HZ)
    of_files = measure_files(catalog, folder=cache.folder, workers=1)
    assert [found is None for found in of_files.measurements] == [False, True, False, False]
    of_clips = measure_clips(clips[1:3], folder=cache.folder, workers=1)
    assert [found is None for found in of_clips.measurements] == [True, False]
    for table in (of_files, of_clips):
        [reason] = table.reasons
        assert reason.startswith("'s220.wav': its attributes could not be measured (the process")
        assert f"its attributes are not known: {reason}" in caplog.messages
    # Nothing of it is kept: another time there may be memory.
    monkeypatch.undo()
    assert measure_clips(clips, folder=cache.folder).column("f0_hz")[1].sum() == 3


@pytest.mark.parametrize("fault", [MemoryError(), IndexError("index -1 is out of bounds")])
def test_a_fault_of_a_measure_costs_one_measurement(folder, tmp_path, monkeypatch, fault):
    def faulty(audio, rate_hz, **settings):
        if len(audio) == 2:
            raise fault
        return measure(audio, rate_hz, **settings)

    monkeypatch.setattr(attribute_store, "measure", faulty)
    table = measure_files(scan(folder, workers=0), folder=tmp_path / "cache", workers=0)
    assert [found is None for found in table.measurements] == [False, False, False, True]
    said = f"{type(fault).__name__}: {fault}".rstrip(": ")
    assert table.reasons == (f"'wide.wav': its attributes could not be measured ({said})",)


def test_processes_that_cannot_be_started_cost_measurements_and_no_trace(
    folder, tmp_path, monkeypatch
):
    process = partial(measuring_process, (str(tmp_path / "no_python"),))
    monkeypatch.setattr(attribute_table, "measuring_process", process)
    table = measure_files(scan(folder, workers=0), folder=tmp_path / "cache", workers=2)
    assert table.measurements == (None,) * 4
    assert all("No such file" in reason for reason in table.reasons)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_rate_too_low_to_measure_is_told_and_stops_nothing(folder, tmp_path, workers):
    soundfile.write(folder / "slow.wav", sine(100, 2.0)[:1600], 800, subtype="FLOAT")
    table = measure_files(scan(folder, workers=0), folder=tmp_path / "cache", workers=workers)
    assert table.measurements[table.names.index("slow.wav")] is None
    assert table.reasons == ("'slow.wav': 800 Hz; attributes are measured from 1000 Hz on",)
    assert table.column("f0_hz")[1].sum() == 3


def test_of_a_long_file_only_the_beginning_counts(folder, tmp_path, counted):
    measure_files(scan(folder, workers=0), folder=tmp_path, most_s=0.1, workers=0)
    assert counted == [(1, 4800), (1, 4800), (1, 4800), (2, 4800)]


def test_few_seconds_are_measured_in_this_process():
    assert attribute_table._workers(None, 59.0) == 0
    assert attribute_table._workers(None, 60.0) >= 1
    assert attribute_table._workers(3, 1.0) == 3


def test_a_folder_that_cannot_be_written_only_costs_time(folder, tmp_path):
    (tmp_path / "taken").write_text("a file")
    table = measure_files(scan(folder, workers=0), folder=tmp_path / "taken", workers=0)
    assert table.column("f0_hz")[1].sum() == 3


@pytest.mark.slow
def test_200_clips_of_2_s_take_less_than_a_minute_on_two_cores(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(200):
        signal = sine(60.0 + 4 * index, 2.0) + 0.1 * noise(2.0, seed=index)
        soundfile.write(folder / f"s{index:03d}.wav", signal, RATE_HZ, subtype="FLOAT")
    catalog = scan(folder, workers=2)
    start = time.perf_counter()
    table = measure_files(catalog, folder=tmp_path / "cache", workers=2)
    assert time.perf_counter() - start < 60
    assert table.column("f0_hz")[1].all()
