"""Intervals over repeated splits: known answers, laws, and the coverage in repeated cross-validation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.ranking import Ranking, measure_tpr_at_rate
from convnet_galaxies.measure.repeated_splits import ONE_REPETITION, share_level, summarize_repetitions, widen


def summarize(values: list[float] | np.ndarray, ratio: float = 0.25, level: float = 0.95, most: float = np.inf):
    return summarize_repetitions("x", values, test_over_train=ratio, level=level, most=most)


def test_the_interval_is_that_of_the_corrected_resampled_t_test() -> None:
    # Mean 2, variance 1 over 3 repetitions; Student's t for 2 degrees of freedom is 4.30265, its 80 % point 1.06066.
    found = summarize([1.0, 2.0, 3.0])
    error = np.sqrt(1 / 3 + 0.25)
    assert found.estimate.value == 2
    assert found.estimate.low == pytest.approx(2 - 4.302653 * error, abs=1e-5)
    assert found.estimate.high == pytest.approx(2 + 4.302653 * error, abs=1e-5)
    assert found.detectable == pytest.approx((4.302653 + 1.060660) * error, abs=1e-5)


def test_without_a_shared_part_it_is_the_interval_of_student() -> None:
    values = np.random.default_rng(0).normal(size=7)
    low, high = stats.t.interval(0.9, 6, loc=values.mean(), scale=stats.sem(values))
    found = summarize(values, ratio=0.0, level=0.9).estimate
    assert (found.low, found.high) == pytest.approx((low, high))


def test_one_repetition_tells_nothing_of_others() -> None:
    found = summarize([0.3])
    assert found.estimate.warning == ONE_REPETITION
    assert found.detectable is None


def test_a_difference_of_proportions_is_cut() -> None:
    found = summarize([-0.9, 0.9], most=1.0).estimate
    assert (found.low, found.high) == (-1.0, 1.0)


def test_levels_are_shared_and_intervals_joined() -> None:
    assert share_level(0.95, 1) == pytest.approx(0.95)
    assert share_level(0.95, 4) == pytest.approx(0.9875)
    joined = widen(Estimate("x", 0.1, 0.0, 0.2, warning="few"), Estimate("x", 0.1, 0.05, 0.4))
    assert (joined.low, joined.high, joined.warning) == (0.0, 0.4, "few")


def test_completeness_at_a_rate_counts_cuts_whose_rate_is_at_most_that() -> None:
    truth = np.array([1, 1, 0, 1, 0, 1, 0, 0], bool)
    score = np.arange(8)[::-1].astype(float)
    ranking = Ranking(truth, score, np.arange(8))
    positives = ranking.accumulate(np.ones((1, 8)))
    for rate, wanted in ((0.0, 0.5), (0.24, 0.5), (0.25, 0.75), (0.5, 1.0), (1.0, 1.0)):
        assert measure_tpr_at_rate(*positives, rate) == pytest.approx([wanted])
    tied = Ranking(truth, np.zeros(8), np.arange(8)).accumulate(np.ones((1, 8)))
    assert measure_tpr_at_rate(*tied, 0.5) == pytest.approx([0.0])


@pytest.mark.trials
def test_it_covers_the_difference_of_learners_in_repeated_splits() -> None:
    # Two means are learned from the training part and judged by squared error on the test part. The true difference
    # is that of means of so many values, sigma^2 (1 / n - 1 / 2n); single training sets scatter around it.
    rng, n, held = np.random.default_rng(1), 160, []
    for _ in range(300):
        values = rng.normal(size=n)
        folds = rng.permutation(n) % 5
        by_repetition = []
        for fold in range(5):
            train, test = values[folds != fold], values[folds == fold]
            half = train[: len(train) // 2]
            by_repetition.append(((test - half.mean()) ** 2).mean() - ((test - train.mean()) ** 2).mean())
        n_train = n * 4 // 5
        truth = 2 / n_train - 1 / n_train
        found = summarize(by_repetition, ratio=0.25).estimate
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) > 0.93
