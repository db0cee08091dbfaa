"""Columns of tables: of the few kinds that every format can hold, with whole numbers exact to the last digit.

A column is one of: int64, or uint64 where numbers lie above its range; their nullable kinds Int64 and UInt64 where
some are missing; float64 or float32; bool; text. Whole numbers beyond 64 bits stay text, so that no digit is lost.
Truth values of which some are missing become float64 (1, 0, NaN).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

from convnet_galaxies.data.missing_values import is_missing_word
from convnet_galaxies.errors import InputError

_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_WHOLE_AS_FLOAT = re.compile(r"[+-]?\d+\.0*", re.ASCII)
_NAME_LIKE = re.compile(r"_|^[+-]?0\d", re.ASCII | re.MULTILINE)
_EXACT_IN_FLOAT64 = 2**53


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with columns of the kinds above; no value is changed. Of its notes that on votes is kept."""
    columns = {str(name): _tidy_column(frame[name]) for name in frame}
    made = pd.DataFrame(columns, index=pd.RangeIndex(len(frame)))
    made.attrs = {name: note for name, note in frame.attrs.items() if name == "votes"}
    return made


def require_single_names(names: Sequence[str], where: object) -> None:
    """Raise InputError for a name that stands twice among the columns."""
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise InputError(f"{where}: found the column {twice[0]} twice, expected each name once", "rename one of them")


def whole_column(values: Sequence[int], missing: np.ndarray) -> np.ndarray | pd.api.extensions.ExtensionArray | None:
    """Return Python's whole numbers as a column, or None where no kind of 64 bits holds them all.

    values: of the rows that are not missing (bool [n]).
    """
    low, high = min(values, default=0), max(values, default=0)
    if low >= -(2**63) and high < 2**63:
        dtype: type[np.integer] = np.int64
    elif low >= 0 and high < 2**64:
        dtype = np.uint64
    else:
        return None
    found = np.zeros(len(missing), dtype)
    found[~missing] = np.array(values, dtype)
    return pd.arrays.IntegerArray(found, missing.copy()) if missing.any() else found


def infer_column(texts: Sequence[str]) -> pd.Series:
    """Return texts as a column of numbers or truth values when each that is not missing reads as one, else as text.

    Numbers with leading zeros are names, and whole numbers of more than 64 bits stay text; texts keep the words of
    missing values, all but empty ones.
    """
    missing = np.zeros(len(texts), bool)
    found = None
    read = _read_floats(texts)
    if read is None or np.isnan(read).any():
        words = {text: is_missing_word(text) for text in set(texts)}
        missing = np.fromiter((words[text] for text in texts), bool, len(texts))
        texts_present = [text for text, gone in zip(texts, missing, strict=True) if not gone]
        read = _read_floats(texts_present)
    else:
        texts_present = list(texts)
    if texts_present:
        found = _infer_truth(texts_present, missing) if read is None else _infer_numbers(texts_present, read, missing)
    return text_column(texts) if found is None else pd.Series(found)


def text_column(texts: Sequence[str]) -> pd.Series:
    """Return texts, and nothing where they are empty."""
    return pd.Series(pd.array([text or None for text in texts], dtype=pd.StringDtype(na_value=np.nan)))


def read_whole_numbers(values: pd.Series) -> list[int | None]:
    """Read each value as an exact whole number, or None where it is missing, no number or not whole."""
    if pd.api.types.is_integer_dtype(values.dtype):
        return [None if pd.isna(value) else int(value) for value in values]
    return [_read_whole(value) for value in values]


def _read_whole(value: object) -> int | None:
    if isinstance(value, bool | np.bool_) or pd.isna(value):
        return None
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating | Decimal):
        return int(value) if np.isfinite(float(value)) and value == int(value) else None
    text = str(value).strip()
    if _WHOLE.fullmatch(text) or _WHOLE_AS_FLOAT.fullmatch(text):
        return int(text.split(".")[0])
    return None


