"""timbrel: train a generative instrument from a folder of your own recordings."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timbrel.library import load as load

    __version__: str

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """`timbrel.load` and `timbrel.__version__`, on first use: `import timbrel` imports nothing."""
    if name == "__version__":
        from importlib.metadata import version

        return version("timbrel")
    if name == "load":
        from timbrel.library import load

        return load
    raise AttributeError(f"module 'timbrel' has no attribute {name!r}")
