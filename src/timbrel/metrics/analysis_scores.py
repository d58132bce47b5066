"""Scores of an analysis by name: what `timbrel analyze` finds of a model's sliders and code.

    sliders/<axis>/<part>    of the slider that moves that axis, where the model has one
    sliders/ok               how many sliders are ok, besides level
    disentanglement/<score>
    sliders, slider_extremes, traversal_smoothness    its gates

W&B and studies have them by these names. Knows neither torch nor numpy.
"""

from timbrel.config.slider_limits import SLIDER_LIMITS
from timbrel.metrics.scores import Score

SLIDER_AXES = ("brightness", "pitch", "hnr", "attack", "decay", "onsets", "width")
"""The axes of `metrics.sliders` that a slider is judged on: a gain, level is exact."""

SLIDER_PARTS = {
    "sdot": Score("SDOT", "", "higher", "Purity x monotonicity x range, on sounds of the test."),
    "purity": Score("purity", "", "higher", "What the slider moves over all that it moves."),
    "monotonicity": Score("monotonicity", "", "higher", "Whether it moves in one direction."),
    "range": Score("range", "", "higher", "How far it moves, in spreads of the recordings."),
    "smoothness": Score("smoothness", "", "higher", "1: in equal steps, 0: in one jump."),
    "leak": Score("leak", "spreads", "lower", "How far the other axis goes that it moves most."),
}
"""By the columns of `analysis/sliders.csv`."""

DISENTANGLEMENT = {
    "mig": "MIG",
    "sap": "SAP",
    "modularity": "modularity",
    "scc": "SCC",
    "interpretability": "interpretability",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
}
"""Titles of the scores of `metrics.disentanglement`, by name."""

_OK = "How many sliders move one thing of a sound, without level."
_CODE = "How far each unit of the code stands for one attribute (docs/disentanglement.md)."

ANALYSIS_SCORES = {
    "sliders/ok": Score("sliders ok", "", "higher", _OK),
    **{
        f"sliders/{axis}/{part}": Score(
            f"{axis} {score.title}", score.unit, score.better, score.meaning
        )
        for axis in SLIDER_AXES
        for part, score in SLIDER_PARTS.items()
    },
    **{
        f"disentanglement/{name}": Score(title, "", "higher", _CODE)
        for name, title in DISENTANGLEMENT.items()
    },
    **{
        gate: Score(limit.title, limit.unit, limit.better, limit.help)
        for gate, limit in SLIDER_LIMITS.items()
    },
}
"""In the order of tables; each is one number of a whole run."""
