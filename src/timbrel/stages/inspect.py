"""`timbrel inspect`: which files of a folder train, and why others do not."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from timbrel.stages.app import run_stage


def main(argv: Sequence[str]) -> int:
    """The stage as the command line calls it; the exit status."""
    return run_stage("inspect", argv, job)


def job(config: DictConfig) -> None:
    """Scan `data.root`, print what is in it, and write `output` where it is given."""
    from timbrel.data.catalog import scan

    scan(Path(config.data.root).expanduser(), workers=config.workers)
