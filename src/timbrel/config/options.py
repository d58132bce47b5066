"""The options of `conf/`: its folder and its files. It imports neither Hydra nor torch."""

import os
from pathlib import Path

from timbrel.config.stage_schemas import STAGES, Stage
from timbrel.errors import UserError, did_you_mean
from timbrel.paths import user_path


def stage_named(name: str) -> Stage:
    """The stage called `name`. Raises UserError where there is none."""
    if name not in STAGES:
        hint = did_you_mean(name, STAGES)
        raise UserError(f"{name}: no such stage ({', '.join(STAGES)}){hint}")
    return STAGES[name]


def conf_folder() -> Path:
    """The folder of options: TIMBREL_CONF, else the installed package's, else the checkout's.

    Raises UserError where none holds the stages' root files.
    """
    package = Path(__file__).resolve().parents[1]
    chosen = os.environ.get("TIMBREL_CONF")
    candidates = [user_path(chosen, "TIMBREL_CONF")] if chosen else [package / "conf"]
    if not chosen:
        candidates.append(package.parents[1] / "conf")
    for folder in candidates:
        if (folder / "train.yaml").is_file():
            return folder.resolve()
    if chosen:
        raise UserError(f"TIMBREL_CONF={chosen}: no train.yaml there; unset it, or name a conf/")
    raise UserError("no conf/ in this installation; reinstall timbrel or set TIMBREL_CONF")


def user_conf_folder() -> Path | None:
    """`./conf` of the working folder, whose options add to timbrel's; None if there is none."""
    folder = Path("conf").resolve()
    return folder if folder.is_dir() and folder != conf_folder() else None


def shadowed_options() -> list[Path]:
    """Files of `./conf` that are never used, because timbrel has another option of that name."""
    own, shipped = user_conf_folder(), conf_folder()
    if own is None:
        return []
    return [
        file
        for file in sorted(own.glob("*/*.yaml"))
        if (twin := shipped / file.relative_to(own)).is_file()
        and twin.read_bytes() != file.read_bytes()
    ]


def options(*more_folders: Path) -> dict[str, list[str]]:
    """Every config group with its options, from timbrel's `conf/`, `./conf` and `more_folders`."""
    found: dict[str, set[str]] = {}
    for folder in (conf_folder(), user_conf_folder(), *more_folders):
        for file in folder.glob("*/*.yaml") if folder else ():
            if file.parent.name != "hydra":
                found.setdefault(file.parent.name, set()).add(file.stem)
    return {group: sorted(names) for group, names in sorted(found.items())}


def groups_of(stage: str, *more_folders: Path) -> dict[str, list[str]]:
    """The config groups that `stage` composes, with their options."""
    known = set(stage_named(stage).schema.__dataclass_fields__)
    if stage == "train":
        known |= {"experiment", "sweep"}
    return {group: names for group, names in options(*more_folders).items() if group in known}
