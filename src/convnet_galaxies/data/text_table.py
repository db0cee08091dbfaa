"""Reads tables of text: cells between commas, semicolons, tabs, bars or spaces, comments, many encodings.

ECSV and the tables of IPAC, CDS and SExtractor, whose headers tell kinds or units, are read by astropy.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import pandas as pd
from astropy.table import Table

from convnet_galaxies.data.astropy_table import to_frame
from convnet_galaxies.data.columns import infer_column, text_column
from convnet_galaxies.data.missing_values import NAME_COLUMNS, is_missing_word
from convnet_galaxies.data.table_notes import add_remarks
from convnet_galaxies.data.text_cells import TextCells, split_cells
from convnet_galaxies.data.text_decoding import decode_text
from convnet_galaxies.errors import InputError

_COMMA_NUMBER = re.compile(r"[+-]?\d+(,\d+)?([eE][+-]?\d+)?", re.ASCII)


def parse_text(data: bytes, text_columns: Sequence[str], name: str) -> pd.DataFrame:
    """Return the table in the bytes of a text file. text_columns: lower-case names of columns that stay text.

    Raises InputError naming the row for cells too many or too few, and for a name that stands twice in the header;
    ValueError for what is no text or no table.
    """
    text, remark = decode_text(data)
    remarks = [f"{name} {remark}"] if remark else []
    form = _find_form(text)
    if form is not None:
        with warnings.catch_warnings(action="ignore"):  # units outside the standard do not matter here
            table = Table.read(text.splitlines(), format=form)  # lines: a text might be taken for a file's name
        return add_remarks(to_frame(table), remarks)
    cells = split_cells(text, name)
    if cells.passed:
        remarks.append(f"{name}: comments (#) below the header are passed over, {cells.passed:,} of them")
    if cells.empty:
        remarks.append(f"{name}: empty rows at the end are passed over, {cells.empty:,} of them")
    columns = [list(texts) for texts in zip(*cells.rows, strict=True)] or [[] for _ in cells.header]
    header, columns = _name_columns(cells, columns, name, remarks)
    frame, with_commas = {}, []
    for column, texts in zip(header, columns, strict=True):
        if column.lower() in text_columns:
            frame[column] = text_column(texts)
            continue
        if cells.separator != "," and column.lower() not in NAME_COLUMNS and _has_decimal_commas(texts):
            with_commas.append(column)
            texts = [text.replace(",", ".") for text in texts]
        frame[column] = infer_column(texts)
    if with_commas:
        remarks.append(f"{name}: the commas in {', '.join(with_commas)} are read as decimal points")
    return add_remarks(pd.DataFrame(frame), remarks)


def _find_form(text: str) -> str | None:
    """Return the format of astropy that reads this text, where its header is more than a line of names."""
    head = text[:100_000].splitlines()[:400]
    if head and re.match(r"#\s*%ECSV\s", head[0]):
        return "ascii.ecsv"
    if any(line.startswith("Byte-by-byte Description of file") for line in head):
        return "ascii.cds"
    numbers = [int(found[1]) for line in head if (found := re.match(r"#\s+(\d+)\s+\S+", line))]
    if len(numbers) > 1 and numbers[0] == 1 and numbers == sorted(set(numbers)) and head[0].startswith("#"):
        return "ascii.sextractor"
    rows = [line for line in head if not line.startswith("\\")]
    bars = [line.startswith("|") for line in rows if line.strip()]
    header_lines = bars.index(False) if False in bars else len(bars)
    return "ascii.ipac" if 1 <= header_lines <= 4 and header_lines < len(bars) and sum(bars) == header_lines else None


def _name_columns(
    cells: TextCells, columns: list[list[str]], name: str, remarks: list[str]
) -> tuple[list[str], list[list[str]]]:
    """Names for all columns; one without a name and without values is none."""
    header = []
    kept = []
    for place, (column, texts) in enumerate(zip(cells.header, columns, strict=True), start=1):
        if not column:
            if not any(texts):
                continue
            column = f"column_{place}"
            remarks.append(f"{name}, header: column {place} has no name and is called {column}")
        if column in header:
            raise InputError(
                f"{name}, header: found the column {column} twice (columns {cells.header.index(column) + 1} and "
                f"{place}), expected each name once",
                "rename one of them",
            )
        header.append(column)
        kept.append(texts)
    return header, kept


def _has_decimal_commas(texts: list[str]) -> bool:
    present = [text for text in texts if not is_missing_word(text)]
    return any("," in text for text in present) and all(map(_COMMA_NUMBER.fullmatch, present))
