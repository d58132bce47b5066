"""The attributes that a penalty asks of every batch, measured once per recording."""

from collections.abc import Sequence

from omegaconf import DictConfig

from timbrel.attributes.measurement import Measurement
from timbrel.attributes.registry import ATTRIBUTES
from timbrel.data.cache.store import Cache
from timbrel.data.chunks.conditions import voiced_share
from timbrel.data.measured.attribute_table import measure_clips
from timbrel.data.measured.chunk_attributes import (
    CLIP_NAMES,
    FRAME_NAMES,
    ChunkAttributes,
    check_names,
)
from timbrel.data.split.parts import Segment
from timbrel.errors import UserError, did_you_mean
from timbrel.models.autoencoder import Autoencoder
from timbrel.stages.progress import measured_recordings
from timbrel.stages.recordings import Recordings


def check_attributes(config: DictConfig) -> None:
    """What a penalty asks to be measured has a name, and a value in recordings such as these.

    Raises UserError naming the key.
    """
    frames, clips = _asked(config)
    check_names(frames, clips)
    stereo = {attribute.name for attribute in ATTRIBUTES if attribute.defined == "stereo"}
    for key, names in (("frame_attributes", frames), ("clip_attributes", clips)):
        for name in names:
            if name in stereo and config.data.channels == 1:
                raise UserError(
                    f"latent.{key}: {name} has no value in mono; take data.channels=2, or leave "
                    "it out"
                )
    known = (*FRAME_NAMES, *CLIP_NAMES)
    for name in config.latent.penalty.get("dead_zone") or ():
        if name not in known:
            raise UserError(
                f"latent.penalty.dead_zone.{name}: no such attribute{did_you_mean(name, known)}"
            )


def check_monophonic(config: DictConfig, found: Recordings, model: Autoencoder) -> None:
    """What a decoder for monophonic sounds is trained on has a clear pitch.

    Raises UserError naming `architecture.decoder.least_voiced`, and as `measuring`.
    """
    least = getattr(model.decoder, "least_voiced", 0.0)
    if not least:
        return
    share = voiced_share(_measurements(config, found.split.train).values())
    if share < least:
        raise UserError(
            f"architecture.decoder.least_voiced={least:g}: of what sounds in the recordings "
            f"{share:.0%} has a clear pitch, and this decoder is for one pitch at a time; take "
            "architecture=harmonic, or architecture.decoder.least_voiced=0 to train nevertheless"
        )


def measuring(config: DictConfig, found: Recordings, model: Autoencoder) -> ChunkAttributes | None:
    """What the latent option names and the model's decoder needs of chunks; None for nothing.

    Held-out recordings are measured too where the decoder needs tracks.

    Raises UserError where a recording's cache entry is damaged.
    """
    frames, clips = _asked(config)
    if not (frames or clips or model.conditions):
        return None
    segments = found.split.train
    if model.conditions:
        segments = (*segments, *found.split.validation)
    return ChunkAttributes(
        _measurements(config, segments),
        frames,
        clips,
        model.hop_samples,
        str(config.data.short),
        model.conditions,
    )


def _measurements(config: DictConfig, segments: Sequence[Segment]) -> dict[int, Measurement]:
    """Those of the whole recordings that `segments` lie in, by clip; without the unmeasurable."""
    recordings = {segment.clip.clip_id: segment.clip for segment in segments}
    table = measure_clips(
        list(recordings.values()),
        folder=Cache(config.data.cache_dir).folder,
        progress=measured_recordings(),
    )
    measured = zip(recordings, table.measurements, strict=True)
    return {clip_id: found for clip_id, found in measured if found is not None}


def _asked(config: DictConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The attributes of frames and of clips that the latent option lists."""
    latent = config.latent
    return tuple(latent.get("frame_attributes") or ()), tuple(latent.get("clip_attributes") or ())
