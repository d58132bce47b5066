"""Generated clips beside recordings: sounds and codes made by hand, and modules without weights."""

import csv
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from models.presets import transparent
from segments import segment
from signals import noise, sine
from timbrel.analysis.excerpts import (
    clip_samples,
    excerpts,
    nearest_recordings,
    of_events,
    sounding,
)
from timbrel.analysis.generated_sounds import compare, embedded, from_prior, measure_generated
from timbrel.analysis.generated_tables import write_generated
from timbrel.analysis.interpolation import interpolations
from timbrel.analysis.latent_statistics import fit_latent_statistics
from timbrel.contracts import Latent
from timbrel.data.split.parts import Segment, Split
from timbrel.generation.file_source import encode_whole
from timbrel.generation.source import PriorSource
from timbrel.metrics import aisfx
from timbrel.metrics.distribution import kernel_audio_distance
from timbrel.metrics.embedding import DIMENSIONS
from timbrel.metrics.time_structure import DESCRIPTORS
from timbrel.models.autoencoder import Autoencoder

RATE_HZ = 48_000
CLIP = 9600


def tones(count: int, first: int = 0) -> list[Segment]:
    """Tones and noise in 0.2 s, each another mixture."""
    return [
        segment(f"{i}.wav", sine(150.0 * (i + 1), 0.2) + 0.02 * i * noise(0.2, seed=i))
        for i in range(first, first + count)
    ]


def weightless() -> Autoencoder:
    """Codes are samples; a parameter that nothing uses says where it computes."""
    model = transparent(1)
    model.place = nn.Parameter(torch.zeros(0))
    return model


def split(train: list[Segment], test: list[Segment]) -> Split:
    return Split(tuple(train), (), tuple(test))


def measured(parts: Split, folder: Path, clips: int = 8, **settings):
    model = weightless()
    prior = fit_latent_statistics(encode_whole(model, s.samples()) for s in parts.train)
    arguments = {"clips": clips, "excerpt_samples": CLIP, "seed": 5, "audio_folder": folder}
    return measure_generated(model, prior, parts, **arguments | settings)


def test_clips_are_those_of_their_seeds_and_the_nearest_pair_is_kept(tmp_path: Path) -> None:
    parts = split(tones(6), tones(4, first=6))
    sounds = measured(parts, tmp_path / "audio")
    assert [clip.seed for clip in sounds.clips] == list(range(5, 13))
    assert sounds.clip_s == 0.2
    assert len(sounds.held_out_distance_db) == 4
    nearest = sounds.nearest
    assert nearest.distance_db == min(clip.distance_db for clip in sounds.clips)
    written, rate_hz = soundfile.read(tmp_path / "audio" / "generated.wav", dtype="float32")
    training, _ = soundfile.read(tmp_path / "audio" / "training.wav", dtype="float32")
    original = next(s for s in parts.train if s.clip.name == nearest.training_file)
    np.testing.assert_array_equal(training, original.samples()[0])
    apart = nearest_recordings([written[None]], parts.train, rate_hz, events=True)
    assert apart.distance[0] == pytest.approx(nearest.distance_db)
    for clip in sounds.clips:
        heard, _ = soundfile.read(tmp_path / "audio" / f"seed_{clip.seed}.wav", dtype="float32")
        beside, _ = soundfile.read(tmp_path / "audio" / f"seed_{clip.seed}_nearest.wav")
        original = next(s for s in parts.train if s.clip.name == clip.training_file)
        assert np.array_equal(beside.astype(np.float32), original.samples()[0])
        assert heard.shape == (CLIP,)
    model = weightless()
    prior = fit_latent_statistics(encode_whole(model, s.samples()) for s in parts.train)
    np.testing.assert_array_equal(from_prior(model, prior, CLIP, nearest.seed)[0], written)


def test_the_prior_of_one_recording_gives_its_colour(tmp_path: Path) -> None:
    """This prior can draw a stationary noise, and no tone far from it."""
    parts = split([segment(f"{i}", noise(0.2, seed=i)) for i in range(9)], tones(3))
    sounds = measured(parts, tmp_path)
    assert max(clip.distance_db for clip in sounds.clips) < 8.0  # that of two noises
    assert min(sounds.held_out_distance_db) > 10.0
    assert sounds.support.coverage > 0.3
    assert sounds.distances.kad.value < 0.2 * sounds.distances.kad_held_out.value
    assert (sounds.distances.kad.n_generated, sounds.distances.kad.n_reference) == (8, 9)


