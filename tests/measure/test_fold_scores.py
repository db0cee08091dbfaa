from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.fold_scores import score_within_folds
from convnet_galaxies.measure.scores import score_lenses


def make(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth, probability, groups of two images, and fold of each."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.3
    probability = 1 / (1 + np.exp(-(rng.normal(size=n) + 2 * truth)))
    groups = np.arange(n) // 2
    return truth, probability, groups, groups % 5


def test_the_figure_is_the_mean_over_folds_weighted_by_their_pairs():
    truth, probability, groups, fold = make(0)
    folds = [(truth[fold == k], probability[fold == k]) for k in range(5)]
    pairs = [t.sum() * (~t).sum() for t, _ in folds]
    expected = np.average([roc_auc_score(*one) for one in folds], weights=pairs)
    assert score_within_folds(truth, probability, groups, fold, seed=0, n_resamples=50).value == pytest.approx(expected)


def test_a_network_that_answers_higher_changes_the_pooled_figure_alone():
    truth, probability, groups, fold = make(1)
    moved = np.where(fold == 2, probability**8, probability)  # the order within the fold stays
    before, after = (score_within_folds(truth, p, groups, fold, seed=0, n_resamples=100) for p in (probability, moved))
    assert after == before
    pooled = [score_lenses(truth, p, groups, seed=0, n_resamples=10)["auroc"].value for p in (probability, moved)]
    assert pooled[1] < pooled[0] - 0.03


def test_one_fold_gives_the_pooled_figure_and_its_interval():
    truth, probability, groups, _ = make(2)
    one = score_within_folds(truth, probability, groups, np.zeros(400), seed=0)
    pooled = score_lenses(truth, probability, groups, seed=0)["auroc"]
    assert (one.value, one.low, one.high) == pytest.approx((pooled.value, pooled.low, pooled.high))


def test_folds_of_one_class_count_nothing_and_if_all_are_the_figure_is_refused():
    truth, probability, groups, fold = make(3)
    alone = np.where(fold == 4, 9 + truth, fold)
    kept = np.isin(fold, range(4))
    expected = score_within_folds(truth[kept], probability[kept], groups[kept], fold[kept], seed=0, n_resamples=20)
    found = score_within_folds(truth, probability, groups, alone, seed=0, n_resamples=20)
    assert found.value == pytest.approx(expected.value)
    with pytest.raises(InputError, match="auroc within folds: undefined for these images"):
        score_within_folds(truth, probability, groups, truth, seed=0, n_resamples=20)
