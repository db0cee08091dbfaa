from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.selection import expect_survey, measure_selection


def test_completeness_by_radius_counts_what_passes_the_threshold():
    radius = np.array([1.0, 1.2, 1.4, 2.0, 2.5, 3.0])
    probability = np.array([0.1, 0.6, 0.2, 0.9, 0.5, 0.8])
    selection = measure_selection(
        "einstein_radius_arcsec", radius, probability, np.arange(6), bins=np.array([1.0, 1.5, 3.0])
    )
    assert [figure.value for figure in selection.completeness] == pytest.approx([1 / 3, 1])
    assert selection.counts == (3, 3)
    theirs = stats.binomtest(1, 3).proportion_ci(0.95, method="exact")
    assert (selection.completeness[0].low, selection.completeness[0].high) == pytest.approx((theirs.low, theirs.high))
    assert selection.completeness[1].warning == "only 3 lenses in this bin"


def test_bins_of_equal_counts_hold_every_lens_with_a_value():
    rng = np.random.default_rng(0)
    magnitude = np.where(rng.random(200) < 0.1, np.nan, rng.normal(23, 1, 200))
    selection = measure_selection("source_magnitude", magnitude, rng.random(200), np.arange(200), bins=5)
    assert len(selection.counts) == 5
    assert sum(selection.counts) == np.isfinite(magnitude).sum()
    assert max(selection.counts) - min(selection.counts) <= 1


def test_three_cutouts_of_one_lens_count_as_one_lens():
    once = measure_selection("flavor", np.array(["q"] * 20), np.arange(20) / 20, np.arange(20))
    thrice = measure_selection(
        "flavor", np.array(["q"] * 60), np.repeat(np.arange(20) / 20, 3), np.repeat(np.arange(20), 3)
    )
    assert thrice.completeness == once.completeness
    assert once.edges is None


def test_an_empty_bin_has_the_widest_interval_and_a_warning():
    selection = measure_selection(
        "r", np.array([1.0, 3.0]), np.ones(2), np.arange(2), bins=np.array([0.0, 2.0, 2.5, 4.0])
    )
    empty = selection.completeness[1]
    assert (empty.low, empty.high, empty.warning) == (0.0, 1.0, "no lens in this bin")


def test_a_property_without_values_is_refused():
    with pytest.raises(InputError, match="found no lens with a value"):
        measure_selection("r", np.full(3, np.nan), np.ones(3), np.arange(3))


def test_purity_at_survey_prevalence_follows_bayes():
    truth = np.arange(1100) < 100
    probability = np.where(truth, 0.95 - 0.4 * np.arange(1100) / 100, np.where(np.arange(1100) < 110, 0.9, 0.1))
    curve = expect_survey(
        truth,
        probability,
        np.arange(1100),
        n_lenses=90,
        n_fields=430_000,
        completenesses=np.array([1.0]),
        seed=0,
        n_resamples=50,
    )
    false_positives = (430_000 - 90) * 10 / 1000
    assert curve.false_positives[0] == pytest.approx(false_positives)
    assert curve.purity[0] == pytest.approx(90 / (90 + false_positives))
    assert curve.purity_low[0] < curve.purity[0] < curve.purity_high[0]


def test_no_false_positive_seen_is_not_none_expected():
    truth = np.arange(300) < 50
    curve = expect_survey(
        truth, truth * 0.9 + 0.05, np.arange(300), completenesses=np.array([0.5]), seed=0, n_resamples=50
    )
    assert curve.false_positives[0] == 0
    assert curve.purity[0] == 1
    limit = (430_000 - 90) * (1 - 0.025 ** (1 / 250))
    assert curve.false_positives_high[0] == pytest.approx(limit)
    assert curve.purity_low[0] < 0.02


def test_ends_of_the_survey_are_exact_binomial_ones_where_no_resample_varies():
    # Groups are pairs. All lenses stand above all others, and the cut is below the lowest lens.
    truth = np.arange(100) < 40
    probability = np.where(truth, 0.9 - np.arange(100) / 1000, 0.1)
    curve = expect_survey(
        truth,
        probability,
        np.arange(100) // 2,
        n_lenses=50,
        n_fields=3000,
        completenesses=np.array([1.0]),
        seed=0,
        level=0.8,
        n_resamples=40,
    )
    found = stats.binomtest(20, 20).proportion_ci(0.8, method="exact").low
    false = stats.binomtest(0, 30).proportion_ci(0.8, method="exact").high * (3000 - 50)
    assert curve.threshold[0] == pytest.approx(0.861)
    assert (curve.completeness[0], curve.false_positives[0], curve.purity[0]) == (1, 0, 1)
    assert (curve.completeness_low[0], curve.completeness_high[0]) == pytest.approx((found, 1))
    assert (curve.false_positives_low[0], curve.false_positives_high[0]) == pytest.approx((0, false))
    assert (curve.purity_low[0], curve.purity_high[0]) == pytest.approx((50 * found / (50 * found + false), 1))
    assert (curve.n_lenses, curve.n_fields, curve.level, curve.warning) == (50, 3000, 0.8, None)


