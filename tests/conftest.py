"""Fixtures shared by all tests."""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("WANDB_SILENT", "true")

import pytest
from jaxtyping import install_import_hook

# Before any test module imports timbrel: from here on a wrong axis is a failing test.
CHECKED = tuple(f"timbrel.{part}" for part in ("contracts", "dsp", "models", "losses", "metrics"))
install_import_hook(CHECKED, "shape_check.checked")

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def checkout() -> Path:
    return CHECKOUT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings beside the checkout; tests that need it skip without it."""
    folder = Path(os.environ.get("TIMBREL_SHARED", CHECKOUT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no folder of real recordings at {folder} (set TIMBREL_SHARED)")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's cache; one cache serves the whole test process."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TIMBREL_CACHE", str(tmp_path_factory.getbasetemp() / "timbrel-cache"))
        yield
