"""Whether to believe a prevalence: can known and unknown images be told apart, and what follows if they can.

The estimates of prevalence.py assume that lenses look alike on both sides and non-lenses too. The first function asks
the images (classifier two-sample test: Lopez-Paz & Oquab 2017, arXiv:1610.06545); the second says what range of
prevalences remains when real lenses are harder than simulated ones, and the non-lenses harder than the known ones.
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

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.intervals import (
    Figure,
    bootstrap_groups,
    check_level,
    draw_groups,
    encode_groups,
)
from convnet_galaxies.measure.prevalence import ScoredImages
from convnet_galaxies.measure.ranking import Ranking, measure_auroc

NOTABLE_AUROC = 0.6
"""From here on known and unknown images differ enough to doubt a prior-shift estimate, however sure the test is."""

SENTENCES = {
    "alike": "Known and unknown images could not be told apart: nothing speaks against the estimated prevalence.",
    "differ a little": "Known and unknown images can be told apart, but hardly: take the interval as too narrow.",
    "differ": "Known and unknown images can be told apart: the estimated prevalence rests on an assumption that does "
    "not hold; take the range under stated assumptions instead.",
}


@dataclass(frozen=True)
class ShiftCheck:
    """Result of the two-sample test.

    auroc: of telling unknown from known images, cross-validated by group; 0.5 when they are alike.
    p_value: of so high an AUROC if they were alike, by permutation of whole groups.
    verdict: "alike", "differ a little" (surely, but AUROC below NOTABLE_AUROC) or "differ"; sentence: for the report.
    """

    auroc: Figure
    p_value: float
    verdict: Literal["alike", "differ a little", "differ"]
    sentence: str
    n_known: int
    n_unknown: int


@dataclass(frozen=True)
class PrevalenceBounds:
    """Range of the prevalence under stated assumptions.

    completeness_ratio: (least, most) completeness for real lenses, in units of that for the known ones;
    false_positive_ratio: (least, most) false positive rate for the unknown non-lenses, in units of that for the known;
    as_measured: with both ratios 1; low, high: over all pairs within the ratios, statistical interval included;
    widened_by_completeness, widened_by_false_positives: the (low, high) when only that assumption is relaxed;
    threshold: lens probability from which an image counts as flagged.
    """

    completeness_ratio: tuple[float, float]
    false_positive_ratio: tuple[float, float]
    as_measured: Figure
    low: float
    high: float
    widened_by_completeness: tuple[float, float]
    widened_by_false_positives: tuple[float, float]
    threshold: float

    def __str__(self) -> str:
        a, b = self.completeness_ratio
        c, d = self.false_positive_ratio
        return (
            f"{self.low:.3g} to {self.high:.3g} if the net finds {a:g} to {b:g} times as many of the real lenses as of "
            f"the known ones, and {c:g} to {d:g} times as many false positives"
        )


def tell_apart(
    known: np.ndarray,
    unknown: np.ndarray,
    known_groups: np.ndarray,
    unknown_groups: np.ndarray,
    *,
    known_weights: np.ndarray | None = None,
    model: Literal["logistic", "boosting"] = "logistic",
    folds: int = 5,
    seed: int,
    level: float = 0.95,
    n_permutations: int = 500,
) -> ShiftCheck:
    """Cross-validated classifier two-sample test.

    known: float [n, features]; unknown: [m, features]; features of the net, or its scores. known_weights: float [n],
    e.g. the ratio of estimated to known prevalence of each image's class: without it a mere difference of
    prevalence, which the estimates do handle, is flagged too. To ask whether the lenses are alike, give the lenses
    on one side and the best-ranked unknown images on the other.
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
    score = _hold_out(x, is_unknown, groups, weights, model, min(folds, n_least), seed)
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
    if p_value < 0.05:
        verdict = "differ" if auroc.value >= NOTABLE_AUROC else "differ a little"
    return ShiftCheck(auroc, p_value, verdict, SENTENCES[verdict], len(sides[0]), len(sides[1]))


