"""Signatures of runs: digests of config, recordings and code. Equal signatures, equal runs.

Knows neither torch nor Hydra, so that asking what is left to do is quick.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timbrel
from timbrel.config.additions import own_callbacks
from timbrel.config.walk import targets_of
from timbrel.data.scan.tree import entries
from timbrel.files import write_text
from timbrel.paths import user_path

_PACKAGE = Path(timbrel.__file__).parent
_ENTRY = "timbrel.stages.train"
# Names, places (what lies there counts) and what watches a run: none reaches a weight or a score.
_UNHEARD_KEYS = (
    "name",
    "run",
    "trust",
    "data_root",
    "init_from",
    "reproduce",
    "dry_run",
    "objective",
    "logger",
    "alarms",
    "limits",
)
_UNHEARD_DATA_KEYS = ("name", "root", "also", "split_file", "cache_dir")
_INSTALLED = frozenset(["site-packages", "dist-packages"])
_UNHEARD_MODULES = (
    # These draw and tell.
    "timbrel.report.pictures",
    "timbrel.report",
    "timbrel.stages.evaluation_tables",
    "timbrel.stages.help_page",
    "timbrel.stages.pruned",
    "timbrel.stages.reproduction",
    "timbrel.stages.trial_run",
    "timbrel.stopping",
    "timbrel.streams",
    "timbrel.sweeps",
    "timbrel.training.alarms",
    "timbrel.training.console",
    "timbrel.training.dry_run",
    "timbrel.training.held_out_audio",
    "timbrel.training.pruning",
    "timbrel.training.wandb_log",
    "timbrel.training.wandb_model",
    # These make the config, which counts as it came out.
    "timbrel.config",
    "timbrel.errors",
    "timbrel.stages.app",
    "timbrel.stages.composing",
    "timbrel.stages.overrides",
    "timbrel.stages.run_folders",
    "timbrel.words",
)


@dataclass(frozen=True)
class Signature:
    """Digests of what a run follows from."""

    config: str
    """Of the resolved config, without names, places and loggers."""
    data: str
    """Of the recordings' names and contents, of the split file and of the model started from."""
    code: str
    """Of the source files that this config's training can reach, by their imports."""

    def changes(self, before: Mapping[str, Any]) -> list[str]:
        """Which of the three differ from a recorded signature."""
        return [name for name, value in asdict(self).items() if before.get(name) != value]


class FileDigests:
    """Digests of files, remembered by size, time and inode: sound is read once."""

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self._fresh = False
        try:
            known = json.loads(memory.read_text("utf-8"))
        except (OSError, ValueError):
            known = {}
        self._known: dict[str, list[Any]] = known if isinstance(known, dict) else {}

    def of(self, path: Path) -> str:
        """The digest of a file's bytes; "unreadable" where it cannot be read."""
        try:
            status = path.stat()
            identity = [status.st_size, status.st_mtime_ns, status.st_ino]
            known = self._known.get(str(path))
            if known is not None and known[:3] == identity:
                return str(known[3])
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, _hash).hexdigest()
        except OSError:
            return "unreadable"
        self._known[str(path)] = [*identity, digest]
        self._fresh = True
        return digest

    def save(self) -> None:
        """Write the memory, where its folder exists."""
        if self._fresh and self.memory.parent.is_dir():
            write_text(self.memory, json.dumps(self._known))


class Signing:
    """Signs the runs of one plan: recordings and code that several of them use are read once."""

    def __init__(self, digests: FileDigests) -> None:
        self.digests = digests
        self._data: dict[str, str] = {}
        self._code: dict[tuple[str, ...], str] = {}

    def sign(self, config: Mapping[str, Any]) -> Signature:
        """The signature of the run of a resolved training config (plain values)."""
        place = json.dumps([config["data"], config.get("init_from")], default=str)
        if place not in self._data:
            self._data[place] = _data_of(config, self.digests)
        targets = _targets(config)
        if targets not in self._code:
            self._code[targets] = _code_of(targets)
        return Signature(config_digest(config), self._data[place], self._code[targets])


def sign(config: Mapping[str, Any], digests: FileDigests) -> Signature:
    """The signature of one run, with everything as it is now."""
    return Signing(digests).sign(config)


def _data_of(config: Mapping[str, Any], digests: FileDigests) -> str:
    data = data_digest(config["data"], digests)
    if not config.get("init_from"):
        return data
    parent = user_path(config["init_from"], "init_from")
    return _digest(f"{data} {parent_digest(parent, digests)}")


def config_digest(config: Mapping[str, Any]) -> str:
    """Of everything in `config` that can change what is learned or scored."""
    kept = {key: value for key, value in config.items() if key not in _UNHEARD_KEYS}
    if own := own_callbacks(kept.pop("callbacks", {})):
        kept["callbacks"] = own
    data = config["data"]
    kept["data"] = {key: value for key, value in data.items() if key not in _UNHEARD_DATA_KEYS}
    if data.get("split_file") and not data.get("split_theme"):
        kept["data"]["split_theme"] = Path(data["root"]).name  # lists go by the folder's name
    return _digest(json.dumps(kept, sort_keys=True, default=str))


