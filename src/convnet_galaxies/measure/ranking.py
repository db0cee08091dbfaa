"""Scores that depend only on the order of the images, for many resamples at once.

scikit-learn computes each of these for one sample at a time; a thousand resamples of five figures for six subsets
would take minutes. Here the images are sorted once and every resample is a row of weights; the results equal
scikit-learn's with ``sample_weight`` (tests/measure/test_ranking.py).
"""

from __future__ import annotations

import numpy as np

UNSEEN_LENSES = 0.5
"""Lenses ranked at chance by which the lower end of an AUROC is lowered: a small sample lacks the hardest lenses.
Without them 90 % intervals held the truth in 71 to 95 % of trials with 12 or 30 lenses (docs/science.md)."""


class Ranking:
    """Images by falling score. Images of equal score are taken together: no cut falls between them.

    truth: bool [n]; score: float [n], larger means more of a lens; codes: int [n], group of each image;
    weights: float [n], how much each image counts, one by default.
    """

    def __init__(
        self, truth: np.ndarray, score: np.ndarray, codes: np.ndarray, weights: np.ndarray | None = None
    ) -> None:
        order = np.argsort(-np.asarray(score, float), kind="stable")
        falling = np.asarray(score, float)[order]
        self.starts = np.concatenate([[0], np.flatnonzero(falling[1:] != falling[:-1]) + 1])
        self.truth = np.asarray(truth, bool)[order].astype(float)
        self.codes = codes[order]
        self.weights = None if weights is None else np.asarray(weights, float)[order]

    def accumulate(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return true and false positives above each cut, float [resamples, cuts], highest cut first.

        counts: float [resamples, groups], how often each group was drawn.
        """
        weights = counts[:, self.codes]
        if self.weights is not None:
            weights = weights * self.weights
        positives = weights * self.truth
        return tuple(  # type: ignore[return-value]
            np.cumsum(np.add.reduceat(part, self.starts, axis=1), axis=1) for part in (positives, weights - positives)
        )


def measure_auroc(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Measure the area under the ROC curve [resamples] by trapezoids; ties count one half (Fawcett 2006, PRL 27,
    861)."""
    before = np.concatenate([np.zeros((len(tp), 1)), tp[:, :-1]], axis=1)
    steps = np.diff(fp, axis=1, prepend=0)
    return _divide(np.einsum("rk,rk->r", steps, (tp + before) / 2), tp[:, -1] * fp[:, -1])


def measure_average_precision(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Measure the mean of the precision at each lens [resamples], without interpolation; images of equal score share
    theirs."""
    precision = tp / np.maximum(tp + fp, 1e-300)
    value = _divide(np.einsum("rk,rk->r", np.diff(tp, axis=1, prepend=0), precision), tp[:, -1])
    return np.where(fp[:, -1] > 0, value, np.nan)


def measure_tpr(tp: np.ndarray, fp: np.ndarray, false_positives: int) -> np.ndarray:
    """Measure completeness [resamples] before the given number of false positives is reached (Metcalf et al. 2019).

    A lens that ties with the false positive in question is not counted: the cut must stand above both.
    """
    found = np.max(np.where(fp < false_positives, tp, 0.0), axis=1)
    return np.where(fp[:, -1] > 0, _divide(found, tp[:, -1]), np.nan)


def lower_unseen(auroc: float, rarer: int) -> float:
    """Return by how much UNSEEN_LENSES lower an AUROC of so many groups of the rarer class."""
    return UNSEEN_LENSES * max(auroc - 0.5, 0) / (rarer + UNSEEN_LENSES)


def measure_tpr_at_rate(tp: np.ndarray, fp: np.ndarray, rate: float) -> np.ndarray:
    """Measure completeness [resamples] at the lowest cut whose false positive rate is at most the one given."""
    found = np.max(np.where(fp <= rate * fp[:, -1:], tp, 0.0), axis=1)
    return np.where(fp[:, -1] > 0, _divide(found, tp[:, -1]), np.nan)


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