def weigh_known(truth: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Weights float [n] that give known images, truth int [n], the class fractions [k] of the unknown ones."""
    fractions = np.asarray(fractions, float)
    shares = np.bincount(truth, minlength=len(fractions)) / len(truth)
    return np.divide(fractions, shares, out=np.zeros_like(fractions), where=shares > 0)[truth]


def bound_prevalence(
    images: ScoredImages,
    *,
    completeness_ratio: tuple[float, float] = (0.5, 1.0),
    false_positive_ratio: tuple[float, float] = (1.0, 1.0),
    threshold: float = 0.5,
    seed: int,
    level: float = 0.9,
    n_resamples: int = 500,
) -> PrevalenceBounds:
    """The prevalence of lenses if the net is better or worse on the unknown images by stated factors.

    With q the flagged fraction of the unknown images, C the completeness and F the false positive rate on the known
    ones, rho and phi the ratios: ``pi = (q - phi F) / (rho C - phi F)``, cut to 0..1 (Rogan & Gladen 1978, Am. J.
    Epidemiol. 107, 71). It rises as rho or phi falls (while the net flags lenses more often than non-lenses), so
    that the ends of the range lie at the ends of the ratios. The interval of each comes from resampled groups of all
    three rates, joined by exact binomial intervals where a rate is 0 or 1.
    """
    check_level(level)
    for name, (least, most) in (("completeness", completeness_ratio), ("false positive", false_positive_ratio)):
        if not 0 < least <= most:
            raise UsageError(
                f"shift: found {name} ratios {least:g} to {most:g}, expected 0 < least <= most", "use e.g. 0.5 and 1"
            )
    lens = images.truth > 0
    known_flag, flag = 1 - images.posteriors[:, 0] >= threshold, 1 - images.unknown_posteriors[:, 0] >= threshold
    rng = np.random.default_rng(seed)
    sets = (
        (flag, images.unknown_groups),
        (known_flag[lens], images.groups[lens]),
        (known_flag[~lens], images.groups[~lens]),
    )
    best = tuple(float(flags.mean()) for flags, _ in sets)
    q, c, f = (_draw_rate(flags, groups, n_resamples, rng) for flags, groups in sets)

    def interval(rho: float, phi: float) -> tuple[float, float]:
        low, high = np.quantile(
            _solve(q, np.minimum(rho * c, 1), np.minimum(phi * f, 1)), [(1 - level) / 2, (1 + level) / 2]
        )
        return float(low), float(high)

    def span(rhos: tuple[float, float], phis: tuple[float, float]) -> tuple[float, float]:
        return interval(rhos[1], phis[1])[0], interval(rhos[0], phis[0])[1]

    value = float(_solve(*(np.array([rate]) for rate in best))[0])
    low, high = interval(1, 1)
    warning = None if best[1] > best[2] else "the net flags no more lenses than non-lenses: the data say nothing"
    total = span(completeness_ratio, false_positive_ratio)
    return PrevalenceBounds(
        completeness_ratio=completeness_ratio,
        false_positive_ratio=false_positive_ratio,
        as_measured=Figure("lens", value, min(low, value), max(high, value), level, warning),
        low=total[0],
        high=total[1],
        widened_by_completeness=span(completeness_ratio, (1.0, 1.0)),
        widened_by_false_positives=span((1.0, 1.0), false_positive_ratio),
        threshold=threshold,
    )


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


def _draw_rate(flags: np.ndarray, groups: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    codes, n_groups = encode_groups(groups)
    if flags.all() or not flags.any():  # no resample varies: the draws of a rate of which nothing was seen (Jeffreys)
        return rng.beta(flags.any() * n_groups + 0.5, (not flags.any()) * n_groups + 0.5, size=n_resamples)
    draws = draw_groups(n_groups, n_resamples, rng)
    return draws @ np.bincount(codes, flags, n_groups) / (draws @ np.bincount(codes, minlength=n_groups))


def _solve(flagged: np.ndarray, completeness: np.ndarray, false_positive_rate: np.ndarray) -> np.ndarray:
    span = completeness - false_positive_rate
    value = np.divide(flagged - false_positive_rate, span, out=np.ones_like(span), where=span > 0)
    return np.clip(value, 0, 1)
