"""Exported files: exact codes, TPDF dither, no clipping, the same bytes on every export."""

import json
import resource
from importlib.metadata import version
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose, assert_array_equal

from signals import noise, sine
from timbrel.audio import export as export_module
from timbrel.audio.export import ExportSettings, export, quantise
from timbrel.audio.level import true_peak_dbtp
from timbrel.errors import UserError
from timbrel.randomness import numpy_generator

FORMATS = [("wav", "16"), ("wav", "24"), ("wav", "32f"), ("flac", "16"), ("flac", "24")]
METADATA = {"title": "kick prior", "model_hash": "0" * 64, "seed": 3, "note": "é"}


def _export(path: Path, samples, *, rate_hz: int = 48_000, seed: int = 0, **settings):
    samples = np.atleast_2d(samples).astype(np.float32)
    return export(
        path,
        [samples],
        rate_hz=rate_hz,
        settings=ExportSettings(**settings),
        metadata=METADATA,
        seed=seed,
    )


def _between_samples() -> np.ndarray:
    """A sine at a quarter of the rate, sampled 45 degrees off its crests: +6 dB true peak."""
    wave = 10 ** (6 / 20) * np.sin(np.pi / 2 * np.arange(48_000) + np.pi / 4)
    wave[:2000] *= np.linspace(0, 1, 2000)
    wave[-2000:] *= np.linspace(1, 0, 2000)
    return wave.astype(np.float32)


def test_dither_error_is_a_quarter_lsb_squared_and_unrelated_to_the_signal() -> None:
    # A sine of two codes: without dither its error would be distortion. TPDF: 1/6 + 1/12 = 1/4.
    n = 400_000
    lsb = 2.0**-15
    signal = (1.3 * lsb * np.sin(0.01 * np.arange(n)))[None]
    codes = quantise(signal, 16, [numpy_generator(0, 0, "test")])
    error = codes[0] - signal[0] / lsb
    assert_allclose(error.mean(), 0.0, atol=4 * 0.5 / np.sqrt(n))
    assert_allclose(error.var(), 0.25, rtol=0.01)
    for power in (1, 2):
        assert abs(np.corrcoef(error, signal[0] ** power)[0, 1]) < 4 / np.sqrt(n)
    assert abs(np.corrcoef(error**2, signal[0] ** 2)[0, 1]) < 4 / np.sqrt(n)


def test_channels_and_seeds_have_their_own_dither(tmp_path: Path) -> None:
    silence = np.zeros((2, 48_000))
    _export(tmp_path / "a.wav", silence, encoding="16", seed=1)
    _export(tmp_path / "b.wav", silence, encoding="16", seed=2)
    left, right = soundfile.read(tmp_path / "a.wav", dtype="int16")[0].T.astype(float)
    other = soundfile.read(tmp_path / "b.wav", dtype="int16")[0][:, 0].astype(float)
    assert_allclose(left.var(), 0.25, rtol=0.05)  # silence stays dithered
    for pair in ((left, right), (left, other)):
        assert abs(np.corrcoef(*pair)[0, 1]) < 0.02


@pytest.mark.parametrize(("format", "encoding"), FORMATS)
def test_a_peak_between_samples_ends_under_the_ceiling(tmp_path, format, encoding) -> None:
    path = tmp_path / f"loud.{format}"
    wave = _between_samples()
    assert_allclose(true_peak_dbtp(wave[None]), 6.0, atol=0.1)
    report = _export(path, wave, format=format, encoding=encoding)
    written = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    measured = true_peak_dbtp(written)
    assert -1.01 < measured <= -1.0
    assert_allclose(report.gain_db, -7.0, atol=0.1)
    assert_allclose(report.true_peak_dbtp, measured, atol=0.005)


@pytest.mark.parametrize("encoding", ["16", "24"])
def test_nothing_clips_at_a_ceiling_of_full_scale(tmp_path: Path, encoding: str) -> None:
    square = np.sign(sine(100.0, 0.5)) * 4
    _export(tmp_path / "a.wav", square, encoding=encoding, ceiling_dbtp=0.0)
    codes = soundfile.read(tmp_path / "a.wav", dtype="int32")[0] >> (32 - int(encoding))
    full_scale = 2 ** (int(encoding) - 1)
    assert -full_scale < codes.min()
    assert codes.max() < full_scale - 1


def test_what_is_quiet_enough_is_not_touched(tmp_path: Path) -> None:
    quiet = noise(0.5)
    report = _export(tmp_path / "a.wav", quiet, encoding="32f")
    assert report.gain_db == 0.0
    assert_array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32")[0], quiet)


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_24_bit_codes_come_back_exactly(tmp_path: Path, format: str) -> None:
    codes = np.random.default_rng(0).integers(-(2**21), 2**21, (2, 10_000))
    samples = (codes / 2**23).astype(np.float32)
    path = tmp_path / f"a.{format}"
    _export(path, samples, format=format, dither=False)
    back = soundfile.read(path, dtype="int32")[0].T >> 8
    assert_array_equal(back, codes)


