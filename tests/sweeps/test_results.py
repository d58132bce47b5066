"""What a study writes: numbers by hand, three spellings of one table, a page, a kept README."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from report_pages import Page
from run_folders import write_analysis, write_evaluation, write_run
from timbrel.metrics.scores import SCORES
from timbrel.sweeps.plan import PlannedRun, run_folder
from timbrel.sweeps.readme import write_results
from timbrel.sweeps.record import Record, Standing, State, write_record
from timbrel.sweeps.results import collect
from timbrel.sweeps.signature import Signature
from timbrel.sweeps.statistics import Estimate
from timbrel.sweeps.study import Study
from timbrel.sweeps.tables import csv_text, estimate_text, latex, markdown, notes
from timbrel.sweeps.wandb_study import study_table
from timbrel.sweeps.written import up_to_date

COMMAND = "timbrel ablate study=codes data.root=~/kicks"
# Seed by seed; the files of a run all score the same.
MRSTFT = {8: (1.0, 1.2, 1.4), 32: (0.9, 1.1, 1.3)}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    axes = {"architecture.latent_dim": (8, 32, 99)}
    return Study("codes", Path("x"), "Which & why?", {}, axes, (0, 1, 2), ("mrstft",), 600.0)


def runs(study: Study, *, audio: bool = False, own_files: bool = False) -> list[PlannedRun]:
    """Two cells with three seeds each, and one whose first seed failed and whose others wait."""
    found = []
    for cell in study.cells():
        width = cell.settings[0][1]
        for seed in study.seeds:
            folder = run_folder("codes", cell, seed)
            if width == 99:
                failed = Standing(State.failed, "too_wide | 50 %")
                stands = failed if seed == 0 else Standing(State.to_run)
            else:
                stands = Standing(State.finished, "", 90.0)
                if not folder.exists():
                    write_run(folder)
                    names = (f"a{seed}.wav", "b.wav") if own_files else ("a.wav", "b.wav")
                    score = (MRSTFT[width][seed], 0.0, 9.0)
                    write_evaluation(folder, {"mrstft": score}, files=names, audio=audio)
            signature = Signature("c", "d", "e")
            found.append(PlannedRun(cell, seed, folder, (), {}, signature, stands))
    return found


def test_scores_by_hand(study) -> None:
    result = collect(study, runs(study), COMMAND)
    narrow, wide, none = result.cells
    score = narrow.findings["mrstft"].score
    assert score is not None
    assert (score.value, score.seeds) == (pytest.approx(1.2), 3)  # 1.0 | 1.0 1.2 1.2 1.4 | 1.4
    assert score.low < 1.0 < 1.4 < score.high
    assert narrow.findings["mrstft"].difference is None
    difference, improvement = (
        wide.findings["mrstft"].difference,
        wide.findings["mrstft"].improvement,
    )
    assert difference is not None
    assert improvement is not None
    # What a seed does to both cells cancels in pairs.
    assert (difference.value, difference.low, difference.high) == pytest.approx((-0.1,) * 3)
    assert improvement.value == pytest.approx(6 / 9)
    assert none.findings["mrstft"].score is None
    assert (none.failures, none.waiting) == (((0, "too_wide | 50 %"),), (1, 2))
    assert (result.files, result.part, wide.seconds) == (2, "test", 90.0)


def test_seeds_with_files_of_their_own_count_as_one_value(study) -> None:
    result = collect(study, runs(study, own_files=True), COMMAND)
    assert result.files is None
    score = result.cells[0].findings["mrstft"].score
    assert score is not None
    assert score.value == pytest.approx(1.2)
    assert any("data.split_file=" in line for line in notes(result))


def test_a_file_that_has_no_score_somewhere_is_left_out_everywhere(study) -> None:
    planned = runs(study)
    file = planned[0].folder / "evaluation" / "files.csv"
    rows = file.read_text().splitlines()
    rows[1] = rows[1].replace(",1.0,", ",,", 1)
    assert rows[1] != file.read_text().splitlines()[1]
    file.write_text("\n".join(rows) + "\n")
    result = collect(study, planned, COMMAND)
    assert (result.files, result.left_out) == (2, {"mrstft": 1})


def test_gates_are_metrics_of_whole_runs(study) -> None:
    found = runs(study)
    units = {8: (1, 2, 3), 32: (4, 4, 5)}
    for run in found:
        if run.standing.state is State.finished:
            width = run.cell.settings[0][1]
            lines = [
                "gate,value,limit,passed,meaning",
                f"active_units,{units[width][run.seed]},1,yes,so many",
                f"kl_floor,{width},0.5,yes,nats",
            ]
            (run.folder / "evaluation" / "gates.csv").write_text("\n".join(lines) + "\n")
    metrics = ("active_units", "kl_floor", "mrstft")
    result = collect(replace(study, metrics=metrics), found, COMMAND)
    narrow, wide, _ = result.cells
    assert narrow.findings["active_units"].score.value == pytest.approx(2.0)
    assert wide.findings["active_units"].difference.value == pytest.approx(7 / 3)
    assert wide.findings["active_units"].improvement.value == 1.0
    assert wide.findings["kl_floor"].difference.value == pytest.approx(24.0)
    assert wide.findings["kl_floor"].improvement is None  # a KL is neither good nor bad
    assert result.files == 2
    text = markdown(result)
    assert "active units \u2191" in text
    assert "KL, nats/frame |" in text
    assert "one number each, of its gates: active units, KL." in text


def test_an_analysis_gives_metrics_of_whole_runs(study) -> None:
    found = runs(study)
    for run in found:
        if run.standing.state is State.finished:
            width = run.cell.settings[0][1]
            held = width == 32 or run.seed == 1
            write_analysis(run.folder, {"pitch": width / 100 if held else None}, {"mig": width})
    metrics = ("sliders/ok", "sliders/pitch/sdot", "disentanglement/mig")
    asked = replace(study, metrics=metrics, analyze="quick")
    result = collect(asked, found, COMMAND)
    narrow, wide, _ = result.cells
    assert wide.findings["sliders/ok"].score.value == pytest.approx(1.0)
    assert narrow.findings["sliders/ok"].score.value == pytest.approx(1 / 3)
    pitch = narrow.findings["sliders/pitch/sdot"].score
    assert (pitch.value, pitch.seeds) == (pytest.approx(0.08), 1)
    assert wide.findings["sliders/pitch/sdot"].difference.value == pytest.approx(0.24)
    assert wide.findings["disentanglement/mig"].difference.value == pytest.approx(24.0)
    text = markdown(result)
    assert "| pitch SDOT ↑ | MIG ↑ |" in text
    assert "latent_dim=8: pitch SDOT of 1 of its 3 seeds only" in text
    assert "one number each, of its analysis: sliders ok, pitch SDOT, MIG." in text
    assert "timbrel analyze profile=quick" in text
    assert study_table(result)[0][3:6] == ["sliders/ok", "sliders/ok_low", "sliders/ok_high"]


def test_a_width_is_told_where_a_run_has_one(study) -> None:
    """A study that names no metrics has all: of mono runs and older tables all but the width."""
    all_scores = replace(study, metrics=tuple(SCORES))
    found = runs(study)
    assert "width" not in markdown(collect(all_scores, found, COMMAND))
    asked = collect(replace(study, metrics=("mrstft", "width_error")), found, COMMAND)
    assert "width error of 0 of its 3 seeds only" in markdown(asked)
    for run in found:
        if run.standing.state is State.finished and run.cell.settings[0][1] == 32:
            table = run.folder / "evaluation" / "files.csv"
            lines = table.read_text().splitlines()
            table.write_text(
                "\n".join([f"{lines[0]},width_error", *(f"{line},0.25" for line in lines[1:])])
            )
    result = collect(all_scores, found, COMMAND)
    assert result.study.metrics == tuple(SCORES)
    assert result.cells[0].findings["width_error"].score is None
    assert result.cells[1].findings["width_error"].score.value == pytest.approx(0.25)
    assert result.left_out == {}


def test_one_table_in_three_spellings(study) -> None:
    result = collect(study, runs(study), COMMAND)
    text = markdown(result)
    assert "| latent_dim | seeds | min a run | MR-STFT ↓ |" in text
    assert "| 8 | 3 | 1.5 | 1.200 [" in text
    assert "| 32 | \N{MINUS SIGN}0.100 [\N{MINUS SIGN}0.100, \N{MINUS SIGN}0.100] | 0.667 [" in text
    assert "latent_dim=99, seed 0 failed: too_wide \\| 50 %" in text
    assert "latent_dim=99: not run yet with seed 1, 2." in text

    tex = latex(result)
    assert r"latent\_dim & seeds & min a run & MR-STFT $\downarrow$ \\" in tex
    assert r"32 & $-$0.100 [$-$0.100, $-$0.100] & 0.667 [" in tex
    for word in ("\\toprule", "\\midrule", "\\bottomrule", "\\end{tabular}"):
        assert tex.count(word) == 2
    body = [line for line in tex.splitlines() if not line.startswith("%")]
    assert not [line for line in body if "_" in line.replace(r"\_", "")]
    assert tex.isascii()

    rows = list(csv.DictReader(io.StringIO(csv_text(result))))
    assert [row["architecture.latent_dim"] for row in rows] == ["8", "32", "99"]
    assert float(rows[1]["difference"]) == pytest.approx(-0.1)
    assert (rows[2]["score"], rows[2]["failed"]) == ("", "seed 0: too_wide | 50 %")


def test_a_list_in_the_first_column_is_no_argument_of_latex(study) -> None:
    lists = replace(study, axes={"loss.window_samples": ([512, 128], [512])})
    waiting = [
        PlannedRun(cell, 0, Path("none"), (), {}, Signature("", "", ""), Standing(State.to_run))
        for cell in lists.cells()
    ]
    tex = latex(collect(lists, waiting, COMMAND))
    assert "{}[512,128] & 0 of 1 &" in tex  # bare, it would be the width of the rule above


def test_a_seed_without_scores_is_told(study) -> None:
    planned = runs(study)
    file = planned[0].folder / "evaluation" / "files.csv"
    file.write_text(file.read_text().replace(",1.0,", ",nan,"))
    result = collect(study, planned, COMMAND)
    assert (result.files, result.left_out) == (2, {})
    assert "latent_dim=8: MR-STFT of 2 of its 3 seeds only, the rest has none." in notes(result)


def test_digits_follow_the_size() -> None:
    assert estimate_text(Estimate(12.345, float("nan"), float("nan"), 1), signed=True) == "+12.35"
    assert estimate_text(Estimate(0.5, -120.0, 121.0, 2)) == "0.5 [\N{MINUS SIGN}120.0, 121.0]"


def test_page_readme_and_figures(study) -> None:
    planned = runs(study, audio=True)
    write_results(study, planned, COMMAND)
    page = Page(Path("sweeps/codes/report.html").read_text())
    assert sum(tag == "audio" for tag, _ in page.tags) == 2 * 3  # the original and two cells
    assert "too_wide | 50 %" in page.html
    folder = Path("experiments/codes")
    assert {file.name for file in folder.iterdir()} == {
        "README.md", "results.md", "results.csv", "results.tex", "figure.svg", "figure.png",
    }  # fmt: skip
    assert (folder / "figure.svg").read_text().startswith("<?xml")
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    readme = (folder / "README.md").read_text()
    for part in ("Which & why?", COMMAND, "10 min for all runs", "9 min one after", "| 8 | 3 |"):
        assert part in readme


def test_what_a_person_wrote_stays(study) -> None:
    planned = runs(study)
    write_results(study, planned, COMMAND)
    readme = Path("experiments/codes/README.md")
    mine = "\nWide codes win; I heard it.\n\n## A heading of mine\n"
    text = readme.read_text()
    start, end = text.index("written again -->") + 17, text.index("<!-- to here -->")
    readme.write_text(text[:start] + mine + text[end:])
    write_results(replace(study, question="Asked anew?"), planned, COMMAND)
    assert "Asked anew?" in readme.read_text()
    assert mine in readme.read_text()

    readme.write_text("All of it is mine.\n")
    write_results(study, planned, COMMAND)
    assert Path("experiments/codes/README.before.md").read_text() == "All of it is mine.\n"


def test_nothing_is_written_again_until_something_changes(study) -> None:
    planned = runs(study)
    assert not up_to_date(study, planned)
    write_results(study, planned, COMMAND)
    assert up_to_date(study, planned)
    assert not up_to_date(replace(study, metrics=("si_sdr_db",)), planned)
    assert not up_to_date(study, planned[1:])
    write_record(planned[0].folder, Record({}, "finished"))  # run again, with an equal signature
    assert not up_to_date(study, planned)
    write_results(study, planned, COMMAND)
    assert up_to_date(study, planned)
    Path("experiments/codes/figure.svg").unlink()
    assert not up_to_date(study, planned)


def test_the_table_of_wandb_has_the_numbers_of_the_page(study) -> None:
    result = collect(study, runs(study), COMMAND)
    columns, rows = study_table(result)
    assert columns == [
        "latent_dim", "seeds", "min a run", "mrstft", "mrstft_low", "mrstft_high"
    ]  # fmt: skip
    narrow, _, none = rows
    score = result.cells[0].findings["mrstft"].score
    assert score is not None
    assert narrow.values == ["8", "3", 1.5, score.value, score.low, score.high]
    assert narrow.run is not None
    assert narrow.run.folder == run_folder("codes", result.cells[0].cell, 0)
    assert (none.values[2:], none.run) == ([None] * 4, None)
