"""What an augmentation does to recordings, to hear and to see before anything is trained."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from timbrel.analysis.report.figures import spectrogram_png
from timbrel.analysis.report.page import audio_player, picture
from timbrel.analysis.report.run_listening import excerpt, spread
from timbrel.audio.export import ExportSettings, export
from timbrel.audio.names import file_stem
from timbrel.data.augmentation import Audio, Augment, Chain, Change
from timbrel.data.catalog import Catalog
from timbrel.errors import UserError
from timbrel.randomness import numpy_generator

FILES, VERSIONS = 4, 3
_LONGEST_S = 4.0


@dataclass(frozen=True)
class Version:
    """A recording, before or after: words, player and picture; `masked` is the encoder's view."""

    words: str
    player: Markup
    picture: Markup
    masked: Markup | None = None


@dataclass(frozen=True)
class AugmentedFile:
    """A recording and what training would make of it."""

    name: str
    versions: tuple[Version, ...]
    """The first is the recording itself."""


def augmented_files(
    catalog: Catalog, augment: Augment, folder: Path, *, seed: int = 0
) -> list[AugmentedFile]:
    """A few recordings before and after, also written to `folder` as 24-bit WAVs.

    Heavy transforms are applied whether they are to be rendered ahead or not. Files that can no
    longer be read are left out. Raises UserError where a transform lacks its library, or `folder`
    cannot be written.
    """
    chain = Chain(augment.ahead.transforms | augment.live.transforms)
    files = catalog.training_files
    found = []
    for index in spread(len(files), FILES):
        file = files[index]
        try:
            audio, rate_hz = excerpt(catalog.absolute(file), _LONGEST_S)
        except UserError:
            continue  # gone since it was scanned: the page stands without it
        versions = [_version(file.path, "before", audio, rate_hz, folder, index, 0)]
        for number in range(1, VERSIONS + 1):
            rng = numpy_generator(seed, number, f"inspect/{file.path}")
            of_mask = rng.spawn(1)[0]
            changed = chain(audio, rate_hz, rng)
            seen = None
            if augment.mask is not None and of_mask.random() < augment.mask.probability:
                seen = augment.mask(changed.audio, rate_hz, of_mask)
            versions.append(
                _version(
                    file.path,
                    change_words(changed.change),
                    changed.audio,
                    rate_hz,
                    folder,
                    index,
                    number,
                    masked=seen,
                )
            )
        found.append(AugmentedFile(file.path, tuple(versions)))
    return found


def change_words(change: Change) -> str:
    """What is known of a change.

    >>> change_words(Change(f0_ratio=2.0, time_ratio=0.5))
    'pitch +12.0 semitones, durations \u00d70.50'
    """
    words = []
    if math.isnan(change.f0_ratio):
        words.append("pitch no longer known")
    elif change.f0_ratio != 1:
        words.append(f"pitch {12 * math.log2(change.f0_ratio):+.1f} semitones")
    if change.time_ratio != 1:
        words.append(f"durations \u00d7{change.time_ratio:.2f}")
    return ", ".join(words) or "pitch and durations as before"


def _version(
    name: str,
    words: str,
    audio: Audio,
    rate_hz: int,
    folder: Path,
    index: int,
    number: int,
    *,
    masked: Audio | None = None,
) -> Version:
    label = f"{name}, {words}"
    kind = "before" if number == 0 else f"after_{number}"
    export(
        folder / f"{index:03d}_{file_stem(name)}_{kind}.wav",
        [audio],
        rate_hz=rate_hz,
        settings=ExportSettings(sample_rate_hz=rate_hz),
        metadata={"title": f"{file_stem(name)} {kind}"},
        overwrite=True,
    )
    return Version(
        words,
        audio_player(np.clip(audio, -1, 1), rate_hz, label),
        picture(spectrogram_png(audio, rate_hz), f"Spectrogram of {label}"),
        None
        if masked is None
        else picture(spectrogram_png(masked, rate_hz), f"What the encoder sees of {label}"),
    )


def transforms_words(augment: Augment) -> Sequence[tuple[str, str]]:
    """Each transform in use and how often it is applied, for a list."""
    used = augment.ahead.transforms | augment.live.transforms
    rows = [(name, f"{100 * transform.probability:g} %") for name, transform in used.items()]
    for name, part in (("mix", augment.mix), ("mask", augment.mask)):
        if part is not None:
            rows.append((name, f"{100 * part.probability:g} %"))
    return rows
