"""The tracks that a decoder gets of a sound."""

import numpy as np

import signals
from timbrel.data.chunks.conditions import measured_conditions

RATE_HZ = 48_000


def test_the_tracks_of_a_note_are_open_to_its_end() -> None:
    seconds = np.arange(2 * RATE_HZ) / RATE_HZ
    note = 10 ** (-60 * seconds / 20) * signals.sine(220.0, 2.0)  # falls by 120 dB
    found = measured_conditions(
        note.astype(np.float32)[None],
        tracks=("f0_hz", "confidence", "centroid_hz"),
        rate_hz=RATE_HZ,
        hop_samples=480,
    )
    assert (found.confidence[0, 2:130] == 1).all()
    assert (1200 * (found.f0_hz[0] / 220.0).log2()).abs().max() < 2
    assert (found.confidence[0, 137:] == 0).all()
