"""What the code of a trained model tells of attributes: of recordings, and of sounds made to order.

A row is a recording: the mean of its posterior means over the frames that sound (within 40 dB of
the loudest), then its clip code. Recordings have measured attributes, one for each thing that can
be heard apart from the others; the clips of the demo set have the factors they were rendered with.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from timbrel.analysis.evaluation import write_csv
from timbrel.attributes.frames import active, without_dc
from timbrel.attributes.measurement import Measurement
from timbrel.attributes.spectrum import spectral_frames
from timbrel.audio.normalise import level_gain
from timbrel.contracts import Conditions, Latent
from timbrel.data.cache.entry import amplified, mix
from timbrel.data.chunks.conditions import frames_at, latent_frames
from timbrel.data.demo.demo_set import demo_sounds
from timbrel.data.demo.sounds import Sound, synthesize
from timbrel.data.measured.attribute_table import Progress, measure_clips
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError
from timbrel.generation.file_source import encode_stream, mean_clip
from timbrel.metrics import latent
from timbrel.metrics.attributes import HELD
from timbrel.metrics.disentanglement import FEWEST, METRICS, Score, evaluate, rank_correlations
from timbrel.metrics.disentanglement.evaluate import DRAWS, TREE_DRAWS
from timbrel.models.autoencoder import Autoencoder

RECORDINGS, DEMO = "recordings", "demo"
TRAINING_DEMO_SEED = 0
"""That of `data=demo`: clips of another one were never trained on."""

# Each with the track that tells it to a decoder which is given one.
FACTORS: Mapping[str, str | None] = {
    "log_centroid_octaves": "centroid_hz",
    "log_f0_octaves": "f0_hz",
    "hnr_db": "confidence",
    "log_attack_time": "loudness_db",
    "log_decay_octaves": "loudness_db",
    "onsets_per_s": "loudness_db",
    "loudness_lufs": "loudness_db",
    "width": None,
}
"""Measured attributes, one of each family of relatives."""
DEMO_FACTORS: Mapping[str, str | None] = {
    "log_centroid_octaves": "centroid_hz",
    "log_f0_octaves": "f0_hz",
    "noisiness": "confidence",
    "log_attack_time": "loudness_db",
    "log_decay_octaves": "loudness_db",
    "stereo_width": None,
}
"""What the demo set is rendered with, but for its peaks, which differ by 2 dB."""

_SCALED = {"hnr_db": HELD["hnr_error_db"], "log_decay_octaves": HELD["decay_error_octaves"]}

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Disentanglement:
    """Scores of a code, by name, with what they were computed from.

    `carried` are the factors that the decoder is told by tracks beside the code, which need not
    hold them. `n` counts the rows, `n_of` those in which each factor is defined (0: not scored).
    `active` says which units vary by more than 0.01; `rank_correlation` is the table `(unit,
    factor)` of absolute Spearman correlations, nan where a factor is not scored. Where nothing
    could be scored `reason` says why, and `scores` is empty.
    """

    source: str
    units: tuple[str, ...]
    factors: tuple[str, ...]
    carried: tuple[str, ...]
    n: int
    n_of: tuple[int, ...]
    scores: Mapping[str, Score]
    active: NDArray[np.bool_]
    rank_correlation: Table
    reason: str = ""


def disentanglement_of_recordings(
    model: Autoencoder,
    segments: Iterable[Segment],
    *,
    cache: Path,
    draws: int = DRAWS,
    tree_draws: int = TREE_DRAWS,
    progress: Progress | None = None,
) -> Disentanglement:
    """The scores over the recordings of `segments`, each whole and once, by measured attributes.

    Attributes are those kept in the folder `cache`, or measured now and kept. Files of one content
    are one recording; one that cannot be measured or is silent has no row.

    Raises UserError where a recording's cache entry is damaged or the code is not finite.
    """
    clips = {segment.clip.content_hash: segment.clip for segment in segments}
    table = measure_clips(list(clips.values()), folder=cache, progress=progress)
    rows, known = [], []
    for clip, found in zip(clips.values(), table.measurements, strict=True):
        if found is None:
            continue
        audio = np.array(clip.open(), order="C")
        heard = sounding(found, clip.n_samples, model.hop_samples)
        if heard.any():
            rows.append(_row(model, audio, heard))
            known.append(found)
    return _scored(RECORDINGS, model, rows, measured_factors(known), FACTORS, draws, tree_draws)


def disentanglement_of_demo(
    model: Autoencoder,
    *,
    clips: int = 200,
    seed: int = 1,
    downmix: str = "mean",
    normalise: str = "none",
    draws: int = DRAWS,
    tree_draws: int = TREE_DRAWS,
) -> Disentanglement:
    """The scores over freshly rendered clips of the demo set, by the factors they were made with.

    `downmix` and `normalise` are those of the recordings that trained the model. Nothing is
    written.

    Raises UserError for the seed of the set that `data=demo` trains on, for numbers that no set can
    have, and where the code is not finite.
    """
    if seed == TRAINING_DEMO_SEED:
        raise UserError(
            f"seed={seed}: data=demo trains on the clips of this seed; take another, such as 1"
        )
    sounds = demo_sounds(clips, seed=seed, sample_rate_hz=model.sample_rate_hz)
    rows = []
    for sound in sounds:
        audio = _rendered(sound, model, downmix, normalise)
        spectra = spectral_frames(without_dc(audio, model.sample_rate_hz), model.sample_rate_hz)
        at = frames_at(audio.shape[1], model.sample_rate_hz, model.hop_samples)
        rows.append(_row(model, audio, active(spectra.level_db)[at]))
    factors = _demo_factors(sounds, stereo=model.channels == 2)
    return _scored(DEMO, model, rows, factors, DEMO_FACTORS, draws, tree_draws)


def measured_factors(found: Sequence[Measurement | None]) -> Table:
    """`(sound, factor)` in the order of `FACTORS`; nan where undefined or not measured.

    The harmonic-to-noise ratio is cut to -10 to 30 dB and the decay, in octaves above 1 dB/s, to
    300 dB/s; a sound that falls by less than 1 dB/s is held, and has none.
    """
    table = np.full((len(found), len(FACTORS)), math.nan)
    for row, measurement in enumerate(found):
        if measurement is not None:
            table[row] = [_factor(measurement, name) for name in FACTORS]
    return table


def _factor(found: Measurement, name: str) -> float:
    held = _SCALED.get(name)
    value = found.value(name if held is None else held.attribute)
    if value is None:
        return math.nan
    return value if held is None else held.scale(value)


def sounding(found: Measurement, samples: int, hop_samples: int) -> NDArray[np.bool_]:
    """Which latent frames of a measured sound are within 40 dB of the loudest."""
    return found.sounding[latent_frames(found, samples, hop_samples)]


def mean_frame(
    frames: Float[Tensor, "batch latent frame"], heard: Bool[Tensor, "batch frame"]
) -> Float[Tensor, "batch latent"]:
    """The mean over the frames that are heard, of which there must be one."""
    weight = heard[:, None].to(frames.dtype)
    return (frames * weight).sum(2) / weight.sum(2)


def without_tracks(model: Autoencoder, n_batch: int, n_samples: int) -> Conditions:
    """Tracks of zeros: an encoder does not hear them, a code only carries them along."""
    shape = (n_batch, math.ceil(n_samples / model.hop_samples))
    return Conditions(**{name: torch.zeros(shape) for name in model.conditions})


def unit_names(model: Autoencoder) -> tuple[str, ...]:
    """`frame 0`, ..., `clip 0`, ..., as in latent.csv."""
    widths = (("frame", model.latent_dim), ("clip", model.clip_dim))
    return tuple(f"{kind} {number}" for kind, width in widths for number in range(width))


def _row(
    model: Autoencoder, audio: NDArray[np.float32], heard: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The code of one sound, `(unit)`."""
    tracks = without_tracks(model, 1, audio.shape[1])
    blocks: list[Latent] = list(encode_stream(model, [audio], tracks))
    frames = torch.cat([block.frames for block in blocks], dim=2)
    mean = mean_frame(frames, torch.from_numpy(heard)[None])
    return torch.cat([mean, mean_clip(blocks)], dim=1)[0].numpy()


