"""Optional parts of a bundle, by name: `prior`, `mapper`, `presets` ... each in `parts/<name>/`.

A part is added without a change in the bundle's other files, and stands or falls by itself: its
folder holds `part.json`, with the checksums of its files and the hash of the model that it was made
for. A timbrel that does not know a part leaves it alone. Saving a new model there drops them all.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from timbrel.errors import UserError
from timbrel.files import replacing_folder, write_text

_FOLDER = "parts"
_RECORD = "part.json"


def add_part(folder: Path, name: str, write: Callable[[Path], None]) -> Path:
    """Have `write` fill the part `name` of the bundle at `folder`; the part's folder.

    `write` gets an empty folder. The part appears whole or not at all, and replaces an earlier one.

    Raises UserError where the bundle's card cannot be read or the part cannot be written;
    ValueError where the name is none, or `write` makes no file or takes the record's name.
    """
    if not name.isidentifier():
        raise ValueError(f"part '{name}': letters, digits and underscores")
    model_hash = _model_hash(folder)
    place = part_folder(folder, name)
    with replacing_folder(place) as draft:
        write(draft)
        files = _checksums(draft)
        if not files or (draft / _RECORD).exists():
            raise ValueError(f"part '{name}': write one file or more, none called {_RECORD}")
        record = {"model_hash": model_hash, "checksums": files}
        write_text(draft / _RECORD, json.dumps(record, indent=2, sort_keys=True) + "\n")
    return place


def part_folder(folder: Path, name: str) -> Path:
    """Where the part `name` of the bundle at `folder` lies, or would."""
    return folder / _FOLDER / name


def part_names(folder: Path) -> list[str]:
    """The parts of the bundle at `folder`, known to this timbrel or not."""
    return sorted(record.parent.name for record in (folder / _FOLDER).glob(f"*/{_RECORD}"))


def part(folder: Path, name: str) -> Path | None:
    """The folder of the part `name` of the bundle at `folder`; None where it has none.

    Raises UserError where the part is damaged, or was made for another model.
    """
    place = part_folder(folder, name)
    if not place.is_dir():
        return None
    try:
        record = json.loads((place / _RECORD).read_text("utf-8"))
        made_for, checksums = record["model_hash"], record["checksums"]
        whole = checksums == _checksums(place)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"'{place}' is damaged: {error}; {_way_out(place)}") from error
    if not whole:
        raise UserError(
            f"'{place}' is damaged: its files do not have the checksums of {_RECORD}; "
            f"{_way_out(place)}"
        )
    if made_for != _model_hash(folder):
        raise UserError(f"'{place}' was made for another model; {_way_out(place)}")
    return place


def _way_out(place: Path) -> str:
    return f"make '{place.name}' again, copy it again, or remove that folder"


def _model_hash(folder: Path) -> str:
    path = folder / "card.json"
    try:
        return str(json.loads(path.read_text("utf-8"))["model_hash"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"'{path}' is damaged: {error}") from error


def _checksums(place: Path) -> dict[str, str]:
    """The SHA-256 of every file but the record, by its path in the part."""
    found = {}
    for path in sorted(place.rglob("*")):
        if path.is_file() and path != place / _RECORD:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(place).as_posix()] = digest
    return found
