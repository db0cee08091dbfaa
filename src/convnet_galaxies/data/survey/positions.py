"""Positions to be cut out: from tables of any kind, HATS folders, or a grid; and those that lie on a tile."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.position_names import find_pairs
from convnet_galaxies.data.positions import read_positions as read_sky_positions
from convnet_galaxies.data.survey.survey_image import SurveyImage
from convnet_galaxies.data.table_notes import add_units
from convnet_galaxies.data.tables import TEXT_COLUMNS, numbers, read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath, name_some, require_path

ID_COLUMNS = ("id", "id_str", "object_id", "objectid", "source_id", "sourceid", "targetid", "coadd_object_id", "objid",
              "coadd_objects_id", "diaobjectid", "ls_id", "id_obj", "number", "name", "object_name")  # fmt: skip
"""Names of the column of ids, in lower case; the first that is there is taken."""

_PIXEL_COLUMNS = (("x_px", "y_px", 0), ("x_image", "y_image", 1), ("xwin_image", "ywin_image", 1), ("x", "y", 0))
"""Columns of positions in pixels and the number of the first pixel: SExtractor counts from 1."""


@dataclass(frozen=True, eq=False)
class Positions:
    """Positions of n objects, on the sky or in the pixels of named tiles.

    id_values: whole numbers of 64 bits or texts, [n]. ra_deg, dec_deg: float64 [n] of ICRS, NaN for those in pixels.
    tile: names of tiles (object [n]), None for positions on the sky; x_px, y_px: float64 [n], 0-based, with it.
    size: float64 [n], in the unit of its column, None without one. left_out: how many rows by reason. remarks: how
    the table was read, one sentence each.
    """

    source: str
    id_values: np.ndarray
    ra_deg: np.ndarray
    dec_deg: np.ndarray
    tile: np.ndarray | None = None
    x_px: np.ndarray | None = None
    y_px: np.ndarray | None = None
    size: np.ndarray | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.id_values)

    @property
    def ids(self) -> np.ndarray:
        """All ids as texts, object [n]; of many positions take those of some rows by `name_ids`."""
        return self.name_ids(np.arange(len(self)))

    def name_ids(self, rows: np.ndarray) -> np.ndarray:
        """Return the ids of some rows, int [m], as texts, object [m]: every digit of a whole number."""
        return np.array([str(value) for value in self.id_values[rows].tolist()], dtype=object)

    @cached_property
    def _by_declination(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.dec_deg, kind="stable")
        return order, self.dec_deg[order]

    def rows_near(self, ra_deg: float, dec_deg: float, radius_deg: float) -> np.ndarray:
        """Return rows within a circle on the sky, int [m], ascending; also round a pole and RA = 0."""
        order, declinations = self._by_declination
        first = np.searchsorted(declinations, dec_deg - radius_deg, side="left")
        rows = order[first : np.searchsorted(declinations, dec_deg + radius_deg, side="right")]
        apart = np.deg2rad(self.ra_deg[rows] - ra_deg)
        here, there = np.deg2rad(dec_deg), np.deg2rad(self.dec_deg[rows])
        chord = np.sin((there - here) / 2) ** 2 + np.cos(here) * np.cos(there) * np.sin(apart / 2) ** 2
        return np.sort(rows[chord <= np.sin(np.deg2rad(min(radius_deg, 180.0)) / 2) ** 2])


def read_positions(source: StrPath, *, id_column: str | None = None, size_column: str | None = None) -> Positions:
    """Read positions from a table of any format, or from the Parquet files of a HATS folder.

    Columns of right ascension and declination go by their usual names and units (see data.positions); without them,
    columns tile with x_px and y_px (0-based), or X_IMAGE and Y_IMAGE (from 1), give pixels.
    id_column, size_column: names; without an id column rows are called by their number from 1.
    Raises InputError for a source without positions, or with coordinates out of range.
    """
    path = Path(source)
    require_path(path)
    parts = [
        _read_part(frame, where, id_column, size_column, first)
        for frame, where, first in _frames(path, [name for name in (id_column, size_column) if name is not None])
    ]
    whole = _join(str(path), parts)
    if not len(whole):
        raise InputError(
            f"{path}: found no position ({sum(whole.left_out.values()):,} rows without one), expected some",
            "give a table with ra and dec",
        )
    return whole


def find_on_tile(positions: Positions, image: SurveyImage) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the positions that lie on a tile: their rows, int [m], ascending, and x, y in its pixels, float [m].

    Raises InputError for positions on the sky where the tile has no world coordinate system.
    """
    h, w = image.shape
    if positions.tile is not None and positions.x_px is not None and positions.y_px is not None:
        rows = np.flatnonzero(positions.tile == image.name)
        x, y = positions.x_px[rows], positions.y_px[rows]
    else:
        if image.wcs is None:
            raise InputError(
                f"tile {image.name}: found no world coordinate system, expected one for positions on the sky",
                "give positions in pixels (columns tile, x_px, y_px), or detect the objects",
            )
        rows = positions.rows_near(*image.cap)
        x, y = image.to_pixels(positions.ra_deg[rows], positions.dec_deg[rows])
    on_tile = (x >= -0.5) & (x < w - 0.5) & (y >= -0.5) & (y < h - 0.5)
    return rows[on_tile], x[on_tile], y[on_tile]


