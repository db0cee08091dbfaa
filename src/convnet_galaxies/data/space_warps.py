"""Reads a Space Warps catalogue of cutouts: who is a lens, which cutouts share a field, where the images are.

The label rule: the cutout is a lens when its field holds one (truth LENS) and the cutout covers it (alpha 1). A
cutout of a LENS field with alpha 0, and any cutout of a NOT field, is none; UNKNOWN stays unknown. Nothing else of
alpha is used, and images lose their alpha channel when they are decoded.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from convnet_galaxies.data.catalog_values import VALUES, read_values
from convnet_galaxies.data.image_files import find_images, match_images
from convnet_galaxies.data.records import ImageFile, Records, connect
from convnet_galaxies.data.table_notes import add_remarks, table_remarks
from convnet_galaxies.data.tables import TEXT_COLUMNS, name_row, pick_tables, read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath, name_some, require_path, visible_names

CUTOUT_COLUMNS = ("cutoutname", "object_name")
"""Names of the column with the cutout's file, the newer first."""

ADDED_COLUMNS = ("id", "group", "lens", "flavor_label", "image_file", "cutout_file", "sky_group")

LINKS = ("ZooID", "image_file")
"""Columns of which one shared value puts two cutouts into one group."""

_TEXT = (*TEXT_COLUMNS, "zooid", "object_id", "location", *CUTOUT_COLUMNS)
_ZOO_ID = re.compile(r"(?:^|_)(ASW[0-9a-z]+)(?:$|_)", re.IGNORECASE)
_STAGE_ENDING = re.compile(r"@stage\d*$")


def read_space_warps(catalog: StrPath, cutouts: StrPath | None = None, *, skip_bad: bool = False) -> Records:
    """Read a catalogue of cutouts and, when given or found, their images.

    catalog: CSV (zipped or not) or another table, or a folder with ``cluster_catalog.csv`` and ``cutouts_good``.
    cutouts: folder or zip of ``<object_id>_<ZooID>.png``; None reads the table alone unless catalog is a folder.
    The table keeps every column and gains: id (name of the cutout's file without its ending, ``@stage2`` added
    where stage 1 has the same name), group, lens (float: 1, 0, NaN for unknown), flavor_label (the flavor of a lens,
    ``dud`` for none, missing for unknown) and image_file (name of the field's image, where location is given).
    Images are linked by ZooID, image_file and, where the catalogue has positions, by these, also across stages.
    Raises InputError for missing columns, values outside the lists of VALUES, cutouts that stand twice, and rows
    without an image or images without a row (unless skip_bad).
    """
    catalog = Path(catalog)
    cutouts = None if cutouts is None else Path(cutouts)
    from convnet_galaxies.data.sky_links import read_sky  # loads astropy, which predictions do without

    catalog, cutouts = find_catalog(catalog, cutouts)
    table = read_catalog(catalog)
    remarks = [*table_remarks(table)]
    links = tuple(column for column in LINKS if column in table)
    noticed: list[str] = []
    sky = read_sky(table, catalog, noticed)
    if sky:
        table, links = table.assign(**sky), (*links, "sky_group")
        remarks += noticed
    if links:
        table["group"] = connect(table, links)
    else:
        remarks.append(f"{catalog} has neither ZooID, location nor positions: cutouts of one field may be split apart")
    if cutouts is None:
        return Records("space-warps", table, None, links, tuple(remarks))
    listing = find_images(cutouts)
    remarks += listing.remarks
    keys, files = _match_names(table["cutout_file"].tolist(), listing.files, cutouts)
    match = match_images(keys, files, table=catalog, images=cutouts, skip_bad=skip_bad)
    table = table.iloc[match.rows].reset_index(drop=True)
    return Records("space-warps", table, match.files, links, (*remarks, *match.remarks), match.skipped)


