from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from convnet_galaxies.measure.prevalence import ScoredImages, join_scores
from convnet_galaxies.measure.score_fit import check_score_fit, fit_mixture


def make(seed: int, prevalence: float, *, moved: float = 0.0, n: int = 2000, copies: int = 1) -> ScoredImages:
    rng = np.random.default_rng(seed)
    truth, unknown = np.arange(n) < n // 5, rng.random(n) < prevalence
    scores = [expit(1.5 * rng.normal(size=n) + 4.5 * side - 2.5) for side in (truth, unknown)]
    scores[1] = expit(np.log(scores[1] / (1 - scores[1])) - moved * unknown)
    groups = np.repeat(np.arange(n), copies)
    return join_scores(
        *(np.repeat(x, copies) for x in (truth, scores[0])), groups, np.repeat(scores[1], copies), groups
    )


def test_counts_that_are_an_exact_mixture_fit_without_remainder():
    known = np.array([[[800.0, 150, 50], [20, 60, 120]]])
    unknown = 1000 * (0.3 * known[0, 1] / 200 + 0.7 * known[0, 0] / 1000)
    fraction, theta, ratio = fit_mixture(known, unknown[None])
    assert fraction[0] == pytest.approx(0.3, abs=1e-4)
    np.testing.assert_allclose(theta[0], known[0] / known[0].sum(axis=1, keepdims=True), atol=1e-4)
    assert ratio[0] == pytest.approx(0, abs=1e-5)


def test_likelihood_ratio_of_one_class_is_that_of_two_samples():
    """All unknown in the cell of the non-lenses: G squared of a 2 x 2 table, computed by scipy."""
    from scipy.stats import chi2_contingency

    table = np.array([[90.0, 10], [60, 40]])
    # Lenses fall in a third cell, so that the unknown images can only be non-lenses.
    known = np.array([[[90.0, 10, 0], [0, 0, 1e9]]])
    _, _, ratio = fit_mixture(known, np.array([[60.0, 40, 0]]))
    expected = chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    assert ratio[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.trials
def test_alike_images_are_seldom_called_a_bad_fit():
    p_values = np.array([check_score_fit(make(seed, 0.1, n=800), seed=seed).p_value for seed in range(20)])
    assert (p_values < 0.05).sum() <= 3
    assert (p_values > 0.3).sum() >= 7


def test_a_shift_is_seen_where_the_power_says_so_and_not_where_it_does_not():
    many = check_score_fit(make(0, 0.3, moved=2.0), seed=0)
    assert many.p_value < 0.01
    assert many.seen is not None
    assert many.seen <= 2.0
    few = check_score_fit(make(0, 0.005), seed=0)
    assert few.seen is None or few.seen > many.seen


@pytest.mark.trials
def test_power_is_the_share_of_shifted_sets_that_are_called_a_bad_fit():
    fit = check_score_fit(make(1, 0.3, n=600), seed=0)
    power = dict(zip(fit.shifts, fit.power, strict=True))[1.0]
    flagged = [check_score_fit(make(seed, 0.3, moved=1.0, n=600), seed=seed).p_value < 0.05 for seed in range(25)]
    assert power == pytest.approx(np.mean(flagged), abs=0.25)


def test_power_grows_with_the_number_of_images_and_the_hidden_factor_with_the_shift():
    small, large = (check_score_fit(make(2, 0.2, n=n), seed=0) for n in (500, 8000))
    assert sum(large.power) > sum(small.power)
    assert large.missed_factor[0] == pytest.approx(1, abs=0.1)
    assert large.missed_factor[4] > large.missed_factor[2] > large.missed_factor[0]


def test_the_hidden_factor_is_the_true_number_over_the_estimated_one():
    moved = check_score_fit(make(3, 0.2, moved=1.0, n=40_000), seed=0)
    alike = check_score_fit(make(3, 0.2, n=40_000), seed=0)
    factor = dict(zip(moved.shifts, moved.missed_factor, strict=True))[1.0]
    assert alike.fraction / moved.fraction == pytest.approx(factor, rel=0.1)


def test_copies_within_a_group_do_not_add_power():
    once, repeated = (check_score_fit(make(4, 0.2, n=500, copies=c), seed=0) for c in (1, 5))
    assert sum(repeated.power) == pytest.approx(sum(once.power), abs=1.0)
