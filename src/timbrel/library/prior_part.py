"""The part `prior` of a bundle: which prior draws its new sounds, and the bank that it draws on."""

import json
from pathlib import Path

from timbrel.errors import UserError
from timbrel.files import write_text
from timbrel.generation.prior.bank import Bank, load_bank, save_bank
from timbrel.generation.prior.draw import Prior
from timbrel.generation.prior.kinds import make_prior
from timbrel.library.bundle import Bundle
from timbrel.library.optional_parts import add_part

NAME = "prior"
_RECORD = "prior.json"


def save_prior(folder: Path, kind: str, bank: Bank | None) -> None:
    """Make `kind` the prior of the bundle at `folder`; `bank` is None where it needs none.

    Raises UserError as `timbrel.library.optional_parts.add_part`.
    """

    def write(draft: Path) -> None:
        write_text(draft / _RECORD, json.dumps({"kind": kind}) + "\n")
        if bank is not None:
            save_bank(draft, bank)

    add_part(folder, NAME, write)


def prior_of(bundle: Bundle) -> Prior:
    """What draws the new sounds of `bundle`; without the part the moments of its codes.

    Raises UserError where the part is damaged, of a later timbrel, or for another model.
    """
    place = bundle.part(NAME)
    kind, bank = "gaussian", None
    if place is not None:
        try:
            kind = str(json.loads((place / _RECORD).read_text("utf-8"))["kind"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"'{place / _RECORD}' cannot be read: {error}; {_AGAIN}") from error
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