def _rendered(
    sound: Sound, model: Autoencoder, downmix: str, normalise: str
) -> NDArray[np.float32]:
    """A clip as the model hears it, `(channel, time)`."""
    rate_hz = model.sample_rate_hz
    both = synthesize(sound, rate_hz).T.astype(np.float32)
    loudest = int(np.argmax(np.square(both, dtype=np.float64).sum(0)))
    mixed = mix(both, channels=model.channels, downmix=downmix, loudest=loudest)
    gain = level_gain(
        lambda: [mixed], rate_hz=rate_hz, channels=model.channels, normalise=normalise
    )
    return np.ascontiguousarray(amplified(mixed, gain).T)


def _demo_factors(sounds: Sequence[Sound], *, stereo: bool) -> Table:
    """`(sound, factor)` in the order of `DEMO_FACTORS`."""
    columns = {
        "log_centroid_octaves": [math.log2(sound.brightness_hz) for sound in sounds],
        "log_f0_octaves": [math.log2(sound.f0_hz) for sound in sounds],
        "noisiness": [sound.noisiness for sound in sounds],
        "log_attack_time": [math.log10(sound.attack_s) for sound in sounds],
        "log_decay_octaves": [math.log2(sound.decay_db_per_s) for sound in sounds],
        "stereo_width": [sound.stereo_width if stereo else math.nan for sound in sounds],
    }
    return np.array([columns[name] for name in DEMO_FACTORS], np.float64).T


