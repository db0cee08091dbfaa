"""Lists the tiles of a survey and the files of each: from a table, a pattern of names, or the names themselves."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from convnet_galaxies.data.bands import Band, band_of_word, name_bands, parse_band, split_words
from convnet_galaxies.data.fits_header import Role, fold, role_of_file, role_of_text
from convnet_galaxies.data.fits_image import FITS_ENDINGS
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.image_files import find_images, index_images, is_image
from convnet_galaxies.data.quiet import quiet_warnings
from convnet_galaxies.data.tables import is_table, name_row, numbers, read_table
from convnet_galaxies.errors import InputError, UsageError, require_handles
from convnet_galaxies.paths import StrPath, name_some, require_path

TABLE_COLUMNS = ("tile", "band", "path")


@dataclass(frozen=True)
class TileFile:
    """A file of a tile.

    band: what the table or the name tells; None for what the header tells. extension: name or number (from 0) of the
    HDU that is meant; None for what the headers tell. role: None for the sky itself, else that of a mask or weight in
    a file of its own. mask, weight: files that belong to this band alone. zeropoint_mag: AB, before what a header
    tells.
    """

    path: Path
    band: Band | None = None
    extension: str | None = None
    role: Role | None = None
    mask: Path | None = None
    weight: Path | None = None
    zeropoint_mag: float | None = None


@dataclass(frozen=True)
class Tile:
    """A part of the sky. files: those with its bands, masks and weights. bands_missing: bands that other tiles have."""

    name: str
    files: tuple[TileFile, ...]
    bands_missing: tuple[Band, ...] = ()


@dataclass(frozen=True)
class TileList:
    """Tiles in the order of their source, and remarks on how their files were found, one sentence each."""

    tiles: tuple[Tile, ...]
    remarks: tuple[str, ...] = ()


def list_tiles(source: StrPath, *, pattern: str | None = None) -> TileList:
    """List the tiles of a survey.

    source: a table with the columns tile, band, path and, if wanted, extension, mask, weight and zero_point, whose
    paths are relative to it; a folder of images, whose names tell which are bands of one tile; one image; or a folder
    with a pattern such as ``{tile}_{band}.fits`` behind it.
    pattern: of paths in the folder.
    Raises InputError for a source without tiles, or a table that does not fit.
    """
    text = os.fspath(source)
    if "{tile}" in text:
        place = next(k for k, part in enumerate(Path(text).parts) if "{" in part)
        parts = Path(text).parts
        return list_tiles(Path(*parts[:place]), pattern="/".join(parts[place:]))
    path = Path(text)
    require_path(path)
    if pattern is not None:
        return _mark_missing_bands(_list_by_pattern(path, pattern))
    if path.is_file() and is_table(path) and not is_image(path.name):
        return _mark_missing_bands(_list_by_table(path))
    return _mark_missing_bands(_list_by_names(path))


def _list_by_table(path: Path) -> TileList:
    frame = read_table(path, text_columns=("tile", "band", "path", "extension", "mask", "weight"))
    columns = {str(name).lower(): str(name) for name in frame}
    lacking = [name for name in TABLE_COLUMNS if name not in columns]
    if lacking:
        raise InputError(
            f"{path}: found the columns {name_some(list(frame))}, expected {', '.join(TABLE_COLUMNS)}",
            "add the columns; extension, mask, weight and zero_point may follow",
        )
    frame = frame.rename(columns={old: new for new, old in columns.items()})
    zeropoints = numbers(frame, "zero_point", path, missing=True) if "zero_point" in frame else None
    columns_of = {name: _cells(frame, name) for name in (*TABLE_COLUMNS, "extension", "mask", "weight")}
    files: dict[str, list[TileFile]] = {}
    for row in range(len(frame)):
        cells = {name: column[row] for name, column in columns_of.items()}
        if cells["tile"] is None or cells["path"] is None:
            raise InputError(f"{path}, {name_row(frame, row)}: found no tile or no path", "fill the cell")
        band = None if cells["band"] is None else parse_band(cells["band"])
        role = None if cells["band"] is None or band is not None else role_of_text(cells["band"])
        if cells["band"] is not None and band is None and role is None:
            raise InputError(
                f"{path}, {name_row(frame, row)}: found {cells['band']!r}, expected the name of a band, or mask, "
                "weight",
                "write e.g. r, HSC-I or F814W; leave the cell empty for a file of several bands",
            )
        zeropoint = None if zeropoints is None or pd.isna(zeropoints[row]) else float(zeropoints[row])
        extra = {name: None if cells[name] is None else path.parent / str(cells[name]) for name in ("mask", "weight")}
        file = TileFile(
            path.parent / cells["path"], band, cells["extension"], role, extra["mask"], extra["weight"], zeropoint
        )
        files.setdefault(cells["tile"], []).append(file)
    tiles = []
    for name, members in files.items():
        bands = Counter(fold(file.band) for file in members if file.band is not None and file.role is None)
        double = next((band for band, count in bands.items() if count > 1), None)
        if double is not None:
            raise InputError(
                f"{path}, tile {name}: found the band {double} more than once, expected each once",
                "give other tiles other names",
            )
        tiles.append(Tile(name, tuple(members)))
    return TileList(tuple(tiles))


def _list_by_pattern(folder: Path, pattern: str) -> TileList:
    if "{tile}" not in pattern:
        raise UsageError(
            f"--pattern: found {pattern!r}, expected {{tile}} and, if each band has a file, {{band}} in it",
            "give e.g. '{tile}_{band}.fits'",
        )
    expression = re.escape(pattern)
    for part in ("tile", "band"):
        expression = expression.replace(rf"\{{{part}\}}", f"(?P<{part}>[^/]+?)", 1)
    expression = expression.replace(r"\{tile\}", "(?P=tile)").replace(r"\{band\}", "(?P=band)").replace(r"\*", "[^/]*")
    files: dict[str, list[TileFile]] = {}
    passed: list[str] = []
    for path in sorted(folder.rglob("*")):
        match = re.fullmatch(expression, path.relative_to(folder).as_posix())
        if match is None or not path.is_file():
            continue
        word: str | None = match.groupdict().get("band")
        band, role = (None, role_of_file(split_words(path.name))) if word is None else _read_band(word)
        if word is not None and band is None:
            passed.append(path.name)
            continue
        files.setdefault(match["tile"], []).append(TileFile(path, band, role=role))
    if not files:
        raise InputError(
            f"{folder}: found no file like {pattern}"
            + (f" but {name_some(passed)}, which name no band" if passed else ""),
            "correct the pattern, or give a table of the files (tile, band, path)",
        )
    remarks = [f"passed over: {len(passed):,} files without a band in their names: {name_some(passed, 3)}"]
    return TileList(
        tuple(Tile(name, tuple(members)) for name, members in files.items()), tuple(remarks if passed else ())
    )


def _read_band(word: str) -> tuple[Band | None, Role | None]:
    """Return the band that a part of a name tells (``g``, ``r.weight``, ``i_mask``), and the role."""
    words = split_words(word)
    bands = [band for one in words if (band := band_of_word(one)) is not None]
    return (bands[0] if len(bands) == 1 else parse_band(word)), role_of_file(words)


def _list_by_names(path: Path) -> TileList:
    listing = find_images(path)
    archived = [file for file in listing.files if file.member is not None]
    if archived:
        raise InputError(
            f"{path}: found tiles in a zip, of which no windows can be read, expected files", "unpack the zip"
        )
    files, remarks = listing.files, [*listing.joined, *listing.remarks]
    pictures = [file for file in files if not file.name.lower().endswith(FITS_ENDINGS)]
    if 0 < len(pictures) < len(files):
        files = tuple(file for file in files if file not in pictures)
        names = name_some([file.name for file in pictures], 3)
        remarks.append(f"passed over: {len(pictures):,} pictures beside FITS files: {names}")
    catalogues = [file for file in files if file.band is None and not file.others and _is_catalogue(file)]
    if 0 < len(catalogues) < len(files):
        files = tuple(file for file in files if file not in catalogues)
        names = name_some([file.name for file in catalogues], 3)
        remarks.append(f"passed over: {len(catalogues):,} FITS files without an image: {names}")
    tiles = [
        Tile(name, tuple(_as_tile_file(part) for part in file.parts)) for name, file in index_images(files).items()
    ]
    return TileList(tuple(tiles), tuple(remarks))


def _is_catalogue(file: ImageFile) -> bool:
    """Return whether a FITS file holds tables alone; damaged ones count as images, which are named when opened."""
    from astropy.io import fits

    from convnet_galaxies.data.fits_hdus import is_image_hdu

    try:
        with quiet_warnings(), fits.open(file.path, memmap=False) as opened:
            return not any(is_image_hdu(hdu) for hdu in opened) and len(opened) > 1
    except Exception as error:
        require_handles(error)
        return False


def _as_tile_file(part: ImageFile) -> TileFile:
    return TileFile(part.path, part.band, role=part.role)


def _mark_missing_bands(found: TileList) -> TileList:
    """Name for each tile the bands that at least half of the tiles have and it has not."""
    known = [{fold(band): band for band in _bands_of(tile.files)} for tile in found.tiles]
    if not all(known) or len(known) < 2:
        return found
    counts = Counter(name for bands in known for name in bands)
    usual = {name for name, count in counts.items() if 2 * count >= len(known)}
    every = {name: band for bands in known for name, band in bands.items()}
    tiles, lacking = [], []
    for tile, bands in zip(found.tiles, known, strict=True):
        missing = tuple(sorted((every[name] for name in usual - set(bands)), reverse=True))
        tiles.append(replace(tile, bands_missing=missing))
        if missing:
            lacking.append(f"{tile.name} ({name_bands(missing)})")
    remarks = [f"{len(lacking):,} tiles lack bands that most have: {name_some(lacking, 3)}"] if lacking else []
    return TileList(tuple(tiles), (*found.remarks, *remarks))


def _bands_of(files: Iterable[TileFile]) -> list[Band]:
    return [file.band for file in files if file.band is not None and file.role is None]


def _cells(frame: pd.DataFrame, name: str) -> list[str | None]:
    """Return the texts of a column, None for empty cells and where there is no such column."""
    if name not in frame:
        return [None] * len(frame)
    return [None if pd.isna(value) or not str(value).strip() else str(value).strip() for value in frame[name]]
