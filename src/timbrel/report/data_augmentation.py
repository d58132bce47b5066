"""Sounds and pictures of augmented recordings, for the inspect page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from timbrel.attributes.measurement import LEAST_RATE_HZ
from timbrel.audio.export import ExportSettings, export
from timbrel.audio.names import file_stem
from timbrel.data.augmentation import Audio, Augment, Chain, Change, Changed
from timbrel.data.scan.catalog import Catalog
from timbrel.errors import UserError
from timbrel.randomness import numpy_generator
from timbrel.report.figures import spectrogram_png
from timbrel.report.page import audio_player, picture
from timbrel.report.run_listening import Hear, excerpt, spread

FILES, VERSIONS = 4, 3
_LONGEST_S = 4.0


@dataclass(frozen=True)
class Version:
    """A recording, before or after: words, player and picture; `seen` is the encoder's view."""

    words: str
    player: Markup
    picture: Markup
    seen: Markup | None = None


@dataclass(frozen=True)
class AugmentedFile:
    """A recording and what training would make of it."""

    name: str
    versions: tuple[Version, ...]
    """The first is the recording itself."""


def augmented_files(
    catalog: Catalog,
    augment: Augment,
    folder: Path,
    *,
    seed: int = 0,
    hear: Hear = excerpt,
) -> list[AugmentedFile]:
    """A few recordings before and after, also written to `folder` as 24-bit WAVs.

    Heavy transforms are applied whether they are to be rendered ahead or not; what is mixed in is
    the next of these recordings, where it has the same rate; `hear` reads them. Files that
    can no longer be read, and those below 1000 Hz, are left out. Raises UserError where a transform
    lacks its library, or `folder` cannot be written.
    """
    chain = Chain(augment.ahead.transforms | augment.live.transforms)
    files = catalog.training_files
    heard: list[tuple[int, str, Audio, int]] = []
    for index in spread(len(files), FILES):
        try:
            audio, rate_hz = hear(catalog.absolute(files[index]), _LONGEST_S)
        except UserError:
            continue  # gone since it was scanned: the page stands without it
        if rate_hz >= LEAST_RATE_HZ:
            heard.append((index, files[index].path, audio, rate_hz))
    found = []
    for place, (index, name, audio, rate_hz) in enumerate(heard):
        versions = [_version(name, "before", audio, rate_hz, folder, index, 0)]
        _, _, other, other_rate_hz = heard[(place + 1) % len(heard)]
        for number in range(1, VERSIONS + 1):
            rng = numpy_generator(seed, number, f"inspect/{name}")
            of_mix, of_mask = rng.spawn(2)
            changed = chain(audio, rate_hz, rng)
            mix = augment.mix if other_rate_hz == rate_hz else None
            if mix is not None and of_mix.random() < mix.probability:
                mixed = mix(changed.audio, _fitted(other, changed.audio), of_mix)
                changed = Changed(mixed.audio, changed.change.then(mixed.change))
            of_pair = numpy_generator(seed, number, f"inspect/counterfactual/{name}")
            input_audio, changed = changed.audio, _target(augment, changed, rate_hz, of_pair)
            seen = None if input_audio is changed.audio else input_audio
            if augment.mask is not None and of_mask.random() < augment.mask.probability:
                seen = augment.mask(input_audio, rate_hz, of_mask)
            words = change_words(changed.change)
            versions.append(
                _version(name, words, changed.audio, rate_hz, folder, index, number, seen=seen)
            )
        found.append(AugmentedFile(name, tuple(versions)))
    return found


def _target(augment: Augment, heard: Changed, rate_hz: int, rng: np.random.Generator) -> Changed:
    """What the decoder must give: of a counterfactual pair another version of `heard`."""
    if augment.counterfactual is None:
        return heard
    version = augment.counterfactual.version(heard.audio, rate_hz, rng)
    return Changed(version.audio, heard.change.then(version.change))


def _fitted(other: Audio, audio: Audio) -> Audio:
    """`other` with the channels of `audio` (by way of mono) and its length, repeated."""
    if len(other) != len(audio):
        other = np.repeat(other.mean(0, keepdims=True), len(audio), axis=0)
    times = -(-audio.shape[1] // other.shape[1])
    return np.tile(other, (1, times))[:, : audio.shape[1]]


def change_words(change: Change) -> str:
    """A change of pitch and durations in words.

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
    seen: Audio | None = None,
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
        if seen is None
        else picture(spectrogram_png(seen, rate_hz), f"What the encoder sees of {label}"),
    )


def transforms_words(augment: Augment) -> Sequence[tuple[str, str]]:
    """Each transform in use and how often it is applied, for a list."""
    used = augment.ahead.transforms | augment.live.transforms
    rows = [(name, f"{100 * transform.probability:g} %") for name, transform in used.items()]
    pairs = augment.counterfactual
    for name, part in (("mix", augment.mix), ("counterfactual", pairs), ("mask", augment.mask)):
        if part is not None:
            rows.append((name, f"{100 * part.probability:g} %"))
    for name, transform in pairs.chain.transforms.items() if pairs is not None else ():
        rows.append((f"{name} of a pair's target", f"{100 * transform.probability:g} %"))
    return rows
