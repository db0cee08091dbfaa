"""Judge graders: the consensus by a model of their errors, and how well they agree.

The model is that of Dawid & Skene (1979, Applied Statistics 28, 20): each image has a class that nobody sees, and each
grader has his own probabilities of each grade for each class. Expectation maximisation finds both. It is written here
because the libraries that hold it also fetch language models or labelling services.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import cohen_kappa_score

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import Estimate, Statistic, bootstrap_groups

RESAMPLES = 200
_STEPS, _TOLERANCE = 500, 1e-7


@dataclass(frozen=True)
class Consensus:
    """Result of the model.

    posterior: float [items, classes], each row adds to 1. confusion: float [graders, classes, grades], the probability
    of a grade given the class. prevalence: float [classes].
    """

    posterior: np.ndarray
    confusion: np.ndarray
    prevalence: np.ndarray


def fit_consensus(
    item: np.ndarray,
    grader: np.ndarray,
    grade: np.ndarray,
    *,
    start: np.ndarray,
    truth: np.ndarray | None = None,
    pseudo_count: float = 0.1,
) -> Consensus:
    """Fit the model to judgements, one per entry: int [m] each, numbered from 0 without gaps.

    start: float [grades, classes], the share that a judgement first gives to each class; it settles which class is
    which. truth: int [items], the class where it is known, -1 elsewhere; known classes stay.
    pseudo_count: judgements added to each cell of a confusion matrix, so that none becomes 0 (Laplace).
    Raises InputError without a judgement, or for an item without one whose class is not known.
    """
    if not len(item):
        raise InputError("consensus: found no grade, expected at least one", "grade some images first")
    n_items, n_graders = int(item.max()) + 1, int(grader.max()) + 1
    n_grades, n_classes = start.shape
    truth = np.full(n_items, -1) if truth is None else np.asarray(truth)
    known = truth >= 0
    if ((np.bincount(item, minlength=n_items) == 0) & ~known).any():
        raise InputError("consensus: found an image without a grade, expected a grade for each", "leave it out")
    cell = grader * n_grades + grade
    posterior = _sum_by(item, start[grade], n_items)
    posterior /= posterior.sum(axis=1, keepdims=True)
    posterior[known] = np.eye(n_classes)[truth[known]]
    for _ in range(_STEPS):
        counts = _sum_by(cell, posterior[item], n_graders * n_grades).reshape(n_graders, n_grades, n_classes)
        confusion = counts.transpose(0, 2, 1) + pseudo_count
        confusion /= confusion.sum(axis=2, keepdims=True)
        # Known classes were chosen by whoever mixed them in, so they do not count for the prevalence.
        free = posterior[~known] if (~known).any() else posterior
        prevalence = (free.sum(axis=0) + pseudo_count) / (len(free) + n_classes * pseudo_count)
        log_likelihood = np.log(confusion)[grader, :, grade]
        log_posterior = np.log(prevalence) + _sum_by(item, log_likelihood, n_items)
        log_posterior -= log_posterior.max(axis=1, keepdims=True)
        new = np.exp(log_posterior)
        new /= new.sum(axis=1, keepdims=True)
        new[known] = posterior[known]
        change = np.abs(new - posterior).max()
        posterior = new
        if change < _TOLERANCE:
            break
    return Consensus(posterior, confusion, prevalence)


def measure_kappa(
    first: np.ndarray, second: np.ndarray, levels: np.ndarray, *, seed: int, level: float = 0.95
) -> Estimate | None:
    """Return the quadratically weighted kappa of two judgements of the same images (Cohen 1968, Psychological Bulletin
    70, 213), with an interval by resampling images; None for fewer than two images or grades that are all alike.

    first, second: float [n], each one of levels (float [k], the grades of the scheme). The value is scikit-learn's.
    """
    levels = np.unique(levels)
    a, b = np.searchsorted(levels, first), np.searchsorted(levels, second)
    if len(a) < 2 or len(np.unique([a, b])) < 2:
        return None

    def statistic(counts: np.ndarray) -> np.ndarray:
        return np.array([[_kappa(a, b, len(levels), weight)] for weight in counts])

    return _bootstrap("weighted kappa", statistic, len(a), seed, level)


def measure_alpha(grades: np.ndarray, *, seed: int, level: float = 0.95) -> Estimate | None:
    """Return Krippendorff's alpha for ordered grades of all graders, with an interval by resampling images.

    grades: float [graders, images], NaN where a grader did not grade. The value is that of the library krippendorff
    (Krippendorff 2004, Content Analysis). None where fewer than two images have two grades, or all grades are alike.
    """
    import krippendorff

    grades = grades[:, np.isfinite(grades).sum(axis=0) > 1]
    values = np.unique(grades[np.isfinite(grades)])
    if grades.shape[1] < 2 or len(values) < 2:
        return None
    table = np.stack([(grades == value).sum(axis=0) for value in values], axis=1)

    def statistic(counts: np.ndarray) -> np.ndarray:
        out = np.full((len(counts), 1), np.nan)
        for k, weight in enumerate(counts):
            drawn = np.repeat(table, weight.astype(int), axis=0)
            if (drawn.sum(axis=0) > 0).sum() > 1:
                out[k] = krippendorff.alpha(
                    value_counts=drawn, value_domain=values.tolist(), level_of_measurement="ordinal"
                )
        return out

    return _bootstrap("alpha", statistic, len(table), seed, level)


def _bootstrap(name: str, statistic: Statistic, number: int, seed: int, level: float) -> Estimate:
    images = np.array([f"{k:09d}" for k in range(number)])  # sorted as they are counted
    found = bootstrap_groups(statistic, images, [name], seed=seed, n_resamples=RESAMPLES, level=level)
    return found[name]


def _kappa(a: np.ndarray, b: np.ndarray, number: int, weight: np.ndarray) -> float:
    if len(np.unique([a[weight > 0], b[weight > 0]])) < 2:
        return float("nan")
    return float(cohen_kappa_score(a, b, labels=np.arange(number), weights="quadratic", sample_weight=weight))


def _sum_by(group: np.ndarray, values: np.ndarray, number: int) -> np.ndarray:
    """Sums of the rows of values, float [m, k], by group, int [m]: float [number, k]."""
    return np.stack([np.bincount(group, column, number) for column in values.T], axis=1)
