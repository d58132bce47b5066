import json
import subprocess
import sys
import threading
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import hilbert
from scipy.signal.windows import blackmanharris

from timbrel.data.demo.demo_set import demo_folder, demo_sounds, ensure_demo_set, read_factors
from timbrel.data.demo.demo_set import render_demo_set as render
from timbrel.data.demo.sounds import FADE_S, SILENCE_S, Sound, partials, synthesize
from timbrel.data.scan.catalog import scan
from timbrel.data.scan.verdicts import Verdict
from timbrel.errors import UserError

RATE_HZ = 48_000
SOUNDS = demo_sounds(24)


@cache
def mid_side(sound: Sound) -> np.ndarray:
    left, right = synthesize(sound, RATE_HZ)
    return np.stack([left + right, left - right]) / 2


def of_kind(*kinds: str) -> list[Sound]:
    return [sound for sound in SOUNDS if sound.kind in kinds]


def names(sound: Sound) -> str:
    return f"{sound.file}-{sound.model}"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("demo") / "set", files=24)


def section(sound: Sound, start_s: float, stop_s: float | None = None) -> np.ndarray:
    """The mid from `start_s` after the attack's end to the fade."""
    stop_s = sound.duration_s - FADE_S - SILENCE_S if stop_s is None else stop_s
    return mid_side(sound)[0][round((sound.attack_s + start_s) * RATE_HZ) : round(stop_s * RATE_HZ)]


@pytest.mark.parametrize("sound", of_kind("pluck", "strike"), ids=names)
def test_the_pitch_is_the_tables_within_5_cents(sound: Sound) -> None:
    signal = section(sound, 0.15)
    size = 1 << 20
    spectrum = np.log(np.abs(np.fft.rfft(signal * blackmanharris(len(signal)), size)))
    near = np.arange(*(round(sound.f0_hz * size / RATE_HZ * 2 ** (s / 12)) for s in (-1, 1)))
    peak = near[np.argmax(spectrum[near])]
    a, b, c = spectrum[peak - 1 : peak + 2]
    measured_hz = (peak + (a - c) / (a - 2 * b + c) / 2) * RATE_HZ / size
    assert abs(1200 * np.log2(measured_hz / sound.f0_hz)) < 5


@pytest.mark.parametrize("sound", [s for s in SOUNDS if s.model in ("string", "bar")], ids=names)
def test_no_octave_is_mistaken_by_autocorrelation(sound: Sound) -> None:
    signal = section(sound, 0.15, 0.55)
    spectrum = np.abs(np.fft.rfft(signal, 2 * len(signal))) ** 2
    correlation = np.fft.irfft(spectrum)[: len(signal)] / np.arange(len(signal), 0, -1)
    period = RATE_HZ / sound.f0_hz
    first = round(0.55 * period) + np.argmax(
        correlation[round(0.55 * period) : round(1.5 * period)]
    )
    assert abs(1200 * np.log2(first / period)) < 60  # one sample at 1 kHz is 36 cents


@pytest.mark.parametrize("sound", of_kind("pluck", "strike"), ids=names)
def test_the_lowest_partial_decays_as_the_table_says(sound: Sound) -> None:
    signal = section(sound, 0.1)
    period = RATE_HZ / sound.f0_hz
    window = blackmanharris(round(8 * period))
    carrier = np.exp(-2j * np.pi * np.arange(len(signal)) / period)
    level = np.abs(np.convolve(signal * carrier, window, "valid"))
    time_s = np.arange(len(level)) / RATE_HZ
    slope = np.polyfit(time_s, 20 * np.log10(level), 1)[0]
    assert -slope == pytest.approx(sound.decay_db_per_s, rel=0.1)


