"""How evenly the sound moves on a straight line between the codes of two recordings."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from timbrel.contracts import Conditions
from timbrel.data.split.parts import Segment
from timbrel.generation.file_source import conditions_of
from timbrel.generation.tracks import latent_of, rows_of
from timbrel.metrics import diversity
from timbrel.metrics.embedding import embed
from timbrel.models.autoencoder import Autoencoder

POSITIONS = 9
"""Number of codes on the line between two recordings, both ends included."""

_MOST_PAIRS = 4
_STANDSTILL_DB = 0.5


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
