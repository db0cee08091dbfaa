"""Reads the tables of FITS files, binary and ASCII."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
from astropy.io import fits

from convnet_galaxies.data.astropy_table import decode_bytes, frame_of_arrays
from convnet_galaxies.data.columns import infer_column, require_single_names
from convnet_galaxies.data.table_notes import TableInfo, add_remarks, add_units, choose_table, note_choice
from convnet_galaxies.errors import GalaxyError
from convnet_galaxies.paths import name_some


def find_fits_tables(data: bytes) -> list[TableInfo]:
    """Find the tables of a FITS file (its bytes, not compressed); place is the number of the extension.

    Raises ValueError for damaged bytes.
    """
    with _opened(data) as hdus:
        return _list_tables(hdus)


def parse_fits(
    data: bytes, name: str, wanted: Sequence[Sequence[str]] = (), extension: int | None = None
) -> pd.DataFrame:
    """Return the table of a FITS file with the wanted columns (see choose_table), or that of an extension.

    name: the source, for messages. Raises InputError for a column that stands twice, ValueError when there is no
    table, and for damaged bytes.
    """
    with _opened(data) as hdus:
        tables = _list_tables(hdus)
        if extension is not None:
            tables = [table for table in tables if table.place == extension]
        images = [
            f"{_name(hdu, place)} ({' x '.join(map(str, hdu.shape[::-1]))} px)"
            for place, hdu in enumerate(hdus)
            if hdu.is_image and hdu.shape and all(hdu.shape)
        ]
        if not tables:
            raise ValueError(f"no table but the image {name_some(images)}" if images else "no table and no image")
        chosen = choose_table(tables, wanted)
        require_single_names(chosen.columns, name)
        hdu = hdus[chosen.place]
        for column, column_name in zip(hdu.columns, chosen.columns, strict=True):
            if not column.name:
                column.name = column_name
        frame = _read_ascii(hdu) if isinstance(hdu, fits.TableHDU) else _read_binary(hdu)
        if images:
            add_remarks(frame, [f"the file holds {name_some(images)} as well, which is no table"])
        return note_choice(frame, tables, chosen)


@contextmanager
def _opened(data: bytes) -> Iterator[fits.HDUList]:
    try:
        with warnings.catch_warnings(action="ignore"), fits.open(io.BytesIO(data), memmap=False) as hdus:
            yield hdus
    except GalaxyError:
        raise
    except Exception as error:  # damaged bytes reach many layers of astropy, each of which raises errors of its own
        raise ValueError(str(error) or type(error).__name__) from error


def _list_tables(hdus: fits.HDUList) -> list[TableInfo]:
    return [
        TableInfo(_name(hdu, place), int(hdu.header["NAXIS2"]), tuple(_column_names(hdu)), place)
        for place, hdu in enumerate(hdus)
        if isinstance(hdu, fits.BinTableHDU | fits.TableHDU) and not isinstance(hdu, fits.CompImageHDU)
    ]


def _name(hdu: fits.hdu.base.ExtensionHDU, place: int) -> str:
    return hdu.name or f"extension {place}"


def _column_names(hdu: fits.BinTableHDU | fits.TableHDU) -> list[str]:
    """A table need not name its columns."""
    return [name or f"column_{place}" for place, name in enumerate(hdu.columns.names, start=1)]


def _read_binary(hdu: fits.BinTableHDU) -> pd.DataFrame:
    stored = hdu.data.view(np.ndarray) if hdu.data is not None else None
    arrays: list[tuple[str, np.ma.MaskedArray]] = []
    for place, (name, column) in enumerate(zip(_column_names(hdu), hdu.columns, strict=True)):
        if stored is None:
            arrays.append((name, np.ma.array(np.empty(0))))
            continue
        raw = stored[stored.dtype.names[place]]
        if raw.dtype.kind == "S" and raw.ndim == 1:
            arrays.append((name, np.ma.array([decode_bytes(item) for item in raw], dtype=object)))
            continue
        values = hdu.data.field(place)
        missing = np.zeros(values.shape, bool)
        if column.null is not None and raw.dtype.kind in "iu" and raw.shape == values.shape:
            missing = raw == column.null
        elif values.dtype.kind == "b" and raw.shape == values.shape:
            missing = raw == 0  # neither T nor F
        arrays.append((name, np.ma.array(values, mask=missing)))
    return frame_of_arrays(arrays, _units(hdu))


def _read_ascii(hdu: fits.TableHDU) -> pd.DataFrame:
    """Numbers stand as text in such a table, so that all digits of whole numbers are there."""
    stored = hdu.data.view(np.ndarray) if hdu.data is not None else None
    texts_of = []
    for place, column in enumerate(hdu.columns):
        raw = [] if stored is None else stored[stored.dtype.names[place]]
        texts = [decode_bytes(item).strip() for item in raw]
        if column.format.startswith("A"):
            texts_of.append(pd.Series(texts, dtype=object))
            continue
        null = str(column.null).strip() if column.null is not None else ""
        texts = ["" if text == null else text.replace("D", "E").replace("d", "e") for text in texts]
        texts_of.append(infer_column(texts))
    frame = pd.DataFrame(dict(enumerate(texts_of)))
    frame.columns = _column_names(hdu)
    return add_units(frame, _units(hdu))


def _units(hdu: fits.BinTableHDU | fits.TableHDU) -> dict[str, str]:
    pairs = zip(_column_names(hdu), hdu.columns.units, strict=True)
    return {name: unit for name, unit in pairs if unit}
