"""The 37 vote fractions as a table: read, checked against the tree, written as a submission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.columns import read_whole_numbers
from convnet_galaxies.data.missing_values import find_missing
from convnet_galaxies.data.table_notes import add_remarks, name_table, table_remarks
from convnet_galaxies.data.tables import name_row, numbers, read_table, write_table
from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS, DecisionTree
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import name_some

TOLERANCE = 1e-5
"""Published rows miss a sum or the range [0, 1] by rounding up to about this much."""


@dataclass(frozen=True)
class TreeCheck:
    """Deviations of vote fractions from the sums of a tree, one per question.

    rows: number of rows checked.
    broken_rows: for each question, in how many rows its answers miss their sum by more than the tolerance.
    largest_deviation: for each question, the largest absolute difference between its answers' sum and what it
        should be, over all rows.
    broken_anywhere: number of rows that break at least one sum.
    tolerance: beyond which a sum counts as broken.
    """

    rows: int
    broken_rows: tuple[int, ...]
    largest_deviation: tuple[float, ...]
    broken_anywhere: int
    tolerance: float = TOLERANCE

    @property
    def is_sound(self) -> bool:
        """Return whether no row breaks a sum."""
        return not self.broken_anywhere

    def __str__(self) -> str:
        if self.is_sound:
            return f"all {self.rows:,} rows keep the {len(self.broken_rows)} sums of the tree within {self.tolerance:g}"
        broken = [
            f"question {question + 1} in {count:,} (by up to {self.largest_deviation[question]:.2g})"
            for question, count in enumerate(self.broken_rows)
            if count
        ]
        return (
            f"{self.broken_anywhere:,} of {self.rows:,} rows break a sum of the tree by more than {self.tolerance:g}: "
            + ", ".join(broken)
        )


def check_tree(votes: np.ndarray, tolerance: float = TOLERANCE, *, tree: DecisionTree = KAGGLE) -> TreeCheck:
    """Compare the sum of each question's answers with the fraction of volunteers who were asked it.

    votes: float [n, answers] in the order of the tree's columns: fractions of all volunteers.
    """
    deviation = np.empty((len(votes), len(tree.questions)))
    for question, (answers, parents) in enumerate(zip(tree.slices, tree.parents, strict=True)):
        above = votes[:, list(parents)]
        given = votes[:, answers].sum(axis=1)
        most = above.sum(axis=1) if parents else np.ones(len(votes))
        # Answers of several questions may come from the same volunteers.
        least = above.max(axis=1) if len({tree.question_of[one] for one in parents}) > 1 else most
        deviation[:, question] = np.maximum(given - most, least - given)
    broken = deviation > tolerance
    largest = deviation.max(axis=0, initial=0.0)
    return TreeCheck(
        rows=len(votes),
        broken_rows=tuple(int(count) for count in broken.sum(axis=0)),
        largest_deviation=tuple(float(value) for value in largest),
        broken_anywhere=int(broken.any(axis=1).sum()),
        tolerance=tolerance,
    )


def read_votes(path: Path) -> pd.DataFrame:
    """Read solutions or a submission as a table: GalaxyID (int64), then the 37 columns (float64) in the tree's order.

    Raises InputError for a wrong header, a GalaxyID that is no whole number or stands twice, a vote that is no
    finite number or outside [0, 1]. The sums of the tree are not judged here: see check_tree.
    """
    columns = ("GalaxyID", *VOTE_COLUMNS)
    frame = read_table(path, wanted=[(column.lower(),) for column in columns])
    where = name_table(frame, path)
    missing = [column for column in columns if column not in frame]
    unknown = [column for column in frame if column not in columns]
    if missing or unknown:
        parts = [f"no {name_some(missing)}"] if missing else []
        parts += [f"unknown {name_some(unknown)}"] if unknown else []
        raise InputError(
            f"{where}, header: found {' and '.join(parts)}, expected GalaxyID and the 37 columns Class1.1 ... "
            "Class11.6",
            "give the solutions as Kaggle published them (training_solutions_rev1)",
        )
    if not len(frame):
        raise InputError(f"{where}: found a header and no rows, expected one row for each galaxy", "fetch it again")
    ids = whole_numbers(frame, "GalaxyID", where)
    votes = {
        column: numbers(frame, column, where, low=-TOLERANCE, high=1 + TOLERANCE, row_name="GalaxyID")
        for column in VOTE_COLUMNS
    }
    return add_remarks(pd.DataFrame({"GalaxyID": ids, **votes}), table_remarks(frame))


def whole_numbers(frame: pd.DataFrame, column: str, where: object) -> np.ndarray:
    """Return a column of unique ids as int64 [n], or uint64 where they lie above its range, exact to the last digit.

    Raises InputError naming the row where one is no whole number of 64 bits, or a double.
    """
    values = frame[column]
    whole = read_whole_numbers(values)
    low, high = (0, 2**64) if any(one is not None and one >= 2**63 for one in whole) else (-(2**63), 2**63)
    rows = [row for row, one in enumerate(whole) if one is None or not low <= one < high]
    if rows:
        gone, value = find_missing(values)[rows[0]], values.iloc[rows[0]]
        is_number = not np.isnan(pd.to_numeric(values.iloc[rows[:1]], errors="coerce").to_numpy(float)[0])
        raise InputError(
            f"{where}, {name_row(frame, rows[0])}, column {column}: found "
            f"{'nothing' if gone else repr(value) if isinstance(value, str) else value}, "
            f"expected a {'whole ' * is_number}number",
            "correct the table",
        )
    ids = np.array(whole, dtype=np.uint64 if high == 2**64 else np.int64)
    twice = np.flatnonzero(pd.Series(ids).duplicated().to_numpy())
    if len(twice):
        first = int(np.flatnonzero(ids == ids[twice[0]])[0])
        raise InputError(
            f"{where}, row {twice[0] + 1}: found {column} {ids[twice[0]]} again (first in row {first + 1}), "
            f"expected each once; {len(twice):,} rows are doubles",
            "remove the doubles",
        )
    return ids


def write_submission(
    path: Path, ids: Sequence[object], votes: np.ndarray, *, sample: Path | None = None, force: bool = False
) -> None:
    """Write the CSV that Kaggle takes: GalaxyID and 37 columns, in the sample's order (else by ascending id).

    ids: GalaxyID of each row, int or text [n]; votes: float [n, 37]; sample: Kaggle's sample file, zipped or not.
    Raises InputError when ids are no whole numbers, stand twice, or are not exactly those of the sample, or when
    a vote is not finite.
    """
    if votes.shape != (len(ids), len(VOTE_COLUMNS)):
        raise ValueError(f"votes have the shape {votes.shape}, expected {(len(ids), len(VOTE_COLUMNS))}")
    table = pd.DataFrame({"GalaxyID": pd.Series(list(ids)), **dict(zip(VOTE_COLUMNS, votes.T, strict=True))})
    table["GalaxyID"] = whole_numbers(table, "GalaxyID", "predictions")
    bad = np.flatnonzero(~np.isfinite(votes).all(axis=1))
    if len(bad):
        raise InputError(
            f"predictions, GalaxyID {table['GalaxyID'].iloc[bad[0]]}: found votes that are not finite, "
            "expected 37 numbers",
            "predict again, with another run",
        )
    table = table.sort_values("GalaxyID", ignore_index=True)
    if sample is not None:
        order = read_votes(sample)["GalaxyID"]
        absent = order[~order.isin(table["GalaxyID"])]
        extra = table["GalaxyID"][~table["GalaxyID"].isin(order)]
        if len(absent) or len(extra):
            raise InputError(
                f"{sample}: lists {len(order):,} galaxies; found {len(absent):,} of them without a prediction "
                f"({name_some(absent.astype(str).tolist())}) and {len(extra):,} predictions beyond the list "
                f"({name_some(extra.astype(str).tolist())})",
                "predict for exactly the test images of the competition",
            )
        table = table.set_index("GalaxyID").loc[order].reset_index()
    write_table(path, table, force=force)
