"""The part `prior` of a bundle: which prior draws its new sounds, and the bank that it draws on."""

import json
from pathlib import Path
from typing import Any

from timbrel.errors import UserError
from timbrel.files import write_text
from timbrel.generation.prior.bank import Bank, load_bank, save_bank
from timbrel.generation.prior.draw import Prior
from timbrel.generation.prior.kinds import make_prior
from timbrel.generation.prior.recordings import Recordings, load_recordings
from timbrel.library.bundle import Bundle
from timbrel.library.optional_parts import add_part

NAME = "prior"
_RECORD = "prior.json"


def save_prior(
    folder: Path, kind: str, bank: Bank | None, recordings: Recordings | None = None
) -> None:
    """Make `kind` the prior of the bundle at `folder`; `bank` is None where it needs none.

    `recordings` are those that new sounds are compared with.

    Raises UserError as `timbrel.library.optional_parts.add_part`.
    """

    def write(draft: Path) -> None:
        record: dict[str, Any] = {"kind": kind}
        if bank is not None:
            save_bank(draft, bank)
            if recordings is not None:
                record["recordings"] = recordings.save(draft)
        write_text(draft / _RECORD, json.dumps(record) + "\n")

    add_part(folder, NAME, write)


def prior_of(bundle: Bundle) -> Prior:
    """What draws the new sounds of `bundle`; without the part the moments of its codes.

    Raises UserError where the part is damaged, of a later timbrel, or for another model.
    """
    place = bundle.part(NAME)
    kind, bank = "gaussian", None
    if place is not None:
        kind = _record(place)["kind"]
        if kind != "gaussian":
            bank = load_bank(place)
            _check_widths(bank, bundle, place)
    try:
        return make_prior(
            kind,
            bank,
            bundle.statistics,
            hop_samples=bundle.model.hop_samples,
            sample_rate_hz=bundle.model.sample_rate_hz,
        )
    except ValueError as error:
        raise UserError(f"'{place}': {error}; {_AGAIN}") from error


def recordings_in(bundle: Bundle) -> Recordings | None:
    """The recordings that new sounds of `bundle` are compared with; None where it has none.

    Raises UserError where the part is damaged, or for another model.
    """
    place = bundle.part(NAME)
    record = None if place is None else _record(place).get("recordings")
    if place is None or record is None:
        return None
    try:
        return load_recordings(place, record)
    except ValueError as error:
        raise UserError(f"{error}; {_AGAIN}") from error


def _record(place: Path) -> dict[str, Any]:
    try:
        record = json.loads((place / _RECORD).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"'{place / _RECORD}' cannot be read: {error}; {_AGAIN}") from error
    if not (isinstance(record, dict) and isinstance(record.get("kind"), str)):
        raise UserError(f"'{place / _RECORD}' cannot be read: it has no kind; {_AGAIN}")
    return record


_AGAIN = "make it again: timbrel prior run=RUN"


def _check_widths(bank: Bank, bundle: Bundle, place: Path) -> None:
    model = bundle.model
    clip = bank.clips[0]
    found = (len(clip.rows) - len(bank.tracks), len(clip.clip_code), bank.tracks)
    needed = (model.latent_dim, model.clip_dim, model.conditions)
    if found != needed:
        raise UserError(
            f"'{place}' is of widths and tracks {found}, the model's are {needed}; {_AGAIN}"
        )
