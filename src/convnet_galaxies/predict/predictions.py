"""Predictions as a table: columns, and files written batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from convnet_galaxies.model.tasks import find_task


def column_names(classes: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the columns of a prediction table for the tasks of a network, ``id`` first."""
    columns = ["id"]
    for task, names in classes.items():
        columns += find_task(task).columns(names)
    return columns


def to_table(
    ids: Sequence[str],
    answers: Mapping[str, np.ndarray],
    classes: Mapping[str, Sequence[str]],
    familiarity: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return one row per image, in input order; float32 columns as in column_names, then familiarity where it is
    known."""
    blocks = [np.asarray(answers[task]).reshape(len(ids), -1) for task in classes]
    values = np.concatenate(blocks, axis=1) if blocks else np.empty((len(ids), 0), np.float32)
    table = pd.DataFrame(values.astype(np.float32), columns=column_names(classes)[1:])
    table.insert(0, "id", list(ids))
    if familiarity is not None:
        table["familiarity"] = familiarity.astype(np.float32)
    return table