def read_catalog(catalog: Path) -> pd.DataFrame:
    """Read the catalogue with its labels (see read_space_warps), and ``cutout_file``, which names each row's image."""
    given = read_table(catalog, text_columns=_TEXT, wanted=(("truth",), ("alpha",), CUTOUT_COLUMNS))
    if not len(given):
        raise InputError(f"{catalog}: found a header and no rows, expected one row for each cutout", "fetch it again")
    names = {name.lower(): name for name in given}
    missing = [column for column in ("truth", "alpha") if column not in names]
    if missing:
        raise InputError(
            f"{catalog}, header: found no column {' and '.join(missing)} among {name_some(list(given), 30)}, "
            "expected truth and alpha, which make the label",
            "give the catalogue of cutouts (cluster_catalog.csv)",
        )
    clean = {column: read_values(given, names[column], catalog) for column in VALUES if column in names}
    lens, flavor_label = label_lenses(clean["truth"], clean["alpha"], clean.get("flavor"))
    _refuse_contradictions(given, clean, catalog)
    cutout_file = _name_cutouts(given, names, catalog)
    ids = _name_rows(cutout_file, clean.get("stage"), catalog)
    added: dict[str, object] = {"id": ids, "group": ids, "lens": lens}
    if flavor_label is not None:
        added["flavor_label"] = flavor_label
    if "location" in names:
        added["image_file"] = given[names["location"]].map(_name_image_file, na_action="ignore")
    fields = cutout_file.map(_cut_ending).str.extract(_ZOO_ID)[0]
    if "zooid" not in names and fields.notna().all():
        added["ZooID"] = fields
    elif "zooid" in names and names["zooid"] != "ZooID":
        added["ZooID"] = given[names["zooid"]]
    added["cutout_file"] = cutout_file
    kept = given.rename(columns={name: f"{name}_given" for name in given if name in ADDED_COLUMNS})
    return add_remarks(pd.concat([pd.DataFrame(added), kept], axis=1), table_remarks(given))


def find_zoo_id(name: str) -> str | None:
    """Return the ZooID that is part of an id or a file name, or None."""
    found = _ZOO_ID.search(_STAGE_ENDING.sub("", _cut_ending(name)))
    return found.group(1) if found else None


def label_lenses(
    truth: pd.Series, alpha: pd.Series, flavor: pd.Series | None = None
) -> tuple[np.ndarray, pd.Series | None]:
    """Return the label rule: lens (float [n]: 1, 0, NaN) and flavor_label (text [n] or None without flavors).

    truth: LENS, NOT or UNKNOWN; alpha: "1", "0" or missing; flavor: as in VALUES.
    """
    is_lens = (truth == "LENS") & (alpha == "1")
    lens = np.where(truth == "UNKNOWN", np.nan, is_lens.astype(float))
    if flavor is None:
        return lens, None
    label = flavor.where(is_lens, other=None)
    return lens, label.mask(lens == 0, "dud")


def find_catalog(catalog: Path, cutouts: Path | None = None) -> tuple[Path, Path | None]:
    """Find the catalogue's file and the images, when catalog may be a folder that holds both."""
    require_path(catalog)
    if cutouts is not None:
        require_path(cutouts)
    if not catalog.is_dir():
        return catalog, cutouts
    names = visible_names(catalog)
    tables = [name for name in names if re.fullmatch(r"cluster_catalog(\.csv)?(\.\w+)?", name, re.IGNORECASE)]
    tables = tables or pick_tables(name for name in names if (catalog / name).is_file())
    if len(tables) > 1:
        tables = [name for name in tables if name.lower() == "cluster_catalog.csv"]
    if len(tables) != 1:
        raise InputError(
            f"{catalog}: found {name_some(names)}, expected cluster_catalog.csv", "give the catalogue's file itself"
        )
    if cutouts is None:
        found = [name for name in names if re.fullmatch(r"cutouts(_good)?(\.zip)?", name, re.IGNORECASE)]
        found.sort(key=lambda name: ("good" not in name.lower(), not name.lower().endswith(".zip")))
        cutouts = catalog / found[0] if found else None
    return catalog / tables[0], cutouts


