"""The model of graders and their agreement, against known answers and laws."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.graders import fit_consensus, measure_alpha, measure_kappa

LEVELS = np.array([0.0, 1.0, 2.0, 3.0])
START = np.array([[0.95, 0.05], [0.7, 0.3], [0.4, 0.6], [0.05, 0.95]])


def judge(truth: np.ndarray, confusion: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grades of all images by all graders, drawn from confusion, float [graders, classes, grades]."""
    rng = np.random.default_rng(seed)
    n, graders = len(truth), len(confusion)
    item, grader = np.repeat(np.arange(n), graders), np.tile(np.arange(graders), n)
    total = confusion.cumsum(axis=2)[grader, truth[item]]
    return item, grader, (rng.random(len(item))[:, None] > total).sum(axis=1)


def test_the_model_finds_how_graders_err() -> None:
    confusion = np.array(
        [
            [[0.90, 0.07, 0.02, 0.01], [0.02, 0.08, 0.30, 0.60]],  # careful
            [[0.50, 0.25, 0.15, 0.10], [0.10, 0.20, 0.40, 0.30]],  # rough
            [[0.30, 0.40, 0.20, 0.10], [0.01, 0.04, 0.25, 0.70]],  # generous
            [[0.97, 0.02, 0.01, 0.00], [0.40, 0.40, 0.10, 0.10]],  # stern
        ]
    )
    truth = (np.arange(4000) % 5 == 0).astype(int)
    found = fit_consensus(*judge(truth, confusion, 1), start=START)
    assert np.abs(found.confusion - confusion).max() < 0.06
    assert found.prevalence[1] == pytest.approx(0.2, abs=0.02)
    consensus = (found.posterior[:, 1] > 0.5) == truth
    item, _, grade = judge(truth, confusion, 1)
    means = np.bincount(item, grade) / 4
    assert consensus.mean() > ((means >= 1.5) == truth).mean()


def test_two_graders_of_equal_grades_follow_bayes_by_hand() -> None:
    # With the classes of all but the last image known, the posterior of the last is Bayes' formula.
    truth = np.array([1, 1, 1, 0, 0, 0, -1])
    grade = np.array([[1, 1], [1, 1], [1, 0], [0, 0], [0, 0], [0, 1], [1, 0]])
    item, grader = np.repeat(np.arange(7), 2), np.tile([0, 1], 7)
    start = np.array([[0.9, 0.1], [0.1, 0.9]])
    found = fit_consensus(item, grader, grade.ravel(), start=start, truth=truth, pseudo_count=1e-9)
    p, q = found.prevalence[1], found.posterior[6, 1]
    # counts: grader 0 gave 1 to all lenses; grader 1 gave 1 to two of three, and to one of three others
    lens = p * (3 + q) / (3 + q) * (1 + q) / (3 + q)
    other = (1 - p) * (1 - q) / (4 - q) * (3 - q) / (4 - q) if q < 1 else 0.0
    assert q == pytest.approx(lens / (lens + other), abs=1e-5)
    assert p == pytest.approx(q, abs=1e-6), "known classes do not count for the prevalence"
    np.testing.assert_array_equal(found.posterior[:6, 1], truth[:6])


def test_names_of_graders_and_the_order_of_judgements_do_not_matter() -> None:
    truth = (np.arange(60) % 3 == 0).astype(int)
    confusion = np.array([[[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.2, 0.6]]] * 3)
    item, grader, grade = judge(truth, confusion, 2)
    found = fit_consensus(item, grader, grade, start=START)
    order = np.random.default_rng(0).permutation(len(item))
    other = fit_consensus(item[order], 2 - grader[order], grade[order], start=START)
    np.testing.assert_allclose(found.posterior, other.posterior, atol=1e-9)
    np.testing.assert_allclose(found.confusion, other.confusion[::-1], atol=1e-9)


def test_an_image_without_a_grade_has_no_consensus() -> None:
    with pytest.raises(InputError, match="an image without a grade"):
        fit_consensus(np.array([0, 2]), np.array([0, 0]), np.array([1, 1]), start=START)
    with pytest.raises(InputError, match="found no grade"):
        fit_consensus(np.array([], int), np.array([], int), np.array([], int), start=START)


def test_kappa_is_that_of_scikit_learn_on_the_levels_of_the_scheme() -> None:
    rng = np.random.default_rng(3)
    first = rng.choice([0.0, 2.0, 3.0], 50)
    second = np.where(rng.random(50) < 0.7, first, rng.choice([0.0, 2.0, 3.0], 50))
    found = measure_kappa(first, second, LEVELS, seed=0)
    assert found is not None
    expected = cohen_kappa_score(first.astype(int), second.astype(int), labels=[0, 1, 2, 3], weights="quadratic")
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high


def test_the_same_grades_agree_fully_and_constant_grades_have_no_kappa() -> None:
    grades = np.array([0.0, 3.0, 1.0, 2.0] * 5)
    found = measure_kappa(grades, grades, LEVELS, seed=0)
    assert found is not None
    assert found.value == 1
    assert measure_kappa(np.zeros(9), np.zeros(9), LEVELS, seed=0) is None
    assert measure_kappa(np.zeros(1), np.ones(1), LEVELS, seed=0) is None


def test_alpha_is_that_of_the_library_and_falls_with_noise() -> None:
    krippendorff = pytest.importorskip("krippendorff")
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 4, 40).astype(float)
    values = []
    for noise in (0.0, 0.3, 0.8):
        grades = np.stack([np.where(rng.random(40) < noise, rng.integers(0, 4, 40), truth) for _ in range(3)])
        grades[0, :5] = np.nan
        found = measure_alpha(grades, seed=0)
        assert found is not None
        expected = krippendorff.alpha(reliability_data=grades, level_of_measurement="ordinal")
        assert found.value == pytest.approx(expected)
        assert found.low <= found.value <= found.high
        values.append(found.value)
    assert values == sorted(values, reverse=True)
    assert values[0] == 1
    assert measure_alpha(np.array([[1.0, np.nan], [np.nan, 2.0]]), seed=0) is None
