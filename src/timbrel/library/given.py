"""Files, presets and codes as a model takes them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from timbrel.config.values import PRESET
from timbrel.contracts import Latent, joined
from timbrel.errors import UserError
from timbrel.generation.engine import render
from timbrel.generation.file_source import FileSource
from timbrel.generation.prior.bank import BankClip
from timbrel.generation.prior.encoded import clip_of, encoded_clip
from timbrel.generation.source import FixedSource
from timbrel.library.bundle import Bundle
from timbrel.library.presets import load_preset


@dataclass(frozen=True)
class Given:
    """What a user gives the model of `bundle`."""

    bundle: Bundle

    def clip(self, given: str) -> BankClip:
        """The code of a whole file or preset (`preset:NAME`), with its extent.

        Raises UserError where it cannot be read, or is silent.
        """
        model = self.bundle.model
        if given.startswith(PRESET):
            preset = load_preset(self.bundle, given.removeprefix(PRESET))
            source = self.code(preset.code, preset.n_samples)
            audio = np.concatenate(list(render(model, source)), axis=1)
            rate_hz, hop = model.sample_rate_hz, model.hop_samples
            return clip_of(preset.code, audio, preset.name, rate_hz=rate_hz, hop_samples=hop)
        path = Path(given)
        audio = np.concatenate(list(self.file(path).audio()), axis=1)
        if not np.abs(audio).max() > 0:
            raise UserError(f"'{path}': nothing but silence; give a file that holds sound")
        return encoded_clip(model, audio, path.name)

    def played(self, given: str) -> FixedSource:
        """The code that `source=file` or `source=preset` plays, in memory."""
        if given.startswith(PRESET):
            preset = load_preset(self.bundle, given.removeprefix(PRESET))
            return self.code(preset.code, preset.n_samples)
        file = self.file(Path(given))
        return self.code(joined(list(file.blocks())), file.n_samples)

    def code(self, latent: Latent, n_samples: int | None) -> FixedSource:
        """`latent`, or its first `n_samples`. Raises UserError where the model does not play it."""
        model, name = self.bundle.model, self.bundle.card.name
        widths = (latent.frames.shape[1], latent.clip.shape[1])
        if widths != (model.latent_dim, model.clip_dim) or not latent.frames.shape[2]:
            raise UserError(
                f"a code of widths {widths} and {latent.frames.shape[2]} frames; '{name}' "
                f"plays {(model.latent_dim, model.clip_dim)}, one frame or more"
            )
        lacking = [n for n in model.conditions if n not in latent.conditions.tracks]
        if lacking:
            raise UserError(f"a code without {', '.join(lacking)}; '{name}' plays from each")
        return FixedSource(latent, hop_samples=model.hop_samples, n_samples=n_samples)

    def file(self, path: Path, max_samples: int | None = None) -> FileSource:
        """A file, or its first `max_samples`. Raises UserError where it cannot be read."""
        return FileSource(
            path,
            model=self.bundle.model,
            downmix=self.bundle.frontend.downmix,
            normalise=self.bundle.frontend.normalisation,
            max_samples=max_samples,
        )
