"""The numbers of an analysis by name."""

from pathlib import Path

from run_folders import write_analysis
from timbrel.metrics.analysis_scores import ANALYSIS_SCORES
from timbrel.runs.analysis import analysis_scores


def test_what_is_not_held_has_no_score_and_is_not_ok(tmp_path: Path) -> None:
    assert analysis_scores(tmp_path) == {}
    write_analysis(
        tmp_path, {"pitch": 0.75, "width": None}, {"mig": 0.25, "dci_completeness": float("nan")}
    )
    found = analysis_scores(tmp_path)
    assert found.keys() <= ANALYSIS_SCORES.keys()
    parts = ("sdot", "purity", "monotonicity", "range", "smoothness", "leak")
    assert found == {
        "sliders/ok": 1.0,
        **{f"sliders/pitch/{part}": 0.75 for part in parts},
        "disentanglement/mig": 0.25,
    }
