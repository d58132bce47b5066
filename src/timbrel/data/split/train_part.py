"""A train part made smaller or larger than the split has it; validation and test stay."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from timbrel.data.cache.store import Clip
from timbrel.data.split.lists import some
from timbrel.data.split.parts import Segment, Split, TooFewError, hash_position


def draw_train_files(split: Split, count: int, *, seed: int) -> Split:
    """`split` with `count` recordings in its train part, drawn by seed and content.

    The 5 of a seed are among its 10, and a recording added later takes the place of at most one.
    Equal contents count as one. Raises `TooFewError` where there are fewer.
    """
    contents = {segment.clip.content_hash for segment in split.train}
    if count > len(contents):
        raise TooFewError(
            f"data.train_files={count}: only {len(contents)} recording(s) train, beside "
            f"{len(split.validation)} for validation and {len(split.test)} for test, which do not "
            f"count; ask for at most {len(contents)}, or add recordings"
        )
    in_order = sorted(contents, key=lambda content: hash_position(content, seed, "train"))
    drawn = set(in_order[:count])
    train = tuple(segment for segment in split.train if segment.clip.content_hash in drawn)
    names = some(dict.fromkeys(segment.clip.name for segment in train))
    note = f"data.train_files={count} of {len(contents)}: seed {seed} draws {names}"
    return replace(split, train=train, notes=(*split.notes, note))


def with_further(split: Split, clips: Sequence[Clip], lists: Path) -> Split:
    """`split`, which follows `lists`, with all of `clips` in its train part."""
    segments = [*split.train, *(Segment(clip, 0, clip.n_samples) for clip in clips)]
    note = (
        f"the lists of {lists.name!r} apply to data.root only: all {len(clips)} recording(s) "
        "of data.also are used for training"
    )
    train = tuple(sorted(segments, key=lambda segment: segment.clip.clip_id))
    return replace(split, train=train, notes=(*split.notes, note))
