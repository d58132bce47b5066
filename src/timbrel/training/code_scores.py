"""What the code tells of attributes while it is learned: fixed chunks, measured beforehand.

Each chunk's row is the mean of its posterior means over the frames that sound, then its clip code.
Watches, changes nothing: the encoder alone runs, and nothing is drawn.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from timbrel.analysis.disentanglement import mean_frame, without_tracks
from timbrel.contracts import Batch
from timbrel.metrics import latent
from timbrel.metrics.disentanglement import FEWEST, WATCHED, values
from timbrel.models.autoencoder import Autoencoder

PREFIX = "disentanglement_"


@dataclass(frozen=True)
class MeasuredChunks:
    """The same chunks at every pass of `batches`, and of each what was measured of it.

    `factors` is `(chunk, factor)`, nan where undefined; `heard` `(chunk, latent frame)` says which
    frames sound; `recordings` names the recording of each chunk. Chunks that are silent, or could
    not be measured, have no frame that sounds, and no row.
    """

    batches: Iterable[Batch]
    factors: NDArray[np.float64]
    heard: NDArray[np.bool_]
    recordings: NDArray[Any]


@torch.no_grad()
def code_scores(
    model: Autoencoder, chunks: MeasuredChunks, autocast: AbstractContextManager[None]
) -> dict[str, float]:
    """`disentanglement_<score>` of the active units, and `disentanglement_n`, the recordings.

    Empty where fewer than 10 recordings can be heard, or the code is not finite.
    """
    device = next(model.parameters()).device
    heard = torch.from_numpy(chunks.heard)
    rows, first = [], 0
    for batch in chunks.batches:
        audio = batch.input.to(device)
        tracks = without_tracks(model, len(audio), audio.shape[2]).map(lambda x: x.to(device))
        with autocast:
            mean = model.encode(audio, tracks).mean
        of_batch = heard[first : first + len(audio)].to(device)
        frames = mean_frame(mean.frames.float(), of_batch)
        rows.append(torch.cat([frames, mean.clip.float()], dim=1).cpu().numpy())
        first += len(audio)
    sounds = chunks.heard.any(1)
    names = chunks.recordings[sounds]
    n = len(np.unique(names))
    if n < FEWEST:
        return {}
    codes = np.concatenate(rows)[sounds].astype(np.float64)
    if not np.isfinite(codes).all():
        return {}
    active = latent.active(latent.variances(codes, codes[:, :0]))
    found = values(codes[:, active], chunks.factors[sounds], names, metrics=WATCHED)
    known = {f"{PREFIX}{name}": value for name, value in found.items() if np.isfinite(value)}
    return {**known, f"{PREFIX}n": float(n)} if known else {}
