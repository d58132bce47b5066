"""Which of several new sounds is nearest to the attributes that are asked for."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from timbrel.attributes.measurement import measure
from timbrel.attributes.registry import CLIP_ATTRIBUTES
from timbrel.contracts import Latent, joined
from timbrel.generation.engine import AudioBlock
from timbrel.generation.prior.draw import Draw

CANDIDATES = 24
HEARD_S = 4.0
"""So much of a sound is looked at."""

_ACTIVE_DB = 40.0
_SURE = 0.5
_VOICED_SHARE = 0.1
_ATTRIBUTES = {attribute.name: attribute for attribute in CLIP_ATTRIBUTES}

Hear = Callable[[Draw], AudioBlock]
"""Decodes the first `HEARD_S` of a sound."""


def measured(
    draw: Draw, names: Sequence[str], hear: Hear, *, rate_hz: int, hop_samples: int
) -> dict[str, float | None]:
    """The attributes `names` of a sound: from its tracks where they tell, else of its audio.

    None where one is not defined.
    """
    values: dict[str, float | None] = {}
    code = _first(draw, math.ceil(HEARD_S * rate_hz / hop_samples))
    rest = [name for name in names if name not in code.conditions.tracks]
    if rest:
        heard = measure(hear(draw), rate_hz)
        values = {name: heard.value(name) for name in rest}
    return values | {name: _of_track(code, name) for name in names if name not in rest}


def nearest_first(
    asked: Mapping[str, float], found: Sequence[Mapping[str, float | None]]
) -> list[int]:
    """The places of `found`, nearest to `asked` first; what lacks an attribute is last.

    Every attribute counts by its spread over `found`; what is logarithmic in octaves.

    >>> asked = {"centroid_hz": 1000.0}
    >>> nearest_first(asked, [{"centroid_hz": 400.0}, {"centroid_hz": None}, {"centroid_hz": 2e3}])
    [2, 0, 1]
    """
    distance = np.zeros(len(found))
    for name, target in asked.items():
        values = np.array([_scaled(name, values[name]) for values in found])
        known = values[np.isfinite(values)]
        spread = float(known.std()) if len(known) else 0.0
        distance += np.abs(values - _scaled(name, target)) / (spread if spread > 0 else 1.0)
    distance = np.where(np.isfinite(distance), distance, np.inf)
    return [int(index) for index in np.argsort(distance, kind="stable")]


def _scaled(name: str, value: float | None) -> float:
    if value is None:
        return math.nan
    return math.log2(max(value, 1e-9)) if _ATTRIBUTES[name].logarithmic else value


def _first(draw: Draw, n_frames: int) -> Latent:
    blocks, frames = [], 0
    for block in draw.source.blocks():
        blocks.append(block)
        frames += block.n_frames
        if frames >= n_frames:
            break
    return joined(blocks).cut(0, min(frames, n_frames))


def _of_track(code: Latent, name: str) -> float | None:
    """As the attribute of a clip: the median of frames within 40 dB of the loudest, or voiced."""
    tracks = {key: track[0].numpy() for key, track in code.conditions.tracks.items()}
    values, kept = tracks[name], np.ones(code.n_frames, bool)
    if "loudness_db" in tracks:
        kept &= tracks["loudness_db"] > tracks["loudness_db"].max() - _ACTIVE_DB
    if name == "f0_hz" and "confidence" in tracks:
        voiced = kept & (tracks["confidence"] >= _SURE)
        if voiced.sum() < _VOICED_SHARE * kept.sum():
            return None
        kept = voiced
    return float(np.median(values[kept])) if kept.any() else None
