from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure import intervals
from convnet_galaxies.measure.intervals import (
    Estimate,
    bootstrap_groups,
    bound_proportion,
    count_carriers,
    draw_groups,
    encode_groups,
    format_percent,
    resample_statistic,
    star_notes,
    summarize,
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


def test_there_are_as_many_resamples_as_asked_for_however_many_fit_in_memory(monkeypatch: pytest.MonkeyPatch):
    values, groups = np.arange(12.0), np.arange(12) // 2
    whole, at_once = resample_statistic(mean_of(values, groups), groups, n_resamples=10, seed=3)
    assert whole.tolist() == [5.5]
    assert at_once.shape == (10, 1)
    for elements in (36, 1):  # three resamples and one at a time
        monkeypatch.setattr(intervals, "ELEMENTS_AT_ONCE", elements)
        in_pieces = resample_statistic(mean_of(values, groups), groups, n_resamples=10, seed=3)[1]
        np.testing.assert_array_equal(in_pieces, at_once)


def test_two_groups_are_enough_to_resample():
    values, draws = resample_statistic(
        mean_of(np.array([0.0, 1.0]), np.arange(2)), np.arange(2), n_resamples=99, seed=0
    )
    assert values == 0.5
    assert set(draws.ravel()) == {0.0, 0.5, 1.0}


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


@pytest.mark.trials
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


@pytest.mark.trials
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


def two_values(value: float, error: float) -> np.ndarray:
    """Resampled values of the given mean and standard deviation, float [100]."""
    return value + error * np.tile([-1.0, 1.0], 50)


@pytest.mark.parametrize(
    ("value", "error", "n_groups", "level", "low", "high"),
    [
        (0.30, 0.050, 20, 0.95, 0.198691, 0.417984),
        (0.97, 0.012, 40, 0.95, 0.934623, 0.989279),
        (0.50, 0.080, 12, 0.90, 0.346040, 0.653960),
        (0.02, 0.010, 150, 0.95, 0.005304, 0.051205),
    ],
)
def test_interval_of_a_proportion_is_that_of_korn_and_graubard(value, error, n_groups, level, low, high):
    # The numbers are those of R's survey::svyciprop(method = "beta") by its formula, n = p (1 - p) / var *
    # (qt(a / 2, rows - 1) / qt(a / 2, groups - 1))^2 with many rows in each group, and the ends
    # qbeta(a / 2, n p, n (1 - p) + 1) and qbeta(1 - a / 2, n p + 1, n (1 - p)). R's var is n / (n - 1) times that of
    # resamples of n groups.
    draws = two_values(value, error * np.sqrt((n_groups - 1) / n_groups))
    figure = summarize("rate", value, draws, n_effective=n_groups, proportion=True, level=level)
    assert (figure.low, figure.high) == pytest.approx((low, high), abs=2e-6)
    assert (figure.level, figure.warning) == (level, None)


def test_an_error_that_resamples_cannot_show_is_added_in_quadrature():
    with_extra = summarize("rate", 0.4, two_values(0.4, 0.03), n_effective=50, proportion=True, extra_error=0.04)
    wider = summarize("rate", 0.4, two_values(0.4, 0.05), n_effective=50, proportion=True)
    assert (with_extra.low, with_extra.high) == pytest.approx((wider.low, wider.high))


@pytest.mark.parametrize(("n_groups", "tail"), [(5, 0.0010), (10, 0.0086), (20, 0.0159), (40, 0.0203)])
def test_percentiles_are_expanded_as_in_hesterberg(n_groups: int, tail: float):
    # The tail probabilities that stand for 2.5 % (Hesterberg 2015, arXiv:1411.5279).
    figure = summarize("mean", 0.5, np.linspace(0, 1, 10_001), n_effective=n_groups)
    assert (figure.low, figure.high) == pytest.approx((tail, 1 - tail), abs=6e-5)


def test_an_interval_holds_its_value_though_no_resample_reaches_it():
    above, below = (summarize("x", value, np.array([2.0, 3.0]), n_effective=20) for value in (1.0, 4.0))
    assert (above.low, above.high) == pytest.approx((1.0, 3.0), abs=0.05)
    assert (below.low, below.high) == pytest.approx((2.0, 4.0), abs=0.05)


@pytest.mark.parametrize(("undefined", "warning"), [(10, None), (11, "undefined in 11% of the resamples")])
def test_a_value_that_many_resamples_do_not_define_is_warned_of(undefined: int, warning: str | None):
    draws = np.linspace(0, 1, 100)
    draws[:undefined] = np.nan
    assert summarize("x", 0.5, draws, n_effective=20).warning == warning
    few = summarize("x", 0.5, draws, n_effective=9)
    assert few.warning == "only 9 groups of the rarer class: the interval is rough"


def test_a_value_that_no_resample_defines_is_refused():
    for value, draws in ((0.5, np.full(9, np.nan)), (np.nan, np.ones(9))):
        with pytest.raises(InputError, match="tpr0: undefined for these images"):
            summarize("tpr0", value, draws, n_effective=20)


def test_few_groups_widen_the_interval_of_a_proportion_to_the_exact_one_from_below_ten():
    exact = stats.binomtest(7, 9).proportion_ci(0.95, method="exact")
    figure = summarize("rate", 7 / 9, two_values(7 / 9, 1e-3), n_effective=9, proportion=True)
    assert (figure.low, figure.high) == pytest.approx((exact.low, exact.high))
    figure = summarize("rate", 0.7, two_values(0.7, 1e-3), n_effective=10, proportion=True)
    assert figure.high - figure.low < 0.01
    assert figure.warning is None
    wide = summarize("rate", 7 / 9, two_values(7 / 9, 0.3), n_effective=9, proportion=True)
    assert wide.low < exact.low
    assert wide.high > exact.high


def test_two_groups_that_differ_leave_nearly_everything_open():
    # Student's t with one degree of freedom leaves 0.01 trials.
    figure = summarize("rate", 0.5, two_values(0.5, 0.35), n_effective=2, proportion=True)
    assert figure.low < 1e-9
    assert figure.high > 1 - 1e-9


def test_a_fractional_number_of_successes_has_the_bounds_of_the_beta_distribution():
    # Swapping tails turns one end into the other: the lower bound for s is one less the upper bound for n - s.
    low, high = bound_proportion(2.5, 8, level=0.8)
    assert stats.beta.cdf(low, 2.5, 6.5) == pytest.approx(0.1)
    assert stats.beta.cdf(high, 3.5, 5.5) == pytest.approx(0.9)
    assert bound_proportion(5.5, 8, level=0.8) == pytest.approx((1 - high, 1 - low))
    assert bound_proportion(-1e-12, 8) == bound_proportion(0, 8)
    assert bound_proportion(8 + 1e-12, 8) == bound_proportion(8, 8)


def test_an_estimate_writes_itself_with_its_interval_and_a_star_for_a_warning():
    plain = Estimate("x", 0.03104, -0.00052, 0.7419)
    starred = replace(plain, warning="few")
    assert str(plain) == f"{plain}" == "0.03104 (-0.00052 to 0.7419)"
    assert str(replace(plain, value=1e-7)) == "1e-07 (-0.00052 to 0.7419)"
    assert f"{starred:+.2f}" == "+0.03 (-0.00 to 0.74) *"
    assert starred.text("+.2f", star=False) == "+0.03 (-0.00 to 0.74)"
    assert f"{replace(plain, low=0.0202):%}" == "3.10 % (2.02 to 74.2)"
    assert plain.span(".1f") == "-0.0 to 0.7"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.00"), (5e-6, "0.00"), (1e-5, "0.001"), (0.00083, "0.083"), (0.001, "0.10"), (0.1, "10.0")],
)
def test_percent_have_at_least_two_digits_of_a_share(share: float, text: str):
    assert format_percent(share) == text


