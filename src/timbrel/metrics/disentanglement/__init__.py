from timbrel.metrics.disentanglement.evaluate import Score, evaluate
from timbrel.metrics.disentanglement.measures import Dci, dci_of
from timbrel.metrics.disentanglement.tables import CHEAP, METRICS, values

__all__ = ["CHEAP", "METRICS", "Dci", "Score", "dci_of", "evaluate", "values"]
