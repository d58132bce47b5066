"""`metrics.csv`: what is written comes back, whatever a kill left behind."""

import math
import struct
from pathlib import Path

import pytest

from timbrel.runs.folder import read_metrics
from timbrel.training.metrics_log import MetricsLog

EXACT = [0.1, 1 / 3, 1e-310, -0.0, 2**-1074, 1.7976931348623157e308, math.pi]


def test_values_come_back_bit_for_bit(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.csv")
    for step, value in enumerate(EXACT):
        log.append(step, {"train/loss": value})
    log.append(99, {"train/loss": math.inf, "val/loss": math.nan})
    curves = read_metrics(log.path)
    assert [step for step, _ in curves["train/loss"]] == [*range(len(EXACT)), 99]
    for (_, read), value in zip(curves["train/loss"], [*EXACT, math.inf], strict=True):
        assert struct.pack("d", read) == struct.pack("d", value)
    assert math.isnan(curves["val/loss"][0][1])


def test_the_file_is_plain(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.csv")
    log.append(0, {"train/loss": 2, "train/kl": 0.5})
    assert log.path.read_bytes() == b"step,name,value\n0,train/loss,2.0\n0,train/kl,0.5\n"


def test_names_may_hold_anything(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.csv")
    log.append(3, {'a,b "c"': 1.5, "größe": 2.5})
    assert read_metrics(log.path) == {'a,b "c"': [(3, 1.5)], "größe": [(3, 2.5)]}


def test_opening_again_appends(tmp_path: Path) -> None:
    MetricsLog(tmp_path / "metrics.csv").append(0, {"a": 1.0})
    MetricsLog(tmp_path / "metrics.csv").append(1, {"a": 2.0})
    assert read_metrics(tmp_path / "metrics.csv") == {"a": [(0, 1.0), (1, 2.0)]}


def test_truncate_keeps_the_checkpoints_step_and_nothing_later(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.csv")
    for step in range(10):
        log.append(step, {"a": step / 7, "b": -float(step)})
    before = log.path.read_text().splitlines(keepends=True)
    log.truncate(4)
    assert log.path.read_text() == "".join(before[: 1 + 2 * 5])
    log.append(5, {"a": 5 / 7, "b": -5.0})
    assert log.path.read_text() == "".join(before[: 1 + 2 * 6])
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]  # no draft left


@pytest.mark.parametrize("torn", ["3", "3,a", "3,", '3,"a', "3,a,", "3,a,0.1", "\x00\x00\x00"])
def test_a_line_that_a_kill_cut_short_goes(tmp_path: Path, torn: str) -> None:
    log = MetricsLog(tmp_path / "metrics.csv")
    log.append(1, {"a": 0.25})
    log.append(2, {"a": 0.125})
    whole = log.path.read_text()
    log.path.write_text(whole + torn)
    log.truncate(2)
    assert log.path.read_text() == whole


@pytest.mark.parametrize("torn", ["2,a", "2,a,", "2,a,0.12", "2,a,1e-"])
def test_a_torn_line_of_a_kept_step_goes_too(tmp_path: Path, torn: str) -> None:
    """A value without its line's end may lack digits: `0.12` of `0.125`."""
    log = MetricsLog(tmp_path / "metrics.csv")
    log.append(1, {"a": 0.25})
    whole = log.path.read_text()
    log.path.write_text(whole + torn)
    log.truncate(2)
    assert log.path.read_text() == whole


def test_a_file_that_holds_nothing_yet(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.csv")
    log.path.write_text("")  # killed between creation and the header
    log.truncate(0)
    log.append(0, {"a": 1.0})
    assert read_metrics(log.path) == {"a": [(0, 1.0)]}
