"""Read shards of a survey: regions of tiles, with the objects, grid points or given positions in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey.cutouts import Cutouts, make_pixels, object_sides_px
from convnet_galaxies.data.survey.detection import BLOCK_PX, Detection, detect_in_region
from convnet_galaxies.data.survey.positions import Positions, find_on_tile, grid_positions, read_positions
from convnet_galaxies.data.survey.survey_image import SurveyImage, open_survey_image
from convnet_galaxies.data.survey.tiles import Tile
from convnet_galaxies.scan.shards import Piece, Shard

PIECE_POSITIONS = 256
REGION_PX = 2 * BLOCK_PX
"""Side of the part of a tile that is a shard: some thousand objects of a deep survey."""

SIDE_PX = "side_px"
"""Column of the sides of cutouts in pixels of their tile, where each object has its own."""

ROW, EDGE_PX, DEPTH_PX = "_row", "_edge_px", "_depth_px"
"""Columns of shards alone: the row of the catalogue; pixels between the position and the nearest edge of the tile, and
of the region."""

At = Literal["objects", "grid", "positions"]


@dataclass(frozen=True)
class Region:
    """Content of a shard: a part of a tile, or the whole where it could not be opened for the plan.

    tile: what is read. top, left, side_px: of the part, in pixels of the file; None for the whole tile.
    positions: of a catalogue, that lie on it: id, x_px, y_px, and the row of the catalogue.
    """

    tile: Tile
    top: int | None = None
    left: int | None = None
    side_px: int = REGION_PX
    positions: pd.DataFrame | None = None


@dataclass(frozen=True)
class SurveyReader:
    """Reads regions of tiles for a run; see shards.Reader. A tile stays open until another one is read.

    at: where to look. positions: the table of positions, which is read again only for tiles that could not be opened
    for the plan. cutout_px: side of the cutouts in pixels of the tile; None for what the run takes, or where each has
    its own by size_factor (see SurveyOptions).
    """

    preprocess: Preprocess
    reading: ReadOptions
    at: At
    detection: Detection = field(default_factory=Detection)
    step_px: float | None = None
    positions: str | None = None
    regrid: bool = False
    cutout_px: int | None = None
    size_column: str | None = None
    size_factor: float | None = None
    _open: dict[str, tuple[ExitStack, SurveyImage]] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the open tile."""
        return {**self.__dict__, "_open": {}}

    def read(self, shard: Shard) -> Iterator[Piece]:
        """Yield the cutouts of a region. Raises BadImageError and OSError for a tile that cannot be read."""
        region: Region = shard.content
        image = self._image(region.tile)
        if region.positions is not None:
            yield from self._cut(image, region.positions)
        elif self.at == "positions":
            yield from self._cut(image, self._positions_on(image))
        elif region.top is not None and region.left is not None:
            yield from self._cut(image, self._find(image, region.top, region.left, region.side_px))
        else:
            for top, left in split_tile(image.shape, region.side_px):
                yield from self._cut(image, self._find(image, top, left, region.side_px))

    def close(self) -> None:
        """Close the open tile."""
        for stack, _ in self._open.values():
            stack.close()
        self._open.clear()

    def _image(self, tile: Tile) -> SurveyImage:
        if tile.name not in self._open:
            self.close()
            stack = ExitStack()
            self._open[tile.name] = (
                stack,
                stack.enter_context(open_survey_image(tile, self.reading, regrid=self.regrid)),
            )
        return self._open[tile.name][1]

    def _find(self, image: SurveyImage, top: int, left: int, side_px: int) -> pd.DataFrame:
        if self.at == "objects":
            found = detect_in_region(image, self.detection, top=top, left=left, side_px=side_px)
            names = {"x": "x_px", "y": "y_px", "depth_px": DEPTH_PX}
            kept = found.rename(columns=names)[["x_px", "y_px", "radius_px", DEPTH_PX]]
            if self.size_factor is not None:
                kept[SIDE_PX] = object_sides_px(found["radius90_px"].to_numpy(), self.size_factor)
            return kept
        x, y = grid_positions(image, float(self.step_px or 1))
        inside = (x >= left - 0.5) & (x < left + side_px - 0.5) & (y >= top - 0.5) & (y < top + side_px - 0.5)
        return pd.DataFrame({"x_px": x[inside], "y_px": y[inside]})

    def _positions_on(self, image: SurveyImage) -> pd.DataFrame:
        positions = read_positions(str(self.positions), size_column=self.size_column)
        rows, x, y = find_on_tile(positions, image)
        ids = pd.Series(positions.name_ids(rows), dtype="str")
        table = pd.DataFrame({"id": ids, "x_px": x, "y_px": y, ROW: rows})
        sides = sides_of(positions, rows, self.size_factor, image, self.reading)
        return table if sides is None else table.assign(**{SIDE_PX: sides})

    def _cut(self, image: SurveyImage, places: pd.DataFrame) -> Iterator[Piece]:
        places = places.reset_index(drop=True)
        x, y = places["x_px"].to_numpy(float), places["y_px"].to_numpy(float)
        ra, dec = image.to_sky(x, y) if len(x) else (np.empty(0), np.empty(0))
        ids = places["id"] if "id" in places else pd.Series(name_places(image.name, x, y, ra, dec), dtype="str")
        h, w = image.shape
        more = {name: places[name] for name in ("radius_px", SIDE_PX, ROW, DEPTH_PX) if name in places}
        sides = places[SIDE_PX].to_numpy(int) if SIDE_PX in places else None
        table = pd.DataFrame(
            {
                "id": ids,
                "tile": pd.Series([image.name] * len(x), dtype="str"),
                "x_px": x,
                "y_px": y,
                "ra_deg": ra,
                "dec_deg": dec,
                EDGE_PX: np.minimum(np.minimum(x, w - 1 - x), np.minimum(y, h - 1 - y)) + 0.5,
                **more,
            }
        )
        for start in range(0, max(len(x), 1), PIECE_POSITIONS):
            rows = slice(start, start + PIECE_POSITIONS)
            side_px = self.cutout_px if sides is None else sides[rows]
            found = make_pixels(image, x[rows], y[rows], self.preprocess, self.reading, side_px=side_px)
            yield _as_piece(table.iloc[rows], found)


