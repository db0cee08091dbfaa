"""Which of two nets is better on the same images, and how surely: paired by image, by resample and by training seed."""

from __future__ import annotations

import numpy as np

from convnet_galaxies.measure.intervals import Estimate, Statistic, compare_seeds
from convnet_galaxies.measure.scores import (
    LENS_FIGURES,
    check_scores,
    count_rarer_groups,
    make_lens_statistic,
    make_vote_statistic,
)


def compare_votes(
    truth: np.ndarray,
    predicted_a: np.ndarray,
    predicted_b: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    level: float = 0.95,
    n_resamples: int = 1000,
) -> Estimate:
    """RMSE of a minus RMSE of b on the same galaxies; predictions are [n, 37] or one a seed, [seeds, n, 37]."""

    def of_arm(predicted: np.ndarray) -> list[Statistic]:
        arrays = predicted if predicted.ndim == 3 else predicted[None]
        return [_first_value(make_vote_statistic(truth, one, groups)) for one in arrays]

    a, b = of_arm(np.asarray(predicted_a)), of_arm(np.asarray(predicted_b))
    return compare_seeds(["rmse"], a, b, groups, seed=seed, level=level, n_resamples=n_resamples)["rmse"]


def compare_lenses(
    truth: np.ndarray,
    probability_a: np.ndarray,
    probability_b: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    level: float = 0.95,
    n_resamples: int = 1000,
) -> dict[str, Estimate]:
    """Each of the LENS_FIGURES (but the always-no accuracy) of a minus that of b.

    probabilities: float [n], or one row a training seed, [seeds, n], the same seeds in both.
    """

    def of_arm(probability: np.ndarray) -> list[Statistic]:
        rows = [check_scores(truth, row, groups) for row in np.atleast_2d(np.asarray(probability, float))]
        return [make_lens_statistic(checked, row, groups) for checked, row in rows]

    names = tuple(name for name in LENS_FIGURES if name != "always_no_accuracy")
    return compare_seeds(
        names,
        of_arm(probability_a),
        of_arm(probability_b),
        groups,
        seed=seed,
        level=level,
        n_resamples=n_resamples,
        n_effective=count_rarer_groups(np.asarray(truth).astype(bool), groups),
        most=[np.inf if name == "log_loss" else 1.0 for name in names],
    )


def _first_value(statistic: Statistic) -> Statistic:
    return lambda counts: statistic(counts)[:, :1]
