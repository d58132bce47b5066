"""`timbrel evaluate`: scores of a run's model on its recordings, with controls and gates."""

from collections.abc import Sequence

from omegaconf import DictConfig

from timbrel.stages.app import run_stage


def main(argv: Sequence[str]) -> int:
    """The stage as the command line calls it; the exit status."""
    return run_stage("evaluate", argv, job)


def job(config: DictConfig) -> int:
    """Score, check, print; 1 where a gate fails under `evaluate.strict`, else 0."""
    # Torch takes seconds to import: composing and checking a config must not wait for it.
    from timbrel.stages import evaluation_run

    return evaluation_run.evaluate(config)
