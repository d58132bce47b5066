"""The cache: exact samples, decoded once, rebuilt when damaged, safe with several processes."""

import hashlib
import io
import json
import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import soundfile

from signals import noise, sine
from timbrel.audio.level import loudness_lufs, true_peak_dbtp
from timbrel.data.cache import decode_process
from timbrel.data.cache import entry as cache_entry
from timbrel.data.cache import store as cache_module
from timbrel.data.cache.store import Cache, default_folder
from timbrel.data.scan.catalog import Catalog, FileReport
from timbrel.data.scan.verdicts import Verdict
from timbrel.errors import UserError

RATE_HZ = 48_000


def write(folder: Path, name: str, audio: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
    """A float WAV of `(channel, time)`: samples survive to the bit."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio.T, rate_hz, subtype="FLOAT")
    return path


def catalog_of(folder: Path) -> Catalog:
    """A catalog as scanning gives it, of sound files that all train."""
    reports = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        reports.append(
            FileReport(
                path=path.relative_to(folder).as_posix(),
                verdict=Verdict.ACCEPT,
                rate_hz=rate_hz,
                channels=audio.shape[1],
                n_samples=len(audio),
                duration_s=len(audio) / rate_hz,
                content_hash=str(hash(audio.tobytes())),
                trains=True,
            )
        )
    return Catalog(folder, tuple(reports))


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Three recordings: mono, stereo with the right louder, and one in a sub-folder."""
    folder = tmp_path / "sounds"
    write(folder, "mono.wav", noise(0.5, seed=1)[None])
    write(folder, "stereo.wav", np.stack([noise(0.3, seed=2), 1.5 * noise(0.3, seed=3)]))
    write(folder, "kit/hit.wav", sine(440.0, 0.01)[None])
    return folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the recordings decoded in this process, as they come."""
    names: list[str] = []
    write_entry = decode_process.write_entry

    def counted(job):
        names.append(job.name)
        return write_entry(job)

    monkeypatch.setattr(decode_process, "write_entry", counted)
    return names


def ensure(folder: Path, cache: Path, **settings):
    return Cache(cache).ensure(catalog_of(folder), **{"sample_rate_hz": RATE_HZ, **settings})


def samples_of(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


def files(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


def test_samples_at_their_own_rate_survive_to_the_bit(sounds, tmp_path):
    clips = ensure(sounds, tmp_path / "cache", channels=2)
    assert [clip.name for clip in clips] == ["kit/hit.wav", "mono.wav", "stereo.wav"]
    assert [clip.clip_id for clip in clips] == [0, 1, 2]
    for clip in clips:
        samples, source = clip.open(), samples_of(sounds / clip.name)
        assert samples.shape == (2, clip.n_samples)
        assert samples.dtype == np.float32
        np.testing.assert_array_equal(samples, np.broadcast_to(source, samples.shape))
        assert not samples.flags.writeable


def test_a_sidecar_has_the_names_of_every_earlier_version(sounds, tmp_path):
    (clip, *_) = ensure(sounds, tmp_path / "cache")
    record = json.loads(clip.path.with_suffix(".json").read_text("utf-8"))
    assert record["frames"] == clip.n_samples
    assert record.keys() == {
        *("frames", "channels", "rate_hz", "checksum", "size_bytes", "mtime_ns", "source")
    }


def test_numpy_reads_the_entries(sounds, tmp_path):
    for clip in ensure(sounds, tmp_path / "cache", channels=2):
        np.testing.assert_array_equal(np.load(clip.path, mmap_mode="r"), clip.open())


@pytest.mark.parametrize(("channels", "n_samples"), [(1, 1), (2, 48_000), (64, 10**15)])
def test_the_header_has_one_length_and_is_numpys(channels, n_samples):
    header = cache_entry.npy_header(channels, n_samples)
    assert len(header) == cache_entry.HEADER_BYTES

    stream = io.BytesIO(header)
    assert np.lib.format.read_magic(stream) == (1, 0)
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    assert (shape, fortran_order, dtype) == ((channels, n_samples), True, np.dtype("<f4"))


@pytest.mark.parametrize("downmix", ["mean", "left", "loudest"])
def test_downmix(sounds, tmp_path, downmix):
    clip = ensure(sounds, tmp_path / "cache", channels=1, downmix=downmix)[2]
    left, right = samples_of(sounds / "stereo.wav")
    expected = {"mean": (left + right) / 2, "left": left, "loudest": right}[downmix]
    np.testing.assert_allclose(clip.open()[0], expected, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("normalise", ["peak", "loudness"])
def test_every_file_is_brought_to_one_level(sounds, tmp_path, channels, normalise):
    settings = {"channels": channels, "downmix": "loudest"}
    cache = tmp_path / "cache"
    before = ensure(sounds, cache, **settings)
    after = ensure(sounds, cache, normalise=normalise, **settings)
    for plain, clip in zip(before, after, strict=True):
        heard = np.array(clip.open())
        ratio = np.abs(heard).max() / np.abs(plain.open()).max()
        np.testing.assert_allclose(heard, ratio * plain.open(), rtol=1e-5, atol=1e-7)
        if normalise == "peak":
            assert true_peak_dbtp(heard) == pytest.approx(-1.0, abs=0.1)
        else:
            assert loudness_lufs(heard, clip.rate_hz) == pytest.approx(-23.0, abs=0.1)
    assert {clip.path for clip in before}.isdisjoint(clip.path for clip in after)


def test_entries_of_before_there_was_a_choice_are_found():
    before = "1/0123/48000/1/mean"
    expected = hashlib.blake2b(before.encode(), digest_size=16).hexdigest()
    assert cache_entry.entry_key("0123", 48_000, 1, "mean") == expected


def test_a_mean_that_cancels_is_levelled_as_it_is_heard(tmp_path):
    left = noise(0.3)
    write(tmp_path / "sounds", "wide.wav", np.stack([left, -0.99 * left]))
    [clip] = ensure(tmp_path / "sounds", tmp_path / "cache", channels=1, normalise="peak")
    assert true_peak_dbtp(np.array(clip.open())) == pytest.approx(-1.0, abs=0.1)


def test_of_six_channels_two_are_taken_and_it_is_said(tmp_path, caplog):
    audio = np.stack([noise(0.1, seed=i) for i in range(6)])
    write(tmp_path / "sounds", "surround.wav", audio)
    with caplog.at_level(logging.WARNING):
        clip = ensure(tmp_path / "sounds", tmp_path / "cache", channels=2)[0]
    np.testing.assert_array_equal(clip.open(), audio[:2])
    assert "6 channels, the first two are used" in caplog.text
    mono = ensure(tmp_path / "sounds", tmp_path / "cache", channels=1)[0]
    np.testing.assert_allclose(mono.open()[0], audio.mean(axis=0), atol=1e-7)


def test_samples_beyond_full_scale_are_kept(tmp_path):
    write(tmp_path / "sounds", "loud.wav", 3.7 * sine(440.0, 0.1, amplitude=1.0)[None])
    clip = ensure(tmp_path / "sounds", tmp_path / "cache")[0]
    assert clip.open().max() == pytest.approx(3.7, rel=1e-3)


def test_resampling_keeps_the_sine_and_the_length(tmp_path):
    frequency_hz, duration_s = 1000.0, 12.0  # several blocks
    audio = sine(frequency_hz, duration_s, rate_hz=44_100)
    write(tmp_path / "sounds", "sine.wav", np.stack([audio, audio]), rate_hz=44_100)
    clip = ensure(tmp_path / "sounds", tmp_path / "cache", channels=2)[0]
    assert abs(clip.n_samples - duration_s * RATE_HZ) <= 1
    assert clip.rate_hz == RATE_HZ
    inner = slice(4800, -4800)
    error = clip.open()[0, inner] - sine(frequency_hz, duration_s)[: clip.n_samples][inner]
    assert 20 * np.log10(np.sqrt(np.mean(error**2)) / (0.5 / np.sqrt(2))) < -100


def test_a_second_start_decodes_nothing(sounds, tmp_path, decoded):
    first = ensure(sounds, tmp_path / "cache")
    assert sorted(decoded) == ["kit/hit.wav", "mono.wav", "stereo.wav"]
    modified = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").iterdir()}
    assert ensure(sounds, tmp_path / "cache") == first
    assert len(decoded) == 3
    assert modified == {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").iterdir()}


def test_entries_follow_content_not_names(sounds, tmp_path, decoded):
    shutil.copy(sounds / "mono.wav", sounds / "copy.wav")
    clips = {clip.name: clip for clip in ensure(sounds, tmp_path / "cache")}
    assert clips["copy.wav"].path == clips["mono.wav"].path
    assert clips["copy.wav"].clip_id != clips["mono.wav"].clip_id
    (sounds / "mono.wav").rename(sounds / "renamed.wav")
    ensure(sounds, tmp_path / "cache")
    assert len(decoded) == 3


def test_every_setting_has_its_own_entry_and_mono_needs_no_downmix(sounds, tmp_path, decoded):
    for downmix in ("mean", "left"):
        ensure(sounds, tmp_path / "cache", downmix=downmix)
    assert sorted(decoded) == ["kit/hit.wav", "mono.wav", "stereo.wav", "stereo.wav"]
    ensure(sounds, tmp_path / "cache", sample_rate_hz=24_000)
    ensure(sounds, tmp_path / "cache", channels=2)
    assert len(decoded) == 10
    assert len(files(tmp_path / "cache")) == 20


def test_size_is_that_of_the_files(sounds, tmp_path):
    cache = Cache(tmp_path / "cache")
    assert cache.size_bytes == 0
    clips = ensure(sounds, tmp_path / "cache")
    expected = sum(128 + 4 * clip.n_samples for clip in clips)
    sidecars = sum(p.stat().st_size for p in (tmp_path / "cache").glob("*.json"))
    assert cache.size_bytes == expected + sidecars


def test_progress_counts_what_is_decoded(sounds, tmp_path):
    seen = []
    ensure(sounds, tmp_path / "cache", progress=lambda *state: seen.append(state))
    assert seen == [(1, 3, "kit/hit.wav"), (2, 3, "mono.wav"), (3, 3, "stereo.wav")]
    ensure(sounds, tmp_path / "cache", progress=lambda *state: seen.append(state))
    assert len(seen) == 3


# Damage


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def turn_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def spoil_header(path: Path) -> None:
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def remove_sidecar(path: Path) -> None:
    path.with_suffix(".json").unlink()


def spoil_sidecar(path: Path) -> None:
    path.with_suffix(".json").write_text('{"frames": 1')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "bytes instead of"),
        (turn_a_bit, "checksum"),
        (spoil_header, "header"),
        (remove_sidecar, r"\.json is missing"),
        (spoil_sidecar, r"\.json is unreadable"),
    ],
)
def test_damaged_entries_are_decoded_anew_and_it_is_said(
    sounds, tmp_path, decoded, caplog, damage, message
):
    clip = ensure(sounds, tmp_path / "cache")[1]
    damage(clip.path)
    decoded.clear()
    with caplog.at_level(logging.WARNING):
        again = ensure(sounds, tmp_path / "cache")[1]
    assert decoded == ["mono.wav"]
    assert "'mono.wav': its decoded samples are damaged" in caplog.text
    assert re.search(message, caplog.text)
    np.testing.assert_array_equal(again.open(), samples_of(sounds / "mono.wav"))


def test_a_sidecar_alone_is_an_entry_that_is_being_written(sounds, tmp_path, decoded, caplog):
    clip = ensure(sounds, tmp_path / "cache")[1]
    clip.path.unlink()
    ensure(sounds, tmp_path / "cache")
    assert decoded.count("mono.wav") == 2
    assert not caplog.text


def test_a_copied_cache_is_verified_once_and_not_decoded(sounds, tmp_path, decoded, monkeypatch):
    ensure(sounds, tmp_path / "cache")
    for path in (tmp_path / "cache").glob("*.npy"):
        os.utime(path, (1, 1))
    verified = []
    checksum = cache_entry._checksum
    monkeypatch.setattr(cache_entry, "_checksum", lambda: verified.append(1) or checksum())
    ensure(sounds, tmp_path / "cache")
    ensure(sounds, tmp_path / "cache")
    assert len(decoded) == 3
    assert len(verified) == 3


def test_a_clip_whose_entry_went_says_which(sounds, tmp_path):
    clip = ensure(sounds, tmp_path / "cache")[1]
    truncate(clip.path)
    with pytest.raises(UserError, match=r"'mono.wav'.*start again"):
        clip.open()
    clip.path.unlink()
    with pytest.raises(UserError, match=r"'mono.wav'.*No such file"):
        clip.open()


def test_a_recording_that_changed_since_its_catalog_is_refused(sounds, tmp_path):
    catalog = catalog_of(sounds)
    write(sounds, "mono.wav", noise(0.6, seed=1)[None])
    with pytest.raises(UserError, match=r"mono\.wav.*start again"):
        Cache(tmp_path / "cache").ensure(catalog, sample_rate_hz=RATE_HZ)
    assert not [name for name in files(tmp_path / "cache") if name.endswith(".tmp")]


def test_samples_that_are_not_finite_never_enter(sounds, tmp_path):
    audio = noise(0.5, seed=1)[None].copy()
    catalog = catalog_of(sounds)
    audio[0, 77] = np.nan
    write(sounds, "mono.wav", audio)
    with pytest.raises(UserError, match=r"mono\.wav.*not finite"):
        Cache(tmp_path / "cache").ensure(catalog, sample_rate_hz=RATE_HZ)


# The folder


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TIMBREL_CACHE", str(tmp_path / "chosen"))
    assert default_folder() == Cache().folder == tmp_path / "chosen"
    monkeypatch.delenv("TIMBREL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "timbrel"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == Path.home() / ".cache" / "timbrel"


def test_a_full_disk_is_told_before_decoding(sounds, tmp_path, decoded, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(UserError, match=r"0\.00 GB free.*TIMBREL_CACHE"):
        ensure(sounds, tmp_path / "cache")
    assert not decoded


def test_a_disk_that_fills_up_midway_is_told(sounds, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"No space left on device.*TIMBREL_CACHE"):
        ensure(sounds, tmp_path / "cache")
    assert files(tmp_path / "cache") == []


def test_a_folder_that_cannot_be_made_is_told(sounds, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="TIMBREL_CACHE"):
        ensure(sounds, tmp_path / "taken")
    with pytest.raises(UserError, match="TIMBREL_CACHE"):
        ensure(sounds, tmp_path / "taken" / "below")


@pytest.mark.parametrize(
    "bad",
    [{"channels": 3}, {"downmix": "means"}, {"normalise": "peaks"}, {"sample_rate_hz": 0}],
    ids=str,
)
def test_settings_not_offered_are_refused(sounds, tmp_path, bad):
    with pytest.raises(UserError):
        ensure(sounds, tmp_path / "cache", **bad)


# Processes


def test_decoding_imports_no_torch():
    code = (
        "import sys, timbrel.data.cache.decode_process, timbrel.data.cache.store; "
        "import timbrel.data.split.parts; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_decoding_processes_give_the_same_samples(sounds, tmp_path, monkeypatch):
    inline = ensure(sounds, tmp_path / "inline", workers=0)
    # Short as they are, and whatever this machine has.
    monkeypatch.setattr(cache_module, "SECONDS_PER_WORKER", 0.01)
    monkeypatch.setattr(cache_module, "available_cores", lambda: 2)
    monkeypatch.setattr(decode_process, "write_entry", None)  # not to be used in this process
    seen = []
    pooled = ensure(sounds, tmp_path / "pooled", progress=lambda *state: seen.append(state))
    for one, other in zip(inline, pooled, strict=True):
        assert one.path.read_bytes() == other.path.read_bytes()
    assert sorted(name for *_, name in seen) == [clip.name for clip in pooled]


def test_interrupted_amid_its_processes_it_goes_on_where_it_was(sounds, tmp_path):
    catalog, cache = catalog_of(sounds), Cache(tmp_path / "cache")

    def interrupt(done: int, total: int, name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.ensure(catalog, sample_rate_hz=RATE_HZ, workers=2, progress=interrupt)
    assert not list(cache.folder.glob("*.tmp"))  # what was at work left nothing half done
    kept = {path: path.stat().st_mtime_ns for path in cache.folder.glob("*.npy")}
    assert kept
    told = []
    clips = cache.ensure(
        catalog, sample_rate_hz=RATE_HZ, workers=2, progress=lambda *words: told.append(words)
    )
    assert len(told) == len({clip.path for clip in clips}) - len(kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_an_error_in_a_decoding_process_reaches_the_person(sounds, tmp_path):
    catalog = catalog_of(sounds)
    (sounds / "mono.wav").unlink()
    with pytest.raises(UserError, match=r"mono\.wav.*has gone"):
        Cache(tmp_path / "cache").ensure(catalog, sample_rate_hz=RATE_HZ, workers=2)


def test_a_decoder_that_dies_is_told_with_the_file(sounds, tmp_path):
    job = Cache(tmp_path)._job(
        catalog_of(sounds), catalog_of(sounds).files[1], 48_000, 1, "mean", "none"
    )
    begins = (
        "import sys; sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.buffer.read(1)"
    )
    for code in ("pass", begins):
        process = decode_process.decoding_process([sys.executable, "-c", code])
        with pytest.raises(UserError, match=r"mono\.wav.*decoding process ended"):
            process.call(job)
        process.close()


START = """
import pickle, sys, time
from timbrel.data.cache.store import Cache
catalog, folder, start_s = pickle.load(open(sys.argv[1], "rb"))
time.sleep(max(0, start_s - time.time()))
clips = Cache(folder).ensure(catalog, sample_rate_hz=48_000)
print(sum(float(clip.open().sum(dtype="float64")) for clip in clips))
"""


def test_two_processes_starting_at_once_both_finish(tmp_path):

    sounds, cache = tmp_path / "sounds", tmp_path / "cache"
    for i in range(6):
        write(sounds, f"{i}.wav", noise(3.0, seed=i, rate_hz=44_100)[None], rate_hz=44_100)
    (tmp_path / "task").write_bytes(pickle.dumps((catalog_of(sounds), cache, time.time() + 1.5)))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(tmp_path / "task")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    results = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0], results
    assert results[0][0] == results[1][0]
    assert sorted(path.suffix for path in cache.iterdir()) == [".json"] * 6 + [".npy"] * 6


def test_a_killed_process_leaves_nothing_that_the_next_start_does_not_mend(tmp_path, caplog):

    sounds, cache = tmp_path / "sounds", tmp_path / "cache"
    write(sounds, "long.wav", noise(60.0, rate_hz=44_100)[None], rate_hz=44_100)
    (tmp_path / "task").write_bytes(pickle.dumps((catalog_of(sounds), cache, 0.0)))
    process = subprocess.Popen([sys.executable, "-c", START, str(tmp_path / "task")])
    deadline_s = time.monotonic() + 30
    while not list(cache.glob("*.tmp")) and process.poll() is None:
        assert time.monotonic() < deadline_s
        time.sleep(0.001)
    process.kill()
    process.wait()
    clip = ensure(sounds, cache)[0]
    assert clip.n_samples == 60 * RATE_HZ
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".npy"]


def test_real_recordings_of_many_formats(shared, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for path in (shared / "data" / "mixed_formats").iterdir():
        # Opus headers and MP3 lengths are the catalog's affair.
        if path.suffix.lower() in (".wav", ".aif", ".aiff", ".flac", ".ogg"):
            shutil.copy(path, folder)
    clips = ensure(folder, tmp_path / "cache", channels=2)
    reports = catalog_of(folder).training_files
    assert len(clips) > 8
    for clip, report in zip(clips, reports, strict=True):
        assert abs(clip.n_samples - report.duration_s * RATE_HZ) <= 1
        assert np.isfinite(clip.open()).all()
    sidecar = json.loads(clips[0].path.with_suffix(".json").read_text())
    assert sidecar["source"] == clips[0].name
