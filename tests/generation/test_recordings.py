"""How near a new sound is to a recording: a copy is at 0, another sound of the kind at about 1."""

from pathlib import Path

import numpy as np
import pytest

from signals import noise, sine
from timbrel.generation.prior.recordings import load_recordings, recordings_of

RATE_HZ = 48_000


def hit(number: int) -> np.ndarray:
    t = np.arange(RATE_HZ // 2) / RATE_HZ
    return (0.5 * sine(110.0 * 1.5**number, 0.5) * 10 ** (-(4 + number) * t))[None].astype("f4")


def known(held_out: int = 4, *, count: int = 5):
    training = [(f"{i}.wav", hit(i)) for i in range(count)]
    return recordings_of(training, [hit(i + 0.4) for i in range(held_out)], RATE_HZ, events=True)


def test_a_copy_is_at_nothing_at_any_level_and_delay() -> None:
    late = np.pad(0.1 * hit(2), ((0, 0), (4800, 0)))
    nearest = known().nearest(late)
    assert nearest.name == "2.wav"
    assert nearest.share < 0.05


def test_what_was_held_out_is_at_about_one() -> None:
    shares = [known().nearest(hit(i + 0.4)).share for i in range(4)]
    assert np.median(shares) == pytest.approx(1.0, abs=1e-6)
    assert known().nearest(noise(0.5)[None].astype("f4")).share > 1.2


def test_where_few_are_held_out_the_recordings_distance_to_each_other_counts() -> None:
    nearest_other = []
    for i in range(5):
        others = [(f"{j}", hit(j)) for j in range(5) if j != i]
        of_one = recordings_of(others, [hit(i)] * 3, RATE_HZ, events=True)
        nearest_other.append(of_one.typical_db)
    assert known(2).typical_db == pytest.approx(np.median(nearest_other))
    assert known(0, count=1) is None
    twins = [("a", hit(1)), ("b", hit(1))]
    assert recordings_of(twins, [], RATE_HZ, events=True) is None


def test_a_piece_of_a_texture_is_found_wherever_it_lies() -> None:
    swell = 1 + np.sin(np.arange(6 * RATE_HZ) / 3000)
    texture = (noise(6.0, seed=3) * swell)[None].astype("f4")
    training = [("t", texture), ("u", noise(6.0, seed=4)[None].astype("f4"))]
    recordings = recordings_of(training, [], RATE_HZ, events=False)
    piece = texture[:, 150_016 : 150_016 + 2 * RATE_HZ].astype("f4")
    assert recordings.nearest(piece).name == "t"
    assert recordings.nearest(piece).share < 0.2


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    recordings = known()
    again = load_recordings(tmp_path, recordings.save(tmp_path))
    assert again.nearest(hit(1.2)) == recordings.nearest(hit(1.2))
    record = recordings.save(tmp_path)
    (tmp_path / "recordings.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(ValueError, match=r"recordings\.safetensors"):
        load_recordings(tmp_path, record)
