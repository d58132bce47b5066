"""The phase of a tone."""

import pytest
import torch

from timbrel.dsp.phase import elapsed_periods


def test_periods_are_the_area_under_the_frequency() -> None:
    track = torch.tensor([[100.0, 200.0, 200.0, 50.0]])
    assert elapsed_periods(track, 0.1)[0].tolist() == pytest.approx([0, 15, 35, 47.5])
