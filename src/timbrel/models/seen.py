"""What the blocks of a decoder see that follows tracks."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from timbrel.contracts import Latent

_LOUDNESS_DB, _HNR_DB = 60.0, 20.0
_F0_CENTRE_HZ, _CENTROID_CENTRE_HZ, _OCTAVES = 200.0, 1000.0, 3.0


def code_and_tracks(
    latent: Latent, names: Sequence[str], *, lowest_hz: float = 0.0
) -> Float[Tensor, "batch frame value"]:
    """The frame code, the clip code and the tracks of these `names`, brought to about -1...1.

    They begin with `f0_hz`, `confidence` and `loudness_db`; no f0 counts as lower than `lowest_hz`.
    """
    given = latent.conditions
    assert given.f0_hz is not None  # the autoencoder has checked them
    assert given.confidence is not None
    assert given.loudness_db is not None
    clip = latent.clip[:, :, None].expand(-1, -1, latent.n_frames)
    octaves = (given.f0_hz.clamp_min(lowest_hz) / _F0_CENTRE_HZ).log2() / _OCTAVES
    loudness = (given.loudness_db / _LOUDNESS_DB + 1).clamp(-1.0, 2.0)
    tracks = [given.confidence * octaves, given.confidence, loudness]
    if "centroid_hz" in names:
        assert given.centroid_hz is not None
        above = (given.centroid_hz.clamp_min(1.0) / _CENTROID_CENTRE_HZ).log2() / _OCTAVES
        tracks.append(above.clamp(-2.0, 2.0))
    if "hnr_db" in names:
        assert given.hnr_db is not None
        tracks.append(given.hnr_db / _HNR_DB)
    code = torch.cat([latent.frames, clip], dim=1).transpose(1, 2)
    return torch.cat([code, torch.stack(tracks, dim=2)], dim=2)
