"""What transforms of other libraries share: their global randomness, their errors, their results.

The libraries draw from the global generators, which are seeded from the example's own generator for
the time of a call. What a transform does to a sound is not known here: f0 is taken for unknown
after it, unless the config says `keeps_f0: true`.
"""

import contextlib
import json
import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from timbrel.data.augmentation.change import UNCHANGED, Audio, Change, Changed
from timbrel.errors import UserError, did_you_mean, override_text

_TRIED_HZ, _TRIED_SAMPLES = 48_000, 60_013  # a length that no setting aims at
_TRIALS = 4  # what changes the length may do so now and then


@contextlib.contextmanager
def global_randomness(seed: int) -> Iterator[None]:
    """Seed `random` and `numpy.random` for a while; their states come back, also after an error."""
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is what is seeded
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002


@contextlib.contextmanager
def errors_told(owner: str, arguments: Mapping[str, Any]) -> Iterator[None]:
    """What a library raises becomes a UserError of one sentence that begins with `owner`."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f"{owner} needs {error.name}, which is not installed: pip install {error.name}"
        ) from error
    except Exception as error:
        given = ", ".join(f"{key}={override_text(value)}" for key, value in arguments.items())
        unsaid = f"the library refuses {given}" if given else "it needs arguments"
        raise UserError(f"{owner}: {' '.join(str(error).split()) or unsaid}") from error


def plain(owner: str, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of `arguments`, if they are what a YAML file can hold. Raises UserError."""
    try:
        return dict(json.loads(json.dumps(dict(arguments or {}))))
    except (TypeError, ValueError) as error:
        raise UserError(f"{owner}: arguments are plain values, without a _target_") from error


def check_name(owner: str, name: str, known: Collection[str]) -> None:
    """Raises UserError where `name` is not `known`, with the nearest or all of them."""
    if name in known:
        return
    nearest = next((word for word in known if word.lower() == name.lower()), None)
    hint = f"; did you mean '{nearest}'?" if nearest else did_you_mean(name, known)
    listed = "" if hint else "; there are " + ", ".join(known)
    raise UserError(f"{owner}: no transform '{name}'{hint}{listed}")


def try_out(owner: str, transform: Callable[[Audio, int, np.random.Generator], Changed]) -> None:
    """Apply `transform` to noise between silences, twice for every seed.

    Raises UserError as it does, and where a seed does not decide the sound.
    """
    noise = np.random.default_rng(0).standard_normal((1, _TRIED_SAMPLES), np.float32)
    sound = noise * np.float32(0.1)
    sound[:, : _TRIED_SAMPLES // 4] = sound[:, -_TRIED_SAMPLES // 4 :] = 0
    for seed in range(_TRIALS):
        once, again = (
            transform(sound, _TRIED_HZ, np.random.default_rng(seed)).audio for _ in range(2)
        )
        if not np.array_equal(once, again):
            raise UserError(
                f"{owner} makes another sound each time, whatever the seed: training could not be "
                "repeated; give it other arguments, or leave it out"
            )


def checked(owner: str, audio: Audio, found: Audio, *, keeps_f0: bool) -> Changed:
    """`found`, if it is finite and has the shape of `audio`. Raises UserError."""
    if found.shape != audio.shape:
        raise UserError(
            f"{owner} made {found.shape[-1]} samples of {audio.shape[-1]}: a transform in a chain "
            "keeps the length; give it arguments that do, or leave it out"
        )
    if not np.isfinite(found).all():
        raise UserError(f"{owner} made samples that are not finite; leave it out")
    change = UNCHANGED if keeps_f0 else Change(f0_ratio=math.nan)
    return Changed(np.array(found, np.float32, order="C"), change)
