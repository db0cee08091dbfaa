"""Sets of classes that hold the true one as often as promised, and posteriors given to libraries that want a model.

Split conformal prediction through mapie (Sadinle, Lei & Wasserman 2019, arXiv:1609.00451 for the score; Vovk 2012,
arXiv:1209.2673 for coverage by class). The promise holds for new images that are exchangeable with the known ones:
not for real lenses when the known lenses are simulated.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import check_level


class GivenPosteriors(ClassifierMixin, BaseEstimator):
    """A fitted scikit-learn classifier whose input already is its posterior probabilities [n, k]."""

    def __init__(self, n_classes: int = 2) -> None:
        self.n_classes = n_classes
        self.classes_ = np.arange(n_classes)

    def fit(self, x: np.ndarray, y: np.ndarray) -> GivenPosteriors:
        """Nothing is left to fit."""
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """The input itself."""
        return np.asarray(x, float)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The most likely class, int [n]."""
        return np.argmax(x, axis=1)


@dataclass(frozen=True)
class ConformalSets:
    """Which classes cannot be ruled out.

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
    """Conformal sets for new images from known ones that the net was not trained on.

    probabilities: [n, k] and [m, k]; truth_known: int [n] in 0..k-1. by_class calibrates each class on its own images:
    otherwise, among 2 % lenses, sets that miss every lens would keep a promise of 90 %. Images of one field are not
    independent: the promise is then met on average over fields, with more scatter.
    Raises InputError when a class has too few images for the coverage asked for.
    """
    from mapie.classification import SplitConformalClassifier  # 1 s to import, and only needed here

    check_level(coverage)
    truth, n_classes = np.asarray(truth_known, int), probability_known.shape[1]
    least = int(np.ceil(1 / (1 - coverage) - 1e-9)) - 1

    def calibrate(rows: np.ndarray, name: str) -> np.ndarray:
        if rows.sum() <= least:
            raise InputError(
                f"conformal sets: found {int(rows.sum())} known images of {name}, expected more than {least} "
                f"for a coverage of {coverage:g}",
                "ask for less coverage, or give more known images",
            )
        model = SplitConformalClassifier(GivenPosteriors(n_classes), confidence_level=coverage, prefit=True)
        with warnings.catch_warnings():  # one class at a time is what calibrating by class means
            warnings.filterwarnings("ignore", message=".*has less labels.*", category=UserWarning)
            model.conformalize(np.asarray(probability_known, float)[rows], truth[rows])
        return model.predict_set(np.asarray(probability_new, float))[1][:, :, 0]

    if by_class:
        columns = [calibrate(truth == k, f"class {k}")[:, k] for k in range(n_classes)]
        members = np.stack(columns, axis=1)
    else:
        members = calibrate(np.ones(len(truth), bool), "all classes")
    return ConformalSets(members, coverage, by_class)
