"""A rendered sound: its samples, and how it was made."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timbrel.audio.export import ExportReport, ExportSettings, export
from timbrel.library.render_settings import Samples


@dataclass(frozen=True)
class Audio:
    """A rendered sound: float32 `samples` (channel time) and how it was made."""

    samples: Samples
    rate_hz: int
    metadata: Mapping[str, Any]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.rate_hz

    def save(self, path: Path | str, *, overwrite: bool = False, **settings: Any) -> ExportReport:
        """Write a sound file; `settings` are those of `ExportSettings`.

        Without `format` the path's suffix decides. The bytes are those that `timbrel generate`
        writes with the same arguments. Raises UserError as `timbrel.audio.export.export`.
        """
        path = Path(path)
        if "format" not in settings and path.suffix.lower() in (".wav", ".flac"):
            settings["format"] = path.suffix[1:]
        return export(
            path,
            [self.samples],
            rate_hz=self.rate_hz,
            settings=ExportSettings(**settings),
            metadata=self.metadata,
            seed=int(self.metadata.get("seed") or 0),
            overwrite=overwrite,
        )
