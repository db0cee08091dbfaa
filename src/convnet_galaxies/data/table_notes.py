"""Keep notes of a reader in the ``attrs`` of a table: units, remarks, the tables of its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd


class TableInfo(NamedTuple):
    """One of the tables of a file. columns: their names; place: which extension or table of the file it is."""

    name: str
    rows: int
    columns: tuple[str, ...]
    place: int

    def __str__(self) -> str:
        rows, columns = self.rows, len(self.columns)
        return f"{self.name} ({rows:,} row{'s' * (rows != 1)}, {columns:,} column{'s' * (columns != 1)})"


def add_remarks(frame: pd.DataFrame, remarks: Iterable[str]) -> pd.DataFrame:
    """Return the frame itself, with one sentence more for each thing that the user should know."""
    frame.attrs["remarks"] = (*table_remarks(frame), *remarks)
    return frame


def table_remarks(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the remarks of the reader of this table, one sentence each."""
    return tuple(frame.attrs.get("remarks", ()))


def add_units(frame: pd.DataFrame, units: Mapping[str, str]) -> pd.DataFrame:
    """Return the frame itself, with the units that its file declares, by column."""
    frame.attrs["units"] = {**frame.attrs.get("units", {}), **units}
    return frame


def table_units(frame: pd.DataFrame) -> dict[str, str]:
    """Return the units that the file declares, by column, as it writes them."""
    return dict(frame.attrs.get("units", {}))


def missing_words(frame: pd.DataFrame, column: str) -> dict[str, int]:
    """Count the words of a text column that were read as missing."""
    return dict(frame.attrs.get("missing_words", {}).get(column, {}))


def choose_table(tables: Sequence[TableInfo], wanted: Sequence[Sequence[str]]) -> TableInfo:
    """Choose the table with most of the wanted columns; of equals the one with most rows, then columns, then the first.

    wanted: groups of lower-case names, of each of which one column is looked for.
    """

    def rank(table: TableInfo) -> tuple[int, int, int, int]:
        names = {name.lower() for name in table.columns}
        found = sum(not names.isdisjoint(group) for group in wanted)
        return found, table.rows, len(table.columns), -table.place

    return max(tables, key=rank)


def note_choice(frame: pd.DataFrame, tables: Sequence[TableInfo], chosen: TableInfo) -> pd.DataFrame:
    """Return the frame itself, with the other tables of its file noted."""
    if len(tables) > 1:
        place, names = tables.index(chosen) + 1, ", ".join(table.name for table in tables)
        frame.attrs["table"] = f"{chosen.name}, table {place} of {len(tables)} ({names})"
        add_remarks(frame, [f"{chosen.name} is read, of {len(tables)} tables: {', '.join(map(str, tables))}"])
    return frame


def name_table(frame: pd.DataFrame, path: object) -> str:
    """Return the file, and which of its tables where it holds several, for messages."""
    return ", ".join(map(str, (path, frame.attrs["table"]) if "table" in frame.attrs else (path,)))
