"""The part `mapper` of a bundle: its sliders."""

from pathlib import Path

from timbrel.generation.controls.mapper import Mapper, load_mapper
from timbrel.library.bundle import Bundle
from timbrel.library.optional_parts import add_part

NAME = "mapper"


def save_mapper(folder: Path, mapper: Mapper) -> None:
    """Make `mapper` that of the bundle at `folder`.

    Raises UserError as `timbrel.library.optional_parts.add_part`.
    """
    add_part(folder, NAME, mapper.save)


def mapper_of(bundle: Bundle) -> Mapper | None:
    """The sliders of `bundle`; None where it has none.

    Raises UserError where the part is damaged, of a later timbrel, or for another model.
    """
    place = bundle.part(NAME)
    return None if place is None else load_mapper(place)