def _read_floats(texts: Sequence[str]) -> np.ndarray | None:
    """float64 [n], or None where one is no number or is a catalogue number such as 007 or 12_3."""
    try:
        read = np.array(texts, dtype=object).astype(float)
    except ValueError:
        return None
    joined = "\n".join(texts)
    return None if _NAME_LIKE.search(joined) or not joined.isascii() else read


def _infer_truth(texts: list[str], missing: np.ndarray) -> np.ndarray | None:
    if not {text.lower() for text in set(texts)} <= {"true", "false"}:
        return None
    truth = np.array([text.lower() == "true" for text in texts])
    return _spread(truth, missing) if missing.any() else truth


def _infer_numbers(
    texts: list[str], read: np.ndarray, missing: np.ndarray
) -> np.ndarray | pd.api.extensions.ExtensionArray | None:
    """Return the present numbers, spread over all rows; None where a whole number has more than 64 bits."""
    if all(map(_WHOLE.fullmatch, texts)):
        return whole_column([int(text) for text in texts], missing)
    if (np.abs(read) > _EXACT_IN_FLOAT64).any() and all(
        _WHOLE.fullmatch(text) or _WHOLE_AS_FLOAT.fullmatch(text) for text in texts
    ):
        return whole_column([int(text.split(".")[0]) for text in texts], missing)
    return _spread(read, missing)


def _spread(present: np.ndarray, missing: np.ndarray) -> np.ndarray:
    out = np.full(len(missing), np.nan)
    out[~missing] = present
    return out


def _tidy_column(values: pd.Series) -> np.ndarray | pd.api.extensions.ExtensionArray:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    dtype = values.dtype
    missing = values.isna().to_numpy(dtype=bool)
    if pd.api.types.is_bool_dtype(dtype):
        return values.to_numpy(dtype=float, na_value=np.nan) if missing.any() else values.to_numpy(dtype=bool)
    if pd.api.types.is_integer_dtype(dtype):
        unsigned = pd.api.types.is_unsigned_integer_dtype(dtype)
        kind = np.uint64 if unsigned and (values.max() >= 2**63 if not missing.all() else False) else np.int64
        whole = values.to_numpy(dtype=kind, na_value=0) if missing.any() else values.to_numpy(dtype=kind)
        return pd.arrays.IntegerArray(whole.copy(), missing) if missing.any() else whole
    if pd.api.types.is_float_dtype(dtype):
        wide = values.to_numpy(dtype=np.float32 if dtype == np.float32 else np.float64, na_value=np.nan)
        return wide.astype(wide.dtype.newbyteorder("="), copy=False)
    items = values.to_numpy(dtype=object)
    found = _tidy_objects([item for item, gone in zip(items, missing, strict=True) if not gone], missing)
    if found is not None:
        return found
    texts = [
        None if gone or _as_text(item) == "" else _as_text(item) for item, gone in zip(items, missing, strict=True)
    ]
    return pd.array(texts, dtype=pd.StringDtype(na_value=np.nan))


def _tidy_objects(present: list[object], missing: np.ndarray) -> np.ndarray | pd.api.extensions.ExtensionArray | None:
    """A column of Python's numbers or truth values; None where some are neither."""
    numeric = (bool, np.bool_, int, float, np.number, Decimal)
    if not present or not all(isinstance(item, numeric) for item in present):
        return None
    if all(isinstance(item, bool | np.bool_) for item in present):
        truth = np.array(present, dtype=bool)
        return _spread(truth, missing) if missing.any() else truth
    if all(isinstance(item, int | np.integer) or (isinstance(item, Decimal) and item == int(item)) for item in present):
        whole = [int(item) for item in present]  # type: ignore[call-overload]
        column = whole_column(whole, missing)
        if column is not None:
            return column
        texts = iter(whole)
        return pd.array([None if gone else str(next(texts)) for gone in missing], dtype=pd.StringDtype(na_value=np.nan))
    return _spread(np.array([float(item) for item in present]), missing)  # type: ignore[arg-type]


def _as_text(item: object) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
