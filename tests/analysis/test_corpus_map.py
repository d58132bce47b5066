"""The map places sounds on the plane in which the recordings differ most."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from timbrel.analysis.corpus_map import NEW, Placed, excerpt_of, principal_plane, write_map
from timbrel.metrics.sliders import AXES
from timbrel.runs.folder import read_table


def test_the_plane_is_that_of_most_variance_with_its_shares() -> None:
    """Units of variance 4, 1 and 0.01, independent and turned into one another."""
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    own = rng.standard_normal((50, 3))
    own = np.linalg.qr(own - own.mean(0))[0] * [2.0, 1.0, 0.1]  # uncorrelated columns, mean 0
    places, shares = principal_plane(own @ turn, own @ turn)
    assert shares == pytest.approx((4 / 5.01, 1 / 5.01))
    assert np.abs(places) == pytest.approx(np.abs(own[:, :2]), abs=1e-9)
    # A sound that is no part of the reference is placed by the same plane.
    apart, _ = principal_plane(own @ turn, (own @ turn)[:1] + 3 * turn[:1])
    assert np.abs(apart[0] - places[0]) == pytest.approx([3.0, 0.0], abs=1e-9)


@pytest.mark.parametrize("codes", [np.zeros((4, 3)), np.ones((1, 3)), np.arange(4.0)[:, None]])
def test_a_code_that_spans_no_plane_has_a_place_all_the_same(codes) -> None:
    places, shares = principal_plane(codes, codes)
    assert np.isfinite(places).all()
    assert not places[:, 1].any()
    assert sum(shares) == (1.0 if codes.shape[1] == 1 else 0.0)


def test_a_second_is_kept_from_where_the_sound_begins() -> None:
    tone = np.cos(2 * np.pi * 440 * np.arange(96_000) / 48_000).astype(np.float32)
    sound = np.concatenate([np.zeros(24_000, np.float32), tone])
    kept, rate_hz = excerpt_of(np.stack([sound, sound]), 48_000)
    assert (kept.shape, rate_hz) == ((1, 24_000), 24_000)
    assert np.abs(kept[0, 1000:-1000] - tone[2000:46_000:2]).max() < 2e-3
    silent, _ = excerpt_of(np.zeros((1, 480), np.float32), 48_000)
    assert silent.shape == (1, 240)


def test_tables_and_sounds_are_written_row_by_row(tmp_path: Path) -> None:
    values = np.arange(len(AXES), dtype=float)
    sounds = [
        Placed("train", "a.wav", np.array([1.0, 0.0]), values, np.full((1, 9), 0.25), 24_000),
        Placed("test", "b.wav", np.array([-1.0, 0.0]), values * np.nan, np.zeros((1, 9)), 24_000),
        Placed(NEW, "seed 3", np.array([0.0, 0.0]), values, np.zeros((1, 9)), 24_000),
    ]
    write_map(tmp_path, sounds, np.stack([sounds[0].code, sounds[1].code]))
    rows = read_table(tmp_path / "map.csv", ("x", "y", "pitch"))
    assert [(row["kind"], row["name"], row["x"], row["y"]) for row in rows] == [
        ("train", "a.wav", 1.0, 0.0),
        ("test", "b.wav", -1.0, 0.0),
        ("new", "seed 3", 0.0, 0.0),
    ]
    assert rows[0]["pitch"] == 1.0
    assert np.isnan(rows[1]["pitch"])
    assert soundfile.read(tmp_path / rows[0]["sound"])[0].tolist() == [0.25] * 9
    shares = read_table(tmp_path / "map_axes.csv", ("share",))
    assert [(row["axis"], row["share"]) for row in shares] == [("x", 1.0), ("y", 0.0)]
