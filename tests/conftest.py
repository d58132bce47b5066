"""Fixtures shared by all tests."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("WANDB_SILENT", "true")
if "PYTEST_XDIST_WORKER" in os.environ:
    # One test per core already: threads of several tests on one core wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import soundfile
from jaxtyping import install_import_hook

import signals

# Before any test module imports timbrel: from here on a wrong axis is a failing test.
CHECKED = tuple(f"timbrel.{part}" for part in ("contracts", "dsp", "models", "losses", "metrics"))
install_import_hook(CHECKED, "shape_check.checked")

CHECKOUT = Path(__file__).resolve().parents[1]

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Begun by `&` in a script: what is started here would ignore Ctrl-C too, as it should outside.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Or each of the many processes here would compile timbrel again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_configure(config: pytest.Config) -> None:
    """Give a worker half of the suite, not batches of it: what a module trains is trained once."""
    if config.getoption("dist", "no") == "load":  # what -n chooses
        config.option.dist = "worksteal"


def pytest_collection_finish() -> None:
    """Keep what is imported by now out of the garbage collections to come: a tenth of the time."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six decaying tones of half a second."""
    folder = tmp_path_factory.mktemp("recordings")
    for i in range(6):
        tone = signals.sine(110.0 * (i + 1), 0.5) * np.linspace(1, 0, 24_000, dtype=np.float32)
        soundfile.write(folder / f"tone_{i}.wav", tone, 48_000, subtype="PCM_24")
    return folder


@pytest.fixture
def lose_a_stop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], object]]:
    """Signals are listened to; one call is a Ctrl-C whose KeyboardInterrupt Python ignores."""
    from timbrel import stopping

    class Ending:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    monkeypatch.setattr(stopping, "_received", [])
    stopping.listen()
    yield Ending
    assert stopping.asked()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder, with a folder of recordings beside it."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "kicks").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"
