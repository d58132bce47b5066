"""The alarms of a training, as notices at the top of the page."""

import csv
from collections.abc import Iterator
from pathlib import Path

from timbrel.report.page import Notice, number

ALARMS_FILE = "alarms.csv"
_WIDTH = 7


def alarm_notices(folder: Path) -> Iterator[Notice]:
    """A notice per alarm of the run, in its last state; alarms that were cleared are notes."""
    for row in last_changes(folder).values():
        name = row["alarm"].replace("_", " ")
        since = f"From step {row['onset_step']}"
        value, limit = (number(float(row[key])) for key in ("value", "limit"))
        if row["state"] == "raised":
            text = (
                f"{since}, raised at step {row['step']}: {value}, limit {limit}: {row['advice']}."
            )
            yield Notice("warn", f"Alarm: {name}.", text)
        else:
            text = f"{since}, until step {row['step']}: {value} is within the limit {limit} again."
            yield Notice("note", f"Alarm cleared: {name}.", text)


def last_changes(folder: Path) -> dict[str, dict[str, str]]:
    """The last row of every alarm in `alarms.csv`; none where the run has no such file.

    A last line that is incomplete, because the training was killed, is left out.
    """
    path = folder / ALARMS_FILE
    if not path.is_file():
        return {}
    text = path.read_text("utf-8")
    rows = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    return {row["alarm"]: row for row in rows if len(row) == _WIDTH and row["alarm"]}
