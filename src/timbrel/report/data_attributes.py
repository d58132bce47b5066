"""The attributes of the recordings on the inspect page: distributions, gaps, f0 tracks."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from timbrel.attributes.measurement import Measurement
from timbrel.attributes.registry import CLIP_ATTRIBUTES, Attribute
from timbrel.data.chunks.conditions import voiced_share
from timbrel.data.measured.attribute_table import AttributeTable
from timbrel.data.scan.catalog import Catalog
from timbrel.errors import UserError
from timbrel.report.figures import histogram, spectrogram_png
from timbrel.report.page import Notice, drawing, number, picture
from timbrel.report.run_listening import excerpt
from timbrel.words import printable

# Shown on an axis that says the same.
_SHOWN_OTHERWISE = frozenset({"loudness_lufs", "log_f0_octaves", "log_centroid_octaves"})
_WHY = {
    "sound": "no sound",
    "voiced": "no clear pitch, or too few partials",
    "onset": "no onset, or too little after it",
    "stereo": "not stereo",
}
# Fewer values than this have gaps by chance alone.
LEAST_FILES = 8
_LEAST_GAP = 0.2
_SIDE_FILES = 2
_NAMED = 3
_MOST_GAPS = 6
_RARE_SHARE = 0.25
PICTURES = 4
_PICTURE_S = 4.0
_LEAST_CONFIDENCE = 0.3


@dataclass(frozen=True)
class AttributeSection:
    """What the page shows: distributions with what was left out, gaps, and pictures of f0.

    `voiced` is how much of what sounds has a clear pitch (`voiced_share`).
    """

    voiced: float
    figures: tuple[tuple[str, str, Markup], ...]
    gaps: tuple[Notice, ...]
    pictures: tuple[tuple[str, Markup], ...]


def attribute_section(catalog: Catalog, table: AttributeTable) -> AttributeSection:
    """The section of `catalog`'s training files, measured as `table`, row by row."""
    shown = [known for known in CLIP_ATTRIBUTES if known.name not in _SHOWN_OTHERWISE]
    return AttributeSection(
        voiced=voiced_share(found for found in table.measurements if found is not None),
        figures=tuple(_figure(attribute, table) for attribute in shown),
        gaps=tuple(_gaps(shown, table)),
        pictures=tuple(_pictures(catalog, table)),
    )


def gap_sentence(attribute: Attribute, values: NDArray[np.floating]) -> tuple[float, str] | None:
    """The widest gap of at least eight defined values, as a share of their range and in words.

    None where no gap is wider than a fifth of the range and than chance makes it: among n even
    draws the widest is ln(n) / n of it on average; twice that counts. Distances are logarithmic
    where the attribute's axis is. A gap with a single file beyond it is an outlier, not a gap.
    """
    ordered = np.sort(values.astype(np.float64))
    if len(ordered) < LEAST_FILES or ordered[-1] - ordered[0] <= 10 * (attribute.noise or 0.0):
        return None
    axis = np.log(ordered) if attribute.logarithmic and ordered[0] > 0 else ordered
    inner = np.diff(axis)[_SIDE_FILES - 1 : len(axis) - _SIDE_FILES]
    index = int(np.argmax(inner)) + _SIDE_FILES - 1
    share = float((axis[index + 1] - axis[index]) / (axis[-1] - axis[0]))
    if share < max(_LEAST_GAP, 2 * math.log(len(axis)) / len(axis)):
        return None
    below = index + 1
    between = f"{number(ordered[index])} and {number(ordered[index + 1])} {attribute.unit}".strip()
    sentence = f"Nothing between {between}: {below} files lie below, {len(axis) - below} above."
    return share, sentence


def _figure(attribute: Attribute, table: AttributeTable) -> tuple[str, str, Markup]:
    values, defined = table.column(attribute.name)
    heard, files = values[defined].tolist(), _measured(table)
    missing = files - len(heard)
    told = f"{len(heard)} of {files} files"
    if missing:
        told += f"; {100 * missing / files:.0f} % without ({_WHY[attribute.defined]})"
    if not heard:
        return _title(attribute), told, Markup("")
    x_label = attribute.words + (f" in {attribute.unit}" if attribute.unit else "")
    drawn = histogram(heard, x_label=x_label, log_x=attribute.logarithmic)
    spread = f"from {number(min(heard))} to {number(max(heard))}, median {number(np.median(heard))}"
    return _title(attribute), told, drawing(drawn, f"{_title(attribute)} of {told}: {spread}")


def _gaps(shown: Sequence[Attribute], table: AttributeTable) -> Iterator[Notice]:
    if table.reasons:
        heading = f"{len(table.names) - _measured(table)} of {len(table.names)} files not measured."
        yield Notice("warn", heading, f"{'; '.join(map(printable, table.reasons[:_NAMED]))}.")
    found, files = [], _measured(table)
    for attribute in shown:
        values, defined = table.column(attribute.name)
        gap = gap_sentence(attribute, values[defined])
        if gap is not None:
            found.append((*gap, attribute))
        rare = 0 < defined.sum() < _RARE_SHARE * files
        if rare and files >= LEAST_FILES and attribute.defined != "sound":
            text = (
                f"Only {defined.sum()} of {files} files: {_WHY[attribute.defined]} in the others."
            )
            yield Notice("note", f"{_title(attribute)} is rare.", text)
    for _, sentence, attribute in sorted(found, key=lambda gap: -gap[0])[:_MOST_GAPS]:
        yield Notice("note", f"A gap in {attribute.words}.", sentence)


def _measured(table: AttributeTable) -> int:
    return sum(found is not None for found in table.measurements)


def _pictures(catalog: Catalog, table: AttributeTable) -> Iterator[tuple[str, Markup]]:
    """Up to four files from the lowest to the highest f0, of those that have one."""
    pitched = [
        (value, file, found)
        for file, found in zip(catalog.training_files, table.measurements, strict=True)
        if found is not None
        and (value := found.value("f0_hz")) is not None
        and found.confidence("f0_hz") >= _LEAST_CONFIDENCE
    ]
    pitched.sort(key=lambda entry: entry[0])
    count = min(PICTURES, len(pitched))
    chosen = np.linspace(0, len(pitched) - 1, count).round().astype(int) if count else []
    for index in chosen:
        f0_hz, file, found = pitched[index]
        try:
            audio, rate_hz = excerpt(catalog.absolute(file), _PICTURE_S)
        except UserError:
            continue  # gone since it was scanned: the page stands without it
        png = spectrogram_png(audio, rate_hz, f0=_f0_line(found, audio.shape[1]))
        told = f"{printable(file.path)}: {number(f0_hz)} Hz"
        yield told, picture(png, f"Spectrogram of {file.path} with f0, median {number(f0_hz)} Hz")


def _f0_line(found: Measurement, samples: int) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    f0_hz, defined = found.track("f0_hz")
    centres = (np.arange(len(f0_hz)) + 0.5) * found.hop_samples
    inside = centres < samples
    line = np.where(defined, f0_hz, np.nan)
    return centres[inside] / found.rate_hz, line[inside]


def _title(attribute: Attribute) -> str:
    return attribute.words[0].upper() + attribute.words[1:]
