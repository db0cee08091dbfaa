"""Sources of candidates: a table and, for each row, an image; a pack, images with predictions, or a scan's folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.image_files import find_images, index_images
from convnet_galaxies.data.linear_image import LinearImage, Plane
from convnet_galaxies.data.missing_values import NAME_COLUMNS
from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.data.preprocess import read_planes
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import BadImageError, InputError
from convnet_galaxies.inspection.render import AS_IT_IS, Look, render, resize
from convnet_galaxies.paths import StrPath, name_some

PROBABILITY = "lens_probability"


@dataclass(eq=False)
class Source(ABC):
    """Candidates and their images.

    name: for messages. table: one row per candidate, index 0..n-1, with the text column id (unique) and all that its
    files hold (lens_probability, familiarity, ra_deg, dec_deg, rank, known ... where they are there).
    has_image: bool [n]. remarks: what the user should know, one sentence each.
    """

    name: str
    table: pd.DataFrame
    has_image: np.ndarray
    remarks: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.table)

    @abstractmethod
    def image(self, row: int) -> LinearImage:
        """Return the planes of one candidate. Raises BadImageError when it has no image, or one that is damaged."""

    def wider(self, row: int, factor: float) -> LinearImage | None:
        """Return a larger field round a candidate, None where it is not at hand."""
        return None

    def cards(self, row: int) -> dict[str, str]:
        """Return the header of an image, nothing where it has none. Raises BadImageError as `image` does."""
        header = self.image(row).header
        return {} if header is None else {key: str(value) for key, value in header.items() if str(value).strip()}

    def pixels(self, rows: Sequence[int] | np.ndarray, side_px: int, look: Look = AS_IT_IS) -> np.ndarray:
        """Return candidates as pictures, uint8 [m, side_px, side_px, 3]. Raises BadImageError for the first without."""
        out = np.empty((len(rows), side_px, side_px, 3), np.uint8)
        for k, row in enumerate(rows):
            out[k] = resize(render(self.image(int(row)), look), side_px)
        return out

    def require_image(self, row: int) -> None:
        """Raise BadImageError when a candidate has no image."""
        if not self.has_image[row]:
            raise BadImageError(f"{self.table['id'].iloc[row]}: has no image", "give the folder that holds it")


class PackSource(Source):
    """The images of a pack, whose pixels stay on the disk until they are shown.

    chosen: whether only the images of the predictions are candidates.
    """

    def __init__(self, path: Path, predictions: pd.DataFrame | None = None, *, chosen: bool = False) -> None:
        images = read_pack(path)
        table = images.table.assign(id=images.table["id"].astype("str"))
        remarks: list[str] = []
        if predictions is not None:
            table, remarks = _join(table, predictions, str(path))
        self._rows = np.arange(len(table))
        if predictions is not None and chosen:
            lost = predictions["id"][~predictions["id"].isin(table["id"])].tolist()
            remarks = [f"{len(lost):,} rows have no image in {path}: {name_some(lost)}"] if lost else []
            self._rows = np.flatnonzero(table["id"].isin(predictions["id"]))
        super().__init__(str(path), _tidy(table.iloc[self._rows], path), np.ones(len(self._rows), bool), remarks)
        self._pixels = images.images

    def image(self, row: int) -> LinearImage:
        pixels = self._pixels[self._rows[row]]
        planes = (Plane(np.ascontiguousarray(pixels[..., k]), f"channel {k + 1}") for k in range(pixels.shape[2]))
        return LinearImage(tuple(planes), is_picture=True)


class FileSource(Source):
    """Images of a folder or zip, with a table of predictions or without."""

    def __init__(
        self, images: Path, predictions: pd.DataFrame | None = None, *, where: str = "", reading: ReadOptions | None
    ) -> None:
        files = index_images(find_images(images).files)
        remarks: list[str] = []
        found: list[ImageFile | None]
        if predictions is None:
            table, found = pd.DataFrame({"id": pd.Series(list(files), dtype="str")}), list(files.values())
        else:
            table = predictions
            by_name = {file.name: file for file in files.values()}
            found = [_find(row, files, by_name) for row in _names(predictions)]
            absent = [name for name, file in zip(table["id"], found, strict=True) if file is None]
            if len(absent) == len(table):
                raise InputError(
                    f"{where}: found no row whose image is among the {len(files):,} of {images}; rows name "
                    f"{name_some(absent, 3)}; images are {name_some(list(files), 3)}",
                    "give the table and the images that belong together",
                )
            if absent:
                remarks.append(f"{len(absent):,} of {len(table):,} rows have no image in {images}: {name_some(absent)}")
        has_image = np.array([file is not None for file in found], bool)
        super().__init__(where or str(images), _tidy(table, where or images), has_image, remarks)
        self._files, self._reading = found, reading

    def image(self, row: int) -> LinearImage:
        self.require_image(row)
        file = self._files[row]
        assert file is not None
        return read_planes(file, b"" if file.others else file.read(), self._reading)


def read_candidates(path: StrPath) -> pd.DataFrame:
    """Read a table of candidates: its id, the first of the columns that name images where it has no id, as text.

    Raises InputError for a table without such a column, without a row, or with an id twice.
    """
    table = read_table(path, wanted=(NAME_COLUMNS,))
    lower = {name.lower(): name for name in table}
    column = next((lower[name] for name in ("id", *NAME_COLUMNS) if name in lower), None)
    if column is None or not len(table):
        raise InputError(
            f"{path}: found {len(table):,} rows with the columns {name_some(list(table), 8)}, expected a column id",
            "give a table that `predict` or `scan` wrote",
        )
    ids = table[column].astype("str").str.strip()
    twice = ids[ids.duplicated()]
    if len(twice):
        raise InputError(
            f"{path}: found {len(twice):,} ids more than once ({name_some(twice.tolist(), 3)}), expected each once",
            "remove the doubles, or give each its own id",
        )
    return table.drop(columns=[name for name in ("id",) if name in table]).assign(id=ids)


def _names(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Names under which the image of each row may be found, the id first."""
    columns = ["id", *(name for name in table if name.lower() in NAME_COLUMNS and name.lower() not in ("id", "name"))]
    return list(zip(*(table[name].astype("str") for name in columns), strict=True))


