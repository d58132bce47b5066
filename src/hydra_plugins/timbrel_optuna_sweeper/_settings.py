"""The settings of a search: read, checked, and what they say of goals and of pruning."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from timbrel.errors import UserError, did_you_mean
from timbrel.stages.overrides import check_overrides
from timbrel.sweeps.search.goals import constraint, objectives
from timbrel.sweeps.search.space import Space
from timbrel.words import duration_s

_KEYS = (
    "params",
    "objectives",
    "direction",
    "constraints",
    "n_trials",
    "n_jobs",
    "study_name",
    "storage",
    "watched",
    "dead_after",
    "defaults_first",
    "sampler",
    "pruner",
)
_LEAST_DEAD_AFTER_S = 120.0


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise UserError for a key that does not exist, or a value of another kind."""
    for key in settings:
        if key not in _KEYS:
            raise UserError(f"hydra.sweeper.{key}: no such key{did_you_mean(key, _KEYS)}")
    for key in ("n_trials", "n_jobs"):
        if type(settings[key]) is not int or settings[key] < 1:
            raise UserError(f"hydra.sweeper.{key}={settings[key]}: a whole number from 1")
    if not isinstance(settings["params"], Mapping):
        raise UserError("hydra.sweeper.params: expected KEY: DRAW pairs")
    for key in ("objectives", "constraints"):
        if not isinstance(settings[key], list):
            raise UserError(f"hydra.sweeper.{key}: expected a list, such as [validation/loss]")
    if settings["study_name"] is not None and Path(str(settings["study_name"])).name != str(
        settings["study_name"]
    ):
        raise UserError(
            f"hydra.sweeper.study_name={settings['study_name']}: a name, not a path: the sweep "
            "lies in sweeps/NAME"
        )


def check_space(space: Space, fixed: Sequence[str]) -> None:
    """Raise UserError where nothing is drawn, or what is cannot be an override."""
    if not space.draws:
        raise UserError(
            "hydra.sweeper.params: nothing to draw; give a key a choice(a,b) or an interval(0.1,1)"
        )
    for draw in space.draws:
        values = draw.kind.values if hasattr(draw.kind, "values") else ("1",)
        for value in values:
            check_overrides("train", [f"{draw.key}={value}"], multirun=True)
    check_overrides("train", fixed, multirun=True)


def goals_of(settings: Mapping[str, Any], config: DictConfig, space: Space, kind: type) -> Any:
    """What is searched for; the names of numbers are checked for the recordings' channels."""
    from timbrel.stages.sweep_number import check_objective

    names = settings["objectives"] or [config.objective or "validation/loss"]
    limits = [constraint(str(text)) for text in settings["constraints"]]
    for key, found in (("objectives", names), ("constraints", [c.name for c in limits])):
        for name in found:
            check_objective(name, channels=config.data.channels, where=f"hydra.sweeper.{key}")
    given = settings["direction"] or []
    directions = [given] if isinstance(given, str) else given
    try:
        dead_after_s = duration_s(str(settings["dead_after"]))
    except UserError as error:
        raise UserError(f"hydra.sweeper.dead_after: {error}") from error
    if dead_after_s < _LEAST_DEAD_AFTER_S:
        raise UserError(
            f"hydra.sweeper.dead_after={settings['dead_after']}: at least 2m, since a worker gives "
            "a sign every minute"
        )
    return kind(
        space=space,
        objectives=objectives(names, directions),
        constraints=tuple(limits),
        n_trials=settings["n_trials"],
        at_once=settings["n_jobs"],
        dead_after_s=dead_after_s,
    )


def pruner_of(settings: Mapping[str, Any], goals: Any) -> Mapping[str, Any] | None:
    """The pruner's section; None where no trial is pruned."""
    section = settings["pruner"]
    if section is None or str(section.get("_target_", "")).endswith("NopPruner"):
        return None
    if len(goals.objectives) > 1:
        tell("several objectives: no trial is pruned, since none says which one is to decide")
        return None
    if not str(settings["watched"]).startswith("validation/"):
        raise UserError(
            f"hydra.sweeper.watched={settings['watched']}: a number of validations in metrics.csv, "
            "such as validation/loss"
        )
    return section


def plain(value: Any) -> Any:
    """A section as dicts and lists; anything else as it is."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def tell(line: str) -> None:
    """A line on stderr, at once."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
