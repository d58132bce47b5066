"""One frame per clip, and the rows of earlier steps."""

import torch

from losses.latent.codes import rng
from timbrel.contracts import Latent
from timbrel.losses.latent.rows import PastRows, at_frames, draw_frames, one_row_per_clip


def numbered(n: int, width: int, frames: int) -> Latent:
    """Every value tells its clip (hundreds), dimension (tens) and frame (ones)."""
    clip = torch.arange(n)[:, None, None] * 100.0
    dimension, frame = torch.arange(width)[:, None] * 10.0, torch.arange(frames) * 1.0
    return Latent(clip + dimension + frame, -1.0 - torch.arange(n)[:, None])


def test_a_row_is_one_frame_of_one_clip_beside_its_clip_code() -> None:
    rows = one_row_per_clip(numbered(4, 3, 10), rng())
    assert rows.shape == (4, 4)
    for clip, row in enumerate(rows):
        frame = row[0] - 100 * clip
        assert frame in range(10)
        assert row.tolist() == [100 * clip + frame + d for d in (0, 10, 20)] + [-1.0 - clip]


def test_every_frame_is_as_likely_and_clips_are_drawn_apart() -> None:
    code = numbered(2000, 1, 4)
    drawn = draw_frames(code, rng())
    assert (torch.bincount(drawn) - 500).abs().max() < 70  # 3.6 standard deviations
    assert torch.equal(drawn, draw_frames(code, rng()))
    assert not torch.equal(drawn, draw_frames(code, rng(1)))


def test_only_allowed_frames_are_drawn_where_there_are_any() -> None:
    code = numbered(300, 1, 5)
    allowed = torch.zeros(300, 5, dtype=torch.bool)
    allowed[:200, 3] = True
    drawn = draw_frames(code, rng(), allowed)
    assert (drawn[:200] == 3).all()
    assert len(drawn[200:].unique()) == 5
    assert at_frames(code.frames, drawn)[0, 0] == 3.0


def test_the_past_is_the_latest_rows_without_a_graph() -> None:
    past = PastRows(rows=5, width=1)
    assert past.rows().shape == (0, 1)
    for first in (0.0, 2.0, 4.0):
        past.add(torch.tensor([[first], [first + 1]], requires_grad=True) * 1.0)
    assert past.rows().flatten().tolist() == [4.0, 5.0, 2.0, 3.0, 0.0]
    assert not past.rows().requires_grad
    past.add(torch.arange(7.0)[:, None])
    assert past.rows().flatten().tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_the_past_travels_in_the_state() -> None:
    past, other = PastRows(rows=3, width=2), PastRows(rows=3, width=2)
    past.add(torch.ones(2, 2))
    other.load_state_dict(past.state_dict())
    assert torch.equal(other.rows(), torch.ones(2, 2))


def test_no_queue_remembers_nothing() -> None:
    none = PastRows(rows=0, width=2)
    none.add(torch.ones(4, 2))
    assert none.rows().shape == (0, 2)
