"""Score votes and lens probabilities, each figure with an interval over groups.

AUROC, average precision, log loss and accuracy are those of scikit-learn (the tests compare every one); TPR0 and TPR10
(completeness before the first and the tenth false positive) are those of the lens-finding challenge (Metcalf et al.
2019, arXiv:1802.03609); RMSE is that of the Galaxy Challenge, over all votes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from convnet_galaxies.decision_tree import KAGGLE, DecisionTree
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import (
    Estimate,
    Statistic,
    bootstrap_groups,
    check_level,
    cut_figure,
    encode_groups,
    resample_statistic,
    summarize,
)
from convnet_galaxies.measure.ranking import Ranking, lower_unseen, measure_tpr
from convnet_galaxies.measure.score_table import Score, scores_of

EXTREME_ERROR = 1.12 / 2.83
"""Standard error of TPR0 that a bootstrap misses, in units of TPR10 - TPR0.

The logarithm of the false positive rate at the highest non-lens scatters by sqrt(trigamma(1)) = 1.28 from one sample
of non-lenses to the next, but only by 0.62 among resamples of one sample, which cannot hold a non-lens above its
highest: 1.12 is missing. From the first to the tenth non-lens that logarithm grows by digamma(10) - digamma(1) = 2.83,
which gives the slope. With 150 lenses a 95 % interval of TPR0 held the truth in 79 % of 400 simulations
without it, and in 96 % of 300 with it (these with one to three cutouts per field).
"""
CEILING, CEILING_FALSE_POSITIVES = "ceiling of tpr0", 4
"""TPR0 expected of such sets is at most the completeness before the fourth false positive.

