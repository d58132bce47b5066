"""Any effect of pedalboard (GPL-3, an extra: timbrel[rooms]), by its name there."""

import importlib
import importlib.util
import inspect
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from timbrel.data.augmentation.change import Audio, Changed
from timbrel.data.augmentation.libraries import (
    check_name,
    checked,
    errors_told,
    global_randomness,
    plain,
    try_out,
)
from timbrel.data.augmentation.settings import check_probability
from timbrel.errors import UserError, did_you_mean

# Slow, or hearing what came before: worth rendering ahead, on whole recordings. `Convolution` reads
# a file, whose content the name of a variant rendered ahead does not follow: it stays live.
_SLOW = frozenset(
    {
        *("BrickwallLimiter", "Compressor", "Delay", "GSMFullRateCompressor", "Limiter"),
        *("MP3Compressor", "NoiseGate", "Phaser", "PitchShift", "Resample", "Reverb"),
    }
)
# Plugins from files run a stranger's code; the others hold effects, or are abstract.
_NO_EFFECTS = frozenset(
    {
        *("AudioUnitPlugin", "ExternalPlugin", "VST3Plugin"),
        *("Chain", "IIRFilter", "Mix", "Pedalboard", "Plugin", "PluginContainer"),
    }
)


class Pedalboard:
    """The effect `name` of pedalboard with `arguments`; a number may be a range to draw from.

    A range is `[low, high]`, and uniform. The effect is tried out when made, so that what it
    refuses is told before recordings are read. `keeps_f0` says that every moment keeps its f0; else
    f0 is unknown afterwards.

    Raises:
        UserError: no pedalboard; no such effect; an argument it does not take, lacks or refuses;
            a sound that its seed does not decide. Then, and with every call: samples that are not
            finite, or more or fewer of them than were given.
    """

    max_speed = 1.0

    def __init__(
        self,
        *,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        keeps_f0: bool = False,
        probability: float = 1.0,
    ) -> None:
        self.name = name
        self.arguments = plain(f"Pedalboard {name}", arguments)
        self.keeps_f0 = keeps_f0
        self.heavy = name in _SLOW
        self.probability = needs_pedalboard(f"Pedalboard {name}", probability)
        if not probability:
            return
        check_name("Pedalboard", name, effect_names())
        _check_arguments(name, self.arguments)
        for end in (0, 1):  # a range whose ends are possible is possible
            ends = {k: v[end] if isinstance(v, list) else v for k, v in self.arguments.items()}
            with errors_told(f"Pedalboard {name}", ends):
                _made(name, ends)
        try_out(f"Pedalboard {name}", self)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The changed audio. Raises UserError."""
        owner, seed = f"Pedalboard {self.name}", int(rng.integers(1 << 32))
        drawn = {
            key: float(rng.uniform(*value)) if isinstance(value, list) else value
            for key, value in self.arguments.items()
        }
        with errors_told(owner, drawn), global_randomness(seed):
            found = _made(self.name, drawn).process(audio.copy(), rate_hz, reset=True)
        return checked(owner, audio, found, keeps_f0=self.keeps_f0)


def needs_pedalboard(transform: str, probability: float) -> float:
    """`probability`, if it is one, and 0 where there is no pedalboard. Raises UserError."""
    if check_probability(transform, probability) and not importlib.util.find_spec("pedalboard"):
        raise UserError(
            f"{transform} needs pedalboard: pip install 'timbrel[rooms]' (GPL-3), or take "
            "augmentation=standard"
        )
    return probability


def effect_names() -> list[str]:
    """The effects that work by themselves."""
    library: Any = importlib.import_module("pedalboard")
    kinds = [v for v in vars(library).values() if inspect.isclass(v)]
    return sorted({v.__name__ for v in kinds if issubclass(v, library.Plugin)} - _NO_EFFECTS)


def _made(name: str, arguments: Mapping[str, Any]) -> Any:
    library: Any = importlib.import_module("pedalboard")
    taken = _parameters(name)
    given = {
        key: _choices(taken[key]).get(value, value) if isinstance(value, str) else value
        for key, value in arguments.items()
    }
    return getattr(library, name)(**given)


def _parameters(name: str) -> dict[str, str]:
    """What an effect takes, with type and default as text, such as `{"depth": "float = 0.25"}`.

    The effects are compiled: the first line of their help is the only signature they have.
    """
    library: Any = importlib.import_module("pedalboard")
    line = (getattr(library, name).__init__.__doc__ or "").splitlines()[0]
    inside = line[line.find("(") + 1 : line.rfind(")")]
    _, *parts = re.split(r", (?=\w+: )", inside)  # the first is the effect itself
    return dict(part.split(": ", 1) for part in parts)


def _choices(parameter: str) -> dict[str, Any]:
    """The values of a parameter that is one of several named ones; else none."""
    kind, _, _ = parameter.partition(" = ")
    found: Any = importlib.import_module("pedalboard")
    if not kind.startswith("pedalboard_native."):
        return {}
    for part in kind.split(".")[1:]:
        found = getattr(found, part)
    return dict(found.__members__)


def _check_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    taken = _parameters(name)
    for key, value in arguments.items():
        given = f"Pedalboard {name}: {key}={value}"
        if key not in taken:
            free = [other for other in taken if other not in arguments]
            raise UserError(f"Pedalboard {name} takes no '{key}'{did_you_mean(key, free)}")
        if taken[key].startswith("float") and not (_is_number(value) or _is_range(value)):
            raise UserError(f"{given}: give a number, or a range [low, high]")
        choices = _choices(taken[key])
        if choices and str(value) not in choices:
            raise UserError(f"{given}: give one of {', '.join(choices)}")
    lacking = [key for key, text in taken.items() if " = " not in text and key not in arguments]
    if lacking:
        raise UserError(f"Pedalboard {name} needs {', '.join(lacking)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(map(_is_number, value))
        and value[0] <= value[1]
    )
