"""Scores of generated sounds: clips from the prior, compared with the training recordings.

As sets they are compared in the embedding of `metrics.embedding`; the two distances of sets can use
another one. The same numbers of held-out recordings are the reference: they are those of real
sounds that the model was not trained on. How they begin, go on and end is compared with
reconstructions of the training recordings (`time_measures`), and copies are looked for moment by
moment (`metrics.copies`).

Stereo sounds are compared with their side signal, with two exceptions. The distance to the nearest
training clip leaves it out, because a memorised recording is a copy at any width and level. `aisfx`
takes the mono mix, because its network has one channel.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timbrel.analysis.evaluation import reconstruct, write_wav
from timbrel.analysis.excerpts import (
    MOST_HELD_OUT,
    clip_samples,
    excerpts,
    nearest_recordings,
    of_events,
    sounding,
    thinned,
    unseen,
)
from timbrel.analysis.interpolation import interpolations
from timbrel.analysis.time_measures import TimeMeasures, measure_in_time
from timbrel.analysis.tracks import Tracks, tracks_once
from timbrel.data.split.parts import Segment, Split
from timbrel.errors import UserError
from timbrel.generation.engine import render
from timbrel.generation.prior.draw import Draw, Prior, described
from timbrel.metrics import aisfx, distribution, diversity
from timbrel.metrics.distribution import SetDistance
from timbrel.metrics.diversity import Support
from timbrel.metrics.embedding import DIMENSIONS, embed
from timbrel.models.autoencoder import Autoencoder
from timbrel.randomness import numpy_generator

HEARD = 12
"""So many of the sounds are kept to be heard, each beside the recording nearest to it."""
COPY = 0.35
"""A sound nearer to a recording than this share of held-out recordings' median counts as a copy."""

_MOST_TRAINING, _MOST_IN_SETS = 4096, 256
_RECONSTRUCTED, _RECONSTRUCTED_S = (16, 48), 90.0

Audio = NDArray[np.float32]
Embeddings = NDArray[np.float64]

EMBEDDINGS: dict[str, Callable[[Audio, int], Embeddings]] = {"log_mel": embed, "aisfx": aisfx.embed}
"""By the values of evaluate.embedding."""


@dataclass(frozen=True)
class GeneratedClip:
    """A clip that `timbrel generate seed=...` renders, and the training clip nearest to it.

    `made_of` names the recordings that the prior made it of, empty where it says nothing;
    `descriptors` are those of `metrics.time_structure`, empty where they were not measured.
    """

    seed: int
    training_file: str
    training_start_s: float
    distance_db: float
    made_of: str = ""
    descriptors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Embedded:
    """Clips as points, and where each comes from."""

    points: Embeddings
    excerpts: tuple[Segment, ...]

    def __len__(self) -> int:
        return len(self.points)

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
    """Everything that was measured; what too few clips do not allow is None.

    `held_out_distance_db` is to the nearest training clip, from held-out recordings of which no
    piece was trained on, and `n_training` of how many; sets may be of fewer of them.
    """

    clip_s: float
    clips: tuple[GeneratedClip, ...]
    n_training: int
    held_out_distance_db: NDArray[np.float64]
    support: Support | None
    smoothness: tuple[float, ...]
    distances: SetDistances
    in_time: TimeMeasures | None = None

    @property
    def nearest(self) -> GeneratedClip:
        """The generated clip that lies nearest to a training clip."""
        return min(self.clips, key=lambda clip: clip.distance_db)

    @property
    def copies(self) -> float:
        """The share of clips nearer than `COPY` of held-out recordings' median; nan without any."""
        if not len(self.held_out_distance_db):
            return math.nan
        limit = COPY * float(np.median(self.held_out_distance_db))
        return float(np.mean([clip.distance_db < limit for clip in self.clips]))


