"""Recordings and a working folder for the stages' tests."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

import signals


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six decaying tones of half a second."""
    folder = tmp_path_factory.mktemp("recordings")
    for i in range(6):
        tone = signals.sine(110.0 * (i + 1), 0.5) * np.linspace(1, 0, 24_000, dtype=np.float32)
        soundfile.write(folder / f"tone_{i}.wav", tone, 48_000, subtype="PCM_24")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder, with a folder of recordings beside it."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "kicks").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"
