"""Dimensions that follow measured attributes: AR-VAE (Pati & Lerch 2020)."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from timbrel.attributes.registry import ATTRIBUTES
from timbrel.contracts import Batch, Latent, Posterior
from timbrel.losses.latent.rate import rate_nats
from timbrel.losses.latent.rows import PastRows, at_frames, draw_frames


def order_loss(
    z: Float[Tensor, "row attribute"],
    attribute: Float[Tensor, "row attribute"],
    known: Bool[Tensor, "row attribute"],
    past: tuple[Tensor, Tensor, Tensor],
    *,
    delta: float,
    dead_zone: Float[Tensor, " attribute"],
) -> Float[Tensor, ""]:
    """sum_a MAE(tanh(delta D_z), sgn(D_a)) over pairs of rows; dimension a goes with attribute a.

    Pati & Lerch 2020, section 3 (their D is a difference between two examples of a batch). Pairs
    are of a present row with another or with one of the `past` (z, attribute, known). Differs: left
    out are a row with itself, pairs with a value unknown, and those nearer than `dead_zone`, whose
    order is not known. An attribute without pairs adds nothing. A pair with the past has a gradient
    at its present end alone, so a queue weakens the pull (24 rows beside 8: to 0.6 of it).
    """
    n, columns = z.shape
    others = [torch.cat(pair) for pair in zip((z, attribute, known), past, strict=True)]
    d_z = z[:, None] - others[0][None]
    d_a = attribute[:, None] - others[1][None]
    counts = known[:, None] & others[2][None] & (d_a.abs() > dead_zone)
    counts[:, :n] &= ~torch.eye(n, dtype=torch.bool, device=z.device)[:, :, None]
    # A value that is not known may be anything, NaN too.
    error = ((delta * d_z).tanh() - torch.where(counts, d_a, 0.0).sign()).abs() * counts
    pairs = counts.flatten(0, 1).sum(0).clamp_min(1)
    return (error.reshape(-1, columns).sum(0) / pairs).sum()


class AttributeOrder(nn.Module):
    """`frame_order`, `clip_order` and `kl`; the first dimensions follow the attributes named.

    Dimension k of the frame code follows the k-th frame attribute, dimension k of the clip code
    the k-th clip attribute. The weights are the paper's gamma (music: 1,
    with `delta` 10). The latent is the sampled one, so that its noise stays below what it orders.

    Frames of one clip depend on each other, so one frame per clip is drawn per step among those
    with a known attribute; `queue_rows` earlier clips join the present ones, so that at least 16
    are compared where batches are smaller. `dead_zone` is each attribute's measurement noise, in
    its own unit; where it is not named, that of the registry.

    Raises:
        ValueError: a code is narrower than its list of attributes; the batch lacks one of them.
    """

    dead_zone_frames: Float[Tensor, " attribute"]
    dead_zone_clip: Float[Tensor, " attribute"]

    def __init__(
        self,
        *,
        latent_dim: int,
        clip_dim: int,
        frame_attributes: Sequence[str],
        clip_attributes: Sequence[str],
        dead_zone: Mapping[str, float],
        delta: float,
        queue_rows: int,
    ) -> None:
        super().__init__()
        _check_width("latent_dim", latent_dim, "frame_attributes", frame_attributes)
        _check_width("clip_dim", clip_dim, "clip_attributes", clip_attributes)
        if not frame_attributes and not clip_attributes:
            raise ValueError("latent.frame_attributes and latent.clip_attributes are both empty")
        if delta <= 0:
            raise ValueError(f"penalty.delta={delta}: above 0")
        for name, noise in dead_zone.items():
            if not noise >= 0:
                raise ValueError(f"penalty.dead_zone.{name}={noise}: 0 or more")
        self.delta = delta
        self.frame_attributes, self.clip_attributes = (
            tuple(frame_attributes),
            tuple(clip_attributes),
        )
        self.past_frames = PastRows(rows=queue_rows, width=3 * len(frame_attributes))
        self.past_clips = PastRows(rows=queue_rows, width=3 * len(clip_attributes))
        for name, attributes in (("frames", frame_attributes), ("clip", clip_attributes)):
            of_frames = name == "frames"
            zone = torch.tensor([dead_zone.get(a, _noise(a, of_frames)) for a in attributes])
            self.register_buffer(f"dead_zone_{name}", zone, persistent=False)

    def forward(
        self, posterior: Posterior, latent: Latent, batch: Batch, step: int, rng: torch.Generator
    ) -> dict[str, Tensor]:
        return {
            "kl": rate_nats(posterior) / batch.target.shape[-1],
            "frame_order": self._frames(latent, batch, rng),
            "clip_order": self._clips(latent, batch),
        }

    def _frames(self, latent: Latent, batch: Batch, rng: torch.Generator) -> Tensor:
        n = len(self.dead_zone_frames)
        if n == 0:
            return latent.frames.new_zeros(())
        expected = (len(latent.frames), n, latent.frames.shape[2])
        values, mask = batch.frame_attributes.of(self.frame_attributes)
        _check_shape("frame_attributes", values, expected)
        index = draw_frames(latent, rng, mask.any(1))
        z = at_frames(latent.frames[:, :n], index)
        attribute = at_frames(values, index)
        known = at_frames(mask.float(), index) > 0
        return self._order(self.past_frames, z, attribute, known, self.dead_zone_frames)

    def _clips(self, latent: Latent, batch: Batch) -> Tensor:
        n = len(self.dead_zone_clip)
        if n == 0:
            return latent.clip.new_zeros(())
        values, mask = batch.attributes.of(self.clip_attributes)
        _check_shape("attributes", values, (len(latent.clip), n))
        return self._order(self.past_clips, latent.clip[:, :n], values, mask, self.dead_zone_clip)

    def _order(
        self, past: PastRows, z: Tensor, attribute: Tensor, known: Tensor, dead_zone: Tensor
    ) -> Tensor:
        past_z, past_attribute, past_known = past.rows().chunk(3, dim=1)
        loss = order_loss(
            z, attribute, known, (past_z, past_attribute, past_known > 0),
            delta=self.delta, dead_zone=dead_zone,
        )  # fmt: skip
        past.add(torch.cat([z, attribute, known.to(z.dtype)], dim=1))
        return loss


def _noise(name: str, of_frames: bool) -> float:
    """The registry's measurement noise, that of whole clips where it has none of frames; else 0."""
    about = next((attribute for attribute in ATTRIBUTES if attribute.name == name), None)
    if about is None:
        return 0.0
    return float((about.frame_noise if of_frames else None) or about.noise or 0.0)


def _check_width(key: str, width: int, name: str, attributes: Sequence[str]) -> None:
    if width < len(attributes):
        raise ValueError(
            f"latent.{name} names {len(attributes)}, and architecture.{key}={width}: every "
            f"attribute needs a dimension; name fewer, or raise architecture.{key}"
        )


def _check_shape(name: str, found: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(found.shape) != expected:
        raise ValueError(f"batch.{name} is of shape {tuple(found.shape)}, not {expected}")
