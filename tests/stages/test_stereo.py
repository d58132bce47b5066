"""A stereo training from the outside: its side is scored, on the page, in lists and in tables."""

import csv
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from report_pages import Page
from signals import noise, sine
from stages.training_jobs import FAST, TINY, lean, only_run
from timbrel import cli
from timbrel.metrics.scores import SCORES
from timbrel.stages import evaluate, train

SHORT = [text for text in TINY if not text.startswith("trainer.max_steps")]


def table(run: Path, name: str) -> list[dict[str, str]]:
    with (run / "evaluation" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five recordings whose side is 10 dB below their mid, and a run on them."""
    folder = tmp_path_factory.mktemp("stereo")
    (folder / "wide").mkdir()
    for i in range(5):
        mid, side = sine(80.0 * (i + 1), 0.2), 0.3 * noise(0.2, seed=i)
        audio = np.stack([mid + side, mid - side]) * np.linspace(1, 0, mid.size) ** 2 / 2
        soundfile.write(folder / "wide" / f"hit {i}.wav", audio.T, 48_000, subtype="PCM_24")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        settings = ("data.channels=2", "data.validation_fraction=0.2", "data.test_fraction=0.4")
        root = f"data.root={folder / 'wide'}"
        with pytest.MonkeyPatch.context() as training:
            lean(training)
            assert train.main([root, *SHORT, *settings, "trainer.max_steps=2"]) == 0
        (only_run(folder) / "metrics.csv").unlink()  # no page then draws its two dozen curves
        lean(monkeypatch, page=True)
        assert evaluate.main([f"run={only_run(folder)}", *FAST]) == 0
    return folder


def test_every_file_has_a_width_error(trained: Path) -> None:
    run = only_run(trained)
    for row in table(run, "files"):
        assert all(math.isfinite(float(row[name])) for name in list(SCORES)[:5])
        if row["system"] != "model":
            expected = 0.0 if row["system"] == "noise" else 0.25
            assert float(row["width_error"]) == pytest.approx(expected, abs=0.1)
    (mean,) = [
        row
        for row in table(run, "summary")
        if (row["part"], row["system"], row["metric"]) == ("test", "model", "width_error")
    ]
    assert float(mean["low"]) <= float(mean["mean"]) <= float(mean["high"])
    assert {row["gate"]: row["passed"] for row in table(run, "gates")}["latent_parity"] == "yes"


def test_pages_and_lists_have_it(trained: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    run = only_run(trained)
    heading = SCORES["width_error"].heading
    assert Page((run / "report.html").read_text("utf-8")).words.count(heading) >= 2
    assert cli.main(["library", "show", str(run)]) == 0
    assert heading in capsys.readouterr().out
    assert cli.main(["library", "list", str(run.parent), "--csv"]) == 0
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert 0 <= float(row["test_width_error"]) <= 1
    other = shutil.copytree(run, tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare", str(run), str(other)]) == 0
    (compared,) = (tmp_path / "outputs").glob("compare_*.html")
    assert heading in Page(compared.read_text("utf-8")).words