def _scored(
    source: str,
    model: Autoencoder,
    rows: Sequence[NDArray[np.float32]],
    factors: Table,
    named: Mapping[str, str | None],
    draws: int,
    tree_draws: int,
) -> Disentanglement:
    units = unit_names(model)
    codes = np.array(rows, np.float64).reshape(len(rows), len(units))
    if not np.isfinite(codes).all():
        raise UserError(
            "the model's code is not finite (NaN or infinity); its training diverged: use another "
            "model"
        )
    scores: Mapping[str, Score] = {}
    if len(rows) < FEWEST:
        reason = f"{len(rows)} sounds; disentanglement is scored from {FEWEST} on"
    elif not latent.active(latent.variances(codes, codes[:, :0])).any():
        reason = "no unit of the code varies by more than 0.01 over the sounds: there is none"
    else:
        try:
            scores = evaluate(codes, factors, metrics=METRICS, draws=draws, tree_draws=tree_draws)
            reason = ""
        except ValueError as error:  # no factor that varies
            reason = str(error)
    n_of = next((score.n for score in scores.values()), (0,) * len(named))
    return Disentanglement(
        source,
        units,
        tuple(named),
        tuple(name for name, track in named.items() if track in model.conditions),
        len(rows),
        n_of,
        scores,
        latent.active(latent.variances(codes, codes[:, :0])),
        np.where(np.array(n_of) > 0, rank_correlations(codes, factors), math.nan),
        reason,
    )


def write_disentanglement(path: Path, found: Disentanglement) -> None:
    """Three tables: the scores in `path`, and beside it `<stem>_units.csv`, `<stem>_factors.csv`.

    Of units the absolute Spearman correlation with every factor; of factors the rows in which it is
    defined, whether tracks carry it, and the unit that follows it most. Without scores the first
    has no row.
    """
    write_csv(
        path,
        [
            *("metric", "value", "low", "high", "null_mean", "null_p95", "ceiling", "all_units"),
            *("n", "n_groups"),
        ],
        (
            [
                *(name, score.value, score.low, score.high, score.null_mean, score.null_p95),
                *(score.ceiling, score.all_units, found.n, score.n_groups),
            ]
            for name, score in found.scores.items()
        ),
    )
    write_csv(
        path.with_name(f"{path.stem}_units.csv"),
        ["unit", "active", *found.factors],
        (
            [unit, "yes" if on else "no", *map(float, correlations)]
            for unit, on, correlations in zip(
                found.units, found.active, found.rank_correlation, strict=True
            )
        ),
    )
    write_csv(
        path.with_name(f"{path.stem}_factors.csv"),
        ["factor", "n", "carried_by_tracks", "unit", "rank_correlation"],
        (
            [name, n, "yes" if name in found.carried else "no", *_most(found, column, n)]
            for name, n, column in zip(
                found.factors, found.n_of, found.rank_correlation.T, strict=True
            )
        ),
    )


def _most(found: Disentanglement, column: Table, n: int) -> tuple[str, float]:
    """The unit that follows a factor most, and how much."""
    if not n:
        return "", math.nan
    unit = int(np.argmax(column))
    return found.units[unit], float(column[unit])