def _name_cutouts(given: pd.DataFrame, names: dict[str, str], where: Path) -> pd.Series:
    column = next((names[name] for name in CUTOUT_COLUMNS if name in names), None)
    if column is not None and given[column].notna().all():
        return given[column].astype("str").str.strip().str.replace("\\", "/")
    if "object_id" in names and "zooid" in names:
        return (
            given[names["object_id"]].astype("str").str.strip() + "_" + given[names["zooid"]].astype("str").str.strip()
        )
    lacking = f"{int(given[column].isna().sum()):,} empty values of {column}" if column else "no name of the cutouts"
    raise InputError(
        f"{where}: found {lacking}, expected the column cutoutname, or object_id and ZooID", "complete the catalogue"
    )


def _name_rows(cutout_file: pd.Series, stage: pd.Series | None, where: Path) -> pd.Series:
    """Unique ids: the stem of the cutout's file; of a name in several stages, the later ones gain ``@stage<n>``."""
    stems = cutout_file.map(_cut_ending)
    same = pd.DataFrame({"stem": stems, "stage": "" if stage is None else stage.fillna("")})
    twice = np.flatnonzero(same.duplicated().to_numpy())
    if len(twice):
        row = int(twice[0])
        first = int(np.flatnonzero((same == same.iloc[row]).all(axis=1).to_numpy())[0])
        raise InputError(
            f"{where}, row {row + 1}: found the cutout {stems.iloc[row]} again in the same stage (first in row "
            f"{first + 1}), expected each once; {len(twice):,} rows are doubles",
            "remove the doubles",
        )
    later = same["stage"] != same.groupby("stem")["stage"].transform("min")
    return stems.mask(later, stems + "@stage" + same["stage"])


def _match_names(
    names: list[str], images: tuple[ImageFile, ...], where: Path
) -> tuple[list[str], dict[str, ImageFile]]:
    """Keys of the rows and images by key; a key has only as many folders as it takes to tell images apart."""
    by_stem: dict[str, list[ImageFile]] = {}
    for file in images:
        by_stem.setdefault(file.stem, []).append(file)
    files = {stem if len(found) == 1 else str(file): file for stem, found in by_stem.items() for file in found}
    keys = []
    for name in names:
        stem = _cut_ending(name)
        alike = by_stem.get(stem, [])
        if len(alike) > 1:  # e.g. stage1/a.png and stage2/a.png
            ends = [file for file in alike if f"/{file.member or file.path.as_posix()}".endswith(f"/{name}")]
            if len(ends) != 1:
                raise InputError(
                    f"{where}: found {len(alike)} images called {stem} ({name_some([str(file) for file in alike], 2)}) "
                    f"and cannot tell which belongs to the cutout {name}, expected one",
                    "remove one, or give the folder in the column cutoutname",
                )
            stem = str(ends[0])
        keys.append(stem)
    return keys, files


def _refuse_contradictions(given: pd.DataFrame, clean: dict[str, pd.Series], where: Path) -> None:
    has_lens = clean["truth"] == "LENS"
    faults = [(has_lens & clean["alpha"].isna(), "no alpha", "0 or 1, which tells whether the cutout covers the lens")]
    if "flavor" in clean:
        no_lens = clean["flavor"].isin(["dud", "test"])
        faults.append((has_lens & (clean["alpha"] == "1") & no_lens, "alpha 1 with a flavor of none", "that of a lens"))
    for rows, found, expected in faults:
        if rows.any():
            row = int(np.flatnonzero(rows.to_numpy())[0])
            raise InputError(
                f"{where}, {name_row(given, row)}: found truth LENS and {found}, expected {expected} "
                f"({int(rows.sum()):,} rows are like that)",
                "correct the catalogue",
            )


def _name_image_file(location: str) -> str:
    return PurePosixPath(urlsplit(location.strip()).path).name


def _cut_ending(name: str) -> str:
    base = name.rsplit("/", 1)[-1]
    return re.sub(r"\.(png|jpe?g|fits?)$", "", base, flags=re.IGNORECASE)
