"""How a sound's level moves within frames, from the levels of the frames themselves."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from timbrel.models.level_correction import SILENT_DB
from timbrel.models.moving import moving

_STEPS = 8  # per frame, where these are whole samples
_ITERATIONS = 10
_CONTEXT = 6  # windows' reaches: iterations reach farther by less than 1e-6
_NEPERS = (-7.0, 3.0)
_TINY = 1e-14


class TemporalEnvelope(nn.Module):
    """Shapes overlap-added frames so that their level moves as fast as the level track allows.

    The track is the power of the sound, averaged with the squared window. An attack is smeared
    over the window twice: in the track, and where frames that follow the track are overlap-added.
    So what is decoded begins early. Richardson-Lucy deconvolution (Richardson 1972, Lucy 1974)
    finds powers of eight steps per frame (fewer where a hop has no eighths), none negative, whose
    averages are the track; the envelope leads from the overlap-added frames' level to the steps'.

    Before the first frame and after the last one there is silence. Where the level hardly moves
    (`moving`) the envelope is 1: a tone that it shakes has sidebands.
    """

    shares: Float[Tensor, "frame step"]

    def __init__(self, *, window: Float[Tensor, " window"], hop_samples: int) -> None:
        super().__init__()
        self.steps = math.gcd(hop_samples, _STEPS)
        self.reach_frames = math.ceil((len(window) - hop_samples) / (2 * hop_samples))
        self.context_frames = _CONTEXT * self.reach_frames
        n_frames = 2 * self.reach_frames + 1
        edge = (n_frames * hop_samples - len(window)) // 2
        heard = nn.functional.pad(window.double().square(), (edge, edge))
        shares = heard.view(n_frames, self.steps, -1).sum(2)
        self.register_buffer("shares", (shares / shares.sum()).to(window), persistent=False)
        self.hop_samples = hop_samples

    @torch.no_grad()
    def forward(self, loudness_db: Float[Tensor, "batch frame"]) -> Float[Tensor, "batch 1 time"]:
        """Factors of the samples, in straight lines between the middles of steps."""
        loudness_db = loudness_db.clamp_min(SILENT_DB)
        nepers = self.log_steps(loudness_db) * moving(loudness_db)[..., None]
        n_samples = loudness_db.shape[1] * self.hop_samples
        return nn.functional.interpolate(
            nepers.exp().flatten(1)[:, None], size=n_samples, mode="linear"
        )

    def log_steps(
        self, loudness_db: Float[Tensor, "batch frame"]
    ) -> Float[Tensor, "batch frame step"]:
        """Log amplitudes of the steps beside those of the overlap-added frames."""
        wanted = 10 ** (loudness_db / 10)
        per_heard = 1 / self._spread(torch.ones_like(wanted))
        steps = self._spread(wanted) * per_heard
        for _ in range(_ITERATIONS):
            ratio = wanted / self._averaged(steps).clamp_min(_TINY)
            steps = steps * (self._spread(ratio) * per_heard)
        overlapped = self._spread(wanted.sqrt()) * per_heard
        ratio = steps.clamp_min(_TINY) / overlapped.square().clamp_min(_TINY)
        return (0.5 * ratio.log()).clamp(*_NEPERS)

    def _averaged(self, steps: Float[Tensor, "batch frame step"]) -> Float[Tensor, "batch frame"]:
        """What the frames' windows hear of the steps."""
        around = nn.functional.pad(steps, (0, 0, self.reach_frames, self.reach_frames))
        frames = around.flatten(1).unfold(1, self.shares.numel(), self.steps)
        return frames @ self.shares.flatten()

    def _spread(self, frames: Float[Tensor, "batch frame"]) -> Float[Tensor, "batch frame step"]:
        """The adjoint of `_averaged`."""
        around = nn.functional.pad(frames, (self.reach_frames, self.reach_frames))
        return around.unfold(1, len(self.shares), 1) @ self.shares.flip(0)
