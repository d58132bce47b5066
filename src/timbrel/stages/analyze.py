"""`timbrel analyze`: the sliders of a trained model, found and judged."""

from collections.abc import Sequence

from omegaconf import DictConfig

from timbrel.stages.app import run_stage


def main(argv: Sequence[str]) -> int:
    """The exit status of `timbrel analyze ...`."""
    return run_stage("analyze", argv, analyze)


def analyze(config: DictConfig) -> int:
    """Find the sliders of the run that `config` names; they become a part of its model."""
    from timbrel.stages.analysis_run import analyse_run  # torch: --help waits for none

    return analyse_run(config)
