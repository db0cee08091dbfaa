"""A survey image of any size with lenses at known positions, written tile by tile so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits
from astropy.wcs import WCS

from convnet_galaxies.data.output import new_folder, require_space, reserve
from convnet_galaxies.errors import InputError
from convnet_galaxies.simulate.artifacts import add_artifacts, draw_trails
from convnet_galaxies.simulate.camera import (
    BANDS,
    FIELD_SIZE_PX,
    PIXEL_SCALE_ARCSEC,
    ZEROPOINT_MAG,
    Camera,
    draw_camera,
)
from convnet_galaxies.simulate.field import as_host, expose, render_objects
from convnet_galaxies.simulate.lens import LENS_FLAVORS, LensSystem, render_light
from convnet_galaxies.simulate.lens_population import draw_lens
from convnet_galaxies.simulate.libraries import require_libraries
from convnet_galaxies.simulate.profiles import add_stamp
from convnet_galaxies.simulate.sky_population import SkyObject, draw_sky_objects, red_galaxy

TRUTH_NAME = "truth.csv"
MOSAIC_NAME = "mosaic.fits"
TILE_PX = 1024
# The glare of a bright star and the largest galaxies reach this far.
REACH_PX = 160
SMALLEST_PX = 64
CENTRE_DEG = (214.6, 52.6)  # of the mosaic: the third wide field of the Legacy Survey
FITS_BLOCK_BYTES = 2880

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SurveyPlan:
    """Parameters of a survey, which determine every tile.

    height_px, width_px: of the mosaic. lenses: how many each tile holds, int [rows, columns] as nested tuples.
    """

    seed: int
    height_px: int
    width_px: int
    lenses: tuple[tuple[int, ...], ...]
    camera: Camera
    tile_px: int = TILE_PX


def simulate_survey(
    output: Path,
    number: int,
    seed: int,
    *,
    size_px: int | tuple[int, int] = 4096,
    separate: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Write a gri mosaic with number lenses round its red galaxies, and their truth table.

    output: a folder; it gets mosaic.fits, a cube [3, h, w] in g, r, i (separate: mosaic_g.fits, mosaic_r.fits,
    mosaic_i.fits), float32 counts of AB zero point 30 with a tangential WCS, and truth.csv, which is returned:
    positions in pixels (0-based centres) and ICRS degrees. size_px: the side, or (height, width).
    The same arguments give the same bytes. Raises InputError for a number or a size that is too small.
    """
    require_libraries()
    height, width = (size_px, size_px) if isinstance(size_px, int) else size_px
    if number < 1:
        raise InputError(f"number: found {number}, expected 1 or more lenses", "give a number of at least 1")
    if min(height, width) < SMALLEST_PX:
        raise InputError(f"size: found {height} x {width} px, expected {SMALLEST_PX} or more", "give a larger size")
    plan = plan_survey(number, seed, height, width)
    wcs = survey_wcs(height, width)
    require_space(output, 12 * height * width)
    with new_folder(output, force=force, is_ours=lambda path: (path / TRUTH_NAME).is_file()) as folder:
        planes = _create(folder, wcs, height, width, separate)
        tiles = [(row, column) for row in range(len(plan.lenses)) for column in range(len(plan.lenses[0]))]
        rows: list[dict[str, float | str | int]] = []
        for done, (row, column) in enumerate(tiles):
            gri = draw_tile(plan, row, column)
            top, left = row * plan.tile_px, column * plan.tile_px
            for band, plane in enumerate(planes):
                plane[top : top + gri.shape[1], left : left + gri.shape[2]] = gri[band]
            rows += [system.truth(x, y) for system, x, y in tile_contents(plan, row, column)[1]]
            if progress is not None:
                progress(done + 1, len(tiles))
        for plane in planes:
            plane.flush()
        table = pd.DataFrame(rows)
        sky = wcs.pixel_to_world_values(table["x_px"], table["y_px"])
        table.insert(0, "id", [f"lens_{k:05d}" for k in range(len(table))])
        table.insert(4, "ra_deg", sky[0])
        table.insert(5, "dec_deg", sky[1])
        table.to_csv(folder / TRUTH_NAME, index=False, lineterminator="\n")
    return table


