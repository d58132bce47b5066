"""The notes of a Standard MIDI File: all tracks, its tempo map, pedals, bends and levels."""

import importlib.util
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from timbrel.errors import UserError
from timbrel.generation.playing.note import Note, controller_db

DRUMS = 10
"""The channel that holds drums by General MIDI: its keys are no pitches."""

_LONGEST_S = 86_400.0
_LARGEST_BYTES = 1 << 26
_BEND_SEMITONES = 2.0
_LEAST_S = 0.001
_PEDAL, _RPN_COARSE, _RPN_FINE, _DATA_COARSE, _DATA_FINE = 64, 101, 100, 6, 38
_VOLUME, _EXPRESSION = 7, 11
_NEUTRAL = {_VOLUME: 100, _EXPRESSION: 127}  # what General MIDI begins with
_SOUND_OFF, _CONTROLLERS_OFF, _NOTES_OFF = 120, 121, 123


@dataclass(frozen=True)
class Song:
    """Notes in the order of their starts, and what of the file is played otherwise, or not."""

    notes: tuple[Note, ...]
    notices: tuple[str, ...] = ()


def read_song(path: Path, channels: Collection[int] = ()) -> Song:
    """The notes of `path` on `channels` (1 to 16); none: on all but that of drums.

    Raises UserError where mido is not installed, and for a file that cannot be read, is damaged,
    has no notes there, or has no tempo.
    """
    if importlib.util.find_spec("mido") is None:
        raise UserError("source=midi: mido is not installed; pip install 'timbrel[midi]'")
    file = _opened(path)
    kept = set(channels) or set(range(1, 17)) - {DRUMS}
    played: dict[int, _Channel] = {}
    end_s = 0.0
    left_out: defaultdict[int, int] = defaultdict(int)
    for second, message in _timed(file, path):
        end_s = second
        if not hasattr(message, "channel"):
            continue
        channel = message.channel + 1
        if channel in kept:
            played.setdefault(channel, _Channel(channel)).take(second, message)
        elif message.type == "note_on" and message.velocity:
            left_out[channel] += 1
    hanging = sum(channel.end(end_s) for channel in played.values())
    notes = [note for channel in played.values() for note in channel.finished()]
    if not notes:
        there = ", ".join(map(str, sorted(left_out)))
        where = f"only on channel {there}; midi.channels=[{there}] plays them" if there else "none"
        raise UserError(f"input='{path}': no notes to play: {where}")
    notes.sort(key=lambda note: (note.start_s, note.channel, note.key))
    return Song(tuple(notes), tuple(_notices(left_out, hanging, asked=bool(channels))))


def _opened(path: Path) -> Any:
    import mido

    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise UserError(f"input='{path}': of more than 64 MiB; this is no song")
        with path.open("rb") as content:
            file = mido.MidiFile(file=content)
    except OSError as error:
        raise UserError(f"input='{path}' cannot be read as MIDI: {error}") from error
    except UserError:
        raise
    except EOFError as error:
        raise UserError(f"input='{path}' cannot be read as MIDI: it ends too early") from error
    except Exception as error:  # a damaged file raises errors of many kinds in mido
        raise UserError(f"input='{path}' cannot be read as MIDI: {error!r}") from error
    if file.type == 2:
        raise UserError(f"input='{path}': a MIDI file of type 2; save it as type 0 or 1")
    if file.ticks_per_beat <= 0:
        raise UserError(f"input='{path}': counts frames, not beats; save it with beats (PPQ)")
    return file


def _timed(file: Any, path: Path) -> Iterator[tuple[float, Any]]:
    """Every message with its time in seconds, by the tempo map."""
    second, us_per_beat = 0.0, 500_000
    for message in file.merged_track:
        second += message.time * us_per_beat / 1e6 / file.ticks_per_beat
        if second > _LONGEST_S:
            raise UserError(f"input='{path}': goes on for more than a day")
        if message.type == "set_tempo":
            us_per_beat = message.tempo
        yield second, message


def _notices(left_out: dict[int, int], hanging: int, *, asked: bool) -> Iterator[str]:
    if left_out.get(DRUMS) and not asked:
        yield f"{left_out[DRUMS]} notes of channel {DRUMS} (drums) left out"
    if hanging:
        yield f"{hanging} notes without an end, which end with the file"


