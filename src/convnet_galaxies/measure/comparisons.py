"""Compare two networks on the same images, paired by image, resample and training seed."""

from __future__ import annotations

import numpy as np

from convnet_galaxies.measure.intervals import Estimate, Statistic, compare_seeds
from convnet_galaxies.measure.score_table import scores_of
from convnet_galaxies.measure.scores import check_scores, count_rarer_groups, make_lens_statistic


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
    """Return each lens score (but the baselines) of a minus that of b.

    probabilities: float [n], or one row a training seed, [seeds, n], the same seeds in both.
    """

    scores = scores_of("lens", baselines=False)

    def of_strategy(probability: np.ndarray) -> list[Statistic]:
        rows = [check_scores(truth, row, groups) for row in np.atleast_2d(np.asarray(probability, float))]
        return [make_lens_statistic(checked, row, groups, tuple(scores)) for checked, row in rows]

    return compare_seeds(
        tuple(scores),
        of_strategy(probability_a),
        of_strategy(probability_b),
        groups,
        seed=seed,
        level=level,
        n_resamples=n_resamples,
        n_effective=count_rarer_groups(np.asarray(truth).astype(bool), groups),
        most=[score.most for score in scores.values()],
    )