def _find(names: tuple[str, ...], files: dict[str, ImageFile], by_name: dict[str, ImageFile]) -> ImageFile | None:
    for name in names:
        found = files.get(name) or by_name.get(name) or by_name.get(Path(name).name) or files.get(Path(name).stem)
        if found is not None:
            return found
    return None


def _join(table: pd.DataFrame, predictions: pd.DataFrame, where: str) -> tuple[pd.DataFrame, list[str]]:
    known = table["id"].isin(predictions["id"])
    if not known.any():
        raise InputError(
            f"{where}: found none of its ids ({name_some(table['id'].tolist(), 3)}) among the predictions "
            f"({name_some(predictions['id'].tolist(), 3)}), expected predictions of these images",
            "predict this pack",
        )
    new = [name for name in predictions if name == "id" or name not in table]
    remarks = [] if known.all() else [f"{int((~known).sum()):,} of {len(table):,} images have no prediction"]
    return table.merge(predictions[new], on="id", how="left", validate="1:1"), remarks


def _tidy(table: pd.DataFrame, where: object) -> pd.DataFrame:
    """Return the table with id first and, where it holds positions, ra_deg and dec_deg."""
    table = table[["id", *(name for name in table if name != "id")]].reset_index(drop=True)
    if not {"ra_deg", "dec_deg"} <= set(table):
        from convnet_galaxies.data.positions import read_positions  # astropy takes most of a second to load

        positions, _ = read_positions(table, where)
        if positions is not None:
            table = table.assign(ra_deg=positions.ra_deg, dec_deg=positions.dec_deg)
    return table
