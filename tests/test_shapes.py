"""The axis vocabulary is checked while tests run, and its check catches what it should."""

import sys

import pytest
import torch
from jaxtyping import TypeCheckError

import timbrel.contracts
from timbrel.contracts import Batch, Conditions, Latent, Posterior
from timbrel.dsp.stft import hann, istft, overlap_add, stft
from timbrel.losses.latent import rate_nats
from timbrel.losses.reconstruction import SpectralLoss
from timbrel.models.blocks import FrameStack

N = 4  # examples


def test_timbrel_was_imported_after_the_hook() -> None:
    loaders = {
        name: type(module.__loader__).__name__
        for name, module in sys.modules.items()
        if name.startswith(("timbrel.dsp.", "timbrel.models.", "timbrel.losses."))
    }
    assert loaders, "nothing to check"
    assert set(loaders.values()) == {"_JaxtypingLoader"}
    assert type(timbrel.contracts.__loader__).__name__ == "_JaxtypingLoader"


def test_wrong_shapes_and_types_are_caught() -> None:
    with pytest.raises(TypeCheckError):
        stft(torch.zeros(1024), torch.zeros(2, 512), 256)  # a window is one axis
    with pytest.raises(TypeCheckError):
        stft(torch.zeros(1024, dtype=torch.int16), hann(512), 256)
    with pytest.raises(TypeCheckError):
        istft(torch.zeros(1, 257, 4), hann(512), 256)  # real, not complex
    with pytest.raises(TypeCheckError):
        overlap_add(torch.zeros(4, 512), 256)
    with pytest.raises(TypeCheckError):
        FrameStack(width=8, blocks=1, kernel_frames=3, expansion=2)(torch.zeros(8, 4))
    with pytest.raises(TypeCheckError):  # target of another length
        SpectralLoss(window_samples=[256])(torch.zeros(1, 1, 1024), torch.zeros(1, 1, 1023))


def test_dataclasses_hold_one_batch_size() -> None:
    with pytest.raises(TypeCheckError):
        Latent(torch.zeros(2, 3, 4), torch.zeros(1, 0))
    with pytest.raises(TypeCheckError):
        Conditions(f0_hz=torch.zeros(2, 5), loudness_db=torch.zeros(2, 6))
    audio = torch.zeros(2, 1, 8)
    with pytest.raises(TypeCheckError):
        Batch(audio, audio, torch.zeros(3, dtype=torch.long), torch.zeros(2, dtype=torch.long))


def test_right_shapes_pass() -> None:
    audio, index = torch.zeros(N, 1, 8), torch.zeros(N, dtype=torch.long)
    batch = Batch(audio, audio, index, index)
    assert batch.attributes.values.shape == batch.frame_attributes.values.shape == (0, 0)
    code = Latent(torch.zeros(N, 3, 5), torch.zeros(N, 0))
    assert rate_nats(Posterior(code, code)).shape == (N,)
