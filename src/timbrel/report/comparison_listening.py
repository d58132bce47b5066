"""The sounds of a comparison page: files that all runs have reconstructed, side by side."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from timbrel.audio.read import describe
from timbrel.report.figures import spectrogram_png
from timbrel.report.page import audio_player, number, picture
from timbrel.report.run_listening import excerpt, spread
from timbrel.runs.folder import Run
from timbrel.words import duration, printable

MOST_CLIPS = 6
# Of 16-bit audio before FLAC and base64, which about cancel: what the page will weigh in sound.
_AUDIO_BYTES = 12_000_000
_SECONDS = (8.0, 6.0, 4.0, 3.0, 2.0, 1.0)


@dataclass(frozen=True)
class Sound:
    """One column: its heading, a score where there is one, the player and the picture."""

    heading: str
    note: str
    player: Markup
    picture: Markup


@dataclass(frozen=True)
class Clip:
    """One recording: the original, then every run's reconstruction of it."""

    title: str
    sounds: tuple[Sound, ...]


@dataclass(frozen=True)
class _Scored:
    """A file as one run has it."""

    title: str
    reference: Path
    reconstruction: Path
    mrstft: float


def listening(runs: Sequence[Run], letters: Sequence[str], part: str) -> tuple[list[Clip], str]:
    """The clips, best first by the runs' mean MR-STFT, and a sentence on their choice.

    A file is the same in two runs where its samples are, whatever its name or number. Without
    one that all runs hold, no clips, and the sentence says why.
    """
    tables = [_scored(run, part) for run in runs]
    silent = [letter for letter, table in zip(letters, tables, strict=True) if not table]
    if silent:
        return [], (f"No sounds of the {part} files of {', '.join(silent)}: run timbrel evaluate.")
    common = [key for key in tables[0] if all(key in table for table in tables[1:])]
    if not common:
        return (
            [],
            f"No {part} file is common to all runs, so there is nothing to compare by ear.",
        )
    common.sort(key=lambda key: sum(table[key].mrstft for table in tables))
    chosen = [common[rank] for rank in spread(len(common), MOST_CLIPS)]
    chosen, seconds = _affordable(chosen, tables)
    clips = [_clip([table[key] for table in tables], letters, seconds) for key in chosen]
    if len(common) == 1:
        said = f"The one {part} file that every run holds"
    else:
        number_of = f"{len(chosen)} of the" if len(chosen) < len(common) else "All"
        said = f"{number_of} {len(common)} {part} files that every run holds, from the best "
        said += "reconstructed to the worst"
    cut = f". Longer ones are cut to their first {duration(seconds)}." if seconds else "."
    return clips, said + cut


def _scored(run: Run, part: str) -> dict[str, _Scored]:
    """The scored files of a run by a digest of the original's samples."""
    folder = run.evaluation_folder / "audio" / part
    rows = [
        row
        for row in (run.evaluation.files if run.evaluation else ())
        if (row["part"], row["system"]) == (part, "model")
    ]
    found: dict[str, _Scored] = {}
    for reference in sorted((folder / "reference").glob("*.wav")):
        reconstruction = folder / "reconstruction" / reference.name
        index, _, stem = reference.stem.partition("_")
        if not reconstruction.is_file() or not index.isdigit():
            continue
        row = rows[int(index)] if int(index) < len(rows) else None
        title, mrstft = (row["file"], row["mrstft"]) if row else (stem, math.nan)
        with reference.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found.setdefault(digest, _Scored(str(title), reference, reconstruction, mrstft))
    return found


def _affordable(
    chosen: list[str], tables: Sequence[dict[str, _Scored]]
) -> tuple[list[str], float | None]:
    """The clips and the seconds of each that the page can carry; None where none is cut."""
    headers = {key: describe(tables[0][key].reference) for key in chosen}
    columns = len(tables) + 1
    longest = max(header.duration_s for header in headers.values())
    for count in range(len(chosen), 0, -1):
        kept = [chosen[rank] for rank in spread(len(chosen), count)]
        for seconds in _SECONDS:
            weight = sum(
                2 * columns * min(headers[key].duration_s, seconds)
                * headers[key].rate_hz * min(2, headers[key].channels)
                for key in kept
            )  # fmt: skip
            if weight <= _AUDIO_BYTES:
                return kept, seconds if longest > seconds else None
    return chosen[:1], _SECONDS[-1]


def _clip(versions: Sequence[_Scored], letters: Sequence[str], seconds: float | None) -> Clip:
    title = printable(versions[0].title)
    whole = seconds or _SECONDS[0]
    sounds = [_sound("original", "", versions[0].reference, title, whole)]
    for version, letter in zip(versions, letters, strict=True):
        note = f"MR-STFT {number(version.mrstft)}" if math.isfinite(version.mrstft) else ""
        sounds.append(_sound(letter, note, version.reconstruction, title, whole))
    return Clip(title, tuple(sounds))


def _sound(heading: str, note: str, path: Path, title: str, seconds: float) -> Sound:
    audio, rate_hz = excerpt(path, seconds)
    label = f"{title}, {heading}"
    png = spectrogram_png(audio, rate_hz, size_in=(3.6, 2.0), dpi=110)
    return Sound(
        heading, note, audio_player(audio, rate_hz, label), picture(png, f"Spectrogram: {label}")
    )
