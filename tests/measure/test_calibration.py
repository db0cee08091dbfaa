from __future__ import annotations

import numpy as np
import pytest
from given_posteriors import GivenPosteriors
from mapie.classification import SplitConformalClassifier
from scipy import stats
from scipy.special import expit, logit, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.calibration import (
    calibrate_held_out,
    fit_isotonic,
    fit_temperature,
    measure_reliability,
    stack_binary,
)
from convnet_galaxies.measure.conformal import predict_sets


def make(seed: int, n: int, *, prevalence: float = 0.3, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Truth and lens probability of scores whose log-odds are sharpness times too large."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < prevalence).astype(int)
    score = rng.normal(size=n) + 2.0 * truth - 1.0
    return truth, expit(sharpness * (2.0 * score + logit(prevalence)))


def test_temperature_recovers_by_how_much_the_log_odds_are_too_large():
    truth, probability = make(0, 20_000)
    scaling = fit_temperature(stack_binary(probability), truth)
    assert scaling.temperature == pytest.approx(2.0, rel=0.05)
    assert scaling.bias == (0.0, 0.0)


def test_temperature_with_bias_is_logistic_regression_on_the_logit():
    truth, probability = make(1, 3000)
    scaling = fit_temperature(stack_binary(probability), truth, bias=True)
    theirs = LogisticRegression(C=1e8, tol=1e-8).fit(logit(probability)[:, None], truth)
    assert 1 / scaling.temperature == pytest.approx(theirs.coef_[0, 0], rel=1e-3)
    assert scaling.bias[1] == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_temperature_undoes_itself_for_several_classes():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(20_000, 4)) * 2
    truth = np.array([rng.choice(4, p=row) for row in softmax(logits, axis=1)])
    scaling = fit_temperature(softmax(logits * 3 + [0, 1, -1, 0.5], axis=1), truth, bias=True)
    assert scaling.temperature == pytest.approx(3, rel=0.05)
    assert np.array(scaling.bias) * 3 == pytest.approx([0, -1, 1, -0.5], abs=0.2)


def test_weights_of_a_fit_act_as_repetitions():
    truth, probability = make(3, 400)
    times = np.random.default_rng(0).integers(0, 3, 400)
    weighted = fit_temperature(stack_binary(probability), truth, bias=True, weights=times)
    rows = np.repeat(np.arange(400), times)
    repeated = fit_temperature(stack_binary(probability[rows]), truth[rows], bias=True)
    assert weighted.temperature == pytest.approx(repeated.temperature, rel=1e-4)


def test_a_perfect_separation_keeps_the_temperature_finite():
    truth = np.array([0, 0, 1, 1])
    scaling = fit_temperature(stack_binary(np.array([0.1, 0.2, 0.8, 0.9])), truth, bias=True)
    assert scaling.temperature == pytest.approx(0.1)
    assert np.isfinite(scaling.apply(stack_binary(np.array([0.0, 1.0])))).all()


@pytest.mark.parametrize(("n_lenses", "bias"), [(999, np.log(999)), (20_000, 8.0)])
def test_a_bias_without_scores_is_the_log_odds_of_the_classes_up_to_eight(n_lenses: int, bias: float):
    truth = np.arange(n_lenses + 1) > 0
    scaling = fit_temperature(np.full((n_lenses + 1, 2), 0.5), truth, bias=True)
    assert scaling.bias[0] == 0
    assert scaling.bias[1] == pytest.approx(bias, abs=0.01)


def test_isotonic_map_is_that_of_scikit_learn():
    truth, probability = make(4, 500)
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probability, truth)
    new = np.linspace(0, 1, 77)
    ours = fit_isotonic(probability, truth).apply(stack_binary(new))[:, 1]
    np.testing.assert_allclose(ours, theirs.predict(new), atol=1e-12)


def test_isotonic_map_of_probabilities_beyond_those_fitted_is_that_of_the_nearest():
    scaling = fit_isotonic(np.array([0.2, 0.4, 0.6, 0.8]), np.array([False, True, False, True]))
    found = scaling.apply(stack_binary(np.array([0.0, 0.2, 0.3, 0.5, 0.7, 0.8, 1.0])))
    assert found[:, 1] == pytest.approx([0, 0, 0.25, 0.5, 0.75, 1, 1])
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_calibration_without_a_class_is_refused():
    weights = np.array([1.0, 1.0, 0.0])
    with pytest.raises(InputError, match="found no image of class 1 among 2"):
        fit_temperature(np.full((3, 2), 0.5), np.array([0, 0, 1]), weights=weights)
    with pytest.raises(InputError, match="found no image of class 1 among 3"):
        fit_temperature(np.full((3, 2), 0.5), np.zeros(3))


