"""Subjects of an export: their ids and why they are retired, from cells that repeat in every row of a subject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from pydantic_core import from_json

from convnet_galaxies.data.tables import TEXT_COLUMNS, read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import name_some

HIDDEN = "#!/&%- "
"""Signs before names of metadata: # hides from volunteers, ! and // from the page of classification alone."""

SEVERAL, WITHOUT_ID = -1, -2


class Subjects:
    """Numbers subjects from 0.

    id_name: metadata that is the id, with or without the signs before it, in any case; None takes Zooniverse's number.
    """

    def __init__(self, id_name: str | None) -> None:
        self._wanted = None if id_name is None else bare_name(id_name)
        self._by_cell: dict[tuple[int, bytes], int] = {}
        self._numbers: dict[str, int] = {}
        self._ids: list[str] = []
        self._subject_ids: list[str] = []
        self._retired: list[str] = []

    def find(self, cell: bytes, subject_ids: bytes) -> int:
        """Return the number of a row's subject; SEVERAL or WITHOUT_ID where there is not exactly one with an id.

        cell: ``subject_data``; subject_ids: of the column, empty where it is not there.
        Raises ValueError for a cell that is no JSON object.
        """
        # Most cells were there before: their hash stands for them, since a million subjects have 500 MB of metadata.
        key = (hash(cell), subject_ids)
        number = self._by_cell.get(key)
        if number is None:
            number = self._by_cell[key] = self._parse(cell, subject_ids)
        return number

    def _parse(self, cell: bytes, subject_ids: bytes) -> int:
        data = from_json(cell)
        if not isinstance(data, dict):
            raise ValueError("subject_data is no object")
        names = [name for name in subject_ids.decode("utf-8", "replace").replace(";", ",").split(",") if name.strip()]
        subject_id = names[0].strip() if len(names) == 1 else next(iter(data), "") if not names else ""
        if len(names) > 1 or len(data) != 1 or not subject_id:
            return SEVERAL
        about = next(iter(data.values()))
        about = about if isinstance(about, dict) else {}
        own = subject_id if self._wanted is None else find_metadata(about, self._wanted)
        if own is None:
            return WITHOUT_ID
        number = self._numbers.get(subject_id)
        if number is None:
            number = self._numbers[subject_id] = len(self._ids)
            self._ids.append(own)
            self._subject_ids.append(subject_id)
            self._retired.append("")
        self._retired[number] = _name_retirement(about.get("retired")) or self._retired[number]
        return number

    def table(self) -> pd.DataFrame:
        """Return id, subject_id and retired (all str) of each subject."""
        columns = {"id": self._ids, "subject_id": self._subject_ids, "retired": self._retired}
        return pd.DataFrame(columns, dtype="str")


def bare_name(name: str) -> str:
    """Return a name of metadata without the signs before it, in lower case."""
    return name.strip().lstrip(HIDDEN).strip().casefold()


def find_metadata(about: dict[str, Any], wanted: str) -> str | None:
    """Return the metadata of a bare name as text; None where it is absent, null or empty."""
    for name, value in about.items():
        if bare_name(name) == wanted and value is not None and str(value).strip():
            return str(value).strip()
    return None


def read_key(path: Path) -> dict[str, str]:
    """Read what subjects are under names of our own: a table with id and source_id, as `zooniverse subjects` writes.

    Raises InputError for a table without them, or with an id twice.
    """
    table = read_table(path, text_columns=(*TEXT_COLUMNS, "source_id"))
    missing = [name for name in ("id", "source_id") if name not in table]
    if missing:
        raise InputError(
            f"{path}: found the columns {name_some(list(table), 20)}, expected also {' and '.join(missing)}",
            "give the key.csv that `zooniverse subjects` wrote",
        )
    twice = table["id"][table["id"].duplicated()]
    if len(twice):
        raise InputError(f"{path}: found {twice.iloc[0]} twice, expected each id once", "remove the doubles")
    known = table[table["id"].notna() & table["source_id"].notna()].astype({"id": "str", "source_id": "str"})
    return dict(zip(known["id"].str.strip(), known["source_id"].str.strip(), strict=True))


def _name_retirement(retired: Any) -> str:
    if not retired:
        return ""
    reason = retired.get("retirement_reason") if isinstance(retired, dict) else None
    return str(reason or "retired")
