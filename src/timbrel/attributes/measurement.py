"""All attributes of one sound, at once."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.envelope import attack_s, decay, peak_envelope
from timbrel.attributes.frames import (
    Mask,
    Values,
    active,
    as_numbers,
    audible,
    hop_of,
    without_dc,
)
from timbrel.attributes.inharmonicity import stiffness
from timbrel.attributes.onsets import onset_frames
from timbrel.attributes.pitch import PitchTrack, pitch_track
from timbrel.attributes.registry import CLIP_ATTRIBUTES, FRAME_ATTRIBUTES, Attribute
from timbrel.attributes.space import decorrelation, stereo, width, width_frames
from timbrel.attributes.spectrum import SpectralFrames, spectral_frames
from timbrel.audio.level import loudness_lufs

LEAST_RATE_HZ = 1000
_LEAST_VOICED, _LEAST_VOICED_SHARE = 3, 0.1
_LEAST_RATED_S = 0.25
_SILENT_DB = -120.0

PitchMethod = Literal["yin", "crepe"]

# What was found: a value and how far to trust it, or None where it is not defined.
_Found = tuple[float, float] | None


@dataclass(frozen=True)
class Measurement:
    """What one sound measures. Every number is finite; `defined` says which mean something.

    `clip_values`, `clip_confidence` (0 to 1) and `clip_defined` have one entry per
    `registry.CLIP_ATTRIBUTES`; `frame_values` and `frame_defined` one row per
    `registry.FRAME_ATTRIBUTES` and a column per frame: frame `t` is centred on sample
    `(t + 0.5) * hop_samples`.
    """

    rate_hz: int
    hop_samples: int
    clip_values: NDArray[np.float32]
    clip_confidence: NDArray[np.float32]
    clip_defined: Mask
    frame_values: NDArray[np.float32]
    frame_defined: Mask

    def value(self, name: str) -> float | None:
        """The clip's `name`; None where it is not defined. KeyError for an unknown name."""
        index = _index(CLIP_ATTRIBUTES, name)
        return float(self.clip_values[index]) if self.clip_defined[index] else None

    def confidence(self, name: str) -> float:
        """How far to trust the clip's `name`, 0 to 1. KeyError for an unknown name."""
        return float(self.clip_confidence[_index(CLIP_ATTRIBUTES, name)])

    @property
    def sounding(self) -> Mask:
        """Frames within 40 dB of the loudest, by their K-weighted level."""
        return active(self.track("level_k_db")[0].astype(np.float64))

    def track(self, name: str) -> tuple[NDArray[np.float32], Mask]:
        """The values of `name` per frame, and where they are defined. KeyError as `value`."""
        index = _index(FRAME_ATTRIBUTES, name)
        return self.frame_values[index], self.frame_defined[index]


def measure(
    audio: NDArray[np.float32],
    rate_hz: int,
    *,
    from_start: bool = True,
    pitch: PitchMethod = "yin",
    known_pitch: PitchTrack | None = None,
    search_periodicity: bool = False,
) -> Measurement:
    """Measure `audio`, `(channel, time)`, at `rate_hz`.

    `from_start` says that silence precedes the audio, as for a whole recording. For a crop pass
    False: then attack, decay and onset rate are undefined if it holds no onset. A frame's f0 is
    that of its lowest partials, wherever the others lie; a clip's is the median of its voiced
    frames, of which it needs three, and one in ten of those that sound; its spectral values are the
    medians of its frames within 40 dB of the loudest; a frame by itself has values down to 80 dB
    below it. `pitch` is the method
    that measures f0: YIN, or YIN with the octave by CREPE (slower; 33 to 1975 Hz). `known_pitch`, a
    value per frame, is used in place of measured f0, which takes most of the time; with
    `search_periodicity` each frame's periodicity, and so its harmonic-to-noise ratio, is measured
    nevertheless. Raises ValueError for another shape or a sample rate below 1000 Hz.
    """
    heard, spectra, sounding, track = _listen(
        audio, rate_hz, known_pitch, search_periodicity, pitch
    )
    found = {
        "loudness_lufs": _loudness(audio, rate_hz),
        **_spectral(spectra, sounding, track),
        **_harmonic(heard, rate_hz, spectra, sounding, track),
        **_temporal(heard, rate_hz, spectra, sounding, from_start=from_start),
        **_spatial(heard, rate_hz, sounding),
    }
    values, confidence, defined = _columns(found)
    rows = _rows(heard, rate_hz, spectra, track)
    return Measurement(rate_hz, hop_of(rate_hz), values, confidence, defined, *rows)