def test_calibration_lowers_the_calibration_error_to_that_of_a_perfect_net():
    truth, probability = make(5, 6000)
    scaling = fit_temperature(stack_binary(probability), truth, bias=True)
    new_truth, new = make(6, 4000)
    groups = np.arange(4000)
    before = measure_reliability(new_truth, new, groups, seed=0)
    after = measure_reliability(new_truth, scaling.apply(stack_binary(new))[:, 1], groups, seed=0)
    assert before.expected_calibration_error.low > 2 * before.error_if_perfect
    assert after.expected_calibration_error.value < 2 * after.error_if_perfect
    inside = [figure.low <= p <= figure.high for figure, p in zip(after.observed, after.predicted, strict=True)]
    assert sum(inside) >= 9
    assert sum(after.counts) == 4000


def test_bins_of_the_reliability_hold_equally_many_images_however_uneven_the_probabilities():
    probability = np.linspace(0, 1, 100) ** 8  # half of them below 0.004
    truth = np.arange(100) % 4 == 0
    curve = measure_reliability(truth, probability[::-1], np.arange(100), seed=0, bins=10)
    assert curve.counts == (10,) * 10
    assert [figure.name for figure in curve.observed] == [f"bin {number}" for number in range(1, 11)]
    assert measure_reliability(truth, probability[::-1], np.arange(100), seed=0, bins=10) == curve
    assert curve.predicted == pytest.approx(probability.reshape(10, 10).mean(axis=1))
    observed = truth[::-1].reshape(10, 10).mean(axis=1)
    assert [figure.value for figure in curve.observed] == pytest.approx(observed)
    gap = np.abs(observed - probability.reshape(10, 10).mean(axis=1)).mean()
    error = curve.expected_calibration_error
    assert error.value == pytest.approx(gap)
    assert 0 < error.low <= gap <= error.high < 3 * gap


def test_a_bin_that_one_group_holds_is_warned_of_and_the_others_are_not():
    # One group has all the high probabilities: a third of the resamples is without it.
    probability = np.concatenate([np.linspace(0.1, 0.3, 60), np.full(20, 0.9)])
    groups = np.concatenate([np.arange(60), np.full(20, 60)])
    truth = np.arange(80) % 3 == 0
    curve = measure_reliability(truth, probability, groups, seed=0, bins=4)
    assert curve.counts == (20, 20, 20, 20)
    assert [figure.warning for figure in curve.observed[:3]] == [None] * 3
    last = curve.observed[3]
    assert last.warning == "only 1 group of the rarer class: the interval is rough"
    assert last.value == pytest.approx(truth[60:].mean())
    # One trial of which 0.3 or 0.35 succeeded: the ends of the beta distributions.
    exact = stats.beta.ppf(0.025, last.value, 2 - last.value), stats.beta.ppf(0.975, last.value + 1, 1 - last.value)
    assert (last.low, last.high) == pytest.approx(exact)


def test_reliability_of_tied_probabilities_has_one_bin_for_each():
    truth = np.random.default_rng(0).random(100) < 0.3
    curve = measure_reliability(truth, np.where(np.arange(100) < 60, 0.2, 0.7), np.arange(100), seed=0)
    assert curve.predicted == pytest.approx((0.2, 0.7))
    assert curve.counts == (60, 40)


@pytest.mark.trials
@pytest.mark.parametrize("by_class", [True, False])
def test_conformal_sets_hold_the_truth_as_often_as_promised(by_class: bool):
    hits = []
    for seed in range(30):
        truth, known = make(seed, 800, prevalence=0.1)
        new_truth, new = make(seed + 1000, 800, prevalence=0.1)
        sets = predict_sets(stack_binary(known), truth, stack_binary(new), coverage=0.85, by_class=by_class)
        held = sets.members[np.arange(800), new_truth]
        hits.append(held[new_truth == 1].mean() if by_class else held.mean())
    assert np.mean(hits) == pytest.approx(0.85, abs=0.025)


@pytest.mark.filterwarnings("ignore:.*has less labels.*:UserWarning")  # one class at a time, when calibrated by class
@pytest.mark.parametrize("coverage", [0.6, 0.9])
@pytest.mark.parametrize("by_class", [True, False])
def test_conformal_sets_are_mapies(by_class: bool, coverage: float):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 200)
    known, new = (softmax(rng.normal(size=(200, 3)) + sharp * np.eye(3)[truth], axis=1) for sharp in (1.5, 1.0))

    def theirs(rows: np.ndarray) -> np.ndarray:
        model = SplitConformalClassifier(GivenPosteriors(3), confidence_level=coverage, prefit=True)
        return model.conformalize(known[rows], truth[rows]).predict_set(new)[1][:, :, 0]

    expected = theirs(truth >= 0)
    if by_class:
        expected = np.stack([theirs(truth == k)[:, k] for k in range(3)], axis=1)
    assert 0.2 < expected.mean() < 0.9
    assert (predict_sets(known, truth, new, coverage=coverage, by_class=by_class).members == expected).all()


