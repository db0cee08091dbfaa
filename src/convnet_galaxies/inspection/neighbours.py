"""Nearest neighbours of candidates in the features of a network, by the angle between centred features."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath, name_some

_REMEMBERED = 8


class Neighbours:
    """features: float [n, d], NaN in rows that have none. The last likenesses are kept."""

    def __init__(self, features: np.ndarray) -> None:
        features = np.asarray(features, np.float32)
        self.has_features = np.isfinite(features).all(axis=1)
        centred = features - (features[self.has_features].mean(axis=0) if self.has_features.any() else 0)
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        self._unit = np.nan_to_num(np.divide(centred, length, out=np.zeros_like(centred), where=length > 0))
        self.likeness = lru_cache(maxsize=_REMEMBERED)(self._likeness)

    def _likeness(self, row: int) -> np.ndarray:
        """Return the cosine of each candidate's angle to one, float32 [n], NaN where either has no features."""
        cosine = self._unit @ self._unit[row]
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
    """Read features of candidates from a table with the column id and a number per column, float32 [n, d].

    Rows of other ids are passed over; candidates without a row get NaN. Raises InputError where none matches.
    """
    table = read_table(path)
    if "id" not in table:
        raise InputError(f"{path}: found no column id among {name_some(list(table))}", "give what `predict` wrote")
    columns = [name for name in table if name != "id" and pd.api.types.is_float_dtype(table[name])]
    by_id = table.assign(id=table["id"].astype("str")).drop_duplicates("id").set_index("id")[columns]
    features = by_id.reindex(ids).to_numpy(np.float32)
    if not columns or not np.isfinite(features).any():
        raise InputError(
            f"{path}: found features of none of the {len(ids):,} candidates ({name_some(ids.tolist(), 3)}), expected "
            "the same ids",
            "give the features of these candidates",
        )
    return features
