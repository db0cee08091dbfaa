"""Columns that follow from predicted shares of answers: fractions of all volunteers, expected counts, intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnet_galaxies.data.vote_tree import fraction_of_all
from convnet_galaxies.decision_tree import load_tree
from convnet_galaxies.errors import UsageError
from convnet_galaxies.measure.vote_intervals import fraction_interval
from convnet_galaxies.model.tasks import CONCENTRATION, find_task
from convnet_galaxies.predict.predictor import Predictor

LEVEL = 0.9


def count_task(predictor: Predictor) -> str:
    """Return the task of a run that predicts counts of votes. Raises UsageError without one."""
    for task in predictor.classes:
        if task.startswith("counts"):
            return task
    have = ", ".join(predictor.classes)
    raise UsageError(
        f"--volunteers: found a run that predicts {have}, expected counts of votes",
        "leave the option out, or train on a pack of `pack votes`",
    )


def add_expected_votes(table: pd.DataFrame, predictor: Predictor, volunteers: int) -> pd.DataFrame:
    """Return predictions with four more columns per answer.

    ``_of-all``: fraction of all volunteers who give the answer; ``_expected``: how many of so many volunteers do;
    ``_low`` and ``_high``: where the fraction of so many volunteers lies who are all asked the question, in 90 % of
    cases (see fraction_interval).
    Raises UsageError when the run does not predict counts.
    """
    task = count_task(predictor)
    tree = load_tree(predictor.classes[task])
    columns = find_task(task).columns(predictor.classes[task])
    shares = table[columns[: len(tree.columns)]].to_numpy(float)
    concentration = table[[f"{question.name}{CONCENTRATION}" for question in tree.questions]].to_numpy(float)
    low, high = fraction_interval(shares, concentration[:, list(tree.question_of)], volunteers, LEVEL)
    whole = fraction_of_all(shares, tree)
    made = {}
    for k, column in enumerate(tree.columns):
        parts = {"of-all": whole[:, k], "expected": volunteers * whole[:, k], "low": low[:, k], "high": high[:, k]}
        made.update({f"{column}_{ending}": values.astype(np.float32) for ending, values in parts.items()})
    return pd.concat([table, pd.DataFrame(made, index=table.index)], axis=1)