def measure_frames(
    audio: NDArray[np.float32],
    rate_hz: int,
    *,
    known_pitch: PitchTrack | None = None,
    search_periodicity: bool = False,
) -> Measurement:
    """`measure` for frames alone, in a third of the time: no clip attribute is defined."""
    values, confidence, defined = _columns({})
    heard, spectra, _, pitch = _listen(audio, rate_hz, known_pitch, search_periodicity)
    rows = _rows(heard, rate_hz, spectra, pitch)
    return Measurement(rate_hz, hop_of(rate_hz), values, confidence, defined, *rows)


def _listen(
    audio: NDArray[np.float32],
    rate_hz: int,
    known_pitch: PitchTrack | None,
    search_periodicity: bool,
    method: PitchMethod = "yin",
) -> tuple[NDArray[np.float32], SpectralFrames, Mask, PitchTrack]:
    """The audio without its offset, its spectra, which frames sound, and their pitch."""
    if audio.ndim != 2 or not len(audio):
        raise ValueError(f"audio of shape {audio.shape}; (channel, time) with a channel or more")
    if rate_hz < LEAST_RATE_HZ:
        raise ValueError(f"a sample rate of {rate_hz} Hz; {LEAST_RATE_HZ} or more")
    heard = without_dc(audio, rate_hz)
    spectra = spectral_frames(heard, rate_hz)
    sounding = active(spectra.level_db) if audio.shape[1] else np.zeros(1, bool)
    if known_pitch is not None and not search_periodicity:
        return heard, spectra, sounding, known_pitch
    guide = None
    if method == "crepe" and audio.shape[1]:
        from timbrel.attributes.crepe import guide_hz  # torch: only whoever asks for it waits

        guide = guide_hz(heard, rate_hz)
    track = pitch_track(heard, rate_hz, audible(spectra.level_db), guide_hz=guide)
    if known_pitch is not None:
        track = PitchTrack(known_pitch.f0_hz, track.periodicity, known_pitch.voiced)
    return heard, spectra, sounding, track


def _rows(
    heard: NDArray[np.float32],
    rate_hz: int,
    spectra: SpectralFrames,
    pitch: PitchTrack,
) -> tuple[NDArray[np.float32], Mask]:
    tracks = _tracks(heard, rate_hz, spectra, pitch)
    rows = [_row(attribute, *tracks[attribute.name]) for attribute in FRAME_ATTRIBUTES]
    return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])


def _loudness(audio: NDArray[np.float32], rate_hz: int) -> _Found:
    level = loudness_lufs(as_numbers(audio), rate_hz)
    return (level, 1.0) if np.isfinite(level) else None


def _spectral(spectra: SpectralFrames, sounding: Mask, pitch: PitchTrack) -> dict[str, _Found]:
    if not sounding.any():
        return {}
    centroid_hz = float(np.median(spectra.centroid_hz[sounding]))
    medians = {
        "centroid_hz": centroid_hz,
        "log_centroid_octaves": float(np.log2(max(centroid_hz, 1.0))),
        "rolloff_hz": float(np.median(spectra.rolloff_hz[sounding])),
        "flatness": float(np.median(spectra.flatness[sounding])),
        "hnr_db": float(np.median(pitch.hnr_db[sounding])),
    }
    return {name: (value, 1.0) for name, value in medians.items()}


