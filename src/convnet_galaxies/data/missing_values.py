"""The one list of words that stand for a missing value in the cells of a table."""

from __future__ import annotations

import numpy as np
import pandas as pd

MISSING_WORDS = frozenset(
    {
        "",
        "null",
        "(null)",
        "<null>",
        "#null!",
        "na",
        "n/a",
        "n.a.",
        "<na>",
        "#n/a",
        "#na",
        "none",
        "nan",
        "#num!",
        "#value!",
        "#div/0!",
        "nat",
        "nil",
        "\\n",
        "masked",
        "missing",
        "nodata",
        "no data",
        "not available",
    }
)
"""In any case, with spaces round them. Cells of nothing but dashes, dots or question marks count too (see below)."""

MISSING_MARKS = frozenset("-–—−.…?")
"""A cell that consists of these alone, such as ``-``, ``--``, ``...`` or ``?``, is missing."""

NAME_COLUMNS = (
    "file",
    "filename",
    "file_name",
    "file_loc",
    "image",
    "cutoutname",
    "object_name",
    "name",
    "id",
    "id_str",
    "iauname",
    "object_id",
    "objid",
    "dr8_id",
    "dr7objid",
    "subject_id",
)
"""Columns (in any case) that may name a row's image, with or without folders and ending; the best match is taken.

An image may be called ``NA`` or ``None``, so that only empty cells are missing in them.
"""


def is_missing_word(text: str) -> bool:
    """Return whether the text of a cell stands for a missing value."""
    word = text.strip().casefold()
    return word in MISSING_WORDS or MISSING_MARKS.issuperset(word)


def find_missing(values: pd.Series) -> np.ndarray:
    """Return whether each value is missing (bool [n]): null, NaN, or a text that stands for a missing value."""
    missing = values.isna().to_numpy(dtype=bool, copy=True)
    if is_text(values):
        texts = values.to_numpy(dtype=object)
        words = {text: is_missing_word(text) for text in set(texts[~missing]) if isinstance(text, str)}
        missing |= np.fromiter((words.get(text, False) for text in texts), bool, len(texts))
    return missing


def blank_missing(values: pd.Series) -> pd.Series:
    """Return the column with nothing where a value is missing (see find_missing)."""
    missing = find_missing(values)
    return values if not (missing & values.notna().to_numpy()).any() else values.mask(missing)


def is_text(values: pd.Series) -> bool:
    """Return whether the column may hold texts."""
    return bool(pd.api.types.is_string_dtype(values.dtype) or pd.api.types.is_object_dtype(values.dtype))