def plan_survey(number: int, seed: int, height_px: int, width_px: int, *, tile_px: int = TILE_PX) -> SurveyPlan:
    """Deal the lenses out to the tiles, each by its area."""
    rng = np.random.default_rng([seed, 0])
    heights = np.minimum(tile_px, height_px - np.arange(0, height_px, tile_px))
    widths = np.minimum(tile_px, width_px - np.arange(0, width_px, tile_px))
    area = np.outer(heights, widths).astype(float)
    dealt = rng.multinomial(number, (area / area.sum()).ravel()).reshape(area.shape)
    return SurveyPlan(seed, height_px, width_px, tuple(map(tuple, dealt.tolist())), draw_camera(rng), tile_px)


def survey_wcs(height_px: int, width_px: int) -> WCS:
    """Return a tangential projection, north up, east left."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = CENTRE_DEG
    wcs.wcs.crpix = [width_px / 2 + 0.5, height_px / 2 + 0.5]
    wcs.wcs.cdelt = [-PIXEL_SCALE_ARCSEC / 3600, PIXEL_SCALE_ARCSEC / 3600]
    wcs.wcs.radesys = "ICRS"
    return wcs


@lru_cache(maxsize=32)
def tile_contents(
    plan: SurveyPlan, row: int, column: int
) -> tuple[tuple[SkyObject, ...], tuple[tuple[LensSystem, float, float], ...]]:
    """Return objects and lenses (system, x_px, y_px) of one tile, in pixels of the mosaic; none beyond its border."""
    if not (0 <= row < len(plan.lenses) and 0 <= column < len(plan.lenses[0])):
        return (), ()
    rng = np.random.default_rng([plan.seed, 1, row, column])
    top, left = row * plan.tile_px, column * plan.tile_px
    shape = (min(plan.tile_px, plan.height_px - top), min(plan.tile_px, plan.width_px - left))
    objects = draw_sky_objects(rng, shape)
    lenses: list[tuple[LensSystem, float, float]] = []
    for _ in range(plan.lenses[row][column]):
        flavor = str(rng.choice(LENS_FLAVORS))
        host, members = _choose_host(
            rng, objects, shape, [(x, y) for _, x, y in lenses], cluster=flavor == "lensing cluster"
        )
        if host not in objects:
            objects.append(host)
        system = draw_lens(rng, flavor, host=as_host(host), members=tuple(as_host(o) for o in members))
        lenses.append((system, host.x_px, host.y_px))
    placed = tuple(o.moved(left, top) for o in objects)
    return placed, tuple((system, x + left, y + top) for system, x, y in lenses)


def draw_tile(plan: SurveyPlan, row: int, column: int) -> np.ndarray:
    """Draw pixels of one tile, float32 [3, h, w] counts, with the light of its neighbours' objects."""
    top, left = row * plan.tile_px, column * plan.tile_px
    shape = (min(plan.tile_px, plan.height_px - top), min(plan.tile_px, plan.width_px - left))
    light, objects = tile_light(plan, top, left, shape)
    rng = np.random.default_rng([plan.seed, 2, row, column])
    gri = expose(light, objects, plan.camera, rng)
    for _ in range(max(1, round(shape[0] * shape[1] / FIELD_SIZE_PX**2))):
        add_artifacts(gri, plan.camera, draw_trails(shape, rng), rng, corners=False)
    return gri


