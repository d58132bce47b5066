"""`make base` hands folders and overrides to timbrel, and names what to start from."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from timbrel.stages.composing import compose


@pytest.fixture
def make(tmp_path: Path, checkout: Path):
    """`make base WORDS` with a timbrel that only says what it was given: its lines."""
    if shutil.which("make") is None or not (checkout / "Makefile").is_file():
        pytest.skip("no make, or no Makefile")
    program = tmp_path / "bin" / "timbrel"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)

    # A make of its own: one started by `make test` would tell the folders it enters.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}

    def run(*words: str) -> list[str]:
        command = ["make", "-f", str(checkout / "Makefile"), "-o", "install", "BIN=bin", "base"]
        done = subprocess.run(
            [*command, *words], cwd=tmp_path, env=alone, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_without_folders_it_is_the_built_in_set(make) -> None:
    stage, *overrides, last = make("DATA=")
    assert stage == "train"
    run = overrides.pop().removeprefix("hydra.run.dir=")
    config = compose("train", overrides)
    assert (config.name, config.data.kind, config.data.files) == ("base", "demo", 200)
    assert (config.trainer.max_time, list(config.data.also)) == ("15m", [])
    assert last.endswith(f" init_from={run}")


def test_folders_and_overrides_arrive_whatever_their_names(make) -> None:
    words = make("""DATA="it's mine, (1)" kicks""", "ARGS=trainer.max_steps=50 architecture=rave")
    overrides = [word for word in words[1:-1] if not word.startswith("hydra.")]
    config = compose("train", overrides)
    assert list(config.data.also) == ["it's mine, (1)", "kicks"]
    assert config.trainer.max_steps == 50
    assert "MultibandEncoder" in config.architecture.encoder._target_
