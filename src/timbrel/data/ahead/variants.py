"""One rendered variant of a training segment, kept in the cache: heavy augmentation done ahead.

Variant k of a segment is a pure function of the decoded samples, the chain's settings and code, the
seed and k, and its file is named after all of them. The samples are stored as decoded recordings
are (`timbrel.data.cache.entry`), the change in a `.json` beside them.
"""

import hashlib
import inspect
import json
import math
import pickle
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from timbrel.data.augmentation import Chain, Change
from timbrel.data.cache.entry import (
    cache_folder_error,
    data_bytes,
    npy_header,
)
from timbrel.data.chunks.chunk import Variant
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError
from timbrel.files import WriteError, replacing, write_text
from timbrel.randomness import numpy_generator

_FORMAT_VERSION = 1
_LIBRARIES = (
    "python-stretch",
    "pedalboard",
    "audiomentations",
    "librosa",
    "numpy",
    "scipy",
    "soxr",
)


@dataclass(frozen=True)
class Rendering:
    """Variant `number` of `segment` by `chain`, to be at `data_path`."""

    segment: Segment
    chain: Chain
    seed: int
    number: int
    data_path: Path


def rendering(segment: Segment, chain: Chain, *, seed: int, number: int, folder: Path) -> Rendering:
    """The job of a variant, with the place that follows from everything it depends on."""
    settings = {
        name: [
            type(transform).__module__,
            type(transform).__name__,
            vars(transform),
            *_own_source(type(transform)),
        ]
        for name, transform in chain.transforms.items()
    }
    where = f"{segment.clip.path.stem}/{segment.start_sample}/{segment.stop_sample}"
    told = json.dumps(settings, default=_digest)
    text = f"{_FORMAT_VERSION}/{where}/{told}/{_code_version()}/{seed}/{number}"
    name = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return Rendering(segment, chain, seed, number, folder / f"{name}.npy")


def load_variant(job: Rendering) -> Variant | None:
    """The variant, where it has been rendered and is whole; else None."""
    try:
        found = json.loads(job.data_path.with_suffix(".json").read_text("utf-8"))
        n_samples, f0_ratio, time_ratio = found["frames"], found["f0_ratio"], found["time_ratio"]
        size = job.data_path.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if size != data_bytes(job.segment.clip.channels, n_samples):
        return None
    change = Change(math.nan if f0_ratio is None else f0_ratio, time_ratio)
    clip = replace(job.segment.clip, n_samples=n_samples, path=job.data_path)
    return Variant(Segment(clip, 0, n_samples), change, job.segment)


def render(job: Rendering) -> Variant:
    """Render the variant, unless it is there; both of its files appear whole or not at all.

    Raises UserError, naming the recording, where a transform cannot do its work, and where the
    folder cannot be written.
    """
    if present := load_variant(job):
        return present
    segment, clip = job.segment, job.segment.clip
    name = f"variant/{clip.path.stem}/{segment.start_sample}"
    rng = numpy_generator(job.seed, job.number, name)
    try:
        changed = job.chain(segment.samples(), clip.rate_hz, rng)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{segment.label!r}: its variant {job.number} could not be rendered "
            f"({type(error).__name__}: {error}); take augmentation.expansion=0, or leave it out"
        ) from error
    n_samples = changed.audio.shape[1]
    change = {k: None if math.isnan(v) else v for k, v in asdict(changed.change).items()}
    try:
        with replacing(job.data_path) as samples:
            with samples.open("wb") as file:
                file.write(npy_header(clip.channels, n_samples))
                file.write(np.ascontiguousarray(changed.audio.T, "<f4").data)
            sidecar = json.dumps({"frames": n_samples, **change})
            write_text(job.data_path.with_suffix(".json"), sidecar)
    except WriteError as error:
        raise cache_folder_error(job.data_path.parent, error) from error
    variant = load_variant(job)
    if variant is None:
        raise UserError(f"{str(job.data_path)!r} was removed after it was written; start again")
    return variant


def _digest(value: object) -> str:
    """Of a setting that JSON does not know, such as an array."""
    return hashlib.blake2b(pickle.dumps(value), digest_size=16).hexdigest()


def _own_source(kind: type) -> list[str]:
    """A digest of the file of a transform of the user's own; [] for timbrel's."""
    if kind.__module__.startswith("timbrel."):
        return []
    return [hashlib.blake2b(Path(inspect.getfile(kind)).read_bytes(), digest_size=16).hexdigest()]


@cache
def _code_version() -> str:
    """A digest of the transforms' code, and of the libraries that do their work."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted((Path(__file__).parents[1] / "augmentation").glob("*.py")):
        digest.update(file.read_bytes())
    for library in _LIBRARIES:
        try:
            digest.update(f"{library} {version(library)}".encode())
        except PackageNotFoundError:
            continue
    return digest.hexdigest()
