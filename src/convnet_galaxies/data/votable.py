"""Reads VOTables, and never what they point to beyond their own folder: no address, no other folder's file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote
from xml.parsers import expat

import pandas as pd
import pyarrow as pa
from astropy.io import votable

from convnet_galaxies.data.astropy_table import to_frame
from convnet_galaxies.data.fits_table import parse_fits
from convnet_galaxies.data.parquet_table import parse_parquet
from convnet_galaxies.data.table_notes import TableInfo, add_remarks, add_units, choose_table, note_choice
from convnet_galaxies.errors import InputError

_SERIALISATIONS = ("TABLEDATA", "BINARY", "BINARY2", "FITS", "PARQUET")


@dataclass
class _Stream:
    """Rows that stand in another file. form: one of _SERIALISATIONS; units: of the columns, by name and by ID."""

    href: str
    form: str
    extension: int | None
    units: dict[str, str]


@dataclass
class _Scan:
    """Declarations of an XML file, read without opening any other file."""

    streams: list[_Stream] = field(default_factory=list)
    tables: int = 0
    entities: bool = False
    fits_inside: bool = False
    is_votable: bool = False
    status: str = ""
    status_text: str = ""


def parse_votable(
    data: bytes, wanted: Sequence[Sequence[str]], name: str, read_beside: Callable[[str], bytes | None]
) -> pd.DataFrame:
    """Return the table of a VOTable with the wanted columns (see choose_table), in any serialisation.

    read_beside: gives the bytes of a file in the VOTable's own folder, by its plain name, or None where there is none.
    Raises InputError for rows that stand anywhere else and for a file without rows; ValueError for what is no VOTable.
    """
    scan = _scan(data)
    if scan.entities:
        raise InputError(
            f"{name}: declares XML entities, which may pull in other files and are not read", "export the table again"
        )
    if scan.status == "ERROR":
        raise InputError(
            f"{name}: holds the error message of a server: {scan.status_text or 'no reason given'}",
            "correct the query and fetch the table again",
        )
    if scan.fits_inside and not scan.streams:
        raise InputError(
            f"{name}: holds a FITS file inside of the XML, which is not read", "export the table as FITS or TABLEDATA"
        )
    frame = _read_stream(scan, name, read_beside) if scan.streams else _read_inline(data, wanted)
    if scan.status == "OVERFLOW":
        add_remarks(frame, [f"{name}: the server cut the table off (OVERFLOW), so that rows are missing"])
    return frame


def _read_inline(data: bytes, wanted: Sequence[Sequence[str]]) -> pd.DataFrame:
    with warnings.catch_warnings(action="ignore"):  # units and headers outside the standard do not matter here
        found = [
            table.to_table(use_names_over_ids=True)
            for table in votable.parse(io.BytesIO(data), verify="ignore").iter_tables()
            if table.fields
        ]
        if not found:
            raise ValueError("it holds no table")
        infos = [
            TableInfo(
                str(table.meta.get("name") or table.meta.get("ID") or f"table {place + 1}"),
                len(table),
                tuple(table.colnames),
                place,
            )
            for place, table in enumerate(found)
        ]
        chosen = choose_table(infos, wanted)
        return note_choice(to_frame(found[chosen.place]), infos, chosen)


def _read_stream(scan: _Scan, name: str, read_beside: Callable[[str], bytes | None]) -> pd.DataFrame:
    stream = scan.streams[0]
    place = stream.href.strip()
    local = place[5:] if place[:5].lower() == "file:" else place
    plain = unquote(local) if not local.startswith("/") else place
    fix = f"give {plain} itself, or export the table with its rows inside (TABLEDATA)"
    if scan.tables > 1:
        raise InputError(f"{name}: holds {scan.tables} tables, of which one keeps its rows in {plain}", fix)
    if not _is_plain_name(plain):
        raise InputError(
            f"{name}: keeps its rows in {place}, which is not read, since it is no file of the same folder",
            "fetch that file and give it, or export the table with its rows inside (TABLEDATA)",
        )
    if stream.form not in ("FITS", "PARQUET"):
        raise InputError(
            f"{name}: keeps its rows in {plain}, as bare {stream.form}, which is read only inside of the VOTable",
            "export the table with its rows inside (TABLEDATA)",
        )
    data = read_beside(plain)
    if data is None:
        raise InputError(f"{name}: keeps its rows in {plain}, which is not in the same folder", fix)
    try:
        frame = parse_parquet(data) if stream.form == "PARQUET" else parse_fits(data, plain, extension=stream.extension)
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise ValueError(f"its rows in {plain}: {str(error).splitlines()[0] if str(error) else error!r}") from None
    return add_units(frame, {column: stream.units[column] for column in frame if column in stream.units})


def _is_plain_name(name: str) -> bool:
    """Return whether a link is the name of a file of the same folder, on any system."""
    return bool(name) and name not in (".", "..") and not any(sign in name for sign in "/\\:?#\0")


def read_beside(path: Path) -> Callable[[str], bytes | None]:
    """A function that gives the bytes of a file in the folder of path; None for links that lead out of it."""
    folder = path.resolve().parent

    def read(name: str) -> bytes | None:
        for place in (path.parent / name, folder / name):
            if place.is_file() and place.resolve().parent == folder:
                return place.read_bytes()
        return None

    return read


def _scan(data: bytes) -> _Scan:
    scan = _Scan()
    forms: list[str] = []
    units: dict[str, str] = {}
    extension: int | None = None
    in_status = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal extension, in_status
        word = tag.rsplit(":", 1)[-1].upper()
        given = {key.rsplit(":", 1)[-1].lower(): value for key, value in attributes.items()}
        scan.is_votable = scan.is_votable or word == "VOTABLE"
        if word == "TABLE":
            scan.tables += 1
            units.clear()
        elif word == "FIELD" and given.get("unit"):
            units.update({given[key]: given["unit"] for key in ("id", "name") if key in given})
        elif word in _SERIALISATIONS:
            forms.append(word)
            scan.fits_inside = scan.fits_inside or word == "FITS"
            extension = int(given["extnum"]) if given.get("extnum", "").isdigit() else None
        elif "href" in given and word == "STREAM":
            scan.streams.append(_Stream(given["href"], forms[-1] if forms else "BINARY", extension, dict(units)))
        elif word == "INFO" and given.get("name") == "QUERY_STATUS":
            scan.status = given.get("value", "").upper()
            scan.status_text, in_status = "", True

    def text(content: str) -> None:
        if in_status:
            scan.status_text = (scan.status_text + content).strip()[:300]

    def end(tag: str) -> None:
        nonlocal in_status
        in_status = in_status and tag.rsplit(":", 1)[-1].upper() != "INFO"

    def entity(*_: object) -> None:
        scan.entities = True

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        if not scan.entities:
            raise ValueError(str(error)) from None
    if not scan.is_votable:
        raise ValueError("it holds no VOTABLE element")
    return scan
