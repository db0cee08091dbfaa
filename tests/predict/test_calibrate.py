from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import log_loss
from small_sets import make_lens_set, make_vote_set

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.predict.calibrate import FEWEST_GROUPS, bound_calibration, calibrate, fit_calibration
from convnet_galaxies.predict.evaluation import evaluate, held_out_rows
from convnet_galaxies.predict.evaluation_report import evaluation_report
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.card import read_card
from convnet_galaxies.runs.ensemble import join_runs


def make(run) -> Predictor:
    return Predictor(run, device="cpu", precision="fp32")


def others(n: int = 240) -> ImageSet:
    """Cutouts of fields that no run was trained on."""
    images = make_lens_set(n, seed=9)
    table = images.table.assign(ZooID=images.table["ZooID"].str.replace("ASW", "ASX"))
    return replace(images, table=table.assign(group="ZooID=" + table["ZooID"], id=table["id"] + "x"))


def test_fit_undoes_a_known_slope_and_intercept() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(-1, 2, 20_000)
    truth = rng.random(20_000) < expit(odds)
    groups = np.arange(20_000).astype(str)
    found = fit_calibration(expit(2 * odds + 1), truth, groups, prevalence=None)
    assert found.slope == pytest.approx(0.5, rel=0.05)
    assert found.intercept == pytest.approx(-0.5, abs=0.05)
    assert found.apply(expit(2 * odds + 1)).mean() == pytest.approx(truth.mean(), rel=0.01)
    rare = fit_calibration(expit(2 * odds + 1), truth, groups, prevalence=0.001)
    # Bayes: what a resampling of the lenses to one in a thousand would give.
    ratio = (0.001 / 0.999) / (truth.mean() / (1 - truth.mean()))
    np.testing.assert_allclose(
        logit(rare.apply(expit(odds))), logit(found.apply(expit(odds))) + np.log(ratio), rtol=1e-6
    )


def test_a_calibrated_run_fits_better_ranks_alike_and_says_on_what_it_was_fitted(world, tmp_path) -> None:
    images = others()
    result = calibrate(make(world / "both"), images, tmp_path / "run")
    card = read_card(tmp_path / "run")
    known = images.table["lens"].notna().to_numpy()
    truth = images.table["lens"].to_numpy()[known] == 1
    one = card.calibration["lens"]
    assert (one.images, one.positives, one.groups) == (
        known.sum(),
        truth.sum(),
        images.table["group"][known].nunique(),
    )
    assert one.prevalence == pytest.approx(truth.mean())
    before, after = (make(run).predict(images.images[known]) for run in (world / "both", tmp_path / "run"))
    assert log_loss(truth, after["lens"]) < log_loss(truth, before["lens"])
    assert result.log_loss_after == pytest.approx(log_loss(truth, after["lens"]), abs=0.02)
    assert result.log_loss_before == pytest.approx(log_loss(truth, before["lens"]), abs=1e-6)
    assert (np.diff(after["lens"][np.argsort(before["lens"])]) >= 0).all()
    np.testing.assert_array_equal(before["flavor"], after["flavor"])


def test_a_rising_function_undoes_what_slope_and_intercept_cannot() -> None:
    rng = np.random.default_rng(1)
    probability = rng.uniform(0, 1, 20_000)
    true = np.where(probability < 0.5, 0.1, 0.4 + probability / 2)  # a step, and a line that never gets to 1
    truth, groups = rng.random(20_000) < true, np.arange(20_000).astype(str)
    rising, straight = (
        fit_calibration(probability, truth, groups, method=one, prevalence=None) for one in ("isotonic", "logistic")
    )
    at = np.array([0.1, 0.3, 0.45, 0.55, 0.8])
    np.testing.assert_allclose(rising.apply(at), np.where(at < 0.5, 0.1, 0.4 + at / 2), atol=0.04)
    assert np.abs(straight.apply(at) - np.where(at < 0.5, 0.1, 0.4 + at / 2)).max() > 0.08
    assert (np.diff(rising.apply(np.linspace(0, 1, 1000))) >= 0).all()
    rare = fit_calibration(probability, truth, groups, method="isotonic", prevalence=0.001)
    np.testing.assert_allclose(np.diff(logit(rare.apply(at)) - logit(rising.apply(at))), 0, atol=1e-9)
    assert rare.apply(probability).mean() < 0.003


