"""Use of the code by a finished training: a row per dimension, and the gates on the code.

The numbers are those of `metrics.latent` and of the alarms of a training, but measured on held-out
recordings instead of chunks.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from timbrel.analysis.evaluation import write_csv
from timbrel.analysis.gates import Gate, judged, unknown
from timbrel.analysis.tracks import Tracks, tracks_once
from timbrel.config.limits import LIMITS, ByKey
from timbrel.contracts import Latent
from timbrel.data.split.parts import Segment
from timbrel.losses.latent import kl_nats
from timbrel.metrics import latent as latent_metrics
from timbrel.models.autoencoder import Autoencoder
from timbrel.runs.selection import HeldOutLoss

_Rows = NDArray[np.float32]

_ENCODED_S = 20.0
_DECODED_S = 4.0
_NO_TWO = "two different recordings that are held out are needed"
_NOT_HELD_OUT = "nothing to measure: no file is held out"


@dataclass(frozen=True)
class CodeUse:
    """The use of each dimension over held-out recordings, dimensions of frame codes first.

    `nats_per_frame` is nan if the posterior is deterministic, `variance` if there are fewer than
    two codes, `decode_change` if there are fewer than two recordings, `clip_change` (where the clip
    code alone is exchanged) also without a clip code.
    """

    dimensions: tuple[str, ...]
    nats_per_frame: NDArray[np.float64]
    variance: NDArray[np.float64]
    decode_change: float
    clip_change: float = math.nan


@torch.inference_mode()
def measure_code(
    model: Autoencoder, segments: Sequence[Segment], tracks: Tracks | None = None
) -> CodeUse:
    """Encode the first 20 s of every segment, decode 4 s of its code, and compare neighbours."""
    tracks = tracks or tracks_once(model)
    device = next(model.parameters()).device
    encoded, decoded = (round(s * model.sample_rate_hz) for s in (_ENCODED_S, _DECODED_S))
    frames: list[_Rows] = [np.zeros((0, model.latent_dim), np.float32)]
    clips: list[_Rows] = [np.zeros((0, model.clip_dim), np.float32)]
    frame_nats, clip_nats = list(frames), list(clips)
    change = latent_metrics.DecodeChange(model.sample_rate_hz)
    of_clip = latent_metrics.DecodeChange(model.sample_rate_hz)
    before: tuple[_Rows, _Rows, Tensor] | None = None
    for segment in segments:
        audio = segment.samples()[:, :encoded]
        conditions = tracks(segment, audio.shape[1]).map(lambda x: x.to(device))
        posterior = model.encode(torch.from_numpy(audio)[None].to(device), conditions)
        mean, log_var = posterior.mean, posterior.log_var
        frames.append(_rows(mean.frames))
        clips.append(mean.clip.float().cpu().numpy())
        if log_var is not None:
            frame_nats.append(_rows(kl_nats(mean.frames, log_var.frames)))
            clip_nats.append(kl_nats(mean.clip, log_var.clip).float().cpu().numpy())
        else:
            frame_nats.append(np.full_like(frames[-1], math.nan))
            clip_nats.append(np.full_like(clips[-1], math.nan))
        begin = mean.cut(0, math.ceil(decoded / model.hop_samples))
        now = audio[:, :decoded], _decoded(model, begin)[:, :decoded], mean.clip
        if before is not None:
            change.add((now[0], before[0]), (now[1], before[1]))
        if before is not None and model.clip_dim:
            exchanged = _decoded(model, replace(begin, clip=before[2]))
            of_clip.add((now[0], before[0]), (now[1], exchanged))
        before = now
    stacked = [np.concatenate(rows) for rows in (frame_nats, clip_nats, frames, clips)]
    return CodeUse(
        tuple(
            f"{kind} {number}"
            for kind, width in (("frame", model.latent_dim), ("clip", model.clip_dim))
            for number in range(width)
        ),
        latent_metrics.nats_per_dimension(stacked[0], stacked[1]),
        latent_metrics.variances(stacked[2], stacked[3]),
        change.value,
        of_clip.value,
    )


def _decoded(model: Autoencoder, latent: Latent) -> _Rows:
    return model.decode(latent)[0].float().cpu().numpy()


def active_units(code: CodeUse, least: float | None) -> Gate:
    """At least `least` dimensions have a posterior mean that varies over held-out recordings."""
    value = latent_metrics.active_units(code.variance)
    if math.isnan(value):
        return unknown("active_units", least, _NOT_HELD_OUT)
    nats = _nats_of_dimensions(code)
    return judged("active_units", value, least, dimensions=len(code.dimensions), nats=nats)


def _nats_of_dimensions(code: CodeUse) -> str:
    known = code.nats_per_frame[np.isfinite(code.nats_per_frame)]
    if not len(known):
        return ""
    return f" ({known.min():.2g} to {known.max():.2g} nats per frame in each; latent.csv has all)"


def decoder_listens(code: CodeUse, least: float | None) -> Gate:
    """With another recording's code the output changes at least `least` times as the sounds do."""
    if math.isnan(code.decode_change):
        return unknown("decoder_listens", least, f"nothing to compare: {_NO_TWO}")
    return judged("decoder_listens", code.decode_change, least)


def clip_listens(code: CodeUse, least: float | None) -> Gate:
    """With another recording's clip code alone the output changes at least `least` times as the
    sounds do."""
    if math.isnan(code.clip_change):
        none = not any(name.startswith("clip ") for name in code.dimensions)
        why = "the model has no clip code (architecture.clip_dim=0)" if none else _NO_TWO
        return unknown("clip_listens", least, f"nothing to compare: {why}")
    return judged("clip_listens", code.clip_change, least)


GATES: dict[str, Callable[[CodeUse, float | None], Gate]] = {
    "active_units": active_units,
    "decoder_listens": decoder_listens,
    "clip_listens": clip_listens,
}
"""Of a code, by the name of the gate; the limits are those of `timbrel.config.limits`."""


def code_gates(code: CodeUse, limits: ByKey) -> list[Gate]:
    """Every gate on the code; `limits` are the run's."""
    return [gate(code, limits[LIMITS[name].key]) for name, gate in GATES.items()]


def generalisation_gap(
    gaps: Sequence[tuple[int, float]], losses: HeldOutLoss, limit: float | None
) -> Gate:
    """The generalisation gap is at most `limit`, at the step whose weights are kept.

    `gaps` and `losses` are the curves `validation/gap` and `validation/loss`, both measured without
    augmentation. The gap is (held-out loss - training loss) / training loss.
    """
    at = dict(gaps)
    known = [(step, loss) for step, loss in losses.points if step in at and math.isfinite(loss)]
    if not known:
        why = "nothing to compare: the run logged no validation/gap (no validation part?)"
        return unknown("generalisation_gap", limit, why)
    found = replace(losses, points=known).kept()
    assert found is not None  # `known` has a finite one
    return judged("generalisation_gap", at[found[0]], limit, step=found[0])


def write_latent(path: Path, code: CodeUse) -> None:
    """`latent.csv`: nats per frame, variance of the posterior mean and activity by dimension."""
    active = latent_metrics.active(code.variance)
    rows = zip(code.dimensions, code.nats_per_frame, code.variance, active, strict=True)
    write_csv(
        path,
        ["dimension", "nats_per_frame", "variance", "active"],
        ([name, float(n), float(v), "yes" if on else "no"] for name, n, v, on in rows),
    )


def _rows(codes: torch.Tensor) -> _Rows:
    return codes[0].T.float().cpu().numpy()
