"""AUROC of cross-validation: images are compared only with those of their own fold.

Each fold is scored by a network of its own. Their probabilities are not on one scale, so that a pair of images of two
folds compares networks as well: pooled, the AUROC is too low where folds are alike (Parker, Gunter & Bedo 2007, BMC
Bioinformatics 8, 326), and too high where a fold of hard images happens to be scored low.
"""

from __future__ import annotations

import numpy as np

from convnet_galaxies.measure.intervals import Estimate, check_level, encode_groups, resample_statistic, summarize
from convnet_galaxies.measure.ranking import Ranking, lower_unseen, measure_auroc
from convnet_galaxies.measure.scores import check_scores, count_rarer_groups


def score_within_folds(
    truth: np.ndarray,
    probability: np.ndarray,
    groups: np.ndarray,
    fold: np.ndarray,
    *,
    seed: int,
    level: float = 0.95,
    n_resamples: int = 1000,
) -> Estimate:
    """Return the share of pairs of a lens and another image of its fold in which the lens scores higher.

    truth: bool [n]; probability: float [n]; groups, fold: [n]. It is the mean of the AUROC of the folds, weighted by
    their pairs. The interval holds the scatter of images, not that of trainings. Raises InputError where no fold holds
    both classes.
    """
    check_level(level)
    truth, probability = check_scores(truth, probability, groups)
    codes, _ = encode_groups(groups)
    rankings = [Ranking(truth[rows], probability[rows], codes[rows]) for rows in _rows_of(fold)]

    def statistic(counts: np.ndarray) -> np.ndarray:
        ordered, pairs = np.zeros(len(counts)), np.zeros(len(counts))
        for ranking in rankings:
            tp, fp = ranking.accumulate(counts)
            of_fold = tp[:, -1] * fp[:, -1]
            ordered += np.where(of_fold > 0, of_fold * np.nan_to_num(measure_auroc(tp, fp)), 0)
            pairs += of_fold
        return np.divide(ordered, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)[:, None]

    values, draws = resample_statistic(statistic, groups, n_resamples=n_resamples, seed=seed)
    rarer = count_rarer_groups(truth, groups)
    unseen = lower_unseen(float(values[0]), rarer)
    name = "auroc within folds"
    return summarize(
        name, float(values[0]), draws[:, 0], n_effective=rarer, proportion=True, unseen=unseen, level=level
    )


def _rows_of(fold: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(np.asarray(fold) == one) for one in np.unique(fold)]
