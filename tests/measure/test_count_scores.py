"""Scores of counts and intervals of fractions, by known answers and laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import betabinom

from convnet_galaxies.decision_tree import read_tree
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.count_scores import evaluate_counts, log_likelihood
from convnet_galaxies.measure.vote_intervals import fraction_interval

RINGS, CANDELS = read_tree("rings"), read_tree("candels")


def test_likelihood_of_one_question_is_that_of_polyas_urn() -> None:
    # Shares 0.25 and 0.75 at concentration 4: an urn of 1 and 3 balls, one more of its kind for each that is drawn.
    counts, shares = np.array([[2.0, 1.0]]), np.array([[0.25, 0.75]])
    expected = np.log(1 / 4 * 2 / 5 * 3 / 6)
    assert log_likelihood(counts, shares, np.array([[4.0]]), RINGS)[0, 0] == pytest.approx(expected, rel=1e-12)


def test_likelihood_of_a_large_concentration_is_multinomial() -> None:
    counts, shares = np.array([[2.0, 3.0]]), np.array([[0.3, 0.7]])
    expected = 2 * np.log(0.3) + 3 * np.log(0.7)
    assert log_likelihood(counts, shares, np.array([[1e9]]), RINGS)[0, 0] == pytest.approx(expected, rel=1e-6)


def test_scores_by_hand() -> None:
    counts = np.array([[3.0, 1.0], [0.0, 2.0], [np.nan, np.nan], [4.0, 0.0]])
    shares = np.array([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1], [1.0, 0.0]])
    scores = evaluate_counts(counts, shares, np.full((4, 1), 1e9), np.arange(4), RINGS, seed=0, n_resamples=50)
    assert (scores.n_images, scores.n_votes) == (4, 10)
    likelihood = (4 * np.log(0.5) + 2 * np.log(0.75)) / 10
    assert scores.overall["vote_log_likelihood"].value == pytest.approx(likelihood, rel=1e-4)
    assert scores.by_question["ring"].value == pytest.approx(likelihood, rel=1e-4)
    squares = (4 * 0.25**2 + 2 * 0.25**2 + 4 * 0) / 10
    assert scores.overall["share_rmse"].value == pytest.approx(np.sqrt(squares), rel=1e-9)
    mean = (4 * 0.05**2 + 2 * 0.7**2 + 4 * 0.3**2) / 10
    assert scores.overall["mean_share_rmse"].value == pytest.approx(np.sqrt(mean), rel=1e-9)


def test_a_question_without_votes_has_no_score_and_a_set_without_votes_is_refused() -> None:
    counts = np.full((3, len(CANDELS.columns)), np.nan)
    shares = np.concatenate([np.full((3, p.stop - p.start), 1 / (p.stop - p.start)) for p in CANDELS.slices], axis=1)
    concentration = np.full((3, len(CANDELS.questions)), 10.0)
    with pytest.raises(InputError, match="no vote on any image"):
        evaluate_counts(counts, shares, concentration, np.arange(3), CANDELS, seed=0)
    counts[:, :3] = [5, 3, 2]
    scores = evaluate_counts(counts, shares, concentration, np.arange(3), CANDELS, seed=0, n_resamples=20)
    assert list(scores.by_question) == ["smooth-or-featured"]


@pytest.mark.parametrize("volunteers", [1, 5, 40])
def test_interval_holds_its_level_of_the_beta_binomial(volunteers: int) -> None:
    share = np.array([0.001, 0.1, 0.5, 0.93])
    concentration = np.array([1000.0, 3.0, 20.0, 50.0])
    low, high = fraction_interval(share, concentration, volunteers)
    number = np.arange(volunteers + 1)
    for k in range(len(share)):
        a, b = share[k] * concentration[k], (1 - share[k]) * concentration[k]
        probability = betabinom.pmf(number, volunteers, a, b)
        inside = (number >= round(low[k] * volunteers)) & (number <= round(high[k] * volunteers))
        assert probability[inside].sum() >= 0.85
        for outside in (probability[: np.argmax(inside)][::-1], probability[inside.nonzero()[0][-1] + 1 :]):
            assert outside.sum() - outside[:1].sum() / 2 < 0.05, "half of the nearest number counts to the tail (mid-p)"


def test_interval_narrows_with_volunteers_and_concentration() -> None:
    few, many = (np.subtract(*fraction_interval(np.array([0.4]), np.array([50.0]), n)[::-1]) for n in (5, 200))
    assert many < few
    loose, tight = (np.subtract(*fraction_interval(np.array([0.4]), np.array([c]), 50)[::-1]) for c in (5.0, 500.0))
    assert tight < loose
