"""A stop that Python dropped: the work ends all the same, and not as if nothing had been asked."""

import subprocess
import sys
from pathlib import Path

import pytest

# A Ctrl-C meets the end of an object, where Python ignores what is raised: at the first event
# (of sys.audit) of the name and the argument given, before the words of the command.
LOSING = """
import signal, sys
from timbrel import cli

class Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def hook(event, arguments):
    if waiting and event == waiting[0] and waiting[1] in map(str, arguments):
        waiting.clear()
        Interrupted()

waiting = sys.argv[1:3]
del sys.argv[1:3]
sys.addaudithook(hook)
sys.exit(cli.main())
"""


def lost(event: str, argument: str, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-c", LOSING, event, argument, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr.startswith("Exception ignored in: <function Interrupted.__del__")
    return done


@pytest.mark.parametrize("workers", [0, 1])
def test_a_scan_stops_at_its_next_file(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setenv("TIMBREL_CACHE", str(tmp_path))  # of another scan it would know all files
    words = ("inspect", f"data.root={recordings}", f"workers={workers}", "attributes=false")
    done = lost("os.scandir", str(recordings), *words, "report=null")
    assert done.returncode == 130
    assert done.stderr.endswith("timbrel inspect: stopped; the same command begins again\n")
    assert done.stdout == ""


def test_what_nothing_heard_is_heard_at_the_end() -> None:
    done = lost("import", "timbrel.runs.finder", "library", "list")
    assert done.returncode == 130
    assert done.stderr.endswith("\ntimbrel: stopped\n")
