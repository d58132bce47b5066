"""`timbrel inspect`: which files of a folder train, and why others do not."""

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from timbrel.errors import UserError
from timbrel.stages.app import run_stage


def main(argv: Sequence[str]) -> int:
    """The stage as the command line calls it; the exit status."""
    return run_stage("inspect", argv, job)


def job(config: DictConfig) -> None:
    """Print the table of the folder's files; with `output`, write everything known as CSV.

    Raises UserError where `output` cannot be written (before anything is scanned), and what the
    scan raises.
    """
    target = _target(config.output)
    # Inside, so that --help and --cfg need neither numpy nor torch.
    from rich.console import Console

    from timbrel.data.catalog_table import catalog_table
    from timbrel.stages.recordings import scanned

    catalog = scanned(config.data, workers=config.workers)
    # Piped, the table has no terminal to fit: nothing of the reasons is cut.
    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(catalog_table(catalog))
    if target is not None:
        catalog.to_csv(target)
        sys.stdout.write(f"wrote {target}: one line per file, every measure\n")


def _target(output: str | None) -> Path | None:
    if output is None:
        return None
    target = Path(output).expanduser()
    if target.suffix.lower() != ".csv":
        raise UserError(f"output={output}: a CSV file is written; let the name end in .csv")
    if target.is_dir():
        raise UserError(f"output={output}: a folder; name a file")
    if not target.parent.is_dir():
        raise UserError(f"output={output}: no folder {target.parent}; make it first")
    return target
