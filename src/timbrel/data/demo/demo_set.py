"""The built-in data set: plucked, struck and noisy sounds whose factors are known.

File k is the same sound whatever the number of files: the factors of each kind run through a
Sobol sequence of their own, so that 24 files cover the space and 500 cover it more densely, with
the 24 among them. A folder is rendered beside its place and renamed, so it is there whole or not
at all, also where two processes want the same one. Nothing here imports torch.
"""

import csv
import io
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path

import numpy as np
import soundfile

from timbrel.config.bounds import check_values
from timbrel.config.schema import DataConfig, TrainConfig
from timbrel.data.cache.entry import cache_folder_error
from timbrel.data.cache.store import default_folder
from timbrel.data.demo.noise import Array
from timbrel.data.demo.sounds import Sound, synthesize
from timbrel.errors import UserError
from timbrel.files import WriteError, remove_stale_temporaries, replacing_folder
from timbrel.paths import absolute_path

logger = logging.getLogger(__name__)

DEMO_VERSION = 1  # raise it with any change to a sample or a factor
LICENCE = "CC0-1.0"
FACTORS_FILE = "factors.csv"
IDENTITY_FILE = "demo.json"

_SHORTEST_S, _LONGEST_S = 0.8, 2.5
_AUDIBLE_DB = 52.0
_LOUDEST_DBFS, _SOFTEST_DBFS = -1.0, -3.0
_WIDEST = 0.3
# fmt: off
_COLUMNS = (
    "file", "kind", "model", "midi", "f0_hz", "brightness_hz", "brightness_ratio", "attack_s",
    "noisiness", "decay_db_per_s", "stereo_width", "peak_dbfs", "duration_s", "seed", "licence",
)
# fmt: on


@dataclass(frozen=True)
class _Ranges:
    """The range of a model's factors, each (least, most).

    MIDI notes and noisiness evenly; brightness (in multiples of f0), attack and decay evenly in
    their logarithm.
    """

    midi: tuple[int, int]
    brightness_ratio: tuple[float, float]
    noisiness: tuple[float, float]
    attack_s: tuple[float, float]
    decay_db_per_s: tuple[float, float]


_MODELS = {
    "pluck": {
        "string": _Ranges((36, 76), (1.3, 6.0), (0.0, 0.15), (0.001, 0.015), (18, 60)),
    },
    "strike": {
        "bar": _Ranges((48, 84), (1.15, 2.8), (0.0, 0.2), (0.001, 0.006), (20, 72)),
        "bell": _Ranges((48, 79), (1.5, 4.5), (0.0, 0.15), (0.001, 0.006), (18, 48)),
        "skin": _Ranges((36, 65), (1.5, 3.5), (0.05, 0.35), (0.001, 0.008), (30, 72)),
    },
    "noise": {
        "breath": _Ranges((55, 79), (2.0, 8.0), (0.6, 1.0), (0.02, 0.25), (20, 60)),
        "shaker": _Ranges((60, 79), (3.0, 9.0), (0.75, 1.0), (0.005, 0.08), (30, 72)),
        "wind": _Ranges((48, 76), (2.0, 8.0), (0.8, 1.0), (0.06, 0.3), (20, 48)),
    },
}


