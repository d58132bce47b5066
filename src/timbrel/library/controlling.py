"""Controls on a drawn sound: what it follows, and what moves it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from timbrel.attributes.extent import is_event
from timbrel.audio.origin import tag
from timbrel.contracts import Latent, joined
from timbrel.errors import UserError
from timbrel.generation.controls.apply import playable
from timbrel.generation.controls.curves import Curve
from timbrel.generation.controls.follow import Voice, followed, voice_of
from timbrel.generation.controls.given import Following
from timbrel.generation.controls.mapper import Controlled, Mapper, controlled
from timbrel.generation.controls.shaped import shaped
from timbrel.generation.engine import decode_stream
from timbrel.generation.file_source import FileSource, conditions_of
from timbrel.generation.prior.draw import Draw
from timbrel.generation.source import FixedSource
from timbrel.library.render_settings import LONGEST_CONTROLLED_S
from timbrel.models.autoencoder import Autoencoder


@dataclass(frozen=True)
class Led:
    """What a sound follows: the recording's tracks, and how they are taken."""

    following: Following
    voice: Voice
    n_samples: int
    model_name: str


def led(model: Autoencoder, following: Following, file: FileSource, name: str) -> Led:
    """The recording `file` that a sound of `model`, which is called `name`, shall follow.

    Raises UserError where the decoder follows no tracks, and for a recording of more than ten
    minutes, or without a sound.
    """
    key = f"controls.follow={following.path.name}"
    if "loudness_db" not in model.conditions:
        raise UserError(f"{key}: the decoder of '{name}' follows no tracks; leave it out")
    if file.n_samples > LONGEST_CONTROLLED_S * model.sample_rate_hz:
        raise UserError(f"{key}: of up to {LONGEST_CONTROLLED_S} s; cut the recording")
    audio = np.concatenate(list(file.audio()), axis=1)
    voice = voice_of(conditions_of(model, audio), model.hop_samples / model.sample_rate_hz)
    voice = voice.loosened(following.looseness)
    if not voice.sounds:
        loosely = f" at controls.looseness={following.looseness:g}" if following.looseness else ""
        raise UserError(f"{key}: nothing but silence{loosely}; give a file that holds sound")
    return Led(following, voice, file.n_samples, name)


def followed_draw(
    model: Autoencoder, mapper: Mapper | None, drawn: Draw, lead: Led, n_samples: int
) -> tuple[Draw, dict[str, str | float]]:
    """The sound `drawn` as it follows `lead`, for `n_samples`, and what its file tells of it.

    Raises UserError where there is no mapper, or it holds no quantiles of the training recordings.
    """
    mapper = _there(mapper, "follow", lead.model_name)
    if "loudness_db" not in mapper.tracks:
        raise UserError(
            f"controls.follow: the sliders of '{lead.model_name}' are of an earlier timbrel, which "
            "kept no loudness of the recordings; make them again: timbrel analyze run=RUN"
        )
    code = whole_code(model, drawn)
    audio = np.concatenate(list(decode_stream(model, [code])), axis=1)[:, : drawn.source.n_samples]
    made = followed(
        shaped(code, audio, rate_hz=model.sample_rate_hz, hop_samples=model.hop_samples),
        lead.voice,
        mapper.tracks,
        event=drawn.ends or is_event(audio, model.sample_rate_hz),
        transpose=lead.following.transpose,
    )
    source = FixedSource(made.sound.latent(), hop_samples=model.hop_samples, n_samples=n_samples)
    told: dict[str, str | float] = {
        "file": tag(lead.following.path.name),
        "looseness": lead.following.looseness,
        "semitones": made.semitones,
    }
    return Draw(source, drawn.made_of), told


def controlled_draw(
    model: Autoencoder,
    mapper: Mapper | None,
    drawn: Draw,
    moves: Mapping[str, float | Curve],
    *,
    precise: bool,
    name: str,
) -> Controlled:
    """The sound with controls.

    Raises UserError as `controlled`, where there is no mapper, and for a sound that is too long.
    """
    mapper = _there(mapper, next(iter(moves)), name)
    if drawn.source.n_samples > LONGEST_CONTROLLED_S * model.sample_rate_hz:
        raise UserError(
            f"controls.{next(iter(moves))}: for sounds of up to {LONGEST_CONTROLLED_S} s; "
            "add seconds="
        )
    sound = playable(model, whole_code(model, drawn), drawn.source.n_samples)
    return controlled(sound, mapper, moves, precise=precise, name=name)


def whole_code(model: Autoencoder, drawn: Draw) -> Latent:
    """The whole code, without frames that nobody hears."""
    n_frames = -(-drawn.source.n_samples // model.hop_samples)
    return joined(list(drawn.source.blocks())).cut(0, n_frames)


def _there(mapper: Mapper | None, control: str, name: str) -> Mapper:
    """`mapper`, which `control` needs. Raises UserError where there is none."""
    if mapper is None:
        raise UserError(
            f"controls.{control}: '{name}' has no sliders yet; timbrel analyze run=RUN finds them"
        )
    return mapper
