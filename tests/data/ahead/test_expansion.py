"""Variants rendered ahead: their content, estimate and reuse, and what a kill leaves."""

import importlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signals import noise, sine
from timbrel.attributes.measurement import measure
from timbrel.data.ahead import expansion as expansion_module
from timbrel.data.ahead.expansion import expand, plan
from timbrel.data.ahead.variants import load_variant, render, rendering
from timbrel.data.augmentation import Augment, Chain, PitchShift, TimeStretch
from timbrel.data.cache.entry import npy_header
from timbrel.data.cache.store import Clip
from timbrel.data.chunks.sampling import TrainingChunks
from timbrel.data.measured.chunk_attributes import ChunkAttributes
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError
from timbrel.randomness import numpy_generator

RATE_HZ = 48_000
CHAIN = Chain({"pitch": PitchShift(), "stretch": TimeStretch(probability=0.5)})


def clip_of(folder: Path, clip_id: int, audio: np.ndarray) -> Clip:
    path = folder / f"{clip_id:032x}.npy"
    path.write_bytes(npy_header(*audio.shape) + audio.astype("<f4").T.tobytes())
    size = audio.shape
    return Clip(clip_id, f"{clip_id}.wav", f"{clip_id}", RATE_HZ, size[1], size[0], path)


def whole(clip: Clip) -> Segment:
    return Segment(clip, 0, clip.n_samples)


@pytest.fixture
def segments(tmp_path: Path) -> list[Segment]:
    stereo = np.stack([sine(440.0, 0.4), noise(0.4)])
    return [whole(clip_of(tmp_path, k, stereo * (k + 1) / 4)) for k in range(3)]


def expanded(segments, folder, *, chain=CHAIN, count=4, seed=0):
    found = plan(segments, chain, count=count, seed=seed, folder=folder)
    expand(found, lambda line: None)
    return found


def test_a_variant_is_the_chain_on_the_whole_segment(segments, tmp_path):
    variants = expanded(segments, tmp_path / "cache").variants()
    assert [len(of_segment) for of_segment in variants] == [4, 4, 4]
    for segment, of_segment in zip(segments, variants, strict=True):
        for number, variant in enumerate(of_segment):
            name = f"variant/{segment.clip.path.stem}/0"
            expected = CHAIN(segment.samples(), RATE_HZ, numpy_generator(0, number, name))
            np.testing.assert_array_equal(variant.segment.samples(), expected.audio)
            assert variant.change == expected.change
            assert variant.segment.clip.clip_id == segment.clip.clip_id
            assert variant.segment.clip.name == segment.clip.name
    sounds = {variant.segment.samples().tobytes() for of in variants for variant in of}
    assert len(sounds) == 12


def test_a_change_that_is_not_known_stays_so(segments, tmp_path):
    class Unknown:
        probability, heavy, max_speed = 1.0, True, 1.0

        def __call__(self, audio, rate_hz, rng):
            from timbrel.data.augmentation import Change, Changed

            return Changed(audio, Change(f0_ratio=float("nan")))

    job = rendering(segments[0], Chain({"x": Unknown()}), seed=0, number=0, folder=tmp_path / "c")
    assert np.isnan(render(job).change.f0_ratio)
    assert "NaN" not in job.data_path.with_suffix(".json").read_text()


def test_the_place_follows_from_all_that_matters(segments, tmp_path):
    first = segments[0]
    base = {"chain": CHAIN, "seed": 0, "number": 0, "folder": tmp_path}
    place = rendering(first, **base).data_path
    assert rendering(replace(first), **base).data_path == place
    other_chain = Chain({"pitch": PitchShift(semitones=1.0)})
    others = [
        rendering(segments[1], **base),
        rendering(replace(first, start_sample=1), **base),
        rendering(first, **(base | {"seed": 1})),
        rendering(first, **(base | {"number": 1})),
        rendering(first, **(base | {"chain": other_chain})),
    ]
    assert len({place, *(job.data_path for job in others)}) == 6


def test_what_is_there_is_never_rendered_again_and_what_is_damaged_is(segments, tmp_path):
    found = expanded(segments, tmp_path / "cache")
    paths = [job.data_path for of in found.jobs for job in of]
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in paths}
    paths[0].write_bytes(before[paths[0]][1][:-4])
    paths[1].with_suffix(".json").write_text("{")
    paths[2].unlink()
    lines: list[str] = []
    again = plan(segments, CHAIN, count=4, seed=0, folder=tmp_path / "cache")
    expand(again, lines.append)
    assert "3 variants to render" in lines[0]
    for path in paths:
        inode, content = before[path]
        assert path.read_bytes() == content
        assert (path.stat().st_ino == inode) == (path not in paths[:3])
    expand(again, lines.append)
    assert len(lines) == 1


