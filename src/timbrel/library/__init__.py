"""The model bundle: store, load, play."""

from timbrel.library.bundle import (
    Bundle,
    Card,
    Frontend,
    TrainingData,
    load_bundle,
    locate_bundle,
    save_bundle,
)
from timbrel.library.instrument import Audio, Instrument, RenderSettings, load

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
