"""Generated clips beside recordings: sounds and codes made by hand, and modules without weights."""

import csv
import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from models.presets import transparent
from signals import noise, sine
from timbrel.analysis.generated_sounds import (
    compare,
    embedded,
    from_prior,
    interpolations,
    measure_generated,
)
from timbrel.analysis.generated_tables import write_generated
from timbrel.analysis.latent_statistics import fit_latent_statistics
from timbrel.contracts import Latent
from timbrel.data.split.parts import Segment, Split
from timbrel.generation.file_source import encode_whole
from timbrel.metrics import aisfx
from timbrel.metrics.distribution import kernel_audio_distance
from timbrel.metrics.embedding import DIMENSIONS, embed
from timbrel.models.autoencoder import Autoencoder

RATE_HZ = 48_000
CLIP = 9600


@dataclass(frozen=True)
class _Clip:
    """What a segment asks of a clip."""

    name: str
    audio: np.ndarray
    rate_hz: int = RATE_HZ

    @property
    def clip_id(self) -> str:
        return self.name

    @property
    def n_samples(self) -> int:
        return self.audio.shape[1]

    def open(self) -> np.ndarray:
        return self.audio


def segment(name: str, audio: np.ndarray) -> Segment:
    audio = np.atleast_2d(audio).astype(np.float32)
    return Segment(_Clip(name, audio), 0, audio.shape[1])


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
    arguments = {"clips": clips, "chunk_samples": CLIP, "seed": 5, "audio_folder": folder}
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
    apart = np.linalg.norm(embed(written, rate_hz) - embed(training, rate_hz))
    assert apart == pytest.approx(nearest.distance_db)
    model = weightless()
    prior = fit_latent_statistics(encode_whole(model, s.samples()) for s in parts.train)
    np.testing.assert_array_equal(from_prior(model, prior, CLIP, nearest.seed)[0], written)


def test_the_prior_of_one_recording_gives_its_colour(tmp_path: Path) -> None:
    """This prior can draw a stationary noise, and no tone far from it."""
    parts = split([segment(f"{i}", noise(0.2, seed=i)) for i in range(9)], tones(3))
    sounds = measured(parts, tmp_path)
    assert max(clip.distance_db for clip in sounds.clips) < 2.0
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
    assert (told["kad"], told["frechet_held_out"], told["vendi"]) == ("aisfx", "aisfx", "log_mel")


def test_copies_are_found_and_noise_is_far() -> None:
    rng = np.random.default_rng(0)
    training, held_out = rng.standard_normal((20, 6)), rng.standard_normal((9, 6))
    copied = compare(training, held_out, training[:10], seed=0)
    far = compare(training, held_out, 50 + rng.standard_normal((10, 6)), seed=0)
    assert copied.support.coverage > 0.5 > far.support.coverage == 0.0
    assert copied.vendi == pytest.approx(copied.vendi_training, rel=0.1)
    assert abs(copied.distances.kad.value) < 15 < far.distances.kad.value
    assert copied.distances.kad_held_out == far.distances.kad_held_out
    collapsed = compare(training, held_out, np.repeat(training[:1], 10, axis=0), seed=0)
    assert collapsed.vendi == pytest.approx(1.0)


def test_too_few_for_sets_leave_their_measures_out() -> None:
    none = np.zeros((0, 6))
    sounds = compare(np.ones((1, 6)), none, np.zeros((4, 6)), seed=0)
    assert sounds.support is None
    assert sounds.distances.kad is None
    assert math.isnan(sounds.vendi)
    alike = compare(np.ones((5, 6)), none, np.zeros((4, 6)), seed=0)  # no spread, no bandwidth
    assert alike.distances.kad is None
    assert alike.support.coverage == 0.0


def test_long_recordings_give_several_excerpts_and_silence_none() -> None:
    long = segment("long", np.concatenate([noise(0.5), np.zeros(24_000, np.float32)]))
    found = embedded([long, *tones(2)], 12_000, 10, RATE_HZ)
    assert [e.clip.name for e in found.excerpts] == ["long", "long", "0.wav", "1.wav"]
    assert [e.start_sample for e in found.excerpts[:2]] == [0, 12_000]
    assert found.excerpts[2].n_samples == 9600  # a shorter one as it is
    assert found.points.shape == (4, DIMENSIONS)
    few = embedded([long, *tones(2)], 4800, 3, RATE_HZ)  # 10 + 2 + 2 excerpts, 3 of them
    assert [e.start_sample for e in few.excerpts] == [0, 19_200]
    assert len(few) == 2  # the third is silent


def test_copies_are_looked_for_among_more_clips_than_sets_are_made_of(tmp_path: Path) -> None:
    """A model may copy any clip of a long training recording."""
    rng = np.random.default_rng(0)
    levels = 10 ** rng.uniform(-2, 0, 600)
    pitch = np.cumsum(np.repeat(rng.uniform(0.01, 1.0, 600), 1024)).astype(np.float32)
    long = segment("long", np.sin(pitch) * np.repeat(levels, 1024).astype(np.float32))
    sounds = measured(split([long], tones(3)), tmp_path, chunk_samples=1024)
    assert sounds.n_training == 600
    assert sounds.support.n_reference == sounds.distances.kad.n_reference == 256
    points = embedded([long], 1024, 600, RATE_HZ).points
    model = weightless()
    prior = fit_latent_statistics([encode_whole(model, long.samples())])
    for clip in sounds.clips:
        of_clip = embed(from_prior(model, prior, 1024, clip.seed), RATE_HZ)
        assert clip.distance_db == pytest.approx(np.linalg.norm(points - of_clip, axis=1).min())
    write_generated(tmp_path, sounds)
    with (tmp_path / "generated.csv").open() as file:
        rows = {row["measure"]: row["n_reference"] for row in csv.DictReader(file)}
    assert (rows["coverage"], rows["nearest_training_least_db"]) == ("256", "600")


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
    settings = {"clips": 4, "chunk_samples": CLIP, "seed": 0, "audio_folder": tmp_path}
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
    settings = {"clips": 8, "chunk_samples": CLIP, "seed": 0, "audio_folder": tmp_path}
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
    assert (rows["vendi"]["n"], rows["smoothness"]["n"]) == ("6", "2")
    with (tmp_path / "generated_clips.csv").open() as file:
        clips = list(csv.DictReader(file))
    assert [int(row["seed"]) for row in clips] == [clip.seed for clip in sounds.clips]
