"""What the blocks of a decoder see: exact values, in the order of the tracks."""

import pytest
import torch

from timbrel.contracts import TRACKS, Conditions, Latent
from timbrel.models.seen import code_and_tracks

TONE = {
    "f0_hz": 800.0,
    "confidence": 0.5,
    "loudness_db": -30.0,
    "centroid_hz": 8000.0,
    "hnr_db": 10.0,
}
SEEN = [0.5 * 2 / 3, 0.5, 0.5, 1.0, 0.5]  # two octaves above 200 Hz, three above 1 kHz


def tone(**tracks: float) -> Latent:
    given = {name: torch.tensor([[value]]) for name, value in {**TONE, **tracks}.items()}
    return Latent(torch.tensor([[[7.0]]]), torch.tensor([[9.0]]), Conditions(**given))


@pytest.mark.parametrize("count", [3, 4, 5])
def test_the_code_then_the_tracks_that_are_named(count: int) -> None:
    found = code_and_tracks(tone(), TRACKS[:count])
    assert found.flatten().tolist() == pytest.approx([7.0, 9.0, *SEEN[:count]])


def test_what_is_far_out_counts_as_the_end() -> None:
    found = code_and_tracks(
        tone(f0_hz=1.0, confidence=1.0, loudness_db=-200.0, centroid_hz=0.0), TRACKS, lowest_hz=25.0
    )
    assert found.flatten().tolist() == pytest.approx([7.0, 9.0, -1.0, 1.0, -1.0, -2.0, 0.5])
