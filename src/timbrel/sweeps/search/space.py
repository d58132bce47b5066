"""The space of a search: what is drawn for each trial, and what the config has by itself.

Knows neither Hydra nor Optuna: a trial is whatever has Optuna's three `suggest_` methods.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import yaml

from timbrel.errors import UserError

Condition = tuple[tuple[str, tuple[str, ...]], ...]
"""Pairs of a key and the values, one of which it must have."""


class Suggests(Protocol):
    """The part of an Optuna trial that draws."""

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...  # noqa: D102

    def suggest_int(  # noqa: D102
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int: ...

    def suggest_float(  # noqa: D102
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...


@dataclass(frozen=True)
class Choice:
    """One of some values, as the command line spells them."""

    values: tuple[str, ...]

    def suggested(self, trial: Suggests, name: str) -> str:
        """The value of this trial, as an override takes it."""
        return str(trial.suggest_categorical(name, list(self.values)))

    def position(self, value: Any) -> Any:
        """`value` as the trial stores it; None where it is none of the choices."""
        return next((text for text in self.values if _read(text) == value), None)


@dataclass(frozen=True)
class Between:
    """A number from `low` to `high`, both included; a whole one where `low` is whole."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return all(isinstance(x, int) for x in (self.low, self.high, self.step or 1))

    def suggested(self, trial: Suggests, name: str) -> str:
        """The value of this trial, as an override takes it."""
        if self.whole:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return str(trial.suggest_int(name, low, high, step=step, log=self.log))
        return repr(trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log))

    def position(self, value: Any) -> Any:
        """`value` as the trial stores it; None where it lies outside."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not self.low <= value <= self.high or (self.whole and value != int(value)):
            return None
        if self.step is not None:
            steps = (value - self.low) / self.step
            if abs(steps - round(steps)) > 1e-9:
                return None
        return int(value) if self.whole else float(value)


@dataclass(frozen=True)
class Draw:
    """A key of the config, what is drawn for it, and under which earlier draws it exists."""

    key: str
    kind: Choice | Between
    when: Condition = ()
    named: str = ""

    @property
    def name(self) -> str:
        """The parameter's name in the study."""
        return self.named or self.key

    def applies(self, values: Mapping[str, str]) -> bool:
        """Whether the draws so far meet its condition."""
        return all(values.get(key) in wanted for key, wanted in self.when)


@dataclass(frozen=True)
class Space:
    """All draws, in an order in which every condition comes before what depends on it."""

    draws: tuple[Draw, ...]

    def drawn(self, trial: Suggests) -> dict[str, str]:
        """The values of a trial by key, as overrides take them.

        Raises UserError where its study has another draw of a key.
        """
        values: dict[str, str] = {}
        for draw in self.draws:
            if not draw.applies(values):
                continue
            try:
                values[draw.key] = draw.kind.suggested(trial, draw.name)
            except ValueError as error:
                raise UserError(
                    f"{draw.key}: the study has another draw of it; give it the one that it began "
                    "with, or take another hydra.sweeper.study_name"
                ) from error
        return values

    def example(self, draw: Draw) -> dict[str, str]:
        """Values under which `draw` exists, with one of its own."""
        values: dict[str, str] = {}
        for key, wanted in draw.when:
            for other in self.draws:
                if other.key == key:
                    values |= self.example(other)
            values[key] = wanted[0]
        kind = draw.kind
        values[draw.key] = kind.values[0] if isinstance(kind, Choice) else repr(kind.low)
        return values

    def defaults(self, config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """What the config has, by parameter, as a trial stores it; and the keys it cannot give.

        A default that lies outside the space is among the latter. `config` is by key.
        """
        values: dict[str, str] = {}
        found: dict[str, Any] = {}
        outside: list[str] = []
        for draw in self.draws:
            if not draw.applies(values):
                continue
            position = draw.kind.position(config.get(draw.key))
            if position is None:
                outside.append(draw.key)
                continue
            found[draw.name] = position
            values[draw.key] = str(position)
        return found, outside

    def label(self, params: Mapping[str, Any]) -> str:
        """A trial's parameters in words: `latent_dim=8, width=64`."""
        keys = {draw.name: draw.key for draw in self.draws}
        return ", ".join(
            f"{keys.get(name, name)}={_short(value)}" for name, value in params.items()
        )


def _read(text: str) -> Any:
    """The value that the command line means by `text`."""
    for kind in (int, float):  # 1e-9 is text to YAML 1.1
        with suppress(ValueError):
            return kind(text)
    with suppress(yaml.YAMLError):
        return yaml.safe_load(text)
    return text


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
