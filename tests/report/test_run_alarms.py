"""Alarms on the page: as they stood at the end, before anything else is told."""

from timbrel.metrics.disentanglement import WATCHED
from timbrel.report.run_alarms import alarm_notices, last_changes
from timbrel.report.run_curves import curve_groups
from timbrel.report.run_report import write_run_report
from timbrel.report.run_warnings import warnings_of
from timbrel.runs.folder import read_run

TABLE = """step,alarm,state,onset_step,value,limit,advice
300,held_out_loss,raised,100,1.2,1.05,"held-out loss was lowest at step 50, <stop>"
300,kl_floor,raised,100,0.2,0.5,lower the penalty
400,kl_floor,cleared,100,0.6,0.5,
"""


def test_raised_and_cleared_alarms_are_told_once_each(silent_run, page) -> None:
    (silent_run / "alarms.csv").write_text(TABLE + "500,kl_floor,rai")  # torn
    words = page(write_run_report(silent_run)).words
    raised = "Alarm: held out loss. From step 100, raised at step 300: 1.20, limit 1.05: "
    assert raised + "held-out loss was lowest at step 50, <stop>." in words
    cleared = "Alarm cleared: kl floor. From step 100, until step 400: 0.600 is within the limit"
    assert cleared in words
    assert words.index(raised) < words.index(cleared) < words.index("A model of")
    assert "lower the penalty" not in words


def test_learning_by_heart_is_told_once(run) -> None:
    metrics = run / "metrics.csv"
    metrics.write_text(metrics.read_text() + "1100,validation/loss,3.75\n")
    heading = "Held-out loss rose towards the end."
    assert heading in [notice.heading for notice in warnings_of(read_run(run))]
    (run / "alarms.csv").write_text(TABLE)
    assert heading not in [notice.heading for notice in warnings_of(read_run(run))]


def test_a_run_without_alarms_tells_none(run) -> None:
    assert last_changes(run) == {}
    (run / "alarms.csv").write_text(TABLE.splitlines()[0] + "\n")
    assert list(alarm_notices(run)) == []


def test_the_gap_and_the_use_of_the_code_are_drawn(silent_run, page) -> None:
    metrics = silent_run / "metrics.csv"
    added = ["train_clean/loss,1.5", "validation/gap,0.5", "validation/decode_change,0.8"]
    lines = [f"{step},{text}\n" for step in (500, 1000) for text in added]
    metrics.write_text(metrics.read_text() + "".join(lines))
    shown = page(write_run_report(silent_run))
    assert "Use of the code" in shown.words
    assert "training, as held-out ends at 1.5" in shown.html
    assert "held-out ends at 0.8" in shown.html
    assert "Gap" not in shown.words  # it is no term of the loss


def test_disentanglement_is_drawn_as_use_of_the_code_score_by_score(silent_run, page) -> None:
    metrics = silent_run / "metrics.csv"
    names = [*WATCHED, "n"]
    added = [f"validation/disentanglement_{name},0.25" for name in names]
    lines = [f"{step},{text}\n" for step in (500, 1000) for text in added]
    metrics.write_text(metrics.read_text() + "".join(lines))
    (group,) = [g for g in curve_groups(read_run(silent_run)) if g.title == "Use of the code"]
    titles = [title for title, _ in group.figures if title.startswith("Disentanglement")]
    assert len(titles) == len(WATCHED)
    others = [g for g in curve_groups(read_run(silent_run)) if g.title != group.title]
    assert not any("isentanglement" in title for g in others for title, _ in g.figures)
    assert "rank correlation" in page(write_run_report(silent_run)).html
