"""Sounds drawn from the prior, for the page: a dozen to hear, numbers, and the nearest pair."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from timbrel.errors import UserError
from timbrel.report.page import number
from timbrel.report.run_listening import heard
from timbrel.report.run_warnings import command
from timbrel.runs.folder import Run, holds_recordings, read_table

_HEARD_S, _OF_DOZEN_S = 4.0, 3.0
_THUMB_IN, _THUMB_DPI = (2.6, 1.5), 100
_KINDS = ("generated", "training")
# Words, the measure of generated sounds, and what to compare it with.
_ROWS = (
    ("kernel distance to training clips", "kad", "kad_held_out", "held-out recordings"),
    ("Fréchet distance to training clips", "frechet", "frechet_held_out", "held-out recordings"),
    ("coverage of training clips", "coverage", "coverage_expected", "a perfect model"),
    ("density around training clips", "density", None, "1: a perfect model"),
    ("Vendi score: number of different sounds", "vendi", "vendi_reconstructed", "reconstructions"),
    (
        "distance to nearest training clip, median, dB",
        "nearest_training_median_db",
        "nearest_training_median_db_held_out",
        "held-out recordings",
    ),
    ("share of near copies", "copies", None, "nearer than 0.35 of held-out recordings"),
    ("smoothness between two recordings", "smoothness", None, "1: equal steps"),
)
# The same of what is heard in time: what its gate's value reaches by chance, or the other set's.
_ROWS_IN_TIME = (
    ("time distance to reconstructions", "time_structure", "time_structure_by_chance", "chance"),
    (
        "told from reconstructions (area; 0.5: never)",
        "two_sample",
        "two_sample_by_chance",
        "chance",
    ),
    ("share that has ended", "endings", "endings_reconstructed", "reconstructions"),
    ("share that rises after its peak", "rebound", "rebound_reconstructed", "reconstructions"),
    (
        "variance within each, as a share of all",
        "within_share",
        "within_share_reconstructed",
        "reconstructions",
    ),
)
_PRIVACY = (
    "The model holds the codes of its training recordings (its bank): who has the model can hear "
    "them, so passing it on passes them on. timbrel prior run=RUN prior.bank=false leaves them out."
)
_OF_SETS = {"aisfx": "; the first two rows use aiSFX, a network trained on sound effects"}
"""The words for the embedding of the first two rows."""


@dataclass(frozen=True)
class Sound:
    """A new sound and the recording nearest to it, each as a player and a picture."""

    seed: str
    made_of: str
    """Empty where the prior does not say."""
    nearest: str
    sound: tuple[Markup, Markup]
    recording: tuple[Markup, Markup]


@dataclass(frozen=True)
class Invented:
    """The section of the page; `dozen` and `pair` are empty where their sounds are not there."""

    dozen: tuple[Sound, ...]
    said_of_dozen: str
    privacy: str
    """What the model holds of its recordings, for whoever passes it on; empty if nothing."""
    said: str
    rows: tuple[tuple[str, str, str, str], ...]
    pair: tuple[tuple[tuple[Markup, Markup], str], ...]
    said_of_pair: str
    command: str


def invented(run: Run) -> Invented | None:
    """The section made of `generated.csv` and its clips; None if nothing was generated."""
    folder = run.evaluation_folder
    table = read_table(folder / "generated.csv", ("value", "n", "n_reference"))
    clips = read_table(folder / "generated_clips.csv", ("training_start_s", "distance_db"))
    if not table or not clips:
        return None
    known = {row["measure"]: row for row in table}
    rows = tuple(
        (words, _cell(known[name]), _cell(known.get(control)), by)
        for words, name, control, by in (*_ROWS, *_ROWS_IN_TIME)
        if name in known
    )
    dozen = _dozen(run, clips)
    nearest = min(clips, key=lambda row: row["distance_db"])
    seed, file = nearest["seed"], nearest["training_file"]
    said = (
        f"{len(clips)} sounds drawn from the prior (seeds {clips[0]['seed']} to "
        f"{clips[-1]['seed']}), compared by mel spectrograms at equal level"
        f"{_OF_SETS.get(table[0].get('embedding', ''), '')}. Every number depends on the number "
        "of sounds it was computed from (n): compare it with the reference beside it only. For few "
        "sounds the kernel distance is the most reliable; it is close to 0, or slightly below, if "
        "the two sets are alike."
    )
    said_of_pair = (
        f"The generated sound of seed {seed} is the nearest to a training clip, '{file}' at "
        f"{nearest['training_start_s']:.2f} s: {number(nearest['distance_db'])} dB away. If the "
        "model has memorised its recordings, the two sound alike."
    )
    held_out = known.get("nearest_training_median_db_held_out")
    return Invented(
        dozen=dozen,
        said_of_dozen=_said_of_dozen(len(dozen), len(clips), held_out, _learned_from(run)),
        privacy=_PRIVACY if holds_recordings(run.folder) else "",
        said=said,
        rows=rows,
        pair=_pair(run),
        said_of_pair=said_of_pair,
        command=command("timbrel", "generate", f"model={run.folder}", f"seed={seed}"),
    )


def _cell(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{number(row['value'])} (n = {row['n']:.0f})"


def _learned_from(run: Run) -> str:
    """The recordings that were trained on, with their number where it is known."""
    files = (run.card.get("trained_on") or {}).get("files")
    if not files:
        return "the recordings"
    return "the one recording" if files == 1 else f"the {files} recordings"


def _said_of_dozen(
    heard: int, drawn: int, held_out: dict[str, Any] | None, learned_from: str
) -> str:
    said = (
        f"The first {heard} of {drawn} sounds drawn from the prior, not chosen. Beneath each is "
        "the recording that it is nearest to, moment by moment"
    )
    if held_out is not None:
        value = number(held_out["value"])
        said += f"; recordings that were not trained on are {value} dB away from theirs (median)"
    said += (
        f". New sounds are made of {learned_from} that it was trained on: what these do not hold "
        "is not invented"
    )
    return f"{said}. Players hold the first {_OF_DOZEN_S:g} s, levels are as drawn."


def _dozen(run: Run, clips: list[dict[str, Any]]) -> tuple[Sound, ...]:
    """Every sound whose files are there, in the order of the table."""
    folder = run.evaluation_folder / "audio" / "generated"
    found = []
    for row in clips:
        seed = row["seed"]
        paths = [folder / f"seed_{seed}{beside}.wav" for beside in ("", "_nearest")]
        if not all(path.is_file() for path in paths):
            continue
        start_s = row["training_start_s"]
        place = f" at {start_s:.2f} s" if start_s else ""
        sound, recording = (
            _heard(path, _OF_DOZEN_S, label, small=True)
            for path, label in zip(
                paths, (f"new sound of seed {seed}", f"nearest to seed {seed}"), strict=True
            )
        )
        nearest = f"'{row['training_file']}'{place}, {number(row['distance_db'])} dB away"
        found.append(Sound(seed, row.get("made_of") or "", nearest, sound, recording))
    return tuple(found)


def _heard(path: Path, seconds: float, label: str, *, small: bool = False) -> tuple[Markup, Markup]:
    """Player and picture of the first `seconds` of a file."""
    size = {"size_in": _THUMB_IN, "dpi": _THUMB_DPI} if small else {}
    try:
        return heard(path, seconds, label, **size)
    except UserError as error:
        raise UserError(f"{error}; run timbrel evaluate again") from error


def _pair(run: Run) -> tuple[tuple[tuple[Markup, Markup], str], ...]:
    """Player and picture of the generated clip and of the training clip nearest to it."""
    sides = []
    for kind in _KINDS:
        path = run.evaluation_folder / "audio" / "generated" / f"{kind}.wav"
        if not path.is_file():
            return ()
        sides.append((_heard(path, _HEARD_S, f"nearest pair, {kind}"), kind))
    return tuple(sides)