def grid_positions(image: SurveyImage, step_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Return x, y of a grid that covers a tile row by row, float [n]: no pixel is farther than half a step from one."""
    if not step_px >= 1:
        raise InputError(f"--step: found {step_px:g} px, expected 1 or more", "give e.g. 48")
    numbers_of = [int(np.ceil(side / step_px)) for side in image.shape]
    along = [(np.arange(n) + 0.5) * side / n - 0.5 for n, side in zip(numbers_of, image.shape, strict=True)]
    y, x = np.meshgrid(*along, indexing="ij")
    return x.ravel(), y.ravel()


def _frames(path: Path, extra: Sequence[str]) -> Iterator[tuple[pd.DataFrame, str, int]]:
    """Yield tables, how they are called, and the number of rows before them."""
    if path.is_dir():
        leaves = sorted(one for one in path.rglob("*.parquet") if not one.name.startswith(("_", ".")))
        # Beside the leaves a catalogue may hold a thumbnail, whose rows are among theirs.
        leaves = [
            one for one in leaves if any(part.startswith("Npix=") for part in one.relative_to(path).parts)
        ] or leaves
        if not leaves:
            raise InputError(
                f"{path}: found no Parquet file in this folder, expected a HATS catalogue "
                "(dataset/Norder=.../*.parquet)",
                "give a table of positions (CSV, FITS, VOTable, Parquet), or a HATS folder",
            )
        axes, done = _read_axes_of_hats(path), 0
        for leaf in leaves:
            frame = _read_columns(leaf, extra, axes)
            yield frame, str(leaf), done
            done += len(frame)
    elif path.suffix.lower() in (".parquet", ".pq"):
        yield _read_columns(path, extra, None), str(path), 0
    else:
        wanted = (("ra", "ra_deg", "raj2000"), ("dec", "dec_deg", "dej2000"))
        yield read_table(path, text_columns=(*TEXT_COLUMNS, "tile"), wanted=wanted), str(path), 0


def _read_columns(path: Path, extra: Sequence[str], axes: tuple[str, str] | None) -> pd.DataFrame:
    """Read the columns of a Parquet file that are of use. axes: of positions in degrees, by the file of a catalogue."""
    import pyarrow.parquet as pq

    try:
        names = [str(name) for name in pq.ParquetFile(path).schema_arrow.names]
    except Exception:  # read_table tells what is wrong
        return read_table(path)
    if axes is not None and set(axes) <= set(names):
        names = [name for name in names if name in axes or _is_of_use(name, extra)]
        return add_units(read_table(path, columns=names), dict.fromkeys(axes, "deg"))
    return read_table(path, columns=[name for name in names if _is_of_use(name, extra) or _may_be_position(name)])


def _read_axes_of_hats(folder: Path) -> tuple[str, str] | None:
    """Return the columns of right ascension and declination that a HATS catalogue names; its positions are degrees."""
    for name in ("hats.properties", "properties"):
        path = folder / name
        if path.is_file():
            text = path.read_text("utf-8", errors="replace")
            found = dict(re.findall(r"^\s*hats_col_(ra|dec)\s*=\s*(\S+)\s*$", text, re.MULTILINE))
            if len(found) == 2:
                return found["ra"], found["dec"]
    return None


def _is_of_use(name: str, extra: Sequence[str]) -> bool:
    lowered = name.lower()
    pixels = {one for columns in _PIXEL_COLUMNS for one in columns[:2]}
    return name in extra or lowered in ID_COLUMNS or lowered in pixels or lowered == "tile"


def _may_be_position(name: str) -> bool:
    """Pairs are found among all names; one that has no partner is of no use."""
    return bool(re.search(r"ra|dec|de|alpha|delta|world", name, re.IGNORECASE))


def _read_part(
    frame: pd.DataFrame, where: str, id_column: str | None, size_column: str | None, first: int
) -> Positions:
    lowered = {str(name).lower(): str(name) for name in reversed(list(frame))}
    ids = _read_ids(frame, lowered, id_column, where, first)
    size = None
    if size_column is not None:
        if size_column not in frame:
            raise InputError(
                f"{where}: found the columns {name_some(list(map(str, frame)), 10)}, expected {size_column}",
                "correct the name of the column of sizes",
            )
        size = numbers(frame, size_column, where, missing=True)
    nowhere = np.full(len(frame), np.nan)
    pixels = next((three for three in _PIXEL_COLUMNS if three[0] in lowered and three[1] in lowered), None)
    tile = x = y = None
    ra, dec = nowhere, nowhere
    remarks: list[str] = []
    if find_pairs(list(map(str, frame))):
        sky, remarks = read_sky_positions(frame, where)
        if sky is not None:
            ra, dec, remarks = sky.ra_deg, sky.dec_deg, [sky.remark]
        known = np.isfinite(ra) & np.isfinite(dec)
    elif pixels is not None and "tile" in lowered:
        x, y = (numbers(frame, lowered[name], where, missing=True) - pixels[2] for name in pixels[:2])
        tile = frame[lowered["tile"]].astype(str).to_numpy(dtype=object)
        known = np.isfinite(x) & np.isfinite(y)
        remarks = [f"positions are read from {lowered[pixels[0]]} and {lowered[pixels[1]]}, pixels from {pixels[2]}"]
    else:
        raise InputError(
            f"{where}: found the columns {name_some(list(map(str, frame)), 10)}, expected right ascension and "
            "declination, or tile with x_px and y_px",
            "name the columns ra and dec",
        )
    lost = np.flatnonzero(~known)
    left_out = {"without a position": len(lost)} if len(lost) else {}
    if len(lost):
        names = name_some([str(one) for one in ids[lost[:3]].tolist()], 3)
        more = f" and {len(lost) - 3:,} more" if len(lost) > 3 else ""
        remarks = [*remarks, f"{len(lost):,} of {len(frame):,} rows have no position and are left out: {names}{more}"]
    tile, x, y, size = (None if column is None else column[known] for column in (tile, x, y, size))
    return Positions(where, ids[known], ra[known], dec[known], tile, x, y, size, left_out, tuple(remarks))


def _read_ids(frame: pd.DataFrame, lowered: dict[str, str], wanted: str | None, where: str, first: int) -> np.ndarray:
    if wanted is not None and wanted not in frame:
        raise InputError(
            f"{where}: found the columns {name_some(list(map(str, frame)), 10)}, expected {wanted}",
            "correct the name of the column of ids",
        )
    column = wanted or next((lowered[name] for name in ID_COLUMNS if name in lowered), None)
    if column is None:
        return np.arange(first + 1, first + 1 + len(frame))
    values = frame[column]
    if pd.api.types.is_integer_dtype(values.dtype) and not values.isna().any():
        return values.to_numpy(dtype=np.uint64 if "uint64" in str(values.dtype).lower() else np.int64)
    return np.array(["" if pd.isna(value) else str(value) for value in values], dtype=object)


def _join(source: str, parts: Sequence[Positions]) -> Positions:
    if len(parts) == 1:
        return parts[0]

    def stack(columns: list[np.ndarray | None]) -> np.ndarray | None:
        return None if any(column is None for column in columns) else np.concatenate(columns)  # type: ignore[arg-type]

    kinds = {part.id_values.dtype for part in parts}
    ids = [part.id_values if len(kinds) == 1 else part.ids for part in parts]
    left_out: dict[str, int] = {}
    for part in parts:
        for reason, count in part.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + count
    remarks = list(parts[0].remarks[:1]) + [
        f"{count:,} rows are {reason} and are left out" for reason, count in left_out.items()
    ]
    return Positions(
        source,
        np.concatenate(ids),
        np.concatenate([part.ra_deg for part in parts]),
        np.concatenate([part.dec_deg for part in parts]),
        stack([part.tile for part in parts]),
        stack([part.x_px for part in parts]),
        stack([part.y_px for part in parts]),
        stack([part.size for part in parts]),
        left_out,
        tuple(remarks),
    )
