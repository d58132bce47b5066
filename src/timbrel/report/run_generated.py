"""Sounds generated from the prior, for the page: scores with their n, and the nearest pair."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from timbrel.errors import UserError
from timbrel.report.figures import spectrogram_png
from timbrel.report.page import audio_player, number, picture
from timbrel.report.run_listening import excerpt
from timbrel.report.run_warnings import command
from timbrel.runs.folder import Run, read_table

_HEARD_S = 4.0
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
    ("smoothness between two recordings", "smoothness", None, "1: equal steps"),
)
_OF_SETS = {"aisfx": "; the first two rows use aiSFX, a network trained on sound effects"}
"""The words for the embedding of the first two rows."""


@dataclass(frozen=True)
class Invented:
    """The section of the page; `pair` is empty where its sounds are not there."""

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
        for words, name, control, by in _ROWS
        if name in known
    )
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
    return Invented(
        said=said,
        rows=rows,
        pair=_pair(run),
        said_of_pair=said_of_pair,
        command=command("timbrel", "generate", f"model={run.folder}", f"seed={seed}"),
    )


def _cell(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{number(row['value'])} (n = {row['n']:.0f})"


def _pair(run: Run) -> tuple[tuple[tuple[Markup, Markup], str], ...]:
    """Player and picture of the generated clip and of the training clip nearest to it."""
    sides = []
    for kind in _KINDS:
        path = run.evaluation_folder / "audio" / "generated" / f"{kind}.wav"
        if not path.is_file():
            return ()
        try:
            audio, rate_hz = excerpt(path, _HEARD_S)
        except UserError as error:
            raise UserError(f"{error}; run timbrel evaluate again") from error
        label = f"nearest pair, {kind}"
        sides.append(
            (
                (
                    audio_player(audio, rate_hz, label),
                    picture(spectrogram_png(audio, rate_hz), f"Spectrogram of {label}"),
                ),
                kind,
            )
        )
    return tuple(sides)
