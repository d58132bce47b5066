"""KL penalties with a floor, below which the KL is not penalised and so not driven to 0."""

import torch
from torch import nn

from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.latent.penalty import frames_per_sample
from timbrel.losses.latent.rate import gaussian, kl_nats, nats_per_frame
from timbrel.losses.terms import Diagnostic, Terms


class FreeBits(nn.Module):
    """sum_j max(floor, KL_j) (Kingma et al. 2016, "Inverse autoregressive flow", appendix C.8).

    KL_j is the mean KL of dimension j over the batch and its frames; below its floor a dimension is
    not penalised. Term: `floored_kl`; diagnostic: `kl`. The floor is per frame for a dimension of
    the frame code, per clip for one of the clip code. Differs: each dimension is a group of its
    own, over all frames.
    """

    def __init__(self, *, floor_nats_per_frame: float, clip_floor_nats: float) -> None:
        super().__init__()
        _check("floor_nats_per_frame", floor_nats_per_frame)
        _check("clip_floor_nats", clip_floor_nats)
        self.floor_nats_per_frame = floor_nats_per_frame
        self.clip_floor_nats = clip_floor_nats

    def forward(
        self, posterior: Posterior, latent: Latent, batch: Batch, step: int, rng: torch.Generator
    ) -> Terms:
        mean, log_var = gaussian(posterior)
        by_frame = kl_nats(mean.frames, log_var.frames).mean((0, 2))
        by_clip = kl_nats(mean.clip, log_var.clip).mean(0)
        n_time, n_frames = batch.target.shape[-1], mean.frames.shape[2]
        floored = n_frames * by_frame.clamp_min(self.floor_nats_per_frame).sum()
        floored = floored + by_clip.clamp_min(self.clip_floor_nats).sum()
        whole = n_frames * by_frame.sum() + by_clip.sum()
        return {"kl": Diagnostic(whole / n_time), "floored_kl": floored / n_time}


class KLFloor(nn.Module):
    """max(floor, KL): a floor for the KL summed over all dimensions.

    Term: `floored_kl`; diagnostic: `kl`. The floor applies to the batch's mean. Not the delta-VAE
    (Razavi et al. 2019), whose posteriors cannot have a KL below the floor: here a KL below it is
    possible, but not rewarded.
    """

    def __init__(self, *, floor_nats_per_frame: float) -> None:
        super().__init__()
        _check("floor_nats_per_frame", floor_nats_per_frame)
        self.floor_nats_per_frame = floor_nats_per_frame

    def forward(
        self, posterior: Posterior, latent: Latent, batch: Batch, step: int, rng: torch.Generator
    ) -> Terms:
        rate = nats_per_frame(posterior)
        per_sample = frames_per_sample(latent, batch)
        floored = rate.clamp_min(self.floor_nats_per_frame)
        return {"kl": Diagnostic(rate * per_sample), "floored_kl": floored * per_sample}


def _check(name: str, floor: float) -> None:
    if floor < 0:
        raise ValueError(f"penalty.{name}={floor}: 0 or more")
