"""A new sound of a model: drawn, chosen by what is asked of it, and told from the recordings."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from timbrel.attributes.registry import CLIP_ATTRIBUTES
from timbrel.errors import UserError, did_you_mean
from timbrel.generation.engine import AudioBlock, render
from timbrel.generation.prior.draw import Draw, Prior
from timbrel.generation.prior.recordings import Nearest, Recordings
from timbrel.generation.prior.steering import CANDIDATES, HEARD_S, measured, nearest_first
from timbrel.library.render_settings import Rendering, RenderSettings
from timbrel.models.autoencoder import Autoencoder

REDRAWS = 8
"""So many times a sound that is too near a recording is drawn again."""


@dataclass(frozen=True)
class Chosen:
    """The sound that was kept, and what is known of it."""

    draw: Draw
    attributes: Mapping[str, float | None] = field(default_factory=dict)
    nearest: Nearest | None = None


@dataclass(frozen=True)
class NewSounds:
    """The sounds that `prior` draws for `model`; `recordings` are those that it was trained on."""

    model: Autoencoder
    prior: Prior
    recordings: Callable[[], Recordings | None]
    name: str

    def choose(
        self, settings: RenderSettings, n_samples: int | None, asked: Mapping[str, float]
    ) -> Chosen:
        """The sound of `settings.seed`.

        With attributes `asked` for, the one of 24 candidates that is nearest to them. With
        `novelty` the first that is no nearer to a recording than this share of the distance at
        which a recording lies that was not trained on; the farthest where none of nine is.

        Raises UserError for an attribute that is none, and where `novelty` has nothing to compare
        with.
        """
        check_asked(asked)
        if asked:
            first_seed = CANDIDATES * settings.seed
            draws = [self._drawn(settings, n_samples, first_seed + i) for i in range(CANDIDATES)]
            values = [self._values(draw, asked) for draw in draws]
            order = nearest_first(asked, values)
            for name, value in values[order[0]].items():
                if value is None:
                    raise UserError(
                        f"attributes.{name}: none of {CANDIDATES} sounds of '{self.name}' has it"
                    )
            ranked = ((draws[i], values[i]) for i in order)
        else:
            ranked = (
                (self._drawn(settings, n_samples, settings.seed, redraw), {})
                for redraw in range(1 + REDRAWS)
            )
        if not settings.novelty:
            draw, found = next(ranked)
            return Chosen(draw, found)
        return self._newest(ranked, settings.novelty)

    def _newest(
        self, ranked: Iterator[tuple[Draw, dict[str, float | None]]], novelty: float
    ) -> Chosen:
        known = self.recordings()
        if known is None:
            raise UserError(
                f"novelty={novelty:g}: '{self.name}' knows no recordings to compare with; timbrel "
                "prior run=RUN adds them (of two recordings or more), or leave novelty out"
            )
        tried: list[tuple[float, Chosen]] = []
        for (draw, found), _ in zip(ranked, range(1 + REDRAWS), strict=False):
            nearest = known.nearest(self.heard(draw))
            tried.append((nearest.share, Chosen(draw, found, nearest)))
            if nearest.share >= novelty:
                break
        return max(tried, key=lambda of: of[0])[1]

    def heard(self, draw: Draw) -> AudioBlock:
        """The first seconds of a sound, decoded."""
        return first(render(self.model, draw.source), self.model.sample_rate_hz)

    def _values(self, draw: Draw, asked: Mapping[str, float]) -> dict[str, float | None]:
        return measured(
            draw,
            tuple(asked),
            self.heard,
            rate_hz=self.model.sample_rate_hz,
            hop_samples=self.model.hop_samples,
        )

    def _drawn(
        self, settings: RenderSettings, n_samples: int | None, seed: int, redraw: int = 0
    ) -> Draw:
        return self.prior.draw(
            seed,
            n_samples=n_samples,
            length=settings.length,
            temperature=settings.temperature,
            redraw=redraw,
        )


def first(blocks: Iterator[AudioBlock], rate_hz: int) -> AudioBlock:
    """The first `HEARD_S` of a sound in blocks."""
    kept, missing = [], round(HEARD_S * rate_hz)
    for block in blocks:
        kept.append(block[:, :missing])
        missing -= block.shape[1]
        if missing <= 0:
            break
    return np.concatenate(kept, axis=1)


def heard_of(rendering: Rendering) -> tuple[Callable[[], AudioBlock], Rendering]:
    """The same rendering, and what gives its first seconds once they are rendered."""
    kept: list[AudioBlock] = []
    most = round(HEARD_S * rendering.rate_hz)

    def blocks() -> Iterator[AudioBlock]:
        n = 0
        for block in rendering.blocks:
            if n < most:
                kept.append(block[:, : most - n].copy())
                n += block.shape[1]
            yield block

    return lambda: np.concatenate(kept, axis=1), replace(rendering, blocks=blocks())


def check_asked(asked: Mapping[str, float]) -> None:
    """Raise UserError where `asked` names no attribute, or gives none a number that it can have."""
    known = {attribute.name: attribute for attribute in CLIP_ATTRIBUTES}
    for name, value in asked.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise UserError(f"attributes.{name}: no such attribute ({', '.join(known)}){hint}")
        attribute = known[name]
        if not attribute.low <= value <= attribute.high:
            raise UserError(
                f"attributes.{name}={value:g}: between {attribute.low:g} and {attribute.high:g} "
                f"{attribute.unit}".rstrip()
            )
