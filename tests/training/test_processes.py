"""Processes that share a batch take the steps that one process takes with all of it."""

import multiprocessing
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn

from models.presets import LATENTS
from timbrel.contracts import Latent
from timbrel.losses.mix import Objective
from timbrel.models.dropout import SeededDropout, drawing, drop_dimensions
from timbrel.randomness import WHOLE, Share, torch_generator
from timbrel.training.processes import (
    gathered,
    mean_gradients,
    mean_objective,
    meeting_point,
)
from training.together import COUNT, process, trained


@pytest.fixture(scope="module")
def both() -> Iterator[list[dict[str, Any]]]:
    """What each of two processes came to."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["timbrel.stages.training_run"])
    store = meeting_point()
    started, ends = [], []
    for index in range(COUNT):
        end, other = context.Pipe()
        worker = context.Process(target=process, args=(index, store.port, other))
        worker.start()
        other.close()
        started.append(worker)
        ends.append(end)
    yield [pickle.loads(end.recv_bytes()) for end in ends]
    for worker in started:
        worker.join()
        assert worker.exitcode == 0


@pytest.mark.parametrize("latent", LATENTS)
def test_every_latent_takes_the_same_steps(latent: str, both: list[dict[str, Any]]) -> None:
    """Weights, averages and queues; whatever is drawn is drawn for the example."""
    expected = trained(latent)
    first, second = (found[latent] for found in both)
    assert first.norms == second.norms
    assert first.norms[0] == pytest.approx(expected.norms[0], rel=1e-6)
    assert first.norms == pytest.approx(expected.norms, rel=1e-2)  # rounding grows from there
    for name, weight in expected.weights.items():
        assert torch.equal(first.weights[name], second.weights[name])
        assert torch.allclose(first.weights[name], weight, rtol=1e-4, atol=5e-5), name
    for found, terms in zip(first.terms, expected.terms, strict=True):
        assert found == pytest.approx(terms, rel=1e-4, abs=1e-6)


def test_a_sound_that_is_not_finite_stops_all_and_all_examples_are_named(
    both: list[dict[str, Any]],
) -> None:
    assert [found["diverged"] for found in both] == [[0, 1, 2, 3]] * COUNT


def test_process_0_says_when_to_stop_and_what_time_it_is(both: list[dict[str, Any]]) -> None:
    assert [found["told"] for found in both] == [(True, 7.0)] * COUNT


def test_rows_are_exchanged_with_their_gradients(both: list[dict[str, Any]]) -> None:
    """Two equal losses of all rows: their sum has twice the gradient of one."""
    whole = torch.arange(12.0).reshape(4, 3)
    for index, found in enumerate(both):
        frames, marks = found["exchanged"]["rows"]
        assert torch.equal(frames, whole)
        assert marks.squeeze(1).tolist() == [True, False, False, True]
        assert torch.equal(found["exchanged"]["gradient"], 2 * Share(index, COUNT).of(whole))


def test_means_are_those_of_the_processes(both: list[dict[str, Any]]) -> None:
    for found in both:
        assert found["exchanged"]["mean"].tolist() == [1.0, 0.5]
        assert found["exchanged"]["objective"] == (0.5, 1.0)


def test_a_process_by_itself_exchanges_nothing() -> None:
    assert not distributed.is_initialized()
    latent = Latent(torch.zeros(2, 3, 1), torch.zeros(2, 0))
    assert gathered(WHOLE, latent)[0] is latent
    objective = Objective(torch.zeros(()), {}, {})
    assert mean_objective(WHOLE, objective) is objective
    mean_gradients(WHOLE, [nn.Parameter(torch.zeros(1))])


def test_masks_are_those_of_the_example() -> None:
    """Of a layer inside the decoder and of the code: parts of what is drawn for all examples."""
    layer = SeededDropout(0.5, channel_dim=1)
    sound = torch.ones(4, 16, 8)
    latent = Latent(torch.ones(4, 8, 3), torch.ones(4, 8))

    def masked(share: Share) -> tuple[Tensor, Tensor, Tensor]:
        rng = torch_generator(0, 0, "masks")
        with drawing(layer, rng, share):
            inside = layer(share.of(sound))
        code = drop_dimensions(latent.map(share.of), 0.5, rng, share)
        return inside, code.frames, code.clip

    first, second = (masked(Share(index, 2)) for index in range(2))
    for one, other, whole in zip(first, second, masked(WHOLE), strict=True):
        assert torch.equal(torch.cat([one, other]), whole)
