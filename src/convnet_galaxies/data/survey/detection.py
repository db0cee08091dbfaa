"""Detects objects on a tile by SExtractor's method (the library sep), block by block, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from convnet_galaxies.data.fits_header import fold
from convnet_galaxies.data.missing import sky_and_noise
from convnet_galaxies.data.survey.survey_image import SurveyImage
from convnet_galaxies.errors import InputError

BLOCK_PX = 1024
_MESH_PX = 64
_OVERLAP_PX = _MESH_PX
"""A whole mesh, so that neighbouring blocks have the same background; objects are larger only if very near."""
SAME_PX = 3.0
"""Two detections of neighbouring blocks closer than this are one object."""

_RADII = (0.5, 0.9)
_REACH, _LEAST_RADIUS_PX, _SUBPIXELS = 6.0, 3.0, 2
"""Light is summed to so many times the standard deviation of an object along its long axis. Two subpixels give radii
within 1.6 % of those of five for nine objects of ten, in half of the time."""


@dataclass(frozen=True)
class Detection:
    """How objects are detected.

    band: the one that is searched; None for the sum of all, each in units of its noise. threshold_sigma: of each
    pixel above the local noise; min_area_px: connected pixels above it.
    """

    band: str | None = None
    threshold_sigma: float = 1.5
    min_area_px: int = 5


def detect_objects(image: SurveyImage, detection: Detection | None = None, *, block_px: int = BLOCK_PX) -> pd.DataFrame:
    """Detect the objects of a tile: a table x, y (0-based pixels), flux, radius_px, radius90_px, ordered by y, then x.

    flux: above the local background, in units of the noise of a pixel, summed over the searched bands. radius_px,
    radius90_px: hold a half and nine tenths of it. Missing and masked pixels are left out. The image is searched in
    blocks with an overlap, on a common mesh of the background (Bertin & Arnouts 1996, A&AS 117, 393, by sep: Barbary
    2016, JOSS 1, 58); an object belongs to the block in which it lies, so the order of the blocks does not matter.
    Raises InputError for a band that the tile does not have, or without the library.
    """
    detection = detection or Detection()
    planes = _choose_planes(image, detection)
    block_px = max(_MESH_PX, block_px // _MESH_PX * _MESH_PX)
    h, w = image.shape
    parts = [
        _search(image, planes, detection, top, left, block_px)
        for top in range(0, h, block_px)
        for left in range(0, w, block_px)
    ]
    return _drop_doubles(pd.concat(parts, ignore_index=True))


def detect_in_region(image: SurveyImage, detection: Detection, *, top: int, left: int, side_px: int) -> pd.DataFrame:
    """Detect the objects of a part of a tile as `detect_objects` does, for whom all parts together are the tile.

    top, left: of the part, in pixels; side_px: its side; all three whole multiples of BLOCK_PX. The table has the
    column depth_px besides: from the object to the border of the part, negative for one that lies beyond it by up to
    SAME_PX; the next part may have it too.
    """
    planes = _choose_planes(image, detection)
    h, w = image.shape
    parts = [
        _search(image, planes, detection, row, column, BLOCK_PX)
        for row in range(top, min(top + side_px, h), BLOCK_PX)
        for column in range(left, min(left + side_px, w), BLOCK_PX)
    ]
    found = _drop_doubles(pd.concat(parts, ignore_index=True))
    x, y = found["x"], found["y"]
    depth = np.minimum.reduce([x - left, left + side_px - 1 - x, y - top, top + side_px - 1 - y]) + 0.5
    return found.assign(depth_px=depth)


def _choose_planes(image: SurveyImage, detection: Detection) -> list[int]:
    present = [k for k, plane in enumerate(image.template.planes) if not plane.is_absent]
    if detection.band is None:
        return present
    found = [k for k in present if (band := image.bands[k]) is not None and fold(band) == detection.band.lower()]
    if not found:
        raise InputError(
            f"tile {image.name}: found the bands {', '.join(map(str, image.bands))}, expected {detection.band} to "
            "detect objects in",
            "choose one of its bands, or leave the band out to detect in their sum",
        )
    return found


def _search(
    image: SurveyImage, planes: list[int], detection: Detection, top: int, left: int, block_px: int
) -> pd.DataFrame:
    """Objects of one block that lie in it, or less than SAME_PX outside."""
    import sep

    h, w = image.shape
    rows = slice(max(0, top - _OVERLAP_PX), min(h, top + block_px + _OVERLAP_PX))
    columns = slice(max(0, left - _OVERLAP_PX), min(w, left + block_px + _OVERLAP_PX))
    values = image.read_block(rows, columns, planes)
    missing = np.isnan(values).all(axis=0)
    empty = pd.DataFrame({name: np.empty(0) for name in ("x", "y", "flux", "radius_px", "radius90_px", "depth")})
    if missing.all():
        return empty
    total = np.zeros(missing.shape, np.float32)
    for plane, number in zip(values, planes, strict=True):
        gone = np.isnan(plane)
        if gone.all():
            continue
        if gone.any():
            plane[gone] = sky_and_noise(plane)[0]
        total += plane * np.float32(1 / image.noise[number])
    total[missing] = 0
    mask = missing if missing.any() else None
    background = sep.Background(total, mask=mask, bw=_MESH_PX, bh=_MESH_PX)
    total -= background.back()
    rms = background.rms()
    objects = _extract(sep, total / np.where(rms > 0, rms, np.inf), mask, detection)
    x, y = objects["x"] + columns.start, objects["y"] + rows.start
    inside = (x >= left - 0.5 - SAME_PX) & (x < left + block_px - 0.5 + SAME_PX)
    inside &= (y >= top - 0.5 - SAME_PX) & (y < top + block_px - 0.5 + SAME_PX)
    objects, x, y = objects[inside], x[inside], y[inside]
    if not len(objects):
        return empty
    reach = np.clip(_REACH * objects["a"], _LEAST_RADIUS_PX, _OVERLAP_PX)
    circle = {"mask": mask, "subpix": _SUBPIXELS}
    flux, _, _ = sep.sum_circle(total, objects["x"], objects["y"], reach, **circle)
    radii, _ = sep.flux_radius(total, objects["x"], objects["y"], reach, list(_RADII), normflux=flux, **circle)
    depth = np.minimum.reduce([x - left, left + block_px - 1 - x, y - top, top + block_px - 1 - y])
    found = {"x": x, "y": y, "flux": flux, "radius_px": radii[:, 0], "radius90_px": radii[:, 1], "depth": depth}
    return pd.DataFrame(found)


def _extract(sep, significance, mask, detection: Detection) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Crowded fields fill the buffers of sep, which then are enlarged."""
    stack, children = 300_000, 1024
    while True:
        sep.set_extract_pixstack(stack)
        sep.set_sub_object_limit(children)
        try:
            return np.asarray(
                sep.extract(significance, detection.threshold_sigma, mask=mask, minarea=detection.min_area_px)
            )
        except Exception as fault:
            if stack > 100_000_000 or not any(word in str(fault) for word in ("buffer full", "overflow")):
                raise
            stack, children = 4 * stack, 4 * children


def _drop_doubles(found: pd.DataFrame) -> pd.DataFrame:
    """Of detections closer than SAME_PX that stem from two blocks, keep the one that lies deeper in its block."""
    from scipy.spatial import cKDTree

    found = found.sort_values(["y", "x", "depth"], kind="stable", ignore_index=True)
    border = np.flatnonzero(found["depth"] < 2 * SAME_PX)
    places = found[["x", "y"]].to_numpy()[border]
    dropped = set()
    if len(border) > 1:
        depth = found["depth"].to_numpy()[border]
        for first, second in sorted(cKDTree(places).query_pairs(SAME_PX)):
            worse, better = (first, second) if (depth[first], -first) < (depth[second], -second) else (second, first)
            if depth[worse] < 0 and better not in dropped:
                dropped.add(worse)
    kept = found.drop(index=border[sorted(dropped)])
    return kept.drop(columns="depth").reset_index(drop=True)
