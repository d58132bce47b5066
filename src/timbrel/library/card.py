"""A bundle's records: its card and its front end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from timbrel import __version__
from timbrel.errors import UserError
from timbrel.files import write_text
from timbrel.generation.prior.bank import has_bank
from timbrel.library.optional_parts import part_folder

FORMAT_VERSION = 2
_KINDS: tuple[tuple[str, type, str], ...] = (
    *((key, str, "text") for key in ("name", "data_hash", "licence", "model_hash")),
    *((key, dict, "mapping") for key in ("metrics", "checksums")),
    ("holds_codes", bool, "true or false"),
)


@dataclass(frozen=True)
class Frontend:
    """The audio that the model expects, the same for training, analysis and generation.

    `normalisation` says to what each file's level is brought, "peak" or "loudness" (see
    `timbrel.audio.normalise`), "none" where levels are left alone; `conditions` names what the
    decoder needs per frame.
    """

    sample_rate_hz: int
    channels: int
    downmix: str = "mean"
    normalisation: str = "none"
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingData:
    """What a model was trained on: data set names, files and their length in seconds."""

    names: tuple[str, ...] = ()
    files: int = 0
    duration_s: float = 0.0


@dataclass(frozen=True)
class Card:
    """Where a model comes from. `parent` is the model hash it was continued from.

    `foreign` names the parts that are no network of timbrel's, such as `mine.Decoder`.
    `holds_codes` says that the bundle's part `prior` holds the codes of the recordings: who has the
    model can hear them.
    """

    name: str
    trained_on: TrainingData = field(default_factory=TrainingData)
    data_hash: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    parent: str | None = None
    licence: str = ""
    timbrel_version: str = __version__
    format_version: int = FORMAT_VERSION
    model_hash: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    holds_codes: bool = False


def read_card(folder: Path) -> Card:
    """The card of the bundle in `folder`. Raises UserError where it is damaged or too new."""
    path = folder / "card.json"
    values = _json(path)
    version = values.get("format_version")
    if not isinstance(version, int):
        raise UserError(f"'{path}' has no format_version: not a timbrel model")
    if version > FORMAT_VERSION:
        raise UserError(
            f"'{folder}' is of format {version} (timbrel {values.get('timbrel_version')}); "
            f"this timbrel {__version__} opens up to format {FORMAT_VERSION}: update timbrel"
        )
    for key, kind, words in _KINDS:
        if not isinstance(values.get(key, kind()), kind):
            raise UserError(f"'{path}' is damaged: {key} is no {words}")
    data = values.pop("trained_on", None) or {}
    try:
        values["foreign"] = tuple(values.get("foreign", ()))
        trained_on = TrainingData(**{**data, "names": tuple(data.get("names", ()))})
        # Format 1 did not say it.
        values.setdefault("holds_codes", has_bank(part_folder(folder, "prior")))
        return Card(**values, trained_on=trained_on)
    except (TypeError, AttributeError) as error:
        raise UserError(f"'{path}' is damaged: {error}") from error


def state_codes(folder: Path, holds_codes: bool) -> None:
    """Have the card of the bundle in `folder` say whether it holds its recordings' codes.

    Raises UserError where the card is damaged or cannot be written.
    """
    path = folder / "card.json"
    stated = {"holds_codes": holds_codes, "format_version": FORMAT_VERSION}
    write_json(path, _json(path) | stated)


def read_frontend(path: Path) -> Frontend:
    """The front end that the file at `path` tells of. Raises UserError where it is damaged."""
    values = _json(path)
    values.pop("parameters", None)  # written by earlier versions, no longer used
    try:
        return Frontend(**{**values, "conditions": tuple(values.get("conditions", ()))})
    except TypeError as error:
        raise UserError(f"'{path}' is damaged: {error}") from error


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` in an order that is always the same."""
    write_text(path, json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n")


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' is damaged: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"'{path}' is damaged: not a JSON object")
    return values
