"""New sounds chosen by attributes: read from the tracks where they tell, measured where not."""

import numpy as np
import pytest
import torch

from signals import sine
from timbrel.contracts import Conditions, Latent
from timbrel.generation.prior.draw import Draw
from timbrel.generation.prior.steering import measured, nearest_first
from timbrel.generation.source import FixedSource

RATE_HZ, HOP = 48_000, 512


def draw(n_frames: int = 100, *, voiced: float = 1.0) -> Draw:
    """A level that falls by 1 dB per frame, a centroid that rises by 10 Hz; f0 in some frames."""
    ramp = torch.arange(n_frames, dtype=torch.float32)[None]
    conditions = Conditions(
        f0_hz=200.0 + ramp,
        confidence=(ramp < voiced * n_frames).float(),
        loudness_db=-ramp,
        centroid_hz=1000.0 + 10 * ramp,
    )
    latent = Latent(torch.zeros(1, 2, n_frames), torch.zeros(1, 0), conditions)
    return Draw(FixedSource(latent, hop_samples=HOP))


def never(_: Draw) -> np.ndarray:
    raise AssertionError("decoded")


def found(names: tuple[str, ...], drawn: Draw, hear=never) -> dict[str, float | None]:
    return measured(drawn, names, hear, rate_hz=RATE_HZ, hop_samples=HOP)


def test_the_tracks_tell_as_a_clip_is_measured() -> None:
    # The frames within 40 dB of the loudest: 0 to 39.
    assert found(("centroid_hz",), draw()) == {"centroid_hz": pytest.approx(1195.0)}
    assert found(("f0_hz",), draw()) == {"f0_hz": pytest.approx(219.5)}
    assert found(("f0_hz",), draw(voiced=0.1)) == {"f0_hz": pytest.approx(204.5)}
    assert found(("f0_hz",), draw(voiced=0.03)) == {"f0_hz": None}


def test_what_they_do_not_tell_is_measured_of_the_sound() -> None:
    heard = found(("centroid_hz", "flatness"), draw(), lambda _: sine(440.0, 0.5)[None])
    assert heard["centroid_hz"] == pytest.approx(1195.0)
    assert heard["flatness"] < 0.01


def test_two_attributes_count_by_their_spread() -> None:
    values = [
        {"centroid_hz": 1000.0, "onsets_per_s": 10.0},
        {"centroid_hz": 4000.0, "onsets_per_s": 1.0},
        {"centroid_hz": 1100.0, "onsets_per_s": 1.5},
        {"centroid_hz": 1000.0, "onsets_per_s": None},
    ]
    order = nearest_first({"centroid_hz": 1000.0, "onsets_per_s": 1.0}, values)
    assert order[0] == 2
    assert order[-1] == 3
