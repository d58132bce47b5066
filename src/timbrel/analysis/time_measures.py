"""Generated sounds beside reconstructions of the recordings: what is heard in time, with its null.

Reconstructions and not recordings are the reference, so that the decoder's error, which both have,
does not hide the prior's. Every measure stands beside its null: what two random halves of the
reconstructions reach in 95 % of cases (shares: scaled to the sets' sizes), or, for the classifier,
sets that are mixed at random.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from timbrel.attributes.extent import ENDED_DB
from timbrel.metrics import distribution, diversity
from timbrel.metrics.coherence import within_share
from timbrel.metrics.embedding import embed
from timbrel.metrics.time_structure import (
    DESCRIPTORS,
    describe_all,
    rebounds,
    standardised,
    time_distance,
)
from timbrel.metrics.two_sample import two_sample

FEWEST = 8
"""Sounds of each kind that are needed."""
PIECES = 2
"""Of a texture, for its coherence: more of them are shorter, and differ in recordings too."""

_DRAWS = 100
_NULL = 0.95
_NULL_OF_RATIO = 0.99  # of variances of few clips: it has a long tail
_END = [d.name for d in DESCRIPTORS].index("end")

Audio = NDArray[np.float32]
Rows = NDArray[np.float64]
Pick = NDArray[np.int64]
Null = Callable[..., float]
"""What a measure of two random halves, given by their places, reaches at a level."""


@dataclass(frozen=True)
class Against:
    """A measure of generated sounds, its `null`, and what it says of each set (nan if nothing).

    `generated` and `reference` are the shares or numbers that `value` compares.
    """

    value: float
    null: float
    generated: float = float("nan")
    reference: float = float("nan")


@dataclass(frozen=True)
class TimeMeasures:
    """Everything; None where it is not asked of such sounds, or where nothing can be said.

    `endings`, the share of sounds whose last 50 ms lie 30 dB or more below their peak, and
    `rebound`, the share that rises by more than 6 dB after it, are of events; `coherence`, the
    share of variance within clips relative to the reference's, is of textures. `diversity` is the
    ratio of the Vendi scores less one; all of equally many sounds.
    """

    events: bool
    n_generated: int
    n_reference: int
    time_structure: Against
    two_sample: Against
    diversity: Against | None
    endings: Against | None
    rebound: Against | None
    coherence: Against | None
    descriptors: Rows
    """Of the generated sounds, `(sound, 13)`."""


def measure_in_time(
    reference: Sequence[Audio],
    generated: Sequence[Audio],
    rate_hz: int,
    *,
    events: bool,
    rng: np.random.Generator,
) -> TimeMeasures | None:
    """Compare two sets of sounds, `(channel, time)` each; None where one has fewer than eight."""
    if min(len(reference), len(generated)) < FEWEST:
        return None
    known, drawn = (describe_all(list(sounds), rate_hz) for sounds in (reference, generated))
    told_apart = two_sample(standardised(known, known), standardised(drawn, known), rng)

    def null(of_halves: Callable[[Pick, Pick], float], level: float = _NULL) -> float:
        halves = (np.array_split(rng.permutation(len(known)), 2) for _ in range(_DRAWS))
        return float(np.quantile([of_halves(one, other) for one, other in halves], level))

    def shares(of_reference: Rows, of_generated: Rows, *, two_sided: bool) -> Against:
        def excess(one: Rows, other: Rows) -> float:
            more = float(other.mean() - one.mean())
            return abs(more) if two_sided else more

        # Two halves are smaller than the two sets: shares of these differ less by chance.
        smaller = 2 * 2 / len(of_reference)
        narrower = np.sqrt((1 / len(of_reference) + 1 / len(of_generated)) / smaller)
        return Against(
            excess(of_reference, of_generated),
            float(narrower) * null(lambda a, b: excess(of_reference[a], of_reference[b])),
            float(of_generated.mean()),
            float(of_reference.mean()),
        )

    def ends(rows: Rows) -> Rows:
        return (rows[:, _END] <= ENDED_DB).astype(np.float64)

    def rises(sounds: Sequence[Audio]) -> Rows:
        return np.array([float(rebounds(sound, rate_hz)) for sound in sounds])

    return TimeMeasures(
        events=events,
        n_generated=len(generated),
        n_reference=len(reference),
        time_structure=Against(
            time_distance(known, drawn).value,
            null(lambda a, b: time_distance(known[a], known[b]).value),
        ),
        two_sample=Against(told_apart.auc, told_apart.null_high),
        diversity=_variety(
            *(_embedded(sounds, rate_hz) for sounds in (reference, generated)), rng, null
        ),
        endings=shares(ends(known), ends(drawn), two_sided=True) if events else None,
        rebound=shares(rises(reference), rises(generated), two_sided=False) if events else None,
        coherence=None if events else _coherence(reference, generated, rate_hz, null),
        descriptors=drawn,
    )


def _embedded(sounds: Sequence[Audio], rate_hz: int) -> Rows:
    return np.stack([embed(sound, rate_hz) for sound in sounds])


def _variety(
    reference: Rows,
    generated: Rows,
    rng: np.random.Generator,
    null: Null,
) -> Against | None:
    """Vendi scores of equally many; None where the reference does not differ in itself."""
    spread = distribution.median_distance(reference)
    if not spread > 0:
        return None
    kernel = distribution.gaussian_kernel(reference, reference, spread)
    n = min(len(reference), len(generated))

    def score(kept: Pick) -> float:
        return diversity.vendi_score(kernel[np.ix_(kept, kept)])

    of_reference = float(
        np.mean([score(rng.permutation(len(reference))[:n]) for _ in range(_DRAWS)])
    )
    of_generated = diversity.vendi_score(
        distribution.gaussian_kernel(generated[:n], generated[:n], spread)
    )

    def off(one: Pick, other: Pick) -> float:
        equal = min(len(one), len(other))
        return abs(score(other[:equal]) - 1) / max(score(one[:equal]) - 1, 1e-9)

    ratio = max(0.0, of_generated - 1) / max(of_reference - 1, 1e-9)
    deviation = null(lambda a, b: abs(off(a, b) - 1))
    return Against(ratio, deviation, of_generated, of_reference)


def _coherence(
    reference: Sequence[Audio],
    generated: Sequence[Audio],
    rate_hz: int,
    null: Null,
) -> Against | None:
    """None where a clip is too short to be cut into pieces."""
    known, drawn = (_pieces(sounds, rate_hz) for sounds in (reference, generated))
    if known is None or drawn is None:
        return None
    ours, theirs = within_share(drawn), within_share(known)
    least = 1e-6  # recordings of steady tones have none at all

    def ratio(one: Pick, other: Pick) -> float:
        return within_share(known[other]) / max(within_share(known[one]), least)

    null_of_ratio = null(ratio, _NULL_OF_RATIO)
    return Against(ours / max(theirs, least), null_of_ratio, ours, theirs)


def _pieces(sounds: Sequence[Audio], rate_hz: int) -> Rows | None:
    """Every sound as the embeddings of its halves, `(sound, 2, dimension)`."""
    if min(sound.shape[1] for sound in sounds) < PIECES:
        return None
    return np.stack([_embedded(np.array_split(sound, PIECES, axis=1), rate_hz) for sound in sounds])