@dataclass
class _Channel:
    """The state of one channel while its messages are taken in turn."""

    number: int
    notes: list[Note] = field(default_factory=list)
    held: dict[int, tuple[float, int]] = field(default_factory=dict)
    """Start and velocity by key."""
    under_pedal: dict[int, Note] = field(default_factory=dict)
    pedal: bool = False
    bend_range: float = _BEND_SEMITONES
    wheel: float = 0.0
    bends: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])
    levels: dict[int, int] = field(default_factory=_NEUTRAL.copy)
    """Volume and expression."""
    gains: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])
    parameter: list[int] = field(default_factory=lambda: [127, 127])

    def take(self, second: float, message: Any) -> None:
        if message.type == "note_on" and message.velocity:
            self._release(message.note, second)
            self._lift(second, message.note)
            self.held[message.note] = (second, message.velocity)
        elif message.type in ("note_on", "note_off"):
            self._release(message.note, second)
        elif message.type == "pitchwheel":
            self.wheel = message.pitch / 8192
            self._bend(second)
        elif message.type == "control_change":
            self._control(second, message.control, message.value)

    def end(self, second: float) -> int:
        """Ends what sounds; how many keys were held."""
        hanging = len(self.held)
        self.pedal = False
        self._all_up(second)
        return hanging

    def finished(self) -> Iterator[Note]:
        """The notes, each with all bends and gains of the channel."""
        bend, gains = tuple(self.bends), tuple(self.gains)
        for note in self.notes:
            yield replace(note, bend=bend, gains=gains)

    def _control(self, second: float, number: int, value: int) -> None:
        if number == _PEDAL:
            self.pedal = value >= 64
            if not self.pedal:
                self._lift(second)
        elif number in (_RPN_COARSE, _RPN_FINE):
            self.parameter[number == _RPN_FINE] = value
        elif number in (_DATA_COARSE, _DATA_FINE) and self.parameter == [0, 0]:
            whole, cents = int(self.bend_range), round(100 * (self.bend_range % 1))
            parts = (value, cents) if number == _DATA_COARSE else (whole, min(value, 99))
            self.bend_range = parts[0] + parts[1] / 100
            self._bend(second)
        elif number in _NEUTRAL:
            self._level(second, number, value)
        elif number == _CONTROLLERS_OFF:  # the volume stays, by RP-015 of the MIDI Association
            self.pedal, self.wheel = False, 0.0
            self._lift(second)
            self._bend(second)
            self._level(second, _EXPRESSION, _NEUTRAL[_EXPRESSION])
        elif number >= _SOUND_OFF:
            self.pedal = self.pedal and number != _SOUND_OFF
            self._all_up(second)

    def _bend(self, second: float) -> None:
        self.bends.append((second, self.wheel * self.bend_range))

    def _level(self, second: float, number: int, value: int) -> None:
        self.levels[number] = value
        gain_db = sum(controller_db(self.levels[n], neutral) for n, neutral in _NEUTRAL.items())
        self.gains.append((second, gain_db))

    def _all_up(self, second: float) -> None:
        for key in list(self.held):
            self._release(key, second)
        if not self.pedal:
            self._lift(second)

    def _release(self, key: int, second: float) -> None:
        """A key comes up: its note ends, or is held by the pedal."""
        if key not in self.held:
            return
        start_s, velocity = self.held.pop(key)
        up_s = max(second, start_s + _LEAST_S)
        note = Note(start_s, up_s, up_s, velocity, self.number, ((start_s, key),))
        if self.pedal:
            self.under_pedal[key] = note
        else:
            self.notes.append(note)

    def _lift(self, second: float, key: int | None = None) -> None:
        """What the pedal holds ends: all, or one key, which is struck again."""
        for one in list(self.under_pedal) if key is None else [key]:
            if note := self.under_pedal.pop(one, None):
                stop_s = max(second, note.up_s)
                self.notes.append(
                    Note(note.start_s, note.up_s, stop_s, note.velocity, note.channel, note.keys)
                )