def test_the_last_lens_of_a_survey_may_be_its_least_likely_image():
    truth = np.array([True] * 11 + [False] * 11 + [True])
    curve = expect_survey(truth, 1 - np.arange(23) / 30, np.arange(23), n_lenses=0.5, n_fields=100, seed=0)
    assert curve.completeness[-1] == 1
    assert curve.false_positives[-1] == pytest.approx(99.5)
    assert curve.completeness[-2] == pytest.approx(1)  # 98 % of 12 lenses are 12
    assert curve.completeness[44] == pytest.approx(11 / 12)  # 90 % are 11
    assert curve.false_positives[44] == 0
    assert len(curve.threshold) == 50


def test_resamples_without_a_class_are_left_out_of_a_survey_and_few_groups_are_warned_of():
    truth = np.array([True, True, False, False, False])
    curve = expect_survey(
        truth, np.array([0.9, 0.2, 0.5, 0.1, 0.1]), np.arange(5), completenesses=np.array([0.5]), seed=0
    )
    assert curve.warning == "only 2 groups of the rarer class: the interval is rough"
    assert (curve.completeness[0], curve.threshold[0]) == (0.5, 0.9)
    assert 0 <= curve.completeness_low[0] < 0.5 < curve.completeness_high[0] <= 1


def test_ten_groups_are_enough_for_a_survey_without_a_warning():
    truth = np.arange(30) < 10
    for n_lenses, warning in ((10, None), (9, "only 9 groups of the rarer class: the interval is rough")):
        kept = np.arange(30) >= 10 - n_lenses
        curve = expect_survey(
            truth[kept], (np.where(truth, 0.9, 0.1))[kept], np.arange(30)[kept], seed=0, n_resamples=9
        )
        assert curve.warning == warning


def test_edges_of_bins_hold_what_lies_on_them_and_names_tell_both():
    values = np.array([1.0, 2.0, 2.0, 3.0, np.inf, 0.5, 3.5])
    selection = measure_selection(
        "r", values, np.array([0.5, 0.49, 0.9, 0.9, 1, 1, 1]), np.arange(7), bins=np.array([1.0, 2.0, 3.0]), level=0.7
    )
    assert selection.property == "r"
    assert selection.edges == (1.0, 2.0, 3.0)
    assert selection.names == ("1 to 2", "2 to 3")
    assert selection.counts == (1, 3)
    assert [figure.value for figure in selection.completeness] == pytest.approx([1, 2 / 3])  # 0.5 passes, 0.49 not
    assert [figure.warning for figure in selection.completeness] == [
        "only 1 lens in this bin",
        "only 3 lenses in this bin",
    ]
    assert [(figure.name, figure.level) for figure in selection.completeness] == [("1 to 2", 0.7), ("2 to 3", 0.7)]
    theirs = stats.binomtest(2, 3).proportion_ci(0.7, method="exact")
    assert (selection.completeness[1].low, selection.completeness[1].high) == pytest.approx((theirs.low, theirs.high))


def test_lenses_of_one_value_make_one_bin_and_names_are_bins_of_their_own():
    same = measure_selection("r", np.full(12, 2.0), np.full(12, 0.7), np.arange(12), bins=4, threshold=0.8)
    assert same.edges == (1.5, 2.5)
    assert same.counts == (12,)
    assert (same.completeness[0].value, same.completeness[0].warning) == (0, None)
    named = measure_selection("flavor", np.array(["b", "a", "b"]), np.array([1, 1, 0.0]), np.arange(3))
    assert (named.names, named.counts, named.edges) == (("a", "b"), (1, 2), None)
    assert [figure.value for figure in named.completeness] == [1, 0.5]


def test_survey_of_the_sample_itself_is_the_precision_of_the_sample():
    rng = np.random.default_rng(1)
    truth = rng.random(500) < 0.2
    probability = 1 / (1 + np.exp(-rng.normal(size=500) - 2 * truth))
    curve = expect_survey(
        truth, probability, np.arange(500), n_lenses=truth.sum(), n_fields=500, seed=0, n_resamples=20
    )
    for threshold, purity, completeness in zip(curve.threshold, curve.purity, curve.completeness, strict=True):
        picked = probability >= threshold
        assert purity == pytest.approx(truth[picked].mean())
        assert completeness == pytest.approx(truth[picked].sum() / truth.sum())
    assert (np.diff(curve.threshold) <= 0).all()


@pytest.mark.parametrize("n_lenses", [0, 430_000, -5])
def test_a_survey_prevalence_outside_0_to_1_is_refused(n_lenses: float):
    truth = np.arange(20) < 10
    with pytest.raises(UsageError, match="expected a prevalence between 0 and 1"):
        expect_survey(truth, truth * 0.5, np.arange(20), n_lenses=n_lenses, seed=0)
