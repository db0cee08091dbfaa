"""Reads anyone's images: a folder or zip of JPEG, PNG or FITS files, and a table that describes them."""

from __future__ import annotations

import difflib
from pathlib import Path

import pandas as pd

from convnet_galaxies.data.band_files import join_by_table
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.image_files import Match, find_images, index_images, match_images
from convnet_galaxies.data.labels import read_label, remark_on_labels, remark_on_unread_labels
from convnet_galaxies.data.missing_values import NAME_COLUMNS, blank_missing
from convnet_galaxies.data.records import Records, connect
from convnet_galaxies.data.sky_links import read_sky
from convnet_galaxies.data.space_warps import find_zoo_id
from convnet_galaxies.data.table_notes import name_table, table_remarks
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath, name_some

LINK_COLUMNS = {"galaxyid": "GalaxyID", "zooid": "ZooID", "image_file": "image_file"}
"""Columns (in any case) that link images wherever they stand, and the names under which packs share them."""

ADDED_COLUMNS = ("id", "group", "lens", "flavor_label", "sky_group")
_LARGE_GROUP = 0.2


def read_image_folder(
    images: StrPath,
    table: StrPath | None = None,
    *,
    label: str | None = None,
    group: str | None = None,
    skip_bad: bool = False,
) -> Records:
    """Read images and, when given, the table with a row for each.

    images: folder or zip, to any depth; table: any that read_table reads, with one of NAME_COLUMNS.
    label: column to be learned. 0 and 1 (or words of labels.YES and labels.NO) give the column lens (float, NaN where
        missing), any other text gives flavor_label. None takes the column lens if there is one.
    group: column of which equal values are never split apart; so are equal GalaxyID, ZooID or image_file, and
        positions within an arcminute (columns ra_deg, dec_deg, sky_group) where the table has them. A ZooID may also be
        part of the images' names, as in ``42_ASW0001abc.png``.
    The id is the name of the file without its ending. Every other column of the table is kept; one that is called
    like an added column gets the ending ``_given``.
    Raises InputError for missing columns, labels of another kind, rows without an image, images without a row
    (unless skip_bad), and two rows for one image.
    """
    images = Path(images)
    table = None if table is None else Path(table)
    listing = find_images(images)
    files = index_images(listing.files)
    if table is None:
        if label is not None or group is not None:
            raise InputError(
                f"{images}: found no table, expected one with the column {label or group}", "give the table as well"
            )
        ids = pd.Series(list(files), dtype="str")
        frame = pd.DataFrame({"id": ids, "group": ids})
        return Records("images", frame, tuple(files.values()), (), (*listing.remarks, *listing.joined))
    asked = [(column.lower(),) for column in (label, group) if column is not None]
    given = read_table(table, wanted=(NAME_COLUMNS, *asked))
    where = name_table(given, table)
    joined = join_by_table(given, listing.files, NAME_COLUMNS)
    if joined is not None:
        keys, files = joined
        match = match_images(keys, files, table=where, images=images, skip_bad=skip_bad)
    else:
        match, keys = _match_rows(given, files, where, images, skip_bad=skip_bad)
    given = given.iloc[match.rows].reset_index(drop=True)
    ids = pd.Series([keys[row] for row in match.rows], dtype="str")
    added: dict[str, object] = {"id": ids, "group": ids}
    links, remarks = [], [*listing.remarks, *listing.joined, *table_remarks(given), *match.remarks]
    if label is not None or "lens" in given:
        column = _require_column(given, label or "lens", where)
        found = read_label(given, column, where)
        remarks += remark_on_labels(given, column, found)
        added.update(found)
    for name in given:
        common = LINK_COLUMNS.get(name.lower())
        if common is not None:
            links.append(common)
            if common not in given:
                added[common] = given[name]
    if "ZooID" not in links and (zoo_ids := ids.map(find_zoo_id)).notna().any():
        added["ZooID"] = zoo_ids  # one subject of Space Warps may show in several cutouts
        links.append("ZooID")
    if group is not None:
        column = _require_column(given, group, where)
        given[column] = blank_missing(given[column])
        if column.lower() not in LINK_COLUMNS:
            links.append(f"{column}_given" if column in ADDED_COLUMNS else column)
    if label is None and not {"lens", "flavor_label"} & set(given):
        remarks += remark_on_unread_labels(given, table, {*links, group or ""})
    sky = read_sky(given, where, remarks)
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


def _match_rows(
    given: pd.DataFrame, files: dict[str, ImageFile], table: str, images: Path, *, skip_bad: bool
) -> tuple[Match, list[str]]:
    columns = [name for wanted in NAME_COLUMNS for name in given if name.lower() == wanted]
    if not columns:
        raise InputError(
            f"{table}, header: found {name_some(list(given), 10)}, expected a column that names the images "
            f"({', '.join(NAME_COLUMNS[:3])}, name or id)",
            "write a header above the first row, such as file,label"
            if any(key in files for key in _find_keys(pd.Series(list(given), dtype="str"), files))
            else "rename the column that holds the names of the image files to `file`",
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
    """Return the key of each name among the files, or the name itself where there is none."""
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
