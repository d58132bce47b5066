"""Candidates of sliders: learned directions on planted codes, and where a way ends."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from bundles import small_model
from timbrel.analysis.slider_candidates import (
    Candidate,
    Codes,
    Profile,
    directions,
    random_directions,
)
from timbrel.analysis.slider_choice import POSITIONS, chosen, safe_positions, screened, values_of
from timbrel.analysis.slider_jacobian import direction_along, responses_to
from timbrel.analysis.sparse_code import sparse_code
from timbrel.contracts import Latent
from timbrel.generation.controls.apply import Playable, playable
from timbrel.generation.controls.shaped import COURSES
from timbrel.metrics.sliders import AXES, PLACE

SPREAD = np.ones(len(AXES))
QUICK = Profile("quick", 60, 1, 1, components=0, learned=False)


@pytest.fixture(scope="module")
def sound() -> Playable:
    model, _ = small_model()
    model.decoder.magnitude.bias -= 6.0
    frames = torch.randn(1, 6, 40, generator=torch.Generator().manual_seed(1))
    return playable(model, Latent(frames, torch.zeros(1, 0)))


def test_a_sparse_code_finds_what_is_seldom_on() -> None:
    rng = np.random.default_rng(0)
    sources = rng.exponential(size=(600, 6)) * (rng.random((600, 6)) < 0.15)
    mixed = sources @ np.linalg.qr(rng.standard_normal((6, 6)))[0]
    found = sparse_code(mixed, seed=3)
    units = found.units(mixed)
    near = np.abs(np.corrcoef(units.T, sources.T)[:12, 12:])
    assert np.nan_to_num(near).max(0).min() > 0.9
    left = mixed - found.mean - units @ found.directions
    assert np.square(left).sum() < 0.1 * np.square(mixed - mixed.mean(0)).sum()
    assert 0 < found.alive <= 1
    assert_array_equal(sparse_code(mixed, seed=3).encoder, found.encoder)


def test_a_direction_moves_its_axis_and_no_other() -> None:
    components = np.eye(3)
    responses = np.zeros((2, len(COURSES), 3, len(AXES)))
    responses[:, 0, 0, PLACE["brightness"]] = 2.0
    responses[:, 0, 1, [PLACE["brightness"], PLACE["hnr"]]] = 2.0
    responses[:, 1, 2, PLACE["attack"]] = 1.0
    responses[..., PLACE["pitch"]] = np.nan  # no anchor has one
    direction = direction_along(responses, components, "hnr")
    moves = np.einsum("jk,jka->a", direction, responses[0])
    assert moves[PLACE["hnr"]] > 1.2
    assert abs(moves[PLACE["brightness"]]) < 0.05 * moves[PLACE["hnr"]]
    assert np.linalg.norm(direction) == pytest.approx(1.0)
    in_time = direction_along(responses, components, "attack")
    assert_allclose(in_time, [[0, 0, 0], [0, 0, 1]], atol=1e-9)
    assert direction_along(responses, components, "pitch") is None
    assert direction_along(responses, components, "width") is None


def test_responses_are_of_what_is_moved(sound: Playable) -> None:
    components = np.stack([np.zeros(6), np.full(6, 0.5)])
    found = responses_to([sound], components, SPREAD)
    assert found.shape == (1, len(COURSES), 2, len(AXES))
    assert_array_equal(found[0, :, 0, PLACE["brightness"]], 0.0)
    assert np.abs(found[0, :, 1, PLACE["brightness"]]).min() > 1e-3


def test_a_unit_that_follows_an_attribute_is_a_candidate() -> None:
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((50, 4)) * [1.0, 2.0, 3.0, 4.0]
    codes = Codes(frames[:10], frames, {"log_f0_octaves": 0, "clip_width": 3})
    values = np.zeros((10, len(AXES)))
    first, second = directions(values, codes, [], SPREAD, QUICK, 0)
    assert (first.name, second.name) == ("ar_log_f0_octaves", "ar_clip_width")
    assert_allclose(first.direction, [frames[:, 0].std(), 0, 0, 0])
    assert_allclose(second.direction, [0, 0, 0, frames[:, 3].std()])
    assert len(random_directions(codes, 7, 0)) == 7


def test_a_way_ends_where_sounds_break_or_lose_their_pitch() -> None:
    values = np.zeros((4, POSITIONS, len(AXES)))
    assert safe_positions(values, 4) == (0, 8)
    values[0, 7:] = np.nan  # a quarter of the anchors may
    assert safe_positions(values, 4) == (0, 8)
    values[1, 8, PLACE["pitch"]] = np.nan
    values[1:3, :2, PLACE["attack"]] = np.nan  # no pitch, and not all: no break
    assert safe_positions(values, 4) == (0, 7)
    values[:2, 1] = np.nan
    assert safe_positions(values, 4) == (2, 7)


def test_a_slider_ends_before_its_sounds_are_broken(sound: Playable) -> None:
    step = np.full(6, 1.0)
    candidate = Candidate("far", 1.0, step)
    way = np.array([-4, -3, -2, -1, 0, 1, 2, 3, 3e38])
    values = values_of([sound], {"far": way}, candidate.directions)
    assert np.isnan(values[0, 8]).all()
    assert np.isfinite(values[0, :8, PLACE["brightness"]]).all()
    values[0, :, PLACE["brightness"]] = np.arange(POSITIONS)
    moved = {"far": values, "nothing": values[:, 4:5].repeat(POSITIONS, axis=1)}
    assert chosen("brightness", [candidate], moved, SPREAD, 0).part.max() <= 7


def test_what_is_best_at_both_ends_is_kept(sound: Playable) -> None:
    still = Candidate("still", 1.0, np.zeros(6))
    one, other = (Candidate(f"d{i}", 2.0, np.eye(6)[i]) for i in range(2))
    takes = np.tile(values_of([sound], {"d0": np.zeros(1)}, one.directions), (1, POSITIONS, 1))
    kept, values = screened([still, one, other], [sound], {"nothing": takes}, SPREAD, 0)
    assert set(values) == {"still", "d0", "d1"}
    assert kept
    assert still not in kept
    assert_array_equal(values["still"][0, 0], values["still"][0, 1])


def test_what_moves_every_sound_is_chosen_before_what_moves_most_of_them_farther() -> None:
    """Of ten sounds four have no attack that a warp could move; the ramp moves all of them."""
    way = np.linspace(-0.5, 0.5, POSITIONS)
    still = np.zeros((10, POSITIONS, len(AXES)))
    warped, ramped = still.copy(), still.copy()
    warped[:6, :, PLACE["attack"]] = 2 * way
    ramped[:, :, PLACE["attack"]] = 0.8 * way
    moved = {"nothing": still, "attack_warp": warped, "attack_ramp": ramped}
    candidates = [Candidate(name, 1.0) for name in ("attack_warp", "attack_ramp")]
    best = [chosen("attack", [one], moved, SPREAD, 0) for one in candidates]
    assert best[0] is not None
    assert best[1] is not None
    assert best[0].score.sdot > best[1].score.sdot
    assert (best[0].merit, best[1].merit) == (0.0, pytest.approx(best[1].score.sdot))
    choice = chosen("attack", candidates, moved, SPREAD, 0)
    assert choice is not None
    assert choice.candidate.name == "attack_ramp"
