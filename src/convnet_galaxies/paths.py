"""Paths, and the endings of tables, checked without any heavy library, so that a wrong one is reported at once."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from convnet_galaxies.errors import InputError

StrPath: TypeAlias = str | os.PathLike[str]
"""A path as functions of the library take it: text, ``pathlib.Path``, or whatever ``os.fspath`` takes."""

TABLE_FORMATS: dict[str, str] = {
    ".csv": "CSV",
    ".csv.gz": "CSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".fits": "FITS",
    ".fit": "FITS",
    ".fits.gz": "FITS",
    ".vot": "VOTable",
    ".votable": "VOTable",
    ".xml": "VOTable",
}
"""Endings of tables that are read and written."""

GRADE_BOOK = 0x636E6767
"""Marks a SQLite file as a table of grades (its application_id)."""

READ_FORMATS: dict[str, str] = {
    **TABLE_FORMATS,
    ".fts": "FITS",
    ".ecsv": "CSV",
    ".tsv": "CSV",
    ".tab": "CSV",
    ".tbl": "CSV",
    ".dat": "CSV",
    ".ascii": "CSV",
    ".asc": "CSV",
    ".txt": "CSV",
}
"""Endings of tables that are read, also with .gz or .bz2 behind; kinds of text are distinguished by their content."""


def require_path(path: Path) -> Path:
    """Return the path itself when it exists; else raise InputError with the content of the nearest folder."""
    if path.exists():
        return path
    if any(sign in path.name for sign in "*?["):
        raise InputError(
            f"{path}: does not exist; {path.name} is taken as a name, not as a pattern",
            f"give the folder {path.parent}, or a folder of links to the files that are meant",
        )
    parent = path.parent
    while not parent.exists() and parent != parent.parent:
        path, parent = parent, parent.parent
    if not parent.is_dir():
        raise InputError(f"{path}: does not exist", "check the path")
    names = visible_names(parent)
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    fix = f"did you mean {' or '.join(str(parent / name) for name in close)}?" if close else "check the path"
    raise InputError(f"{path}: does not exist; the folder {parent} holds {name_some(names)}", fix)


def visible_names(folder: Path) -> list[str]:
    """Return sorted names in a folder without those that begin with a dot and ``__MACOSX``."""
    return sorted(entry.name for entry in folder.iterdir() if not is_hidden(entry.name))


def name_some(names: Sequence[str], limit: int = 5) -> str:
    """Return ``a, b, c and 12 more``; ``nothing`` for no names."""
    if not names:
        return "nothing"
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest:,} more" if rest > 0 else "")


def is_hidden(name: str) -> bool:
    """Return whether files of this name are passed over."""
    return name == "__MACOSX" or (name.startswith(".") and name.strip(".") != "")


def table_format(path: Path) -> str:
    """Return CSV, Parquet, FITS or VOTable, by the ending of a table to be written. Raises InputError for another
    ending."""
    return format_of(path, TABLE_FORMATS)


def find_ending(name: str, formats: dict[str, str]) -> str | None:
    """Find the ending that tells the format; tables that are only read may be compressed under any of them."""
    packed = ("", ".gz", ".bz2") if formats is READ_FORMATS else ("",)
    return next((one for one in formats if name.lower().endswith(tuple(one + more for more in packed))), None)


def format_of(path: Path, formats: dict[str, str]) -> str:
    """Return the format by the ending of the name. Raises InputError for an ending that is none of the formats."""
    ending = find_ending(path.name, formats)
    if ending is None:
        raise InputError(
            f"{path}: found the ending {path.suffix or 'none'!r}, expected one of {', '.join(formats)}",
            "rename or convert the file",
        )
    return formats[ending]


def default_database(source: StrPath) -> Path:
    """Return the table of grades of a source: beside it, with its name."""
    path = Path(source).absolute()
    return path.with_name(f"{path.name}.grades.sqlite")


def is_grade_book(path: Path) -> bool:
    """Return whether path is a table of grades, of any version."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(72)
    except OSError:
        return False
    return head.startswith(b"SQLite format 3\0") and int.from_bytes(head[68:72]) == GRADE_BOOK
