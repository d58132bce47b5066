"""Launchers of Hydra's that are extras."""

from importlib.util import find_spec

import pytest

_PLUGINS = {
    "joblib": ("hydra_joblib_launcher", "joblib"),
    "submitit_local": ("hydra_submitit_launcher", "slurm"),
    "ray": ("hydra_ray_launcher", "ray"),
}


def needs_launcher(name: str) -> None:
    """Skip a test whose launcher is not installed."""
    if name in _PLUGINS:
        plugin, extra = _PLUGINS[name]
        if find_spec(f"hydra_plugins.{plugin}") is None:
            pytest.skip(f"hydra/launcher={name} is not installed: timbrel[{extra}]")
