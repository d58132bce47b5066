"""A note: when it begins and ends, how hard it is struck, and its pitch over time.

Pitches are keys of MIDI, of any fraction: 69 is A4, 440 Hz, and 60 is C4.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

A4_KEY, A4_HZ = 69, 440.0
_NO_CHANGE = ((0.0, 0.0),)
_LEAST_LEVEL_DB = -200.0
_SAME_S = 1e-9


@dataclass(frozen=True)
class Note:
    """A note of a song, its times in seconds from the song's start.

    The key is released at `up_s`; the sound is held to `stop_s`, which is later under a pedal.
    `keys` are (seconds, key): the first of the note's start, and further ones of a legato line.
    `bend` are (seconds, semitones) and `gains` (seconds, dB), in order; each holds to the next. Of
    those before the note the last one counts, and none ahead of it.
    """

    start_s: float
    up_s: float
    stop_s: float
    velocity: int
    channel: int
    keys: tuple[tuple[float, float], ...]
    bend: tuple[tuple[float, float], ...] = _NO_CHANGE
    gains: tuple[tuple[float, float], ...] = _NO_CHANGE

    @property
    def key(self) -> float:
        """The key that it begins with."""
        return self.keys[0][1]

    def pitch_at(self, seconds: Array, glide_s: float = 0.0) -> Array:
        """The key, bends included, at each of `seconds`; a legato step takes `glide_s`.

        >>> note = Note(0, 2, 2, 64, 1, ((0, 60), (1, 62)))
        >>> note.pitch_at(np.array([0.5, 1.1, 1.5]), glide_s=0.2).tolist()
        [60.0, 61.0, 62.0]
        """
        pitch = np.full(len(seconds), float(self.key))
        for (_, before), (start_s, key) in zip(self.keys, self.keys[1:], strict=False):
            since = seconds - start_s
            share = np.clip(since / glide_s, 0, 1) if glide_s > 0 else (since >= 0).astype(float)
            pitch += share * (key - before)
        return pitch + self._held(self.bend, seconds)

    def gain_db_at(self, seconds: Array) -> Array:
        """What controllers have made of its level, at each of `seconds`, in dB."""
        return self._held(self.gains, seconds)

    def _held(self, changes: Sequence[tuple[float, float]], seconds: Array) -> Array:
        """What the last change before each of `seconds` set; 0 ahead of the note's first."""
        last_s = float(seconds.max(initial=self.start_s)) + _SAME_S
        first = max(0, bisect_right(changes, self.start_s, key=_second) - 1)
        stop = max(first + 1, bisect_right(changes, last_s, key=_second))
        times, values = (np.array(column) for column in zip(*changes[first:stop], strict=True))
        last = np.searchsorted(times, seconds + _SAME_S, side="right") - 1
        return np.where(last >= 0, values[np.maximum(last, 0)], 0.0)


def _second(change: tuple[float, float]) -> float:
    return change[0]


def hz_of(key: float) -> float:
    """The frequency of a key.

    >>> hz_of(69), hz_of(57)
    (440.0, 220.0)
    """
    return A4_HZ * 2.0 ** ((key - A4_KEY) / 12)


def level_db(velocity: float) -> float:
    """The level of a velocity beside that of 127: its amplitude goes with the velocity's square.

    >>> round(level_db(64), 1), level_db(127)
    (-11.9, 0.0)
    """
    return 40.0 * float(np.log10(max(velocity, 1) / 127))


def controller_db(value: int, neutral: int) -> float:
    """The level of a volume or an expression beside `neutral`, by the curve of velocities.

    It is the curve that General MIDI recommends; 0 is silence.

    >>> round(controller_db(50, 100), 1), controller_db(0, 127)
    (-12.0, -200.0)
    """
    return level_db(value) - level_db(neutral) if value else _LEAST_LEVEL_DB


def joined_lines(notes: Iterable[Note]) -> list[Note]:
    """Notes of one channel that overlap as one note whose key moves: the last one struck sounds.

    When it is released, the one that was struck before it and is still held sounds again.
    """
    lines: list[Note] = []
    for group in _overlapping(sorted(notes, key=lambda note: (note.channel, note.start_s))):
        first, last = group[0], max(group, key=lambda note: note.stop_s)
        times = sorted({note.start_s for note in group} | {note.up_s for note in group})
        keys: list[tuple[float, float]] = []
        for second in times:
            held = [note for note in group if note.start_s <= second < note.up_s]
            if held and (not keys or keys[-1][1] != held[-1].key):
                keys.append((second, held[-1].key))
        up_s = max(note.up_s for note in group)
        lines.append(replace(first, keys=tuple(keys), up_s=up_s, stop_s=last.stop_s))
    return sorted(lines, key=lambda note: note.start_s)


def _overlapping(notes: Sequence[Note]) -> list[list[Note]]:
    groups: list[list[Note]] = []
    up_s = 0.0
    for note in notes:
        if groups and note.channel == groups[-1][0].channel and note.start_s < up_s:
            groups[-1].append(note)
        else:
            groups.append([note])
            up_s = 0.0
        up_s = max(up_s, note.up_s)
    return groups