@pytest.mark.parametrize("sound", of_kind("noise"), ids=names)
def test_noise_decays_as_the_table_says(sound: Sound) -> None:
    signal = section(sound, 0.0)
    frame = round(0.02 * RATE_HZ)
    energy = np.mean(signal[: len(signal) // frame * frame].reshape(-1, frame) ** 2, axis=1)
    slope = np.polyfit(np.arange(len(energy)) * frame / RATE_HZ, 10 * np.log10(energy), 1)[0]
    # A shaker's grains are few towards its end: their chance is heard in the slope.
    assert -slope == pytest.approx(
        sound.decay_db_per_s, rel=0.15 if sound.model == "shaker" else 0.1
    )


@pytest.mark.parametrize("attack_s", [0.003, 0.01, 0.05])
def test_a_tone_rises_for_as_long_as_the_table_says(attack_s: float) -> None:
    bar = next(sound for sound in SOUNDS if sound.model == "bar")
    # Nearly a sine, far above the rise: its analytic signal is its envelope.
    pure = replace(bar, midi=96, brightness_hz=2150.0, noisiness=0.0, attack_s=attack_s)
    envelope = np.abs(hilbert(mid_side(pure)[0]))
    half_s = np.argmax(envelope > envelope.max() / 2) / RATE_HZ
    assert 2 * half_s == pytest.approx(attack_s, rel=0.1)
    assert np.argmax(envelope) / RATE_HZ == pytest.approx(attack_s, rel=0.15)


@pytest.mark.parametrize("model", ["breath", "shaker", "wind"])
def test_noise_rises_for_as_long_as_the_table_says(model: str) -> None:
    sound = next(sound for sound in SOUNDS if sound.model == model)
    # The mean over draws of chance; a slow decay keeps the level after the rise.
    draws = [replace(sound, seed=k, decay_db_per_s=3.0, duration_s=0.8) for k in range(16)]
    energy = np.mean([mid_side(draw)[0, : round(0.6 * RATE_HZ)] ** 2 for draw in draws], axis=0)
    width = round(sound.attack_s / 4 * RATE_HZ)
    energy = np.convolve(energy, np.ones(width) / width, "same")
    attack = round(sound.attack_s * RATE_HZ)
    level = np.mean(energy[attack : 2 * attack])
    assert 2 * np.argmax(energy > level / 4) == pytest.approx(attack, rel=0.15)


@pytest.mark.parametrize("sound", SOUNDS, ids=names)
def test_the_width_is_the_tables(sound: Sound) -> None:
    mid, side = np.sum(mid_side(sound) ** 2, axis=1)
    assert side / (mid + side) == pytest.approx(sound.stereo_width, rel=0.05, abs=1e-4)


@pytest.mark.parametrize("sound", SOUNDS, ids=names)
def test_the_brightness_is_the_centroid(sound: Sound) -> None:
    power = np.abs(np.fft.rfft(mid_side(sound)[0])) ** 2
    frequency_hz = np.fft.rfftfreq(mid_side(sound).shape[1], 1 / RATE_HZ)
    centroid_hz = np.sum(power * frequency_hz) / np.sum(power)
    assert centroid_hz == pytest.approx(sound.brightness_hz, rel=0.06)


@pytest.mark.parametrize("sound", SOUNDS, ids=names)
def test_the_noisiness_is_what_no_partial_explains(sound: Sound) -> None:
    """Least squares of the known partials, with free amplitudes and phases, leave the noise."""
    if sound.model == "skin":
        # At their own pitch a skin's partials are dense enough to pass for noise.
        sound = replace(sound, midi=sound.midi + 36, brightness_hz=8 * sound.brightness_hz)
    signal = mid_side(sound)[0]
    parts = partials(sound, RATE_HZ, sound.brightness_hz)
    time_s = np.arange(len(signal)) / RATE_HZ
    after_s = time_s - sound.attack_s
    rise = np.where(after_s < 0, np.sin(np.pi / 2 * time_s / sound.attack_s) ** 2, 1.0)
    fade = np.clip((sound.duration_s - SILENCE_S - time_s) / FADE_S, 0, 1)
    envelope = rise * np.sin(np.pi / 2 * fade) ** 2
    loud = np.argsort(-np.abs(parts.amplitude[0]))[:30]
    basis = [
        envelope
        * np.exp(-np.maximum(after_s, 0) * parts.decay_per_s[k])
        * turn(2 * np.pi * parts.frequency_hz[k] * time_s)
        for k in loud
        for turn in (np.cos, np.sin)
    ]
    matrix = np.stack(basis, axis=1)
    gram = matrix.T @ matrix
    fitted = matrix @ np.linalg.lstsq(gram, matrix.T @ signal, rcond=1e-10)[0]
    share = np.sum((signal - fitted) ** 2) / np.sum(signal**2)
    assert share == pytest.approx(sound.noisiness, abs=0.05 if sound.kind == "noise" else 0.02)


@pytest.mark.parametrize("model", ["string", "bar", "bell", "skin"])
def test_nothing_folds_back_at_the_highest_note(model: str) -> None:
    sound = next(sound for sound in SOUNDS if sound.model == model)
    high = replace(sound, midi=84, brightness_hz=4000.0, noisiness=0.0, decay_db_per_s=20.0)
    signal = section(high, 0.0)
    spectrum = np.abs(np.fft.rfft(signal * blackmanharris(len(signal))))
    frequency_hz = np.fft.rfftfreq(len(signal), 1 / RATE_HZ)
    known_hz = partials(high, RATE_HZ, 4000.0).frequency_hz
    assert known_hz.max() < 0.45 * RATE_HZ
    distance_hz = np.min(np.abs(frequency_hz[:, None] - known_hz), axis=1)
    off_table = spectrum[distance_hz > 30]
    assert 20 * np.log10(off_table.max() / spectrum.max()) < -80


@pytest.mark.parametrize("sound", SOUNDS[:12], ids=names)
def test_nothing_lies_above_the_limit(sound: Sound) -> None:
    signal = mid_side(sound)[0]
    power = np.abs(np.fft.rfft(signal)) ** 2
    above = np.fft.rfftfreq(len(signal)) > 0.46
    assert 10 * np.log10(np.mean(power[above]) / np.max(power)) < -80, 10 * np.log10(
        np.mean(power[above]) / np.max(power)
    )


def test_a_sound_may_have_no_noise_or_no_width() -> None:
    plain = replace(SOUNDS[0], noisiness=0.0, stereo_width=0.0)
    left, right = synthesize(plain, RATE_HZ)
    np.testing.assert_array_equal(left, right)
    assert np.isfinite(left).all()


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 96_000])
def test_other_rates_have_the_same_notes(rate_hz: int) -> None:
    for sound in demo_sounds(6, sample_rate_hz=rate_hz):
        signal = synthesize(sound, rate_hz)
        assert signal.shape == (2, round(sound.duration_s * rate_hz))
        assert np.max(np.abs(signal)) == pytest.approx(10 ** (sound.peak_dbfs / 20))
        assert sound.midi == SOUNDS[sound.index].midi


