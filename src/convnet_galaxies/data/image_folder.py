"""Reads anyone's images: a folder or zip of JPEG, PNG or FITS files, and a table that describes them."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.archive import find_images, name_some
from convnet_galaxies.data.matching import Match, index_images, match_images
from convnet_galaxies.data.records import ImageFile, Records, connect
from convnet_galaxies.data.sky_groups import NEIGHBOUR_ARCMIN, group_by_sky
from convnet_galaxies.data.tables import numbers, read_table
from convnet_galaxies.errors import InputError

NAME_COLUMNS = (
    "file",
    "filename",
    "file_name",
    "file_loc",
    "image",
    "cutoutname",
    "object_name",
    "name",
    "id",
    "id_str",
)
"""Columns (in any case) that may name a row's image, with or without folders and ending; the best match is taken."""

SKY_COLUMNS = (("ra_deg", "dec_deg"), ("ra", "dec"), ("raj2000", "dej2000"))
"""Pairs of columns (in any case) that hold a position in degrees."""

LINK_COLUMNS = {"galaxyid": "GalaxyID", "zooid": "ZooID", "image_file": "image_file"}
"""Columns (in any case) that link images wherever they stand, and the names under which packs share them."""

YES, NO = ("1", "true", "yes", "lens"), ("0", "false", "no", "not")
"""Words of a label (in any case) that make it a lens label; ``unknown`` and missing values are neither."""

ADDED_COLUMNS = ("id", "group", "lens", "flavor_label", "sky_group")
_LARGE_GROUP = 0.2


def read_image_folder(
    images: Path,
    table: Path | None = None,
    *,
    label: str | None = None,
    group: str | None = None,
    skip_bad: bool = False,
) -> Records:
    """Read images and, when given, the table with a row for each.

    images: folder or zip, to any depth; table: CSV, Parquet, FITS or VOTable with one of NAME_COLUMNS.
    label: column to be learned. 0 and 1 (or words of YES and NO) give the column lens (float, NaN where missing), any
        other text gives flavor_label. None takes the column lens if there is one.
    group: column of which equal values are never split apart; so are equal GalaxyID, ZooID or image_file, and
        positions within an arcminute (columns ra_deg, dec_deg, sky_group) where the table has them.
    The id is the name of the file without its ending. Every other column of the table is kept; one that is called
    like an added column gets the ending ``_given``.
    Raises InputError for missing columns, labels of another kind, rows without an image, images without a row
    (unless skip_bad), and two rows for one image.
    """
    listing = find_images(images)
    files = index_images(listing.files)
    if table is None:
        if label is not None or group is not None:
            raise InputError(
                f"{images}: found no table, expected one with the column {label or group}", "give the table as well"
            )
        ids = pd.Series(list(files), dtype="str")
        return Records(
            "images",
            pd.DataFrame({"id": ids, "group": ids}),
            tuple(files.values()),
            (),
            (*listing.remarks, *listing.joined),
        )
    given = read_table(table)
    match, keys = _match_rows(given, files, table, images, skip_bad=skip_bad)
    given = given.iloc[match.rows].reset_index(drop=True)
    ids = pd.Series([keys[row] for row in match.rows], dtype="str")
    added: dict[str, object] = {"id": ids, "group": ids}
    if label is not None or "lens" in given:
        added.update(read_label(given, _require_column(given, label or "lens", table), table))
    links, remarks = [], [*listing.remarks, *listing.joined, *match.remarks]
    for name in given:
        common = LINK_COLUMNS.get(name.lower())
        if common is not None:
            links.append(common)
            if common not in given:
                added[common] = given[name]
    if group is not None:
        column = _require_column(given, group, table)
        if column.lower() not in LINK_COLUMNS:
            links.append(f"{column}_given" if column in ADDED_COLUMNS else column)
    sky = _read_sky(given, table, remarks)
    if sky:
        added.update(sky)
        links.append("sky_group")
    taken = [name for name in added if name in given and given[name].equals(pd.Series(added[name]))]
    kept = given.drop(columns=taken).rename(columns={name: f"{name}_given" for name in given if name in added})
    whole = pd.concat([pd.DataFrame(added), kept], axis=1)
    if links:
        whole["group"] = connect(whole, links)
        largest = int(whole["group"].value_counts().iloc[0])
        if len(whole) >= 10 and largest > _LARGE_GROUP * len(whole):
            remarks.append(f"the largest group, which no split divides, holds {largest:,} of {len(whole):,} images")
    return Records("images", whole, match.files, tuple(links), tuple(remarks), match.skipped)


