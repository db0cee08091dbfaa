from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics

from convnet_galaxies.decision_tree import KAGGLE
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.comparisons import compare_lenses
from convnet_galaxies.measure.confusion import confuse_flavors, expect_flavors
from convnet_galaxies.measure.intervals import resample_statistic, summarize
from convnet_galaxies.measure.score_table import scores_of
from convnet_galaxies.measure.scores import (
    CEILING,
    CEILING_FALSE_POSITIVES,
    EXTREME_ERROR,
    evaluate_lenses,
    evaluate_votes,
    make_lens_statistic,
    score_lenses,
    summarize_lenses,
)


def make_lenses(seed: int, n: int = 600, share: float = 0.25) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < share
    probability = 1 / (1 + np.exp(-(rng.normal(size=n) + 3 * truth - 2)))
    return truth, probability, np.arange(n) // 3


def test_rmse_is_that_of_scikit_learn_overall_and_by_question():
    rng = np.random.default_rng(0)
    truth, predicted = rng.random((90, 37)), rng.random((90, 37))
    scores = evaluate_votes(truth, predicted, np.arange(90) // 2, seed=0, n_resamples=100)
    assert (scores.n_images, scores.n_groups) == (90, 45)
    assert scores.rmse.value == pytest.approx(metrics.root_mean_squared_error(truth.ravel(), predicted.ravel()))
    for number, columns in enumerate(KAGGLE.slices, start=1):
        theirs = metrics.root_mean_squared_error(truth[:, columns].ravel(), predicted[:, columns].ravel())
        assert scores.by_question[f"question {number}"].value == pytest.approx(theirs)


def test_lens_figures_are_those_of_scikit_learn():
    truth, probability, groups = make_lenses(1)
    figures = score_lenses(truth, probability, groups, seed=0, n_resamples=100)
    assert tuple(figures) == tuple(scores_of("lens"))
    assert figures["auroc"].value == pytest.approx(metrics.roc_auc_score(truth, probability))
    assert figures["average_precision"].value == pytest.approx(metrics.average_precision_score(truth, probability))
    assert figures["log_loss"].value == pytest.approx(metrics.log_loss(truth, probability))
    assert figures["accuracy"].value == pytest.approx(metrics.accuracy_score(truth, probability >= 0.5))
    assert figures["always_no_accuracy"].value == pytest.approx(metrics.accuracy_score(truth, np.zeros_like(truth)))


@pytest.mark.trials
def test_interval_of_auroc_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    expected = 0.96145  # Phi(2.5 / sqrt(2)) for unit normal scores 2.5 apart
    held = 0
    for trial in range(300):
        truth = np.arange(330) < 30
        score = 1 / (1 + np.exp(-(rng.normal(size=330) + 2.5 * truth)))
        figure = score_lenses(truth, score, np.arange(330), seed=trial, level=0.9, n_resamples=200)["auroc"]
        held += figure.low <= expected <= figure.high
    assert 0.84 <= held / 300 <= 0.97


def test_a_flavor_is_scored_against_all_non_lenses_and_a_stage_within_itself():
    truth, probability, groups = make_lenses(2)
    flavor = np.where(truth, np.where(np.arange(600) % 2, "quasar", "galaxy"), "dud")
    stage = np.where(np.arange(600) < 300, 1, 2)
    scores = evaluate_lenses(truth, probability, groups, flavor=flavor, stage=stage, seed=0, n_resamples=50)
    assert set(scores.by_flavor) == {"galaxy", "quasar"}
    assert (scores.n_images, scores.n_groups) == (600, 200)
    assert all(figure.warning is None for figure in scores.overall.values())
    rows = ~truth | (flavor == "quasar")
    quasar = metrics.roc_auc_score(truth[rows], probability[rows])
    assert scores.by_flavor["quasar"]["auroc"].value == pytest.approx(quasar)
    second = metrics.roc_auc_score(truth[300:], probability[300:])
    assert scores.by_stage["2"]["auroc"].value == pytest.approx(second)
    assert json.loads(json.dumps(asdict(scores)))["n_lenses"] == int(truth.sum())


def test_a_stage_without_lenses_is_left_out_and_named():
    truth, probability, groups = make_lenses(3)
    stage = np.where(truth, 1, np.arange(600) % 2 + 1)
    scores = evaluate_lenses(truth, probability, groups, stage=stage, seed=0, n_resamples=50)
    assert set(scores.by_stage) == {"1"}
    assert scores.remarks[0].startswith("stage 2 is left out: scores: found 0 lenses")


def test_few_lenses_have_a_wide_interval_and_a_warning():
    rng = np.random.default_rng(0)
    truth = np.arange(500) < 4
    figures = score_lenses(truth, np.where(truth, 0.9, rng.random(500) * 0.8), np.arange(500), seed=0, n_resamples=100)
    assert figures["auroc"].value == 1
    assert figures["auroc"].low < 0.5
    assert "only 4 groups" in str(figures["auroc"].warning)
    assert all(np.isfinite([figure.low, figure.high]).all() for figure in figures.values())


def test_log_loss_that_one_lens_carries_is_starred_and_nearly_open():
    rng = np.random.default_rng(0)
    truth = np.arange(40) < 1
    figure = score_lenses(truth, rng.random(40) / 2, np.arange(40), seed=0)["log_loss"]
    assert "only 1 group of the rarer class" in str(figure.warning)
    assert figure.low < figure.value / 4
    assert figure.high > 4 * figure.value


def test_interval_of_the_log_loss_goes_by_the_groups_of_the_rarer_class():
    rng = np.random.default_rng(1)
    truth = np.arange(400) < 12
    probability = np.where(truth, 0.3 + 0.6 * rng.random(400), 0.1 * rng.random(400))
    figure = score_lenses(truth, probability, np.arange(400), seed=0)["log_loss"]
    columns = ("log_loss",)
    _, draws = resample_statistic(
        make_lens_statistic(truth, probability, np.arange(400), columns), np.arange(400), n_resamples=1000, seed=0
    )
    expected = summarize("log_loss", figure.value, draws[:, 0], n_effective=12, positive_mean_of=400)
    assert (figure.low, figure.high) == pytest.approx((expected.low, expected.high))


def test_lower_end_of_an_auroc_allows_for_half_a_lens_ranked_at_chance():
    truth, probability, groups = make_lenses(5, n=300, share=0.1)
    figure = score_lenses(truth, probability, groups, seed=0)["auroc"]
    rarer = len(np.unique(groups[truth]))
    statistic = make_lens_statistic(truth, probability, groups, ("auroc",))
    _, draws = resample_statistic(statistic, groups, n_resamples=1000, seed=0)
    with_half = (rarer * figure.value + 0.25) / (rarer + 0.5)
    expected = summarize("auroc", with_half, draws[:, 0], n_effective=rarer, proportion=True)
    plain = summarize("auroc", figure.value, draws[:, 0], n_effective=rarer, proportion=True)
    assert figure.low == pytest.approx(expected.low)
    assert figure.high == pytest.approx(plain.high)


def test_certain_and_wrong_probabilities_have_a_finite_log_loss():
    truth = np.arange(40) < 20
    figures = score_lenses(truth, (~truth).astype(float), np.arange(40), seed=0, n_resamples=50)
    assert figures["log_loss"].value == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize(
    ("truth", "probability", "message"),
    [
        ([0, 0, 0], [0.1, 0.2, 0.3], "found 0 lenses among 3 images"),
        ([1, 1, 1], [0.1, 0.2, 0.3], "found 3 lenses among 3 images"),
        ([0, 1, 1], [0.1, np.nan, 0.3], "found 1 probabilities that are NaN or outside 0 to 1"),
        ([0, 1, 1], [0.1, 1.2, -0.3], "found 2 probabilities that are NaN or outside 0 to 1"),
        ([0, 1], [0.1, 0.2, 0.3], r"found \(2,\) truths"),
    ],
)
def test_unfit_scores_are_refused(truth: list, probability: list, message: str):
    with pytest.raises(InputError, match=message):
        score_lenses(np.array(truth), np.array(probability), np.arange(3), seed=0)


def test_unfit_votes_are_refused():
    with pytest.raises(InputError, match=r"expected \[5, 37\] twice"):
        evaluate_votes(np.zeros((5, 36)), np.zeros((5, 36)), np.arange(5), seed=0)
    with pytest.raises(InputError, match="found NaN or infinite votes"):
        evaluate_votes(np.zeros((5, 37)), np.full((5, 37), np.nan), np.arange(5), seed=0)


def test_paired_difference_of_equal_scores_is_exactly_zero():
    truth, probability, groups = make_lenses(4)
    for figure in compare_lenses(truth, probability, probability, groups, seed=0, n_resamples=50).values():
        assert (figure.value, figure.low, figure.high) == (0, 0, 0)


def test_differences_are_cut_to_what_is_possible_and_few_groups_are_warned_of():
    truth = np.arange(60) < 4
    right, wrong = np.where(truth, 0.9, 0.1), np.where(truth, 0.1, 0.9)
    arms = truth, [right, right], [wrong, right], np.arange(60)
    found = compare_lenses(*arms, seed=0, level=0.9, n_resamples=40)
    assert set(found) == set(scores_of("lens")) - {"always_no_accuracy"}
    assert {figure.level for figure in found.values()} == {0.9}
    assert compare_lenses(*arms, seed=0, level=0.9, n_resamples=40) == found
    # Differences of 1 and 0 over two seeds: Student's t reaches 6 either way.
    assert (found["auroc"].low, found["auroc"].value, found["auroc"].high) == (-1, 0.5, 1)
    assert found["log_loss"].high > 2
    assert {figure.warning for figure in found.values()} == {"only 4 groups of the rarer class: the interval is rough"}


def test_a_comparison_takes_its_level_and_its_resamples_from_the_caller():
    truth, probability, groups = make_lenses(6)
    better = np.clip(probability + 0.02 * truth, 0, 1)
    first, again, wide, fewer = (
        compare_lenses(truth, better, probability, groups, seed=0, level=level, n_resamples=n)["log_loss"]
        for level, n in ((0.5, 40), (0.5, 40), (0.99, 40), (0.5, 10))
    )
    assert again == first
    assert wide.low < first.low < first.high < wide.high
    assert (fewer.value, fewer.low != first.low) == (first.value, True)


def test_pairing_makes_the_interval_of_a_difference_narrower_than_its_parts():
    truth, probability, groups = make_lenses(5)
    better = np.clip(probability + 0.02 * truth, 0, 1)
    difference = compare_lenses(truth, better, probability, groups, seed=0, n_resamples=200)["auroc"]
    alone = score_lenses(truth, better, groups, seed=0, n_resamples=200)["auroc"]
    assert difference.low > 0
    assert difference.high - difference.low < 0.3 * (alone.high - alone.low)


def test_confusion_counts_and_completeness_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    scores = confuse_flavors(truth, predicted, np.arange(200), names=("a", "b", "c", "absent"), seed=0)
    np.testing.assert_array_equal(np.array(scores.counts)[:3, :3], metrics.confusion_matrix(truth, predicted))
    recalls = metrics.recall_score(truth, predicted, average=None)
    assert [scores.completeness[name].value for name in "abc"] == pytest.approx(list(recalls))
    assert "absent" not in scores.completeness
    precisions = metrics.precision_score(truth, predicted, average=None)
    assert [scores.purity[name].value for name in "abc"] == pytest.approx(list(precisions))
    assert "absent" not in scores.purity
    assert scores.groups == (*np.bincount(truth), 0)


@pytest.mark.trials
def test_purity_of_a_flavor_in_a_survey_is_what_a_draw_of_that_survey_shows():
    rng = np.random.default_rng(1)
    names, rates = ("dud", "arc", "ring"), np.array([[0.9, 0.07, 0.03], [0.1, 0.7, 0.2], [0.2, 0.1, 0.7]])

    def draw(sizes):
        truth = np.repeat(np.arange(3), sizes)
        return truth, np.array([rng.choice(3, p=rates[one]) for one in truth])

    truth, predicted = draw((3000, 2000, 1000))
    scores = confuse_flavors(truth, predicted, np.arange(6000), names=names, seed=0)
    expected = expect_flavors(scores, n_lenses=600, n_images=20_000)
    truth, predicted = draw((19_400, 400, 200))
    for flavor in (1, 2):
        false, purity = expected[names[flavor]]
        called = predicted == flavor
        assert false.low < (truth[called] != flavor).sum() < false.high
        assert purity.low < (truth[called] == flavor).mean() < purity.high
        assert false.high < 1.3 * false.value


def test_no_false_positive_among_few_still_bounds_the_purity_in_a_survey():
    truth = np.repeat([0, 1, 2], 40)
    scores = confuse_flavors(truth, truth, np.arange(120), names=("dud", "arc", "ring"), seed=0)
    false, purity = expect_flavors(scores, n_lenses=90, n_images=430_000)["arc"]
    assert (false.low, false.value, purity.value, purity.high) == (0, 0, 1, 1)
    assert 0.05 < false.high / 430_000 < 0.1  # 1 - 0.025^(1/40)
    assert purity.low < 0.002
    without = confuse_flavors(truth[truth > 0], truth[truth > 0], np.arange(80), names=("dud", "arc", "ring"), seed=0)
    assert expect_flavors(without, n_lenses=90, n_images=430_000) == {}
    with pytest.raises(UsageError, match="found 90 lenses in 90 images, expected a prevalence between 0 and 1"):
        expect_flavors(scores, n_lenses=90, n_images=90)


def test_interval_of_the_purity_of_a_flavor_takes_both_rates_at_their_worst():
    truth = np.repeat([0, 1, 2], 40)
    predicted = np.concatenate([np.repeat([0, 1], [36, 4]), np.repeat([1, 2], [30, 10]), np.repeat([2, 1], [32, 8])])
    scores = confuse_flavors(truth, predicted, np.arange(120), names=("dud", "arc", "ring"), seed=0)
    false, purity = expect_flavors(scores, n_lenses=100, n_images=1000, level=0.9)["arc"]
    of_dud, own = (stats.binomtest(k, 40).proportion_ci(0.9, method="exact") for k in (4, 30))
    from_rings = 50 * 8 / 40  # half of the 100 lenses are rings, as they are here
    assert false.value == pytest.approx(900 * 4 / 40 + from_rings)
    assert (false.low, false.high) == pytest.approx((900 * of_dud.low + from_rings, 900 * of_dud.high + from_rings))
    assert purity.value == pytest.approx(50 * 0.75 / (50 * 0.75 + false.value))
    assert purity.low == pytest.approx(50 * own.low / (50 * own.low + false.high))
    assert purity.high == pytest.approx(50 * own.high / (50 * own.high + false.low))
    assert (false.level, purity.level, purity.warning) == (0.9, 0.9, None)


def test_a_flavor_that_is_never_called_has_purity_none():
    truth = np.repeat([0, 1], 20)
    scores = confuse_flavors(truth, np.zeros(40, int), np.arange(40), names=("dud", "arc"), seed=0)
    false, purity = expect_flavors(scores, n_lenses=5, n_images=50)["arc"]
    assert (false.value, purity.value, purity.low) == (0, 0, 0)
    assert scores.completeness["arc"].value == 0
    assert "arc" not in scores.purity


def test_few_groups_of_a_flavor_or_of_those_called_so_are_warned_of():
    # Twenty groups of five: four hold the rings, three more have an image that is called one.
    truth = np.concatenate([np.zeros(80, int), np.full(20, 2), np.ones(100, int)])
    predicted = truth.copy()
    predicted[[0, 5, 10]] = 2
    groups = np.arange(200) // 5
    scores = confuse_flavors(truth, predicted, groups, names=("dud", "arc", "ring"), seed=0, level=0.8)
    assert scores.groups == (16, 20, 4)
    assert scores.completeness["ring"].warning == "only 4 groups of the rarer class: the interval is rough"
    assert scores.purity["ring"].warning == "only 7 groups of the rarer class: the interval is rough"
    others = (scores.accuracy, scores.completeness["dud"], scores.completeness["arc"], scores.purity["dud"])
    assert [figure.warning for figure in others] == [None] * 4
    assert {figure.level for figure in (*others, *scores.purity.values())} == {0.8}
    exact = stats.binomtest(4, 4).proportion_ci(0.8, method="exact")
    assert (scores.completeness["ring"].low, scores.completeness["ring"].high) == pytest.approx((exact.low, 1))
    false, purity = expect_flavors(scores, n_lenses=50, n_images=500, level=0.8)["ring"]
    assert false.warning == purity.warning == "only 4 groups with this flavor: the interval is rough"
    assert expect_flavors(scores, n_lenses=50, n_images=500)["arc"][0].warning is None


def test_flavors_that_do_not_match_their_groups_are_refused():
    with pytest.raises(InputError, match="found 3 true flavors, 2 predicted ones and 3 groups"):
        confuse_flavors(np.array([0, 1, 1]), np.array([0, 1]), np.arange(3), names=("a", "b"), seed=0)


def test_interval_of_tpr0_holds_what_no_resample_of_the_non_lenses_shows():
    """TPR0 of 0.3 (error 0.05), TPR10 of 0.7; 0.4 and 0.9 (error 0.02) before the fourth false positive."""
    columns = (*scores_of("lens"), CEILING)
    values = dict.fromkeys(columns, 0.5) | {"tpr0": 0.3, "tpr10": 0.7}
    errors = dict.fromkeys(columns, 0.01) | {"tpr0": 0.05, CEILING: 0.02}
    for ceiling, high in ((0.9, 0.718273), (0.4, 0.441934)):
        values[CEILING] = ceiling
        draws = np.stack([values[name] + errors[name] * np.tile([-1.0, 1.0], 50) for name in columns], axis=1)
        found = summarize_lenses(columns, np.array(list(values.values())), draws, rarer=50, everywhere=90, level=0.95)
        # The exact binomial interval of as many trials as have the error hypot(0.05, 1.12 / 2.83 * (0.7 - 0.3)), after
        # Korn & Graubard (see test_intervals.py); without the second term it would be 0.2016 to 0.4141.
        assert (found["tpr0"].low, found["tpr0"].high) == pytest.approx((0.042710, high), abs=2e-6)
        assert set(found) == set(scores_of("lens"))


def test_the_error_of_the_highest_non_lens_is_that_of_extreme_values():
    # For large n the highest is the k-th highest of a resample with probability (1 - 1/e) e^(1 - k). The logarithm
    # of the false positive rate at the k-th highest has the mean digamma(k) and the variance trigamma(k).
    k = np.arange(1, 60)
    chance, mean = (1 - np.exp(-1)) * np.exp(1.0 - k), special.digamma(k)
    shown = (chance * mean**2).sum() - (chance * mean).sum() ** 2
    missing = np.sqrt(special.polygamma(1, 1) - shown)
    assert pytest.approx(missing / (special.digamma(10) - special.digamma(1)), rel=0.02) == EXTREME_ERROR
    assert stats.gamma.cdf(np.exp(special.digamma(1)), CEILING_FALSE_POSITIVES) < 0.003


@pytest.mark.trials
def test_interval_of_a_small_tpr0_is_narrow_and_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    figures = []
    for trial in range(60):
        truth = np.arange(400) < 80
        score = 1 / (1 + np.exp(-(rng.normal(size=400) + 1.0 * truth)))
        figures.append(score_lenses(truth, score, np.arange(400), seed=trial, n_resamples=200)["tpr0"])
    # The mean completeness above the highest of 320 unit normal scores, for lenses one unit higher.
    wanted = np.mean([(rng.normal(size=80) + 1.0 > rng.normal(size=320).max()).mean() for _ in range(4000)])
    assert wanted == pytest.approx(0.036, abs=0.004)
    assert np.mean([figure.low <= wanted <= figure.high for figure in figures]) >= 0.9
    assert np.mean([figure.high for figure in figures]) < 0.35
