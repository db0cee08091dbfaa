from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.graded_sample import GradedImages, estimate_number, estimate_top, plan_sample


def grade(stratum: np.ndarray, chosen: np.ndarray, truth: np.ndarray) -> GradedImages:
    is_graded = np.isin(np.arange(len(stratum)), chosen)
    return GradedImages(stratum, is_graded, is_graded & truth)


def rank_of(probability: np.ndarray) -> np.ndarray:
    rank = np.empty(len(probability), int)
    rank[np.argsort(-probability, kind="stable")] = np.arange(1, len(probability) + 1)
    return rank


def test_the_mean_over_all_possible_samples_is_the_true_number():
    truth = np.array([1, 0, 1, 1, 0, 0, 0, 1, 0, 0], bool)
    stratum = np.repeat([0, 1], [4, 6])
    samples = [a + b for a in combinations(range(4), 2) for b in combinations(range(4, 10), 3)]
    numbers = [estimate_number(grade(stratum, np.array(one), truth)).value for one in samples]
    assert np.mean(numbers) == pytest.approx(4)


def test_all_images_graded_give_the_number_purity_and_completeness_without_an_interval():
    truth = np.arange(50) % 7 == 0
    everything = grade(np.arange(50) // 25, np.arange(50), truth)
    number = estimate_number(everything)
    assert (number.low, number.value, number.high) == (8, 8, 8)
    purity, completeness = estimate_top(everything, np.arange(1, 51), 10)
    assert (purity.low, purity.value, purity.high) == pytest.approx((0.2, 0.2, 0.2))
    assert completeness.value == 0.25
    assert completeness.high - completeness.low < 0.002


def test_no_lens_among_100_of_many_gives_jeffreys_upper_end():
    """Beta(1/2, 100 + 1/2): 0.95 of it lies below 0.01902 (R: qbeta(0.95, 0.5, 100.5))."""
    number = estimate_number(grade(np.zeros(100_000, int), np.arange(100), np.zeros(100_000, bool)))
    assert number.low == number.value == 0
    assert number.high == pytest.approx(100_000 * 0.01902, rel=0.01)


def test_reaches_of_two_strata_are_joined_by_the_root_of_the_sum_of_squares():
    truth = np.zeros(2000, bool)
    truth[:3] = truth[1000:1002] = True
    stratum = np.arange(2000) // 1000
    alone = [
        estimate_number(grade(np.zeros(1000, int), np.arange(50), truth[part : part + 1000])) for part in (0, 1000)
    ]
    both = estimate_number(grade(stratum, np.concatenate([np.arange(50), np.arange(1000, 1050)]), truth))
    assert both.value == alone[0].value + alone[1].value
    assert both.high - both.value == pytest.approx(np.hypot(*(one.high - one.value for one in alone)))
    assert both.value - both.low == pytest.approx(np.hypot(*(one.value - one.low for one in alone)))


@pytest.mark.trials
@pytest.mark.parametrize("moved", [0.0, 3.0])
def test_interval_holds_the_number_though_the_network_ranks_the_lenses_badly(moved: float):
    held, top_held, errors = 0, [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = rng.random(1500) < 0.1
        probability = 1 / (1 + np.exp(4 - 2 * rng.normal(size=1500) - (6 - moved) * truth))
        plan = plan_sample(probability, 150, seed=seed)
        graded = grade(plan.stratum, plan.chosen, truth)
        number = estimate_number(graded)
        held += number.low <= truth.sum() <= number.high
        errors.append(number.value - truth.sum())
        rank = rank_of(probability)
        purity, completeness = estimate_top(graded, rank, 100)
        found = truth[rank <= 100].sum()
        top_held += [
            purity.low <= found / 100 <= purity.high,
            completeness.low <= found / truth.sum() <= completeness.high,
        ]
    assert held / 40 >= 0.8
    assert np.mean(top_held) >= 0.82
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(40)


def test_a_plan_spends_grades_where_the_network_is_unsure_and_repeats():
    probability = np.concatenate([np.linspace(0.9, 0.1, 100), np.full(9900, 1e-4)])
    plan, again = (plan_sample(probability, 200, seed=3) for _ in range(2))
    np.testing.assert_array_equal(plan.chosen, again.chosen)
    assert (plan_sample(probability, 200, seed=4).chosen != plan.chosen).any()
    assert len(np.unique(plan.chosen)) == 200
    assert plan.inclusion.sum() == pytest.approx(200)
    assert plan.inclusion[:50].min() > 5 * plan.inclusion[-1]
    for stratum in np.unique(plan.stratum):
        rows = plan.stratum == stratum
        assert np.isin(plan.chosen, np.flatnonzero(rows)).sum() == pytest.approx(plan.inclusion[rows].sum())


def test_a_plan_is_narrower_than_a_plain_random_sample_when_the_network_ranks_well():
    rng = np.random.default_rng(0)
    truth = rng.random(3000) < 0.1
    probability = np.where(truth, 0.9, 0.01) + rng.random(3000) / 100
    plan = plan_sample(probability, 150, seed=0)
    planned = estimate_number(grade(plan.stratum, plan.chosen, truth))
    plain = estimate_number(grade(np.zeros(3000, int), rng.choice(3000, 150, replace=False), truth))
    assert planned.high - planned.low < 0.6 * (plain.high - plain.low)


def test_an_ungraded_part_of_the_top_may_hold_anything():
    graded = grade(np.zeros(100, int), np.arange(50, 100), np.zeros(100, bool))
    purity, completeness = estimate_top(graded, np.arange(1, 101), 10)
    assert (purity.low, purity.value, purity.high) == (0, 0, 1)
    assert (completeness.low, completeness.high) == (0, 1)


def test_a_stratum_without_grades_and_impossible_sizes_are_refused():
    with pytest.raises(InputError, match="found none in stratum 2 of the plan"):
        estimate_number(grade(np.repeat([0, 1], 5), np.arange(5), np.zeros(10, bool)))
    for n in (3, 11):
        with pytest.raises(UsageError, match="expected 5 to 10"):
            plan_sample(np.full(10, 0.5), n, seed=0)
    assert len(plan_sample(np.full(3, 0.5), 3, seed=0).chosen) == 3