@pytest.mark.parametrize(("n", "largest"), [(9, 0.8), (10, 0.9), (5, 0.5)])
def test_a_conformal_set_holds_what_is_no_stranger_than_the_promised_share_of_known_images(n: int, largest: float):
    # Misfits 0.1, 0.2, ...; of n the ceil(0.8 (n + 1))-th smallest is the largest that is kept: the 8th, 9th and 5th.
    misfit = np.arange(1, n + 1) / 10
    known = stack_binary(np.concatenate([misfit, 1 - misfit]))  # lenses have the probability 1 - misfit
    truth = np.repeat([0, 1], n)
    new = stack_binary(np.array([1 - largest - 1e-6, 1 - largest, largest, largest + 1e-6]))
    sets = predict_sets(known, truth, new, coverage=0.8)
    assert sets.members[:, 1].tolist() == [False, *[1 - p <= largest + 1e-9 for p in new[1:, 1]]]
    assert sets.members[:, 0].tolist() == [*[p <= largest + 1e-9 for p in new[:3, 1]], False]
    assert (sets.coverage, sets.by_class) == (0.8, True)
    together = predict_sets(known, truth, new, coverage=0.8, by_class=False)
    assert together.by_class is False
    joined = np.sort(np.tile(misfit, 2))[int(np.ceil(0.8 * (2 * n + 1) - 1e-9)) - 1]
    np.testing.assert_array_equal(together.members, 1 - new <= joined + 1e-9)


def test_as_many_known_images_as_a_coverage_needs_are_enough():
    known, truth = stack_binary(np.linspace(0.1, 0.9, 24)), np.arange(24) < 12
    assert predict_sets(known, truth, known, coverage=0.9).members.shape == (24, 2)  # 12 of each: more than 9
    with pytest.raises(InputError, match="found 12 known images of class 0, expected more than 12"):
        predict_sets(known, truth, known, coverage=1 - 1 / 13)
    with pytest.raises(InputError, match="found 24 known images of all classes, expected more than 24"):
        predict_sets(known, truth, known, coverage=1 - 1 / 25, by_class=False)


def test_conformal_sets_ask_for_enough_images_and_a_coverage_within_0_to_1():
    truth, known = np.arange(50) < 5, stack_binary(np.linspace(0, 1, 50))
    with pytest.raises(InputError, match="found 5 known images of class 1, expected more than 9"):
        predict_sets(known, truth, known, coverage=0.9)
    with pytest.raises(UsageError, match=r"found level 1\.5"):
        predict_sets(known, truth, known, coverage=1.5)


def test_calibration_by_other_groups_mends_certain_scores_and_does_not_use_an_images_own_truth():
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, 600)
    truth = (rng.random(600) < 1 / (1 + np.exp(-logits))).astype(int)
    certain = stack_binary(1 / (1 + np.exp(-3 * logits)))
    groups = np.arange(600) // 2
    mended = calibrate_held_out(certain, truth, groups, seed=0)
    assert mended is not None
    assert log_loss(truth, mended[:, 1]) < log_loss(truth, certain[:, 1]) - 0.1
    flipped = truth.copy()
    flipped[:2] = 1 - flipped[:2]
    again = calibrate_held_out(certain, flipped, groups, seed=0)
    assert again is not None
    np.testing.assert_array_equal(again[:2], mended[:2])
    assert np.abs(again - mended).max() > 0


def test_calibration_by_other_groups_takes_off_an_offset():
    rng = np.random.default_rng(1)
    logits = rng.normal(-1, 2, 2000)
    truth = (rng.random(2000) < expit(logits)).astype(int)
    mended = calibrate_held_out(stack_binary(expit(logits + 3)), truth, np.arange(2000), seed=0)
    assert mended is not None
    assert np.abs(logit(mended[:, 1]) - logits).mean() < 0.25
    np.testing.assert_allclose(mended.sum(axis=1), 1)


def test_calibration_by_other_groups_is_left_out_when_they_lack_a_class():
    truth = np.zeros(20, int)
    truth[0] = 1
    assert calibrate_held_out(np.full((20, 2), 0.5), truth, np.arange(20), seed=0) is None
