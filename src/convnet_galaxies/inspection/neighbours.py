"""Nearest neighbours of candidates in the features of a network."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.similarity import find_directions
from convnet_galaxies.paths import StrPath, name_some

_REMEMBERED = 8


class Neighbours:
    """features: float [n, f], NaN in rows that have none. The last likenesses are kept."""

    def __init__(self, features: np.ndarray) -> None:
        self.has_features = np.isfinite(features).all(axis=1)
        self._directions = find_directions(np.where(self.has_features[:, None], features, 0))
        self.likeness = lru_cache(maxsize=_REMEMBERED)(self._measure_likeness)

    def _measure_likeness(self, row: int) -> np.ndarray:
        """Return the cosine of each candidate's angle to one, float32 [n], NaN where either has no features."""
        cosine = self._directions @ self._directions[row]
        return np.where(self.has_features & self.has_features[row], cosine, np.nan)

    def nearest(self, row: int, number: int) -> np.ndarray:
        """Return the candidates that look most like one, int [<= number], the likest first, without itself."""
        likeness = self.likeness(row).copy()
        likeness[row] = np.nan
        known = np.flatnonzero(np.isfinite(likeness))
        number = min(number, len(known))
        best = known[np.argpartition(-likeness[known], number - 1)[:number]] if number else known[:0]
        return best[np.argsort(-likeness[best], kind="stable")]


def read_features(path: StrPath, ids: pd.Series) -> np.ndarray:
    """Read features of candidates from a file of `predict --embeddings`, float32 [n, f], NaN for those that it lacks.

    Raises InputError for another kind of file, and where it has none of the candidates.
    """
    from convnet_galaxies.predict.embeddings import read_embeddings

    embeddings = read_embeddings(path)
    rows = pd.Index(embeddings.ids).get_indexer(pd.Index(ids))
    if (rows < 0).all():
        raise InputError(
            f"{path}: found features of none of the {len(ids):,} candidates ({name_some(ids.tolist(), 3)}), expected "
            f"the same ids, not {name_some(embeddings.ids, 3)}",
            "write the features of these candidates with `predict --embeddings`",
        )
    features = np.full((len(ids), embeddings.features.shape[1]), np.nan, np.float32)
    features[rows >= 0] = embeddings.features[rows[rows >= 0]]
    return features