def test_each_warning_has_one_note():
    estimates = [Estimate("x", 1, 0, 2, warning=warning) for warning in ("few", None, "odd", "few")]
    assert star_notes(estimates) == ("* few", "* odd")


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


@pytest.mark.parametrize(("n", "level"), [(6, 0.95), (40, 0.9)])
def test_interval_of_a_positive_mean_is_that_of_student_on_its_logarithm(n: int, level: float):
    rng = np.random.default_rng(0)
    draws = np.exp(rng.normal(np.log(0.4), 0.1, 4000))
    figure = summarize("log loss", 0.4, draws, n_effective=n, positive_mean_of=10_000, level=level)
    error = np.log(draws).std() * np.sqrt(n / (n - 1))
    low, high = stats.t.interval(level, n - 1, loc=np.log(0.4), scale=error)
    assert (np.log(figure.low), np.log(figure.high)) == pytest.approx((low, high))
    # Some resample without any loss has no logarithm: percentiles.
    draws[0] = 0
    assert summarize("log loss", 0.4, draws, n_effective=n, positive_mean_of=10_000).low > 0


def test_one_group_bounds_a_positive_mean_as_loosely_as_two():
    figures = [summarize("x", 0.4, np.array([0.3, 0.5]), n_effective=n, positive_mean_of=40) for n in (1, 2)]
    assert figures[0].low == figures[1].low < 0.01
    assert figures[0].high == figures[1].high > 10