On average over sets of n non-lenses the logarithm of the false positive rate at the highest is log(0.56 / n); that at
the fourth highest lies below it with probability P(Gamma(4) < 0.56) = 0.3 %. The upper end of that completeness
therefore bounds the interval of TPR0, which would reach 1 where TPR0 is near 0: a proportion of which only the standard
error is known, and that is large. Coverage: benchmarks/bench_tpr0.py.
"""


@dataclass(frozen=True)
class VoteScores:
    """RMSE of votes: over all columns at once, and by question.

    others: the other scores of votes in the table of scores, over all columns. questions: the text of each question by
    its name, numbered from 1.
    """

    n_images: int
    n_groups: int
    rmse: Estimate
    by_question: dict[str, Estimate]
    others: dict[str, Estimate] = field(default_factory=dict)
    questions: dict[str, str] = field(default_factory=dict)

    @property
    def overall(self) -> dict[str, Estimate]:
        """Every score over all columns, by name."""
        return {"rmse": self.rmse, **self.others}


@dataclass(frozen=True)
class LensScores:
    """Scores of a lens finder.

    overall: by the names in the table of scores; accuracy is at probability 0.5, beside that of always no.
    by_flavor: the same names, the lenses of one flavor against all non-lenses.
    by_stage: the same names, the images of one stage.
    remarks: what could not be measured and why, one sentence each.
    """

    n_images: int
    n_lenses: int
    n_groups: int
    overall: dict[str, Estimate]
    by_flavor: dict[str, dict[str, Estimate]]
    by_stage: dict[str, dict[str, Estimate]]
    remarks: tuple[str, ...] = ()


def evaluate_votes(
    truth: np.ndarray,
    predicted: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    tree: DecisionTree = KAGGLE,
    level: float = 0.95,
    n_resamples: int = 1000,
) -> VoteScores:
    """Compute RMSE of predicted votes, float [n, answers of the tree], against true ones; groups: [n]."""
    found: dict[str, dict[str, Estimate]] = {}
    for score in scores_of("votes").values():
        statistic = make_vote_statistic(truth, predicted, groups, score, tree)
        names = (score.name, *(question.name for question in tree.questions))
        found[score.name] = bootstrap_groups(statistic, groups, names, seed=seed, level=level, n_resamples=n_resamples)
    by_question = found.pop("rmse")
    others = {name: figures[name] for name, figures in found.items()}
    texts = {question.name: f"{number}. {question.text}" for number, question in enumerate(tree.questions, 1)}
    return VoteScores(len(truth), encode_groups(groups)[1], by_question.pop("rmse"), by_question, others, texts)


def evaluate_lenses(
    truth: np.ndarray,
    probability: np.ndarray,
    groups: np.ndarray,
    *,
    flavor: np.ndarray | None = None,
    stage: np.ndarray | None = None,
    seed: int,
    level: float = 0.95,
    n_resamples: int = 1000,
) -> LensScores:
    """Compute all lens figures, overall, by flavor and by stage.

    truth: bool [n]; probability: float [n] in [0, 1]; groups: [n]; flavor: str [n], read only where truth is
    true; stage: [n]. Raises InputError when a class is missing overall; a flavor or stage with a missing class is
    left out and named in the remarks.
    """
    truth, probability = check_scores(truth, probability, groups)
    remarks: list[str] = []

    def measure(rows: np.ndarray) -> dict[str, Estimate]:
        return score_lenses(
            truth[rows], probability[rows], groups[rows], seed=seed, level=level, n_resamples=n_resamples
        )

    def measure_each(kind: str, subsets: dict[str, np.ndarray]) -> dict[str, dict[str, Estimate]]:
        scored = {}
        for name, rows in subsets.items():
            try:
                scored[name] = measure(rows)
            except InputError as error:
                remarks.append(f"{kind} {name} is left out: {error.message}")
        return scored

    groups = np.asarray(groups)
    flavors: dict[str, np.ndarray] = {}
    if flavor is not None:
        flavor = np.asarray(flavor)
        flavors = {str(name): ~truth | (truth & (flavor == name)) for name in np.unique(flavor[truth].astype(str))}
    stages = {} if stage is None else {str(name): np.asarray(stage) == name for name in np.unique(np.asarray(stage))}
    return LensScores(
        n_images=len(truth),
        n_lenses=int(truth.sum()),
        n_groups=encode_groups(groups)[1],
        overall=measure(np.ones(len(truth), bool)),
        by_flavor=measure_each("flavor", flavors),
        by_stage=measure_each("stage", stages),
        remarks=tuple(remarks),
    )


def score_lenses(
    truth: np.ndarray,
    probability: np.ndarray,
    groups: np.ndarray,
    *,
    seed: int,
    level: float = 0.95,
    n_resamples: int = 1000,
) -> dict[str, Estimate]:
    """Compute the scores of one set of images by name; arguments as in evaluate_lenses."""
    truth, probability = check_scores(truth, probability, groups)
    rarer = count_rarer_groups(truth, groups)
    everywhere = encode_groups(groups)[1]
    columns = (*scores_of("lens"), CEILING)
    statistic = make_lens_statistic(truth, probability, groups, columns)
    check_level(level)
    values, draws = resample_statistic(statistic, groups, n_resamples=n_resamples, seed=seed)
    return summarize_lenses(columns, values, draws, rarer=rarer, everywhere=everywhere, level=level)


def summarize_lenses(
    columns: Sequence[str], values: np.ndarray, draws: np.ndarray, *, rarer: int, everywhere: int, level: float
) -> dict[str, Estimate]:
    """Return all lens scores from values [k] and resamples [n_resamples, k] of make_lens_statistic (or means of
    several).

    columns: k names, the lens scores and CEILING. rarer: groups of the rarer class, which carry what depends on the
    ranking, and the log loss, most of which is that of few images; everywhere: all groups.
    """
    value_of = dict(zip(columns, map(float, values), strict=True))
    draws_of = dict(zip(columns, draws.T, strict=True))

    def figure(name: str, score: Score, extra_error: float = 0.0) -> Estimate:
        one = summarize(
            name,
            value_of[name],
            draws_of[name],
            n_effective=everywhere if score.kind == "mean" and score.most == 1 else rarer,
            proportion=score.most == 1,
            positive_mean_of=everywhere if score.most > 1 else 0,
            extra_error=extra_error,
            unseen=lower_unseen(value_of[name], rarer) if name == "auroc" else 0.0,
            level=level,
        )
        return cut_figure(one, 0.0, score.most)

    scores = scores_of("lens")
    found = {name: figure(name, score) for name, score in scores.items()}
    tpr0 = figure("tpr0", scores["tpr0"], EXTREME_ERROR * (value_of["tpr10"] - value_of["tpr0"]))
    found["tpr0"] = replace(tpr0, high=min(tpr0.high, figure(CEILING, scores["tpr0"]).high))
    return found


def check_scores(truth: np.ndarray, probability: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the truth as bool [n] and the probability as float64 [n]; raises InputError when they cannot be scored."""
    truth, probability = np.asarray(truth).astype(bool), np.asarray(probability, float)
    if not truth.shape == probability.shape == np.shape(groups) or truth.ndim != 1:
        raise InputError(
            f"scores: found {truth.shape} truths, {probability.shape} probabilities and {np.shape(groups)} groups, "
            "expected one of each per image",
            "predict the same images that the truth is given for",
        )
    outside = int((~((probability >= 0) & (probability <= 1))).sum())
    if outside:
        raise InputError(
            f"scores: found {outside} probabilities that are NaN or outside 0 to 1, expected none",
            "check the predictions",
        )
    if truth.all() or not truth.any():
        raise InputError(
            f"scores: found {int(truth.sum())} lenses among {len(truth)} images, expected lenses and non-lenses",
            "give images of both classes",
        )
    return truth, probability


