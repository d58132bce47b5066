"""A pair's code is brought to the target's time before the decoder and the penalty see it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.presets import Point, Unblock, tracks
from timbrel.contracts import Batch, Latent, Posterior
from timbrel.data.augmentation import Augment, Counterfactual, Varispeed
from timbrel.data.cache.entry import npy_header
from timbrel.data.cache.store import Clip
from timbrel.data.chunks.collate import collate
from timbrel.data.chunks.sampling import TrainingChunks
from timbrel.data.split.parts import Segment
from timbrel.losses.latent.penalty import frames_per_sample
from timbrel.models.autoencoder import Autoencoder
from timbrel.models.warping import warped
from timbrel.training.module import encoded, forward_pass
from training.tiny import HOPS, TIME, N, choices, measured, moved, training, weights_of

HOP = 64
SPEEDS = torch.tensor([0.7, 1.0, 1.3])


class Clock(nn.Module):
    """An encoder whose features tell the middle of every frame, in samples."""

    hop_samples = HOP
    context_frames = 0

    def forward(self, audio: Tensor) -> Tensor:
        n_frames = audio.shape[2] // HOP
        return ((torch.arange(n_frames) + 0.5) * HOP)[None, :, None].expand(len(audio), -1, 1)


class Silence(Unblock):
    hop_samples = HOP


def clock() -> Autoencoder:
    return Autoencoder(
        sample_rate_hz=48_000, channels=1, latent_dim=1, clip_dim=0,
        encoder=Clock(), posterior=Point(), decoder=Silence(1),
    )  # fmt: skip


def test_a_ramp_becomes_a_ramp_of_the_other_slope():
    frames = torch.arange(60.0).expand(3, 2, 60)
    clip, log_var = torch.ones(3, 1), Latent(-frames, torch.zeros(3, 1))
    found = warped(Posterior(Latent(frames, clip), log_var), SPEEDS, 40)
    expected = (torch.arange(40) + 0.5) * SPEEDS[:, None] - 0.5
    for code, sign in ((found.mean, 1), (found.log_var, -1)):
        assert code.frames.shape == (3, 2, 40)
        for row in (0, 1):
            torch.testing.assert_close(code.frames[:, row], sign * expected.clamp(min=0))
    assert found.mean.clip is clip


def test_a_speed_of_1_cuts_and_changes_no_bit():
    frames = torch.randn(2, 4, 30, generator=torch.Generator().manual_seed(0))
    code = Posterior(Latent(frames, torch.zeros(2, 0)), None)
    found = warped(code, torch.ones(2), 20)
    assert torch.equal(found.mean.frames, frames[:, :, :20])
    assert found.log_var is None


def test_a_click_lands_in_the_frame_whose_code_is_of_its_time(tmp_path):
    sound = np.zeros(20_000, np.float32)
    sound[9_000] = 1.0
    path = tmp_path / "clip.npy"
    path.write_bytes(npy_header(1, len(sound)) + sound.tobytes())
    segment = Segment(Clip(0, "click.wav", "0", 48_000, len(sound), 1, path), 0, len(sound))
    data = TrainingChunks(
        [segment],
        seed=0,
        chunk_samples=8192,
        hop_samples=HOP,
        augmentation=Augment(
            transforms={},
            counterfactual=Counterfactual(
                probability=1.0, transforms={"speed": Varispeed(octaves=0.5)}
            ),
        ),
    )
    batch = collate([data[0, index] for index in range(24)])
    code = encoded(clock(), batch).mean.frames[:, 0]
    assert code.shape == (24, 8192 // HOP)
    heard = 0
    for seen, target, speed, times in zip(
        batch.input[:, 0], batch.target[:, 0], batch.code_speed, code, strict=True
    ):
        middles = (torch.arange(len(times)) + 0.5) * HOP
        torch.testing.assert_close(times[1:], middles[1:] * speed)
        if not target.abs().max() > 0.5:
            continue  # the click lies outside
        clicks = int(seen.argmax()), int(target.argmax())
        assert clicks[0] == pytest.approx(clicks[1] * float(speed), abs=1.5)
        at = times[clicks[1] // HOP]
        assert abs(at - clicks[0]) <= HOP / 2 * speed + 1.5
        heard += 1
    assert heard > 5


def pair() -> tuple[Batch, int]:
    """Of `architecture=harmonic`: input half as long again, at three speeds."""
    batch = measured("harmonic")
    more = torch.randn(N, 1, TIME // 2, generator=torch.Generator().manual_seed(2))
    longer = torch.cat([batch.input, 0.3 * more], dim=2)
    return replace(batch, input=longer, code_speed=SPEEDS), TIME // HOPS["harmonic"]


def test_a_step_on_pairs_decodes_the_targets_frames_and_moves_every_part():
    module = training(choices("harmonic", "vae"))
    batch, n_frames = pair()
    forward = forward_pass(module.model, batch, torch.Generator().manual_seed(0), autocast=False)
    assert forward.latent.n_frames == forward.posterior.mean.n_frames == n_frames
    assert forward.posterior.log_var.n_frames == n_frames
    assert forward.estimate.shape == batch.target.shape
    assert torch.equal(forward.posterior.mean.conditions.f0_hz, batch.conditions.f0_hz)
    assert batch.conditions.tracks.keys() == tracks(module.model, N, TIME).tracks.keys()
    assert frames_per_sample(forward.latent, batch) == 1 / HOPS["harmonic"]
    before = weights_of(module.model)
    module.training_step(batch, 0)
    assert moved(before, module.model) == before.keys()


def test_the_rate_is_per_sample_of_the_target():
    """A code of variance 1 and mean 1 everywhere costs half a nat per dimension and frame."""
    module = training(choices("harmonic", "vae"))
    batch, n_frames = pair()
    ones, clip = torch.ones(N, 4, n_frames), torch.zeros(N, 2)
    latent = Latent(ones, clip)
    posterior = Posterior(latent, Latent(torch.zeros_like(ones), clip))
    terms = module.penalty(posterior, latent, batch, 0, torch.Generator())
    torch.testing.assert_close(terms["kl"], torch.full((N,), 0.5 * 4 * n_frames / TIME))
