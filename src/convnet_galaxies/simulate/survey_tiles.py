"""Overlapping tiles of one simulated survey: a file per band with image, mask and weight, a catalogue, and the truth.

All tiles share one tangential projection, as the patches of a tract of HSC and Rubin do, and the light in it; noise,
cosmic rays and dead columns are those of each tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.wcs import WCS

from convnet_galaxies.data.output import new_folder, require_space, reserve
from convnet_galaxies.errors import InputError
from convnet_galaxies.simulate.artifacts import add_artifacts, draw_trails
from convnet_galaxies.simulate.camera import BANDS, FIELD_SIZE_PX, ZEROPOINT_MAG
from convnet_galaxies.simulate.field import expose
from convnet_galaxies.simulate.libraries import require_libraries
from convnet_galaxies.simulate.survey import (
    FITS_BLOCK_BYTES,
    SMALLEST_PX,
    TRUTH_NAME,
    SurveyPlan,
    plan_survey,
    survey_wcs,
    tile_contents,
    tile_light,
)

CATALOGUE_NAME, TABLE_NAME = "catalogue.csv", "tiles.csv"
FAINTEST_R_MAG = 23.5
"""Of the catalogue."""

_FIRST_ID = 1 << 60
"""Ids of surveys have 19 digits, which a float does not hold."""

_DEAD_COLUMNS_PER_PX = 1 / 700
NO_DATA, SATURATED = 0, 1
"""Bits of the mask."""

_PLANES: tuple[tuple[str, int, str], ...] = (("SCI", -32, ">f4"), ("MSK", 8, "u1"), ("WGT", 16, ">i2"))


@dataclass(frozen=True)
class TileFrame:
    """Place of a tile in the mosaic: its name, first column and row, and side in pixels."""

    name: str
    left: int
    bottom: int
    side_px: int


def simulate_tiles(
    output: Path,
    number: int,
    seed: int,
    *,
    tiles: tuple[int, int] = (3, 3),
    size_px: int = 4096,
    overlap_px: int = 256,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Write overlapping tiles with number lenses round their red galaxies, their catalogue, and their truth table.

    output: a folder; it gets tiles/t<row><column>_<band>.fits with the extensions SCI (float32 counts of AB zero point
    30), MSK (bits named in its header) and WGT (exposures, 0 for none); tiles.csv (tile, band, path); catalogue.csv (id
    of 19 digits, position, r magnitude); and truth.csv, which is returned: as of `simulate_survey`, with object_id,
    the names of the tiles that hold the lens, and edge_px, how far the nearest edge of a tile is.
    tiles: rows and columns. size_px: side of each, overlap_px: of neighbours.
    The same arguments give the same bytes. Raises InputError for numbers that make no survey.
    """
    require_libraries()
    if number < 1:
        raise InputError(f"number: found {number}, expected 1 or more lenses", "give a number of at least 1")
    if size_px < SMALLEST_PX or not 0 <= overlap_px <= size_px // 2:
        raise InputError(
            f"tiles: found {size_px} px with an overlap of {overlap_px} px, expected {SMALLEST_PX} px or more with "
            "at most half of it",
            "give e.g. --size 4096 --overlap 256",
        )
    rows, columns = tiles
    step = size_px - overlap_px
    height, width = rows * step + overlap_px, columns * step + overlap_px
    plan, wcs = plan_survey(number, seed, height, width), survey_wcs(height, width)
    digits = len(str(max(rows, columns) - 1))
    frames = [
        TileFrame(f"t{r:0{digits}d}{c:0{digits}d}", c * step, r * step, size_px)
        for r in range(rows)
        for c in range(columns)
    ]
    require_space(output, 7 * len(BANDS) * len(frames) * size_px**2)
    with new_folder(output, force=force, is_ours=lambda path: (path / TRUTH_NAME).is_file()) as folder:
        (folder / "tiles").mkdir()
        blocks = [
            (frame, top, left)
            for frame in frames
            for top in range(0, size_px, plan.tile_px)
            for left in range(0, size_px, plan.tile_px)
        ]
        planes: dict[str, list[list[np.memmap]]] = {}
        for done, (frame, top, left) in enumerate(blocks, 1):
            if frame.name not in planes:
                planes = {frame.name: [_create(folder / "tiles", frame, band, wcs) for band in BANDS]}
            _draw_block(planes[frame.name], plan, frame, top, left)
            if progress is not None:
                progress(done, len(blocks))
        for one in planes.values():
            for band_planes in one:
                for plane in band_planes:
                    plane.flush()
        listed = [(frame.name, band, f"tiles/{frame.name}_{band}.fits") for frame in frames for band in BANDS[::-1]]
        pd.DataFrame(listed, columns=["tile", "band", "path"]).to_csv(
            folder / TABLE_NAME, index=False, lineterminator="\n"
        )
        catalogue = _list_objects(plan, wcs)
        truth = _list_lenses(plan, wcs, frames, catalogue)
        catalogue.drop(columns=["x_px", "y_px"]).to_csv(folder / CATALOGUE_NAME, index=False, lineterminator="\n")
        truth.to_csv(folder / TRUTH_NAME, index=False, lineterminator="\n")
    return truth


