"""Any waveform transform of audiomentations, by its name there."""

import contextlib
import importlib
import inspect
import io
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from timbrel.config.targets import check_targets
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
from timbrel.errors import UserError

# More than about 10 ms for a second of stereo. Those that read files stay live, however slow: the
# name of a variant rendered ahead does not follow the content of other files.
_SLOW = frozenset(
    {
        *("AirAbsorption", "Limiter", "LoudnessNormalization", "Mp3Compression", "PitchShift"),
        *("RoomSimulator", "SevenBandParametricEQ", "TimeStretch"),
    }
)


class Audiomentations:
    """The transform `name` of audiomentations with `arguments`, but for `p`: see `probability`.

    It is tried out when made, so that what it refuses or lacks is told before recordings are read.
    One for mono alone is given every channel with the same draws. `keeps_f0` says that every moment
    keeps its f0; else f0 is unknown afterwards.

    Raises:
        UserError: no such transform; an argument it does not take, lacks or refuses; a package that
            is not installed; a sound that its seed does not decide. Then, and with every call:
            samples that are not finite, or more or fewer of them than were given.
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
        self.arguments = plain(f"Audiomentations {name}", arguments)
        self.keeps_f0 = keeps_f0
        self.heavy = name in _SLOW
        self.probability = check_probability(f"Audiomentations {name}", probability)
        if not probability:
            return
        check_name("Audiomentations", name, transform_names())
        if "p" in self.arguments:
            raise UserError(f"Audiomentations {name}: give probability beside the name, not p")
        check_targets({**self.arguments, "_target_": f"audiomentations.{name}"}, "arguments")
        with contextlib.redirect_stderr(io.StringIO()):  # what is missing is told once
            try_out(f"Audiomentations {name}", self)

    def __call__(self, audio: Audio, rate_hz: int, rng: np.random.Generator) -> Changed:
        """The changed audio. Raises UserError."""
        owner, seed = f"Audiomentations {self.name}", int(rng.integers(1 << 32))
        with errors_told(owner, self.arguments):
            transform = _made(self.name, json.dumps(self.arguments))
            if transform.supports_multichannel:
                with global_randomness(seed):
                    found = transform(audio.copy(), rate_hz)
            else:
                channels = []
                for one in audio:
                    with global_randomness(seed):
                        channels.append(transform(one.copy(), rate_hz))
                found = np.stack(channels)
        return checked(owner, audio, found, keeps_f0=self.keeps_f0)


def transform_names() -> list[str]:
    """The waveform transforms that plain values describe: not `Lambda`, which takes a function."""
    library: Any = importlib.import_module("audiomentations")
    interface: Any = importlib.import_module("audiomentations.core.transforms_interface")
    base = interface.BaseWaveformTransform
    found = {k for k, v in vars(library).items() if inspect.isclass(v) and issubclass(v, base)}
    return sorted(found - {"Lambda"})


@lru_cache(maxsize=64)
def _made(name: str, arguments: str) -> Any:
    """One in a process for equal `arguments` (JSON): some list a folder and keep what they read."""
    library: Any = importlib.import_module("audiomentations")
    return getattr(library, name)(**json.loads(arguments), p=1.0)
