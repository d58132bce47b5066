"""Writing sound files: resampled, under a true-peak ceiling, dithered, tagged, whole or not at all.

Two passes in constant memory. The first renders once, resamples to the file's rate and measures the
true peak there into a temporary float32 file beside the output; the second applies one gain (only
where the ceiling asks for it), dithers and writes. The same blocks, however they are cut, give the
same bytes.
"""

import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from timbrel.audio.level import TruePeakMeter, decibels
from timbrel.audio.names import readable
from timbrel.audio.origin import comment_of, mark
from timbrel.audio.resample import resample_blocks
from timbrel.config.bounds import refuse, value_problems
from timbrel.config.generate_schema import ExportConfig
from timbrel.config.values import encoding_problems
from timbrel.errors import UserError, did_you_mean
from timbrel.files import check_room, replacing, temporary
from timbrel.randomness import numpy_generator

Block = NDArray[np.float32]

_BLOCK_SAMPLES = 1 << 16
_BITS = {"16": 16, "24": 24, "32f": None}
_SUBTYPE = {"16": "PCM_16", "24": "PCM_24", "32f": "FLOAT"}
# Dither and rounding move a sample by at most 1.5 LSB; between samples the errors of neighbours add
# up, to at most a few times that.
_DITHER_MARGIN_LSB = 8
_FLOAT_MARGIN = 1e-6
_LARGEST_SAMPLE = 8  # bytes: as it was rendered, and as it is written
_WAV_LIMIT_BYTES = 2**32 - 2**16


@dataclass(frozen=True)
class ExportSettings:
    """How a sound file is written.

    `encoding` is 16 or 24 bits, or 32f. `dither` adds TPDF noise of +-1 LSB to 16 and 24 bits, to
    digital silence too: a noise floor that switches off under a fade is audible, a steady one at
    -93 dBFS is not. `ceiling_dbtp` is the highest true peak, at the file's own rate.

    Raises UserError, naming the key, for values that no file can have.
    """

    format: str = "wav"
    encoding: str = "24"
    sample_rate_hz: int = 48_000
    dither: bool = True
    ceiling_dbtp: float = -1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "format", str(self.format).lower())
        object.__setattr__(self, "encoding", str(self.encoding).lower())
        if self.format not in ("wav", "flac"):
            hint = did_you_mean(self.format, ("wav", "flac"))
            raise UserError(f"export.format={self.format}: choose wav or flac{hint}")
        names = ("encoding", "sample_rate_hz", "ceiling_dbtp")
        values = {name: getattr(self, name) for name in names}
        refuse(chain(value_problems(ExportConfig, "export.", **values), encoding_problems(self)))


@dataclass(frozen=True)
class ExportReport:
    """What was written: `true_peak_dbtp` after the gain, `gain_db` 0 or negative."""

    path: Path
    n_samples: int
    rate_hz: int
    true_peak_dbtp: float
    gain_db: float


def export(
    path: Path,
    blocks: Iterable[Block],
    *,
    rate_hz: int,
    settings: ExportSettings,
    metadata: Mapping[str, Any],
    seed: int = 0,
    overwrite: bool = False,
) -> ExportReport:
    """Write `blocks` (channel time, float32) as one sound file.

    `metadata` goes into the file's comment as compact JSON beside timbrel's mark, its `title` also
    into the title.
    `seed` draws the dither, each channel its own. The file appears whole or not at all.

    Raises UserError where `path` exists (unless `overwrite`), cannot be written or would pass 4 GiB
    as WAV, and where the sound is empty or not finite.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise UserError(f"'{path}' exists; remove it or name another output")
    comment = comment_of(metadata)
    try:
        with replacing(path) as finished, temporary(path.parent) as raw:
            with raw.open("wb") as file:
                rendered = _render(file, blocks, rate_hz, settings.sample_rate_hz)
            _check_size(path, rendered.n_samples, rendered.channels, settings)
            gain_db = min(0.0, _peak_limit_db(settings) - rendered.true_peak_dbtp)
            gain = 10 ** (gain_db / 20)
            with raw.open("rb") as file:
                samples = _read_raw(file, rendered.channels)
                title = str(metadata.get("title", "timbrel"))
                _write(finished, samples, rendered.channels, settings, gain, seed, title, comment)
            if settings.format == "wav":
                with finished.open("r+b") as file:
                    clear_peak_time(file)
    except soundfile.LibsndfileError as error:  # it tells no reason
        check_room(path.parent, rendered.n_samples * rendered.channels * _LARGEST_SAMPLE)
        raise UserError(f"'{path}' cannot be written: {error}") from error
    return ExportReport(
        path=path,
        n_samples=rendered.n_samples,
        rate_hz=settings.sample_rate_hz,
        true_peak_dbtp=rendered.true_peak_dbtp + gain_db,
        gain_db=gain_db,
    )


def fixed_blocks(blocks: Iterable[Block], block_samples: int) -> Iterator[Block]:
    """The same sound in blocks of exactly `block_samples` samples, the last one shorter.

    >>> [b.shape[1] for b in fixed_blocks([np.zeros((1, 5)), np.zeros((1, 2))], 3)]
    [3, 3, 1]
    """
    pending: list[Block] = []
    held = 0
    for block in blocks:
        pending.append(block)
        held += block.shape[1]
        if held < block_samples:
            continue
        joined = np.concatenate(pending, axis=1)
        whole = held - held % block_samples
        for start in range(0, whole, block_samples):
            yield joined[:, start : start + block_samples]
        pending, held = [joined[:, whole:]], held - whole
    if held:
        yield np.concatenate(pending, axis=1)


@dataclass(frozen=True)
class _Rendered:
    n_samples: int
    channels: int
    true_peak_dbtp: float


def _render(file: BinaryIO, blocks: Iterable[Block], rate_hz: int, file_rate_hz: int) -> _Rendered:
    """First pass: everything at the file's rate into `file`, its true peak measured."""
    meter: TruePeakMeter | None = None
    n_samples = channels = 0
    transposed = (block.T for block in fixed_blocks(blocks, _BLOCK_SAMPLES))
    for block in resample_blocks(transposed, rate_hz, file_rate_hz):  # time channel
        if not np.isfinite(block).all():
            raise UserError(
                f"the sound is not finite (NaN or infinity) near {n_samples / file_rate_hz:.2f} s; "
                "nothing was written"
            )
        channels = block.shape[1]
        meter = meter or TruePeakMeter(channels)
        meter.update(block.T)
        n_samples += len(block)
        file.write(np.ascontiguousarray(block, "<f4").data)
    if meter is None or n_samples == 0:
        raise UserError("the sound is empty (no samples); nothing was written")
    return _Rendered(n_samples, channels, meter.dbtp)


