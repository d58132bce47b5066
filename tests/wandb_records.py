"""What tests of W&B read: the records of an offline run, by W&B's own reader."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]


def inspected(folder: Path) -> Rows:
    """The records of an offline run, in order."""
    wandb = str(Path(sys.executable).with_name("wandb"))
    command = [wandb, "leet", "inspect", "--json", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_kind(rows: Rows, kind: str) -> Rows:
    return [row[kind] for row in rows if row["type"] == kind]


def history(rows: Rows) -> Rows:
    return [row["item"] for row in of_kind(rows, "history")]


def summary(rows: Rows) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for row in of_kind(rows, "summary"):
        values |= row["update"]
    return values
