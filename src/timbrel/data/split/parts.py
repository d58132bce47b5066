"""Train, validation and test: by file, from content hash and seed; by time below 5 recordings.

Validation selects (checkpoints, stops, sweep winners), test only reports. A recording's part
follows from its own hash position, a number in [0, 1) drawn from its content and the seed, and
two thresholds: recordings added later move no earlier one. Equal contents share a position, and
so a part. "Recording" below means one content, in however many files.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from timbrel.config.bounds import refuse, value_problems
from timbrel.config.schema import DataConfig
from timbrel.config.values import split_problems
from timbrel.data.cache.store import Clip
from timbrel.data.split.lists import PARTS, read_lists, some
from timbrel.errors import UserError

FEWEST_BY_FILE = 5
FOLDS_WORTH_IT = 20


class TooFewError(UserError):
    """Too few recordings, or too short ones, for what is asked."""


@dataclass(frozen=True)
class Segment:
    """The samples `start_sample` to `stop_sample` (exclusive) of a clip, often all of it."""

    clip: Clip
    start_sample: int
    stop_sample: int

    @property
    def n_samples(self) -> int:
        """The length in samples per channel."""
        return self.stop_sample - self.start_sample

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its clip."""
        return self.n_samples == self.clip.n_samples

    @property
    def label(self) -> str:
        """The clip's name, with the times in s where the segment is a piece of it.

        The pieces of one recording are told apart by it.
        """
        if self.is_whole:
            return self.clip.name
        start_s, stop_s = (x / self.clip.rate_hz for x in (self.start_sample, self.stop_sample))
        return f"{self.clip.name} [{start_s:.3f}-{stop_s:.3f} s]"

    def samples(self) -> NDArray[np.float32]:
        """The samples `(channel, time)`, float32, as an array of their own.

        Raises `UserError` as `Clip.open`.
        """
        return np.array(self.clip.open()[:, self.start_sample : self.stop_sample], order="C")