def test_it_is_told_beforehand_and_progress_after(segments, tmp_path, monkeypatch):
    monkeypatch.setattr(expansion_module, "_TIMED", 3)
    monkeypatch.setattr(expansion_module, "_PROGRESS_EVERY_S", 0.0)
    lines: list[str] = []
    told = plan(segments, CHAIN, count=4, seed=0, folder=tmp_path / "cache")
    expand(told, lines.append, only_told=True)
    [line] = lines
    assert line.startswith("augmentation: 12 variants to render ahead, 4.8 s of audio, 2 MB in ")
    assert 0 < len(told.missing()) < 12
    expand(told, lines.append)
    assert "rendered 6 of 8 variants" in lines
    assert not told.missing()


def test_processes_render_the_same(segments, tmp_path, monkeypatch):
    alone = expanded(segments, tmp_path / "alone").variants()
    monkeypatch.setattr(expansion_module, "_WORTH_PROCESSES_S", 0.0)
    monkeypatch.setattr(expansion_module, "available_cores", lambda: 2)
    together = expanded(segments, tmp_path / "together").variants()
    for mine, theirs in zip(alone, together, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a.segment.samples(), b.segment.samples())
            assert a.change == b.change


def test_a_disk_that_is_too_full_is_told_with_the_numbers(segments, tmp_path, monkeypatch):
    monkeypatch.setattr(expansion_module, "SPARE_BYTES", 1 << 60)
    with pytest.raises(UserError, match=r"augmentation.expansion: 12 variants take .* GB, and"):
        expanded(segments, tmp_path / "cache")


def test_an_error_names_the_recording(segments, tmp_path):
    class Broken:
        probability, heavy, max_speed = 1.0, True, 1.0

        def __call__(self, audio, rate_hz, rng):
            raise ZeroDivisionError("no")

    with pytest.raises(UserError, match=r"'0.wav': its variant 0 .*ZeroDivisionError: no"):
        expanded(segments, tmp_path / "cache", chain=Chain({"broken": Broken()}))


def test_nothing_of_a_neighbour_is_in_a_variant(tmp_path):
    quiet = 0.01 * sine(440.0, 1.0)
    clip = clip_of(tmp_path, 0, np.concatenate([quiet, np.ones(RATE_HZ, np.float32)])[None])
    [variants] = expanded([Segment(clip, 0, RATE_HZ)], tmp_path / "cache").variants()
    for variant in variants:
        assert np.abs(variant.segment.samples()).max() < 0.03


def test_a_long_segment_is_rendered_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(expansion_module, "LONGEST_S", 0.5)
    clip = clip_of(tmp_path, 0, noise(1.2)[None])
    [variants] = expanded([whole(clip)], tmp_path / "cache", count=2).variants()
    assert len(variants) == 6  # three pieces of 0.4 s, twice
    assert all(0.3 < variant.segment.clip.duration_s < 0.5 for variant in variants)


def test_a_piece_has_its_own_place_in_the_recording_and_the_recording_its_share(
    tmp_path, monkeypatch
):
    """Two notes, a piece each: f0 is that of the piece, and one chunk in three is unchanged."""
    monkeypatch.setattr(expansion_module, "LONGEST_S", 0.5)
    notes = np.concatenate([sine(220.0, 0.5), sine(660.0, 0.5)])[None]
    segment = whole(clip_of(tmp_path, 0, notes))
    found = expanded([segment], tmp_path / "cache", chain=CHAIN, count=2)
    measuring = ChunkAttributes({0: measure(notes, RATE_HZ)}, ("log_f0_octaves",), (), 512, "pad")
    data = TrainingChunks(
        [segment], seed=0, chunk_samples=8192, variants=found.variants(), measuring=measuring
    )
    notes_heard = set()
    for step in range(24):
        chunk, measures = data.draw(step, 0), data[step, 0].measures
        if chunk.original is None:
            continue
        note_hz = 660.0 if chunk.original.start_sample else 220.0
        values = measures.frame_values[0][measures.frame_mask[0]]
        np.testing.assert_allclose(values, np.log2(note_hz * chunk.change.f0_ratio), atol=0.01)
        notes_heard.add(note_hz)
    assert notes_heard == {220.0, 660.0}
    unchanged = sum(data.draw(step, 0).original is None for step in range(900))
    assert abs(unchanged - 300) < 4 * np.sqrt(900 * 2 / 9)


def test_equal_recordings_are_rendered_and_told_once(segments, tmp_path):
    twin = replace(segments[0].clip, clip_id=7, name="7.wav")
    lines: list[str] = []
    found = plan([segments[0], whole(twin)], CHAIN, count=4, seed=0, folder=tmp_path / "cache")
    expand(found, lines.append)
    [line] = lines
    assert line.startswith("augmentation: 4 variants to render ahead, 1.6 s of audio, ")
    assert [v.segment.clip.clip_id for of in found.variants() for v in of] == [0] * 4 + [7] * 4


