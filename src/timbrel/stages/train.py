"""`timbrel train`: an instrument from a folder of recordings."""

from collections.abc import Sequence

from omegaconf import DictConfig

from timbrel.stages.app import run_stage


def main(argv: Sequence[str]) -> int:
    """The stage as the command line calls it; the exit status."""
    return run_stage("train", argv, job)


def job(config: DictConfig) -> None:
    """Train as `config` says."""
    raise NotImplementedError
