"""The part `prior` of a bundle: which prior draws its new sounds, and what it draws on."""

import json
from pathlib import Path
from typing import Any

from timbrel.config.choices import TextureKind
from timbrel.errors import UserError
from timbrel.files import write_text
from timbrel.generation.prior.bank import Bank, has_bank, load_bank, save_bank
from timbrel.generation.prior.draw import Prior
from timbrel.generation.prior.flow import Flow, load_flow, save_flow
from timbrel.generation.prior.kinds import make_prior
from timbrel.generation.prior.recordings import Recordings, load_recordings
from timbrel.library.bundle import Bundle
from timbrel.library.card import state_codes
from timbrel.library.optional_parts import add_part

NAME = "prior"
_RECORD = "prior.json"


def save_prior(
    folder: Path,
    kind: str,
    bank: Bank | None,
    recordings: Recordings | None = None,
    flow: Flow | None = None,
    texture: TextureKind = TextureKind.quilt,
) -> None:
    """Make `kind` the prior of the bundle at `folder`; what it does not need is None.

    The bundle's card says from then on whether it holds the recordings' codes. `recordings` are
    those that new sounds are compared with; `texture` says how textures are drawn.

    Raises UserError as `timbrel.library.optional_parts.add_part`.
    """

    def write(draft: Path) -> None:
        record: dict[str, Any] = {"kind": kind}
        if texture != TextureKind.quilt:
            record["texture"] = str(texture)
        if flow is not None:
            save_flow(draft, flow)
        if bank is not None:
            save_bank(draft, bank)
            if recordings is not None:
                record["recordings"] = recordings.save(draft)
        write_text(draft / _RECORD, json.dumps(record) + "\n")

    # Where this is interrupted the card says too much rather than too little.
    if bank is not None:
        state_codes(folder, holds_codes=True)
    add_part(folder, NAME, write)
    state_codes(folder, holds_codes=bank is not None)


def prior_of(bundle: Bundle) -> Prior:
    """What draws the new sounds of `bundle`; without the part the moments of its codes.

    Raises UserError where the part is damaged, of a later timbrel, or for another model.
    """
    place = bundle.part(NAME)
    kind, bank, flow, texture = "gaussian", None, None, TextureKind.quilt
    if place is not None:
        record = _record(place)
        kind, texture = record["kind"], record.get("texture", texture)
        if kind == "flow":
            flow = load_flow(place)
            space = flow.space
            _check_widths(len(space.code_mean), len(space.clip_mean), space.tracks, bundle, place)
        if has_bank(place) if kind == "flow" else kind != "gaussian":
            bank = load_bank(place)
            clip = bank.clips[0]
            width = len(clip.rows) - len(bank.tracks)
            _check_widths(width, len(clip.clip_code), bank.tracks, bundle, place)
    try:
        return make_prior(
            kind,
            bank,
            bundle.statistics,
            hop_samples=bundle.model.hop_samples,
            sample_rate_hz=bundle.model.sample_rate_hz,
            flow=flow,
            texture=TextureKind(texture),
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


def _check_widths(
    latent: int, clip_latent: int, tracks: tuple[str, ...], bundle: Bundle, place: Path
) -> None:
    model = bundle.model
    found = (latent, clip_latent, tracks)
    needed = (model.latent_dim, model.clip_dim, model.conditions)
    if found != needed:
        raise UserError(
            f"'{place}' is of widths and tracks {found}, the model's are {needed}; {_AGAIN}"
        )
