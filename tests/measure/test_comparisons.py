from __future__ import annotations

import numpy as np
import pytest

from convnet_galaxies.errors import UsageError
from convnet_galaxies.measure.comparisons import compare_lenses, compare_seeds
from convnet_galaxies.measure.intervals import encode_groups
from convnet_galaxies.measure.scores import EXTREME_ERROR, score_lenses


def mean_of(values: np.ndarray, groups: np.ndarray):
    codes, n_groups = encode_groups(groups)
    sums, sizes = np.bincount(codes, values, n_groups), np.bincount(codes, minlength=n_groups)
    return lambda counts: (counts @ sums / (counts @ sizes))[:, None]


def test_difference_of_equal_arms_is_exactly_zero():
    groups = np.arange(40) // 2
    arms = [mean_of(np.random.default_rng(s).normal(size=40), groups) for s in range(3)]
    figure = compare_seeds(["mean"], arms, arms, groups, seed=0)["mean"]
    assert (figure.value, figure.low, figure.high) == (0.0, 0.0, 0.0)


@pytest.mark.trials
def test_interval_over_three_seeds_holds_the_truth_when_seeds_matter_most():
    rng = np.random.default_rng(5)
    groups, held = np.arange(60), 0
    for trial in range(300):
        arms = [mean_of(rng.normal(size=60) * 0.5 + rng.normal() * 0.3, groups) for _ in range(3)]
        zeros = [mean_of(np.zeros(60), groups)] * 3
        figure = compare_seeds(["mean"], arms, zeros, groups, seed=trial, level=0.9, n_resamples=200)["mean"]
        held += figure.low <= 0 <= figure.high
    assert 0.86 <= held / 300 <= 0.98


def test_intervals_over_groups_and_over_seeds_are_joined_by_their_squares():
    rng = np.random.default_rng(0)
    groups, values = np.arange(60), rng.normal(size=60)
    offsets = np.array([0.1, 0.2, 0.3])
    zeros = mean_of(np.zeros(60), groups)
    alone = compare_seeds(["mean"], [mean_of(values + 0.2, groups)], [zeros], groups, seed=1)["mean"]
    joined = compare_seeds(["mean"], [mean_of(values + one, groups) for one in offsets], [zeros] * 3, groups, seed=1)
    of_seeds = 4.302653 * 0.1 / np.sqrt(3)  # Student's t with 2 degrees of freedom times the error of the mean
    value = joined["mean"].value
    assert value == pytest.approx(alone.value)
    assert value - joined["mean"].low == pytest.approx(np.hypot(value - alone.low, of_seeds))
    assert joined["mean"].high - value == pytest.approx(np.hypot(alone.high - value, of_seeds))
    assert joined["mean"].warning is None


def test_a_comparison_is_warned_of_for_few_groups_before_one_seed():
    groups = np.arange(40)
    arm = mean_of(np.arange(40.0), groups)
    few = compare_seeds(["mean"], [arm], [arm], groups, seed=0, n_effective=1)["mean"]
    assert few.warning == "only 1 group of the rarer class: the interval is rough"


def test_one_seed_is_warned_of_and_unequal_numbers_are_refused():
    groups = np.arange(40)
    arm = mean_of(np.arange(40.0), groups)
    assert compare_seeds(["mean"], [arm], [arm], groups, seed=0)["mean"].warning == "one seed: others may differ"
    with pytest.raises(UsageError, match="found 2 and 1 seeds, expected equally many"):
        compare_seeds(["mean"], [arm, arm], [arm], groups, seed=0)


def test_a_difference_of_proportions_is_cut_to_minus_one_to_one():
    groups = np.arange(40)
    high, low = mean_of(np.ones(40), groups), mean_of(np.zeros(40), groups)
    # Differences of 1 and 0 over two seeds: Student's t reaches 6 either way.
    uncut = compare_seeds(["mean"], [high, high], [low, high], groups, seed=0)["mean"]
    assert uncut.low < -5 < 5 < uncut.high
    figure = compare_seeds(["mean"], [high, high], [low, high], groups, seed=0, most=1.0)["mean"]
    assert (figure.low, figure.value, figure.high) == (-1.0, 0.5, 1.0)


