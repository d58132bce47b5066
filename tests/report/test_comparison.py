"""The page of `timbrel compare`, read as a browser would."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from run_folders import write_evaluation, write_run
from timbrel.errors import UserError
from timbrel.report.comparison import comparison_page, summary, write_comparison
from timbrel.report.comparison_listening import listening
from timbrel.runs.folder import Run, read_run


class Page(HTMLParser):
    """Tags, addresses and words of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words += data


def pair(tmp_path: Path, *, changes: dict[str, Any] | None = None, **evaluation: Any) -> list[Run]:
    runs = []
    for index, mean in enumerate((1.0, 2.0)):
        folder = write_run(tmp_path / f"run{index}", changes=changes if index else None)
        scores = {"mrstft": (mean, mean - 0.1, mean + 0.1), "log_mel_l1": (1.0, 0.5, 1.5)}
        write_evaluation(folder, scores, audio=True, noise=0.01 * index, **evaluation)
        runs.append(read_run(folder))
    return runs


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("pair")
    return Page(comparison_page(pair(folder, changes={"latent.weights.kl": 4.0})))


def test_the_page_loads_nothing(page: Page) -> None:
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "script" not in page.tags
    assert "link" not in page.tags


def test_every_common_file_has_the_original_and_a_column_per_run(page: Page) -> None:
    assert page.tags.count("audio") == 2 * 3
    assert page.tags.count("img") == 2 * 3
    listen = page.words[page.words.index("The original comes first") :]
    assert listen.index("kick.wav") < listen.index("MR-STFT 1.00") < listen.index("MR-STFT 2.00")


def test_best_is_marked_once_and_noise_is_said(page: Page) -> None:
    assert page.tags.count("mark") == 1  # MR-STFT; the other scores overlap
    assert "A is better by MR-STFT; 1 of 2 scores do not decide." in page.words
    assert "within noise: A, B" in page.words
    assert "belongs to A in 2, B in 0 of 2 test files" in page.words


def test_settings_that_differ_and_no_other(page: Page) -> None:
    settings = page.words[page.words.index("Only settings whose") :]
    assert "latent.weights.kl" in settings
    assert "trainer.max_time" not in settings
    assert "Other objectives:" in page.words
    assert "Comparable:" in page.words


def test_curves_by_step_and_by_the_training_clock(page: Page) -> None:
    assert page.tags.count("svg") == 4  # train/loss and validation/loss
    assert "training time, s" in page.words


def test_one_page_for_one_input(tmp_path: Path) -> None:
    runs = pair(tmp_path)
    assert comparison_page(runs) == comparison_page(runs)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    runs = pair(tmp_path, files=("<script>alert(1)</script>.wav", "a\udce9.wav"))
    write_comparison(runs, tmp_path / "deep" / "page.html")
    html = (tmp_path / "deep" / "page.html").read_text("utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "a\\udce9.wav" in html


def test_runs_without_scores_sounds_or_curves(tmp_path: Path) -> None:
    bare = [write_run(tmp_path / name, finished=False) for name in "ab"]
    for folder in bare:
        (folder / "metrics.csv").unlink()
    page = Page(comparison_page([read_run(folder) for folder in bare]))
    assert "No run has scores yet." in page.words
    assert "No sounds of the test files of A, B" in page.words
    assert "No curve is common" in page.words
    assert "Not finished:" in page.words


def test_the_same_file_is_known_by_its_samples(tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    reference = second.folder / "evaluation" / "audio" / "test" / "reference"
    kick = sorted(reference.iterdir())[0]
    kick.write_bytes(kick.read_bytes()[:-4] + b"\0\0\0\x3f")  # one sample is another
    clips, said = listening([first, second], ["A", "B"], "test")
    assert [clip.title for clip in clips] == ["sub/kick.wav"]
    assert said == "The one test file that every run holds."


def test_too_few_or_too_many_runs(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run"))
    for runs in ([run], [run] * 7):
        with pytest.raises(UserError, match="takes 2 to 6"):
            write_comparison(runs, tmp_path / "page.html")


def test_summary_for_the_terminal(tmp_path: Path) -> None:
    lines = summary(pair(tmp_path)).splitlines()
    assert lines[:2] == ["A  run0", "B  run1"]
    assert re.fullmatch(r"MR-STFT . +1\.00 \[0\.900 to 1\.10\] +2\.00 .* +A is better", lines[2])
