"""What becomes of each file of a folder, and why."""

import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from timbrel.data.scan.probe import Measurement

MINIMUM_S = 0.02
MPEG_FRAME = 1152
# Below -100 dBFS a file counts as silent: a 16-bit file's smallest step is at -90.
SILENT_PEAK = 1e-5
FAINT_DBFS, RAISED_DBFS = -80.0, -1.0
DC_OFFSET = 0.05
CLIPPED_SHARE = 0.01
ANTIPHASE_GAIN_DB = -12.0
FLOAT_PEAK, LOSSY_PEAK = 1.0, 1.5
QUIET_SHARE = 0.9
EIGHT_BIT = frozenset({"PCM_U8", "PCM_S8", "ALAW", "ULAW", "DPCM_8", "GSM610", "VOX_ADPCM"})


class Verdict(StrEnum):
    """Used; used, with a warning; left out, with a warning; left out without one."""

    ACCEPT = "accept"
    ACCEPT_WARN = "accept_warn"
    SKIP_WARN = "skip_warn"
    SKIP = "skip"


@dataclass(frozen=True)
class Judgement:
    """A verdict and its reasons, each a sentence; an accepted file's reasons are notes."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


def judge(name: str, measured: "Measurement | None", *, named_audio: bool = True) -> Judgement:
    """The verdict on a file, seen alone, by what was measured of it.

    `measured` is None where its decoder crashed. A file that cannot be read is worth a warning
    only where its name promises sound (`named_audio`).
    """
    if measured is None:
        reason = f"Its decoder crashed; {remedy(name)}."
        return Judgement(Verdict.SKIP_WARN, (reason,))
    fatal = _why_unusable(name, measured)
    if fatal:
        silent = not named_audio and measured.rate_hz is None
        return Judgement(Verdict.SKIP if silent else Verdict.SKIP_WARN, (fatal,))
    warnings = tuple(_warnings(name, measured))
    verdict = Verdict.ACCEPT_WARN if warnings else Verdict.ACCEPT
    return Judgement(verdict, warnings + tuple(_notes(measured)))


def is_silent(measured: "Measurement") -> bool:
    """Whether there is nothing to learn: digital silence, denormals, under -100 dBFS."""
    return measured.peak <= SILENT_PEAK


def remedy(name: str) -> str:
    """The way out for a file that only other programs decode."""
    base = name.rsplit("/", 1)[-1]
    stem = base.rsplit(".", 1)[0]
    command = f"ffmpeg -i {shlex.quote(base)} {shlex.quote(stem + '.wav')}"
    return f"convert it to WAV or FLAC, for example: {command}"


def _why_unusable(name: str, measured: "Measurement") -> str | None:
    if measured.rate_hz is None:
        failure = (measured.failure or "Cannot be read").rstrip(".")
        if measured.foreign:
            return f"{measured.foreign} is not read here; {remedy(name)}."
        return f"{failure[0].upper()}{failure[1:]}."
    if measured.failure:
        failure = measured.failure
        return f"Damaged: {failure}; restore it from its source."
    if measured.n_samples == 0:
        return "Holds no samples; record it again."
    if measured.nonfinite:
        return f"{measured.nonfinite} samples are NaN or infinite; export it again."
    duration_s = measured.n_samples / measured.rate_hz
    if duration_s < MINIMUM_S:
        return (
            f"Too short: {1000 * duration_s:.3g} ms ({measured.n_samples} samples); at least "
            f"{1000 * MINIMUM_S:.0f} ms are needed."
        )
    return None


def _repair(name: str, container: str | None) -> str:
    """How to give a file a header that other programs read it whole by."""
    base = name.rsplit("/", 1)[-1]
    stem, _, suffix = base.rpartition(".")
    old, new = shlex.quote(base), shlex.quote(f"{stem or base}_mended.{suffix or 'wav'}")
    flac = shlex.quote(f"{stem or base}_mended.flac")
    command = {
        "WAV": f"ffmpeg -ignore_length 1 -i {old} -c copy -rf64 auto {new}",
        "RF64": f"ffmpeg -ignore_length 1 -i {old} -c copy -rf64 auto {new}",
        "AIFF": f"sox --ignore-length {old} {flac}",
        "MP3": f"ffmpeg -i {old} -c copy {new}",
        "W64": f"sox --ignore-length {old} {flac}",
        "FLAC": f"ffmpeg -i {old} {flac}",
        "OGG": f"ffmpeg -i {old} {flac}",
        "AU": f"ffmpeg -i {old} {flac}",
    }.get(container or "")
    return command or "save it anew with an audio editor"


def _length_warnings(name: str, measured: "Measurement") -> Iterator[str]:
    """What its header says of a file's length, where that is not what was read."""
    rate_hz = measured.rate_hz or 1
    read_s, claimed = measured.n_samples / rate_hz, measured.header_samples
    slack = MPEG_FRAME if measured.format == "MP3" else 0
    mend = f"for programs that trust it: {_repair(name, measured.format)}"
    if measured.missing_bytes > 0:
        yield (
            f"Cut off: its header promises {measured.missing_bytes} bytes more than there are; "
            f"the {read_s:.2f} s present are used."
        )
    elif measured.missing_bytes < 0:
        yield (
            "Its header leaves the length open, as a stream's does; read to the end of the file "
            f"({read_s:.2f} s)."
        )
    if measured.parts > 1:
        yield f"Its sound comes in {measured.parts} parts, one after the other; all are read."
    if claimed is not None and measured.n_samples > claimed + slack:
        yield (
            f"Its header says {claimed / rate_hz:.2f} s, but the file holds {read_s:.2f} s: all "
            f"of it is read; {mend}."
        )
    elif measured.unread_bytes:
        yield (
            f"{read_s:.2f} s are read, as its header says, but {measured.unread_bytes} bytes more "
            "follow that do not look like the same sound; if they are sound, "
            f"{_repair(name, measured.format)}."
        )
    elif claimed is not None and measured.n_samples < claimed - slack:
        yield (
            f"Damaged: {read_s:.2f} of {claimed / rate_hz:.2f} s could be decoded; only these are "
            "used."
        )


