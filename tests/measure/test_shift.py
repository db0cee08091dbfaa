from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.prevalence import ScoredImages, join_scores
from convnet_galaxies.measure.prevalence_bounds import bound_prevalence
from convnet_galaxies.measure.ranking import Ranking, measure_auroc
from convnet_galaxies.measure.shift import attain_auroc, tell_apart, weigh_known


def features(rng: np.random.Generator, n: int, *, moved: float = 0.0) -> np.ndarray:
    """Three features, one common value for each group of 3."""
    return rng.normal(size=(n, 3)) + np.repeat(rng.normal(size=(n // 3, 3)), 3, axis=0) + [moved, 0, 0]


@pytest.mark.parametrize("model", ["logistic", pytest.param("boosting", marks=pytest.mark.trials)])
def test_images_that_differ_are_told_apart(model: str):
    rng = np.random.default_rng(0)
    groups = np.arange(300) // 3
    check = tell_apart(
        features(rng, 300), features(rng, 300, moved=2.0), groups, groups, model=model, seed=0, n_permutations=60
    )
    assert check.verdict == "differ"
    assert check.auroc.low > 0.6
    assert check.p_value < 0.03


@pytest.mark.parametrize(("n_permutations", "verdict"), [(19, "alike"), (20, "differ")])
def test_no_permutation_makes_a_p_value_below_that_of_the_data_themselves(n_permutations: int, verdict: str):
    # The data are one of the orders that chance could have given: p = 1 / (n + 1), never 0 (Phipson & Smyth 2010).
    score = np.concatenate([np.arange(30.0), 1000 + np.arange(30.0)])
    check = tell_apart(score[:30], score[30:], np.arange(30), np.arange(30), seed=0, n_permutations=n_permutations)
    assert (check.auroc.value, check.auroc.high) == (1, 1)
    assert check.auroc.low == pytest.approx(0.025 ** (1 / 30))  # the exact binomial interval of 30 of 30
    assert check.p_value == 1 / (n_permutations + 1)
    assert check.verdict == verdict
    assert (check.n_known, check.n_unknown) == (30, 30)


def test_held_out_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(5)
    known, unknown = rng.normal(size=(150, 3)), rng.normal(size=(50, 3)) + np.array([0.8, 0, 0])
    groups = np.arange(150), np.arange(50)
    check = tell_apart(known, unknown, *groups, seed=2, n_permutations=99)
    is_unknown = np.repeat([False, True], [150, 50])
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    names = np.concatenate([[f"k{k}" for k in groups[0]], [f"u{k}" for k in groups[1]]])
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=2)
    theirs = cross_val_predict(
        model, np.concatenate([known, unknown]), is_unknown, groups=names, cv=folds, method="decision_function"
    )
    assert check.auroc.value == pytest.approx(roc_auc_score(is_unknown, theirs), abs=1e-9)
    again, other = (tell_apart(known, unknown, *groups, seed=seed, n_permutations=99) for seed in (2, 3))
    assert (again.auroc, again.p_value) == (check.auroc, check.p_value)
    assert other.auroc != check.auroc


def test_weights_of_known_images_count_in_the_auroc():
    # Unknown images at 5, known ones at 0 or 10: above three quarters of the known weight.
    known, unknown = np.repeat([0.0, 10.0], 20), np.full(40, 5.0)
    weights = np.repeat([3.0, 1.0], 20)
    check = tell_apart(known, unknown, np.arange(40), np.arange(40), known_weights=weights, seed=0, n_permutations=19)
    assert check.auroc.value == pytest.approx(0.75)


def test_the_same_images_on_both_sides_are_as_unlike_as_any_dealing_of_them():
    images = np.random.default_rng(0).normal(size=(60, 2))
    check = tell_apart(images, images, np.arange(60), np.arange(60), seed=0, n_permutations=99)
    assert check.auroc.value < 0.55
    assert 0.2 < check.p_value <= 1
    assert check.verdict == "alike"


def test_a_sure_but_small_difference_is_called_little():
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(size=800), rng.normal(size=800) + 0.27
    check = tell_apart(known, unknown, np.arange(800), np.arange(800), seed=0, n_permutations=39)
    assert check.p_value == 1 / 40
    assert 0.5 < check.auroc.value < 0.6
    assert check.verdict == "differ a little"


@pytest.mark.parametrize(
    ("alpha", "attainable", "verdict"), [(0.05, 0.55, "differ"), (0.05, 1.0, "differ a little"), (0.02, 0.55, "alike")]
)
def test_the_verdict_follows_significance_and_the_share_of_the_attainable(
    alpha: float, attainable: float, verdict: str
):
    rng = np.random.default_rng(0)
    known, unknown, groups = rng.normal(size=800), rng.normal(size=800) + 0.27, np.arange(800)
    check = tell_apart(known, unknown, groups, groups, seed=0, n_permutations=39, alpha=alpha, attainable=attainable)
    assert check.verdict == verdict


def test_known_images_are_weighted_to_the_fractions_of_their_classes():
    weights = weigh_known(np.array([0, 0, 0, 1]), np.array([0.5, 0.5]))
    assert weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    assert weigh_known(np.array([0, 2]), np.array([0.5, 0.3, 0.2])) == pytest.approx([1, 0.4])  # none of class 1


def test_two_groups_a_side_are_enough_and_one_is_refused():
    known, unknown = np.arange(20.0), 100 + np.arange(20.0)
    check = tell_apart(known, unknown, np.arange(20) // 10, np.arange(20) // 10, seed=0, n_permutations=5)
    assert check.auroc.value == 1
    assert check.auroc.warning == "only 2 groups of the rarer class: the interval is rough"
    with pytest.raises(InputError, match="found one group on a side, expected at least 2"):
        tell_apart(known, unknown, np.zeros(20), np.arange(20), seed=0)


def test_weights_below_zero_are_refused():
    ones = np.ones(20)
    ones[3] = -0.1
    with pytest.raises(InputError, match="found no known image with a positive weight"):
        tell_apart(np.arange(20.0), np.arange(9.0), np.arange(20), np.arange(9), known_weights=ones, seed=0)


@pytest.mark.trials
def test_alike_images_are_seldom_told_apart_though_their_groups_are_alike_inside():
    rng = np.random.default_rng(1)
    groups = np.arange(120) // 3
    flags = [
        tell_apart(features(rng, 120), features(rng, 120), groups, groups, seed=s, n_permutations=60).p_value < 0.05
        for s in range(40)
    ]
    assert np.mean(flags) <= 0.15


@pytest.mark.trials
def test_a_mere_difference_of_prevalence_is_not_flagged_when_known_images_are_weighted():
    rng = np.random.default_rng(2)
    truth, unknown = rng.random(900) < 0.5, rng.random(900) < 0.1
    known_score, unknown_score = (rng.normal(size=900) + 3 * side for side in (truth, unknown))
    groups = np.arange(900)
    plain = tell_apart(known_score, unknown_score, groups, groups, seed=0, n_permutations=60)
    weights = weigh_known(truth.astype(int), np.array([0.9, 0.1]))
    weighted = tell_apart(known_score, unknown_score, groups, groups, known_weights=weights, seed=0, n_permutations=60)
    assert plain.verdict == "differ"
    assert weighted.verdict == "alike"
    assert np.bincount(truth, weights) / weights.sum() == pytest.approx([0.9, 0.1])


def test_weighted_auroc_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    truth, score, weights = rng.random(80) < 0.4, rng.normal(size=80).round(1), rng.random(80)
    ours = measure_auroc(*Ranking(truth, score, np.arange(80), weights).accumulate(np.ones((1, 80))))[0]
    assert ours == pytest.approx(roc_auc_score(truth, score, sample_weight=weights))


@pytest.mark.parametrize("fraction", [0.0, 0.02, 0.3, 1.0])
def test_attainable_auroc_is_that_of_a_perfect_classifier_of_what_differs(fraction: float):
    unknown = np.zeros(1000)
    unknown[: round(1000 * fraction)] = 1
    score, side = np.concatenate([np.zeros(1000), unknown]), np.repeat([0, 1], 1000)
    # Lenses differ on one side only; of those that tie half are right.
    assert roc_auc_score(side, score) == pytest.approx(0.5 + fraction / 2)
    known = np.where(np.arange(1000) < round(1000 * fraction), -1.0, 0.0)
    assert roc_auc_score(side, np.concatenate([known, unknown])) == pytest.approx(attain_auroc(fraction))


def test_empty_unequal_or_broken_features_are_refused():
    ones, groups = np.ones((5, 2)), np.arange(5)
    for other in (np.empty((0, 2)), np.ones((5, 3)), np.full((5, 2), np.nan)):
        with pytest.raises(InputError, match="expected images on both sides with the same finite features"):
            tell_apart(ones, other, groups, np.arange(len(other)), seed=0)


def make_images(seed: int = 0, prevalence: float = 0.1):
    rng = np.random.default_rng(seed)
    truth, unknown = np.arange(2000) < 500, rng.random(2000) < prevalence
    probability, unknown_probability = (
        1 / (1 + np.exp(-2 * (rng.normal(size=2000) + 3 * s - 1.5))) for s in (truth, unknown)
    )
    return join_scores(truth, probability, np.arange(2000), unknown_probability, np.arange(2000))


def make_rates(flagged: float, completeness: float, false_positive_rate: float) -> ScoredImages:
    """Groups of ten images that all have the given rates, so that every resample has them too."""

    def flag(rate: float, groups: int) -> np.ndarray:
        return np.tile(np.where(np.arange(10) < round(10 * rate), 0.5, 0.49), groups)

    truth = np.repeat([1, 0], [200, 300])
    probability = np.concatenate([flag(completeness, 20), flag(false_positive_rate, 30)])
    return join_scores(truth, probability, np.arange(500) // 10, flag(flagged, 40), np.arange(400) // 10)


def test_ends_of_the_range_are_rogan_and_gladens_estimates_at_the_ends_of_the_ratios():
    bounds = bound_prevalence(
        make_rates(0.3, 0.8, 0.1), completeness_ratio=(0.5, 1.5), false_positive_ratio=(0.5, 2), seed=0, level=0.8
    )
    measured = bounds.as_measured
    assert (measured.low, measured.value, measured.high) == pytest.approx([(0.3 - 0.1) / (0.8 - 0.1)] * 3)
    assert (measured.name, measured.level, measured.warning) == ("lens", 0.8, None)
    assert bounds.low == pytest.approx((0.3 - 0.2) / (1 - 0.2))  # 1.5 times 80 % are at most all
    assert bounds.high == pytest.approx((0.3 - 0.05) / (0.4 - 0.05))
    assert bounds.widened_by_completeness == pytest.approx((0.2 / 0.9, 0.2 / 0.3))
    assert bounds.widened_by_false_positives == pytest.approx((0.1 / 0.6, 0.25 / 0.75))
    assert (bounds.completeness_ratio, bounds.false_positive_ratio, bounds.threshold) == ((0.5, 1.5), (0.5, 2), 0.5)


def test_a_net_that_flags_no_more_lenses_than_others_bounds_nothing():
    bounds = bound_prevalence(make_rates(0.3, 0.2, 0.2), seed=0)
    assert (
        bounds.as_measured.warning == "the network flags no more lenses than non-lenses: the data do not constrain it"
    )
    assert (bounds.as_measured.value, bounds.high) == (1, 1)
    assert bound_prevalence(make_rates(0.1, 0.8, 0.2), completeness_ratio=(1, 1), seed=0).high == 0  # fewer than none


@pytest.mark.parametrize("all_flagged", [True, False])
def test_a_rate_of_nothing_or_everything_is_drawn_from_jeffreys_posterior(all_flagged: bool):
    images = make_rates(float(all_flagged), 0.9, 0.1)
    bounds = bound_prevalence(images, completeness_ratio=(1, 1), seed=0, n_resamples=20_000)
    rate = stats.beta(*((40.5, 0.5) if all_flagged else (0.5, 40.5)))  # of 40 groups
    expected = np.clip((rate.ppf([0.05, 0.95]) - 0.1) / 0.8, 0, 1)
    assert (bounds.low, bounds.high) == pytest.approx(expected, abs=2e-3)
    images = make_rates(0.5, 1.0, 0.0)
    bounds = bound_prevalence(images, completeness_ratio=(1, 1), seed=0, n_resamples=20_000)
    c, f = (stats.beta(a, b).rvs(200_000, random_state=k) for k, (a, b) in enumerate([(20.5, 0.5), (0.5, 30.5)]))
    assert (bounds.low, bounds.high) == pytest.approx(np.quantile((0.5 - f) / (c - f), [0.05, 0.95]), rel=5e-3)


def test_bounds_without_doubt_are_rogan_and_gladens_estimate():
    images = make_images()
    bounds = bound_prevalence(images, completeness_ratio=(1, 1), false_positive_ratio=(1, 1), seed=0)
    flags = images.posteriors[:, 1] >= 0.5
    flagged, completeness = (images.unknown_posteriors[:, 1] >= 0.5).mean(), flags[:500].mean()
    rate = flags[500:].mean()
    assert bounds.as_measured.value == pytest.approx((flagged - rate) / (completeness - rate))
    assert (bounds.low, bounds.high) == (bounds.as_measured.low, bounds.as_measured.high)
    assert bounds.low < 0.1 < bounds.high


def test_halved_completeness_about_doubles_the_upper_end_and_leaves_the_lower():
    images = make_images()
    sure = bound_prevalence(images, completeness_ratio=(1, 1), seed=0)
    doubtful = bound_prevalence(images, completeness_ratio=(0.5, 1), seed=0)
    assert doubtful.low == sure.low
    assert doubtful.high == pytest.approx(2 * sure.high, rel=0.15)
    assert doubtful.widened_by_false_positives == (sure.low, sure.high)


def test_more_false_positives_lower_the_lower_end_to_zero_at_most():
    images = make_images(prevalence=0.03)
    bounds = bound_prevalence(images, completeness_ratio=(1, 1), false_positive_ratio=(1, 5), seed=0)
    assert bounds.low == 0
    assert bounds.widened_by_completeness[0] > 0
    assert "1 to 5 times as many false positives" in str(bounds)


@pytest.mark.parametrize("ratio", [(0.0, 1.0), (0.9, 0.5)])
def test_impossible_ratios_are_refused(ratio: tuple):
    with pytest.raises(UsageError, match="expected 0 < least <= most"):
        bound_prevalence(make_images(), completeness_ratio=ratio, seed=0)


def test_no_estimated_lens_leaves_out_the_candidates():
    images = make_images()
    weights_of_lenses = weigh_known(images.truth, np.array([1.0, 0.0]))
    assert (weights_of_lenses[:500] == 0).all()
    with pytest.raises(InputError, match="found no known image with a positive weight"):
        tell_apart(
            np.zeros(500), np.ones(9), np.arange(500), np.arange(9), known_weights=weights_of_lenses[:500], seed=0
        )
