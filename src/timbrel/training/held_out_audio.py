"""Held-out clips through the model at intervals: WAVs and spectrogram pictures in the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from timbrel.analysis.pictures import save_spectrogram_pair
from timbrel.training.callbacks import Validation
from timbrel.training.module import Training


@dataclass(frozen=True)
class HeldOutClip:
    """A validation excerpt: its name and `(channel, time)` audio."""

    name: str
    audio: NDArray[np.float32]


@dataclass(frozen=True)
class HeldOutFiles:
    """What one clip wrote."""

    name: str
    audio: Path
    picture: Path


class HeldOutAudio(pl.Callback):
    """Writes `audio/validation/step_<n>/<clip>.wav|png` every so many validations and at the end.

    A watcher: averaged weights, posterior mean. `files` holds what the last step wrote.
    """

    def __init__(
        self,
        folder: Path,
        clips: Sequence[HeldOutClip],
        validation: Validation,
        *,
        rate_hz: int,
        every_validations: int,
    ) -> None:
        self.folder, self.clips, self.validation = folder, clips, validation
        self.rate_hz, self.every_validations = rate_hz, every_validations
        self.files: list[HeldOutFiles] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Write where due."""
        self.files = []
        due = self.validation.count % self.every_validations == 0 or trainer.should_stop
        if self.validation.result is None or not due or not trainer.is_global_zero:
            return
        for clip in self.clips:
            self.files.append(self._write(module, clip))

    @torch.no_grad()
    def _write(self, module: Training, clip: HeldOutClip) -> HeldOutFiles:
        model = module.averaged
        audio = torch.from_numpy(clip.audio)[None].to(module.device)
        decoded = model.decode(model.encode(audio).mean)[0, :, : clip.audio.shape[1]]
        reconstruction = decoded.float().cpu().numpy()
        folder = self.folder / "validation" / f"step_{module.step:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        stem = Path(clip.name).stem[:80].replace("\n", " ")
        wav, png = folder / f"{stem}.wav", folder / f"{stem}.png"
        soundfile.write(wav, np.clip(reconstruction.T, -1, 1), self.rate_hz, subtype="PCM_24")
        save_spectrogram_pair(
            png,
            clip.audio,
            reconstruction,
            rate_hz=self.rate_hz,
            title=f"{stem}, step {module.step}",
        )
        return HeldOutFiles(stem, wav, png)