def _warnings(name: str, measured: "Measurement") -> Iterator[str]:
    yield from _length_warnings(name, measured)
    channels = measured.channels or 1
    if is_silent(measured):
        yield "Silence; left out of training."
        return
    peak_dbfs = 20 * math.log10(measured.peak)
    if peak_dbfs < FAINT_DBFS:
        yield (
            f"Very quiet: peaks at {peak_dbfs:.1f} dBFS; {RAISED_DBFS - peak_dbfs:+.1f} dB would "
            f"bring it to {RAISED_DBFS:g}: raise it, or let data.normalise=peak do so."
        )
    if measured.subtype in EIGHT_BIT:
        yield "8 bits per sample: its noise is audible."
    if channels > 2:
        yield f"{channels} channels; they are mixed down."
    if abs(measured.dc_offset) > DC_OFFSET:
        yield f"A constant offset of {measured.dc_offset:+.2f} (DC); high-pass it."
    over = FLOAT_PEAK if measured.subtype in ("FLOAT", "DOUBLE") else LOSSY_PEAK
    if measured.peak > over:
        yield f"Peaks at {measured.peak:.2f}, above full scale; it is read as it is, not clipped."
    elif measured.clipped_share > CLIPPED_SHARE:
        yield f"Clipped: {100 * measured.clipped_share:.1f} % of its samples stay at full scale."
    if channels > 1 and measured.silent_channels:
        yield (
            f"{measured.silent_channels} of {channels} channels silent: their mean is quieter; "
            "data.downmix=loudest avoids it."
        )
    elif measured.mono_gain_db < ANTIPHASE_GAIN_DB:
        yield (
            "The channels are in antiphase: their mean nearly cancels; use data.channels=2 or "
            "data.downmix=left."
        )


def _notes(measured: "Measurement") -> Iterator[str]:
    rate_hz = measured.rate_hz or 1
    if rate_hz < 32_000:
        yield f"Nothing lies above {rate_hz / 2000:g} kHz ({rate_hz} Hz)."
    if measured.silence_share > QUIET_SHARE and not is_silent(measured):
        yield f"{100 * measured.silence_share:.0f} % of it is silence."
    if measured.junk_bytes:
        yield f"{measured.junk_bytes} bytes behind its samples are no sound; not read."
