"""How important each unit of a code is for predicting a factor, by gradient-boosted trees.

Task: the table of importances of `measures.dci_of`, and how well the factors are predicted at all.
Conventions: `codes` are `(row, unit)`, `factor` and `groups` `(row)`, all finite. Rows of one group
(the frames of a file) are held out together. R^2 is a share of the factor's variance.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
SETTINGS: dict[str, Any] = {"n_estimators": 30, "learning_rate": 0.15, "min_samples_leaf": 0.05}
"""Of scikit-learn's trees. Its own (100, 0.1, 1) take three times as long, explain as much of rows
held out, and give more importance to noise: of 200 rows of a blurred code D is 0.85, here 0.90."""

Codes = NDArray[np.float64]
Column = NDArray[np.float64]
Groups = NDArray[np.int64]


def importance(
    codes: Codes, factor: Column, groups: Groups, rng: np.random.Generator
) -> tuple[Column, float]:
    """The share of every unit in the prediction of the factor, and its R^2 on rows held out.

    Five models each learn from the groups that are not in their fold. Importances are the decrease
    of the squared error that splits on the unit bring, as shares, averaged over the models. R^2 is
    that of all held-out predictions together, 0 where they are worse than the mean (Eastwood &
    Williams give an error instead). Importances of a factor that nothing predicts are shares of
    noise: read them beside R^2 and the null.
    """
    from sklearn.ensemble import GradientBoostingRegressor

    of_units = np.zeros(codes.shape[1])
    if not len(of_units):
        return of_units, 0.0
    fold = folds(groups, rng)
    error = np.zeros(len(factor))
    for k in range(fold.max() + 1):
        held = fold == k
        model = GradientBoostingRegressor(**SETTINGS, random_state=int(rng.integers(2**31)))
        model.fit(codes[~held], factor[~held])
        of_units += model.feature_importances_
        error[held] = factor[held] - model.predict(codes[held])
    unexplained = np.square(error).mean() / factor.var()
    return of_units / (fold.max() + 1), max(0.0, 1 - float(unexplained))


def folds(groups: Groups, rng: np.random.Generator) -> NDArray[np.int64]:
    """A fold of every row: five, or as many as there are groups; a group lies in one of them.

    >>> fold = folds(np.array([7, 7, 9, 9]), np.random.default_rng(0))
    >>> fold[0] == fold[1] != fold[2] == fold[3]
    np.True_
    """
    names, place = np.unique(groups, return_inverse=True)
    return (rng.permutation(len(names)) % min(FOLDS, len(names)))[place]