def measure_generated(
    model: Autoencoder,
    prior: Prior,
    split: Split,
    *,
    clips: int,
    excerpt_samples: int,
    seed: int,
    audio_folder: Path,
    embedding: str = "log_mel",
    tracks: Tracks | None = None,
) -> GeneratedSounds | None:
    """Render `clips` clips with the seeds `seed`, `seed` + 1, ... and compare them.

    None where there is nothing to render or to compare with. One-shots and notes are compared
    whole, textures in excerpts of `excerpt_samples`; a clip is as long as the median of these.
    Copies are looked for among at most 4,096 training clips; as sets, by `embedding`, one of
    `EMBEDDINGS`, at most 256 of them and 64 held-out ones are compared, and in time reconstructions
    of 16 to 48 (90 s), evenly spread. Into `audio_folder` go the clip nearest to a training
    clip and the first 12, each beside what it is nearest to. Seeds whose sound is not finite are
    left out. `tracks` are those that were measured already.
    """
    events = of_events(split.train)
    length = clip_samples(split.train, excerpt_samples, events=events)
    training = sounding(excerpts(split.train, length), _MOST_TRAINING)
    if not clips or not training:
        return None
    drawn = _drawn(model, prior, length, range(seed, seed + clips))
    if not drawn:
        return None
    others = sounding(excerpts(unseen(split), length), MOST_HELD_OUT)
    rate_hz = model.sample_rate_hz
    of_sets = embedded(thinned(training, _MOST_IN_SETS), rate_hz)
    of_others = embedded(others, rate_hz)
    points = np.stack([embed(audio, rate_hz) for audio in drawn.values()])
    unlike = nearest_recordings([x.samples() for x in others], training, rate_hz, events=events)
    found = nearest_recordings(list(drawn.values()), training, rate_hz, events=events)
    in_time = measure_in_time(
        _reconstructed(model, training, tracks or tracks_once(model)),
        list(drawn.values()),
        rate_hz,
        events=events,
        rng=numpy_generator(seed, 0, "time measures"),
    )
    rows = () if in_time is None else in_time.descriptors
    result = replace(
        compare(of_sets.points, of_others.points, points),
        clip_s=length / rate_hz,
        n_training=len(training),
        held_out_distance_db=unlike.distance,
        clips=tuple(
            GeneratedClip(
                each,
                training[index].clip.name,
                training[index].start_sample / training[index].clip.rate_hz,
                float(distance),
                described(_draw(prior, length, each).made_of),
                tuple(map(float, rows[i])) if len(rows) else (),
            )
            for i, (each, index, distance) in enumerate(
                zip(drawn, found.index, found.distance, strict=True)
            )
        ),
        smoothness=interpolations(model, [*split.validation, *split.test], length),
        in_time=in_time,
    )
    hear = EMBEDDINGS[embedding]
    if hear is not embed:
        heard = np.stack([hear(audio, rate_hz) for audio in drawn.values()])
        sets = of_sets.heard_by(hear), of_others.heard_by(hear), heard
        result = replace(result, distances=set_distances(*sets, embedding=embedding))
    _write_heard(audio_folder, drawn, [training[i] for i in found.index], rate_hz, result)
    return result


def _drawn(model: Autoencoder, prior: Prior, length: int, seeds: range) -> dict[int, Audio]:
    """The clips by their seeds, but for those that are not finite."""
    drawn = {}
    for each in seeds:
        try:
            drawn[each] = from_prior(model, prior, length, each)
        except UserError:  # not finite: no measure of it may cost a training its end
            continue
    return drawn


def _reconstructed(model: Autoencoder, training: Sequence[Segment], tracks: Tracks) -> list[Audio]:
    """What the model makes of training clips, but for what is not finite."""
    mean_s = sum(x.n_samples for x in training) / len(training) / model.sample_rate_hz
    fewest, most = _RECONSTRUCTED
    kept = thinned(training, max(fewest, min(most, int(_RECONSTRUCTED_S / mean_s))))
    made = [reconstruct(model, excerpt.samples(), tracks(excerpt)).audio for excerpt in kept]
    return [audio for audio in made if np.isfinite(audio).all()]


def _write_heard(
    folder: Path,
    drawn: Mapping[int, Audio],
    recordings: Sequence[Segment],
    rate_hz: int,
    sounds: GeneratedSounds,
) -> None:
    """The nearest pair, and the first clips, each beside the recording nearest to it."""
    pairs = dict(zip(drawn, recordings, strict=True))
    names = {f"seed_{seed}": seed for seed in [*drawn][:HEARD]}
    closest = sounds.nearest.seed
    write_wav(folder / "generated.wav", drawn[closest], rate_hz, made="prior")
    write_wav(folder / "training.wav", pairs[closest].samples(), rate_hz)
    for name, seed in names.items():
        write_wav(folder / f"{name}.wav", drawn[seed], rate_hz, made="prior")
        write_wav(folder / f"{name}_nearest.wav", pairs[seed].samples(), rate_hz)


def compare(training: Embeddings, held_out: Embeddings, generated: Embeddings) -> GeneratedSounds:
    """The measures of embeddings; clips, smoothness and what is heard in time stay empty."""
    several = len(training) > 1
    return GeneratedSounds(
        clip_s=math.nan,
        clips=(),
        n_training=len(training),
        held_out_distance_db=np.zeros(0),
        support=diversity.density_and_coverage(training, generated) if several else None,
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


def from_prior(model: Autoencoder, prior: Prior, n_samples: int, seed: int) -> Audio:
    """A sound `(channel, time)` as `timbrel generate` renders it, before its fades.

    It is `n_samples` long where it has no end of its own.
    """
    return np.concatenate(list(render(model, _draw(prior, n_samples, seed).source)), axis=1)


def _draw(prior: Prior, n_samples: int, seed: int) -> Draw:
    drawn = prior.draw(seed)
    return drawn if drawn.ends else prior.draw(seed, n_samples=n_samples)


def embedded(segments: Sequence[Segment], rate_hz: int) -> Embedded:
    """Their points."""
    points = [embed(segment.samples(), rate_hz) for segment in segments]
    return Embedded(np.stack(points) if points else np.zeros((0, DIMENSIONS)), tuple(segments))