@pytest.mark.parametrize(("format", "encoding"), FORMATS)
def test_metadata_reads_back_and_bytes_repeat(tmp_path, monkeypatch, format, encoding) -> None:
    monkeypatch.setattr(export_module, "_BLOCK_SAMPLES", 4096)
    sound = noise(0.5)[None]
    settings = ExportSettings(format=format, encoding=encoding)
    cuts = ([sound], [sound[:, :1], sound[:, 1:9000], sound[:, 9000:]])
    paths = [tmp_path / f"{i}.{format}" for i in range(2)]
    for path, blocks in zip(paths, cuts, strict=True):
        export(path, blocks, rate_hz=48_000, settings=settings, metadata=METADATA)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with soundfile.SoundFile(paths[0]) as file:
        assert json.loads(file.comment) == {**METADATA, "timbrel": version("timbrel")}
        assert file.title == "kick prior"
        assert file.software.startswith("timbrel ")
        assert (file.format, file.frames, file.channels) == (format.upper(), 24_000, 1)
        assert file.subtype == {"16": "PCM_16", "24": "PCM_24", "32f": "FLOAT"}[encoding]
    assert sorted(tmp_path.iterdir()) == paths


def test_a_float_file_holds_no_clock(tmp_path: Path) -> None:
    _export(tmp_path / "a.wav", noise(0.1), encoding="32f")
    data = (tmp_path / "a.wav").read_bytes()
    at = data.index(b"PEAK")
    assert data[at + 12 : at + 16] == bytes(4)


@pytest.mark.parametrize("rate_hz", [44_100, 96_000, 22_050])
def test_resampled_at_the_rate_of_the_file(tmp_path: Path, rate_hz: int) -> None:
    tone = sine(1000.0, 1.0, amplitude=0.5)
    report = _export(tmp_path / "a.wav", tone, sample_rate_hz=rate_hz, encoding="32f")
    back, found_hz = soundfile.read(tmp_path / "a.wav")
    assert (found_hz, len(back), report.n_samples) == (rate_hz, rate_hz, rate_hz)
    wanted = sine(1000.0, 1.0, rate_hz=rate_hz, amplitude=0.5)
    middle = slice(rate_hz // 10, -rate_hz // 10)
    assert_allclose(back[middle], wanted[middle], atol=2e-5)


def test_one_sample_is_a_file(tmp_path: Path) -> None:
    assert _export(tmp_path / "a.flac", [[0.25]], format="flac").n_samples == 1
    assert_allclose(soundfile.read(tmp_path / "a.flac")[0], [0.25], atol=2**-22)


def test_an_existing_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "mine.wav"
    path.write_bytes(b"precious")
    with pytest.raises(UserError, match=r"mine\.wav' exists"):
        _export(path, noise(0.1))
    assert path.read_bytes() == b"precious"
    export(
        path,
        [noise(0.1)[None]],
        rate_hz=48_000,
        settings=ExportSettings(),
        metadata={},
        overwrite=True,
    )
    assert soundfile.info(path).frames == 4800


@pytest.mark.parametrize(
    ("samples", "message"), [([[0.0, np.nan]], "not finite"), (np.zeros((1, 0)), "empty")]
)
def test_no_file_for_no_sound(tmp_path: Path, samples, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _export(tmp_path / "a.wav", samples)
    assert not list(tmp_path.iterdir())


def test_a_failure_half_way_leaves_nothing(tmp_path: Path) -> None:
    def blocks():
        yield noise(0.1)[None]
        raise UserError("broke off")

    with pytest.raises(UserError, match="broke off"):
        export(
            tmp_path / "a.wav",
            blocks(),
            rate_hz=48_000,
            settings=ExportSettings(),
            metadata={},
        )
    assert not list(tmp_path.iterdir())


def test_a_wav_ends_at_four_gigabytes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(export_module, "_WAV_LIMIT_BYTES", 1000)
    with pytest.raises(UserError, match=r"export\.format=flac"):
        _export(tmp_path / "a.wav", noise(0.1))
    assert _export(tmp_path / "a.flac", noise(0.1), format="flac").n_samples == 4800


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "flac", "encoding": "32f"}, "take 24, or export=wav"),
        ({"format": "mp3"}, "export.format=mp3"),
        ({"encoding": "8"}, "one of 16, 24, 32f"),
        ({"sample_rate_hz": 0}, "export.sample_rate_hz"),
        ({"ceiling_dbtp": 1.0}, "export.ceiling_dbtp"),
    ],
)
def test_impossible_settings_name_their_key(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ExportSettings(**settings)


def test_numbers_from_a_command_line_are_taken() -> None:
    assert ExportSettings(format="WAV", encoding=24) == ExportSettings()


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    block = np.broadcast_to(noise(1.0), (2, 48_000))
    settings = ExportSettings(encoding="16", dither=False)

    def grown_kib(seconds: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        path = tmp_path / f"{seconds}.wav"
        export(path, repeat(block, seconds), rate_hz=48_000, settings=settings, metadata={})
        path.unlink()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    grown_kib(5)
    assert grown_kib(240) < 40 * 1024  # the sound is 90 MiB as float32
