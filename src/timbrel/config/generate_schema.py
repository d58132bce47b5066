"""The typed schema of `timbrel generate`. It imports neither Hydra nor torch."""

# ruff: noqa: RUF009 - `_key` and `_section` return fields, which is what the rule asks for.

from dataclasses import dataclass
from typing import Any

from timbrel.config.bounds import key as _key
from timbrel.config.bounds import section as _section
from timbrel.config.choices import ExportFormat, Source
from timbrel.config.generate_sections import (
    AttributesConfig,
    ControlsConfig,
    FileConfig,
    MidiConfig,
    PresetConfig,
)
from timbrel.config.schema import DeviceConfig


@dataclass
class ExportConfig:
    """Format and level of the audio files that are written."""

    format: ExportFormat = _key(ExportFormat.wav, "file format: wav or flac")
    encoding: str = _key(
        "24", "bits per sample: 16, 24, or 32f (float, wav only)", choices=("16", "24", "32f")
    )
    sample_rate_hz: int = _key(48000, "sample rate of the file, in Hz", least=1000, most=384_000)
    dither: bool = _key(True, "add TPDF dither (16 and 24 bits only)")
    ceiling_dbtp: float = _key(
        -1.0, "highest true peak, in dBTP; louder sound is turned down", least=-60, most=0
    )


@dataclass
class GenerateConfig:
    """`timbrel generate`."""

    model: str = _key("???", "model bundle or run folder")
    trust: bool = _key(False, "true: open a model whose classes are not timbrel's; their code runs")
    source: Source = _key(
        Source.prior,
        "prior: a new sound; file: encode and decode input=; vary: a sound like input=; between: "
        "one on the line from input= to to=; continue: input= and what goes on like it; fill: "
        "input= with span= drawn anew; preset: the preset input=; midi: the notes of the MIDI "
        "file input=; keys: a folder of samples, with an SFZ file for samplers",
    )
    input: Any = _key(
        None,
        "audio file to encode, or a folder of them (source=file); data.normalise is applied; "
        "preset:NAME, or with source=preset its name or file; [FROM,TO] with source=between",
    )
    to: str | None = _key(None, "audio file, or preset:NAME, at the other end (source=between)")
    strength: float = _key(
        0.5, "how far from input= (source=vary): 0 that sound, 1 far", least=0, most=1
    )
    position: float = _key(
        0.5, "place between input= and to= (source=between): 0 input, 1 to", least=0, most=1
    )
    position_to: float | None = _key(
        None,
        "place at the end of the sound, which then moves there (source=between)",
        least=0,
        most=1,
    )
    span: list[float] = _key(
        [],
        "what is drawn anew, in seconds: [FROM,TO] (source=fill); behind the end the sound goes on",
        least=0,
    )
    sound: str | None = _key(
        None,
        "what source=midi and source=keys play: audio file or preset:NAME (default: the new sound "
        "of seed=)",
    )
    variety: float = _key(
        0.0,
        "how far notes (source=midi) or round robins (source=keys) differ: 0 as one sound does "
        "from take to take, 1 as other sounds like it",
        least=0,
        most=1,
    )
    file: FileConfig = _section(FileConfig)
    midi: MidiConfig = _section(MidiConfig)
    keys: str = _key("C2-C6:3", "keys that are sampled, as FROM-TO:STEP; C4 is 60 (source=keys)")
    velocities: int = _key(3, "layers of velocity (source=keys)", least=1, most=16)
    round_robins: int = _key(2, "takes of each key and layer (source=keys)", least=1, most=16)
    output: str | None = _key(None, "file or folder to write (default: outputs/generated)")
    seed: int = _key(0, "seed of all random choices", least=0)
    count: int = _key(
        1,
        "sounds of the seeds seed, seed + 1, ..., told in manifest.csv beside them; the same "
        "command goes on where it was stopped",
        least=1,
        most=1_000_000,
    )
    attributes: AttributesConfig = _section(AttributesConfig)
    controls: ControlsConfig = _section(ControlsConfig)
    preset: PresetConfig = _section(PresetConfig)
    novelty: float = _key(
        0.0,
        "draw again what is nearer to a recording than this share of the distance of one that "
        "was not trained on (source=prior): 0 never, 0.35 near copies",
        least=0,
        most=1,
    )
    seconds: float | None = _key(
        None,
        "length in seconds (default: the sound's own, or that of input=; 4 where it has none)",
        above=0,
        most=86_400,
    )
    length: float = _key(
        1.0, "stretches what lies behind the onset (not source=file)", least=0.5, most=2
    )
    temperature: float = _key(1.0, "spread of the code: 0 none, 1 as learned", least=0)
    gain_db: float = _key(0.0, "gain before the true-peak ceiling, in dB", least=-200, most=200)
    fade_in_s: float = _key(0.0, "length of the fade-in, in seconds", least=0)
    fade_out_s: float = _key(0.01, "length of the fade-out, in seconds", least=0)
    device: DeviceConfig = _section(DeviceConfig)
    export: ExportConfig = _section(ExportConfig)
