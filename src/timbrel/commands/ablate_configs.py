"""The resolved configs of a study's runs, remembered from one call of `timbrel ablate` to the next.

Composing a cell takes a fifth of a second. A call whose runs are all finished needs no more of a
config than its signature, so what was composed before is asked first. Whatever else is to be done,
every cell is composed and checked again.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import timbrel
from timbrel.config.options import conf_folder, user_conf_folder
from timbrel.errors import UserError
from timbrel.files import write_text

_FILE = "configs.json"
_ENVIRONMENT = ("HOME", "TIMBREL_CONF")


class Configs:
    """`configs.json` in the folder of a study: the config of each run by its overrides.

    They are forgotten where a file of timbrel's or an option of `conf/` or `./conf` is another, or
    the working folder. An option that reads the environment (`oc.env`) is never remembered.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._made_of = _made_of()
        self._known: dict[str, Any] = {}
        try:
            found = json.loads(self._path.read_text("utf-8"))
            if self._made_of and found["made_of"] == self._made_of:
                self._known = dict(found["configs"])
        except (OSError, ValueError, TypeError, KeyError):
            return  # composed again

    def of(self, overrides: Sequence[str]) -> dict[str, Any] | None:
        """The config that `overrides` were composed to before; None where that is not known."""
        return self._known.get("\n".join(overrides))

    def remember(self, configs: Mapping[tuple[str, ...], Mapping[str, Any]]) -> None:
        """Keep the configs of this study by their overrides, where its folder exists."""
        known = {"\n".join(overrides): config for overrides, config in configs.items()}
        if self._made_of and self._path.parent.is_dir() and known != self._known:
            self._known = known
            write_text(self._path, json.dumps({"made_of": self._made_of, "configs": known}))


def _made_of() -> str:
    """A digest of what a config follows from beside its overrides; empty where nobody can tell."""
    lines = [os.getcwd(), *(f"{name}={os.environ.get(name)}" for name in _ENVIRONMENT)]
    own = user_conf_folder()
    try:
        if own is not None and any(b"oc.env" in file.read_bytes() for file in _files(own, "yaml")):
            return ""
        folders = [(Path(timbrel.__file__).parent, "py"), (conf_folder(), "yaml")]
        for folder, ending in [*folders, *([(own, "yaml")] if own else [])]:
            for file in _files(folder, ending):
                status = file.stat()
                lines.append(f"{file} {status.st_size} {status.st_mtime_ns}")
    except (OSError, UserError):
        return ""
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _files(folder: Path, ending: str) -> Iterator[Path]:
    return iter(sorted(folder.rglob(f"*.{ending}")))
