"""The attributes that a penalty asks of every batch, measured once per recording."""

import sys
import time

from omegaconf import DictConfig

from timbrel.data.attribute_table import measure_clips
from timbrel.data.cache import Cache
from timbrel.data.chunk_attributes import ChunkAttributes, check_names
from timbrel.stages.recordings import Recordings

_PROGRESS_EVERY_S = 10.0


def measuring(config: DictConfig, found: Recordings, hop_samples: int) -> ChunkAttributes | None:
    """What `latent.frame_attributes` and `latent.clip_attributes` name; None where neither does.

    Raises UserError for a name that is none, and where a recording's cache entry is damaged.
    """
    frames = tuple(config.latent.get("frame_attributes") or ())
    clips = tuple(config.latent.get("clip_attributes") or ())
    if not (frames or clips):
        return None
    check_names(frames, clips)
    recordings = {segment.clip.clip_id: segment.clip for segment in found.split.train}
    last_s = time.monotonic()

    def tell(done: int, total: int, name: str) -> None:
        nonlocal last_s
        if time.monotonic() - last_s > _PROGRESS_EVERY_S:
            last_s = time.monotonic()
            sys.stderr.write(f"measured {done} of {total} recordings ({name})\n")

    table = measure_clips(
        list(recordings.values()), folder=Cache(config.data.cache_dir).folder, progress=tell
    )
    measured = dict(zip(recordings, table.measurements, strict=True))
    return ChunkAttributes(
        {clip_id: found for clip_id, found in measured.items() if found is not None},
        frames,
        clips,
        hop_samples,
        str(config.data.short),
    )