def read_label(frame: pd.DataFrame, column: str, where: object) -> dict[str, object]:
    """The label column as ``{"lens": float [n]}`` or ``{"flavor_label": text [n]}``; see read_image_folder.

    Raises InputError for numbers other than 0 and 1, and when no label is present.
    """
    values = frame[column]
    texts = values.astype("str").str.strip()
    lowered = texts.str.lower().str.removesuffix(".0")
    known = values.notna() & (lowered != "unknown")
    if not known.any():
        raise InputError(f"{where}, column {column}: found no label in {len(frame):,} rows", "choose another column")
    if lowered[known].isin([*YES, *NO]).all():
        lens = np.where(lowered.isin(YES), 1.0, 0.0)
        return {"lens": np.where(known, lens, np.nan)}
    if pd.api.types.is_numeric_dtype(values):
        row = int(np.flatnonzero((known & ~lowered.isin([*YES, *NO])).to_numpy())[0])
        raise InputError(
            f"{where}, row {row + 1}, column {column}: found {values.iloc[row]}, expected 0 or 1, or a text",
            "make a column of 0 and 1, for instance by a threshold",
        )
    return {"flavor_label": texts.where(known, other=None)}


def _match_rows(
    given: pd.DataFrame, files: dict[str, ImageFile], table: Path, images: Path, *, skip_bad: bool
) -> tuple[Match, list[str]]:
    columns = [name for wanted in NAME_COLUMNS for name in given if name.lower() == wanted]
    if not columns:
        raise InputError(
            f"{table}, header: found {name_some(list(given), 10)}, expected a column that names the images "
            f"({', '.join(NAME_COLUMNS[:3])}, name or id)",
            "rename the column that holds the names of the image files to `file`",
        )
    keys_of = {column: _find_keys(given[column], files) for column in columns}
    best = max(columns, key=lambda column: sum(key in files for key in keys_of[column]))
    keys = keys_of[best]
    twice = pd.Series(keys)[pd.Series(keys).isin(list(files))]
    twice = twice[twice.duplicated()]
    if len(twice):
        raise InputError(
            f"{table}, row {twice.index[0] + 1}, column {best}: found the image {twice.iloc[0]} again, "
            f"expected one row for each image ({len(twice):,} rows are doubles)",
            "remove the doubles",
        )
    return match_images(keys, files, table=table, images=images, skip_bad=skip_bad), keys


def _find_keys(names: pd.Series, files: dict[str, ImageFile]) -> list[str]:
    """The key of each name among the files, or the name itself where there is none."""
    by_name = {file.name: key for key, file in files.items()}
    keys = []
    for name in names.astype("str").fillna("(no name)").str.strip().str.replace("\\", "/"):
        parts = name.split("/")
        with_folder = "/".join(parts[-2:])
        stem = ImageFile(Path(with_folder)).stem
        candidates = (
            with_folder,
            *(f"{folder}/{stem}" for folder in parts[-2:-1]),
            by_name.get(parts[-1], ""),
            parts[-1],
        )
        keys.append(next((key for key in candidates if key in files), stem if stem in files else name))
    return keys


def _require_column(frame: pd.DataFrame, column: str, where: object) -> str:
    names = {name.lower(): name for name in frame}
    if column in frame:
        return column
    if column.lower() in names:
        return names[column.lower()]
    close = difflib.get_close_matches(column.lower(), names, n=1)
    raise InputError(
        f"{where}, header: found no column {column} among {name_some(list(frame), 30)}",
        f"did you mean {names[close[0]]}?" if close else "name one of these columns",
    )


def _read_sky(frame: pd.DataFrame, where: object, remarks: list[str]) -> dict[str, object]:
    """Columns ra_deg, dec_deg (float) and sky_group (text), or nothing where the table has no positions."""
    names = {name.lower(): name for name in frame}
    pair = next((pair for pair in SKY_COLUMNS if set(pair) <= set(names)), None)
    if pair is None:
        return {}
    ra, dec = names[pair[0]], names[pair[1]]
    if not all(pd.api.types.is_numeric_dtype(frame[column]) for column in (ra, dec)):
        remarks.append(f"{ra} and {dec} are not in degrees, so positions do not keep close images together")
        return {}
    ra_deg = numbers(frame, ra, where, missing=True, low=-360, high=360)
    dec_deg = numbers(frame, dec, where, missing=True, low=-90, high=90)
    groups = pd.Series(group_by_sky(ra_deg, dec_deg))
    joined = int(groups.notna().sum()) - groups.nunique()
    if joined:
        remarks.append(f"{joined:,} images lie within {NEIGHBOUR_ARCMIN:g} arcmin of another and are kept together")
    return {"ra_deg": ra_deg, "dec_deg": dec_deg, "sky_group": groups.astype("str")}
