"""A recording that a model of other recordings plays: its tracks and its code, fitted to these."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from timbrel.config.generate_sections import FileConfig
from timbrel.errors import UserError
from timbrel.generation.controls.fit import (
    Fit,
    FittedSource,
    conditions_of,
    fitted,
    mean_of_recordings,
    moved_to,
)
from timbrel.generation.controls.follow import Tables, sounding, track_tables, voice_of
from timbrel.generation.controls.mapper import Mapper
from timbrel.generation.file_source import FileSource
from timbrel.generation.prior.draw import Draw, Prior
from timbrel.library.bundle import Bundle
from timbrel.library.render_settings import AUTO

_NEEDS = {
    "transpose": "f0_hz",
    "match_timbre": "loudness_db",
    "match_loudness": "loudness_db",
    "match_brightness": "centroid_hz",
    "match_pitch": "f0_hz",
}
_OF = {"f0_hz": "pitch", "loudness_db": "loudness", "centroid_hz": "brightness"}


def fitted_draw(
    bundle: Bundle,
    drawn: Draw,
    config: FileConfig,
    prior: Prior,
    mapper: Callable[[], Mapper | None],
) -> tuple[Draw, dict[str, Any]]:
    """The file `drawn` with its tracks and code as `config` says, and what its metadata tells.

    What the training recordings are like is read from `prior`, or of tracks from `mapper`. Raises
    UserError for a code that is no file's, and where the decoder does not follow a track, no
    recording has it, or the model does not hold what its recordings are like.
    """
    model, name, source = bundle.model, bundle.card.name, drawn.source
    default = asdict(FileConfig())
    asked = [key for key, value in asdict(config).items() if value != default[key]]
    if not isinstance(source, FileSource):
        raise UserError(f"file.{asked[0]}: of a file, not of a code; leave it out")
    for key in asked:
        for track in (_NEEDS[key], "loudness_db"):  # the level tells what sounds
            if track not in model.conditions:
                raise UserError(
                    f"file.{key}: the decoder of '{name}' follows no {_OF[track]}; leave it out"
                )
    fit = Fit(
        transpose=None if config.transpose == AUTO else float(config.transpose or 0.0),
        match_loudness=config.match_loudness,
        match_brightness=config.match_brightness,
        match_pitch=config.match_pitch,
    )
    tables = tables_of(prior, mapper) if fit.needed else {}
    for track in fit.needed:
        if track not in tables:
            key = next(key for key in asked if _NEEDS[key] == track and key != "match_timbre")
            raise UserError(_lacking(key, track, tables, name))
    voice = voice_of(source.conditions, model.hop_samples / model.sample_rate_hz)
    made, move = fitted(voice, fit, tables), None
    if config.match_timbre and voice.sounds:
        bank = getattr(prior, "bank", None)
        if bank is None:
            raise UserError(
                f"file.match_timbre: '{name}' holds no codes of its recordings; "
                "timbrel prior run=RUN adds them"
            )
        move = moved_to(mean_of_recordings(bank), source, sounding(voice.tracks["loudness_db"]))
    fitted_source = FittedSource(source, conditions_of(made), move)
    return Draw(fitted_source), {**asdict(config), "semitones": made.semitones}


def tables_of(prior: Prior, mapper: Callable[[], Mapper | None]) -> Tables:
    """Quantiles of the training recordings' tracks: of their codes, else those of the sliders.

    Empty where neither is there.
    """
    bank = getattr(prior, "bank", None)
    if bank is not None:
        return track_tables((clip.rows for clip in bank.recordings), bank.tracks)
    sliders = mapper()
    return {} if sliders is None else sliders.tracks


def _lacking(key: str, track: str, known: Tables, name: str) -> str:
    if known:
        return f"file.{key}: the recordings of '{name}' have no {_OF[track]}; leave it out"
    return (
        f"file.{key}: '{name}' holds neither codes of its recordings nor sliders; "
        "timbrel prior run=RUN adds the codes"
    )
