"""Files that timbrel wrote, in a folder of recordings: training leaves them out.

A run's audio holds reconstructions of held-out files. Folders are recognised by the files in them,
single sounds by their mark (`timbrel.audio.origin`).
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

SOUND = "sound"
_RUN = frozenset({"config.yaml", "overrides.yaml", "run.json"})
_MODEL = frozenset({"card.json", "frontend.json", "weights.safetensors"})
_CACHED = re.compile(r"[0-9a-f]{32}\.npy")
_NAMED = 3
_WANDB_RUN = ("run-", "offline-run-")


def folder_kind(name: str, names: Collection[str]) -> str | None:
    """What the folder `name` is that holds `names`; None where it is not timbrel's.

    >>> folder_kind("kicks", ["one.wav"]), folder_kind("m", ["run.json", *_RUN])
    (None, 'run folder')
    """
    if _RUN.issubset(names):
        return "run folder"
    if _MODEL.issubset(names):
        return "model folder"
    if name == "wandb" and any(inside.startswith(_WANDB_RUN) for inside in names):
        return "W&B folder"
    if any(map(_CACHED.fullmatch, names)):
        return "cache folder"
    return None


def run_around(folder: Path) -> Path | None:
    """The run folder that `folder`, absolute, is or lies in; None where there is none."""
    for outer in (folder, *folder.parents):
        if all(os.path.lexists(outer / name) for name in _RUN):
            return outer
    return None


def gathered(own: Iterable[tuple[str, str]], others: Iterable[str]) -> Iterator[tuple[str, str]]:
    """`own` products, each a path and its kind, as few lines: a path and what is there.

    A folder without any of `others`, the paths of what else is worth a word, is one line; so are
    more than a few products of a kind side by side in a folder that has others as well.

    >>> found = [("out/a", "run folder"), ("out/b", "run folder"), ("x.wav", "sound")]
    >>> list(gathered(found, ["kick.wav"]))
    [('out', '2 run folders'), ('x.wav', '1 sound')]
    """
    mixed = {folder for path in others for folder in _folders_of(path)} | {""}
    beside: dict[tuple[str, str], list[str]] = defaultdict(list)
    lines: dict[str, Counter[str]] = defaultdict(Counter)
    for path, kind in own:
        free = [folder for folder in _folders_of(path) if folder not in mixed]
        if free:
            lines[free[-1]][kind] += 1
        else:
            beside[os.path.dirname(path), kind].append(path)
    for (folder, kind), paths in beside.items():
        for path in paths:
            lines[path if len(paths) <= _NAMED else folder or "."][kind] += 1
    for line, counted in lines.items():
        yield line, " and ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in counted.items())


def _folders_of(path: str) -> Iterator[str]:
    """The folders that `path` lies in, the nearest first, "" last."""
    while path:
        path = os.path.dirname(path)
        yield path