def test_a_rising_function_is_never_certain_and_survives_the_card(world, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(FEWEST_GROUPS, "isotonic", 20)
    images = others()
    result = calibrate(make(world / "both"), images, tmp_path / "run", method="isotonic")
    one = read_card(tmp_path / "run").calibration["lens"]
    assert one == result.calibration
    assert len(one.isotonic_knots) > 2
    answered = make(tmp_path / "run").predict(images.images)["lens"]
    before = make(world / "both").predict(images.images)["lens"]
    np.testing.assert_allclose(answered, one.apply(before), rtol=1e-5)
    assert 1 / (one.images + 2) < answered.min()
    assert answered.max() < 1 - 1 / (one.images + 2)


def test_too_few_images_for_a_rising_function_are_refused_with_the_way_out(world, tmp_path) -> None:
    with pytest.raises(InputError, match="expected at least 100 of each") as caught:
        calibrate(make(world / "both"), others(), tmp_path / "run", method="isotonic")
    assert "--method logistic" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_calibration_images_are_validation_and_no_longer_test(world, tmp_path) -> None:
    images = others()
    before, _ = held_out_rows(images, world / "both", "test")
    calibrate(make(world / "both"), images, tmp_path / "run")
    assert len(before) == len(images)
    with pytest.raises(InputError, match="none of them in the part 'test'"):
        held_out_rows(images, tmp_path / "run", "test")
    assert len(held_out_rows(images, tmp_path / "run", "validation")[0]) == len(images)
    scored = evaluate(make(tmp_path / "run"), images, part="heldout")
    assert scored.calibrated == int(images.table["lens"].notna().sum())
    assert "of these images calibrated the lens probability" in evaluation_report(scored).text()
    uncalibrated = evaluate(make(world / "both"), images, part="heldout")
    assert uncalibrated.calibrated == 0
    assert "calibrated" not in evaluation_report(uncalibrated).text()


def test_images_trained_on_are_refused(world, tmp_path, lens_set) -> None:
    with pytest.raises(InputError, match=r"found \d+ groups with held-out lenses and \d+ with others, expected at l"):
        calibrate(make(world / "both"), lens_set, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_calibrated_anew_not_on_top(world, tmp_path) -> None:
    images = others()
    first = calibrate(make(world / "both"), images, tmp_path / "first", prevalence=0.01)
    again = calibrate(make(tmp_path / "first"), images, tmp_path / "again", prevalence=0.01)
    assert again.calibration == first.calibration
    assert first.calibration.prevalence == 0.01
    join_runs([tmp_path / "again"], tmp_path / "given", publish=True)
    assert read_card(tmp_path / "given").calibration == read_card(tmp_path / "first").calibration


def test_bad_input_is_one_message(world, tmp_path, lens_set) -> None:
    with pytest.raises(UsageError, match="--prevalence: found 1, expected a fraction between 0 and 1"):
        calibrate(make(world / "both"), lens_set, tmp_path / "run", prevalence=1.0)
    with pytest.raises(InputError, match="zoo: predicts votes, expected lens"):
        calibrate(make(world / "zoo"), lens_set, tmp_path / "run")
    with pytest.raises(InputError, match="the pack has no column 'lens'"):
        calibrate(make(world / "both"), make_vote_set(), tmp_path / "run")


def draw_scores(seed: int, n_lenses: int, n_others: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.arange(n_lenses + n_others) < n_lenses
    return expit(rng.normal(size=len(truth)) + 3 * truth - 2), truth, np.arange(len(truth)).astype(str)


def test_interval_of_slope_and_intercept_is_that_of_a_maximum_likelihood_fit() -> None:
    probability, truth, groups = draw_scores(0, 400, 800)
    fitted = fit_calibration(probability, truth, groups, prevalence=0.01)
    slope, intercept, typical = bound_calibration(probability, truth, groups, fitted, seed=0)
    assert (slope.value, intercept.value) == (fitted.slope, fitted.intercept)
    # Fisher's information of a logistic regression on the log odds.
    odds = logit(probability)
    design = np.stack([odds, np.ones_like(odds)], axis=1)
    moved = fitted.intercept - (logit(0.01) - logit(1 / 3))
    weight = expit(fitted.slope * odds + moved) * expit(-fitted.slope * odds - moved)
    slope_error = np.sqrt(np.linalg.inv((design * weight[:, None]).T @ design)[0, 0])
    assert slope.high - slope.low == pytest.approx(2 * 1.645 * slope_error, rel=0.25)
    at = fitted.apply(np.array([np.median(probability[truth])]))[0]
    assert typical.value == pytest.approx(at)
    assert typical.low < typical.value < typical.high
    assert intercept.low < intercept.value < intercept.high


def test_fewer_labelled_groups_give_wider_intervals_and_images_of_one_group_count_once() -> None:
    few, many = draw_scores(1, 30, 90), draw_scores(1, 300, 900)

    def width(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
        slope, *_ = bound_calibration(*data, fit_calibration(*data, prevalence=None), seed=0)
        return slope.high - slope.low

    assert width(few) > 2 * width(many)
    copies = (np.repeat(few[0], 5), np.repeat(few[1], 5), np.repeat(few[2], 5))
    assert width(copies) == pytest.approx(width(few), rel=1e-3)


def test_a_prevalence_that_the_labelled_non_lenses_cannot_show_is_cautioned_and_kept_on_the_card(
    world, tmp_path
) -> None:
    images = others()
    groups = images.table["group"][images.table["lens"] == 0].nunique()
    low, high = 2.9 / groups, 3.1 / groups
    found = {
        p: calibrate(make(world / "both"), images, tmp_path / f"{p}", prevalence=p).calibration for p in (low, high)
    }
    assert found[high].caution == ""
    assert found[low].caution.startswith(f"{groups} labelled groups without a lens do not show")
    assert "several times too high" in found[low].caution
    card = read_card(tmp_path / f"{low}").calibration["lens"]
    assert card == found[low]
    assert card.slope_interval[0] <= card.slope <= card.slope_interval[1]
    assert card.intercept_interval[0] < card.intercept < card.intercept_interval[1]
    assert calibrate(make(world / "both"), images, tmp_path / "own").calibration.caution == ""