def _read_raw(file: BinaryIO, channels: int) -> Iterator[Block]:
    while data := file.read(_BLOCK_SAMPLES * channels * 4):
        yield np.frombuffer(data, "<f4").reshape(-1, channels).T


def _write(
    path: Path,
    blocks: Iterable[Block],
    channels: int,
    settings: ExportSettings,
    gain: float,
    seed: int,
    title: str,
    comment: str,
) -> None:
    """Second pass: gain, dither, quantise, write."""
    bits = _BITS[settings.encoding]
    generators = [numpy_generator(seed, channel, "export dither") for channel in range(channels)]
    with soundfile.SoundFile(
        os.fsencode(path),
        "w",
        samplerate=settings.sample_rate_hz,
        channels=channels,
        format=settings.format.upper(),
        subtype=_SUBTYPE[settings.encoding],
    ) as file:
        file.title = readable(title)
        mark(file, comment)
        for block in blocks:
            scaled = block.astype(np.float64) * gain
            if bits is None:
                file.write(np.ascontiguousarray(scaled.T, np.float32))
                continue
            codes = quantise(scaled, bits, generators if settings.dither else None)
            # libsndfile keeps the upper bits of an int32.
            file.write(np.ascontiguousarray(codes.T << (32 - bits)))


def quantise(
    samples: NDArray[np.float64], bits: int, dither: list[np.random.Generator] | None
) -> NDArray[np.int32]:
    """Whole-number codes of `samples` (channel time, full scale 1), one generator per channel.

    Non-subtractive TPDF dither (Lipshitz, Wannamaker & Vanderkooy 1992): the total error has mean 0
    and variance LSB^2 / 4, both independent of the signal.

    >>> quantise(np.array([[0.5, -1.0]]), 16, None)
    array([[ 16384, -32768]], dtype=int32)
    """
    full_scale = 2 ** (bits - 1)
    scaled = samples * full_scale
    if dither is not None:
        uniform = np.stack([rng.random((samples.shape[1], 2)) for rng in dither])
        scaled = scaled + uniform[..., 0] - uniform[..., 1]
    return np.clip(np.rint(scaled), -full_scale, full_scale - 1).astype(np.int32)


def _peak_limit_db(settings: ExportSettings) -> float:
    """The highest true peak before quantisation that stays under the ceiling after it."""
    ceiling = 10 ** (settings.ceiling_dbtp / 20)
    bits = _BITS[settings.encoding]
    margin = _FLOAT_MARGIN if bits is None else _DITHER_MARGIN_LSB / 2 ** (bits - 1)
    return decibels(ceiling - margin)


def _check_size(path: Path, n_samples: int, channels: int, settings: ExportSettings) -> None:
    size = n_samples * channels * (_BITS[settings.encoding] or 32) // 8
    if settings.format == "wav" and size > _WAV_LIMIT_BYTES:
        raise UserError(
            f"'{path}' would hold {size / 2**30:.1f} GiB; a WAV file ends at 4 GiB: "
            "use export.format=flac or fewer seconds"
        )


def clear_peak_time(file: BinaryIO) -> None:
    """Zero the time stamp of a float WAV's PEAK chunk: libsndfile writes the clock into it."""
    position = 12
    while True:
        file.seek(position)
        header = file.read(8)
        if len(header) < 8 or header[:4] == b"data":
            return
        if header[:4] == b"PEAK":
            file.seek(position + 12)
            file.write(struct.pack("<I", 0))
            return
        size = struct.unpack("<I", header[4:])[0]
        position += 8 + size + size % 2