def sides_of(
    positions: Positions, rows: np.ndarray, factor: float | None, image: SurveyImage, reading: ReadOptions
) -> np.ndarray | None:
    """Return the sides of the cutouts of some positions, int [m] (see object_sides_px); None without sizes.

    Sizes are arcsec on tiles whose scale is known, else pixels.
    """
    if positions.size is None or factor is None:
        return None
    return object_sides_px(positions.size[rows], factor, reading.pixel_scale_arcsec or image.pixel_scale_arcsec)


def split_tile(shape: tuple[int, int], side_px: int) -> list[tuple[int, int]]:
    """Return the first row and column of the regions of a tile, row by row."""
    h, w = shape
    return [(top, left) for top in range(0, h, side_px) for left in range(0, w, side_px)]


def name_places(tile: str, x_px: np.ndarray, y_px: np.ndarray, ra_deg: np.ndarray, dec_deg: np.ndarray) -> list[str]:
    """Return names of n places: ``J021411.241-042358.97`` of right ascension and declination, both cut off, as the
    rules of the IAU have it; without positions on the sky ``TILE_x1024.3_y77.0``."""
    names = []
    for x, y, ra, dec in zip(x_px, y_px, ra_deg, dec_deg, strict=True):
        if not (np.isfinite(ra) and np.isfinite(dec)):
            names.append(f"{tile}_x{x:.1f}_y{y:.1f}")
            continue
        time_ms = int(ra % 360 / 15 * 3_600_000)
        angle = int(abs(dec) * 360_000)
        hours, minutes, seconds = time_ms // 3_600_000, time_ms // 60_000 % 60, time_ms % 60_000
        degrees, arcmin, arcsec = angle // 360_000, angle // 6_000 % 60, angle % 6_000
        names.append(
            f"J{hours:02d}{minutes:02d}{seconds // 1000:02d}.{seconds % 1000:03d}"
            f"{'-' if dec < 0 else '+'}{degrees:02d}{arcmin:02d}{arcsec // 100:02d}.{arcsec % 100:02d}"
        )
    return names


def _as_piece(table: pd.DataFrame, found: Cutouts) -> Piece:
    kept = found.kept
    before = table[kept].reset_index(drop=True)
    hidden = [name for name in before if str(name).startswith("_")]
    after = pd.DataFrame(
        {
            "masked_fraction": found.masked_fraction[kept].astype(np.float32),
            "bands_missing": pd.Series([found.bands_missing] * len(before), dtype="str"),
            "edge": found.edge[kept],
        }
    )
    left_out = [
        f"{name}: {reason}" for name, reason, fits in zip(table["id"], found.reasons, kept, strict=True) if not fits
    ]
    return Piece(
        found.pixels,
        before.drop(columns=hidden),
        pd.concat([after, before[hidden]], axis=1),
        found.infos,
        left_out,
    )
