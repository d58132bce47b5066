"""What one sound file holds, measured by decoding all of it, in constant memory."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from timbrel.audio.level import LoudnessMeter, SilenceMeter
from timbrel.audio.read import Sound, blocks_of, open_sound
from timbrel.errors import UserError

FULL_SCALE = 0.999
OPEN_LENGTH = -1
_FOREIGN = (
    (4, b"ftyp", "AAC or ALAC in MP4"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media Audio"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSD"),
    (0, b"#!AMR", "AMR"),
    (0, b"TTA1", "True Audio"),
    (0, b"\x0b\x77", "AC-3"),
)


_EARLIER_NAMES = {"frames": "n_samples", "header_frames": "header_samples"}


@dataclass(frozen=True)
class Measurement:
    """The facts of one file; `failure` says why there are none, or why they end early, and
    `foreign` names a format that only other programs read; `refused` where the system would not
    open the file, which another time it may.

    `header_samples` is None where the file does not claim a length; `missing_bytes` is what its
    header promises beyond its end, -1 where the header leaves the length open; `junk_bytes` follow
    the samples and are no sound, `unread_bytes` may be sound; `parts` were joined. `clipped_share`
    is the share of samples that are the third or later at full scale in a row. `mono_gain_db` is
    what the mean of two channels loses (-3 where they are unrelated, -inf where they cancel).
    """

    failure: str | None = None
    foreign: str | None = None
    refused: bool = False
    format: str | None = None
    subtype: str | None = None
    rate_hz: int | None = None
    channels: int | None = None
    header_samples: int | None = None
    missing_bytes: int = 0
    junk_bytes: int = 0
    unread_bytes: int = 0
    parts: int = 1
    n_samples: int = 0
    peak: float = 0.0
    loudness_lufs: float = -float("inf")
    silence_share: float = 1.0
    clipped_share: float = 0.0
    dc_offset: float = 0.0
    nonfinite: int = 0
    silent_channels: int = 0
    mono_gain_db: float = 0.0
    content_hash: str | None = None

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Measurement":
        """The measurement that `asdict` made `record` of. TypeError where fields differ.

        A record of an earlier timbrel calls numbers of samples `frames` and `header_frames`.
        """
        return cls(**{_EARLIER_NAMES.get(name, name): value for name, value in record.items()})


class _ChannelMeter:
    """Energy, mean and clipping per channel, and how two channels go together."""

    def __init__(self, channels: int) -> None:
        self._n_samples = 0
        self._sum = np.zeros(channels)
        self._energy = np.zeros(channels)
        self._product = 0.0
        self._clipped = 0
        self._carried = np.zeros((channels, 2), bool)

    def update(self, block: NDArray[np.float32]) -> None:
        """Take in the next block, `(channel, time)`."""
        self._n_samples += block.shape[1]
        self._sum += block.sum(axis=1, dtype=np.float64)
        self._energy += np.einsum("ct,ct->c", block, block, dtype=np.float64)
        if len(block) == 2:
            self._product += float(np.einsum("t,t->", block[0], block[1], dtype=np.float64))
        full = np.concatenate([self._carried, np.abs(block) >= FULL_SCALE], axis=1)
        self._carried = full[:, -2:]
        if full.any():
            self._clipped += int((full[:, 2:] & full[:, 1:-1] & full[:, :-2]).sum())

    @property
    def dc_offset(self) -> float:
        """The mean of the channel that lies farthest from 0."""
        mean = self._sum / max(1, self._n_samples)
        return float(mean[np.abs(mean).argmax()])

    @property
    def clipped_share(self) -> float:
        return self._clipped / max(1, self._n_samples * len(self._sum))

    @property
    def silent_channels(self) -> int:
        """How many channels lie 60 dB or more below the loudest."""
        return int((self._energy <= 1e-6 * self._energy.max()).sum()) if self._energy.any() else 0

    @property
    def mono_gain_db(self) -> float:
        energy = float(self._energy.sum())
        if len(self._energy) != 2 or not energy:
            return 0.0
        kept = max(0.0, (energy + 2 * self._product) / (2 * energy))
        return 10 * float(np.log10(kept)) if kept > 1e-12 else -float("inf")


def measure(path: str | Path) -> Measurement:
    """Everything a scan wants to know of a file. Raises nothing for what is in the file."""
    try:
        with open_sound(path) as sound:
            return _measure_open(sound)
    except UserError as error:
        return _unreadable(path, error)
    except Exception as error:  # one file's fault, such as no memory, is no other's
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        return Measurement(failure=f"cannot be measured ({said})", refused=True)


def _unreadable(path: str | Path, error: UserError) -> Measurement:
    cause = error.__cause__
    if isinstance(cause, OSError):
        return Measurement(failure=f"cannot be read: {cause.strerror or cause}", refused=True)
    with open(path, "rb") as file:
        head = file.read(16)
    if not head:
        return Measurement(failure="an empty file (0 bytes); remove it")
    foreign = next((name for at, magic, name in _FOREIGN if head.startswith(magic, at)), None)
    if head[0] == 0xFF and head[1:2] and head[1] & 0xF6 == 0xF0:
        foreign = "AAC"
    if not isinstance(cause, soundfile.LibsndfileError):
        return Measurement(failure=str(error).removeprefix(f"{str(path)!r}: "))
    return Measurement(
        failure=f"not a sound file, or a damaged one ({_said(cause)}); if another program plays "
        "it, convert it to WAV or FLAC",
        foreign=foreign,
    )


def _said(error: soundfile.LibsndfileError) -> str:
    return error.error_string.removeprefix("Error : ").rstrip(".")


def _measure_open(sound: Sound) -> Measurement:
    rate_hz, channels = sound.header.rate_hz, sound.header.channels
    extent = sound.extent
    is_open = extent.claimed is None and len(sound.decoders) == 1
    header: dict[str, Any] = {
        "format": sound.header.format,
        "subtype": sound.header.subtype,
        "rate_hz": rate_hz,
        "channels": channels,
        "header_samples": sound.header_samples,
        "missing_bytes": OPEN_LENGTH if is_open else extent.missing,
        "junk_bytes": extent.junk,
        "unread_bytes": extent.unread,
        "parts": extent.joined,
    }
    loudness = LoudnessMeter(rate_hz, channels)
    silence = SilenceMeter(rate_hz)
    channel_meter = _ChannelMeter(channels)
    content = hashlib.blake2b(f"{rate_hz}/{channels}/".encode(), digest_size=16)
    n_samples = nonfinite = 0
    peak = 0.0
    failure = None
    try:
        for block in blocks_of(sound):
            content.update(block.data)
            n_samples += len(block)
            samples = np.ascontiguousarray(block.T)
            finite = np.isfinite(samples)
            if not finite.all():
                nonfinite += int(finite.size - finite.sum())
                samples = np.where(finite, samples, np.float32(0))
            peak = max(peak, float(np.abs(samples).max()))
            # Values that overflow a square would poison the filters' state: no sound is so loud.
            samples = np.clip(samples, -1e6, 1e6)
            loudness.update(samples)
            silence.update(samples)
            channel_meter.update(samples)
    except soundfile.LibsndfileError as error:
        failure = f"decoding broke off after {n_samples} samples ({_said(error)})"
    return Measurement(
        **header,
        failure=failure,
        n_samples=n_samples,
        peak=peak,
        loudness_lufs=loudness.lufs,
        silence_share=silence.share,
        clipped_share=channel_meter.clipped_share,
        dc_offset=channel_meter.dc_offset,
        nonfinite=nonfinite,
        silent_channels=channel_meter.silent_channels,
        mono_gain_db=channel_meter.mono_gain_db,
        content_hash=content.hexdigest() if n_samples else None,
    )
