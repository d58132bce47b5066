"""Output that nobody reads ends no program: processes with pipes, terminals and full disks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from run_folders import write_bundle

GUARDED = "import os, sys; from timbrel import streams; streams.guard(); "
FULL = Path("/dev/full")
ON_FULL = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


def run(program: str, **streams) -> subprocess.CompletedProcess[bytes]:
    """`program`, guarded; its standard streams as given."""
    return subprocess.run([sys.executable, "-P", "-c", GUARDED + program], **streams)


def timbrel(*words: str, **options) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-P", "-m", "timbrel", *words], **options)


def unread_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def closed_terminal() -> int:
    master, slave = os.openpty()
    os.close(master)
    return slave


@pytest.mark.parametrize("unread", [unread_pipe, closed_terminal])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_nobody_reads_stops_nothing(unread, name, tmp_path):
    program = (
        f"[sys.{name}.write('a line\\n' * 9999) for _ in range(9)]; sys.{name}.flush(); "
        f"os.write(sys.{name}.fileno(), b'as C code does'); "
        f"os.system('echo as children do >&{1 if name == 'stdout' else 2}'); "
        f"open({str(tmp_path / 'end')!r}, 'w').close()"
    )
    descriptor = unread()
    done = run(program, **{name: descriptor})
    os.close(descriptor)
    assert done.returncode == 0  # 120 where the flush at exit fails
    assert (tmp_path / "end").exists()


def test_streams_closed_from_the_start_take_no_file_of_ours(tmp_path):
    """Else the next file opened would be descriptor 1 or 2, and hold what C code prints."""
    file = tmp_path / "file"
    program = (
        f"file = open({str(file)!r}, 'wb', buffering=0); print('told'); sys.stderr.write('told'); "
        "os.write(1, b'told'); os.write(2, b'told'); file.write(b'kept')"
    )
    words = f'exec {sys.executable} -P -c "{GUARDED}{program}" <&- >&- 2>&-'
    done = subprocess.run(["bash", "-c", words])
    assert done.returncode == 0
    assert file.read_bytes() == b"kept"


@ON_FULL
def test_a_full_disk_keeps_the_descriptor_and_is_told_of_results_alone():
    with FULL.open("wb") as full:
        done = run(
            "print('a result'); sys.stderr.write(streams.lost_output()); os.fstat(1)",
            stdout=full,
            stderr=subprocess.PIPE,
        )
        assert (done.returncode, done.stderr) == (0, b"No space left on device")
        listed = timbrel("--help", stdout=full, stderr=subprocess.PIPE)
        assert listed.returncode == 1
        assert listed.stderr.count(b"\n") == 1
        assert b"printed text was lost: No space left" in listed.stderr
        assert timbrel("trian", stdout=full, stderr=full).returncode == 2


def test_a_pipe_that_another_program_made_non_blocking_is_waited_for():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    words = [sys.executable, "-P", "-c", GUARDED + "print('x' * 1_000_000)"]
    process = subprocess.Popen(words, stdout=writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert len(file.read()) == 1_000_001
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", rb"+ k\xe9\u65e5\udcff"),
        ("latin-1", b"+ k\xe9\\u65e5\\udcff"),
        ("cp1252", b"+ k\xe9\\u65e5\\udcff"),
        ("utf-8", "✓ ké日\\udcff".encode()),
    ],
)
def test_what_a_terminal_cannot_show_is_replaced(encoding, expected):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    program = "text = '\\u2713 k\\xe9\\u65e5\\udcff'; print(text); sys.stderr.write(text)"
    done = run(program, env=environment, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, expected + b"\n", expected)


@pytest.mark.parametrize("words", [["--help"], ["library", "list"], ["train", "--cfg", "job"]])
def test_a_command_that_only_prints_ends_quietly(words, tmp_path):
    writer = unread_pipe()
    done = timbrel(*words, stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_module_is_the_program_wherever_it_is_started(tmp_path: Path):
    for name in ("random", "dataclasses", "tempfile"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not of Python')")
    (tmp_path / "timbrel").mkdir()
    (tmp_path / "mine.py").write_text("PART = 1")
    words = [sys.executable, "-m", "timbrel"]
    for rest in (["--version"], ["train", "data=demo", "--cfg", "job"]):
        done = subprocess.run([*words, *rest], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    mistake = subprocess.run([*words, "trian"], cwd=tmp_path, capture_output=True, text=True)
    assert mistake.stderr.startswith("timbrel: trian: no such stage")


HOSTILE = "\x1b[2J\x07\r\x9b\x08gpj.\u202ewav"
ESCAPED = "\\x1b[2J\\x07\\r\\x9b\\x08gpj.\\u202ewav"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_nothing_that_a_terminal_obeys_leaves(name):
    write = (
        f"sys.{name}.write({HOSTILE!r} + '\\n\\tend\\xa0'); sys.{name}.writelines([{HOSTILE!r}])"
    )
    done = run(write, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "utf-8"})
    assert getattr(done, name).decode() == f"{ESCAPED}\n\tend\xa0{ESCAPED}"


def test_a_library_may_colour_what_it_prints():
    program = (
        "from rich.console import Console; "
        "Console(file=streams.styled(), force_terminal=True).print('[red]told[/red]')"
    )
    assert b"\x1b[31mtold\x1b[0m" in run(program, capture_output=True).stdout


def test_names_of_runs_and_cards_reach_no_terminal(tmp_path):
    folder = tmp_path / "outputs" / f"a{HOSTILE}\nb"
    card = write_bundle(folder) / "card.json"
    told = json.loads(card.read_text()) | {"name": HOSTILE, "licence": HOSTILE, "parent": HOSTILE}
    card.write_text(json.dumps(told))
    for words in (["library", "list"], ["library", "show", str(folder)], ["compare", str(folder)]):
        done = timbrel(*words, capture_output=True, cwd=tmp_path)
        shown = (done.stdout + done.stderr).decode()
        assert shown.replace("\n", "").isprintable()
        assert words[0] == "compare" or f"a{ESCAPED}\\nb" in shown
    offered = timbrel("_complete", "timbrel library show ", capture_output=True, cwd=tmp_path)
    assert offered.stdout == b""
