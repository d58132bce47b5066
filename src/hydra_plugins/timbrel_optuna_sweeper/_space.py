"""The space of a search: read from overrides, as Hydra parses them, and `hydra.sweeper.params`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from timbrel.errors import UserError, did_you_mean, override_text
from timbrel.sweeps.search.space import Between, Choice, Condition, Draw, Space

_PARAMS = "hydra.sweeper.params"
_TAGS = ("log",)


def read_space(
    params: Mapping[str, Any], arguments: Sequence[str], parser: OverridesParser
) -> tuple[Space, list[str]]:
    """The space, and the overrides that every trial has.

    The command line goes before `params` of the same key. Raises UserError naming a key whose
    draw, or whose condition, cannot be meant.
    """
    fixed: list[str] = []
    draws: dict[str, list[Draw]] = {}
    for override in parser.parse_overrides(list(arguments)):
        key = override.get_key_element()
        if override.is_sweep_override():
            draws[key] = [_draw(override, key, (), f"{key}={_value_text(override)}")]
        else:
            fixed.append(str(override.input_line))
    given = {*draws, *(text.partition("=")[0] for text in fixed)}
    for key, value in params.items():
        if key in given:
            continue
        found = list(_drawn(key, value, parser))
        if found and found[0] is not None:
            draws[key] = [draw for draw in found if draw is not None]
        else:
            fixed.append(f"{key}={override_text(value)}")
    return Space(tuple(_ordered(draws))), fixed


def _drawn(key: str, value: Any, parser: OverridesParser) -> Iterable[Draw | None]:
    """The draws of a key of `params`; None for a value that is the same in every trial."""
    cases = value if isinstance(value, list) and any(map(_is_case, value)) else [value]
    for number, case in enumerate(cases):
        where = f"{_PARAMS}.{key}"
        when: Condition = ()
        text = case
        if isinstance(case, Mapping):
            if set(case) != {"when", "draw"} or not isinstance(case["when"], Mapping):
                raise UserError(
                    f"{where}: expected {{when: {{KEY: VALUE}}, draw: ...}}; put a draw with a "
                    "comma in quotes"
                )
            when = tuple(
                (str(k), tuple(map(override_text, v if isinstance(v, list) else [v])))
                for k, v in case["when"].items()
            )
            text = case["draw"]
        override = _parsed(f"{key}={override_text(text)}", where, parser)
        if not override.is_sweep_override():
            if when:
                raise UserError(f"{where}: draw: expected choice(...), interval(...) or range(...)")
            yield None
            continue
        named = f"{key} ({number + 1})" if len(cases) > 1 else ""
        yield _draw(override, key, when, f"{where}={override_text(text)}", named)


def _is_case(value: Any) -> bool:
    return isinstance(value, Mapping) and "draw" in value


def _parsed(text: str, where: str, parser: OverridesParser) -> Override:
    try:
        return parser.parse_override(text)
    except HydraException as error:
        value = text.partition("=")[2]
        raise UserError(
            f"{where}={value}: not understood; write choice(a,b), interval(0.1,1), "
            "int(interval(4,64)), range(1,9,2) or tag(log, interval(1e-4,1))"
        ) from error


def _draw(override: Override, key: str, when: Condition, where: str, named: str = "") -> Draw:
    value = override.value()
    tags = getattr(value, "tags", set())
    for tag in tags:
        if tag not in _TAGS:
            raise UserError(f"{where}: no tag '{tag}' ({', '.join(_TAGS)})")
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        if low is None or high is None or not low < high:
            raise UserError(f"{where}: the interval is empty; its lower end comes first")
        if "log" in tags and low <= 0:
            raise UserError(f"{where}: a logarithmic interval begins above 0")
        return Draw(key, Between(low, high, log="log" in tags), when, named)
    if "log" in tags:
        raise UserError(f"{where}: only an interval can be logarithmic")
    if isinstance(value, RangeSweep):
        steps = list(value.range())
        if not steps:
            raise UserError(f"{where}: the range is empty")
        low, high = min(steps), max(steps)
        return Draw(key, Between(low, high, step=abs(value.step)), when, named)
    texts = tuple(dict.fromkeys(override.sweep_string_iterator()))
    return Draw(key, Choice(tuple(map(str, texts))), when, named)


def _value_text(override: Override) -> str:
    return str(override.input_line).partition("=")[2]


def _ordered(draws: Mapping[str, Sequence[Draw]]) -> Iterable[Draw]:
    """Every draw after those that its condition names."""
    done: set[str] = set()
    left = dict(draws)
    while left:
        ready = [
            key
            for key, cases in left.items()
            if all(needed in done for case in cases for needed, _ in case.when)
        ]
        if not ready:
            key, cases = next(iter(left.items()))
            needed = next(n for case in cases for n, _ in case.when if n not in done)
            raise UserError(
                f"{_PARAMS}.{key}: when: {needed}: not drawn, or drawn depending on {key}"
                f"{did_you_mean(needed, [k for k in draws if k != key])}"
            )
        for key in ready:
            done.add(key)
            yield from left.pop(key)
