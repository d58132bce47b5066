"""MIDI files for tests."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import mido

Event = tuple[float, mido.Message]


def note(start_s: float, stop_s: float, key: int, velocity: int = 100, channel: int = 1) -> list:
    """A note's two events."""
    said: dict[str, Any] = {"note": key, "channel": channel - 1}
    return [
        (start_s, mido.Message("note_on", velocity=velocity, **said)),
        (stop_s, mido.Message("note_off", **said)),
    ]


def control(second: float, number: int, value: int, channel: int = 1) -> Event:
    """A controller's event."""
    said = {"control": number, "value": value, "channel": channel - 1}
    return second, mido.Message("control_change", **said)


def wheel(second: float, value: int) -> Event:
    """An event of the pitch wheel of channel 1."""
    return second, mido.Message("pitchwheel", pitch=value)


def write_song(path: Path | str, *tracks: Iterable[Event], kind: int = 1) -> Path:
    """A file of 1000 ticks per second, a track for each of `tracks`."""
    file = mido.MidiFile(type=kind, ticks_per_beat=500)
    for events in tracks:
        track, before = mido.MidiTrack(), 0
        for second, message in sorted(events, key=lambda event: event[0]):
            tick = round(1000 * second)
            track.append(message.copy(time=tick - before))
            before = tick
        file.tracks.append(track)
    file.save(path)
    return Path(path)
