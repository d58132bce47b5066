"""A vector autoregression has the moments of the frames that it was fitted to, and stays stable."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import solve_discrete_lyapunov

from timbrel.generation.prior.autoregression import LARGEST_RADIUS, fit_autoregression, radius
from timbrel.generation.prior.process import LinearProcess

FIRST = np.array([[1.2, 0.2], [-0.2, 1.1]])
SECOND = np.array([[-0.5, 0.0], [0.1, -0.4]])


def known(n_frames: int, seed: int = 0) -> np.ndarray:
    """A stable process of order 2."""
    rng = np.random.default_rng(seed)
    x = np.zeros((2, n_frames + 200))
    for t in range(2, x.shape[1]):
        x[:, t] = FIRST @ x[:, t - 1] + SECOND @ x[:, t - 2] + rng.standard_normal(2)
    return 3.0 + x[:, 200:]


def drawn(process: LinearProcess, n_frames: int, seed: int = 1) -> np.ndarray:
    return np.concatenate(list(process.frames(np.random.default_rng(seed), n_frames)), axis=1)


def lagged(x: np.ndarray, lag: int) -> np.ndarray:
    centred = x - x.mean(1, keepdims=True)
    return centred[:, lag:] @ centred[:, : x.shape[1] - lag].T / (x.shape[1] - lag)


def test_what_is_drawn_has_the_covariances_of_the_rows_over_time() -> None:
    own = known(20_000)
    made = drawn(fit_autoregression(own, order=2, ridge=1e-6), 40_000)
    spread = np.outer(own.std(1), own.std(1))
    assert_allclose(made.mean(1), own.mean(1), atol=0.1 * own.std())
    for lag in (0, 1, 2, 5, 10):
        assert_allclose(lagged(made, lag) / spread, lagged(own, lag) / spread, atol=0.08)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_a_frame_has_exactly_the_mean_and_covariance_of_the_rows(order: int) -> None:
    own = known(300)
    process = fit_autoregression(own, order=order)
    state = process.start @ process.start.T
    assert_allclose(process.output @ state @ process.output.T, np.cov(own, ddof=0), atol=1e-8)
    assert_allclose(process.mean, own.mean(1))
    again = process.transition @ state @ process.transition.T
    assert_allclose(again + process.innovation @ process.innovation.T, state, atol=1e-8)


@pytest.mark.parametrize("frames", [3, 8, 30, 300])
def test_what_grows_or_hardly_moves_is_brought_to_stay(frames: int) -> None:
    t = np.arange(frames)
    rng = np.random.default_rng(0)
    noise = 1e-6 * rng.standard_normal((3, frames))
    growing = np.stack([1.05**t, np.cos(0.3 * t), 0.01 * t]) + noise
    process = fit_autoregression(growing, ridge=0.0 if frames > 8 else 0.01)
    assert radius(process.transition) <= LARGEST_RADIUS + 1e-6
    made = drawn(process, 5000)
    assert np.isfinite(made).all()
    assert np.abs(made - process.mean[:, None]).max() < 8 * growing.std(1).max()


def test_rows_that_do_not_move_stay() -> None:
    own = np.full((3, 50), 7.0)
    assert_allclose(drawn(fit_autoregression(own), 20), 7.0)
    own[1] = np.random.default_rng(0).standard_normal(50)
    made = drawn(fit_autoregression(own), 400)
    assert_allclose(made[[0, 2]], 7.0, atol=1e-6)
    assert made[1].std() == pytest.approx(own[1].std(), rel=0.25)


def test_the_first_frame_is_as_any_other() -> None:
    process = fit_autoregression(known(2000))
    first = np.stack([drawn(process, 1, seed)[:, 0] for seed in range(3000)])
    scale = first.std(0)
    assert_allclose(first.mean(0), process.mean, atol=0.08 * scale.max())
    stationary = solve_discrete_lyapunov(
        process.transition, process.innovation @ process.innovation.T
    )
    expected = process.output @ stationary @ process.output.T
    assert_allclose(np.cov(first.T), expected, atol=0.1 * expected.max())


def test_what_is_drawn_does_not_depend_on_the_length_of_blocks() -> None:
    process = fit_autoregression(known(500))
    blocks = [
        np.concatenate(list(process.frames(np.random.default_rng(2), 700, length)), axis=1)
        for length in (1, 256)
    ]
    assert_allclose(blocks[0], blocks[1], atol=0)
