from timbrel.metrics.disentanglement.evaluate import Score, evaluate
from timbrel.metrics.disentanglement.measures import Dci, dci_of
from timbrel.metrics.disentanglement.tables import (
    CHEAP,
    FEWEST,
    METRICS,
    WATCHED,
    rank_correlations,
    values,
)

__all__ = [
    "CHEAP",
    "FEWEST",
    "METRICS",
    "WATCHED",
    "Dci",
    "Score",
    "dci_of",
    "evaluate",
    "rank_correlations",
    "values",
]