def data_digest(data: Mapping[str, Any], digests: FileDigests) -> str:
    """Of every sound file under `data.root` and `data.also`, by name and content, and of the lists.

    The demo set has none: it follows from config and code. Names count, since they order the files
    and a split file goes by them.
    """
    generated = bool(data.get("include_generated"))
    lines = []
    if data.get("root"):
        root = user_path(data["root"], "data.root")
        lines = [f"{path} {digests.of(root / path)}" for path in _sounds(root, generated)]
    for folder in (user_path(text, "data.also") for text in data.get("also") or ()):
        sounds = _sounds(folder, generated)
        lines += [f"+{folder.name}/{path} {digests.of(folder / path)}" for path in sounds]
    if data.get("split_file"):
        lines.append(f"split {digests.of(user_path(data['split_file'], 'data.split_file'))}")
    return _digest("\n".join(lines))


def _sounds(folder: Path, include_generated: bool) -> list[str]:
    found = entries(folder, include_generated=include_generated)
    return [entry.path for entry in found if entry.judgement is None]


def parent_digest(path: Path, digests: FileDigests) -> str:
    """Of the model in the bundle or run folder at `path`: config, weights and front end."""
    folder = path
    if (folder / "model" / "card.json").is_file():
        folder = folder / "model"
    names = ("config.yaml", "weights.safetensors", "frontend.json")
    return _digest(" ".join(digests.of(folder / name) for name in names))


def code_digest(config: Mapping[str, Any]) -> str:
    """Of the sources that a training with `config` can reach.

    These are the modules of timbrel that `timbrel train` and the config's `_target_`s import,
    directly or through others, read from their `import` statements; a change in an architecture
    that this config does not use leaves it alone. Left out are pages, the console and W&B, which
    only tell, and what composes the config, which counts as it came out. Your own modules named by
    a `_target_` count whole, with those of your own and of timbrel that they import; of installed
    packages named there, the version. Versions of torch and other dependencies do not count.
    """
    return _code_of(_targets(config))


def _targets(config: Mapping[str, Any]) -> tuple[str, ...]:
    heard = {key: section for key, section in config.items() if key not in _UNHEARD_KEYS}
    return tuple(sorted({name for name in targets_of(heard) if isinstance(name, str)}))


def _code_of(targets: Sequence[str]) -> str:
    foreign, ours = _foreign({_top(name) for name in targets} - {"timbrel"})
    named = [name for name in targets if _top(name) == "timbrel"]
    files = source_files([_ENTRY, *named, *ours])
    lines = [f"{name} {_source(path, path.stat().st_mtime_ns)[0]}" for name, path in files.items()]
    return _digest("\n".join([*lines, *foreign]))


def source_files(names: Iterable[str]) -> dict[str, Path]:
    """Every module of timbrel that those named import, and theirs, in order of their names."""
    found: dict[str, Path] = {}
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _file(name)
        if path is None:
            waiting += _packages(name)[-1:]  # a class or function in it
        elif not _unheard(name):
            found[name] = path
            imported = _source(path, path.stat().st_mtime_ns)[1]
            waiting += [*(n for n in imported if _top(n) == "timbrel"), *_packages(name)]
    return dict(sorted(found.items()))


def _unheard(name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in _UNHEARD_MODULES)


def _packages(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _file(name: str) -> Path | None:
    base = _PACKAGE.joinpath(*name.split(".")[1:])
    package, module = base / "__init__.py", base.with_suffix(".py")
    if package.is_file():
        return package
    return module if name != "timbrel" and module.is_file() else None


@lru_cache(maxsize=4096)
def _source(path: Path, modified_ns: int) -> tuple[str, tuple[str, ...]]:
    """The digest of a source file and what it imports, anywhere in it."""
    source = path.read_bytes()
    digest = _hash(source).hexdigest()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return digest, ()  # half an edit; a training that imports it tells the line
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return digest, tuple(sorted(names))


def _foreign(packages: Iterable[str]) -> tuple[list[str], list[str]]:
    """A line for each package, and for your own that these import; what all import of timbrel."""
    named = set(packages)
    lines: dict[str, str] = {}
    ours: list[str] = []
    waiting = sorted(named)
    while waiting:
        package = waiting.pop()
        if package in lines:
            continue
        places = [] if package in sys.stdlib_module_names else _places(package)
        if any(_INSTALLED & set(place.parts) for place in places) or not places:
            if package in named:
                lines[package] = f"{package} {_version(package)}"
            continue
        files = [file for place in places for file in _python_files(place)]
        sources = [_source(file, file.stat().st_mtime_ns) for file in files]
        lines[package] = " ".join([package, *(digest for digest, _ in sources)])
        imported = {name for _, names in sources for name in names}
        ours += [name for name in imported if _top(name) == "timbrel"]
        tops = {_top(name) for name in imported}
        waiting += sorted(tops - {"timbrel"})
    return [lines[package] for package in sorted(lines)], ours


def _places(package: str) -> list[Path]:
    """The files or folders of a package as `timbrel train` will find it; [] if not.

    It looks into the working folder last, which this process may not do at all.
    """
    try:
        found = PathFinder.find_spec(package, [*sys.path, os.getcwd()]) or find_spec(package)
    except ValueError:
        return []  # a module of this process that has no place
    if found is None:
        return []
    if found.submodule_search_locations is not None:
        return [Path(folder) for folder in found.submodule_search_locations]
    return [Path(found.origin)] if found.origin else []


def _python_files(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _top(name: str) -> str:
    return name.partition(".")[0]


def _hash(data: bytes = b"") -> Any:
    return hashlib.blake2b(data, digest_size=16)


def _digest(text: str) -> str:
    return str(_hash(text.encode("utf-8", "surrogateescape")).hexdigest())
