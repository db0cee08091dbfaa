"""Sets of classes that hold the true one as often as promised.

Split conformal prediction (Sadinle, Lei & Wasserman 2019, arXiv:1609.00451 for the score; Vovk 2012, arXiv:1209.2673
for coverage by class). The promise holds for new images that are exchangeable with the known ones:
not for real lenses when the known lenses are simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import check_level

ROUNDING = 1e-8


@dataclass(frozen=True)
class ConformalSets:
    """Sets of classes that cannot be ruled out (conformal prediction).

    members: bool [n, k]; coverage: the promise; by_class: whether it holds within each class or only on average.
    """

    members: np.ndarray
    coverage: float
    by_class: bool


def predict_sets(
    probability_known: np.ndarray,
    truth_known: np.ndarray,
    probability_new: np.ndarray,
    *,
    coverage: float = 0.9,
    by_class: bool = True,
) -> ConformalSets:
    """Return conformal sets for new images from known ones that the net was not trained on.

    probabilities: [n, k] and [m, k]; truth_known: int [n] in 0..k-1. by_class calibrates each class on its own images:
    otherwise, among 2 % lenses, sets that miss every lens would keep a promise of 90 %. Images of one field are not
    independent: the promise is then met on average over fields, with more scatter.
    Raises InputError when a class has too few images for the coverage asked for.
    """
    check_level(coverage)
    known, new = np.asarray(probability_known, float), np.asarray(probability_new, float)
    truth, n_classes = np.asarray(truth_known, int), known.shape[1]
    least = int(np.ceil(1 / (1 - coverage) - 1e-9)) - 1

    def calibrate(rows: np.ndarray, name: str) -> np.ndarray:
        if rows.sum() <= least:
            raise InputError(
                f"conformal sets: found {int(rows.sum())} known images of {name}, expected more than {least} "
                f"for a coverage of {coverage:g}",
                "reduce the coverage, or give more known images",
            )
        misfit = np.sort(1 - known[rows, truth[rows]])
        # A new score is at most the ceil(coverage (n + 1))-th smallest of n with the probability that is promised.
        largest = misfit[int(np.ceil(coverage * (len(misfit) + 1) - ROUNDING)) - 1]
        return 1 - new <= largest + ROUNDING

    if by_class:
        columns = [calibrate(truth == k, f"class {k}")[:, k] for k in range(n_classes)]
        members = np.stack(columns, axis=1)
    else:
        members = calibrate(np.ones(len(truth), bool), "all classes")
    return ConformalSets(members, coverage, by_class)
