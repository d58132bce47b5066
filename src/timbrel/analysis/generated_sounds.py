"""Scores of generated sounds: clips from the prior, compared with the training recordings.

All clips have about the same length and are compared in the embedding of `metrics.embedding`; the
two distances of sets can use another one. The same numbers of held-out recordings are the
reference: they are those of real sounds that the model was not trained on.

Stereo sounds are compared with their side signal, with two exceptions. The distance to the nearest
training clip leaves it out, because a memorised recording is a copy at any width and level. `aisfx`
takes the mono mix, because its network has one channel.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.analysis.evaluation import write_wav
from timbrel.contracts import Conditions
from timbrel.data.split.parts import Segment, Split
from timbrel.errors import UserError
from timbrel.generation.engine import render
from timbrel.generation.file_source import conditions_of
from timbrel.generation.source import prior_source
from timbrel.generation.statistics import LatentStatistics
from timbrel.generation.tracks import latent_of, rows_of
from timbrel.metrics import aisfx, distribution, diversity
from timbrel.metrics.distribution import SetDistance
from timbrel.metrics.diversity import Support
from timbrel.metrics.embedding import DIMENSIONS, embed, whatever_width
from timbrel.models.autoencoder import Autoencoder
from timbrel.randomness import numpy_generator

POSITIONS = 9
"""Number of codes on the line between two recordings, both ends included."""

_MOST_TRAINING, _MOST_IN_SETS, _MOST_HELD_OUT, _MOST_PAIRS = 4096, 256, 64, 4
_SILENT_PEAK = 1e-3
_STANDSTILL_DB = 0.5
_VENDI_DRAWS = 8

Audio = NDArray[np.float32]
Embeddings = NDArray[np.float64]

EMBEDDINGS: dict[str, Callable[[Audio, int], Embeddings]] = {"log_mel": embed, "aisfx": aisfx.embed}
"""By the values of evaluate.embedding."""


@dataclass(frozen=True)
class GeneratedClip:
    """A clip that `timbrel generate seed=...` renders, and the training clip nearest to it."""

    seed: int
    training_file: str
    training_start_s: float
    distance_db: float


@dataclass(frozen=True)
class Embedded:
    """Clips as points, and where each comes from."""

    points: Embeddings
    excerpts: tuple[Segment, ...]

    def __len__(self) -> int:
        return len(self.points)

    def thinned(self, most: int) -> "Embedded":
        """At most `most` of them, evenly spread."""
        kept = _evenly(len(self), most)
        return Embedded(self.points[kept], tuple(self.excerpts[i] for i in kept))

    def heard_by(self, hear: Callable[[Audio, int], Embeddings]) -> Embeddings:
        """The same clips by another embedding; `(0, 0)` of none."""
        rows = [hear(excerpt.samples(), excerpt.clip.rate_hz) for excerpt in self.excerpts]
        return np.stack(rows) if rows else np.zeros((0, 0))


@dataclass(frozen=True)
class SetDistances:
    """How far generated clips, and held-out ones, lie from those of training, by one embedding."""

    embedding: str
    kad: SetDistance | None
    kad_held_out: SetDistance | None
    frechet: SetDistance | None
    frechet_held_out: SetDistance | None


@dataclass(frozen=True)
class GeneratedSounds:
    """Everything that was measured; what too few clips do not allow is None, or nan.

    `held_out_distance_db` is to the nearest training clip, from held-out recordings of which no
    piece was trained on, and `n_training` of how many; sets may be of fewer of them. `vendi` and
    `vendi_training` are of equally many clips.
    """

    clip_s: float
    clips: tuple[GeneratedClip, ...]
    n_training: int
    held_out_distance_db: NDArray[np.float64]
    support: Support | None
    vendi: float
    vendi_training: float
    n_vendi: int
    smoothness: tuple[float, ...]
    distances: SetDistances

    @property
    def nearest(self) -> GeneratedClip:
        """The generated clip that lies nearest to a training clip."""
        return min(self.clips, key=lambda clip: clip.distance_db)


def measure_generated(
    model: Autoencoder,
    prior: LatentStatistics,
    split: Split,
    *,
    clips: int,
    chunk_samples: int,
    seed: int,
    audio_folder: Path,
    embedding: str = "log_mel",
) -> GeneratedSounds | None:
    """Render `clips` clips with the seeds `seed`, `seed` + 1, ... and compare them.

    None where there is nothing to render or to compare with. A clip is a training chunk long, or as
    long as the median training recording where that is shorter. Copies are looked for among at most
    4,096 training clips; as sets, by `embedding`, one of `EMBEDDINGS`, at most 256 of them and 64
    held-out ones are compared, evenly spread. The generated clip nearest to a training clip and
    that one are written into `audio_folder`. Seeds whose sound is not finite are left out.
    """
    length = _clip_samples(split.train, chunk_samples)
    training = embedded(split.train, length, _MOST_TRAINING, model.sample_rate_hz)
    if not clips or not len(training):
        return None
    trained_on = {segment.clip.clip_id for segment in split.train}
    held_out = [*split.validation, *split.test]
    unseen = [segment for segment in held_out if segment.clip.clip_id not in trained_on]
    others = embedded(unseen, length, _MOST_HELD_OUT, model.sample_rate_hz)
    hear = EMBEDDINGS[embedding]
    seeds, points, heard = [], [], []
    for each in range(seed, seed + clips):
        try:
            audio = from_prior(model, prior, length, each)
        except UserError:  # not finite: no measure of it may cost a training its end
            continue
        seeds.append(each)
        points.append(embed(audio, model.sample_rate_hz))
        heard.append(points[-1] if hear is embed else hear(audio, model.sample_rate_hz))
    if not points:
        return None
    invented = np.stack(points)
    nearest = _nearest(invented, training.points)
    of_sets = training.thinned(_MOST_IN_SETS)
    result = replace(
        compare(of_sets.points, others.points, invented, seed=seed),
        clip_s=length / model.sample_rate_hz,
        n_training=len(training),
        held_out_distance_db=_nearest(others.points, training.points).distance,
        clips=tuple(
            _generated_clip(each, training.excerpts[index], float(distance))
            for each, index, distance in zip(seeds, nearest.index, nearest.distance, strict=True)
        ),
        smoothness=interpolations(model, held_out, length),
    )
    if hear is not embed:
        sets = of_sets.heard_by(hear), others.heard_by(hear), np.stack(heard)
        result = replace(result, distances=set_distances(*sets, embedding=embedding))
    closest = int(nearest.distance.argmin())
    pair = {
        "generated": from_prior(model, prior, length, seeds[closest]),
        "training": training.excerpts[nearest.index[closest]].samples(),
    }
    for name, audio in pair.items():
        made = "prior" if name == "generated" else None
        write_wav(audio_folder / f"{name}.wav", audio, model.sample_rate_hz, made=made)
    return result


def compare(
    training: Embeddings, held_out: Embeddings, generated: Embeddings, *, seed: int
) -> GeneratedSounds:
    """All measures of embeddings; clips and smoothness stay empty. `seed` is for the draws."""
    several = len(training) > 1
    spread = _spread(training)
    n = min(len(training), len(generated))
    vendi = vendi_training = math.nan
    if spread > 0:
        rng = numpy_generator(seed, 0, "vendi")
        draws = [rng.permutation(len(training))[:n] for _ in range(_VENDI_DRAWS)]
        vendi = _vendi(generated[:n], spread)
        vendi_training = float(np.mean([_vendi(training[draw], spread) for draw in draws]))
    return GeneratedSounds(
        clip_s=math.nan,
        clips=(),
        n_training=len(training),
        held_out_distance_db=_nearest(held_out, training).distance,
        support=diversity.density_and_coverage(training, generated) if several else None,
        vendi=vendi,
        vendi_training=vendi_training,
        n_vendi=n,
        smoothness=(),
        distances=set_distances(training, held_out, generated),
    )


def set_distances(
    training: Embeddings,
    held_out: Embeddings,
    generated: Embeddings,
    *,
    embedding: str = "log_mel",
) -> SetDistances:
    """Of generated clips and of held-out ones to those of training; `embedding` is its name."""
    spread = _spread(training)
    kad, frechet = _distances(training, generated, spread)
    kad_held_out, frechet_held_out = _distances(training, held_out, spread)
    return SetDistances(embedding, kad, kad_held_out, frechet, frechet_held_out)


def _nearest(points: Embeddings, training: Embeddings) -> diversity.Nearest:
    return diversity.nearest(whatever_width(points), whatever_width(training))


def _spread(training: Embeddings) -> float:
    return distribution.median_distance(training) if len(training) > 1 else 0.0


def _distances(
    training: Embeddings, points: Embeddings, spread: float
) -> tuple[SetDistance | None, SetDistance | None]:
    """Kernel and Fréchet distance; None where a set has no spread or only one point."""
    if not (spread > 0 and len(points) > 1):
        return None, None
    return (
        distribution.kernel_audio_distance(training, points, bandwidth=spread),
        distribution.frechet_distance(training, points),
    )


def from_prior(model: Autoencoder, prior: LatentStatistics, n_samples: int, seed: int) -> Audio:
    """A clip `(channel, time)` as `timbrel generate` renders it, before its fades."""
    source = prior_source(model, prior, n_samples=n_samples, seed=seed)
    return np.concatenate(list(render(model, source)), axis=1)


def embedded(segments: Sequence[Segment], length: int, most: int, rate_hz: int) -> Embedded:
    """At most `most` excerpts of `length` samples, evenly spread; silent ones are left out.

    A segment gives one after the other, and at least one, which may be shorter.
    """
    excerpts = [
        replace(
            segment,
            start_sample=segment.start_sample + i * length,
            stop_sample=min(segment.stop_sample, segment.start_sample + (i + 1) * length),
        )
        for segment in segments
        for i in range(max(1, segment.n_samples // length))
    ]
    excerpts = [excerpts[i] for i in _evenly(len(excerpts), most)]
    points, kept = [], []
    for excerpt in excerpts:
        audio = excerpt.samples()
        if np.abs(audio).max() > _SILENT_PEAK:
            points.append(embed(audio, rate_hz))
            kept.append(excerpt)
    return Embedded(np.stack(points) if points else np.zeros((0, DIMENSIONS)), tuple(kept))


@torch.inference_mode()
def interpolations(
    model: Autoencoder, segments: Sequence[Segment], length: int
) -> tuple[float, ...]:
    """The smoothness of straight lines between the codes of one recording and the next.

    Of at most four pairs, nine positions each; nan where the sound hardly moves.
    """
    begins = [
        replace(s, stop_sample=min(s.stop_sample, s.start_sample + length)).samples()
        for s in segments[: 2 * _MOST_PAIRS]
    ]
    device = next(model.parameters()).device
    weights = torch.linspace(0, 1, POSITIONS, device=device)
    found = []
    for pair in zip(begins[::2], begins[1::2], strict=False):
        equal = np.stack([np.pad(x, ((0, 0), (0, length - x.shape[1]))) for x in pair])
        tracks = [conditions_of(model, sound).tracks for sound in equal]
        both = {name: torch.cat([of[name] for of in tracks]) for name in model.conditions}
        conditions = Conditions(**both).map(lambda x: x.to(device))
        code = model.encode(torch.from_numpy(equal).to(device), conditions).mean
        rows = rows_of(code)
        line = latent_of(
            torch.lerp(rows[:1], rows[1:], weights[:, None, None]),
            torch.lerp(code.clip[:1], code.clip[1:], weights[:, None]),
            model.conditions,
        )
        sounds = model.decode(line).float().cpu().numpy()[:, :, :length]
        points = np.stack([embed(sound, model.sample_rate_hz) for sound in sounds])
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        moves = steps.sum() > _STANDSTILL_DB
        found.append(diversity.smoothness(steps) if moves else math.nan)
    return tuple(found)


def _evenly(available: int, most: int) -> list[int]:
    return [i * available // most for i in range(most)] if available > most else [*range(available)]


def _clip_samples(segments: Sequence[Segment], chunk_samples: int) -> int:
    lengths = [segment.n_samples for segment in segments]
    return min([chunk_samples, *([max(1, int(np.median(lengths)))] if lengths else [])])


def _generated_clip(seed: int, excerpt: Segment, distance_db: float) -> GeneratedClip:
    start_s = excerpt.start_sample / excerpt.clip.rate_hz
    return GeneratedClip(seed, excerpt.clip.name, start_s, distance_db)


def _vendi(points: Embeddings, bandwidth: float) -> float:
    return diversity.vendi_score(distribution.gaussian_kernel(points, points, bandwidth))
