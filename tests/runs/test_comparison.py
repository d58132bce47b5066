"""What differs between runs, which is better, and when that is unknown."""

from pathlib import Path
from typing import Any

from run_folders import write_bundle, write_evaluation, write_run
from timbrel.runs.comparison import (
    MISSING,
    cautions,
    compared_part,
    differences,
    flatten,
    objectives_differ,
    score_rows,
    wins,
)
from timbrel.runs.folder import Run, read_run


def runs_of(tmp_path: Path, *settings: dict[str, Any]) -> list[Run]:
    return [
        read_run(write_run(tmp_path / f"run{index}", **given))
        for index, given in enumerate(settings)
    ]


def scored(tmp_path: Path, *mrstft: tuple[float, float, float], **more: Any) -> list[Run]:
    runs = []
    for index, interval in enumerate(mrstft):
        folder = write_run(tmp_path / f"run{index}")
        write_evaluation(folder, {"mrstft": interval}, **more)
        runs.append(read_run(folder))
    return runs


def test_lists_of_parts_are_numbered_and_classes_stand_for_targets() -> None:
    config = {"a": {"transforms": [{"_target_": "m.Gain", "db": 1}], "plain": [1, 2]}}
    assert flatten(config) == {
        "a.transforms.0": "Gain",
        "a.transforms.0.db": 1,
        "a.plain": [1, 2],
    }


def test_only_differing_keys_and_shared_ones_first(tmp_path: Path) -> None:
    changes = {
        "architecture.encoder._target_": "timbrel.models.encoders.RaveEncoder",
        "architecture.encoder.bands": 16,
        "trainer.max_time": "30m",
        "name": "other",
        "logger.kind": "wandb",
    }
    rows = differences(runs_of(tmp_path, {}, {"changes": changes}))
    assert [(row.key, row.values) for row in rows] == [
        ("architecture.encoder", ("SpectralEncoder", "RaveEncoder")),
        ("trainer.max_time", ("8m", "30m")),
        ("architecture.encoder.bands", (MISSING, 16)),
    ]
    assert [row.everywhere for row in rows] == [True, True, False]


def test_a_width_that_parts_share_is_one_row(tmp_path: Path) -> None:
    changes = {"architecture.latent_dim": 8, "architecture.decoder.latent_dim": 8}
    (row,) = differences(runs_of(tmp_path, {}, {"changes": changes}))
    assert (row.key, row.values, row.places) == ("architecture.latent_dim", (32, 8), 2)


def test_true_is_not_one(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, {"changes": {"loss.x": True}}, {"changes": {"loss.x": 1}})
    assert [row.key for row in differences(runs)] == ["loss.x"]


def test_a_clear_interval_wins_and_an_overlap_does_not(tmp_path: Path) -> None:
    clear = scored(tmp_path / "a", (1.0, 0.9, 1.1), (2.0, 1.9, 2.1))
    (row,) = score_rows(clear, ["A", "B"], "test")
    assert (row.best, row.behind, row.verdict) == (0, (1,), "A is better")
    assert row.controls == {"silence": 4.3}
    close = scored(tmp_path / "b", (1.0, 0.9, 1.3), (1.2, 1.1, 1.4), (2.0, 1.9, 2.1))
    (row,) = score_rows(close, ["A", "B", "C"], "test")
    assert (row.best, row.behind, row.verdict) == (None, (2,), "within noise: A, B")
    touching = scored(tmp_path / "c", (1.0, 0.9, 1.1), (1.2, 1.1, 1.3))
    assert score_rows(touching, ["A", "B"], "test")[0].best is None


def test_higher_is_better_where_the_metric_says_so(tmp_path: Path) -> None:
    runs = []
    for index, mean in enumerate((3.0, 9.0)):
        folder = write_run(tmp_path / f"{index}")
        write_evaluation(folder, {"si_sdr_db": (mean, mean - 1, mean + 1)})
        runs.append(read_run(folder))
    (row,) = score_rows(runs, ["A", "B"], "test")
    assert row.best == 1
    assert wins(runs, "test", "si_sdr_db") == ([0, 2], 2)
    assert wins(runs, "test", "mrstft") == ([0, 0], 2)  # equal in every file: nobody's


def test_bare_means_decide_nothing(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, {"mrstft": 1.0}, {"mrstft": 3.0})
    row = score_rows(runs, ["A", "B"], "test")[0]
    assert (row.best, row.verdict) == (None, "no intervals: cannot be told from chance")
    assert compared_part(runs) == "test"


def headings(runs: list[Run]) -> list[str]:
    return [item.heading for item in cautions(runs, ["A", "B"])]


def test_equal_runs_need_no_caution(tmp_path: Path) -> None:
    assert headings(scored(tmp_path, (1.0, 0.9, 1.1), (2.0, 1.9, 2.1))) == []


def test_cautions(tmp_path: Path) -> None:
    pairs: list[tuple[dict[str, Any], str]] = [
        ({"data_hash": "bb" * 16}, "Another split, or changed recordings"),
        ({"data_hash": "bb" * 16, "changes": {"data.root": "/x"}}, "Other recordings"),
        ({"changes": {"trainer.max_time": "1h"}}, "Another budget"),
        ({"changes": {"trainer.max_steps": 50}}, "Another budget"),
        ({"finished": False}, "Not finished"),
        ({}, "Not evaluated"),
    ]
    for index, (given, expected) in enumerate(pairs):
        folder = tmp_path / str(index)
        assert expected in headings(runs_of(folder, {}, given)), given
    assert "Data unknown" in headings(
        [*runs_of(tmp_path / "z", {}), read_run(write_bundle_without_hash(tmp_path / "bare"))]
    )


def write_bundle_without_hash(folder: Path) -> Path:
    write_bundle(folder)
    card = folder / "card.json"
    card.write_text(card.read_text().replace("aa" * 16, ""))
    return folder


def test_other_versions_and_other_files_are_told(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    write_evaluation(first, {"mrstft": (1, 0.9, 1.1)})
    write_evaluation(second, {"mrstft": (1, 0.9, 1.1)}, files=("kick.wav", "snare.wav"))
    record = second / "run.json"
    record.write_text(record.read_text().replace('"auraloss": "0.4.0"', '"auraloss": "0.5.0"'))
    runs = [read_run(first), read_run(second)]
    assert headings(runs) == ["Other test files", "Another version of auraloss"]
    assert "A 2, B 2; 1 in common" in cautions(runs, ["A", "B"])[0].text
    assert "A: 0.4.0; B: 0.5.0" in cautions(runs, ["A", "B"])[1].text


def test_losses_of_different_objectives(tmp_path: Path) -> None:
    same = runs_of(tmp_path / "a", {}, {"changes": {"trainer.max_time": "1h"}})
    assert not objectives_differ(same)
    assert objectives_differ(runs_of(tmp_path / "b", {}, {"changes": {"latent.weights.kl": 4.0}}))
