"""The option that an override names for a group of `conf/`: there is one of that name, or none."""

import re
from collections.abc import Sequence
from pathlib import Path

from timbrel.config.options import groups_of
from timbrel.config.stage_schemas import STAGES
from timbrel.errors import UserError, did_you_mean

SWEEP = re.compile(r"(choice|range|interval|glob|shuffle|sort|tag|int|float)\(")
"""How a value begins that only a sweeper reads."""


def check_choice(
    stage: str,
    sign: str,
    group: str,
    value: str,
    everywhere: dict[str, list[str]],
    *,
    multirun: bool,
    folders: Sequence[Path],
) -> None:
    """Raises UserError where `value` is no option of `group`, or no list of them.

    `everywhere` are all groups with their options; `folders` are further config folders.
    """
    here = groups_of(stage, *folders)
    if group not in here:
        others = [other for other in STAGES if group in groups_of(other, *folders)]
        raise UserError(
            f"{group}={value}: timbrel {stage} has no choice of {group} (timbrel "
            f"{' and '.join(others)} {'has' if len(others) == 1 else 'have'}); "
            f"its choices: {', '.join(here)}"
        )
    if sign:
        raise UserError(f"{sign}{group}={value}: write {group}={value}, without the {sign}")
    several = re.fullmatch(r"\[([^\[\]]*)\]", value)  # options that are merged, in this order
    if SWEEP.match(value) or (value[:1] in ("[", "{") and not several):
        return
    for name in several[1].split(",") if several else value.split(",") if multirun else [value]:
        check_not_null(f"{group}={value}", group, name, here[group])
        name = name.strip().strip("'\"")
        if name in here[group]:
            continue
        if "," in name:
            raise UserError(f"{group}={value}: several choices need --multirun")
        message = f"{group}={name}: no such option in conf/{group} ({', '.join(here[group])})"
        owners = [other for other in here if other != group and name in here[other]]
        if owners:
            raise UserError(f"{message}; use {owners[0]}={name}")
        raise UserError(message + did_you_mean(name, here[group]))


def check_not_null(override: str, group: str, name: str, names: Sequence[str] = ()) -> None:
    """Raises UserError where `override` has null for an option of `group`, which has `names`."""
    if name.strip().lower() != "null":
        return
    listed = f" ({', '.join(names)})" if names else ""
    without = f"{group}=none goes without" if "none" in names else "leave it out for the default"
    raise UserError(f"{override}: null is no option of {group}{listed}; {without}")
