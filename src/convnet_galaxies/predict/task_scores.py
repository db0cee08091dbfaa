"""Scores of each task of model/tasks.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd

from convnet_galaxies.decision_tree import load_tree
from convnet_galaxies.measure.confusion import FlavorScores, confuse_flavors
from convnet_galaxies.measure.count_scores import CountScores, evaluate_counts
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.scores import LensScores, VoteScores, evaluate_lenses, evaluate_votes
from convnet_galaxies.model.targets import Target


@dataclass(frozen=True)
class PlainScores:
    """Figures by their label, for a task whose scores need no more than a table.

    n_images: that have a label.
    """

    figures: dict[str, Estimate]
    n_images: int


Scores: TypeAlias = VoteScores | CountScores | LensScores | FlavorScores | PlainScores
Scorer: TypeAlias = Callable[[Target, np.ndarray, pd.DataFrame, int], Scores]
"""Target, predictions float32 [n, ...], table [n] (all have a label) and seed to scores."""


def score_task(task: str, target: Target, answer: np.ndarray, table: pd.DataFrame, *, seed: int) -> Scores:
    """Return the scores of the predictions of one task against its target; rows without a label are skipped."""
    known = target.known
    labelled = Target(target.values[known], target.known[known], target.classes)
    return SCORERS[task](labelled, answer[known], table[known], seed)


def _score_votes(target: Target, answer: np.ndarray, table: pd.DataFrame, seed: int) -> Scores:
    tree = load_tree(target.classes)
    return evaluate_votes(target.values.numpy(), answer, table["group"].to_numpy(), tree=tree, seed=seed)


def _score_counts(target: Target, answer: np.ndarray, table: pd.DataFrame, seed: int) -> Scores:
    tree = load_tree(target.classes)
    shares, concentration = np.split(answer, [len(tree.columns)], axis=1)
    groups = table["group"].to_numpy()
    return evaluate_counts(target.values.numpy(), shares, concentration, groups, tree, seed=seed)


def _score_lens(target: Target, answer: np.ndarray, table: pd.DataFrame, seed: int) -> Scores:
    flavors, stages = (table[name].to_numpy() if name in table else None for name in ("flavor", "stage"))
    truth, groups = target.values.numpy() == 1, table["group"].to_numpy()
    return evaluate_lenses(truth, answer, groups, flavor=flavors, stage=stages, seed=seed)


def _score_classes(target: Target, answer: np.ndarray, table: pd.DataFrame, seed: int) -> Scores:
    predicted, groups = answer.argmax(axis=1), table["group"].to_numpy()
    return confuse_flavors(target.values.numpy(), predicted, groups, names=target.classes, seed=seed)


SCORERS: dict[str, Scorer] = {
    "counts": _score_counts,
    "counts-multinomial": _score_counts,
    "votes": _score_votes,
    "lens": _score_lens,
    "flavor": _score_classes,
    "types": _score_classes,
}
"""Scores by task; one for each of TASKS."""