def _draw_block(planes: list[list[np.memmap]], plan: SurveyPlan, frame: TileFrame, top: int, left: int) -> None:
    """Draw a block of a tile into its planes; the block begins at a row and column of the tile."""
    shape = (min(plan.tile_px, frame.side_px - top), min(plan.tile_px, frame.side_px - left))
    light, objects = tile_light(plan, frame.bottom + top, frame.left + left, shape)
    rng = np.random.default_rng([plan.seed, 3, frame.bottom + top, frame.left + left, frame.side_px])
    gri = expose(light, objects, plan.camera, rng)
    for _ in range(max(1, round(shape[0] * shape[1] / FIELD_SIZE_PX**2))):
        add_artifacts(gri, plan.camera, draw_trails(shape, rng), rng, corners=False)
    inside = slice(top, top + shape[0]), slice(left, left + shape[1])
    for band, (science, mask, weight) in enumerate(planes):
        marks = np.where(gri[band] >= 0.98 * plan.camera.full_well_counts[band], 1 << SATURATED, 0).astype(np.uint8)
        exposures = np.full(shape, 5, np.int16)
        for _ in range(rng.poisson(shape[1] * _DEAD_COLUMNS_PER_PX)):
            first, wide = int(rng.integers(shape[1])), int(rng.integers(1, 4))
            gone = slice(*np.sort(rng.integers(0, shape[0] + 1, 2))), slice(first, first + wide)
            gri[band][gone], exposures[gone] = 0.0, 0
            marks[gone] = 1 << NO_DATA
        science[inside], mask[inside], weight[inside] = gri[band], marks, exposures


def _create(folder: Path, frame: TileFrame, band: str, wcs: WCS) -> list[np.memmap]:
    """Write an empty file of a tile and band, and return its image, mask and weight [h, w], mapped for writing."""
    own = wcs.deepcopy()
    own.wcs.crpix -= np.array([frame.left, frame.bottom])
    cards = own.to_header()
    path = folder / f"{frame.name}_{band}.fits"
    primary = fits.PrimaryHDU().header
    primary["OBJECT"], primary["FILTER"] = frame.name, band
    text, places = primary.tostring().encode(), []
    with path.open("wb") as file:
        for name, bits, _ in _PLANES:
            header = fits.ImageHDU().header
            header["BITPIX"], header["NAXIS"] = bits, 2
            header.insert("NAXIS", ("NAXIS1", frame.side_px), after=True)
            header.insert("NAXIS1", ("NAXIS2", frame.side_px), after=True)
            header["EXTNAME"] = name
            header.extend(cards, update=True)
            if name == "SCI":
                header["FILTER"], header["BUNIT"] = band, "count"
                header["MAGZERO"] = (ZEROPOINT_MAG, "AB magnitude of one count")
            elif name == "MSK":
                header["MP_SAT"] = SATURATED
                header["HIERARCH MP_NO_DATA"] = NO_DATA
            file.write(text + header.tostring().encode())
            places.append(file.tell())
            size = abs(bits) // 8 * frame.side_px**2
            file.seek(-(-size // FITS_BLOCK_BYTES) * FITS_BLOCK_BYTES, 1)
            text = b""
        reserve(file, file.tell())
    shape = (frame.side_px, frame.side_px)
    return [np.memmap(path, kind, "r+", place, shape) for place, (_, _, kind) in zip(places, _PLANES, strict=True)]


def _list_objects(plan: SurveyPlan, wcs: WCS) -> pd.DataFrame:
    found = [
        one
        for row in range(len(plan.lenses))
        for column in range(len(plan.lenses[0]))
        for one in tile_contents(plan, row, column)[0]
        if one.r_mag < FAINTEST_R_MAG
    ]
    x, y = (np.array([getattr(one, axis) for one in found]) for axis in ("x_px", "y_px"))
    sky = wcs.pixel_to_world_values(x, y)
    columns = {
        "id": _FIRST_ID + np.arange(len(found)),
        "ra_deg": sky[0],
        "dec_deg": sky[1],
        "r_mag": [round(one.r_mag, 3) for one in found],
        "kind": [one.kind for one in found],
        "x_px": x,
        "y_px": y,
    }
    return pd.DataFrame(columns)


def _list_lenses(plan: SurveyPlan, wcs: WCS, frames: Sequence[TileFrame], catalogue: pd.DataFrame) -> pd.DataFrame:
    rows = [
        system.truth(x, y)
        for row in range(len(plan.lenses))
        for column in range(len(plan.lenses[0]))
        for system, x, y in tile_contents(plan, row, column)[1]
    ]
    table = pd.DataFrame(rows)
    x, y = table["x_px"].to_numpy(), table["y_px"].to_numpy()
    sky = wcs.pixel_to_world_values(x, y)
    places = dict(zip(zip(catalogue["x_px"], catalogue["y_px"], strict=True), catalogue["id"], strict=True))
    table.insert(0, "id", [f"lens_{k:05d}" for k in range(len(table))])
    table.insert(
        1, "object_id", pd.array([places.get(place, pd.NA) for place in zip(x, y, strict=True)], dtype="Int64")
    )
    table.insert(5, "ra_deg", sky[0])
    table.insert(6, "dec_deg", sky[1])
    inside, apart = [], np.full(len(table), np.inf)
    for frame in frames:
        own_x, own_y = x - frame.left, y - frame.bottom
        nearest = np.minimum.reduce(
            [own_x + 0.5, own_y + 0.5, frame.side_px - 0.5 - own_x, frame.side_px - 0.5 - own_y]
        )
        inside.append(nearest >= 0)
        apart = np.where(nearest >= 0, np.minimum(apart, nearest), apart)
    table["tiles"] = [
        " ".join(f.name for f, own in zip(frames, inside, strict=True) if own[k]) for k in range(len(table))
    ]
    table["edge_px"] = apart
    return table
