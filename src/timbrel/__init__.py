"""timbrel: train a generative instrument from a folder of your own recordings."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timbrel.library import load as load

__all__ = ["__version__", "load"]
__version__ = version("timbrel")


def __getattr__(name: str) -> Any:
    """`timbrel.load`, imported on first use: `import timbrel` alone must not import torch."""
    if name == "load":
        from timbrel.library import load

        return load
    raise AttributeError(f"module 'timbrel' has no attribute {name!r}")
