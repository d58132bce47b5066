"""The numbers that `timbrel train` hands to a sweeper, by the names in `objective=` or of a trial.

validation/loss      the held-out loss of the weights that are kept
PART/SCORE           the mean of a score over the files of a part, as in summary.csv
gates/GATE           the value of a gate, as in gates.csv
model/NAME           what the model costs: parameters, context_ms, real_time
"""

import time
from collections.abc import Collection, Iterable

import torch

from timbrel.analysis.evaluation import means_of
from timbrel.contracts import Conditions, Latent
from timbrel.errors import UserError, did_you_mean
from timbrel.metrics.scores import MODEL_SCORES, RUN_SCORES, SCORES
from timbrel.models.autoencoder import Autoencoder
from timbrel.stages.evaluation_run import Outcome

_LOSS = "validation/loss"
_GATES = "gates"
_MODEL = "model"
_PARTS = ("train", "validation", "test")
_DECODED_S = 2.0
_TRACKS = {
    "f0_hz": 220.0,
    "confidence": 1.0,
    "loudness_db": -20.0,
    "centroid_hz": 1000.0,
    "hnr_db": 10.0,
}


def check_objective(objective: str | None, *, channels: int, where: str = "objective") -> None:
    """Raise UserError where no training with `channels` channels has a number of that name.

    `where` is the key that names it.
    """
    if objective is None:
        return
    scores = [name for name, score in SCORES.items() if channels == 2 or not score.stereo]
    known = [f"{part}/{name}" for part in _PARTS for name in scores]
    known += [_LOSS, *(f"{_GATES}/{name}" for name in RUN_SCORES)]
    known += [f"{_MODEL}/{name}" for name in MODEL_SCORES]
    if objective not in known:
        raise UserError(
            f"{where}={objective}: no such number{did_you_mean(objective, known)}; there are "
            f"{_LOSS}, PART/SCORE with PART of {', '.join(_PARTS)} and SCORE of "
            f"{', '.join(scores)}, {_GATES}/GATE with GATE of {', '.join(RUN_SCORES)}, and "
            f"{_MODEL}/NAME with NAME of {', '.join(MODEL_SCORES)}"
        )


def part_of(objective: str | None, parts: Collection[str]) -> str | None:
    """The part whose scores `objective` asks for; None where it asks for none.

    `parts` are those that have files. Raises UserError where that part has none.
    """
    part = (objective or _GATES).partition("/")[0]
    if part in (_GATES, _MODEL):
        return None
    if part not in parts:
        raise UserError(
            f"objective={objective}: no file is in the {part} part; name a number of "
            f"{' or '.join(parts)}"
        )
    return None if objective == _LOSS else part


def parts_of(names: Iterable[str | None], parts: Collection[str]) -> list[str]:
    """The parts whose scores these numbers ask for. Raises UserError as `part_of`."""
    asked = (part_of(name, parts) for name in names)
    return list(dict.fromkeys(part for part in asked if part))


def number(objective: str, outcome: Outcome, best_loss: float, model: Autoencoder) -> float:
    """The number of that name; nan where it could not be measured."""
    part, _, name = objective.partition("/")
    if objective == _LOSS:
        return best_loss
    if part == _MODEL:
        return model_number(name, model)
    if part == _GATES:
        values = {gate.name: gate.value for gate in outcome.gates}
    else:
        values = means_of(outcome.summary, part)
    return values.get(name, float("nan"))


def model_number(name: str, model: Autoencoder) -> float:
    """What `model` costs: the number called `name` in `MODEL_SCORES`."""
    if name == "parameters":
        return float(sum(parameter.numel() for parameter in model.parameters()))
    if name == "context_ms":
        return 1000.0 * model.receptive_field_samples / model.sample_rate_hz
    return _real_time(model)


@torch.no_grad()
def _real_time(model: Autoencoder) -> float:
    """Seconds of sound per second of decoding; the better of two, after one to warm up."""
    device = next(model.parameters()).device
    n_frames = max(1, round(_DECODED_S * model.sample_rate_hz / model.hop_samples))
    tracks = {
        name: torch.full((1, n_frames), _TRACKS.get(name, 0.0), device=device)
        for name in model.conditions
    }
    code = Latent(
        torch.zeros(1, model.latent_dim, n_frames, device=device),
        torch.zeros(1, model.clip_dim, device=device),
        Conditions(**tracks),
    )
    seconds = []
    for _ in range(3):
        began_s = time.perf_counter()
        decoded = model.decode(code)
        float(decoded[0, 0, 0])  # waits for a device that works on its own
        seconds.append(time.perf_counter() - began_s)
    return n_frames * model.hop_samples / model.sample_rate_hz / min(seconds[1:])
