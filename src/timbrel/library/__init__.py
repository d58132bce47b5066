"""The model bundle: store it, load it, render from it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timbrel.library.audio import Audio
    from timbrel.library.bundle import (
        Bundle,
        load_bundle,
        locate_bundle,
        save_bundle,
    )
    from timbrel.library.card import Card, Frontend, TrainingData
    from timbrel.library.instrument import Instrument, load
    from timbrel.library.render_settings import RenderSettings

# Fetched at first use (PEP 562): listing a hundred runs must not wait for torch.
_HOMES = {
    "Audio": "audio",
    "Bundle": "bundle",
    "Card": "card",
    "Frontend": "card",
    "Instrument": "instrument",
    "RenderSettings": "render_settings",
    "TrainingData": "card",
    "load": "instrument",
    "load_bundle": "bundle",
    "locate_bundle": "bundle",
    "save_bundle": "bundle",
}

__all__ = [
    "Audio",
    "Bundle",
    "Card",
    "Frontend",
    "Instrument",
    "RenderSettings",
    "TrainingData",
    "load",
    "load_bundle",
    "locate_bundle",
    "save_bundle",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
