"""Noise is brought down to the ratio that a track asks for, and never up: exact powers."""

import pytest
import torch

from timbrel.contracts import Conditions
from timbrel.models.noisiness_correction import above_f0, quietened, with_breath


def powers(hnr_db: float, confidence: float, tonal: float = 4.0, rest: float = 1.0):
    frame = torch.ones(1, 1, dtype=torch.float64)
    up, down = quietened(
        tonal * frame, rest * frame, hnr_db=hnr_db * frame, confidence=confidence * frame
    )
    return float(tonal * up**2), float(rest * down**2)


@pytest.mark.parametrize("hnr_db", [6.1, 10.0, 30.0])
def test_the_ratio_is_that_of_the_track_and_the_sum_stays(hnr_db: float) -> None:
    tonal, rest = powers(hnr_db, 1.0)
    assert tonal / rest == pytest.approx(10 ** (hnr_db / 10))
    assert tonal + rest == pytest.approx(5.0)


@pytest.mark.parametrize("hnr_db", [-15.0, 0.0, 6.0])
def test_what_stands_out_by_more_stays(hnr_db: float) -> None:
    assert powers(hnr_db, 1.0) == pytest.approx((4.0, 1.0))


def test_without_a_pitch_nothing_is_changed_and_half_way_half_of_the_decibels() -> None:
    assert powers(30.0, 0.0) == pytest.approx((4.0, 1.0))
    tonal, rest = powers(10.0, 0.5)
    assert tonal / rest == pytest.approx((4.0 * 10.0) ** 0.5)


def test_what_is_silent_stays_so() -> None:
    assert powers(20.0, 1.0, tonal=0.0, rest=0.0) == (0.0, 0.0)
    nothing_tonal = powers(20.0, 1.0, tonal=0.0, rest=1.0)
    assert nothing_tonal == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize(("balance_db", "confidence"), [(-12.0, 1.0), (-12.0, 0.5), (0.0, 1.0)])
def test_noise_of_a_tones_colour_has_the_power_that_is_missing(
    balance_db: float, confidence: float
) -> None:
    frame = torch.ones(1, 1, dtype=torch.float64)
    given = Conditions(
        hnr_db=(20.0 + balance_db) * frame,
        balance_db=balance_db * frame,
        confidence=confidence * frame,
    )
    envelope = torch.tensor([[[9.0, 2.0, 1.0, 1.0]]], dtype=torch.float64)
    above = torch.tensor([[[0.0, 1.0, 1.0, 1.0]]], dtype=torch.float64)
    learned = torch.full_like(envelope, 0.01)
    made = with_breath(learned, envelope, 100.0 * frame, given, above_f0=above, share=0.25)
    added = made.square() - learned.square()
    missing = 100.0 * (10 ** -((20.0 + balance_db) / 10) - 10**-2.0)
    assert float(0.25 * added.sum()) == pytest.approx(confidence * missing, abs=1e-12)
    assert float(added[0, 0, 0]) == pytest.approx(0.0, abs=1e-12)  # below f0 there is none
    assert float(added[0, 0, 1]) == pytest.approx(4.0 * float(added[0, 0, 2]))


def test_noise_is_added_from_half_of_f0_on_and_in_full_from_f0() -> None:
    shares = above_f0(torch.tensor([[100.0]]), 25.0, 6)
    assert shares[0, 0].tolist() == [0.0, 0.0, 0.0, 0.5, 1.0, 1.0]
