"""The words a Space Warps catalogue may use, and the tables that count them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from convnet_galaxies.data.tables import name_row
from convnet_galaxies.errors import InputError

VALUES: dict[str, tuple[str, ...]] = {
    "category": ("training", "test"),
    "kind": ("sim", "dud", "test"),
    "truth": ("LENS", "NOT", "UNKNOWN"),
    "flavor": ("dud", "test", "lensed galaxy", "lensing cluster", "lensed quasar"),
    "stage": ("1", "2"),
    "alpha": ("0", "1"),
}
"""Column and its words; capitals and spaces round them do not matter."""

ALWAYS_GIVEN = ("truth",)
"""Columns in which no value may be missing."""

_SPELLINGS = {"true": "1", "false": "0", "1.0": "1", "0.0": "0", "2.0": "2"}


def read_values(frame: pd.DataFrame, column: str, where: object) -> pd.Series:
    """Read one column in the spelling of VALUES (text [n], missing where it is); its name may be in any case.

    Raises InputError naming the first row whose value is none of the words.
    """
    words = {word.lower(): word for word in VALUES[column.lower()]}
    values = frame[column]
    texts = values.astype("str").str.strip().str.lower().str.replace(r"\s+", " ", regex=True)
    clean = texts.replace(_SPELLINGS).map(words)
    wrong = clean.isna() & (texts.notna() | (column.lower() in ALWAYS_GIVEN))
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        value = values.iloc[row]
        found = "nothing" if pd.isna(value) else repr(str(value))
        raise InputError(
            f"{where}, {name_row(frame, row)}, column {column}: found {found}, "
            f"expected one of {', '.join(words.values())} ({int(wrong.sum()):,} rows are like that)",
            "correct the catalogue",
        )
    return clean.astype("str")


def count_tables(table: pd.DataFrame, where: object = "catalogue") -> dict[str, pd.DataFrame]:
    """Return the tables that tell what a catalogue holds.

    table: with some of the columns of VALUES, as read_space_warps or read_table give it.
    Returns, as far as the columns are there:
    category, kind, truth, flavor: value, count;
    stage: stage, truth, alpha (only distinguished for LENS), count, percent_of_known (of the cutouts of the stage that
        are not UNKNOWN; NaN for UNKNOWN);
    lenses: stage, count, known, lenses, percent_lenses (of the known).
    """
    names = {name.lower(): name for name in table}
    clean = {column: read_values(table, names[column], where) for column in VALUES if column in names}
    out: dict[str, pd.DataFrame] = {
        column: _count(clean[column], VALUES[column])
        for column in ("category", "kind", "truth", "flavor")
        if column in clean
    }
    if "truth" in clean and "alpha" in clean:
        stage = clean.get("stage", pd.Series("", index=table.index)).fillna("")
        out["stage"], out["lenses"] = _count_stages(stage, clean["truth"], clean["alpha"])
    return out


def _count(values: pd.Series, words: tuple[str, ...]) -> pd.DataFrame:
    counts = values.value_counts()
    rows = [(word, int(counts[word])) for word in words if word in counts]
    if values.isna().any():
        rows.append(("(missing)", int(values.isna().sum())))
    return pd.DataFrame(rows, columns=["value", "count"])


def _count_stages(stage: pd.Series, truth: pd.Series, alpha: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    shown = alpha.where(truth == "LENS", "").fillna("")
    details, sums = [], []
    for name in sorted(stage.unique()):
        here = stage == name
        known = int((here & (truth != "UNKNOWN")).sum())
        for word in VALUES["truth"]:
            for value in ("", "0", "1"):
                count = int((here & (truth == word) & (shown == value)).sum())
                if count:
                    share = np.nan if word == "UNKNOWN" else 100 * count / known
                    details.append((name, word, value, count, share))
        lenses = int((here & (truth == "LENS") & (alpha == "1")).sum())
        sums.append((name, int(here.sum()), known, lenses, 100 * lenses / known if known else np.nan))
    return (
        pd.DataFrame(details, columns=["stage", "truth", "alpha", "count", "percent_of_known"]),
        pd.DataFrame(sums, columns=["stage", "count", "known", "lenses", "percent_lenses"]),
    )