@pytest.mark.parametrize("index", range(24))
def test_files_are_whole_clean_and_end_in_silence(rendered: Path, index: int) -> None:
    sound = SOUNDS[index]
    info = soundfile.info(rendered / sound.file)
    assert (info.samplerate, info.channels, info.subtype) == (RATE_HZ, 2, "PCM_24")
    samples, _ = soundfile.read(rendered / sound.file)
    assert 0.8 <= len(samples) / RATE_HZ <= 2.5
    assert len(samples) == round(sound.duration_s * RATE_HZ)
    peak_dbfs = 20 * np.log10(np.max(np.abs(samples)))
    assert -3.01 < peak_dbfs < -0.99
    assert not np.any(samples[0])
    assert not np.any(samples[-round(SILENCE_S * RATE_HZ) :])
    assert np.max(np.abs(np.mean(samples, axis=0))) < 1e-3
    # The tail sinks without a step: its last tenth of a second is below what came before.
    tail = samples[-round(0.125 * RATE_HZ) :].reshape(5, -1)
    assert np.all(np.diff(np.max(np.abs(tail), axis=1)) <= 1e-4 + np.max(np.abs(tail[0])) / 3)
    assert np.max(np.abs(tail[-1])) < 1e-3


def test_the_table_is_the_plan(rendered: Path) -> None:
    assert read_factors(rendered) == demo_sounds(24)
    files = sorted(path.name for path in rendered.glob("*.wav"))
    assert files == sorted(sound.file for sound in demo_sounds(24))
    header, first = (rendered / "factors.csv").read_text("utf-8").splitlines()[:2]
    assert header.startswith("file,kind,model,midi,f0_hz,brightness_hz,brightness_ratio,attack_s,")
    assert first.startswith("pluck_000_")
    assert first.endswith(",CC0-1.0")


def test_a_scan_accepts_every_file(rendered: Path) -> None:
    catalog = scan(rendered, workers=0)
    assert catalog.counts()[Verdict.ACCEPT] == 24
    assert len(catalog.training_files) == 24
    assert catalog.counts()[Verdict.SKIP_WARN] == 0


def test_the_same_arguments_give_the_same_bytes(rendered: Path, tmp_path: Path) -> None:
    again = render(tmp_path / "again", files=24, workers=3)
    for path in rendered.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_few_files_are_the_first_of_many(rendered: Path, tmp_path: Path) -> None:
    assert demo_sounds(500)[:24] == demo_sounds(24)
    assert demo_sounds(1)[0] == demo_sounds(24)[0]
    few = render(tmp_path / "few", files=4)
    for sound in demo_sounds(4):
        assert (few / sound.file).read_bytes() == (rendered / sound.file).read_bytes()


def test_another_seed_is_another_set() -> None:
    ours, theirs = demo_sounds(24), demo_sounds(24, seed=1)
    assert not {sound.seed for sound in ours} & {sound.seed for sound in theirs}
    assert [sound.midi for sound in ours] != [sound.midi for sound in theirs]


