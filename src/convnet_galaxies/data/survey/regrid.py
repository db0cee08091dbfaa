"""Reads windows of a band that lies on another grid of pixels, resampled to that of its tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convnet_galaxies.data.fits_cards import Cards
from convnet_galaxies.data.fits_header import Role
from convnet_galaxies.data.missing import apply_layer, mark_missing
from convnet_galaxies.data.survey.sky import pixels_to_sky, sky_to_pixels
from convnet_galaxies.data.survey.windows import PixelSource

_MARGIN_PX = 8

Marks = Sequence[tuple[PixelSource, Role, Cards]]


def regrid_source(
    source: PixelSource, marks: Marks, own_wcs: Any, wcs: Any, shape: tuple[int, int], flux_factor: float
) -> PixelSource:
    """Return the plane on the grid of another world coordinate system and shape, linearly interpolated.

    marks: its masks and weights on its own grid; a pixel that touches a missing one is missing. flux_factor: how many
    times the area of an own pixel a new one has, since counts are those of a pixel.
    """

    def read(rows: slice, columns: slice) -> np.ndarray:
        from reproject import reproject_interp

        h, w = rows.stop - rows.start, columns.stop - columns.start
        out = np.full((h, w), np.nan, np.float32)
        part = _cover(rows, columns, wcs, own_wcs, source.shape)
        if part is None:
            return out
        own_rows, own_columns = part
        values = source.read(own_rows, own_columns).astype(np.float32)
        mark_missing(values)
        for layer, role, header in marks:
            apply_layer(values, layer.read(own_rows, own_columns), role, header)
        target = wcs[rows, columns]
        target.array_shape = h, w
        here = own_wcs[own_rows, own_columns]
        here.array_shape = values.shape
        found, _ = reproject_interp((values, here), target, shape_out=(h, w), order="bilinear", roundtrip_coords=False)
        out[:] = found
        out *= np.float32(flux_factor)
        return out

    return PixelSource(shape, read, name=source.name, dtype=np.dtype(np.float32), most_pixels=0)


def _cover(
    rows: slice, columns: slice, wcs: Any, own_wcs: Any, own_shape: tuple[int, int]
) -> tuple[slice, slice] | None:
    """Return rows and columns of the own grid that hold a part of the new one; None where they lie apart."""
    x, y = np.meshgrid(
        np.linspace(columns.start - 0.5, columns.stop - 0.5, 5), np.linspace(rows.start - 0.5, rows.stop - 0.5, 5)
    )
    sky = pixels_to_sky(wcs, x.ravel(), y.ravel())
    own_x, own_y = sky_to_pixels(own_wcs, *sky, own_shape)
    if not np.isfinite(own_x).any():
        return None
    low_x, high_x = int(np.nanmin(own_x)) - _MARGIN_PX, int(np.nanmax(own_x)) + _MARGIN_PX
    low_y, high_y = int(np.nanmin(own_y)) - _MARGIN_PX, int(np.nanmax(own_y)) + _MARGIN_PX
    own_rows = slice(max(0, low_y), min(own_shape[0], high_y))
    own_columns = slice(max(0, low_x), min(own_shape[1], high_x))
    return (own_rows, own_columns) if own_rows.start < own_rows.stop and own_columns.start < own_columns.stop else None
