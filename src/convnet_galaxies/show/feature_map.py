"""Map of a network's features: a page on which images that look alike to it lie together, with thumbnails."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from convnet_galaxies import __version__
from convnet_galaxies.blocks import as_address
from convnet_galaxies.data.output import new_file
from convnet_galaxies.data.pack import DESCRIPTION, read_pack
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.decision_tree import load_tree
from convnet_galaxies.measure.similarity import project_features
from convnet_galaxies.model.tasks import find_task
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.embeddings import embed_source
from convnet_galaxies.predict.explain import VOTE_TASKS
from convnet_galaxies.predict.predictions import to_table
from convnet_galaxies.predict.predictor import Prediction, Predictor

THUMBNAIL_PX = 48
LABEL_COLUMNS = ("lens", "flavor_label", "expert_grade", "grade", "type")
"""Columns of a pack by which the points can be coloured too."""
SHOWN_QUESTIONS = 4
"""Questions by whose first answer the points can be coloured: a menu of 37 answers helps nobody."""


@dataclass(frozen=True)
class FeatureMap:
    """Places of n images in the plane, and what the page shows of them.

    table: id and the columns by which points can be coloured, one row per image. places: float [n, 2].
    thumbnails: uint8 [n, 48, 48, 3]. run: of the network. total: number of images of the source.
    """

    table: pd.DataFrame
    places: np.ndarray
    thumbnails: np.ndarray
    run: str
    total: int


def map_features(
    predictor: Predictor,
    source: StrPath | ImageSet,
    *,
    number: int = 3000,
    seed: int = 0,
    skip_bad: bool = False,
    skipped: list[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FeatureMap:
    """Return the map of a pack, folder, zip or image set; of more than `number` images, a random sample.

    Raises InputError for a source that does not fit the run or has fewer than 5 images, BadImageError for a bad image
    unless skip_bad.
    """
    thumbnails: list[np.ndarray] = []
    tables: list[pd.DataFrame] = []

    def keep(ids: list[str], pixels: np.ndarray, found: Prediction) -> None:
        thumbnails.append(np.stack([_shrink(one) for one in pixels]))
        tables.append(to_table(ids, found.tasks, predictor.classes, found.familiarity))

    if not isinstance(source, ImageSet) and (Path(source) / DESCRIPTION).is_file():
        source = read_pack(source)
    found = embed_source(
        predictor,
        source,
        keep_images=keep,
        number=number,
        seed=seed,
        skip_bad=skip_bad,
        skipped=skipped,
        progress=progress,
    )
    table = choose_columns(pd.concat(tables, ignore_index=True), predictor.classes)
    total = len(found)
    if isinstance(source, ImageSet):
        total = len(source)
        known = source.table.set_index(source.table["id"].astype(str))
        for name in LABEL_COLUMNS:
            if name in known and known[name].notna().any():
                table[f"label: {name}"] = known[name].reindex(table["id"]).to_numpy()
    places = project_features(found.features, seed=seed)
    return FeatureMap(table, places, np.concatenate(thumbnails), predictor.run, total)


def choose_columns(table: pd.DataFrame, classes: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return predictions without most votes: the first answers of the first SHOWN_QUESTIONS questions are kept, named
    by both."""
    dropped: set[str] = set()
    names: dict[str, str] = {}
    for task in VOTE_TASKS:
        if task in classes:
            dropped |= set(find_task(task).columns(classes[task]))
            for question in load_tree(tuple(classes[task])).questions[:SHOWN_QUESTIONS]:
                names[question.columns[0]] = f"{question.name}: {question.answers[0]}"
    return table[[name for name in table if name not in dropped or name in names]].rename(columns=names)


def write_map(found: FeatureMap, output: StrPath, *, force: bool = False) -> int:
    """Write the map as one HTML file that loads nothing from elsewhere, and return its size in bytes."""
    data = render_map(found).encode()
    with new_file(Path(output), force=force) as temporary:
        temporary.write_bytes(data)
    return len(data)


def render_map(found: FeatureMap) -> str:
    """Return the page as HTML."""
    static = resources.files("convnet_galaxies.show") / "static"
    environment = Environment(
        loader=PackageLoader("convnet_galaxies.show"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    n = len(found.table)
    some = "" if n == found.total else f" of {found.total:,}, drawn at random"
    return environment.get_template("map.html.j2").render(
        version=__version__,
        title=f"Map of {n:,} images{some}",
        run=Path(found.run).name,
        style=(static / "map.css").read_text("utf-8"),
        script=(static / "map.js").read_text("utf-8"),
        atlas=_draw_atlas(found.thumbnails),
        # No text of a table can end the element that holds it.
        data=json.dumps(_points(found), ensure_ascii=True, allow_nan=False).replace("<", "\\u003c"),
    )


def _points(found: FeatureMap) -> dict[str, Any]:
    columns = []
    for name in found.table.columns[1:]:
        values = found.table[name]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            numbers = values.astype(float)
            columns.append(
                {"name": name, "values": [None if math.isnan(one) else round(one, 4) for one in numbers.tolist()]}
            )
        else:
            codes, names = pd.factorize(values.astype("str").where(values.notna(), None))
            columns.append({"name": name, "names": [str(one) for one in names], "values": codes.tolist()})
    low, high = found.places.min(axis=0), found.places.max(axis=0)
    places = (found.places - low) / max(float((high - low).max()), 1e-9)
    return {
        "ids": found.table["id"].astype(str).tolist(),
        "x": places[:, 0].round(5).tolist(),
        "y": places[:, 1].round(5).tolist(),
        "columns": columns,
        "side": THUMBNAIL_PX,
        "across": _columns_of_atlas(len(found.table)),
    }


def _columns_of_atlas(n: int) -> int:
    return math.ceil(math.sqrt(n))


def _draw_atlas(thumbnails: np.ndarray) -> str:
    """Return all thumbnails in one JPEG, row by row, as a data: address."""
    n, side = len(thumbnails), THUMBNAIL_PX
    across = _columns_of_atlas(n)
    cells = np.zeros((across * across, side, side, 3), np.uint8)
    cells[:n] = thumbnails
    sheet = cells.reshape(across, across, side, side, 3).swapaxes(1, 2).reshape(across * side, across * side, 3)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="JPEG", quality=88, subsampling=0)
    return as_address(buffer.getvalue(), "image/jpeg")


def _shrink(pixels: np.ndarray) -> np.ndarray:
    """Return a thumbnail, uint8 [48, 48, 3], of uint8 [h, w, bands]; one or two bands as grey."""
    picture = pixels[..., :3] if pixels.shape[-1] >= 3 else np.repeat(pixels[..., :1], 3, axis=-1)
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX))
