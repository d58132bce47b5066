"""Walks through a config: every value below a node with its dotted key, and what it builds."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def walk(
    node: Any, key: str = "", *, enter: Callable[[Any], bool] = lambda node: True
) -> Iterator[tuple[str, Any]]:
    """`node` and all below it with their dotted keys, a container before what it holds.

    Items of a list are numbered. A node that `enter` refuses is skipped with all below it.

    >>> list(walk({"a": [{"b": 1}]}))
    [('', {'a': [{'b': 1}]}), ('a', [{'b': 1}]), ('a.0', {'b': 1}), ('a.0.b', 1)]
    """
    if not enter(node):
        return
    yield key, node
    for name, value in _items(node):
        yield from walk(value, f"{key}.{name}" if key else str(name), enter=enter)


def targets_of(node: Any) -> Iterator[Any]:
    """The value of every `_target_` in `node`, in order.

    >>> list(targets_of({"_target_": "a.B", "parts": [{"_target_": "a.C"}]}))
    ['a.B', 'a.C']
    """
    return (value for key, value in walk(node) if key.rpartition(".")[2] == "_target_")


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The values of `node` with their dotted keys; a list of plain values, and {}, is one.

    >>> list(leaves({"a": {"b": 1, "c": [2, 3]}, "d": [{"e": 4}], "f": {}}))
    [('a.b', 1), ('a.c', [2, 3]), ('d.0.e', 4), ('f', {})]
    """
    if isinstance(node, list | tuple) and not any(isinstance(item, Mapping) for item in node):
        items = []
    else:
        items = _items(node)
    if not items:
        yield key, node
    for name, value in items:
        yield from leaves(value, f"{key}.{name}" if key else str(name))


def _items(node: Any) -> list[tuple[Any, Any]]:
    if isinstance(node, Mapping):
        return list(node.items())
    return list(enumerate(node)) if isinstance(node, list | tuple) else []
