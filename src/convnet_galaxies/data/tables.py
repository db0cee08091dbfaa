"""Tables in CSV, Parquet, FITS and VOTable, told apart by the ending.

All formats give the same table: whole numbers int64, other numbers float, truth values bool, the rest text.
A missing value is what pandas' isna says; an empty text counts as missing, because CSV, FITS and VOTable cannot
tell the two apart. Whole numbers or truth values of which some are missing become float64, and a column of which
everything is missing may change between text and float64.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from astropy.io import fits
from astropy.table import Table

from convnet_galaxies.data.archive import name_some, require_path, visible_members
from convnet_galaxies.data.output import new_file
from convnet_galaxies.data.zip_files import MEMBER_FAULTS, describe_bytes, read_member
from convnet_galaxies.errors import InputError

FORMATS: dict[str, str] = {
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
TEXT_COLUMNS = ("id", "name", "file", "filename", "group")
"""Columns that are text in a CSV even where every value looks like a number (compared in lower case)."""

_ASTROPY_FAULTS = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, zlib.error)


def read_table(path: Path, *, text_columns: Sequence[str] = TEXT_COLUMNS) -> pd.DataFrame:
    """The table in a CSV, Parquet, FITS or VOTable file, or in the one CSV of a zip.

    text_columns: names, in lower case, of columns that stay text in a CSV ("007" does not become 7).
    Raises InputError when the path does not exist, or holds no such table, or one without columns.
    """
    require_path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a table file", f"give one of {name_some(sorted(FORMATS), 99)}")
    data, name = _read_bytes(path)
    form = table_format(Path(name.rstrip("]")))
    try:
        if form == "CSV":
            frame = _parse_csv(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data, text_columns)
        elif form == "Parquet":
            frame = pd.read_parquet(io.BytesIO(data))
        else:
            frame = _parse_astropy(data, form)
    except (*_ASTROPY_FAULTS, pd.errors.ParserError, pd.errors.EmptyDataError, pa.ArrowException) as error:
        if not data.strip():
            found = "an empty file"
        elif data.lstrip()[:1] == b"<" and b"html" in data[:512].lower():
            found = "a web page"
        else:
            found = f"something else ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        raise InputError(f"{name}: found {found}, expected a {form} table", "fetch or export the file again") from None
    if not len(frame.columns):
        raise InputError(f"{name}: found a table without columns", "fetch or export the file again")
    return tidy(frame)


def write_table(path: Path, frame: pd.DataFrame, *, force: bool = False) -> None:
    """Write a table in the format of path's ending; the index is not written; whole or not at all.

    Raises OutputExistsError (unless force), and InputError for an unknown ending, a place that cannot be written,
    or text that the format cannot hold (FITS: only ASCII, no column names that differ by case alone).
    """
    form, frame = table_format(path), tidy(frame)
    with new_file(path, force=force) as temporary:
        if form == "CSV":
            text = frame.to_csv(index=False, lineterminator="\n").encode()
            temporary.write_bytes(gzip.compress(text, mtime=0) if path.name.lower().endswith(".gz") else text)
        elif form == "Parquet":
            frame.to_parquet(temporary, index=False)
        else:
            _write_astropy(temporary, frame, form, path)


def table_format(path: Path) -> str:
    """CSV, Parquet, FITS or VOTable, by the ending. Raises InputError for another ending."""
    ending = next((ending for ending in FORMATS if path.name.lower().endswith(ending)), None)
    if ending is None:
        raise InputError(
            f"{path}: found the ending {path.suffix or 'none'!r}, expected one of {', '.join(FORMATS)}",
            "rename or convert the file",
        )
    return FORMATS[ending]


def is_table(path: Path) -> bool:
    """Whether the name is that of a table (a FITS file may be an image as well)."""
    return path.name.lower().endswith(tuple(FORMATS))


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with columns of the few kinds that every format can hold (see above); values are not changed."""
    return pd.DataFrame({str(name): _tidy_column(frame[name]) for name in frame}, index=pd.RangeIndex(len(frame)))


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
    """One column as float64 [n].

    where: the source, for error messages; row_name: the column that names a row in them.
    missing: whether NaN and empty values may stand there.
    Raises InputError naming the first row with a text, a missing or infinite value, or one outside [low, high].
    """
    values = frame[column]
    found = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    lost = np.isnan(found) & (values.notna().to_numpy() if missing else True)
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
    """``row 3 (GalaxyID 100008)``: rows count from 1 below the header."""
    return f"row {row + 1}" + (f" ({column} {frame[column].iloc[row]})" if column else "")


def _read_bytes(path: Path) -> tuple[bytes, str]:
    try:
        if path.suffix.lower() != ".zip":
            return path.read_bytes(), str(path)
        members = visible_members(path)
        tables = [name for name in members if is_table(Path(name))]
        if len(tables) != 1:
            found = name_some(tables) if tables else f"no table but {name_some(members)}"
            raise InputError(f"{path}: found {found}, expected one table", "unzip it and give the table itself")
        return read_member(path, tables[0]), f"{path}[{tables[0]}]"
    except MEMBER_FAULTS as error:
        raise InputError(f"{path}: cannot be read ({error}; {describe_bytes(path)})", "fetch the file again") from None


