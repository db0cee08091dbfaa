"""Tables of astropy, and arrays of theirs, as columns of the few kinds that every format can hold."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.table import MaskedColumn, Table
from astropy.table.serialize import represent_mixins_as_columns

from convnet_galaxies.data.table_notes import add_units
from convnet_galaxies.errors import InputError


def to_frame(table: Table) -> pd.DataFrame:
    """Return the table with its units; a vector column gives a column each, a position one for each coordinate."""
    if table.has_mixin_columns:
        table = represent_mixins_as_columns(table)
    arrays = [(name, np.ma.asarray(table[name])) for name in table.colnames]
    units = {name: str(table[name].unit) for name in table.colnames if table[name].unit is not None}
    return frame_of_arrays(arrays, units)


def frame_of_arrays(arrays: Sequence[tuple[str, np.ma.MaskedArray]], units: Mapping[str, str]) -> pd.DataFrame:
    """Return columns from masked arrays [n] or [n, ...]; of the latter, each element gives a column ``name_1``,
    ``name_2``.

    Equal names stay equal.
    """
    given = {name for name, _ in arrays}
    columns: list[tuple[str, pd.Series]] = []
    for name, values in arrays:
        if values.ndim == 1:
            columns.append((name, _to_series(values)))
            continue
        flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
        for place in range(flat.shape[1]):
            column = f"{name}_{place + 1}"
            while column in given:
                column += "_"
            columns.append((column, _to_series(flat[:, place])))
    frame = pd.DataFrame(dict(enumerate(series for _, series in columns)))
    frame.columns = [name for name, _ in columns]
    return add_units(frame, units)


def encode_table(frame: pd.DataFrame, form: str, path: Path) -> bytes:
    """Return the bytes of a tidy table as FITS or VOTable. path: for messages.

    Raises InputError for what FITS cannot hold: text beyond ASCII, names of columns that differ by case alone.
    """
    table = Table({name: _astropy_column(frame[name], form) for name in frame})
    data = io.BytesIO()
    if form == "VOTable":
        table.write(data, format="votable")
        return data.getvalue()
    lowered = pd.Series(table.colnames).str.lower()
    if lowered.duplicated().any():
        raise InputError(
            f"{path}: found columns {table.colnames} of which some differ by case alone, which FITS cannot hold",
            "write CSV, Parquet or VOTable, or rename a column",
        )
    try:
        table.write(data, format="fits")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: found {error.object[error.start : error.end]!r}, but text in FITS is ASCII",
            "write CSV, Parquet or VOTable",
        ) from None
    return data.getvalue()


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
    """Decode bytes as UTF-8, or else as Latin-1."""
    try:
        return item.decode("utf-8").rstrip("\0 ")
    except UnicodeDecodeError:
        return item.decode("latin-1").rstrip("\0 ")


def _astropy_column(values: pd.Series, form: str) -> np.ndarray | MaskedColumn | list[str]:
    """Return the column as astropy writes it; where the format has no such whole number it is a text of the same
    digits."""
    missing = values.isna().to_numpy()
    is_unsigned = pd.api.types.is_unsigned_integer_dtype(values.dtype)
    if is_unsigned and (form == "VOTable" or missing.any()):
        return [str(value) if not gone else "" for value, gone in zip(values, missing, strict=True)]
    if pd.api.types.is_integer_dtype(values.dtype) and missing.any():
        whole = values.to_numpy(dtype=np.int64, na_value=0)
        unused = next(value for value in range(-(2**63), -(2**63) + len(whole) + 1) if value not in whole)
        return MaskedColumn(whole, mask=missing, fill_value=unused)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy()
    texts = values.fillna("").tolist()
    return texts if texts else np.empty(0, "U1")
