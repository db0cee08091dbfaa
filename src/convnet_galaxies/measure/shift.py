"""Test for domain shift between known and unknown images, on which a prevalence depends.

The estimates of prevalence.py assume that lenses look alike on both sides, and non-lenses too. A classifier two-sample
test (Lopez-Paz & Oquab 2017, arXiv:1610.06545) asks the images. trust.py joins it with a test of the scores; what
range remains when they differ is in prevalence_bounds.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.calibration import FOLDS
from convnet_galaxies.measure.intervals import (
    Estimate,
    bootstrap_groups,
    encode_groups,
)
from convnet_galaxies.measure.ranking import Ranking, measure_auroc

NOTABLE_SHARE = 0.2
"""From this share of the way from 0.5 to the attainable AUROC known and unknown images differ enough to doubt a
prior-shift estimate, however sure the test is."""


@dataclass(frozen=True)
class ShiftCheck:
    """Result of the two-sample test.

    auroc: of telling unknown from known images, cross-validated by group; 0.5 when they are alike.
    p_value: of so high an AUROC if they were alike, by permutation of whole groups.
    verdict: "alike", "differ a little" (surely, but AUROC below NOTABLE_SHARE of the way) or "differ".
    """

    auroc: Estimate
    p_value: float
    verdict: Literal["alike", "differ a little", "differ"]
    n_known: int
    n_unknown: int


def tell_apart(
    known: np.ndarray,
    unknown: np.ndarray,
    known_groups: np.ndarray,
    unknown_groups: np.ndarray,
    *,
    known_weights: np.ndarray | None = None,
    model: Literal["logistic", "boosting"] = "logistic",
    seed: int,
    level: float = 0.95,
    n_permutations: int = 500,
    alpha: float = 0.05,
    attainable: float = 1.0,
) -> ShiftCheck:
    """Run a cross-validated classifier two-sample test.

    known: float [n, features]; unknown: [m, features]; features of the net, or its scores. known_weights: float [n],
    e.g. the ratio of estimated to known prevalence of each image's class: without it a mere difference of
    prevalence, which the estimates do handle, is flagged too. To ask whether the lenses are alike, give the lenses
    on one side and the best-ranked unknown images on the other.
    alpha: significance of the verdict. attainable: the AUROC if all that may differ did, see attain_auroc.
    The p-value permutes the side of whole groups under the held-out scores, without fitting again.
    """
    sides = [np.asarray(side, float) for side in (known, unknown)]
    sides = [side[:, None] if side.ndim == 1 else side for side in sides]
    x = np.concatenate(sides) if sides[0].shape[1:] == sides[1].shape[1:] else np.empty((0, 0))
    if min(map(len, sides)) == 0 or len(x) == 0 or not np.isfinite(x).all():
        raise InputError(
            f"shift: found known features {sides[0].shape} and unknown ones {sides[1].shape}, expected images on both "
            "sides with the same finite features",
            "compute the features of both with the same run",
        )
    is_unknown = np.repeat([False, True], [len(side) for side in sides])
    groups = np.char.add(np.where(is_unknown, "u", "k"), np.concatenate([known_groups, unknown_groups]).astype(str))
    n_least = min(encode_groups(groups[side])[1] for side in (is_unknown, ~is_unknown))
    if n_least < 2:
        raise InputError("shift: found one group on a side, expected at least 2 to hold some out", "give more images")
    weights = np.ones(len(x))
    if known_weights is not None:
        weights[~is_unknown] = known_weights
        if not (weights >= 0).all() or weights[~is_unknown].sum() == 0:
            raise InputError("shift: found no known image with a positive weight, expected some", "check the fractions")
    score = _hold_out(x, is_unknown, groups, weights, model, min(FOLDS, n_least), seed)
    codes, _ = encode_groups(groups)
    ranking = Ranking(is_unknown, score, codes, weights)

    auroc = bootstrap_groups(
        lambda counts: measure_auroc(*ranking.accumulate(counts))[:, None],
        groups,
        ["auroc"],
        seed=seed,
        level=level,
        n_effective=n_least,
        proportion=True,
    )["auroc"]
    p_value = _permute(score, is_unknown, codes, weights, auroc.value, n_permutations, seed)
    verdict: Literal["alike", "differ a little", "differ"] = "alike"
    if p_value < alpha:
        notable = 0.5 + NOTABLE_SHARE * (attainable - 0.5)
        verdict = "differ" if auroc.value >= notable else "differ a little"
    return ShiftCheck(auroc, p_value, verdict, len(sides[0]), len(sides[1]))


def weigh_known(truth: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Return weights float [n] that give known images, truth int [n], the class fractions [k] of the unknown ones."""
    fractions = np.asarray(fractions, float)
    shares = np.bincount(truth, minlength=len(fractions)) / len(truth)
    return np.divide(fractions, shares, out=np.zeros_like(fractions), where=shares > 0)[truth]


def attain_auroc(fraction: float) -> float:
    """Return the highest AUROC of telling apart two sides when only their lenses, a fraction of each, differ.

    All other images are alike, so that they tie half of the time: ``1/2 + p - p^2 / 2``.
    """
    return 0.5 + fraction - fraction**2 / 2


def _hold_out(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, weights: np.ndarray, model: str, folds: int, seed: int
) -> np.ndarray:
    """Held-out log-odds of each image; comparable across folds, since both sides stand in each."""
    score = np.empty(len(x))
    balance = np.where(y, weights.sum() / weights[y].sum(), weights.sum() / weights[~y].sum()) / 2
    for train, held_out in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(x, y, groups):
        classifier: BaseEstimator
        if model == "logistic":
            classifier = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
            classifier.fit(x[train], y[train], logisticregression__sample_weight=(weights * balance)[train])
        else:
            classifier = HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=8, random_state=seed)
            classifier.fit(x[train], y[train], sample_weight=(weights * balance)[train])
        score[held_out] = classifier.decision_function(x[held_out])
    return score


def _permute(
    score: np.ndarray, y: np.ndarray, codes: np.ndarray, weights: np.ndarray, observed: float, n: int, seed: int
) -> float:
    rng = np.random.default_rng(seed)
    side_of_group = np.zeros(codes.max() + 1, bool)
    side_of_group[codes] = y
    once = np.ones((1, len(side_of_group)))
    higher = 0
    for _ in range(n):
        truth = rng.permutation(side_of_group)[codes]
        higher += measure_auroc(*Ranking(truth, score, codes, weights).accumulate(once))[0] >= observed
    return float((higher + 1) / (n + 1))
