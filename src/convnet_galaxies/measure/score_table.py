"""The one table of scores. Evaluation, comparisons, studies, texts and pages take names, order and labels from here.

Another score is one entry of SCORES and its test (docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from convnet_galaxies.measure.ranking import (
    measure_auroc,
    measure_average_precision,
    measure_tpr,
    measure_tpr_at_rate,
)

PROBABILITY_FLOOR = 1e-7
"""Probabilities are kept this far from 0 and 1 in the log loss: the resolution of a float32 near 1."""
MOST_LOG_LOSS = -float(np.log(PROBABILITY_FLOOR))


@dataclass(frozen=True)
class Score:
    """One way to judge the predictions of a task.

    name: its key in results and JSON files. label: its name in tables and on pages; note: what the label leaves open.
    best: which values are better. most: the largest value there can be; all start at 0.
    task: ``lens``, ``votes``, ``counts`` or ``flavor``. function, by task and kind:

    - lens, ``ranking``: true and false positives above each cut, float [resamples, cuts] twice, to float [resamples];
    - lens, ``mean``: truth, bool [n], and probability, float [n], to float [n], whose mean over images is the score;
    - votes, ``mean``: truth and predicted votes, float [n, k] twice, to float [n, k], whose mean over images and
      columns is the score, after ``finish``;
    - counts: none; `evaluate_counts` computes them;
    - flavor: none; `confuse_flavors` counts them.

    is_baseline: whether it judges a constant answer, so that comparing two nets by it makes no sense.
    is_headline: whether a report shows it first, in large type.
    """

    name: str
    label: str
    best: Literal["high", "low"]
    task: Literal["lens", "votes", "counts", "flavor"]
    kind: Literal["ranking", "mean"]
    function: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    finish: Callable[[np.ndarray], np.ndarray] | None = None
    most: float = 1.0
    note: str = ""
    is_baseline: bool = False
    is_headline: bool = False


def measure_log_loss(truth: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return minus the natural logarithm of the probability of the truth, [n], finite also where it is 0."""
    kept = np.clip(probability, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return -np.log(np.where(truth, kept, 1 - kept))


_ALL = (
    Score("auroc", "AUROC", "high", "lens", "ranking", measure_auroc, is_headline=True),
    Score("average_precision", "average precision", "high", "lens", "ranking", measure_average_precision),
    Score(
        "tpr0",
        "TPR0",
        "high",
        "lens",
        "ranking",
        partial(measure_tpr, false_positives=1),
        note="completeness before the first false positive",
        is_headline=True,
    ),
    Score(
        "tpr10",
        "TPR10",
        "high",
        "lens",
        "ranking",
        partial(measure_tpr, false_positives=10),
        note="completeness before the tenth false positive",
    ),
    Score(
        "tpr_5_percent",
        "TPR at 5 % FPR",
        "high",
        "lens",
        "ranking",
        partial(measure_tpr_at_rate, rate=0.05),
        note="completeness at a false positive rate of at most 5 %",
    ),
    Score("log_loss", "log loss", "low", "lens", "mean", measure_log_loss, most=MOST_LOG_LOSS, is_headline=True),
    Score(
        "accuracy",
        "accuracy",
        "high",
        "lens",
        "mean",
        lambda truth, probability: (probability >= 0.5) == truth,
        note="at probability 0.5",
    ),
    Score(
        "always_no_accuracy",
        "accuracy of always no",
        "high",
        "lens",
        "mean",
        lambda truth, _: ~truth,
        is_baseline=True,
    ),
    Score(
        "rmse",
        "RMSE",
        "low",
        "votes",
        "mean",
        lambda truth, predicted: (truth - predicted) ** 2,
        finish=np.sqrt,
        note="over all votes",
        is_headline=True,
    ),
    Score(
        "mean_votes_rmse",
        "RMSE of always the mean votes",
        "low",
        "votes",
        "mean",
        lambda truth, _: (truth - truth.mean(axis=0)) ** 2,
        finish=np.sqrt,
        is_baseline=True,
    ),
    Score(
        "vote_log_likelihood",
        "log likelihood per vote",
        "high",
        "counts",
        "mean",
        most=0.0,
        note="in nats, Dirichlet-multinomial",
        is_headline=True,
    ),
    Score(
        "share_rmse",
        "RMSE of shares",
        "low",
        "counts",
        "mean",
        note="of the answers among the volunteers asked, each question by its votes",
    ),
    Score("mean_share_rmse", "RMSE of always the mean shares", "low", "counts", "mean", is_baseline=True),
    Score("flavor_accuracy", "accuracy", "high", "flavor", "mean", is_headline=True),
    Score("completeness", "completeness", "high", "flavor", "mean", note="of the images of a flavor, found as such"),
    Score("purity", "purity", "high", "flavor", "mean", note="of the images predicted as a flavor, of that flavor"),
)
SCORES = {score.name: score for score in _ALL}
"""Every score by its name, in the order of every table."""


def scores_of(task: str, *, kind: str | None = None, baselines: bool = True) -> dict[str, Score]:
    """Return the scores of a task by name, in the order of SCORES; of one kind, and without baselines where asked."""
    return {
        name: score
        for name, score in SCORES.items()
        if score.task == task and kind in (None, score.kind) and (baselines or not score.is_baseline)
    }