def tile_light(plan: SurveyPlan, top: int, left: int, shape: tuple[int, int]) -> tuple[np.ndarray, list[SkyObject]]:
    """Return noiseless light of any window of the mosaic, float32 [3, h, w], and the objects near it in its pixels."""
    low_row, low_column = (top - REACH_PX) // plan.tile_px, (left - REACH_PX) // plan.tile_px
    high_row = (top + shape[0] + REACH_PX) // plan.tile_px
    high_column = (left + shape[1] + REACH_PX) // plan.tile_px
    contents = [
        tile_contents(plan, r, c) for r in range(low_row, high_row + 1) for c in range(low_column, high_column + 1)
    ]
    wide = (shape[0] + 2 * REACH_PX, shape[1] + 2 * REACH_PX)
    moved = [o.moved(REACH_PX - left, REACH_PX - top) for objects, _ in contents for o in objects]
    near = [o for o in moved if -REACH_PX < o.x_px < wide[1] + REACH_PX and -REACH_PX < o.y_px < wide[0] + REACH_PX]
    light = render_objects(near, wide, plan.camera)
    for _, lenses in contents:
        for system, x, y in lenses:
            x_px, y_px = x - left + REACH_PX, y - top + REACH_PX
            shift = (x_px - round(x_px), y_px - round(y_px))
            add_stamp(light, render_light(system, plan.camera, shift_px=shift), round(x_px), round(y_px))
    inner = light[:, REACH_PX:-REACH_PX, REACH_PX:-REACH_PX]
    return np.ascontiguousarray(inner), [o.moved(-REACH_PX, -REACH_PX) for o in near]


def _choose_host(
    rng: np.random.Generator,
    objects: list[SkyObject],
    shape: tuple[int, int],
    taken: list[tuple[float, float]],
    *,
    cluster: bool,
) -> tuple[SkyObject, list[SkyObject]]:
    """A luminous red galaxy of the tile that does not lens yet, and its group; a new galaxy when there is none."""
    margin = min(24, min(shape) // 4)
    free = [
        o
        for o in objects
        if o.kind == "elliptical"
        and o.r_mag < 22
        and o.redshift > 0.15
        and margin <= o.x_px < shape[1] - margin
        and margin <= o.y_px < shape[0] - margin
        and (o.x_px, o.y_px) not in taken
    ]
    if cluster:
        free = [o for o in free if o.group >= 0] or free
    if not free:
        redshift = float(rng.uniform(0.3, 0.7))
        x, y = (float(rng.uniform(margin, side - margin)) for side in (shape[1], shape[0]))
        return red_galaxy(rng, 17.6 + 5 * redshift, redshift, x, y), []
    weight = np.array([max(o.einstein_radius_arcsec, 0.05) ** 2 for o in free])
    host = free[int(rng.choice(len(free), p=weight / weight.sum()))]
    return host, [o for o in objects if o.group == host.group != -1 and o is not host]


def _create(folder: Path, wcs: WCS, height: int, width: int, separate: bool) -> list[np.memmap]:
    """Empty FITS files of the full size, and their planes for g, r, i, mapped for writing."""
    bands: list[tuple[str, ...]] = [(band,) for band in BANDS] if separate else [BANDS]
    planes = []
    for names in bands:
        path = folder / (MOSAIC_NAME if len(names) == 3 else MOSAIC_NAME.replace(".", f"_{names[0]}."))
        shape = (len(names), height, width) if len(names) == 3 else (height, width)
        header = fits.PrimaryHDU().header
        header["BITPIX"] = -32
        header["NAXIS"] = len(shape)
        for k, side in enumerate(reversed(shape)):
            header.insert(f"NAXIS{k}" if k else "NAXIS", (f"NAXIS{k + 1}", side), after=True)
        header["BUNIT"] = "count"
        header["MAGZERO"] = (ZEROPOINT_MAG, "AB magnitude of one count")
        header["FILTER"] = ",".join(names)
        header.extend(wcs.to_header(), update=True)
        text = header.tostring().encode()
        size = 4 * len(names) * height * width
        with path.open("wb") as file:
            file.write(text)
            reserve(file, len(text) + -(-size // FITS_BLOCK_BYTES) * FITS_BLOCK_BYTES)
        cube = np.memmap(path, dtype=">f4", mode="r+", offset=len(text), shape=(len(names), height, width))
        planes += [cube[k] for k in range(len(names))]
    return planes