def count_rarer_groups(truth: np.ndarray, groups: np.ndarray) -> int:
    """Count the groups with an image of the rarer class (rarer by groups)."""
    groups = np.asarray(groups)
    return min(encode_groups(groups[truth])[1], encode_groups(groups[~truth])[1])


def make_lens_statistic(
    truth: np.ndarray, probability: np.ndarray, groups: np.ndarray, columns: Sequence[str]
) -> Statistic:
    """Convert counts of groups to the named lens scores (or CEILING), [resamples, len(columns)].

    truth bool [n] and probability [n] are checked already.
    """
    codes, n_groups = encode_groups(groups)
    ranking = Ranking(truth, probability, codes)
    ranked = {name: score.function for name, score in scores_of("lens", kind="ranking").items()}
    ranked[CEILING] = partial(measure_tpr, false_positives=CEILING_FALSE_POSITIVES)
    means = {name: score.function for name, score in scores_of("lens", kind="mean").items()}
    # Sums by group, since the score is a mean over images: a resample is then one matrix product.
    by_image = [function(truth, probability) for function in means.values() if function]
    sums = np.stack([np.bincount(codes, part, n_groups) for part in by_image], axis=1)
    sizes = np.bincount(codes, minlength=n_groups)

    def statistic(counts: np.ndarray) -> np.ndarray:
        positives = ranking.accumulate(counts)
        found = {name: function(*positives) for name, function in ranked.items() if function and name in columns}
        found |= zip(means, (counts @ sums / (counts @ sizes)[:, None]).T, strict=True)
        return np.stack([found[name] for name in columns], axis=1)

    return statistic


def make_vote_statistic(
    truth: np.ndarray, predicted: np.ndarray, groups: np.ndarray, score: Score, tree: DecisionTree = KAGGLE
) -> Statistic:
    """Convert counts of groups to a score overall and by question, [resamples, 1 + questions]; raises InputError for
    unfit votes."""
    truth, predicted = np.asarray(truth, float), np.asarray(predicted, float)
    if truth.shape != predicted.shape or truth.shape != (len(groups), len(tree.columns)):
        raise InputError(
            f"votes: found shapes {truth.shape} and {predicted.shape} for {len(groups)} galaxies, expected "
            f"[{len(groups)}, {len(tree.columns)}] twice",
            "predict the same galaxies that the truth is given for",
        )
    if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
        raise InputError(
            "votes: found NaN or infinite votes, expected finite ones", "check the predictions and solutions"
        )
    codes, n_groups = encode_groups(groups)
    assert score.function is not None
    by_vote = score.function(truth, predicted)
    by_question = np.stack([by_vote[:, columns].sum(axis=1) for columns in tree.slices], axis=1)
    sums = np.stack([np.bincount(codes, column, n_groups) for column in by_question.T], axis=1)
    sizes = np.bincount(codes, minlength=n_groups)
    n_columns = np.array([len(question.answers) for question in tree.questions])

    def statistic(counts: np.ndarray) -> np.ndarray:
        drawn, n = counts @ sums, (counts @ sizes)[:, None]
        overall = drawn.sum(axis=1, keepdims=True) / (n * len(tree.columns))
        means = np.hstack([overall, drawn / (n * n_columns)])
        return score.finish(means) if score.finish else means

    return statistic