def demo_sounds(files: int, *, seed: int = 0, sample_rate_hz: int = 48_000) -> tuple[Sound, ...]:
    """The first `files` sounds of the set `seed`; kinds take turns.

    Below 48 kHz the brightest sounds are capped at 0.15 of the rate (or 1.2 times their f0).
    Raises `UserError` for numbers that no set can have.

    >>> demo_sounds(2) == demo_sounds(50)[:2]
    True
    """
    _check(files, seed, sample_rate_hz)
    per_kind = -(-files // len(_MODELS))
    kinds = [(kind, _points(seed, stream, per_kind)) for stream, kind in enumerate(_MODELS)]
    return tuple(
        _sound(index, kind, points[turn], seed, sample_rate_hz)
        for index, (turn, (kind, points)) in enumerate(product(range(per_kind), kinds))
        if index < files
    )


def render_demo_set(
    folder: Path,
    *,
    files: int = 24,
    seed: int = 0,
    sample_rate_hz: int = 48_000,
    workers: int | None = None,
) -> Path:
    """Render the set into `folder` (24-bit stereo WAVs and `factors.csv`), unless it is there.

    `workers` threads render (None: one per core; 0: none of its own). The same arguments give
    the same bytes on the same machine. Returns `folder`.

    Raises `UserError` where `folder` holds something else or cannot be written, and for numbers
    that no set can have.
    """
    folder = Path(folder)
    sounds = demo_sounds(files, seed=seed, sample_rate_hz=sample_rate_hz)
    identity = {
        "version": DEMO_VERSION,
        "files": files,
        "seed": seed,
        "sample_rate_hz": sample_rate_hz,
        "licence": LICENCE,
    }
    if _is_complete(folder, sounds, identity):
        return folder
    logger.info("rendering the demo set (%d files) into %r", files, str(folder))
    remove_stale_temporaries(folder.parent)

    def is_there() -> bool:
        return _is_complete(folder, sounds, identity)

    try:
        with replacing_folder(folder, unless=is_there) as draft:
            _render(draft, sounds, sample_rate_hz, workers)
            (draft / FACTORS_FILE).write_bytes(_table(sounds).encode())
            (draft / IDENTITY_FILE).write_text(json.dumps(identity) + "\n", "utf-8")
    except (WriteError, soundfile.LibsndfileError) as error:
        raise UserError(
            f"the demo set cannot be rendered into {str(folder)!r} ({error.__cause__ or error}); "
            f"make room, or choose a folder that can be written"
        ) from error
    return folder


def demo_folder(
    files: int, seed: int = 0, sample_rate_hz: int = 48_000, cache_dir: str | None = None
) -> Path:
    """Where the set lies below `cache_dir` (None: the user's cache), rendered yet or not."""
    root = absolute_path(cache_dir, "data.cache_dir") if cache_dir else default_folder()
    return root / "demo" / f"v{DEMO_VERSION}-{files}-{seed}-{sample_rate_hz}"


def ensure_demo_set(
    *, files: int, seed: int = 0, sample_rate_hz: int, cache_dir: str | None
) -> Path:
    """The folder of the set in the cache, rendered on first use.

    Raises `UserError` as `render_demo_set` does, and where the cache cannot be written.
    """
    folder = demo_folder(files, seed, sample_rate_hz, cache_dir)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cache_folder_error(folder.parent, error) from error
    return render_demo_set(folder, files=files, seed=seed, sample_rate_hz=sample_rate_hz)


def read_factors(folder: Path) -> tuple[Sound, ...]:
    """The sounds of a rendered set, as its `factors.csv` has them.

    Raises `UserError` where `folder` has no such table or it is damaged.
    """
    path = Path(folder) / FACTORS_FILE
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        return tuple(
            Sound(
                index=index,
                **{
                    field.name: field.type(row[field.name])  # type: ignore[operator]
                    for field in fields(Sound)
                    if field.name != "index"
                },
            )
            for index, row in enumerate(rows)
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{str(path)!r}: no table of a demo set ({error!r}); render it anew") from (
            error
        )


def _check(files: int, seed: int, sample_rate_hz: int) -> None:
    check_values(DataConfig, "data.", files=files, sample_rate_hz=sample_rate_hz)
    check_values(TrainConfig, seed=seed)


def _points(seed: int, stream: int, count: int) -> Array:
    """The first `count` points of a scrambled Sobol sequence: any prefix covers the cube."""
    from scipy.stats import qmc  # takes a second to import: only who renders waits for it

    sobol = qmc.Sobol(8, scramble=True, rng=np.random.default_rng((seed, stream)))
    # Drawn by powers of two, whose balance scipy warns about otherwise.
    return sobol.random_base2(max(count - 1, 1).bit_length())[:count]


def _sound(index: int, kind: str, point: Array, seed: int, sample_rate_hz: int) -> Sound:
    models = tuple(_MODELS[kind].items())
    which, pitch, brightness, attack, noisiness, decay, width, peak = (float(u) for u in point)
    model, ranges = models[int(which * len(models))]
    low, high = ranges.midi
    midi = low + int(pitch * (high - low + 1))
    f0_hz = 440.0 * 2 ** ((midi - 69) / 12)
    brightness_hz = f0_hz * _geometric(ranges.brightness_ratio, brightness)
    attack_s = round(_geometric(ranges.attack_s, attack), 5)
    decay_db_per_s = round(_geometric(ranges.decay_db_per_s, decay), 3)
    heard_s = min(max(attack_s + _AUDIBLE_DB / decay_db_per_s, _SHORTEST_S), _LONGEST_S)
    return Sound(
        index=index,
        kind=kind,
        model=model,
        midi=midi,
        brightness_hz=round(min(brightness_hz, max(0.15 * sample_rate_hz, 1.2 * f0_hz)), 3),
        attack_s=attack_s,
        noisiness=round(_linear(ranges.noisiness, noisiness), 5),
        decay_db_per_s=decay_db_per_s,
        stereo_width=round(_linear((0.0, _WIDEST), width), 5),
        peak_dbfs=round(_linear((_SOFTEST_DBFS, _LOUDEST_DBFS), peak), 3),
        duration_s=round(heard_s, 3),
        # 32 bits, which every program that reads a table holds exactly.
        seed=int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint32)[0]),
    )


