"""How often each pitch tracker finds the written note, and what it costs.

    python benchmarks/pitch.py FOLDER [FOLDER ...] [--files 60] [--out pitch.csv]

FOLDER holds recordings of single notes and a SOURCES.csv with the columns `file` and `midi_pitch`,
or is a rendered demo set, whose noises are left out.
A file's pitch is the median of the frames whose f0 the tracker believes; without three of them it
has none. An octave error is a file within 100 cents of a note one or two octaves away, a twelfth
one within 100 cents of a note 19 semitones away. "Frames" is the mean share, over files with a
pitch, of the believed frames within 50 cents of the note. CPU time is that of this process.
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from timbrel.attributes.crepe import guide_hz
from timbrel.attributes.frames import active, without_dc
from timbrel.attributes.pitch import PitchTrack, pitch_track
from timbrel.attributes.spectrum import spectral_frames
from timbrel.attributes.swift_f0 import swift_pitch
from timbrel.data.demo.demo_set import FACTORS_FILE

NEAR_CENTS, WIDE_CENTS, LEAST_FRAMES = 50.0, 100.0, 3


@dataclass(frozen=True)
class Note:
    """A recording of one note (channel time)."""

    name: str
    audio: np.ndarray
    rate_hz: int
    f0_hz: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.audio.shape[1] / self.rate_hz


@dataclass(frozen=True)
class Row:
    """What a tracker found on a set."""

    set: str
    tracker: str
    files: int
    within_50_cents: float
    within_100_cents: float
    octave_errors: int
    twelfths: int
    without_pitch: int
    frames_within_50_cents: float
    median_cents: float
    cpu_s_per_audio_s: float


def by_yin(audio: np.ndarray, rate_hz: int) -> PitchTrack:
    """f0 as trainings measure it."""
    heard = without_dc(audio, rate_hz)
    return pitch_track(heard, rate_hz, active(spectral_frames(heard, rate_hz).level_db))


def by_crepe(audio: np.ndarray, rate_hz: int) -> PitchTrack:
    """The octave by CREPE, the cents by the period."""
    heard = without_dc(audio, rate_hz)
    sounding = active(spectral_frames(heard, rate_hz).level_db)
    return pitch_track(heard, rate_hz, sounding, guide_hz=guide_hz(heard, rate_hz))


TRACKERS: dict[str, Callable[[np.ndarray, int], PitchTrack]] = {
    "yin": by_yin,
    "crepe": by_crepe,
    "swift_f0": swift_pitch,
}


def notes(folder: Path, most: int) -> list[Note]:
    """Up to `most` of the folder's notes, evenly spread over its table."""
    demo = folder / FACTORS_FILE
    with (demo if demo.exists() else folder / "SOURCES.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("kind") != "noise"]
    key = "midi" if demo.exists() else "midi_pitch"
    rows = [row for row in rows if row.get(key)]
    found = []
    for row in rows[:: max(1, -(-len(rows) // most))]:
        audio, rate_hz = soundfile.read(folder / row["file"], dtype="float32", always_2d=True)
        f0_hz = 440.0 * 2 ** ((float(row[key]) - 69) / 12)
        found.append(Note(row["file"], np.ascontiguousarray(audio.T), rate_hz, f0_hz))
    return found


def cents_off(track: PitchTrack, f0_hz: float) -> np.ndarray:
    """The believed frames' distance from `f0_hz`, in cents."""
    return 1200 * np.log2(track.f0_hz[track.voiced] / f0_hz)


def summary(name: str, tracker: str, found: list[np.ndarray], cpu_s: float) -> Row:
    """The row of a set, from the cents of every file's frames and the CPU time per second."""
    known = [cents for cents in found if len(cents) >= LEAST_FRAMES]
    middles = np.array([float(np.median(cents)) for cents in known])

    def near(*semitones: int, limit: float = WIDE_CENTS) -> int:
        away = np.abs(middles[:, None] - 100.0 * np.array(semitones))
        return int((away.min(1) <= limit).sum()) if len(middles) else 0

    frames = [float(np.mean(np.abs(cents) <= NEAR_CENTS)) for cents in known]
    right = middles[np.abs(middles) <= NEAR_CENTS]
    return Row(
        name,
        tracker,
        len(found),
        near(0, limit=NEAR_CENTS) / max(1, len(found)),
        near(0) / max(1, len(found)),
        near(-24, -12, 12, 24),
        near(-19, 19),
        len(found) - len(known),
        float(np.mean(frames)) if frames else 0.0,
        float(np.median(np.abs(right))) if len(right) else float("nan"),
        cpu_s,
    )


def measured(name: str, tracker: str, played: list[Note]) -> Row:
    """What `tracker` finds on `played`."""
    track = TRACKERS[tracker]
    track(played[0].audio, played[0].rate_hz)  # what is loaded once does not count
    before = time.process_time()
    found = [cents_off(track(note.audio, note.rate_hz), note.f0_hz) for note in played]
    took = time.process_time() - before
    return summary(name, tracker, found, took / sum(note.seconds for note in played))


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| set, files | tracker | within 50 cents | within 100 | octave errors | twelfths | none "
        "| frames | median cents | CPU s per s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.set}, {row.files} | {row.tracker} | {100 * row.within_50_cents:.0f} % "
        f"| {100 * row.within_100_cents:.0f} % "
        f"| {row.octave_errors} | {row.twelfths} | {row.without_pitch} "
        f"| {100 * row.frames_within_50_cents:.0f} % | {row.median_cents:.1f} "
        f"| {row.cpu_s_per_audio_s:.3f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--files", type=int, default=60, help="of each folder, at most")
    parser.add_argument("--trackers", nargs="+", choices=[*TRACKERS], default=[*TRACKERS])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for folder in arguments.folders:
        played = notes(folder, arguments.files)
        if not played:
            parser.error(f"{folder}: no table of it names notes")
        rows += [measured(folder.name, tracker, played) for tracker in arguments.trackers]
    print(table(rows))
    if arguments.out is not None:
        with arguments.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*asdict(rows[0])])
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)


if __name__ == "__main__":
    main()
