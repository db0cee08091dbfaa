"""Intervals of scores from repeated splits: each repetition has its own split, draw of the labels and training seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from convnet_galaxies.measure.intervals import Estimate, check_level, cut_figure

POWER = 0.8
"""Fraction of repetitions of a whole study in which the smallest detectable difference would be detected."""
ONE_REPETITION = "one repetition: other splits and seeds may differ"


@dataclass(frozen=True)
class RepeatedDifference:
    """Mean difference over repetitions.

    estimate: with its interval. detectable: the smallest true difference whose interval would exclude 0 in 80 % of
    studies like this one; None with one repetition.
    """

    estimate: Estimate
    detectable: float | None


def summarize_repetitions(
    name: str, by_repetition: Sequence[float] | np.ndarray, *, test_over_train: float, level: float, most: float
) -> RepeatedDifference:
    """Return the mean of paired differences, one per repetition, with the interval of the corrected resampled t test.

    ``mean +- t(1 - alpha / 2, R - 1) sqrt((1 / R + test_over_train) S^2)``, where S^2 is the variance over the R
    repetitions (Nadeau & Bengio 2003, Machine Learning 52, 239; for repeated cross-validation Bouckaert & Frank 2004).
    Repetitions share most of their training images, so that S^2 / R alone would be too small.

    by_repetition: float [R]. test_over_train: images of the test part over those of the training part.
    most: the largest difference there can be; the interval is cut to it. With one repetition the interval is a point,
    and a warning is given.
    """
    check_level(level)
    values = np.asarray(by_repetition, float)
    mean, repetitions = float(values.mean()), len(values)
    if repetitions < 2:
        return RepeatedDifference(Estimate(name, mean, mean, mean, level, ONE_REPETITION), None)
    error = float(np.sqrt((1 / repetitions + test_over_train) * values.var(ddof=1)))
    reach = float(stats.t.ppf((1 + level) / 2, repetitions - 1)) * error
    estimate = cut_figure(Estimate(name, mean, mean - reach, mean + reach, level), -most, most)
    return RepeatedDifference(estimate, reach + float(stats.t.ppf(POWER, repetitions - 1)) * error)


def widen(estimate: Estimate, other: Estimate) -> Estimate:
    """Return the estimate with an interval that holds both."""
    return replace(estimate, low=min(estimate.low, other.low), high=max(estimate.high, other.high))


def share_level(level: float, comparisons: int) -> float:
    """Return the level of each of several intervals that hold together at least at a level (Bonferroni)."""
    return 1 - (1 - level) / max(1, comparisons)


def guess_detectable(difference: Estimate) -> float:
    """Return about the smallest true difference whose interval would exclude 0 in 80 % of samples of this size.

    From the width of the interval of one sample, as if it were normal.
    """
    reach = (difference.high - difference.low) / 2
    return float(reach * (1 + stats.norm.ppf(POWER) / stats.norm.ppf((1 + difference.level) / 2)))
