"""Options of one's own."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def own_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Write these texts as `conf/<name>.yaml` of the folder where the command runs."""
    monkeypatch.chdir(tmp_path)

    def write(texts: dict[str, str]) -> None:
        for name, text in texts.items():
            file = tmp_path / "conf" / f"{name}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    return write
