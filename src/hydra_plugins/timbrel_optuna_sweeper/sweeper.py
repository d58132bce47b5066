"""`hydra/sweeper=optuna`: the trials of a search as jobs of Hydra's launchers.

Hydra imports this module at every start, so it imports nothing heavy; the work is in `_impl`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Keeps what Hydra hands over until the sweep begins; conf/hydra/sweeper/ lists its keys."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(
        self,
        *,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
    ) -> None:
        """Called by Hydra with the config of the sweep."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def sweep(self, arguments: Sequence[str]) -> Any:
        """Run the search; `arguments` are the overrides of the command line.

        Raises UserError for a mistake in the settings, and where Optuna is not installed.
        """
        from hydra_plugins.timbrel_optuna_sweeper import _impl

        settings: Mapping[str, Any] = self.settings
        return _impl.run(
            settings, self.config, self.hydra_context, self.task_function, list(arguments)
        )
