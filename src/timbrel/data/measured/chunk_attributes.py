"""Attributes of training chunks, followed through crops and augmentation.

f0 is measured once per recording, which takes seconds. A chunk's frames have their recording's f0
at the place they come from, times the known ratio of the transforms that changed them. Everything
else is measured again on the chunk as it is, which is cheap: level, spectrum, attack (where the
crop holds an onset), decay; and, where it is asked for, the harmonic-to-noise ratio, which noise
changes and which takes a search for the period. The confidence of a decoder's tracks follows the
recording's own ratio, as its f0 does; of a counterfactual pair's target it is measured again.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.frames import frame_count, hop_of
from timbrel.attributes.measurement import Measurement, measure, measure_frames
from timbrel.attributes.pitch import PitchTrack, periodicity
from timbrel.attributes.registry import CLIP_ATTRIBUTES, FRAME_ATTRIBUTES, FRAME_LOGARITHMS
from timbrel.data.augmentation import Audio, Change
from timbrel.data.chunks.chunk import Chunk, Measures, Short, positions
from timbrel.data.chunks.conditions import attributes_of, latent_frames
from timbrel.errors import UserError, did_you_mean

logger = logging.getLogger(__name__)

_F0 = next(attribute for attribute in FRAME_ATTRIBUTES if attribute.name == "f0_hz")
_SEARCHED = "hnr_db"
FRAME_NAMES = (*(attribute.name for attribute in FRAME_ATTRIBUTES), *FRAME_LOGARITHMS)
CLIP_NAMES = tuple(attribute.name for attribute in CLIP_ATTRIBUTES)


def check_names(frames: Sequence[str], clips: Sequence[str]) -> None:
    """Every name is one that can be measured. Raises UserError naming the key."""
    for key, names, known in (
        ("latent.frame_attributes", frames, FRAME_NAMES),
        ("latent.clip_attributes", clips, CLIP_NAMES),
    ):
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known)
                raise UserError(f"{key}: {name} is none of {', '.join(known)}{hint}")


@dataclass(frozen=True)
class ChunkAttributes:
    """Gives a chunk's attributes (`timbrel.data.chunks.chunk.Measuring`).

    `recordings` holds the measurement of every clip by `clip_id`, where there is one; `frames` and
    `clips` are the attributes asked for, `tracks` the conditions; latent frames are `hop_samples`
    long.
    """

    recordings: Mapping[int, Measurement]
    frames: tuple[str, ...]
    clips: tuple[str, ...]
    hop_samples: int
    short: Short
    tracks: tuple[str, ...] = ()
    _told: set[int] = field(default_factory=set, compare=False)

    def __call__(self, chunk: Chunk, live: Change, audio: Audio) -> Measures:
        """The attributes of `audio`, which was read as `chunk` and then changed by `live`.

        Nothing is defined in chunks of a recording that could not be measured, because what ended
        that process would end this one, nor in a chunk that cannot be measured; the log names its
        recording once.
        """
        clip = chunk.segment.clip
        if clip.clip_id not in self.recordings:
            return self._nothing(audio.shape[1])
        try:
            return self._measured(chunk, live, audio)
        except Exception as error:
            if clip.clip_id not in self._told:
                self._told.add(clip.clip_id)
                said = f"{type(error).__name__}: {error}"
                logger.warning("%r: attributes of a chunk are not known (%s)", clip.name, said)
            return self._nothing(audio.shape[1])

    def _nothing(self, samples: int) -> Measures:
        clips = len(self.clips)
        frames = (len(self._frame_names), math.ceil(samples / self.hop_samples))
        return Measures(
            self.clips,
            np.zeros(clips, np.float32),
            np.zeros(clips, bool),
            self._frame_names,
            np.zeros(frames, np.float32),
            np.zeros(frames, bool),
            self.tracks,
        )

    @property
    def _frame_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.frames, *attributes_of(self.tracks))))

    def _measured(self, chunk: Chunk, live: Change, audio: Audio) -> Measures:
        rate_hz = chunk.segment.clip.rate_hz
        samples = audio.shape[1]
        pitch = self._pitch(chunk, live, samples)
        frames = self._frame_names
        asked = (*self.frames, *self.clips) if live.keeps_periodicity else (*frames, *self.clips)
        search = _SEARCHED in asked
        if self.clips:
            found = measure(
                audio, rate_hz, from_start=False, known_pitch=pitch, search_periodicity=search
            )
        else:
            found = measure_frames(audio, rate_hz, known_pitch=pitch, search_periodicity=search)
        clip_columns = [CLIP_NAMES.index(name) for name in self.clips]
        rows = [_row(found, name) for name in frames]
        columns = latent_frames(found, samples, self.hop_samples)
        return Measures(
            self.clips,
            found.clip_values[clip_columns],
            found.clip_defined[clip_columns],
            frames,
            np.array([values[columns] for values, _ in rows], np.float32).reshape(-1, len(columns)),
            np.array([defined[columns] for _, defined in rows], bool).reshape(-1, len(columns)),
            self.tracks,
        )

    def _pitch(self, chunk: Chunk, live: Change, samples: int) -> PitchTrack:
        """The recording's f0 and periodicity at the places that the chunk's frames come from."""
        rate_hz = chunk.segment.clip.rate_hz
        middles = (np.arange(frame_count(samples, rate_hz)) + 0.5) * hop_of(rate_hz)
        known = self.recordings[chunk.segment.clip.clip_id]
        f0_hz, voiced = known.track("f0_hz")
        change = chunk.change.then(live)
        if math.isnan(change.f0_ratio):
            return PitchTrack(np.full(len(middles), 440.0), np.zeros(len(middles)))
        places, inside = positions(chunk, middles / live.time_ratio, short=self.short)
        if chunk.original is not None:
            places = (places - chunk.segment.start_sample) / chunk.change.time_ratio
            places = chunk.original.start_sample + places
        frames = np.clip(places // known.hop_samples, 0, len(f0_hz) - 1).astype(int)
        moved_hz = f0_hz[frames] * change.f0_ratio
        held = (_F0.low <= moved_hz) & (moved_hz <= _F0.high)  # beyond, the attribute has no value
        hnr_db, sounding = known.track("hnr_db")
        periodic = np.where(inside & sounding[frames], periodicity(hnr_db[frames]), 0.0)
        return PitchTrack(moved_hz, periodic, voiced[frames] & inside & held)


def _row(found: Measurement, name: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if name not in FRAME_LOGARITHMS:
        return found.track(name)
    values, defined = found.track(FRAME_LOGARITHMS[name])
    return np.log2(np.maximum(values, 1.0)), defined
