"""An open scan: its candidates, and cutouts of them from the tiles they were found on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from convnet_galaxies.data.linear_image import LinearImage
from convnet_galaxies.data.parquet_file import read_frame
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey.cutouts import crop_side_px, make_pixels
from convnet_galaxies.data.survey.survey_image import SurveyImage, Windows, open_survey_image
from convnet_galaxies.data.survey.tiles import Tile
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath
from convnet_galaxies.scan.merge import CANDIDATES
from convnet_galaxies.scan.plan import read_facts
from convnet_galaxies.scan.survey import read_tiles
from convnet_galaxies.scan.survey_reader import SIDE_PX

MOST_MISSING = 0.99
"""Share of missing pixels up to which a cutout is shown; the scan itself left out more of them."""


class ScanFolder:
    """The folder of a scan of a survey whose candidates are there; see `open_scan`.

    path: the folder. facts: run, settings, tiles and preprocessing of the scan (scan.json).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.facts: dict[str, Any] = read_facts(path)
        if "tiles" not in self.facts:
            raise InputError(f"{path}: holds predictions of images, expected a scan of a survey", "read its shards")

    def __fspath__(self) -> str:
        """Return the path of the folder."""
        return os.fspath(self.path)

    @cached_property
    def tiles(self) -> dict[str, Tile]:
        """Tiles by name."""
        return {tile.name: tile for tile in read_tiles(self.facts)}

    @property
    def run(self) -> str:
        """Name of the run."""
        return str(self.facts["run"]["name"])

    @property
    def preprocess(self) -> Preprocess:
        """Preprocessing of the run."""
        return Preprocess.model_validate(self.facts["preprocess"])

    @property
    def reading(self) -> ReadOptions:
        """Options by which the tiles were read."""
        return TypeAdapter(ReadOptions).validate_python(self.facts["settings"]["reading"])

    def table(self) -> pd.DataFrame:
        """Return the candidates in the order of their rank. Raises InputError before they are joined."""
        path = self.path / CANDIDATES
        if not path.is_file():
            raise InputError(f"{self.path}: holds no {CANDIDATES} yet", "finish the scan, or join its parts (--merge)")
        return read_frame(path)

    @contextmanager
    def cutter(self) -> Iterator[Cutter]:
        """Yield what cuts candidates from their tiles, of which it keeps one open."""
        with ExitStack() as stack:
            yield Cutter(self, stack)


class Cutter:
    """Cuts candidates from the tiles of a scan; see `ScanFolder.cutter`."""

    def __init__(self, scan: ScanFolder, stack: ExitStack) -> None:
        self.scan = scan
        self._stack = stack
        self._image: SurveyImage | None = None

    def cut(self, candidates: pd.DataFrame | Sequence[str], side_px: int | None = None) -> np.ndarray:
        """Return candidates as the network's pixels show them: uint8 [n, size_px, size_px, bands].

        candidates: rows of the table (tile, x_px, y_px), or ids. side_px: pixels of the tile that are shown; None for
        what the network got. Black where a cutout cannot be made. Raises InputError for an unknown id, and
        BadImageError or OSError for a tile that cannot be read.
        """
        table = self._rows(candidates)
        preprocess = self.scan.preprocess
        pixels = preprocess.new_array(len(table))
        pixels[:] = 0
        sides = side_px or self.scan.facts["settings"]["cutout_px"]
        if side_px is None and SIDE_PX in table:
            sides = table[SIDE_PX].to_numpy(int)
        reading = replace(self.scan.reading, missing_share=MOST_MISSING)
        for name, rows in table.groupby("tile", sort=False).indices.items():
            x, y = table["x_px"].to_numpy()[rows], table["y_px"].to_numpy()[rows]
            own = sides[rows] if isinstance(sides, np.ndarray) else sides
            found = make_pixels(self.image(str(name)), x, y, preprocess, reading, side_px=own)
            pixels[rows[found.kept]] = found.pixels
        return pixels

    def linear(self, candidate: pd.Series, side_px: int | None = None) -> LinearImage:
        """Return the planes of one candidate, a row of the table, as they are in the tile (see cut)."""
        return self.window(candidate, side_px).image(0)

    def window(self, candidate: pd.Series, side_px: int | None = None) -> Windows:
        """Return one candidate as a window of its tile, which also tells where in the tile it lies."""
        image = self.image(str(candidate["tile"]))
        side_px = side_px or (int(candidate[SIDE_PX]) if SIDE_PX in candidate else None)
        side_px = side_px or self.scan.facts["settings"]["cutout_px"]
        side_px = side_px or crop_side_px(image, self.scan.preprocess, self.scan.reading)
        return image.cut(np.array([candidate["x_px"]]), np.array([candidate["y_px"]]), side_px)

    def image(self, tile: str) -> SurveyImage:
        """Return a tile, which stays open until another one is asked for."""
        if self._image is None or self._image.name != tile:
            self._stack.close()
            self._image = None
            regrid = bool(self.scan.facts["settings"]["regrid"])
            opened = open_survey_image(self.scan.tiles[tile], self.scan.reading, regrid=regrid)
            self._image = self._stack.enter_context(opened)
        return self._image

    def _rows(self, candidates: pd.DataFrame | Sequence[str]) -> pd.DataFrame:
        if isinstance(candidates, pd.DataFrame):
            return candidates.reset_index(drop=True)
        table = self.scan.table().drop_duplicates("id").set_index("id")
        absent = [name for name in candidates if name not in table.index]
        if absent:
            raise InputError(f"{self.scan.path}: found no candidate {absent[0]}", "give ids of its candidates")
        return table.loc[list(candidates)].reset_index()


def open_scan(path: StrPath) -> ScanFolder:
    """Open the folder of a scan. Raises InputError where there is none."""
    return ScanFolder(Path(path))
