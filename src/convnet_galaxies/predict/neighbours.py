"""Images that look alike to a network, and images that look like no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.similarity import find_directions, find_similar, measure_isolation
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.embeddings import Embeddings
from convnet_galaxies.predict.familiarity import read_familiarity
from convnet_galaxies.runs.folder import RunFolder, run_path

By = Literal["familiarity", "isolation"]


def find_neighbours(embeddings: Embeddings, names: Sequence[str], *, number: int = 20) -> pd.DataFrame:
    """Return the images most similar to those of the given ids, without these: columns id and similarity.

    similarity: cosine of the angle between directions (measure/similarity.py), at most 1; to several ids, that to the
    mean of their directions. Raises InputError for an id that is not among the images, UsageError for none.
    """
    if not names:
        raise UsageError("similar: found no id, expected at least one", "give the id of an image with --to")
    rows = [embeddings.row_of(name) for name in names]
    directions = find_directions(embeddings.features)
    order, similarity = find_similar(directions, directions[rows].mean(axis=0))
    is_other = ~np.isin(order, rows)
    order, similarity = order[is_other][:number], similarity[is_other][:number]
    return pd.DataFrame({"id": [embeddings.ids[row] for row in order], "similarity": similarity.astype(float)})


def rank_unusual(embeddings: Embeddings, run: StrPath, *, by: By | None = None, number: int = 20) -> pd.DataFrame:
    """Return the most unusual images first: columns id, and familiarity or isolation.

    by: ``familiarity``, the fraction of the known images of the run that look at least as unusual, or ``isolation``,
    the mean distance (1 - cosine) to the ten nearest of these images, for images that are unusual among their own.
    None takes familiarity where the run has it. Images of equal familiarity (0 to float32) are ordered by distance.
    Raises InputError for a run without familiarity.
    """
    folder = RunFolder(run_path(run))
    model = read_familiarity(folder.familiarity, folder.weights)
    by = by or ("isolation" if model is None else "familiarity")
    if by == "isolation":
        value = measure_isolation(find_directions(embeddings.features))
        order = np.argsort(-value, kind="stable")[:number]
    else:
        if model is None:
            raise InputError(
                f"{run}: has no familiarity, expected it for --by familiarity",
                f"fit it with `familiarity {run} PACK`, or rank by --by isolation",
            )
        value = model.familiarity(embeddings.features, embeddings.views)
        order = np.argsort(-model.distribution.distance(embeddings.features), kind="stable")[:number]
    return pd.DataFrame({"id": [embeddings.ids[row] for row in order], by: value[order].astype(float)})
