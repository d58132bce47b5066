"""The sounds of a run's page: held-out recordings and their reconstructions."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from timbrel.audio.names import file_stem
from timbrel.audio.read import describe, read_blocks
from timbrel.data.cache.entry import amplified, file_gain
from timbrel.errors import UserError
from timbrel.report.figures import spectrogram_png
from timbrel.report.page import audio_player, number, picture
from timbrel.report.run_warnings import reported_part
from timbrel.runs.folder import Run
from timbrel.words import duration

Hear = Callable[[Path, float], tuple[NDArray[np.float32], int]]
"""Reads the first seconds of a file, as `excerpt` does."""

MOST_PAIRS = 8
MOST_SECONDS = 10.0
_DEVELOPMENT_SECONDS = 5.0
# Of 16-bit audio, as FLAC keeps about 3/4 of it and base64 adds 1/3: what the page will weigh.
_AUDIO_BYTES = 11_000_000
_SHORTER_S = (MOST_SECONDS, 8.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0)


@dataclass(frozen=True)
class Pair:
    """One recording and what the model makes of it."""

    title: str
    rank: str
    note: str
    original: tuple[Markup, Markup]
    """Player and picture."""
    reconstruction: tuple[Markup, Markup]


@dataclass(frozen=True)
class Stage:
    """A held-out clip at one step of training."""

    step: int
    picture: Markup
    player: Markup | None


@dataclass(frozen=True)
class _Choice:
    row: dict[str, object]
    rank: str
    reference: Path
    reconstruction: Path
    duration_s: float


def listening(run: Run) -> tuple[list[Pair], str]:
    """The pairs to hear, best first, and a sentence on how they were chosen and cut.

    Both empty where the run holds no scored audio.
    """
    found = _scored_audio(run)
    chosen = [found[i] for i in spread(len(found), MOST_PAIRS)]
    if not chosen:
        return [], ""
    seconds = _seconds_each([choice.duration_s for choice in chosen], chosen[0].reference)
    pairs = [_pair(choice, seconds) for choice in chosen]
    part = reported_part(run)
    said = (
        f"All {len(found)} {part} files"
        if len(chosen) == len(found)
        else f"{len(chosen)} of {len(found)} {part} files: the best, the worst, the median and some"
        " between"
    )
    said += ", from the best MR-STFT to the worst."
    if any(choice.duration_s > seconds for choice in chosen):
        said += f" The players hold the first {duration(seconds)} of longer files."
    return pairs, said + " The whole files are in evaluation/audio/."


def spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` ranks: first, last, median, and evenly between.

    >>> spread(3, 8), spread(101, 5)
    ([0, 1, 2], [0, 25, 50, 75, 100])
    """
    if count <= most:
        return list(range(count))
    ranks = {round(i * (count - 1) / (most - 1)) for i in range(most)}
    # The median stands for all: it takes the place of its nearest neighbour.
    median = (count - 1) // 2
    inner = ranks - {0, count - 1}
    if median not in ranks and inner:
        ranks = (ranks - {min(inner, key=lambda rank: abs(rank - median))}) | {median}
    return sorted(ranks)


