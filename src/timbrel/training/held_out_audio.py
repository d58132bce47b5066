"""Held-out clips through the model at intervals: WAVs and spectrogram pictures in the run."""

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from timbrel.audio.names import file_stem, readable
from timbrel.audio.origin import comment_of, mark
from timbrel.contracts import Conditions
from timbrel.data.split.parts import Segment
from timbrel.files import WriteError, write_bytes
from timbrel.generation.file_source import conditions_of
from timbrel.report.pictures import save_spectrogram_pair
from timbrel.training.callbacks import Validation
from timbrel.training.module import Training


@dataclass(frozen=True)
class HeldOutClip:
    """A validation excerpt: its name and `(channel, time)` audio."""

    name: str
    audio: NDArray[np.float32]


@dataclass(frozen=True)
class HeldOutFiles:
    """What one clip wrote: `name` is the recording's, `number` its place among the clips, from 1.

    `original` is written once per run, the others at every step.
    """

    number: int
    name: str
    original: Path
    audio: Path
    picture: Path


def choose_clips(segments: Sequence[Segment], count: int) -> list[Segment]:
    """The `count` segments to listen to, by their contents alone.

    Runs on one data set hear the same clips under the same numbers, whatever their files are
    called and in whichever order they were found. Of one content, one segment is taken before a
    second is.
    """
    ordered = sorted(segments, key=lambda part: (part.clip.content_hash, part.start_sample))
    seen: dict[str, int] = {}
    ranked = []
    for segment in ordered:
        content = segment.clip.content_hash
        ranked.append((seen.get(content, 0), segment))
        seen[content] = seen.get(content, 0) + 1
    ranked.sort(key=lambda pair: pair[0])  # stable: by content within a rank
    return [segment for _, segment in ranked[:count]]


class HeldOutAudio(pl.Callback):
    """Writes `audio/validation/step_<n>/<clip>.wav|png` every so many validations and at the end.

    A watcher: averaged weights, posterior mean. `files` holds what the last step wrote. The
    originals lie in `audio/validation/original/`. A disk that refuses them is reported once and
    does not end the training.
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
        self.stems = _stems([clip.name for clip in clips])
        self.files: list[HeldOutFiles] = []
        self._conditions: dict[int, Conditions] = {}
        self._told = False

    def on_train_batch_end(self, trainer: pl.Trainer, module: Training, *_: Any) -> None:
        """Write where due."""
        self.files = []
        due = self.validation.count % self.every_validations == 0 or trainer.should_stop
        if self.validation.result is None or not due:
            return
        for index in range(len(self.clips)):
            try:
                self.files.append(self._write(module, index))
            except WriteError as error:
                if not self._told:
                    sys.stderr.write(f"sounds are left out: {error}\n")
                self._told = True
                return

    @torch.no_grad()
    def _write(self, module: Training, index: int) -> HeldOutFiles:
        clip, stem, model = self.clips[index], self.stems[index], module.averaged
        audio = torch.from_numpy(clip.audio)[None].to(module.device)
        if index not in self._conditions:  # the clip's own: they stay, whatever the weights are
            self._conditions[index] = conditions_of(model, clip.audio)
        conditions = self._conditions[index].map(lambda x: x.to(module.device))
        code = model.encode(audio, conditions).mean
        decoded = model.decode(code)[0, :, : clip.audio.shape[1]]
        reconstruction = decoded.float().cpu().numpy()
        folder = self.folder / "validation" / f"step_{module.step:06d}"
        wav, png = folder / f"{stem}.wav", folder / f"{stem}.png"
        original = self.folder / "validation" / "original" / f"{stem}.wav"
        if not original.exists():
            self._write_wav(original, clip.audio)
        self._write_wav(wav, reconstruction, made="reconstruction")
        save_spectrogram_pair(
            png,
            clip.audio,
            reconstruction,
            rate_hz=self.rate_hz,
            title=f"{stem}, step {module.step}",
        )
        return HeldOutFiles(index + 1, readable(clip.name), original, wav, png)

    def _write_wav(self, path: Path, audio: NDArray[np.float32], made: str | None = None) -> None:
        wav = io.BytesIO()
        settings = {"samplerate": self.rate_hz, "channels": len(audio), "subtype": "PCM_24"}
        with soundfile.SoundFile(wav, "w", format="WAV", **settings) as file:
            if made is not None:
                mark(file, comment_of({"source": made}))
            file.write(np.clip(audio.T, -1, 1))
        write_bytes(path, wav.getbuffer())


def _stems(names: Sequence[str]) -> list[str]:
    """A file name for every clip; `a/kick.wav` and `b/kick.wav` do not overwrite one another."""
    stems: list[str] = []
    for name in names:
        stem = file_stem(name)
        number, free = 2, stem
        while free in stems:
            free, number = f"{stem}_{number}", number + 1
        stems.append(free)
    return stems