def _linear(ends: tuple[float, float], share: float) -> float:
    return ends[0] + share * (ends[1] - ends[0])


def _geometric(ends: tuple[float, float], share: float) -> float:
    return float(ends[0] * (ends[1] / ends[0]) ** share)


def _table(sounds: tuple[Sound, ...]) -> str:
    stream = io.StringIO()
    table = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
    table.writeheader()
    for sound in sounds:
        ratio = round(sound.brightness_hz / sound.f0_hz, 5)
        derived = {"f0_hz": round(sound.f0_hz, 5), "brightness_ratio": ratio, "licence": LICENCE}
        table.writerow({name: derived.get(name, getattr(sound, name, None)) for name in _COLUMNS})
    return stream.getvalue()


def _render(
    folder: Path, sounds: tuple[Sound, ...], sample_rate_hz: int, workers: int | None
) -> None:
    workers = (os.cpu_count() or 1) if workers is None else workers
    if min(workers, len(sounds)) < 2:
        for sound in sounds:
            _write(folder, sound, sample_rate_hz)
        return
    # Threads suffice: numpy and libsndfile let go of the interpreter while they work.
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(lambda sound: _write(folder, sound, sample_rate_hz), sounds):
            pass


def _write(folder: Path, sound: Sound, sample_rate_hz: int) -> None:
    # Not dithered: the tails end in digital silence, and 24 bits need none.
    samples = np.rint(synthesize(sound, sample_rate_hz).T * 2**23).astype(np.int32) << 8
    soundfile.write(folder / sound.file, samples, sample_rate_hz, subtype="PCM_24", format="WAV")


def _is_complete(folder: Path, sounds: tuple[Sound, ...], identity: dict[str, object]) -> bool:
    """Whether `folder` holds this very set. Raises `UserError` where it holds something else."""
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise UserError(f"{str(folder)!r} is a file; name a folder for the demo set")
    if not any(folder.iterdir()):
        return False
    try:
        present = json.loads((folder / IDENTITY_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        present = None
    if present != identity:
        what = "another demo set" if present else "other files"
        raise UserError(f"{str(folder)!r} holds {what}; remove it or name another folder")
    try:
        table = (folder / FACTORS_FILE).read_bytes()
        sizes = [(folder / sound.file).stat().st_size for sound in sounds]
    except OSError:
        return False
    rate_hz = int(str(identity["sample_rate_hz"]))
    # Two channels of three bytes; the WAV header comes on top.
    whole = all(
        size > 6 * round(sound.duration_s * rate_hz)
        for size, sound in zip(sizes, sounds, strict=True)
    )
    return whole and table == _table(sounds).encode()
