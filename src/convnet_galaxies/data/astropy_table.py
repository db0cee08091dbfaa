"""Tables of astropy, and arrays of theirs, as columns of the few kinds that every format can hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from astropy.table import Table
from astropy.table.serialize import represent_mixins_as_columns

from convnet_galaxies.data.table_notes import add_units


def to_frame(table: Table) -> pd.DataFrame:
    """The table with its units; a vector column gives a column each, a position one for each coordinate."""
    if table.has_mixin_columns:
        table = represent_mixins_as_columns(table)
    arrays = {name: np.ma.asarray(table[name]) for name in table.colnames}
    units = {name: str(table[name].unit) for name in table.colnames if table[name].unit is not None}
    return frame_of_arrays(arrays, units)


def frame_of_arrays(arrays: Mapping[str, np.ma.MaskedArray], units: Mapping[str, str]) -> pd.DataFrame:
    """Columns from masked arrays [n] or [n, ...]; of the latter, each element gives a column ``name_1``, ``name_2``."""
    columns: dict[str, pd.Series] = {}
    for name, values in arrays.items():
        if values.ndim == 1:
            columns[name] = _to_series(values)
            continue
        flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
        for place in range(flat.shape[1]):
            column = f"{name}_{place + 1}"
            while column in arrays or column in columns:
                column += "_"
            columns[column] = _to_series(flat[:, place])
    return add_units(pd.DataFrame(columns), units)


def _to_series(values: np.ma.MaskedArray) -> pd.Series:
    missing = np.ma.getmaskarray(values).copy()
    data = np.asarray(np.ma.getdata(values))
    if data.dtype.kind in "iub":
        data = data.astype(data.dtype.newbyteorder("="))
        if not missing.any():
            return pd.Series(data)
        if data.dtype.kind == "b":
            return pd.Series(pd.arrays.BooleanArray(data, missing))
        return pd.Series(pd.arrays.IntegerArray(data, missing))
    if data.dtype.kind == "f":
        data = data.astype(data.dtype.newbyteorder("="), copy=True)
        data[missing] = np.nan
        return pd.Series(data)
    cells = [None if gone else _to_cell(item) for item, gone in zip(data, missing, strict=True)]
    return pd.Series(cells, dtype=object)


def _to_cell(item: object) -> object:
    """Text as text; the numbers of an array of any length as one text."""
    if isinstance(item, bytes):
        return decode_bytes(item)
    if isinstance(item, np.ndarray | list | tuple):
        cells = [_to_cell(one) for one in np.asarray(item, dtype=object).ravel()]
        is_word = isinstance(item, np.ndarray) and item.dtype.kind in "SU"
        return ("" if is_word else " ").join(map(str, cells)).strip()
    return item


def decode_bytes(item: bytes) -> str:
    """Text of bytes in UTF-8, or else in Latin-1."""
    try:
        return item.decode("utf-8").rstrip("\0 ")
    except UnicodeDecodeError:
        return item.decode("latin-1").rstrip("\0 ")
