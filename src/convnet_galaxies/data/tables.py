"""Tables in CSV and other texts, Parquet, FITS and VOTable, distinguished by the ending.

All formats give the same columns (see columns.py): whole numbers exact to the last digit, with gaps or without, other
numbers float, truth values bool, the rest text. Missing values are those of pandas' isna: empty texts are missing,
and so are the words of missing_values.py, except in columns that name images. Units, remarks and the choice among
several tables of a file are noted beside the values (see table_notes.py).
"""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from convnet_galaxies.data.columns import require_single_names, tidy
from convnet_galaxies.data.image_files import visible_members
from convnet_galaxies.data.missing_values import NAME_COLUMNS, find_missing, is_text
from convnet_galaxies.data.output import new_file
from convnet_galaxies.data.text_decoding import advise_on_content, name_content
from convnet_galaxies.data.unpack import unpack
from convnet_galaxies.data.zip_files import MEMBER_FAULTS, describe_bytes, read_member
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import (
    READ_FORMATS,
    TABLE_FORMATS,
    StrPath,
    find_ending,
    format_of,
    name_some,
    require_path,
    table_format,
)

__all__ = [
    "TABLE_FORMATS",
    "TEXT_COLUMNS",
    "is_table",
    "list_fits_tables",
    "name_row",
    "numbers",
    "pick_tables",
    "read_table",
    "table_format",
    "tidy",
    "write_table",
]

_LOOSE = (".dat", ".ascii", ".asc", ".txt")
"""Endings that other files have as well."""

TEXT_COLUMNS = ("id", "name", "file", "filename", "group")
"""Columns that are text in a CSV even where every value looks like a number (compared in lower case)."""

_FAULTS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    AttributeError,
    zlib.error,
    pa.ArrowException,
)


