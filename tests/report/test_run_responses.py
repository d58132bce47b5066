"""Heat maps show the strongest rows first, and a table beneath shows all."""

from report_pages import write_csv
from timbrel.report.run_report import write_run_report
from timbrel.report.run_responses import heat_maps
from timbrel.runs.folder import read_run


def test_moves_are_by_strength_and_random_directions_are_one_row(silent_run, page):
    rows = [
        {"candidate": "nothing", "brightness": 9, "pitch": 9, "width": ""},
        {"candidate": "tilt", "brightness": 0.5, "pitch": 0, "width": ""},
        {"candidate": "pitch", "brightness": 0.25, "pitch": 3, "width": ""},
        {"candidate": "random_0", "brightness": 0.125, "pitch": 0.75, "width": ""},
        {"candidate": "random_1", "brightness": 1, "pitch": "", "width": ""},
    ]
    write_csv(silent_run / "analysis" / "responses.csv", rows)
    (found,) = heat_maps(read_run(silent_run))
    assert [name for name, _ in found.columns] == ["candidate", "brightness", "pitch"]
    assert found.rows == (
        ("pitch", "0.25", "3.00"),
        ("random, largest of 2", "1.00", "0.75"),
        ("tilt", "0.50", "0.00"),
    )
    assert "Shown are all 3" in found.said
    assert "3.00: pitch, pitch" in found.figure
    words = page(write_run_report(silent_run)).words
    assert "What moves what: the table" in words
    assert "What the units of the code tell" not in words


def test_of_many_units_the_strongest_are_drawn_and_all_are_in_the_table(silent_run):
    rows = [
        {"unit": f"frame {i}", "active": "yes", "log_f0_octaves": i / 100, "hnr_db": ""}
        for i in range(40)
    ]
    write_csv(silent_run / "analysis" / "disentanglement_units.csv", rows)
    (found,) = heat_maps(read_run(silent_run))
    assert "Shown are the 24 strongest of 40" in found.said
    assert found.rows[0] == ("frame 39", "0.39")
    assert len(found.rows) == 40
    assert [name for name, _ in found.columns] == ["unit", "pitch"]
    assert ">frame 16<" in found.figure
    assert ">frame 15<" not in found.figure


def test_a_table_without_a_value_is_no_picture(silent_run):
    rows = [{"unit": "frame 0", "active": "no", "log_f0_octaves": ""}]
    write_csv(silent_run / "analysis" / "disentanglement_units.csv", rows)
    assert heat_maps(read_run(silent_run)) == ()
