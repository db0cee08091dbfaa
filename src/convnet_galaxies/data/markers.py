"""Fields and volunteers' clicks to clustered cutouts and their catalogue, as Space Warps' were made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.click_clusters import CATALOG_COLUMNS, cut_clusters, measure_clusters
from convnet_galaxies.data.output import new_folder
from convnet_galaxies.data.panoptes.blocks import is_export
from convnet_galaxies.data.panoptes.classifications import read_classifications
from convnet_galaxies.data.panoptes.tables import list_markers
from convnet_galaxies.data.picture import decode_with_alpha
from convnet_galaxies.data.tables import TEXT_COLUMNS, numbers, read_table
from convnet_galaxies.errors import BadImageError, InputError
from convnet_galaxies.paths import require_path

CATALOG_NAME = "cluster_catalog.csv"
CUTOUTS_NAME = "cutouts_good"
FIELDS_NAME = "fields.csv"

Progress = Callable[[int, int], None]

_LABELS = {"category": "test", "kind": "test", "flavor": "test", "truth": "UNKNOWN"}
_DEFAULTS = {**_LABELS, "mean_probability": np.nan, "state": "active", "status": "undecided", "stage": 1}


def read_field(path: Path) -> np.ndarray:
    """Read a field image as uint8 [h, w, 3], or [h, w, 4] when it has an alpha channel. Raises BadImageError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadImageError(f"{path}: cannot be read ({error})", "restore the field") from None
    pixels, alpha = decode_with_alpha(data, str(path))
    if pixels.dtype != np.uint8 or pixels.shape[2] not in (1, 3):
        raise BadImageError(
            f"{path}: found {pixels.shape[2]} bands of {pixels.dtype}, expected a picture of 8 bits",
            "save the field as a PNG image of 8 bits, as volunteers see it",
        )
    rgb = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    return rgb if alpha is None else np.dstack([rgb, alpha])


def cut_markers(
    fields_dir: Path,
    markers: pd.DataFrame | Path,
    output: Path,
    *,
    fields: pd.DataFrame | Path | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> pd.DataFrame:
    """Cluster the clicks of every field, cut the stamps and write the catalogue; returns the catalogue.

    fields_dir: folder of field images (PNG), named as in column ``location``, or ``<ZooID>.png``.
    markers: table (or its file: CSV, Parquet, FITS, VOTable) of one row per click: ``ZooID``, ``volunteer``, ``x``,
        ``y`` (pixels, 0-based from the top left corner); optional ``stage`` (1) and ``skill`` (bits; 1). Or a
        classification export of Zooniverse, whose subjects are named by their numbers.
    fields: table (or its file) of one row per field: ``ZooID``, ``category``, ``kind``, ``flavor``, ``truth``,
        ``stage``; optional ``ID``, ``location``, ``mean_probability``, ``state``, ``status``,
        ``people_looking_at_field`` (else those who clicked are counted).
        Without it ``fields.csv`` in fields_dir or beside the markers is taken; when
        there is none all fields are unlabelled test fields.
    output: new folder; holds ``cluster_catalog.csv`` and ``cutouts_good/<object_id>_<ZooID>.png``. Stamps keep the
        bands of their field: an alpha channel marks painted features and is part of the label, never an input.
    Raises InputError for columns, fields or images that are missing and clicks that lie outside their field.
    """
    if not require_path(Path(fields_dir)).is_dir():
        raise InputError(f"{fields_dir}: is a file, expected a folder of field images", "give the folder")
    fields_dir = Path(fields_dir)
    clicks, source = read_markers(markers)
    table = read_fields_table(fields, places=_places_of_fields(fields_dir, markers), clicks=clicks)
    clicked = list(_pair(table, clicks, source))
    rows: list[pd.DataFrame] = []
    with new_folder(Path(output), force=force, is_ours=holds_cutouts) as folder:
        (folder / CUTOUTS_NAME).mkdir()
        number = 0
        for done, (field, own) in enumerate(clicked, start=1):
            image = read_field(_field_path(fields_dir, field))
            _require_inside(own, image.shape, field["ZooID"], source)
            clusters = measure_clusters(own)
            if len(clusters):
                clusters["object_id"] = np.arange(number, number + len(clusters))
                number += len(clusters)
                rows.append(cut_clusters(image, clusters, field, folder / CUTOUTS_NAME))
            if progress is not None:
                progress(done, len(clicked))
        catalog = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=CATALOG_COLUMNS)
        catalog.to_csv(folder / CATALOG_NAME, index=False)
    return catalog


def holds_cutouts(folder: Path) -> bool:
    """Return whether a folder is an earlier output of this module, which --force may replace."""
    return (folder / CATALOG_NAME).is_file() and (folder / CUTOUTS_NAME).is_dir()


def read_markers(markers: pd.DataFrame | Path) -> tuple[pd.DataFrame, str]:
    """Read clicks with columns ZooID (str), stage (int), volunteer, x, y, skill (float), and the name of their
    source."""
    if not isinstance(markers, pd.DataFrame) and is_export(Path(markers)):
        table, source = list_markers(read_classifications(markers)), str(markers)
    else:
        table, source = _read_table(markers, "markers")
    _require_columns(table, ("ZooID", "volunteer", "x", "y"), source)
    table = table.assign(**{name: value for name, value in (("stage", 1), ("skill", 1.0)) if name not in table})
    for column in ("x", "y", "skill"):
        table[column] = numbers(table, column, source)
    table["stage"] = _read_stages(table, source)
    for column in ("ZooID", "volunteer"):
        if table[column].isna().any():
            raise InputError(
                f"{source}, row {int(table[column].isna().argmax()) + 1}: found no {column}", "fill the column"
            )
    table["ZooID"] = table["ZooID"].astype(str)
    return table, source


