"""Sections of `timbrel generate`: what a sound is chosen by, moved by, and kept as."""

# ruff: noqa: RUF009 - `_key` returns a field, which is what the rule asks for.

from dataclasses import dataclass

from timbrel.config.bounds import key as _key
from timbrel.config.choices import PresetPlace

NumberOrText = int | float | str | None
"""A number, or what stands for one in words: a curve or its file, `auto`."""


@dataclass
class AttributesConfig:
    """What a new sound is chosen by: of 24, the one nearest to these."""

    f0_hz: float | None = _key(None, "fundamental, in Hz", least=20, most=5000)
    centroid_hz: float | None = _key(
        None, "spectral centroid (brightness), in Hz", least=20, most=96_000
    )
    rolloff_hz: float | None = _key(None, "85 % roll-off, in Hz", least=20, most=96_000)
    flatness: float | None = _key(None, "spectral flatness: 0 a tone, 1 noise", least=0, most=1)
    hnr_db: float | None = _key(None, "harmonic-to-noise ratio, in dB", least=-20, most=40)
    log_attack_time: float | None = _key(
        None, "attack: log10 of seconds, -2 is 10 ms", least=-4, most=1
    )
    decay_db_per_s: float | None = _key(None, "decay, in dB/s", least=-1000, most=10_000)
    onsets_per_s: float | None = _key(None, "onsets per second", least=0, most=25)


@dataclass
class ControlsConfig:
    """What moves a sound by the model's sliders (`timbrel analyze` finds them).

    Each takes a number; all but attack and decay also breakpoints as [[0,0],[0.5,2]] (seconds,
    value), or a CSV or YAML file of them.
    """

    pitch_hz: NumberOrText = _key(None, "fundamental, in Hz", above=0, most=24_000)
    pitch_st: NumberOrText = _key(None, "semitones up or down", least=-48, most=48)
    brightness_hz: NumberOrText = _key(None, "spectral centroid, in Hz", above=0, most=24_000)
    brightness_octaves: NumberOrText = _key(None, "octaves brighter", least=-6, most=6)
    hnr_db: NumberOrText = _key(None, "harmonic-to-noise ratio, in dB", least=-20, most=40)
    hnr_change_db: NumberOrText = _key(None, "dB more tonal", least=-60, most=60)
    attack_ms: NumberOrText = _key(None, "attack, in ms", above=0, most=10_000)
    attack_times: NumberOrText = _key(None, "so many times as long an attack", above=0, most=100)
    decay_db_per_s: NumberOrText = _key(None, "decay, in dB/s", above=0, most=10_000)
    decay_times: NumberOrText = _key(None, "so many times as fast a decay", above=0, most=100)
    onsets_per_s: NumberOrText = _key(None, "onsets per second", above=0, most=50)
    speed_times: NumberOrText = _key(None, "so many times as fast", above=0, most=100)
    width: NumberOrText = _key(None, "stereo width: 0 mono, 1 antiphase", least=0, most=1)
    width_change: NumberOrText = _key(None, "so much wider", least=-1, most=1)
    level_lufs: NumberOrText = _key(None, "loudness, in LUFS", least=-70, most=20)
    level_db: NumberOrText = _key(None, "dB louder", least=-200, most=200)
    timbre: NumberOrText = _key(None, "-1 to 1: the best timbre slider", least=-1, most=1)
    harmony: NumberOrText = _key(None, "-1 to 1: the best harmony slider", least=-1, most=1)
    temporal: NumberOrText = _key(None, "-1 to 1: the best temporal slider", least=-1, most=1)
    spatial: NumberOrText = _key(None, "-1 to 1: the best spatial slider", least=-1, most=1)
    curves: str | None = _key(
        None, "YAML file of several curves: a line pitch_st: [[0,0],[1,7]] for each control"
    )
    follow: str | None = _key(
        None, "(or from) recording whose loudness, brightness and pitch the sound takes over time"
    )
    looseness: float = _key(
        0.0, "of controls.follow: 0 follows every detail, 1 the slow course alone", least=0, most=1
    )
    transpose: NumberOrText = _key(
        None,
        "of controls.follow: semitones up or down; auto (default): octaves, into the model's range",
        least=-48,
        most=48,
    )
    precise: bool = _key(False, "correct up to four times by decoding and measuring")


@dataclass
class PresetConfig:
    """The name under which a sound is kept with its model."""

    save: str | None = _key(None, "keep the sound as a preset of this name (`library presets`)")
    into: PresetPlace = _key(
        PresetPlace.user, "user: a folder of your own; model: the model itself, to pass on with it"
    )


@dataclass
class MidiConfig:
    """How a MIDI file is played."""

    channels: list[int] = _key(
        [], "channels that are played, as [1,2] (default: all but 10, the drums)", least=1, most=16
    )
    legato: bool = _key(
        False, "notes of a channel that overlap are one sound whose pitch moves, without an onset"
    )
    glide_s: float = _key(0.04, "time of a step of pitch in a legato, in s", least=0, most=5)
    transpose: float = _key(0.0, "semitones up or down", least=-48, most=48)
    release_s: float = _key(
        0.5, "longest release: what the sound takes longer for is cut short, in s", above=0, most=60
    )


@dataclass
class FileConfig:
    """What is changed of a recording that a model of other recordings plays (source=file).

    For models whose decoder follows tracks. Without any of these a recording is reconstructed.
    """

    transpose: NumberOrText = _key(
        0.0,
        "semitones up or down; auto: octaves, into the range of the training recordings",
        least=-48,
        most=48,
    )
    match_timbre: bool = _key(
        False, "timbre of the training recordings (the code is moved to their mean)"
    )
    match_loudness: bool = _key(
        False, "levels as the training recordings have them (mapped by quantiles)"
    )
    match_brightness: bool = _key(
        False, "brightness as the training recordings have it (mapped by quantiles)"
    )
    match_pitch: bool = _key(
        False,
        "where pitches leave the range of the training recordings, map all into it by quantiles; "
        "intervals change",
    )