def test_the_size_told_is_what_is_written(segments, tmp_path):
    twice = Chain({"stretch": TimeStretch(min_rate=0.5, max_rate=0.5)})
    lines: list[str] = []
    found = plan(segments, twice, count=40, seed=0, folder=tmp_path / "cache")
    expand(found, lines.append)
    written = sum(job.data_path.stat().st_size for of in found.jobs for job in of)
    assert f" {written / 1e6:.0f} MB in " in lines[0]


def test_what_is_timed_is_spread_over_all(segments, tmp_path, monkeypatch):
    monkeypatch.setattr(expansion_module, "_TIMED", 5)
    missing = plan(segments, CHAIN, count=3, seed=0, folder=tmp_path / "cache").missing()
    first = expansion_module._in_order(missing)[:6]
    assert {job.segment for job in first} == set(segments)
    assert sorted(map(str, expansion_module._in_order(missing))) == sorted(map(str, missing))


def test_f0_follows_into_chunks_of_variants(tmp_path):
    segment = whole(clip_of(tmp_path, 0, sine(440.0, 1.0)[None]))
    augment = Augment(transforms={"pitch": PitchShift(semitones=2.0)}, expansion=3)
    variants = expanded([segment], tmp_path / "cache", chain=augment.ahead, count=3).variants()
    measuring = ChunkAttributes(
        {0: measure(segment.samples(), RATE_HZ)}, ("log_f0_octaves",), (), 512, "pad"
    )
    data = TrainingChunks(
        [segment],
        seed=0,
        chunk_samples=16_384,
        augmentation=augment,
        variants=variants,
        measuring=measuring,
    )
    seen = set()
    for step in range(40):
        change = data.draw(step, 0).change
        measures = data[step, 0].measures
        values = measures.frame_values[0][measures.frame_mask[0]]
        np.testing.assert_allclose(values, np.log2(440.0 * change.f0_ratio), atol=0.01)
        seen.add(change.f0_ratio)
    assert len(seen) == 4


_SLOW_RENDERING = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from data.ahead.test_expansion import CHAIN, clip_of, whole
from signals import noise
from timbrel.data.ahead.expansion import expand, plan
folder = Path({folder!r})
segment = whole(clip_of(folder, 0, noise(2.0)[None]))
expand(plan([segment], CHAIN, count=12, seed=0, folder=folder / "cache"), print)
"""


def test_killed_anywhere_it_goes_on_where_it_was(tmp_path):
    tests = str(Path(__file__).parents[2])
    script = _SLOW_RENDERING.format(tests=tests, folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    place = tmp_path / "cache" / "augmented"
    deadline_s = time.monotonic() + 60
    while len(list(place.glob("*.npy"))) < 3 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_ino for path in place.glob("*.npy")}
    assert len(finished) >= 3
    segment = whole(clip_of(tmp_path, 0, noise(2.0)[None]))
    found = expanded([segment], tmp_path / "cache", count=12)
    kept = [path for path, inode in finished.items() if path.stat().st_ino == inode]
    assert len(kept) >= len(finished) - 1  # the last may have lacked its other half
    assert not list(place.glob("*.tmp"))
    fresh = expanded([segment], tmp_path / "fresh", count=12)
    for old, new in zip(found.variants()[0], fresh.variants()[0], strict=True):
        np.testing.assert_array_equal(old.segment.samples(), new.segment.samples())
    assert all(load_variant(job) for job in found.jobs[0])


_OWN = """
from timbrel.data.augmentation.change import Changed
import numpy as np

class Halved:
    heavy, max_speed, probability = True, 1.0, 1.0

    def __init__(self, gain):
        self.gains = np.array([gain], np.float32)

    def __call__(self, audio, rate_hz, rng):
        return Changed(audio * np.float32({factor}) * self.gains[0])
"""


def test_a_transform_of_ones_own_is_rendered_ahead_and_anew_after_an_edit(tmp_path, monkeypatch):
    """In a process of its own, which finds the module in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    segment = whole(clip_of(tmp_path, 0, noise(0.2)[None]))
    peaks = []
    for factor, gain in ((0.5, 1.0), (0.25, 1.0), (0.25, 2.0)):
        (tmp_path / "halved.py").write_text(_OWN.format(factor=factor))
        monkeypatch.delitem(sys.modules, "halved", raising=False)
        importlib.invalidate_caches()
        chain = Chain({"own": importlib.import_module("halved").Halved(gain)})
        found = expanded([segment], tmp_path / "cache", chain=chain, count=1)
        peaks.append(np.abs(found.variants()[0][0].segment.samples()).max())
    peak = np.abs(segment.samples()).max()
    np.testing.assert_allclose(peaks, [peak / 2, peak / 4, peak / 2], rtol=1e-6)
