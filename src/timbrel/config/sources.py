"""The checks of what a sound of `timbrel generate` is made from."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from timbrel.config.choices import Source
from timbrel.config.generate_schema import GenerateConfig
from timbrel.config.keys import key_numbers
from timbrel.config.values import PRESET
from timbrel.errors import UserError, folder_fault, override_text
from timbrel.paths import user_path

_SEVERAL = (Source.prior, Source.vary, Source.fill, getattr(Source, "continue"), Source.midi)
_OF_A_SEED = (Source.prior, Source.keys)
"""Sources that need no input."""
_OF_KEYS = ("keys", "velocities", "round_robins")
_WANTED = {
    Source.midi: "FILE, a MIDI file",
    Source.file: "FILE or input=FOLDER, the audio to encode",
    Source.preset: "NAME (timbrel library presets MODEL lists them)",
}


def source_problems(config: GenerateConfig) -> Iterator[str]:
    """A line for every file that the source lacks or does not take, or that is not there.

    Whether a preset is there only the model tells.
    """
    yield from _several(config)
    yield from span_problems(config.source, config.span)
    yield from _keys(config)
    if config.sound is not None and not config.sound.startswith(PRESET):
        sound = user_path(config.sound, "sound")
        if fault := _input_fault(sound) or ("a folder; give one file" if sound.is_dir() else None):
            yield f"sound={config.sound}: {fault}"
    problems = list(pair_problems(config.source, config.input, config.to))
    if problems:
        yield from problems
        return
    one, other = ends(config.input, config.to)
    of_other = "input" if is_several(config.input) else "to"
    yield from _input(config.source, "input", one, needs=config.source not in _OF_A_SEED)
    yield from _input(config.source, of_other, other, needs=config.source == Source.between)


def is_several(given: Any) -> bool:
    """Whether what stands for an input is a list of files or presets."""
    return isinstance(given, list | tuple)


def pair_problems(source: Any, given: Any, to: Any) -> Iterator[str]:
    """A line where `input` is a list that `source` does not take, or that goes with no `to`."""
    if not is_several(given):
        return
    shown = f"input={override_text(given)}"
    if source != Source.between:
        yield f"{shown}: source={source} takes one; a list of two is for source=between"
    elif len(given) != 2:
        yield f"{shown}: source=between takes two, as input=[a.wav,b.wav]"
    elif to is not None:
        yield f"{shown} and to={to}: both name the other end; leave out to="


def ends(given: Any, to: Any) -> tuple[Any, Any]:
    """What a sound is made from, and the other end, where `pair_problems` has no line.

    >>> ends(["a.wav", "b.wav"], None), ends("a.wav", None)
    (('a.wav', 'b.wav'), ('a.wav', None))
    """
    return (given[0], given[1]) if is_several(given) else (given, to)


def span_problems(source: Any, span: Sequence[float]) -> Iterator[str]:
    """A line where the span to fill lacks, is none, or is not asked for."""
    if not span:
        if source == Source.fill:
            yield "source=fill: needs span=[FROM,TO], the seconds to draw anew, as span=[0.2,0.6]"
    elif source != Source.fill:
        yield f"span={override_text(span)}: only source=fill takes it; leave it out"
    elif len(span) != 2 or not span[0] < span[1]:
        yield f"span={override_text(span)}: two times in seconds, the earlier one first"


def _input(source: Source, key: str, given: Any, *, needs: bool) -> Iterator[str]:
    if given is None:
        if needs:
            what = _WANTED.get(source, "FILE, the audio to encode")
            yield f"source={source}: needs {key}={what}"
    elif not needs:
        yield f"{key}={given}: source={source} does not take it; leave it out"
    elif source == Source.preset:
        return
    elif given.startswith(PRESET):
        name = given.removeprefix(PRESET)
        if source == Source.file:
            yield f"{key}={given}: source=preset input={name} plays it"
        elif source == Source.midi:
            yield f"{key}={given}: source=midi takes a MIDI file; a preset is a sound={given}"
    elif fault := _input_fault(user_path(given, key)):
        yield f"{key}={given}: {fault}"
    elif source != Source.file and user_path(given, key).is_dir():
        yield f"{key}={given}: a folder; source={source} takes one file"


def _keys(config: GenerateConfig) -> Iterator[str]:
    """Lines for what only source=keys takes, and for what it does not."""
    default = GenerateConfig(model=config.model)
    if config.source != Source.keys:
        for key in _OF_KEYS:
            if getattr(config, key) != getattr(default, key):
                yield f"{key}={getattr(config, key)}: only source=keys takes it; leave it out"
        return
    if config.preset.save is not None:
        yield f"preset.save={config.preset.save}: not with source=keys; keep the sound by itself"
    try:
        key_numbers(config.keys)
    except UserError as error:
        yield str(error)


def _several(config: GenerateConfig) -> Iterator[str]:
    """Several sounds are asked of a source that gives several, and none is kept by one name."""
    if config.count == 1:
        return
    if config.source not in _SEVERAL:
        yield f"count={config.count}: source={config.source} gives one sound; leave it out"
    if config.preset.save is not None:
        yield f"preset.save={config.preset.save}: one sound at a time is kept; leave out count"


def _input_fault(path: Path) -> str | None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "no such file or folder"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return folder_fault(path) if path.is_dir() else None