def _harmonic(
    audio: NDArray[np.float32],
    rate_hz: int,
    spectra: SpectralFrames,
    sounding: Mask,
    pitch: PitchTrack,
) -> dict[str, _Found]:
    voiced = pitch.voiced & sounding
    if voiced.sum() < max(_LEAST_VOICED, _LEAST_VOICED_SHARE * sounding.sum()):
        return {}
    f0_hz = float(np.median(pitch.f0_hz[voiced]))
    relative = np.log2(np.maximum(spectra.centroid_hz[voiced], 1.0) / pitch.f0_hz[voiced])
    share = float(voiced.sum() / sounding.sum())
    loudest = int(np.argmax(np.where(voiced, spectra.level_db, -np.inf)))
    # After the loudest frame, where the partials ring alone and the strike is over.
    centre = round((loudest + 0.5 + 0.2 / 0.01) * hop_of(rate_hz))
    string = stiffness(audio, rate_hz, float(pitch.f0_hz[loudest]), centre)
    return {
        "f0_hz": (f0_hz, share),
        "log_f0_octaves": (float(np.log2(f0_hz)), share),
        "centroid_over_f0_octaves": (float(np.median(relative)), share),
        "inharmonicity": (string.coefficient, string.confidence) if string else None,
    }


def _temporal(
    audio: NDArray[np.float32],
    rate_hz: int,
    spectra: SpectralFrames,
    sounding: Mask,
    *,
    from_start: bool,
) -> dict[str, _Found]:
    if not sounding.any():
        return {}
    envelope = peak_envelope(audio, rate_hz, from_start=from_start)
    rise_s = attack_s(envelope, rate_hz, from_start=from_start)
    fall = decay(envelope, rate_hz) if rise_s is not None else None
    onsets = len(onset_frames(spectra.mel_db, sounding, from_start=from_start))
    duration_s = audio.shape[1] / rate_hz
    rated = onsets > 0 and duration_s >= _LEAST_RATED_S
    return {
        "log_attack_time": (float(np.log10(rise_s)), 1.0) if rise_s is not None else None,
        "decay_db_per_s": (fall.db_per_s, fall.confidence) if fall else None,
        "onsets_per_s": (onsets / duration_s, 1.0) if rated else None,
    }


def _spatial(audio: NDArray[np.float32], rate_hz: int, sounding: Mask) -> dict[str, _Found]:
    if not stereo(audio, sounding):
        return {}
    return {"width": (width(audio), 1.0), "decorrelation": (decorrelation(audio, rate_hz), 1.0)}


def _tracks(
    audio: NDArray[np.float32],
    rate_hz: int,
    spectra: SpectralFrames,
    pitch: PitchTrack,
) -> dict[str, tuple[Values, Mask]]:
    heard = audible(spectra.level_db)
    voiced = pitch.voiced & heard
    relative = np.log2(np.maximum(spectra.centroid_hz, 1.0) / pitch.f0_hz)
    wide = stereo(audio, heard)
    widths = width_frames(audio, rate_hz) if wide else np.zeros(len(heard))
    return {
        # A tail far below the loudest frame still has a level; digital silence has none.
        "level_a_db": (spectra.level_a_db, spectra.level_a_db > _SILENT_DB),
        "level_k_db": (spectra.level_k_db, spectra.level_k_db > _SILENT_DB),
        "f0_hz": (pitch.f0_hz, voiced),
        "centroid_hz": (spectra.centroid_hz, heard),
        "centroid_over_f0_octaves": (relative, voiced),
        "rolloff_hz": (spectra.rolloff_hz, heard),
        "flatness": (spectra.flatness, heard),
        "hnr_db": (pitch.hnr_db, heard),
        "width": (widths, heard & wide),
    }


def _columns(
    found: dict[str, _Found],
) -> tuple[NDArray[np.float32], NDArray[np.float32], Mask]:
    entries = [found.get(attribute.name) for attribute in CLIP_ATTRIBUTES]
    defined = np.array([entry is not None for entry in entries])
    values = np.array([entry[0] if entry else 0.0 for entry in entries])
    low, high = ([getattr(a, end) for a in CLIP_ATTRIBUTES] for end in ("low", "high"))
    values = np.where(defined, np.clip(values, low, high), low)
    confidence = np.array([entry[1] if entry else 0.0 for entry in entries])
    return values.astype(np.float32), confidence.astype(np.float32), defined


def _row(attribute: Attribute, values: Values, defined: Mask) -> tuple[NDArray[np.float32], Mask]:
    clipped = np.where(defined, np.clip(values, attribute.low, attribute.high), attribute.low)
    return clipped.astype(np.float32), defined


def _index(attributes: tuple[Attribute, ...], name: str) -> int:
    for index, attribute in enumerate(attributes):
        if attribute.name == name:
            return index
    raise KeyError(name)
