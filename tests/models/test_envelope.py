"""A smooth spectrum: every low bin its own value, straight lines between the others."""

import torch
from torch import nn

from timbrel.models.envelope import SmoothEnvelope


def test_low_bins_have_values_of_their_own_and_the_others_lie_on_straight_lines() -> None:
    head = SmoothEnvelope(4, channels=2, bins=33)
    nn.init.zeros_(head.values.weight)
    head.values.bias = nn.Parameter(torch.arange(16.0).square())
    found = head(torch.zeros(1, 3, 4)).unflatten(2, (2, 33))
    assert torch.equal(found[0, 0, 0, :5], torch.tensor([0.0, 1.0, 4.0, 9.0, 16.0]))
    assert torch.equal(found[0, 2, 1, :4], torch.tensor([64.0, 81.0, 100.0, 121.0]))
    assert found[0, 0, :, -1].tolist() == [49.0, 225.0]
    high = found[0, 0, 0, 4:]  # 29 bins, the three lines of which are 28/3 long
    torch.testing.assert_close(high[:10], 16.0 + torch.arange(10) * 9 * 3 / 28)
