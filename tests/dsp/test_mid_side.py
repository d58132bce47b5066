"""Mid/side is a rotation, and the same as it was inside models."""

import math

import pytest
import torch

from timbrel.dsp.mid_side import mid_side


def test_it_keeps_energy_and_undoes_itself() -> None:
    audio = torch.randn(3, 2, 1000, generator=torch.Generator().manual_seed(0))
    turned = mid_side(audio)
    assert float(turned.square().sum()) == pytest.approx(float(audio.square().sum()), rel=1e-6)
    torch.testing.assert_close(mid_side(turned), audio)
    torch.testing.assert_close(turned[:, 0], audio.sum(1) / math.sqrt(2))
    assert (mid_side(audio[:, :1].expand(3, 2, 1000))[:, 1] == 0).all()  # equal channels: no side


def test_mono_passes_through() -> None:
    audio = torch.randn(1, 1000)
    assert mid_side(audio) is audio