def read_table(
    path: StrPath,
    *,
    text_columns: Sequence[str] = TEXT_COLUMNS,
    wanted: Sequence[Sequence[str]] = (),
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read the table in a text, Parquet, FITS or VOTable file, or in the one table of a zip.

    text_columns: names, in lower case, of columns that stay text in a CSV ("007" does not become 7).
    wanted: groups of lower-case names, of each of which one column is looked for; of several tables in a file that
        with most of them is read, and of equals the largest.
    columns: the only ones that are read of a Parquet file; None for all.
    Nothing but this file is opened, save for rows that a VOTable keeps in a file of the same folder.
    Raises InputError when the path does not exist, or holds no such table, or one without columns.
    """
    path = Path(path)
    require_path(path)
    if path.is_dir():
        endings = name_some(sorted(READ_FORMATS), 99)
        raise InputError(f"{path}: is a folder, expected a table file", f"give one of {endings}")
    if columns is not None and path.suffix.lower() in (".parquet", ".pq"):
        from convnet_galaxies.data.parquet_table import parse_parquet

        with contextlib.suppress(*_FAULTS):  # what is wrong is named below
            return _blank_words(parse_parquet(path, columns))
    data, name = _read_bytes(path)
    form = format_of(Path(name.rstrip("]")), READ_FORMATS)
    try:
        data = unpack(data)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(
            f"{name}: cannot be unpacked ({error}), expected a {form} table", "fetch or export the file again"
        ) from None
    try:
        # The readers, and astropy with them, are loaded when they are needed.
        if form == "CSV":
            from convnet_galaxies.data.text_table import parse_text

            found = name_content(data)
            if found is not None:
                raise ValueError(found)
            frame = parse_text(data, text_columns, name)
        elif form == "Parquet":
            from convnet_galaxies.data.parquet_table import parse_parquet

            frame = parse_parquet(data, columns)
        elif form == "FITS":
            from convnet_galaxies.data.fits_table import parse_fits

            frame = parse_fits(data, name, wanted)
        else:
            from convnet_galaxies.data.votable import parse_votable, read_beside

            beside = read_beside(path) if path.suffix.lower() != ".zip" else lambda _: None
            frame = parse_votable(data, wanted, name, beside)
    except _FAULTS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        content = name_content(data)
        is_right_kind = content is None or form.lower() in content.lower()
        found = f"something else ({reason})" if is_right_kind else content
        raise InputError(f"{name}: found {found}, expected a {form} table", advise_on_content(content, form)) from None
    if not len(frame.columns):
        raise InputError(f"{name}: found a table without columns", "fetch or export the file again")
    require_single_names(list(frame.columns), name)
    return _blank_words(frame)


def write_table(path: StrPath, frame: pd.DataFrame, *, force: bool = False) -> None:
    """Write a table in the format of path's ending; the index is not written; whole or not at all.

    Raises OutputExistsError (unless force), and InputError for an unknown ending, a place that cannot be written,
    or text that the format cannot hold (FITS: only ASCII, no column names that differ by case alone).
    """
    path = Path(path)
    form, frame = table_format(path), tidy(frame)
    with new_file(path, force=force) as temporary:
        if form == "Parquet":
            frame.to_parquet(temporary, index=False)
            return
        if form == "CSV":
            data = frame.to_csv(index=False, lineterminator="\n").encode()
        else:
            from convnet_galaxies.data.astropy_table import encode_table

            data = encode_table(frame, form, path)
        temporary.write_bytes(gzip.compress(data, mtime=0) if path.name.lower().endswith(".gz") else data)


def is_table(path: Path) -> bool:
    """Return whether the name is that of a table (a FITS file may be an image as well)."""
    return find_ending(path.name, READ_FORMATS) is not None


def pick_tables(names: Iterable[str]) -> list[str]:
    """Return the names that are tables; endings that notes may have as well, such as .txt, count where there is no
    other."""
    tables = [name for name in names if is_table(Path(name))]
    return [name for name in tables if not name.lower().endswith(_LOOSE)] or tables


def list_fits_tables(data: bytes) -> list[tuple[str, int, int]]:
    """List name, number of rows and number of columns of each table in the bytes of a FITS file, compressed or not.

    Raises ValueError for damaged bytes.
    """
    from convnet_galaxies.data.fits_table import find_fits_tables

    return [(table.name, table.rows, len(table.columns)) for table in find_fits_tables(unpack(data))]


def numbers(
    frame: pd.DataFrame,
    column: str,
    where: object,
    *,
    missing: bool = False,
    low: float = -np.inf,
    high: float = np.inf,
    row_name: str | None = None,
) -> np.ndarray:
    """Return one column as float64 [n].

    where: the source, for error messages; row_name: the column that names a row in them.
    missing: whether NaN, empty values and the words for them may stand there.
    Raises InputError naming the first row with a text, a missing or infinite value, or one outside [low, high].
    """
    values, gone = frame[column], find_missing(frame[column])
    found = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    lost = np.isnan(found) & ~(gone & missing)
    bad = np.flatnonzero(lost | np.isinf(found) | (found < low) | (found > high))
    if len(bad):
        row, value = int(bad[0]), values.iloc[bad[0]]
        expected = "a number" if np.isinf([low, high]).all() else f"a number from {low:g} to {high:g}"
        text = "nothing" if pd.isna(value) else repr(value) if isinstance(value, str) else str(value)
        more = f" (and {len(bad) - 1:,} more rows)" if len(bad) > 1 else ""
        raise InputError(
            f"{where}, {name_row(frame, row, row_name)}, column {column}: found {text}, expected {expected}{more}",
            "correct the table",
        )
    return found


def name_row(frame: pd.DataFrame, row: int, column: str | None = None) -> str:
    """Return ``row 3 (GalaxyID 100008)``: rows count from 1 below the header."""
    return f"row {row + 1}" + (f" ({column} {frame[column].iloc[row]})" if column else "")


def _read_bytes(path: Path) -> tuple[bytes, str]:
    try:
        if path.suffix.lower() != ".zip":
            return path.read_bytes(), str(path)
        members = visible_members(path)
        tables = pick_tables(members)
        if len(tables) != 1:
            found = name_some(tables) if tables else f"no table but {name_some(members)}"
            raise InputError(f"{path}: found {found}, expected one table", "unzip it and give the table itself")
        return read_member(path, tables[0]), f"{path}[{tables[0]}]"
    except MEMBER_FAULTS as error:
        raise InputError(f"{path}: cannot be read ({error}; {describe_bytes(path)})", "fetch the file again") from None


def _blank_words(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the tidy table without the words of missing values, which are counted; names of images keep theirs."""
    out, counts = tidy(frame), {}
    for column in out:
        values = out[column]
        if not is_text(values) or column.lower() in NAME_COLUMNS:
            continue
        words = find_missing(values) & values.notna().to_numpy()
        if words.any():
            counts[column] = dict(Counter(values[words]))
            out[column] = values.mask(words)
    out.attrs = {**frame.attrs, "missing_words": counts}
    return out
