"""Score predicted votes against counts of volunteers: log likelihood, and error of the fractions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from convnet_galaxies.decision_tree import DecisionTree
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.intervals import Estimate, bootstrap_groups, encode_groups

SMALLEST_ALPHA = 1e-6
"""Of an answer; below, its logarithm would be lost in a float32."""


@dataclass(frozen=True)
class CountScores:
    """Scores of predicted votes: by their names in the table of scores, and the log likelihood by question.

    n_votes: how many answers were given. questions: the text of each question by its name, numbered from 1.
    """

    n_images: int
    n_groups: int
    n_votes: int
    overall: dict[str, Estimate]
    by_question: dict[str, Estimate]
    questions: dict[str, str]


def log_likelihood(counts: np.ndarray, shares: np.ndarray, concentration: np.ndarray, tree: DecisionTree) -> np.ndarray:
    """Return the log likelihood of the votes on each question, in nats, float64 [n, questions]; 0 without votes.

    counts, shares: float [n, answers], NaN counts are none; concentration: float [n, questions]. Dirichlet-multinomial
    (Walmsley et al. 2020, arXiv:1905.07424) of the votes in the order in which they came, without the number of orders.
    """
    counts = np.nan_to_num(counts.astype(float))
    found = np.empty((len(counts), len(tree.questions)))
    for question, part in enumerate(tree.slices):
        alpha = np.maximum(shares[:, part].astype(float) * concentration[:, question, None], SMALLEST_ALPHA)
        total, votes = alpha.sum(axis=1), counts[:, part].sum(axis=1)
        each = (gammaln(alpha + counts[:, part]) - gammaln(alpha)).sum(axis=1)
        found[:, question] = gammaln(total) - gammaln(total + votes) + each
    return found


def evaluate_counts(
    counts: np.ndarray,
    shares: np.ndarray,
    concentration: np.ndarray,
    groups: np.ndarray,
    tree: DecisionTree,
    *,
    seed: int,
    level: float = 0.95,
    n_resamples: int = 1000,
) -> CountScores:
    """Score predicted shares against counts, with bootstrap intervals over groups, [n].

    Overall: ``vote_log_likelihood`` per vote; ``share_rmse``, the root of the mean squared difference between predicted
    and given shares, each question by its votes; ``mean_share_rmse``, that of always the mean share of all images.
    Raises InputError without votes.
    """
    given = np.nan_to_num(counts.astype(float))
    votes = np.stack([given[:, part].sum(axis=1) for part in tree.slices], axis=1)
    if not votes.sum():
        raise InputError("votes: found no vote on any image, expected counts", "give images with votes")
    likelihood = log_likelihood(counts, shares, concentration, tree)
    ours, means = np.zeros(votes.shape), np.zeros(votes.shape)
    for question, part in enumerate(tree.slices):
        asked = votes[:, question] > 0
        if not asked.any():
            continue
        share = given[asked, part] / votes[asked, question, None]
        mean = given[asked, part].sum(axis=0) / votes[asked, question].sum()
        ours[asked, question] = ((shares[asked, part] - share) ** 2).mean(axis=1) * votes[asked, question]
        means[asked, question] = ((mean - share) ** 2).mean(axis=1) * votes[asked, question]
    codes, n_groups = encode_groups(groups)
    with_votes = [len(np.unique(codes[column > 0])) for column in votes.T]
    kept = [question for question, number in enumerate(with_votes) if number]
    columns = np.hstack([likelihood[:, kept], votes[:, kept], ours.sum(axis=1)[:, None], means.sum(axis=1)[:, None]])
    sums = np.stack([np.bincount(codes, column, n_groups) for column in columns.T], axis=1)

    def statistic(drawn: np.ndarray) -> np.ndarray:
        totals = drawn @ sums
        cast = totals[:, len(kept) : 2 * len(kept)]
        with np.errstate(invalid="ignore", divide="ignore"):  # a question without votes in a resample
            by_question = totals[:, : len(kept)] / cast
            overall = totals[:, : len(kept)].sum(axis=1) / cast.sum(axis=1)
            errors = np.sqrt(totals[:, 2 * len(kept) :] / cast.sum(axis=1)[:, None])
        return np.column_stack([overall, errors, by_question])

    names = ("vote_log_likelihood", "share_rmse", "mean_share_rmse", *(tree.questions[k].name for k in kept))
    whole = len(np.unique(codes[votes.sum(axis=1) > 0]))
    found = bootstrap_groups(
        statistic,
        groups,
        names,
        seed=seed,
        level=level,
        n_resamples=n_resamples,
        n_effective=[whole] * 3 + [with_votes[k] for k in kept],
    )
    texts = {question.name: f"{number}. {question.text}" for number, question in enumerate(tree.questions, 1)}
    return CountScores(
        len(counts),
        n_groups,
        int(votes.sum()),
        {name: found[name] for name in names[:3]},
        {name: found[name] for name in names[3:]},
        texts,
    )
