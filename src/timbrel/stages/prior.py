"""`timbrel prior`: fits what draws new sounds to the model of a run that exists."""

from collections.abc import Sequence

from omegaconf import DictConfig

from timbrel.stages.app import run_stage


def main(argv: Sequence[str]) -> int:
    """The stage as the command line calls it; the exit status."""
    return run_stage("prior", argv, job)


def job(config: DictConfig) -> DictConfig:
    """Encode the recordings, write the part of the model, say what it holds."""
    # Torch takes seconds to import: composing and checking a config must not wait for it.
    from timbrel.stages import prior_run

    return prior_run.fit(config)