@pytest.mark.skipif(find_spec("aisfx") is None, reason="pip install --no-deps aisfx==0.1.2")
def test_sets_may_be_compared_by_another_embedding(tmp_path: Path) -> None:
    parts = split(tones(6), tones(4, first=6))
    by_mel, by_network = (
        measured(parts, tmp_path, embedding=name) for name in ("log_mel", "aisfx")
    )
    assert (by_mel.distances.embedding, by_network.distances.embedding) == ("log_mel", "aisfx")
    assert by_network.clips == by_mel.clips
    assert by_network.support == by_mel.support
    training, held_out = (
        np.stack([aisfx.embed(s.samples(), s.clip.rate_hz) for s in part])
        for part in (parts.train, parts.test)
    )
    expected = kernel_audio_distance(training, held_out)
    assert by_network.distances.kad_held_out == expected
    assert by_network.distances.kad.n_generated == len(by_network.clips)
    write_generated(tmp_path, by_network)
    with (tmp_path / "generated.csv").open() as file:
        told = {row["measure"]: row["embedding"] for row in csv.DictReader(file)}
    assert (told["kad"], told["frechet_held_out"], told["coverage"]) == (
        "aisfx",
        "aisfx",
        "log_mel",
    )


def test_noise_is_far_and_copies_cover() -> None:
    rng = np.random.default_rng(0)
    training, held_out = rng.standard_normal((20, 6)), rng.standard_normal((9, 6))
    copied = compare(training, held_out, training[:10])
    far = compare(training, held_out, 50 + rng.standard_normal((10, 6)))
    assert copied.support.coverage > 0.5 > far.support.coverage == 0.0
    assert abs(copied.distances.kad.value) < 15 < far.distances.kad.value
    assert copied.distances.kad_held_out == far.distances.kad_held_out


def test_too_few_for_sets_leave_their_measures_out() -> None:
    none = np.zeros((0, 6))
    sounds = compare(np.ones((1, 6)), none, np.zeros((4, 6)))
    assert sounds.support is None
    assert sounds.distances.kad is None
    alike = compare(np.ones((5, 6)), none, np.zeros((4, 6)))  # no spread, no bandwidth
    assert alike.distances.kad is None
    assert alike.support.coverage == 0.0


def textures(count: int, seconds: float = 3.0) -> list[Segment]:
    """Steady noises: each is its own band, none ends."""
    return [
        segment(f"texture {i}", sine(300.0 * (i + 1), seconds) * (1 + noise(seconds, seed=i)))
        for i in range(count)
    ]


def test_events_are_compared_whole_and_of_textures_excerpts() -> None:
    long = segment("long", np.concatenate([noise(2.5), np.zeros(24_000, np.float32)]))
    hit = segment("hit", noise(0.4))
    end = Segment(hit.clip, 9600, 19_200)  # a piece of a hit is none
    assert [of_events(x) for x in ([hit], [end], [hit, end], [hit, hit, *textures(1)])] == [
        *(True, False, False, True)
    ]
    found = excerpts([*textures(1), hit, end], 48_000)
    assert [(e.clip.name, e.start_sample, e.n_samples) for e in found] == [
        *(("texture 0", 48_000 * i, 48_000) for i in range(3)),
        ("hit", 0, 19_200),
        ("hit", 9600, 9600),  # a shorter one as it is
    ]
    pieces = [Segment(long.clip, 24_000 * i, 24_000 * (i + 1)) for i in range(6)]
    assert sounding(pieces, 9) == pieces[:5]  # silence is left out
    assert sounding(pieces, 3) == pieces[:5:2]  # evenly spread
    assert embedded(pieces[:2], RATE_HZ).points.shape == (2, DIMENSIONS)
    assert len(embedded([], RATE_HZ)) == 0
    assert clip_samples([hit, *tones(2)], 4800, events=True) == CLIP
    assert clip_samples(textures(2), 4800, events=False) == 4800