def development(run: Run) -> tuple[str, list[Stage]]:
    """A held-out clip at the first, a middle and the last step it was written, and its name."""
    steps = sorted(
        (int(folder.name.removeprefix("step_")), folder)
        for folder in (run.folder / "audio" / "validation").glob("step_*")
        if folder.name.removeprefix("step_").isdigit()
    )
    written = [(step, {path.stem: path for path in folder.glob("*.png")}) for step, folder in steps]
    written = [(step, pictures) for step, pictures in written if pictures]
    if not written:
        return "", []
    last = written[-1][1]
    # The clip that was there longest; a resumed run may have begun to write others.
    name = max(sorted(last), key=lambda stem: sum(stem in pictures for _, pictures in written))
    steps_of = [(step, pictures[name]) for step, pictures in written if name in pictures]
    kept = sorted({0, (len(steps_of) - 1) // 2, len(steps_of) - 1})
    return name, [_stage(name, *steps_of[index]) for index in kept]


def _stage(name: str, step: int, png: Path) -> Stage:
    wav = png.with_suffix(".wav")
    player = None
    if wav.is_file():
        audio, rate_hz = excerpt(wav, _DEVELOPMENT_SECONDS)
        player = audio_player(audio, rate_hz, f"{name}, reconstruction at step {step}")
    alt = f"Spectrograms of {name}: original, and reconstruction at step {step}"
    return Stage(step, picture(png.read_bytes(), alt), player)


def excerpt(path: Path, seconds: float) -> tuple[NDArray[np.float32], int]:
    """The first `seconds` of a file, `(channel, time)`, and its rate; two channels at most."""
    rate_hz = describe(path).rate_hz
    wanted = max(1, round(seconds * rate_hz))
    blocks, have = [], 0
    for block in read_blocks(path):
        blocks.append(block[: wanted - have])
        have += len(blocks[-1])
        if have >= wanted:
            break
    audio = np.concatenate(blocks).T if blocks else np.zeros((1, 1), np.float32)
    audio = audio if len(audio) <= 2 else audio.mean(0, keepdims=True)
    return np.ascontiguousarray(audio), rate_hz


def heard(path: Path, seconds: float, label: str, **size: Any) -> tuple[Markup, Markup]:
    """Player and picture of the first `seconds` of a file; `size` is that of `spectrogram_png`."""
    audio, rate_hz = excerpt(path, seconds)
    png = spectrogram_png(audio, rate_hz, **size)
    return audio_player(audio, rate_hz, label), picture(png, f"Spectrogram of {label}")


def normalised_excerpt(
    path: Path, seconds: float, *, channels: int, downmix: str, normalise: str
) -> tuple[NDArray[np.float32], int]:
    """`excerpt` at the level that training would hear the file at."""
    audio, rate_hz = excerpt(path, seconds)
    gain = file_gain(path, channels=channels, downmix=downmix, normalise=normalise)
    return amplified(audio, gain), rate_hz


def _scored_audio(run: Run) -> list[_Choice]:
    """Every scored file of the reported part whose audio is there, best first."""
    part = reported_part(run)
    if run.evaluation is None or part is None:
        return []
    rows = [row for row in run.evaluation.files if row["part"] == part and row["system"] == "model"]
    folder = run.evaluation_folder / "audio" / part
    audio = _by_file(rows, sorted((folder / "reference").glob("*.wav")))
    ranked = sorted(
        (row for row in rows if id(row) in audio),
        key=lambda row: row["mrstft"] if row["mrstft"] == row["mrstft"] else np.inf,
    )
    choices = []
    for index, row in enumerate(ranked):
        reference = audio[id(row)]
        reconstruction = folder / "reconstruction" / reference.name
        if reconstruction.is_file():
            rank = _rank(index, len(ranked))
            length_s = describe(reference).duration_s
            choices.append(_Choice(row, rank, reference, reconstruction, length_s))
    return choices


_PIECE = re.compile(r" \[[\d.]+-[\d.]+ s\]$")  # of a file that was held out in part


def _by_file(rows: list[dict[str, object]], paths: list[Path]) -> dict[int, Path]:
    """Which file belongs to which row: by its number, and only where the names agree too."""
    found = {}
    for path in paths:
        digits, _, stem = path.stem.partition("_")
        same = [row for row in rows if file_stem(_PIECE.sub("", str(row["file"]))) == stem]
        if digits.isdigit() and int(digits) < len(rows) and rows[int(digits)] in same:
            found[id(rows[int(digits)])] = path
        elif same:
            found.setdefault(id(same[0]), path)
    return found


def _rank(index: int, count: int) -> str:
    if count == 1:
        return "the only one"
    if index == 0:
        return f"best of {count}"
    if index == count - 1:
        return f"worst of {count}"
    return f"median of {count}" if index == (count - 1) // 2 else f"rank {index + 1} of {count}"


def _seconds_each(durations_s: list[float], example: Path) -> float:
    header = describe(example)
    bytes_per_second = 2 * 2 * min(2, header.channels) * header.rate_hz  # two files, 16 bits
    for seconds in _SHORTER_S:
        if sum(min(d, seconds) for d in durations_s) * bytes_per_second <= _AUDIO_BYTES:
            return seconds
    return _SHORTER_S[-1]


def _pair(choice: _Choice, seconds: float) -> Pair:
    name = str(choice.row["file"])
    sides = []
    for kind, path in (("original", choice.reference), ("reconstruction", choice.reconstruction)):
        try:
            audio, rate_hz = excerpt(path, seconds)
        except UserError as error:
            raise UserError(f"{error}; run timbrel evaluate again") from error
        sides.append(
            (
                audio_player(audio, rate_hz, f"{name}, {kind}"),
                picture(spectrogram_png(audio, rate_hz), f"Spectrogram of {name}, {kind}"),
            )
        )
    length = duration(choice.duration_s)
    cut = f" (first {duration(seconds)})" if choice.duration_s > seconds else ""
    note = f"{length}{cut} · MR-STFT {number(float(str(choice.row['mrstft'])))}"
    return Pair(name, choice.rank, note, sides[0], sides[1])
