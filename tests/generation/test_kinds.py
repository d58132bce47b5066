"""A set of hits and textures: each recording is drawn by its kind."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from generation.test_bank import HOP, bank, clip
from generation.test_resample import RATE_HZ
from timbrel.contracts import TRACKS
from timbrel.generation.prior.bank import Bank
from timbrel.generation.prior.barycentre import BarycentrePrior
from timbrel.generation.prior.kinds import make_prior
from timbrel.generation.tracks import rows_of


def mixed_set() -> Bank:
    textures = [replace(clip(f"t{i}", frames=400, value=2.0 + i), event=False) for i in range(2)]
    return Bank((*bank(4).clips, *textures), TRACKS)


def prior():
    return make_prior("auto", mixed_set(), None, hop_samples=HOP, sample_rate_hz=RATE_HZ)


def test_every_recording_is_visited_once_and_hits_end() -> None:
    drawn = [prior().draw(seed) for seed in range(6)]
    names = [d.made_of[0][0] for d in drawn]
    assert sorted(names) == ["0", "1", "2", "3", "t0", "t1"]
    for name, draw in zip(names, drawn, strict=True):
        assert draw.ends == (not name.startswith("t"))
        assert {n.startswith("t") for n, _ in draw.made_of} == {name.startswith("t")}


def test_a_texture_is_as_long_as_it_is_asked_to_be() -> None:
    for seed in range(6):
        draw = prior().draw(seed, n_samples=900 * HOP)
        assert (draw.source.n_samples == 900 * HOP) != draw.ends


@pytest.mark.parametrize("kind", ["bank", "resample", "auto"])
def test_a_redraw_is_another_sound_of_the_same_recording(kind: str) -> None:
    made = make_prior(kind, mixed_set(), None, hop_samples=HOP, sample_rate_hz=RATE_HZ)
    for seed in range(4):
        first, again, other = (made.draw(seed, redraw=redraw) for redraw in (0, 0, 2))
        codes = [next(iter(d.source.blocks())).frames.numpy() for d in (first, again, other)]
        assert_array_equal(codes[0], codes[1])
        assert codes[0].shape != codes[2].shape or (codes[0] != codes[2]).any()
        assert first.made_of[0][0] == other.made_of[0][0]


def test_the_more_often_it_is_redrawn_the_less_a_sound_is_its_recording() -> None:
    made = BarycentrePrior(bank(8), hop_samples=HOP)
    for redraw in range(1, 9):
        weights = [made.draw(seed, redraw=redraw).made_of[0][1] for seed in range(40)]
        assert max(weights) == pytest.approx(max(0.5, 1 - 0.1 * redraw))
        assert min(weights) >= 0.5
    assert max(made.draw(seed).made_of[0][1] for seed in range(40)) > 0.95


def test_drawn_rows_are_finite_however_often() -> None:
    for redraw in (0, 8):
        for block in prior().draw(3, redraw=redraw).source.blocks():
            assert np.isfinite(rows_of(block).numpy()).all()
