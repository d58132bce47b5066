"""Masks come from the generator handed in, whole channels at a time, and keep the mean."""

import pytest
import torch

from timbrel.contracts import Latent
from timbrel.models.dropout import SeededDropout, drawing, drop_dimensions


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("channel_dim", "shape"), [(1, (50, 40, 1, 3)), (2, (50, 3, 40))])
def test_whole_channels_are_zeroed_and_the_rest_scaled(
    channel_dim: int, shape: tuple[int, ...]
) -> None:
    layer = SeededDropout(0.25, channel_dim=channel_dim)
    with drawing(layer, rng()):
        found = layer(torch.ones(shape)).movedim(channel_dim, 1).flatten(2)
    assert torch.equal(found, found[..., :1].expand_as(found))  # one mask for all frames
    assert found.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert (found == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_masks_are_the_generators_and_end_with_the_block() -> None:
    layers = torch.nn.Sequential(*(SeededDropout(0.5, channel_dim=1) for _ in range(2)))
    x = torch.ones(8, 8)
    found = []
    state = torch.get_rng_state()
    for seed in (0, 0, 1):
        with drawing(layers, rng(seed)):
            found.append(layers(x))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert layers(x) is x
    with pytest.raises(KeyError), drawing(layers, rng()):
        raise KeyError
    assert layers(x) is x  # also after an error


def test_nothing_is_drawn_at_probability_0() -> None:
    layer, generator = SeededDropout(0.0, channel_dim=1), rng()
    x, latent = torch.randn(2, 3, 4), Latent(torch.randn(2, 3, 4), torch.zeros(2, 0))
    with drawing(layer, generator):
        assert layer(x) is x
    assert drop_dimensions(latent, 0.0, generator) is latent
    assert torch.equal(generator.get_state(), rng().get_state())


def test_a_dimension_is_hidden_in_all_frames_of_a_clip() -> None:
    latent = Latent(torch.ones(200, 20, 7), torch.ones(200, 30))
    found = drop_dimensions(latent, 0.1, rng())
    assert torch.equal(found.frames, found.frames[..., :1].expand_as(found.frames))
    for part in (found.frames, found.clip):
        assert part.unique().tolist() == [0.0, pytest.approx(1 / 0.9)]
        assert (part == 0).float().mean().item() == pytest.approx(0.1, abs=0.012)
    assert (found.frames[:, :, 0] == 0).any(0).all()  # every dimension of some clip


@pytest.mark.parametrize("probability", [-0.1, 1.0])
def test_a_probability_is_from_0_to_below_1(probability: float) -> None:
    with pytest.raises(ValueError, match="a probability"):
        SeededDropout(probability, channel_dim=1)
