"""Where rendered sounds go: the file that the user named, or free names in a folder."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from timbrel.audio.names import fitting
from timbrel.audio.origin import comment_in, comment_of
from timbrel.data.scan.tree import AUDIO_SUFFIXES
from timbrel.errors import UserError
from timbrel.paths import user_path

if TYPE_CHECKING:
    from timbrel.audio.export import ExportSettings

DEFAULT_FOLDER = Path("outputs", "generated")


class Target:
    """Where files go: the file that the user named, or free names in a folder."""

    def __init__(self, output: str | None, settings: "ExportSettings") -> None:
        path = None if output is None else user_path(output, "output")
        self.suffix = f".{settings.format}"
        self.file: Path | None = None
        named = path is not None and path.suffix.lower() in AUDIO_SUFFIXES
        if path is None or os.path.isdir(path) or not named:
            self.folder = path or DEFAULT_FOLDER
            if self.folder.exists() and not self.folder.is_dir():
                raise UserError(f"output={output} exists and is no folder; name another")
            return
        if path.suffix.lower() != self.suffix:
            raise UserError(
                f"output={output} ends in {path.suffix} but export.format={settings.format}; "
                f"add export={path.suffix[1:]} (wav or flac) or rename the output"
            )
        if path.exists():
            # Before anything is rendered: export would refuse it too, only later.
            raise UserError(f"output={output} exists; remove it or name another")
        self.file = path

    def path_of(self, stem: Path, metadata: Mapping[str, object]) -> tuple[Path, bool]:
        """As `path`; a file that a killed batch left, which is the same sound, is written again."""
        plain = self.folder / f"{fitting(stem.name)}{self.suffix}"
        if os.path.isfile(plain) and comment_in(plain) == comment_of(metadata):
            return plain, True
        return self.path(stem), False

    def path(self, stem: Path) -> Path:
        """The named file, or `stem` below the folder with -2, -3, ... where it is taken."""
        if self.file is not None:
            return self.file
        number, stem = 1, stem.with_name(fitting(stem.name))
        while True:
            name = stem.name if number == 1 else f"{stem.name}-{number}"
            path = self.folder / stem.with_name(f"{name}{self.suffix}")
            if not os.path.lexists(path):
                return path
            number += 1
