"""Slider scores: exact on courses that are written down, nothing of what moves by itself."""

import numpy as np
import pytest

from signals import noise, sine
from timbrel.attributes.measurement import measure
from timbrel.metrics.sliders import AXES, PLACE, on_axes, pitched, slider_score, spreads

POSITIONS, ORIGIN = 9, 4
SPREAD = np.ones(len(AXES))
WAY = np.linspace(-0.5, 0.5, POSITIONS)


def still(anchors: int = 5) -> np.ndarray:
    """Unpitched sounds that have brightness, attack, decay and level, and do not move."""
    values = np.full((anchors, POSITIONS, len(AXES)), np.nan)
    for name in ("brightness", "attack", "decay", "level"):
        values[:, :, PLACE[name]] = np.arange(anchors)[:, None]
    return values


def moved(**courses) -> np.ndarray:
    values = still()
    for name, course in courses.items():
        values[:, :, PLACE[name]] = np.asarray(course)[None]
    return values


def score(values: np.ndarray, target: str = "brightness", **settings):
    rng = np.random.default_rng(0)
    return slider_score(values, target, SPREAD, settings.pop("origin", ORIGIN), rng, **settings)


def test_one_thing_all_the_way_is_a_perfect_slider() -> None:
    found = score(moved(brightness=WAY))
    assert (found.sdot, found.purity, found.purity_p25) == pytest.approx((1, 1, 1))
    assert (found.monotonicity, found.range, found.smoothness) == pytest.approx((1, 1, 1))
    assert (found.leak, found.leaks_to, found.n) == (0.0, "", 5)
    assert (found.low, found.high) == pytest.approx((1, 1))


@pytest.mark.parametrize(
    ("other", "purity"),
    [
        (WAY, 0.5),
        (-WAY, 0.5),
        (2 * np.abs(WAY), 0.5),  # there and back: a slope would say nothing
        (0.5 * WAY, 1 / 1.5),
        (3 * WAY, 0.25),
    ],
)
def test_what_else_moves_takes_from_purity(other: np.ndarray, purity: float) -> None:
    found = score(moved(brightness=WAY, decay=other))
    # The registry's noise of a measurement is taken from a leak's range.
    noise_of_range = 3.0 * AXES[PLACE["decay"]].noise
    leak = np.ptp(other) - noise_of_range
    assert found.purity == pytest.approx(1 / (1 + leak))
    assert found.purity == pytest.approx(purity, abs=0.1)
    assert found.sdot == pytest.approx(found.purity)
    assert found.leaks_to == "decay"


def test_half_the_way_is_half_a_slider_and_more_than_all_is_no_better() -> None:
    assert score(moved(brightness=0.5 * WAY)).sdot == pytest.approx(0.5)
    assert score(moved(brightness=7 * WAY)).sdot == pytest.approx(1.0)
    assert score(moved(brightness=7 * WAY)).range == 1.0


def test_backwards_is_nothing() -> None:
    found = score(moved(brightness=-WAY))
    assert found.monotonicity == pytest.approx(-1)
    assert found.sdot == 0.0


def test_all_in_one_step_is_not_smooth() -> None:
    step = np.where(np.arange(POSITIONS) < 4, -0.5, 0.5)
    assert score(moved(brightness=step)).smoothness == pytest.approx(0.0)


def test_an_attribute_that_is_lost_counts_as_a_spread() -> None:
    lost = np.full(POSITIONS, 1.0)
    lost[-2:] = np.nan
    found = score(moved(brightness=WAY, attack=lost))
    assert (found.leak, found.leaks_to) == (1.0, "attack")
    assert found.purity == pytest.approx(0.5)


def test_a_target_that_is_lost_half_way_has_gone_half_the_way() -> None:
    half = WAY.copy()
    half[-4:] = np.nan
    assert score(moved(brightness=half)).range == pytest.approx(5 / 9)
    half[2:] = np.nan
    assert score(moved(brightness=half), origin=0).sdot == 0.0


def test_anchors_without_the_target_are_left_out_and_without_another_axis_leak_nothing() -> None:
    values = moved(brightness=WAY, decay=WAY)
    values[:2, :, PLACE["brightness"]] = np.nan
    values[2:, :, PLACE["decay"]] = np.nan
    found = score(values)
    assert (found.n, found.leak, found.sdot) == (3, 0.0, pytest.approx(1.0))
    values[:, :, PLACE["brightness"]] = np.nan
    assert score(values).n == 0


def test_a_leak_counts_by_the_share_of_sounds_that_have_the_axis() -> None:
    values = moved(brightness=WAY)
    values[0, :, PLACE["hnr"]] = 2 * WAY
    found = score(values)
    leak = (2 - 3.0 * AXES[PLACE["hnr"]].noise) / 5
    assert (found.leak, found.leaks_to) == (pytest.approx(leak), "hnr")
    assert found.purity == pytest.approx(1 / (1 + leak))


def test_what_moves_by_itself_is_no_slider_and_no_leak() -> None:
    rng = np.random.default_rng(1)
    restless = rng.normal(0, 0.3, (2, 40, POSITIONS))
    values, takes = still(40), still(40)
    values[:, :, PLACE["attack"]] += restless[0]
    takes[:, :, PLACE["attack"]] += restless[1]
    assert score(values, "attack", null=takes).sdot < 0.02
    values[:, :, PLACE["brightness"]] += WAY
    assert score(values, null=takes).purity > 0.9
    assert score(values).purity < 0.6


def test_a_note_that_is_played_higher_is_not_brighter() -> None:
    values = moved(pitch=8 + WAY, brightness=10 + WAY)
    assert score(values, "pitch").sdot == pytest.approx(1.0)
    np.testing.assert_allclose(pitched(values)[:, :, PLACE["brightness"]], 2.0)
    values[:, 0, PLACE["pitch"]] = np.nan  # where a pitch is lost the centroid itself counts
    np.testing.assert_allclose(pitched(values)[0, :, PLACE["brightness"]], 10 + WAY)


def test_spreads_are_quartiles_and_at_least_audible() -> None:
    values = np.full((101, len(AXES)), np.nan)
    values[:, PLACE["brightness"]] = np.linspace(0, 4, 101)
    values[:, PLACE["level"]] = np.linspace(0, 1, 101)
    found = spreads(values)
    assert found[PLACE["brightness"]] == pytest.approx(2.0)
    assert found[PLACE["level"]] == 6.0
    assert found[PLACE["pitch"]] == 0.25


def test_a_sound_on_the_axes() -> None:
    tone = on_axes(measure(0.3 * sine(440.0, 1.0)[None].astype("f4"), 48_000))
    assert tone[PLACE["pitch"]] == pytest.approx(np.log2(440), abs=0.002)
    assert tone[PLACE["brightness"]] == pytest.approx(np.log2(440), abs=0.05)
    assert tone[PLACE["hnr"]] == 30.0
    assert np.isnan(tone[PLACE["width"]])
    assert np.isnan(tone[PLACE["onsets"]])  # of one
    hiss = on_axes(measure(0.1 * noise(1.0)[None].astype("f4"), 48_000))
    assert np.isnan(hiss[PLACE["pitch"]])
    assert np.isnan(hiss[PLACE["hnr"]])