def test_a_copy_is_found_wherever_a_texture_was_copied_from(tmp_path: Path) -> None:
    known = [Segment(s.clip, 0, s.n_samples) for s in textures(3)]
    late = known[1].samples()[:, 50_176:110_000]  # 49 of the 512 samples between frames, twice
    found = nearest_recordings([3 * late, noise(1.0)[None]], known, RATE_HZ, events=False)
    assert found.index[0] == 1
    assert found.distance[0] < 1.0 < 5.0 < found.distance[1]
    # An event must agree from its onset on; silence ahead of that does not count.
    hits = [segment(f"{i}", noise(0.3, seed=i) * np.geomspace(1, 1e-3, 14_400)) for i in range(3)]
    delayed = np.pad(0.1 * hits[2].samples(), ((0, 0), (700, 0)))
    found = nearest_recordings([delayed, late], hits, RATE_HZ, events=True)
    assert (found.index[0], found.distance[0] < 0.1) == (2, True)
    assert found.distance[1] > 10
    assert len(nearest_recordings([], hits, RATE_HZ, events=True).distance) == 0


def test_textures_are_drawn_as_long_as_an_excerpt(tmp_path: Path) -> None:
    sounds = measured(split(textures(4), textures(3)), tmp_path, excerpt_samples=24_000)
    assert sounds.clip_s == 0.5
    assert sounds.n_training == sounds.support.n_reference == 24
    assert sounds.in_time.events is False
    assert sounds.in_time.n_reference == 24
    assert sounds.in_time.endings is None is sounds.in_time.rebound
    assert sounds.in_time.coherence.value > 0


def test_pieces_of_training_recordings_tell_nothing_of_new_sounds(tmp_path: Path) -> None:
    whole = [segment(f"{i}", noise(0.4, seed=i)) for i in range(3)]
    train = [Segment(s.clip, 0, CLIP) for s in whole]
    test = [Segment(s.clip, CLIP, 2 * CLIP) for s in whole]
    sounds = measured(split(train, test), tmp_path)
    assert len(sounds.held_out_distance_db) == 0
    assert len(sounds.smoothness) == 1  # between two of them one may go all the same


def test_nothing_is_drawn_where_nothing_is_asked_or_trained_on(tmp_path: Path) -> None:
    assert measured(split(tones(3), []), tmp_path, clips=0) is None
    silent = [segment("silence", np.zeros(CLIP, np.float32))]
    model = weightless()
    prior = fit_latent_statistics([Latent(torch.randn(1, 4, 9), torch.zeros(1, 0))])
    settings = {"clips": 4, "excerpt_samples": CLIP, "seed": 0, "audio_folder": tmp_path}
    assert measure_generated(model, prior, split(silent, []), **settings) is None
    write_generated(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


class _Broken(nn.Module):
    """Not finite where a code's first value is above a limit."""

    hop_samples = 4
    context_frames = 0

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, latent: Latent) -> Tensor:
        audio = latent.frames.transpose(1, 2).flatten(1)[:, None]
        return audio.masked_fill(latent.frames[:, 0, :1, None] > self.limit, math.nan)


def test_what_is_not_finite_is_left_out_and_costs_nothing(tmp_path: Path) -> None:
    model, parts = weightless(), split([segment(f"{i}", noise(0.2, seed=i)) for i in range(3)], [])
    prior = fit_latent_statistics(encode_whole(model, s.samples()) for s in parts.train)
    settings = {"clips": 8, "excerpt_samples": CLIP, "seed": 0, "audio_folder": tmp_path}
    model.decoder = _Broken(0.0)
    sounds = measure_generated(model, prior, parts, **settings)
    assert 0 < len(sounds.clips) < 8
    assert np.isfinite([clip.distance_db for clip in sounds.clips]).all()
    assert sounds.distances.kad is None or sounds.distances.kad.n_generated == len(sounds.clips)
    model.decoder = _Broken(-1e9)
    assert measure_generated(model, prior, parts, **settings) is None


