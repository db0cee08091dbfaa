"""Nearest neighbours of candidates in the features of a network."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pyarrow as pa

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.similarity import find_directions
from convnet_galaxies.paths import StrPath, name_some

_REMEMBERED = 8
_AT_ONCE = 8192


class Neighbours:
    """features: float [n, f], NaN in rows that have none. The last likenesses are kept.

    Directions are kept in half precision: 100,000 of 384 features take 77 MB, and cosines are right to 0.001.
    """

    def __init__(self, features: np.ndarray) -> None:
        self.has_features = np.isfinite(features).all(axis=1)
        self._directions = np.zeros(features.shape, np.float16)
        for rows in self._blocks():
            known = rows[self.has_features[rows]]
            self._directions[known] = find_directions(features[known])
        self.likeness = lru_cache(maxsize=_REMEMBERED)(self._measure_likeness)

    def _blocks(self) -> list[np.ndarray]:
        n = len(self.has_features)
        return [np.arange(start, min(start + _AT_ONCE, n)) for start in range(0, n, _AT_ONCE)]

    def _measure_likeness(self, row: int) -> np.ndarray:
        """Return the cosine of each candidate's angle to one, float32 [n], NaN where either has no features."""
        own = self._directions[row].astype(np.float32)
        cosine = np.concatenate([self._directions[rows].astype(np.float32) @ own for rows in self._blocks()])
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
    del embeddings
    pa.default_memory_pool().release_unused()  # what arrow read would stay with it
    return features
