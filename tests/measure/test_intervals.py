from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.intervals import (
    bootstrap_groups,
    bound_proportion,
    compare_seeds,
    draw_groups,
    encode_groups,
    resample_statistic,
)


def mean_of(values: np.ndarray, groups: np.ndarray):
    codes, n_groups = encode_groups(groups)
    sums, sizes = np.bincount(codes, values, n_groups), np.bincount(codes, minlength=n_groups)
    return lambda counts: (counts @ sums / (counts @ sizes))[:, None]


def test_every_resample_draws_as_many_groups_as_there_are():
    counts = draw_groups(7, 50, np.random.default_rng(0))
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()


def test_spread_of_resamples_is_the_standard_error_of_a_mean_over_groups():
    rng = np.random.default_rng(0)
    by_group = rng.normal(size=400)
    groups = np.repeat(np.arange(400), 5)
    _, draws = resample_statistic(mean_of(np.repeat(by_group, 5), groups), groups, n_resamples=2000, seed=0)
    assert draws.std() == pytest.approx(by_group.std() / 20, rel=0.06)


def test_images_of_one_group_count_as_one():
    values = np.random.default_rng(1).normal(size=60)
    once = bootstrap_groups(mean_of(values, np.arange(60)), np.arange(60), ["mean"], seed=0)["mean"]
    repeated, groups = np.repeat(values, 10), np.repeat(np.arange(60), 10)
    ten_times = bootstrap_groups(mean_of(repeated, groups), groups, ["mean"], seed=0)["mean"]
    assert (ten_times.low, ten_times.high) == pytest.approx((once.low, once.high))


def test_equal_seeds_give_equal_intervals_and_other_seeds_others():
    values = np.random.default_rng(2).normal(size=50)
    first, again, other = (
        bootstrap_groups(mean_of(values, np.arange(50)), np.arange(50), ["mean"], seed=seed)["mean"]
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first.low != other.low


@pytest.mark.parametrize("n_groups", [8, 40])
def test_interval_of_a_mean_holds_the_truth_as_often_as_it_says(n_groups: int):
    rng = np.random.default_rng(n_groups)
    held = 0
    for trial in range(400):
        values = np.repeat(rng.normal(size=n_groups), 2)
        groups = np.repeat(np.arange(n_groups), 2)
        figure = bootstrap_groups(
            mean_of(values, groups), groups, ["mean"], seed=trial, level=0.9, n_resamples=300, n_effective=n_groups
        )["mean"]
        held += figure.low <= 0 <= figure.high
    assert 0.85 <= held / 400 <= 0.95


def test_interval_of_a_proportion_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(400):
        hits = (rng.random(60) < 0.93).astype(float)
        figure = bootstrap_groups(
            mean_of(hits, np.arange(60)),
            np.arange(60),
            ["rate"],
            seed=trial,
            level=0.9,
            n_resamples=300,
            proportion=True,
        )["rate"]
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
        held += figure.low <= 0.93 <= figure.high
    assert 0.86 <= held / 400 <= 0.97


def test_a_proportion_without_spread_has_the_exact_binomial_interval():
    figure = bootstrap_groups(mean_of(np.ones(30), np.arange(30)), np.arange(30), ["rate"], seed=0, proportion=True)[
        "rate"
    ]
    assert figure.high == 1
    assert figure.low == pytest.approx(0.025 ** (1 / 30))


def test_few_groups_are_warned_of():
    figure = bootstrap_groups(mean_of(np.arange(5.0), np.arange(5)), np.arange(5), ["mean"], seed=0)["mean"]
    assert figure.warning is not None
    assert "only 5 groups" in figure.warning


def test_one_group_is_refused():
    with pytest.raises(InputError, match=r"found 3 images in 1 group, expected at least 2"):
        bootstrap_groups(mean_of(np.ones(3), np.zeros(3)), np.zeros(3), ["mean"], seed=0)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, float("nan")])
def test_a_level_outside_0_to_1_is_refused(level: float):
    with pytest.raises(UsageError, match="expected a number between 0 and 1"):
        bootstrap_groups(mean_of(np.ones(3), np.arange(3)), np.arange(3), ["mean"], seed=0, level=level)


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (3, 7), (7, 7), (17, 250)])
def test_proportion_bounds_are_those_of_scipy(successes: int, trials: int):
    theirs = stats.binomtest(successes, trials).proportion_ci(0.9, method="exact")
    assert bound_proportion(successes, trials, level=0.9) == pytest.approx((theirs.low, theirs.high))


def test_no_trial_bounds_nothing():
    assert bound_proportion(0, 0) == (0.0, 1.0)


def test_difference_of_equal_arms_is_exactly_zero():
    groups = np.arange(40) // 2
    arms = [mean_of(np.random.default_rng(s).normal(size=40), groups) for s in range(3)]
    figure = compare_seeds(["mean"], arms, arms, groups, seed=0)["mean"]
    assert (figure.value, figure.low, figure.high) == (0.0, 0.0, 0.0)


def test_interval_over_three_seeds_holds_the_truth_when_seeds_matter_most():
    rng = np.random.default_rng(5)
    groups, held = np.arange(60), 0
    for trial in range(300):
        arms = [mean_of(rng.normal(size=60) * 0.5 + rng.normal() * 0.3, groups) for _ in range(3)]
        zeros = [mean_of(np.zeros(60), groups)] * 3
        figure = compare_seeds(["mean"], arms, zeros, groups, seed=trial, level=0.9, n_resamples=200)["mean"]
        held += figure.low <= 0 <= figure.high
    assert 0.86 <= held / 300 <= 0.98


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
