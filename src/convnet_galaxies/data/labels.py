"""Labels in a table: yes or no in any spelling, or flavors; and which columns look like labels."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

import numpy as np
import pandas as pd

from convnet_galaxies.data.missing_values import NAME_COLUMNS, find_missing
from convnet_galaxies.data.table_notes import missing_words
from convnet_galaxies.data.tables import name_row
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import name_some

_YES_FLAGS, _NO_FLAGS = frozenset({"1", "true", "t", "yes", "y"}), frozenset({"0", "false", "f", "no", "n"})
_YES_WORDS = frozenset({"lens", "lensed", "islens", "alens", "positive"})
_NO_WORDS = frozenset(
    {"not", "nonlens", "notlens", "notalens", "nolens", "nonlensed", "notlensed", "unlensed", "negative"}
)

YES, NO = _YES_FLAGS | _YES_WORDS, _NO_FLAGS | _NO_WORDS
"""Words of a label, in lower case without spaces, dashes and underscores, that make it a lens label."""

UNKNOWN = frozenset({"unknown", "unlabelled", "unlabeled"})
"""Words of a label, beside those for missing values, for what is not known."""

SENTINELS = (-9.0, -99.0, -999.0, -9999.0, -99999.0)
"""Numbers that stand for a missing label; no label has them as a value."""

MOST_FLAVORS = 20
"""A text column of more different values is not taken for one of labels unasked."""

_LABEL_NAMES = re.compile(
    r"(is|has)?_?(\w+_)?(lens|lensed|label|labels|class|classes|target_class|truth|flavou?r|morphology|morph|"
    r"category|classification|kind|type|answer|y)(_?(flag|label|class|type|kind|code))?",
)


def read_label(frame: pd.DataFrame, column: str, where: object) -> dict[str, object]:
    """Read the label column as ``{"lens": float [n]}`` or ``{"flavor_label": text [n]}``; NaN or nothing where missing.

    It is a lens label when every value is one of YES and NO, whatever its case, or a number that is 1 or 0; any
    other texts are flavors. Missing are the words of missing_values.py, UNKNOWN and SENTINELS.
    Raises InputError for other numbers, for flags (1, yes, false ...) among which another word stands, and when no
    label is present.
    """
    values = frame[column]
    words = _words_of(values)
    known = np.array([word is not None for word in words])
    if not known.any():
        raise InputError(f"{where}, column {column}: found no label in {len(frame):,} rows", "choose another column")
    present = {word for word in words if word is not None}
    if present <= YES | NO:
        return {"lens": np.array([np.nan if word is None else float(word in YES) for word in words])}
    strangers = np.array([word is not None and word not in YES | NO for word in words])
    row = int(np.flatnonzero(strangers)[0])
    place = f"{where}, {name_row(frame, row)}, column {column}: found {values.iloc[row]}"
    more = f" ({int(strangers.sum()):,} rows are like that)"
    if pd.api.types.is_numeric_dtype(values):
        raise InputError(
            f"{place}, expected 0 or 1, or a text{more}", "make a column of 0 and 1, for instance by a threshold"
        )
    if present & _YES_FLAGS and present & _NO_FLAGS:
        raise InputError(
            f"{place}, expected yes or no as in the other rows ({name_some(sorted(present & (YES | NO)))}){more}",
            "correct it, leave the cell empty where the label is not known, or give every class a name of its own",
        )
    texts = values.astype("str").str.strip()
    return {"flavor_label": texts.where(known, other=None)}


def remark_on_labels(frame: pd.DataFrame, column: str, label: dict[str, object]) -> list[str]:
    """Count the rows without a label, and list the words that were read as missing."""
    lacking = int(pd.isna(pd.Series(next(iter(label.values())))).sum())
    if not lacking:
        return []
    words = missing_words(frame, column)
    written = f" (missing are {name_some([repr(word) for word in words])} in column {column})" if words else ""
    return [f"{lacking:,} of {len(frame):,} {'has' if lacking == 1 else 'have'} no label{written}"]


def remark_on_unread_labels(frame: pd.DataFrame, where: object, taken: Collection[str]) -> list[str]:
    """Name columns that look like labels if none is read, and the option. taken: columns of another purpose."""
    found = find_labels(frame, taken)
    if not found:
        return []
    columns = [f"{column} ({text})" for column, text in found.items()]
    option = label_option(next(iter(found)))
    if len(found) == 1:
        return [f"{where}: column {columns[0]} looks like a label and is not read as one; pass {option} to learn it"]
    return [
        f"{where}: columns {name_some(columns)} look like labels and none is read as one; pass {option}, or another, "
        "to learn it"
    ]


def label_option(column: str) -> str:
    """Return the option that makes a column the label."""
    return f"--label {shlex.quote(column)}"


def find_labels(frame: pd.DataFrame, taken: Collection[str] = ()) -> dict[str, str]:
    """Find columns that look like labels, by their names or else by values of yes and no, and what they hold."""
    by_name, by_value = {}, {}
    for column in frame:
        if column.lower() in NAME_COLUMNS or column in taken:
            continue
        present = {word for word in _words_of(frame[column], most=MOST_FLAVORS) if word is not None}
        if not present or len(present) > MOST_FLAVORS:
            continue
        is_answer = present <= YES | NO
        is_flavor = not is_answer and not pd.api.types.is_numeric_dtype(frame[column]) and len(present) > 1
        text = name_some(sorted(present), 4)
        if _is_label_name(column) and (is_answer or (is_flavor and len(present) <= max(2, len(frame) // 2))):
            by_name[column] = text
        elif is_answer and len(present) > 1:
            by_value[column] = text
    return by_name or by_value


def _is_label_name(column: str) -> bool:
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column).lower()
    return bool(_LABEL_NAMES.fullmatch(re.sub(r"\W+", "_", name).strip("_")))


def _words_of(values: pd.Series, most: int | None = None) -> list[str | None]:
    """Each label in the spelling of YES and NO, None where it is missing.

    most: when the column has more different values it is not gone through, and gives no words.
    """
    missing = find_missing(values)
    if most is not None and values.nunique() > most + len(UNKNOWN) + len(SENTINELS):
        return []
    if pd.api.types.is_bool_dtype(values.dtype):
        return [None if gone else str(int(value)) for value, gone in zip(values, missing, strict=True)]
    spelled: dict[object, str | None] = {}
    for value in values[~missing].unique():
        spelled[value] = _spell(value)
    return [None if gone else spelled[value] for value, gone in zip(values, missing, strict=True)]


def _spell(value: object) -> str | None:
    text = str(value).strip().casefold()
    try:
        number = float(text)
    except ValueError:
        word = re.sub(r"[\s_\-–]+", "", text)
        return None if word in UNKNOWN else word if word in YES | NO else text
    if number in SENTINELS or np.isnan(number):
        return None
    return str(int(number)) if number in (0, 1) else text