def test_groups_that_make_up_a_mean_are_counted_as_kish_does():
    rng = np.random.default_rng(0)
    sizes = np.append(np.full(5, 10.0), rng.random(995) * 0.01)
    expected = sizes.sum() ** 2 / (sizes**2).sum()
    _, draws = resample_statistic(mean_of(sizes, np.arange(1000)), np.arange(1000), n_resamples=4000, seed=0)
    assert count_carriers(draws[:, 0], 1000) == pytest.approx(expected, abs=0.6)
    assert count_carriers(np.full(50, 0.3), 1000) == 1000
    figure = summarize("log loss", sizes.mean(), draws[:, 0], n_effective=400, positive_mean_of=1000)
    assert figure.warning == f"about {round(expected)} groups make up most of it: the interval is rough"
    wider = summarize("log loss", sizes.mean(), draws[:, 0], n_effective=round(expected), positive_mean_of=1000)
    assert (figure.low, figure.high) == pytest.approx((wider.low, wider.high))


def test_unseen_images_lower_the_lower_end_of_a_proportion_alone():
    draws = two_values(0.9, 0.03)
    plain, lowered = (
        summarize("auroc", 0.9, draws, n_effective=30, proportion=True, unseen=unseen) for unseen in (0.0, 0.02)
    )
    moved = summarize("auroc", 0.88, two_values(0.88, 0.03), n_effective=30, proportion=True)
    assert lowered.low == pytest.approx(moved.low)
    assert lowered.low < plain.low - 0.01
    perfect = summarize("auroc", 1.0, np.ones(100), n_effective=30, proportion=True, unseen=0.02)
    assert (perfect.low, perfect.high) == pytest.approx((0.025 ** (1 / 30), 1))
    assert (lowered.value, lowered.high) == (plain.value, plain.high)


def test_an_auroc_among_other_values_allows_for_lenses_that_no_resample_shows():
    rng = np.random.default_rng(0)
    groups, one = np.arange(60), mean_of((rng.random(60) < 0.9).astype(float), np.arange(60))

    def both(counts: np.ndarray) -> np.ndarray:
        return np.repeat(one(counts), 2, axis=1)

    found = bootstrap_groups(
        both, groups, ["auroc", "other"], seed=0, n_effective=20, proportion=True, auroc=[True, False]
    )
    draws = resample_statistic(both, groups, n_resamples=1000, seed=0)[1][:, 0]
    value = found["auroc"].value
    expected = summarize("auroc", value, draws, n_effective=20, proportion=True, unseen=0.5 * (value - 0.5) / 20.5)
    assert found["auroc"].low == pytest.approx(expected.low)
    assert found["auroc"].low < found["other"].low - 0.005
    assert found["auroc"].high == found["other"].high


def test_an_error_that_resamples_cannot_show_widens_percentiles_in_quadrature():
    draws = np.linspace(-0.1, 0.3, 2001)
    plain = summarize("x", 0.1, draws, n_effective=50, level=0.9)
    wider = summarize("x", 0.1, draws, n_effective=50, level=0.9, extra_error=0.2)
    reach = 1.644854 * 0.2
    assert wider.low == pytest.approx(0.1 - np.hypot(0.1 - plain.low, reach))
    assert wider.high == pytest.approx(0.1 + np.hypot(plain.high - 0.1, reach))
