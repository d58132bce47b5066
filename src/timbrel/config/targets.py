"""Check of every `_target_` of a config against the signature it names, before building anything.

It imports the targets (and so torch): a stage calls it just before it builds.
"""

import importlib
import inspect
import traceback
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from timbrel.errors import UserError, did_you_mean, override_text

_RESERVED = frozenset({"_target_", "_partial_", "_args_", "_recursive_", "_convert_"})


def check_targets(
    section: Mapping[str, Any], where: str, *, provided: Collection[str] = ()
) -> None:
    """Compare every `_target_` under `section` (plain, resolved) with the signature it names.

    `where` is the section's key, for messages; `provided` are arguments of the outermost targets
    that the caller passes itself. Raises UserError with all problems: a target that is not
    there, an argument it does not take (with the nearest), one it lacks, one of another type.
    """
    problems = list(_targets(section, where, frozenset(provided)))
    if problems:
        raise UserError("\n  ".join(problems))


def _targets(node: Any, where: str, provided: frozenset[str]) -> Iterator[str]:
    if isinstance(node, list | tuple):
        for index, item in enumerate(node):
            yield from _targets(item, f"{where}.{index}", provided)
    if not isinstance(node, Mapping):
        return
    if "_target_" in node:
        try:
            target = locate(str(node["_target_"]))
        except UserError as error:
            yield f"{where}._target_: {error}"
            return
        yield from _arguments(node, where, target, provided)
        provided = frozenset()
    for key, value in node.items():
        yield from _targets(value, f"{where}.{key}", provided)


def _arguments(
    node: Mapping[str, Any], where: str, target: Callable[..., Any], provided: frozenset[str]
) -> Iterator[str]:
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return  # A builtin without a signature: calling it reports its own errors.
    named = {k: p for k, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    hints = _hints(target)
    for key, value in node.items():
        if key in _RESERVED:
            continue
        if key not in named:
            if not takes_any:
                free = [name for name in named if name not in node]
                yield f"{where}.{key}: {_short(node)} takes no '{key}'{did_you_mean(key, free)}"
            continue
        words = _mismatch(value, hints.get(key))
        if words:
            yield f"{where}.{key}={override_text(value)}: expected {words}"
    if node.get("_partial_") or node.get("_args_"):
        return
    lacking = [
        name
        for name, parameter in named.items()
        if parameter.default is parameter.empty and name not in node and name not in provided
    ]
    if lacking:
        keys = ", ".join(f"{where}.{name}" for name in lacking)
        yield f"{keys}: not set, and {_short(node)} needs it"


def _short(node: Mapping[str, Any]) -> str:
    return str(node["_target_"]).rpartition(".")[2]


def locate(path: str) -> Callable[..., Any]:
    """The class or function at a dotted path. Raises UserError where there is none."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        try:
            found: Any = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and not f"{name}.".startswith(f"{error.name}."):
                raise UserError(f"{path}: needs {error.name}, which is not installed") from error
            continue
        except Exception as error:
            raise UserError(f"{path}: {name} cannot be imported: {_told(error)}") from error
        for part in parts[length:]:
            if not hasattr(found, part):
                raise UserError(f"{path}: no '{part}' in {name}{did_you_mean(part, dir(found))}")
            found = getattr(found, part)
        if not callable(found):
            raise UserError(f"{path}: neither a class nor a function")
        return found
    raise UserError(f"{path}: no such module")


def _told(error: Exception) -> str:
    """An error of a user's module, with the line it came from."""
    if isinstance(error, SyntaxError):
        return f"{error.msg} ('{error.filename}', line {error.lineno})"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ('{last.filename}', line {last.lineno})"


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except Exception:  # Annotations may name what only a type checker imports.
        return {}


def _mismatch(value: Any, annotation: Any) -> str | None:
    """What was expected, where a simple annotation and a plain value clearly disagree."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        parts = [_mismatch(value, part) for part in typing.get_args(annotation)]
        return None if None in parts else " or ".join(part for part in parts if part)
    if annotation in (None, type(None)):
        return "null" if value is not None and annotation is type(None) else None
    if typing.get_origin(annotation) is typing.Literal:
        known = [str(option) for option in typing.get_args(annotation)]
        if str(value) in known:
            return None
        return "one of " + ", ".join(known) + did_you_mean(str(value), known)
    simple: dict[Any, tuple[tuple[type, ...], str]] = {
        int: ((int,), "a whole number"),
        float: ((int, float), "a number"),
        bool: ((bool,), "true or false"),
        str: ((str,), "text"),
        Sequence: ((list, tuple, Mapping), "a list"),  # any of them may be built from a mapping
        Mapping: ((Mapping,), "a mapping"),
        Callable: ((Mapping,), "a mapping with a _target_"),
    }
    kind = typing.get_origin(annotation) or annotation
    if kind not in simple:
        return None
    kinds, words = simple[kind]
    if isinstance(value, bool) and annotation is not bool:
        return words
    if kind is Mapping and isinstance(value, Mapping) and "_target_" not in value:
        (_, inner) = typing.get_args(annotation) or (str, Any)
        problems = (_mismatch(item, inner) for item in value.values())
        return next((f"a mapping to {problem}" for problem in problems if problem), None)
    return None if isinstance(value, kinds) else words