class _Pitched(nn.Module):
    """A code's first value as the level of high noise over low noise, in 20 dB, or as a switch."""

    hop_samples = 4
    context_frames = 0

    def __init__(self, sudden: bool) -> None:
        super().__init__()
        self.sudden = sudden
        low = torch.from_numpy(noise(0.2, seed=1)).cumsum(0)
        self.low, self.high = low / low.abs().max(), torch.from_numpy(noise(0.2, seed=2))

    def forward(self, latent: Latent) -> Tensor:
        at = latent.frames[:, 0, :1]
        at = (at > 0.45).float() if self.sudden else at
        return (self.low + 10 ** (2 * at - 2) * self.high)[:, None]


@pytest.mark.parametrize(("sudden", "low", "high"), [(False, 0.8, 1.0), (True, 0.0, 0.01)])
def test_a_gradual_decoder_is_smooth_and_a_switch_jumps(sudden, low, high) -> None:
    model = weightless()
    model.decoder = _Pitched(sudden)
    zeros, ones = np.zeros(CLIP, np.float32), np.ones(CLIP, np.float32)
    pair = [segment("zeros", zeros), segment("ones", ones)]
    (smoothness,) = interpolations(model, pair, CLIP)
    assert low <= smoothness <= high
    assert math.isnan(interpolations(model, [pair[0], pair[0]], CLIP)[0])
    assert interpolations(model, pair[:1], CLIP) == ()
    assert len(interpolations(model, pair * 9, CLIP)) == 4


def test_tables_hold_every_n(tmp_path: Path) -> None:
    sounds = measured(split(tones(6), tones(4, first=6)), tmp_path / "audio")
    write_generated(tmp_path, sounds)
    with (tmp_path / "generated.csv").open() as file:
        rows = {row["measure"]: row for row in csv.DictReader(file)}
    assert (rows["kad"]["n"], rows["kad"]["n_reference"]) == ("8", "6")
    assert (rows["kad_held_out"]["n"], rows["frechet_held_out"]["n"]) == ("4", "4")
    assert float(rows["coverage"]["value"]) == pytest.approx(sounds.support.coverage)
    assert float(rows["frechet"]["value"]) == pytest.approx(
        sounds.distances.frechet.value, rel=1e-6
    )
    assert "vendi" not in rows  # of 6 recordings
    assert (rows["copies"]["n"], rows["smoothness"]["n"]) == ("8", "2")
    assert "time_structure" not in rows
    with (tmp_path / "generated_clips.csv").open() as file:
        clips = list(csv.DictReader(file))
    assert {row["made_of"] for row in clips} == {""} == {row["attack"] for row in clips}
    assert [int(row["seed"]) for row in clips] == [clip.seed for clip in sounds.clips]


def test_tables_hold_what_is_heard_in_time_and_what_a_sound_is_made_of(
    tmp_path: Path, monkeypatch
) -> None:
    """A prior that tells what it mixes has it in the table; this one is told by its sounds."""
    parts = split(tones(9), tones(4, first=9))
    monkeypatch.setattr(PriorSource, "made_of", (("a.wav", 0.625), ("b.wav", 0.375)), raising=False)
    sounds = measured(parts, tmp_path / "audio")
    write_generated(tmp_path, sounds)
    with (tmp_path / "generated.csv").open() as file:
        rows = {row["measure"]: row for row in csv.DictReader(file)}
    for name in ("time_structure", "two_sample", "endings", "rebound", "vendi"):
        assert (rows[name]["n"], rows[name]["n_reference"]) == ("8", "9")
    for name in ("endings_reconstructed", "rebound_reconstructed", "two_sample_by_chance"):
        assert (rows[name]["n"], rows[name]["n_reference"]) == ("9", "9")
    for name in ("time_structure", "two_sample", "endings", "rebound", "diversity"):
        assert float(rows[f"{name}_by_chance"]["value"]) > -10
    assert float(rows["vendi_reconstructed"]["value"]) > 1
    assert float(rows["endings_reconstructed"]["value"]) == 0.0
    assert "within_share" not in rows
    with (tmp_path / "generated_clips.csv").open() as file:
        clips = list(csv.DictReader(file))
    assert {row["made_of"] for row in clips} == {"a.wav 62 %; b.wav 38 %"}
    for i, descriptor in enumerate(DESCRIPTORS):
        told = [float(row[descriptor.name]) for row in clips]
        assert told == pytest.approx(sounds.in_time.descriptors[:, i], rel=1e-6, abs=1e-6)