@pytest.mark.parametrize("files", [24, 500])
def test_the_plan_covers_every_kind_and_factor(files: int) -> None:
    sounds = demo_sounds(files)
    for kind in ("pluck", "strike", "noise"):
        of = [sound for sound in sounds if sound.kind == kind]
        assert len(of) in (files // 3, files // 3 + 1)
        width = np.array([sound.stereo_width for sound in of]) / 0.3
        peak = (np.array([sound.peak_dbfs for sound in of]) + 3) / 2
        for share in (width, peak):
            # Stratified: the largest gap is a few even spacings at most.
            gaps = np.diff(np.r_[0, np.sort(share), 1])
            assert gaps.max() < (0.25 if files == 24 else 3 / len(of))
    assert len({sound.file for sound in sounds}) == files
    assert len({sound.model for sound in sounds}) == 7


def test_no_factor_of_many_sounds_tells_another() -> None:
    sounds = [sound for sound in demo_sounds(500) if sound.kind == "pluck"]
    columns = np.array([[s.midi, s.stereo_width, np.log(s.attack_s), s.noisiness] for s in sounds])
    assert np.abs(np.corrcoef(columns.T) - np.eye(4)).max() < 0.06


@pytest.mark.parametrize("index", [97, 244, 311, 402, 498])
def test_sounds_of_a_large_set_hold_their_factors(index: int) -> None:
    sound = demo_sounds(500)[index]
    mid, side = np.sum(mid_side(sound) ** 2, axis=1)
    assert side / (mid + side) == pytest.approx(sound.stereo_width, rel=0.05, abs=1e-4)
    test_the_brightness_is_the_centroid(sound)
    test_the_noisiness_is_what_no_partial_explains(sound)


@pytest.mark.slow
def test_five_hundred_files(tmp_path: Path) -> None:
    folder = render(tmp_path / "set", files=500)
    assert len(list(folder.glob("*.wav"))) == 500
    for sound in demo_sounds(500):
        samples, _ = soundfile.read(folder / sound.file)
        assert 20 * np.log10(np.max(np.abs(samples))) == pytest.approx(sound.peak_dbfs, abs=0.01)


def test_the_cached_set_is_rendered_once(tmp_path: Path) -> None:
    folder = ensure_demo_set(files=3, sample_rate_hz=16_000, cache_dir=str(tmp_path))
    assert folder == tmp_path / "demo" / "v1-3-0-16000"
    assert folder == demo_folder(3, 0, 16_000, str(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert ensure_demo_set(files=3, sample_rate_hz=16_000, cache_dir=str(tmp_path)) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_without_a_folder_the_users_cache_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMBREL_CACHE", str(tmp_path))
    assert demo_folder(24) == tmp_path / "demo" / "v1-24-0-48000"


@pytest.mark.parametrize("damage", ["missing", "cut", "table"])
def test_a_damaged_set_is_made_whole(tmp_path: Path, damage: str) -> None:
    folder = render(tmp_path / "set", files=2, sample_rate_hz=8_000)
    victim = folder / ("factors.csv" if damage == "table" else demo_sounds(2)[1].file)
    whole = victim.read_bytes()
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_bytes(whole[:100])
    render(folder, files=2, sample_rate_hz=8_000)
    assert victim.read_bytes() == whole
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_two_that_want_the_same_set_both_get_it(tmp_path: Path) -> None:
    code = (
        "import sys; from timbrel.data.demo.demo_set import ensure_demo_set;"
        "ensure_demo_set(files=6, sample_rate_hz=8000, cache_dir=sys.argv[1]);"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    racing = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for process in racing:
        assert process.wait(60) == 0, process.communicate()[1].decode()
    folder = demo_folder(6, 0, 8_000, str(tmp_path))
    assert read_factors(folder) == demo_sounds(6, sample_rate_hz=8_000)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_threads_that_want_the_same_set_all_get_it(tmp_path: Path) -> None:
    failed: list[Exception] = []

    def ensure() -> None:
        try:
            render(tmp_path / "set", files=3, sample_rate_hz=8_000, workers=0)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.wav").write_bytes(b"precious")
    with pytest.raises(UserError, match="holds other files"):
        render(tmp_path, files=2)
    assert (tmp_path / "mine.wav").read_bytes() == b"precious"
    with pytest.raises(UserError, match="is a file"):
        render(tmp_path / "mine.wav", files=2)


def test_another_set_is_not_overwritten(tmp_path: Path) -> None:
    folder = render(tmp_path / "set", files=2, sample_rate_hz=8_000)
    assert json.loads((folder / "demo.json").read_text("utf-8"))["files"] == 2
    with pytest.raises(UserError, match="holds another demo set"):
        render(folder, files=3, sample_rate_hz=8_000)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"files": 0}, "data.files=0"),
        ({"files": 3, "seed": -1}, "seed=-1"),
        ({"files": 3, "sample_rate_hz": 4_000}, "data.sample_rate_hz=4000"),
    ],
)
def test_impossible_numbers_are_refused(
    tmp_path: Path, numbers: dict[str, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        render(tmp_path / "set", **numbers)
    assert not (tmp_path / "set").exists()


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="TIMBREL_CACHE"):
        ensure_demo_set(files=2, sample_rate_hz=8_000, cache_dir=str(tmp_path / "file"))


def test_a_folder_without_a_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no table of a demo set"):
        read_factors(tmp_path)
