"""`timbrel compare`: where the page goes, and mistakes."""

import subprocess
import sys
from pathlib import Path

import pytest

from run_folders import write_bundle, write_run
from timbrel import cli

A, B = "2026-01-02_030405_kicks_spectral_vae", "2026-01-03_030405_kicks_rave_vae"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_run(Path("outputs", A), mrstft=1.25)
    write_run(Path("outputs", B), mrstft=1.5)
    write_bundle(Path("outputs", "given"))
    return tmp_path


def test_names_and_paths_and_a_page_that_overwrites_none(here, capsys) -> None:
    assert cli.main(["compare", f"outputs/{A}", "rave"]) == 0
    shown = capsys.readouterr().out
    expected = "outputs/compare_kicks_spectral_vae_or_kicks_rave_vae.html"
    assert shown.splitlines()[:2] == [f"A  {A}", f"B  {B}"]
    assert shown.endswith(f"page: {expected}\n")
    first = Path(expected).read_bytes()
    assert cli.main(["library", "compare", f"outputs/{A}/", B]) == 0
    assert capsys.readouterr().out.endswith("kicks_rave_vae-2.html\n")
    assert Path(expected).read_bytes() == first


def test_output_is_where_it_was_asked_for(here, capsys) -> None:
    words = ["compare", A, "given", "--output", "pages/mine.html"]
    assert cli.main(words) == 0
    assert Path("pages/mine.html").read_text().startswith("<!doctype html>")
    assert cli.main(words) == 2
    assert "--output=pages/mine.html exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "compare: name two runs or more"),
        ([A], "compare: name two runs or more"),
        ([A, f"outputs/{A}/model"], "is named twice"),
        ([A, "rvae"], "'rvae': no such run or bundle"),
        ([A, B, "--output=page.pdf"], "--output=page.pdf: name a file that ends in .html"),
        ([A, B, "--outptu=x.html"], "--outptu=x.html: no such flag; did you mean '--output'?"),
        ([A] * 7, "7 runs: 6 at most"),
    ],
)
def test_mistakes_are_one_line_and_status_2(here, capsys, words, message) -> None:
    assert cli.main(["compare", *words]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert not list(Path("outputs").glob("*.html"))


def test_comparing_needs_no_torch(here) -> None:
    program = (
        "import sys; from timbrel import cli; "
        f"status = cli.main(['compare', '{A}', '{B}']); "
        "heavy = {'torch', 'hydra', 'lightning'} & set(sys.modules); "
        "sys.exit(f'imports {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