def _parse_csv(data: bytes, text_columns: Sequence[str]) -> pd.DataFrame:
    if data.lstrip()[:1] == b"<" and b"html" in data[:512].lower():
        raise ValueError("it holds a web page")
    if b"\0" in data[:4096]:
        raise ValueError("it holds binary data")
    frame = pd.read_csv(
        io.BytesIO(data), dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig", index_col=False
    )
    frame.columns = frame.columns.str.strip()
    return frame.apply(lambda values: values if values.name.lower() in text_columns else _infer(values))


_NOT_A_NUMBER = re.compile(r"[_]|^\s*[+-]?0\d", re.ASCII)


def _infer(values: pd.Series) -> pd.Series:
    """Text column to int64, float64 or bool when each present value reads as one; numbers are read exactly."""
    present = values.notna().to_numpy()
    texts = values.to_numpy(dtype=object)[present]
    if not len(texts) or set(texts) <= {"True", "False"}:
        return values.map({"True": True, "False": False}) if len(texts) else values
    try:
        read = texts.astype(float)
    except ValueError:
        return values
    if any(map(_NOT_A_NUMBER.search, texts)) or not all(
        map(str.isascii, texts)
    ):  # catalogue numbers such as 007 are names
        return values
    if present.all() and (np.abs(read) < 2**63).all():
        try:
            return pd.Series([int(text) for text in texts], values.index, dtype=np.int64)
        except ValueError:
            pass
    out = np.full(len(values), np.nan)
    out[present] = read
    return pd.Series(out, values.index)


def _parse_astropy(data: bytes, form: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # units and headers outside the standard do not matter here
        if form == "FITS":
            with fits.open(io.BytesIO(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)) as hdus:
                tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
                if not tables:
                    raise ValueError("it holds no table extension")
                table = Table.read(tables[0])
        else:
            table = Table.read(io.BytesIO(data), format="votable", use_names_over_ids=True)
        table.convert_bytestring_to_unicode()
        for name in [name for name in table.colnames if table[name].ndim > 1]:  # a vector column gives a column each
            flat = np.ma.asarray(table[name]).reshape(len(table), int(np.prod(table[name].shape[1:])))
            for place in range(flat.shape[1]):
                table[f"{name}_{place + 1}"] = flat[:, place]
            del table[name]
        return table.to_pandas()


def _write_astropy(temporary: Path, frame: pd.DataFrame, form: str, path: Path) -> None:
    columns = {}
    for name in frame:
        values = frame[name]
        is_text = not pd.api.types.is_numeric_dtype(values)
        columns[name] = values.fillna("").tolist() if is_text else values.to_numpy()
        if is_text and not columns[name]:
            columns[name] = np.empty(0, "U1")
    table = Table(columns)
    if form == "VOTable":
        table.write(temporary, format="votable")
        return
    lowered = pd.Series(table.colnames).str.lower()
    if lowered.duplicated().any():
        raise InputError(
            f"{path}: found columns {table.colnames} of which some differ by case alone, which FITS cannot hold",
            "write CSV, Parquet or VOTable, or rename a column",
        )
    try:
        data = io.BytesIO()
        table.write(data, format="fits")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: found {error.object[error.start : error.end]!r}, but text in FITS is ASCII",
            "write CSV, Parquet or VOTable",
        ) from None
    packed = data.getvalue()
    temporary.write_bytes(gzip.compress(packed, mtime=0) if path.name.lower().endswith(".gz") else packed)


def _tidy_column(values: pd.Series) -> np.ndarray | pd.api.extensions.ExtensionArray:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    dtype = values.dtype
    missing = values.isna().to_numpy()
    if pd.api.types.is_bool_dtype(dtype):
        return values.to_numpy(dtype=float, na_value=np.nan) if missing.any() else values.to_numpy(dtype=bool)
    if pd.api.types.is_integer_dtype(dtype):
        return values.to_numpy(dtype=float, na_value=np.nan) if missing.any() else values.to_numpy(dtype=np.int64)
    if pd.api.types.is_float_dtype(dtype):
        wide = values.to_numpy(dtype=np.float32 if dtype == np.float32 else np.float64, na_value=np.nan)
        return wide.astype(wide.dtype.newbyteorder("="), copy=False)
    items = values.to_numpy(dtype=object)
    present = items[~missing]
    if len(present) and all(isinstance(item, bool | np.bool_ | int | float | np.number) for item in present):
        if not missing.any() and all(isinstance(item, bool | np.bool_) for item in present):
            return items.astype(bool)
        return np.where(missing, np.nan, items).astype(float)
    texts = [None if gone or str(item) == "" else str(item) for item, gone in zip(items, missing, strict=True)]
    return pd.array(texts, dtype=pd.StringDtype(na_value=np.nan))
