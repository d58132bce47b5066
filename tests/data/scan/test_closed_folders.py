"""Folders that cannot be read or vanish during a scan get one line each; the scan goes on."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile

from signals import noise
from timbrel.data.scan import tree
from timbrel.data.scan.catalog import Catalog, scan
from timbrel.errors import UserError, folder_fault
from timbrel.runs.finder import find, locate, summarise
from timbrel.stages import evaluate, generate, inspect, train

NOBODY = 65_534


@pytest.fixture
def drums() -> Iterator[Path]:
    """Three recordings and two in a sub-folder, where another user may enter."""
    with tempfile.TemporaryDirectory(prefix="timbrel-closed-") as text:
        folder = Path(text)
        folder.chmod(0o755)
        for seed, name in enumerate(("a", "b", "c", "kick/x", "kick/deep/y")):
            path = folder / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, noise(0.1, seed=seed), 48_000, subtype="PCM_24")
        scan(folder, workers=0)  # what is imported late, another user may not read
        yield folder


@contextmanager
def as_ordinary_user(closed: Path, mode: int) -> Iterator[None]:
    """`closed` with `mode`, and this process with no more rights than its owner's neighbour."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    closed.chmod(mode)
    if root:
        os.seteuid(NOBODY)
    try:
        if os.access(closed, os.R_OK | os.X_OK, effective_ids=True):
            pytest.skip("this file system grants access whatever the mode")
        yield
    finally:
        if root:
            os.seteuid(0)
        closed.chmod(0o755)


def refused(catalog: Catalog) -> dict[str, str]:
    return {file.path: file.reasons[0] for file in catalog.files if file.verdict == "skip_warn"}


@pytest.mark.parametrize("mode", [0o644, 0o711, 0o000])
def test_a_folder_that_cannot_be_read_is_one_line(drums: Path, mode: int) -> None:
    # For its neighbours: listed but not entered, entered but not listed, neither.
    with as_ordinary_user(drums / "kick", mode):
        catalog = scan(drums, workers=0)
    assert [file.path for file in catalog.training_files] == ["a.wav", "b.wav", "c.wav"]
    (reason,) = refused(catalog).values()
    assert reason.startswith("The folder cannot be read: Permission denied")


@pytest.mark.parametrize("mode", [0o644, 0o711])
@pytest.mark.parametrize("inside", ["", "deep"])
def test_a_root_that_cannot_be_read_is_told(drums: Path, mode: int, inside: str) -> None:
    if mode == 0o711 and inside:
        pytest.skip("a folder inside one that is not listed can be read")
    root = drums / "kick" / inside
    with as_ordinary_user(drums / "kick", mode):
        with pytest.raises(UserError, match=r"cannot be read: Permission denied; set data\.root"):
            scan(root, workers=0)
        with pytest.raises(UserError, match=r"cannot be read: Permission denied; set data\.also"):
            scan(drums, also=[root], workers=0)


@pytest.mark.parametrize("gone", ["kick", "kick/deep", "b.wav"])
def test_what_vanishes_is_told(drums: Path, gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moved away as soon as the folder around it has been listed."""
    list_folder = os.scandir

    @contextmanager
    def listed(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
        with list_folder(folder) as inside:
            found = list(inside)
        if Path(folder) == (drums / gone).parent:
            (drums / gone).rename(drums.parent / f"{drums.name}-away")
        yield found

    monkeypatch.setattr(tree.os, "scandir", listed)
    found = tree.entries(drums)
    monkeypatch.undo()
    (drums.parent / f"{drums.name}-away").rename(drums / gone)
    said = {entry.path: entry.judgement.reasons[0] for entry in found if entry.judgement}
    assert list(said) == [gone]
    assert "vanished while it was looked at" in said[gone]
    assert len(found) >= 3


def test_paths_longer_than_the_system_takes(drums: Path) -> None:
    """4096 bytes on Linux; such trees come about by moving one folder into another."""
    place = os.open(drums / "kick", os.O_RDONLY)
    name = "n" * 250
    for _ in range(17):
        os.mkdir(name, dir_fd=place)
        inner = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    catalog = scan(drums, workers=0)
    assert len(catalog.training_files) == 5
    assert [reason for reason in refused(catalog).values() if "File name too long" in reason]


def test_links_in_a_circle(drums: Path) -> None:
    (drums / "one").symlink_to("two")
    (drums / "two").symlink_to("one")
    catalog = scan(drums, workers=0)
    assert set(refused(catalog)) == {"one", "two"}
    assert len(catalog.training_files) == 5


def test_a_run_folder_that_cannot_be_entered_is_passed_over(drums: Path) -> None:
    run = drums / "run"
    run.mkdir()
    (run / "config.yaml").write_text("{}")
    with as_ordinary_user(run, 0o644):
        for path in find([drums]):
            with pytest.raises(UserError, match="cannot be read: Permission denied"):
                summarise(path)
        with pytest.raises(UserError, match="cannot be read: Permission denied"):
            locate(str(run))


def messages(folder: Path, capsys) -> Iterator[str]:
    """What each stage answers where `folder` is given to it."""
    other = folder.parent
    for main, words in (
        (inspect.main, [f"data.root={folder}", "report=null"]),
        (inspect.main, [f"data.root={other}", f"data.also=[{folder}]", "report=null"]),
        (train.main, [f"data.root={folder}", "dry_run=true"]),
        (train.main, [f"run={folder}"]),
        (evaluate.main, [f"run={folder}"]),
        (generate.main, [f"model={folder}"]),
        (generate.main, [f"model={other}", "source=file", f"input={folder}"]),
    ):
        assert main(words) == 2
        yield capsys.readouterr().err


def test_every_stage_tells_of_a_folder_it_may_not_read(drums: Path, capsys) -> None:
    assert all("no such" in told for told in messages(drums / "gone", capsys))
    with as_ordinary_user(drums / "kick", 0o644):
        for told in messages(drums / "kick/deep", capsys):
            assert f"{drums}/kick/deep: " in told
            assert "cannot be read: Permission denied" in told


def test_a_root_that_is_a_circle_of_links(drums: Path, capsys) -> None:
    (drums / "one").symlink_to("two")
    (drums / "two").symlink_to("one")
    told = next(messages(drums / "one", capsys))
    assert "cannot be read: Too many levels of symbolic links" in told


def test_what_is_wrong_with_a_folder(drums: Path) -> None:
    assert folder_fault(drums) is None
    assert folder_fault(drums / "a.wav") == "a file; give the folder that holds it"
    assert folder_fault(drums / "a.wav/b") == folder_fault(drums / "none") == "no such folder"
    assert folder_fault(drums / ("n" * 300)) == "the folder cannot be read: File name too long"