def read_fields_table(
    fields: pd.DataFrame | Path | None, *, places: tuple[Path, ...], clicks: pd.DataFrame
) -> pd.DataFrame:
    """Read one row per field and stage with FIELD_COLUMNS; without a table, the clicked fields as unlabelled."""
    if fields is None:
        fields = next((place for place in places if place.is_file()), None)
    if fields is None:
        table, source = clicks[["ZooID", "stage"]].drop_duplicates().reset_index(drop=True), "fields"
    else:
        table, source = _read_table(fields, "fields")
        _require_columns(table, ("ZooID", "category", "kind", "flavor", "truth", "stage"), source)
    table = table.assign(**{name: value for name, value in _DEFAULTS.items() if name not in table})
    table["ZooID"], table["stage"] = table["ZooID"].astype(str), _read_stages(table, source)
    twice = table.duplicated(["ZooID", "stage"])
    if twice.any():
        raise InputError(
            f"{source}: found field {table.loc[twice, 'ZooID'].iloc[0]} twice in one stage, expected one row per field",
            "remove the row, or give the stages different numbers",
        )
    if (paths := table["ZooID"].str.contains(r"[/\\\x00-\x1f]")).any():
        raise InputError(
            f"{source}: found the field {table.loc[paths, 'ZooID'].iloc[0]!r}, expected names without / and \\",
            "rename the field, since its cutouts are named by it",
        )
    names = table["ZooID"] + ".png"
    table["location"] = table["location"].fillna(names) if "location" in table else names
    return table.assign(ID=table["ZooID"]) if "ID" not in table else table


def _pair(table: pd.DataFrame, clicks: pd.DataFrame, source: str) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
    """Each field that has clicks, in the order of the table, with its clicks in theirs."""
    known = set(zip(table["ZooID"], table["stage"], strict=True))
    groups = dict(iter(clicks.groupby(["ZooID", "stage"], sort=False)))
    for zoo_id, stage in groups:
        if (zoo_id, stage) not in known:
            raise InputError(
                f"{source}: found clicks on field {zoo_id} of stage {stage:g}, expected it in the table of fields",
                "add a row for the field, or remove its clicks",
            )
    for _, field in table.iterrows():
        own = groups.get((field["ZooID"], field["stage"]))
        if own is not None:
            yield field, own


def _require_inside(clicks: pd.DataFrame, shape: tuple[int, ...], zoo_id: str, source: str) -> None:
    height, width = shape[:2]
    # Pixel centres are whole numbers, so the field reaches half a pixel beyond the outermost ones; clicks on the
    # border come as the field's size itself.
    outside = ~(clicks["x"].between(-0.5, width) & clicks["y"].between(-0.5, height))
    if outside.any():
        row = clicks[outside].iloc[0]
        raise InputError(
            f"{source}, field {zoo_id}: found a click at x={row['x']:g}, y={row['y']:g}, "
            f"expected 0 to {width - 1} and 0 to {height - 1} as the field is {width} x {height} px",
            "give clicks in pixels of the field, 0-based from its top left corner",
        )


def _field_path(fields_dir: Path, field: pd.Series) -> Path:
    names = (str(field["location"]).rsplit("/", 1)[-1], f"{field['ZooID']}.png")
    for name in names:
        if (fields_dir / name).is_file():
            return fields_dir / name
    raise InputError(
        f"{fields_dir}: found no image of field {field['ZooID']}, expected {' or '.join(dict.fromkeys(names))}",
        "add the image, or remove the field's clicks",
    )


def _places_of_fields(fields_dir: Path, markers: pd.DataFrame | Path) -> tuple[Path, ...]:
    inside = fields_dir / FIELDS_NAME
    return (inside,) if isinstance(markers, pd.DataFrame) else (inside, Path(markers).parent / FIELDS_NAME)


def _read_table(table: pd.DataFrame | Path, name: str) -> tuple[pd.DataFrame, str]:
    if isinstance(table, pd.DataFrame):
        return table.reset_index(drop=True), name
    return read_table(Path(table), text_columns=(*TEXT_COLUMNS, "zooid", "volunteer", "location")), str(table)


def _require_columns(table: pd.DataFrame, wanted: tuple[str, ...], source: str) -> None:
    missing = [column for column in wanted if column not in table]
    if missing:
        raise InputError(
            f"{source}: found columns {', '.join(map(str, table.columns))}, expected also {', '.join(missing)}",
            "rename or add the columns",
        )


def _read_stages(table: pd.DataFrame, source: str) -> np.ndarray:
    """int [n], of which one names a showing of a field together with its ZooID."""
    stages = numbers(table, "stage", source)
    if (stages % 1 != 0).any():
        raise InputError(f"{source}, column stage: found {stages[stages % 1 != 0][0]:g}, expected 1 or 2", "correct it")
    return stages.astype(int)