@dataclass(frozen=True)
class Split:
    """Three parts that share no content and no time, and what the user should know of them."""

    train: tuple[Segment, ...]
    validation: tuple[Segment, ...]
    test: tuple[Segment, ...]
    notes: tuple[str, ...] = ()

    def parts(self) -> dict[str, tuple[Segment, ...]]:
        """The parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True)
class SplitPlan:
    """How to split.

    `validation_fraction` and `test_fraction` are shares of the recordings (of the time, below
    5 recordings); 0 leaves a part empty. `folds` of at least 3 asks for cross-fitting by file:
    fold `fold` is the test part, the next one validation. `split_file` names explicit lists,
    see `timbrel.data.split.lists`; `split_theme` is their theme, by default the name of the data
    folder. Parts of one recording are kept `guard_samples` apart, which should be the model's
    receptive field, and are at least `segment_samples` long.
    """

    seed: int = 0
    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    folds: int | None = None
    fold: int = 0
    split_file: Path | None = None
    split_theme: str | None = None
    guard_samples: int = 65_536
    segment_samples: int = 4096

    def __post_init__(self) -> None:
        names = ("validation_fraction", "test_fraction", "folds", "fold")
        values = {name: getattr(self, name) for name in names}
        refuse(chain(value_problems(DataConfig, "data.", **values), split_problems(self)))


def split_clips(clips: Sequence[Clip], plan: SplitPlan, *, folder: str = "") -> Split:
    """The parts of `clips`; `folder` is the name of the data folder.

    Explicit lists come first, then folds, then (from 5 recordings) hash thresholds, else time
    segments. Raises `UserError` where no clip is given, where the lists do not fit the clips,
    and where the recordings are too few or too short for what is asked.
    """
    if not clips:
        raise TooFewError("no recording to train on; add recordings")
    if plan.split_file is not None:
        return _split_by_lists(clips, plan, plan.split_file, folder)
    recordings = _recordings(clips, plan.seed)
    if plan.folds is not None:
        return _split_by_folds(recordings, plan, plan.folds)
    if len(recordings) < FEWEST_BY_FILE:
        return _split_by_time(recordings, plan, test_fraction=plan.test_fraction)
    split = _split_by_threshold(recordings, plan)
    if len(recordings) < FOLDS_WORTH_IT:
        note = (
            f"{len(recordings)} recordings: a test part this small says little; cross-fitting "
            f"(data.folds=5 data.fold=0...4) reports on every recording"
        )
        return Split(split.train, split.validation, split.test, (*split.notes, note))
    return split


def data_hash(split: Split) -> str:
    """32 hexadecimal digits over the contents and their assignment, whatever the file names."""
    lines = sorted(
        f"{part} {segment.clip.content_hash} {segment.clip.rate_hz} {segment.clip.channels} "
        f"{segment.start_sample} {segment.stop_sample}"
        for part, segments in split.parts().items()
        for segment in segments
    )
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def hash_position(content_hash: str, seed: int, purpose: str = "split") -> float:
    """Where a content stands in [0, 1): uniform over contents, drawn anew by seed and purpose."""
    digest = hashlib.blake2b(f"{purpose}/{seed}/{content_hash}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) / 2**53


@dataclass(frozen=True)
class _Recording:
    """One content: its hash position and the clips that hold it."""

    position: float
    clips: tuple[Clip, ...]

    @property
    def name(self) -> str:
        return self.clips[0].name

    @property
    def n_samples(self) -> int:
        return self.clips[0].n_samples

    def whole(self) -> tuple[Segment, ...]:
        return tuple(Segment(clip, 0, clip.n_samples) for clip in self.clips)

    def segment(self, start: int, stop: int) -> tuple[Segment, ...]:
        return tuple(Segment(clip, start, stop) for clip in self.clips)


def _recordings(clips: Sequence[Clip], seed: int) -> list[_Recording]:
    """The distinct contents in order of their hash positions."""
    by_content: dict[str, list[Clip]] = {}
    for clip in clips:
        by_content.setdefault(clip.content_hash, []).append(clip)
    return sorted(
        (
            _Recording(hash_position(content, seed), tuple(members))
            for content, members in by_content.items()
        ),
        key=lambda recording: recording.position,
    )


def _whole(recordings: Sequence[_Recording]) -> tuple[Segment, ...]:
    segments = [segment for recording in recordings for segment in recording.whole()]
    return tuple(sorted(segments, key=lambda segment: segment.clip.clip_id))


def _split_by_threshold(recordings: Sequence[_Recording], plan: SplitPlan) -> Split:
    """Positions run test, validation, train; an empty part takes its neighbour by position."""
    below = plan.test_fraction, plan.test_fraction + plan.validation_fraction
    by_threshold = [
        "test" if r.position < below[0] else "validation" if r.position < below[1] else "train"
        for r in recordings
    ]
    n = len(recordings)
    n_test = max(by_threshold.count("test"), int(plan.test_fraction > 0))
    n_validation = max(by_threshold[n_test:].count("validation"), int(plan.validation_fraction > 0))
    if n_test + n_validation >= n:  # shares near 1: the last position trains all the same
        n_test = min(n_test, n - 1 - int(plan.validation_fraction > 0))
        n_validation = n - 1 - n_test
    assigned = (
        ["test"] * n_test + ["validation"] * n_validation + ["train"] * (n - n_test - n_validation)
    )
    notes = tuple(
        f"{recording.name!r} was taken for the {part} part, which was empty; recordings added "
        f"later may take its place"
        for recording, part, before in zip(recordings, assigned, by_threshold, strict=True)
        if part != before
    )
    chosen = list(zip(assigned, recordings, strict=True))
    return _assemble(
        {name: _whole([r for part, r in chosen if part == name]) for name in PARTS}, notes
    )


def _split_by_folds(recordings: Sequence[_Recording], plan: SplitPlan, folds: int) -> Split:
    """Rank in hash order modulo the number of folds; the next fold is validation."""
    if folds > len(recordings):
        raise TooFewError(
            f"data.folds={folds}, but only {len(recordings)} recordings of different content; "
            f"give at most as many folds as recordings"
        )
    names = {plan.fold: "test", (plan.fold + 1) % folds: "validation"}
    ranked = [(names.get(rank % folds, "train"), r) for rank, r in enumerate(recordings)]
    return _assemble(
        {name: _whole([r for part, r in ranked if part == name]) for name in PARTS},
        (f"cross-fitting: fold {plan.fold} of {folds} is the test part",),
    )


def _split_by_time(
    recordings: Sequence[_Recording], plan: SplitPlan, *, test_fraction: float
) -> Split:
    """A piece of every recording for each part; recordings too short for that train whole."""
    parts: dict[str, list[Segment]] = {name: [] for name in PARTS}
    too_short = []
    for recording in recordings:
        pieces = _pieces(recording, plan, test_fraction)
        if len(pieces) == 1:
            too_short.append(recording)
        for part, (start, stop) in pieces.items():
            parts[part] += recording.segment(start, stop)
    held_out = int(plan.validation_fraction > 0) + int(test_fraction > 0)
    if not held_out:
        return _assemble(parts, ())
    if len(too_short) == len(recordings):
        longest = max(recordings, key=lambda recording: recording.n_samples)
        needed = held_out * plan.guard_samples + (held_out + 1) * plan.segment_samples
        by_file = ", set data.folds=3 to hold out whole recordings" if len(recordings) > 2 else ""
        raise TooFewError(
            f"{_recordings_are(len(recordings))} too few to hold out whole ones (that begins at "
            f"{FEWEST_BY_FILE}) and too short to hold out pieces: the longest, {longest.name!r}, "
            f"has {longest.n_samples} samples, and {needed} are needed ({held_out} gap(s) of "
            f"{plan.guard_samples}, the model's receptive field, and {held_out + 1} pieces of "
            f"{plan.segment_samples}); add recordings{by_file}, or train on all there is: "
            f"data.validation_fraction=0 data.test_fraction=0"
        )
    notes = [
        f"{len(recordings)} recording{'s' * (len(recordings) > 1)}, fewer than {FEWEST_BY_FILE}: "
        f"pieces of each are held out, {plan.guard_samples} samples from what trains; scores say "
        f"little about other recordings"
    ]
    notes += [
        f"{r.name!r} is too short to hold out a piece of it: all of it trains" for r in too_short
    ]
    return _assemble(parts, notes)


def _recordings_are(count: int) -> str:
    return "1 recording is" if count == 1 else f"{count} recordings are"


def _pieces(
    recording: _Recording, plan: SplitPlan, test_fraction: float
) -> dict[str, tuple[int, int]]:
    """Start and stop of each part: held-out pieces at the ends, gaps, training in the middle.

    Only training where the recording is too short. A bit of the hash position decides which end
    tests, so that not all test pieces are endings.
    """
    shares = {"validation": plan.validation_fraction, "test": test_fraction}
    asked = {part: share for part, share in shares.items() if share > 0}
    usable = recording.n_samples - len(asked) * plan.guard_samples
    lengths = {
        part: max(round(share * usable), plan.segment_samples) for part, share in asked.items()
    }
    if not asked or usable - sum(lengths.values()) < plan.segment_samples:
        return {"train": (0, recording.n_samples)}
    mirrored = int(recording.position * 2**20) % 2 == 1
    first, last = ("test", "validation") if mirrored else ("validation", "test")
    pieces = {}
    start, stop = 0, recording.n_samples
    if first in lengths:
        pieces[first] = (0, lengths[first])
        start = lengths[first] + plan.guard_samples
    if last in lengths:
        pieces[last] = (stop - lengths[last], stop)
        stop -= lengths[last] + plan.guard_samples
    return {**pieces, "train": (start, stop)}


def _split_by_lists(clips: Sequence[Clip], plan: SplitPlan, path: Path, folder: str) -> Split:
    """The lists as they are; validation is drawn from the train list where it is not given."""
    lists = read_lists(path, theme=plan.split_theme, folder=folder, clips=clips)
    train = _recordings(lists.train, plan.seed)
    if lists.validation is not None:
        drawn = Split(_whole(train), _whole(_recordings(lists.validation, plan.seed)), ())
    elif len(train) >= FEWEST_BY_FILE or (
        len(train) > 1 and all(len(_pieces(r, plan, 0.0)) == 1 for r in train)
    ):
        drawn = _split_by_threshold(train, replace(plan, test_fraction=0.0))
    else:
        drawn = _split_by_time(train, plan, test_fraction=0.0)
    notes = list(drawn.notes)
    if not lists.test:
        notes.append("the test list is empty: there is nothing to report on")
    if lists.unlisted:
        names = some(clip.name for clip in lists.unlisted)
        notes.append(f"in no list of {path.name!r}, and left out: {names}")
    test = _whole(_recordings(lists.test, plan.seed))
    return Split(drawn.train, drawn.validation, test, tuple(notes))


def _assemble(parts: Mapping[str, Sequence[Segment]], notes: Sequence[str]) -> Split:
    return Split(
        train=tuple(parts["train"]),
        validation=tuple(parts["validation"]),
        test=tuple(parts["test"]),
        notes=tuple(notes),
    )