def test_several_values_compared_at_once_are_those_compared_one_by_one():
    rng = np.random.default_rng(3)
    groups = np.arange(60) // 2
    columns = [[mean_of(rng.normal(size=60), groups) for _ in range(2)] for _ in range(6)]
    joined = [lambda counts, c=pair: np.hstack([one(counts) for one in c]) for pair in columns]
    both = compare_seeds(["x", "y"], joined[:3], joined[3:], groups, seed=0, n_resamples=50)
    for k, name in enumerate(["x", "y"]):
        alone = compare_seeds(
            [name], [c[k] for c in columns[:3]], [c[k] for c in columns[3:]], groups, seed=0, n_resamples=50
        )
        assert both[name] == alone[name]


def test_an_error_that_no_resample_shows_is_added_to_its_own_difference():
    rng = np.random.default_rng(0)
    groups = np.arange(60)
    columns = [mean_of(rng.normal(size=60), groups) for _ in range(2)]
    arms = [lambda counts, one=one: np.repeat(one(counts), 2, axis=1) for one in columns]
    found = compare_seeds(["x", "y"], arms[:1], arms[1:], groups, seed=0, extra_errors=[0.0, 0.1])
    x, y = found["x"], found["y"]
    assert y.value - y.low == pytest.approx(np.hypot(x.value - x.low, 1.959964 * 0.1))
    assert y.high - y.value == pytest.approx(np.hypot(x.high - x.value, 1.959964 * 0.1))


def rank_differently(seed: int, n_lenses: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth, two networks that both rank all lenses first, and groups."""
    rng = np.random.default_rng(seed)
    truth = np.arange(200) < n_lenses
    a, b = (np.where(truth, 0.9, 0.1) + 0.05 * rng.random(200) for _ in range(2))
    return truth, a, b, np.arange(200)


def test_two_networks_that_find_all_of_few_lenses_are_not_shown_to_be_equal():
    found = compare_lenses(*rank_differently(0, 12), seed=0, n_resamples=100)
    for name, error in (
        ("auroc", 0.2 / 12),
        ("average_precision", 0.2 / 12),
        ("tpr10", 0.5 / 12),
        ("accuracy", 0.5 / 200),
    ):
        figure = found[name]
        assert figure.value == 0
        # Their orders of the non-lenses are unrelated.
        assert figure.high == -figure.low == pytest.approx(1.96 * np.sqrt(2) * error, rel=0.1)
    many = compare_lenses(*rank_differently(0, 100), seed=0, n_resamples=100)["tpr10"]
    assert many.high == pytest.approx(found["tpr10"].high * 12 / 100, rel=0.15)


def test_networks_that_order_the_images_alike_do_not_differ_in_what_depends_on_the_order():
    truth, a, _, groups = rank_differently(1, 12)
    for figure in (compare_lenses(truth, a, a**2, groups, seed=0, n_resamples=50)[k] for k in ("auroc", "tpr0")):
        assert (figure.value, figure.low, figure.high) == (0, 0, 0)


def test_difference_of_tpr0_holds_the_error_of_both_highest_non_lenses():
    rng = np.random.default_rng(2)
    truth = np.arange(900) < 200
    a, b = (1 / (1 + np.exp(-(rng.normal(size=900) + 2.5 * truth - 2))) for _ in range(2))
    tpr = [score_lenses(truth, one, np.arange(900), seed=0, n_resamples=50) for one in (a, b)]
    slopes = [one["tpr10"].value - one["tpr0"].value for one in tpr]
    figure = compare_lenses(truth, a, b, np.arange(900), seed=0, n_resamples=400)["tpr0"]
    missing = 1.96 * EXTREME_ERROR * np.hypot(*slopes)
    assert min(figure.high - figure.value, figure.value - figure.low) > 0.95 * missing
    assert missing > 0.2


def test_a_constant_network_is_unrelated_to_any_other():
    truth, a, _, groups = rank_differently(3, 20)
    figure = compare_lenses(truth, a, np.full(200, 0.5), groups, seed=0, n_resamples=100)["tpr10"]
    assert (figure.value, figure.high) == (1, 1)
    assert figure.low == pytest.approx(1 - 1.96 * np.sqrt(2) * 0.5 / 20, abs=0.005)
