from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from convnet_galaxies.measure.ranking import Ranking
from convnet_galaxies.measure.score_table import SCORES


def score_many(ranking: Ranking, counts: np.ndarray) -> np.ndarray:
    """AUROC, average precision, TPR0 and TPR10 of each resample, as the table of scores has them."""
    names = ("auroc", "average_precision", "tpr0", "tpr10")
    return np.stack([SCORES[name].function(*ranking.accumulate(counts)) for name in names], axis=1)


def make(seed: int, *, n: int = 200, decimals: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.3
    truth[:2] = (True, False)
    return truth, np.round(rng.normal(size=n) + truth, decimals), rng.integers(0, 30, n)


@given(seed=st.integers(0, 10_000), decimals=st.sampled_from([0, 1, 8]))
@settings(max_examples=25, deadline=None)
def test_scores_of_any_resample_are_those_of_scikit_learn_with_weights(seed: int, decimals: int):
    truth, score, codes = make(seed, decimals=decimals)
    counts = np.random.default_rng(seed).integers(0, 3, (4, 30)).astype(float)
    ours = score_many(Ranking(truth, score, codes), counts)
    for row, drawn in zip(ours, counts, strict=True):
        weights = drawn[codes]
        if not (weights[truth].any() and weights[~truth].any()):
            assert np.isnan(row).all()
            continue
        assert row[0] == pytest.approx(roc_auc_score(truth, score, sample_weight=weights))
        assert row[1] == pytest.approx(average_precision_score(truth, score, sample_weight=weights))
        fpr, tpr, _ = roc_curve(truth, score, sample_weight=weights, drop_intermediate=False)
        false_positives = np.round(fpr * weights[~truth].sum(), 6)
        assert row[2] == pytest.approx(tpr[false_positives < 1].max())
        assert row[3] == pytest.approx(tpr[false_positives < 10].max())


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_scores_do_not_change_under_a_rising_transform(seed: int):
    truth, score, codes = make(seed)
    counts = np.ones((1, 30))
    plain = score_many(Ranking(truth, score, codes), counts)
    bent = score_many(Ranking(truth, np.exp(3 * score) + score, codes), counts)
    np.testing.assert_array_equal(plain, bent)


def test_a_resample_without_a_class_has_no_scores_and_one_image_of_it_is_enough():
    ranking = Ranking(np.array([True, True, False]), np.array([3.0, 1.0, 2.0]), np.arange(3))
    found = score_many(ranking, np.array([[0.0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 2]]))
    assert np.isnan(found[[0, 1, 4]]).all()
    assert found[2].tolist() == [1, 1, 1, 1]
    assert found[3].tolist() == [0, 0.5, 0, 1]
    below_all = Ranking(np.array([True, False]), np.array([1.0, 0.0]), np.arange(2))
    assert score_many(below_all, np.ones((1, 2))).tolist() == [[1, 1, 1, 1]]


def test_tpr0_and_tpr10_of_a_hand_made_ranking():
    truth = np.array([1, 1, 0, 1] + [0] * 8 + [1, 0, 1], bool)
    score = -np.arange(15.0)
    _, _, tpr0, tpr10 = score_many(Ranking(truth, score, np.arange(15)), np.ones((1, 15)))[0]
    assert tpr0 == pytest.approx(2 / 5)
    assert tpr10 == pytest.approx(4 / 5)


def test_a_lens_that_ties_with_the_first_false_positive_is_not_found():
    truth = np.array([1, 1, 0, 0], bool)
    ranking = Ranking(truth, np.array([0.9, 0.8, 0.8, 0.1]), np.arange(4))
    assert score_many(ranking, np.ones((1, 4)))[0, 2] == 0.5


def test_weights_of_images_act_as_repetitions():
    truth, score, codes = make(3)
    times = np.random.default_rng(0).integers(1, 4, len(truth))
    counts = np.random.default_rng(1).integers(0, 3, (5, 30)).astype(float)
    weighted = score_many(Ranking(truth, score, codes, times.astype(float)), counts)
    repeated = score_many(Ranking(*(np.repeat(part, times) for part in (truth, score, codes))), counts)
    np.testing.assert_allclose(weighted, repeated)
