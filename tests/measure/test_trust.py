from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.prevalence import ScoredImages, join_scores
from convnet_galaxies.measure.score_fit import ScoreFit
from convnet_galaxies.measure.trust import Trust, check_trust, judge

FIT = ScoreFit(0.5, 0.1, (1.0, 2.0), (0.5, 0.9), (1.1, 1.4), 2.0, 1.4)
NUMBER = Estimate("lens", 100, 90, 120, 0.9)


def make(
    prevalence: float, *, moved: float = 0.0, apart: float = 5.0, n: int = 1500, seed: int = 4
) -> tuple[ScoredImages, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth, unknown = np.arange(n) < n // 5, np.arange(n) < round(prevalence * n)
    sides = [expit(rng.normal(size=n) + apart * (s - 0.5) - m * s) for s, m in ((truth, 0.0), (unknown, moved))]
    return join_scores(truth, sides[0], np.arange(n), sides[1], np.arange(n)), unknown


def check(images: ScoredImages, unknown: np.ndarray, *, style: float = 0.0, seen: float | None = None) -> Trust:
    """style: by how much a feature that the scores do not show is moved in the unknown lenses."""
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(len(side), 2)) for side in (images.truth, unknown)]
    features[1][:, 0] += style * unknown
    number = float(unknown.sum() if seen is None else seen)
    return check_trust(
        images, *features, Estimate("lens", number, 0.85 * number, 1.15 * number, 0.9), seed=0, n_permutations=80
    )


def test_lenses_that_look_different_are_seen_among_the_candidates_though_they_drown_among_all():
    trust = check(*make(0.04), style=2)
    assert trust.candidates is not None
    assert trust.candidates.auroc.value > trust.everything.auroc.value + 0.2
    assert trust.candidates.verdict == trust.verdict == "differ"
    assert not trust.holds


def test_lenses_30_sigma_from_all_known_ones_differ_though_rare():
    assert check(*make(0.02), style=30).verdict == "differ"


def test_scores_that_are_no_mixture_differ_though_the_features_are_alike():
    images, unknown = make(0.3, moved=2.5)
    trust = check(images, unknown)
    assert trust.scores.p_value < 0.01
    assert trust.verdict == "differ"
    assert "no mixture" in trust.sentence


def test_few_candidates_cannot_be_checked_and_the_sentence_claims_nothing():
    trust = check(*make(0.004))
    assert trust.candidates is None
    assert trust.verdict == "cannot be checked"
    assert "It cannot be checked" in trust.sentence
    assert "Use the range" in trust.sentence


@pytest.mark.parametrize("n_candidates", [9, 10])
def test_ten_candidates_are_enough_for_a_test_of_their_own(n_candidates: int):
    rng = np.random.default_rng(0)
    truth, unknown = np.arange(400) < 100, np.arange(300) < n_candidates
    scores = [np.where(side, 0.9, 0.1) + rng.random(len(side)) / 20 for side in (truth, unknown)]
    scores[1][unknown] = 0.99
    images = join_scores(truth, scores[0], np.arange(400), scores[1], np.arange(300))
    assert (check(images, unknown).candidates is not None) == (n_candidates == 10)


@pytest.mark.trials
def test_a_hidden_shift_is_never_called_alike():
    for seed in range(3):
        images, unknown = make(0.02, moved=1.5, apart=4.0, seed=seed)
        assert not check(images, unknown, seen=unknown.sum() / 3).holds


def test_lenses_far_from_all_others_are_alike_where_every_shift_that_matters_is_seen():
    trust = check(*make(0.2, apart=10.0, n=4000))
    assert trust.verdict == "alike"
    assert "The smallest detectable shift of the lens scores is" in trust.sentence


@pytest.mark.parametrize(
    ("by_features", "fit", "verdict"),
    [
        (["alike", "alike"], replace(FIT, seen_factor=1.2), "alike"),
        (["alike", "alike"], FIT, "cannot be checked"),
        (["alike"], replace(FIT, seen=None, seen_factor=None), "cannot be checked"),
        (["alike", "differ a little"], replace(FIT, seen_factor=1.2), "differ a little"),
        (["differ", "alike"], replace(FIT, seen_factor=1.2), "differ"),
        (["alike", "alike"], replace(FIT, p_value=0.01), "differ"),
    ],
)
def test_the_verdict_is_the_worst_of_all_tests(by_features: list, fit: ScoreFit, verdict: str):
    assert judge(by_features, fit, NUMBER, alpha=0.02) == verdict
