"""The area of the sky that a scan covered, as a MOC (multi-order coverage map of the IVOA)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

CELLS_ALONG = {1000: 256, 10**9: 64}
"""Cells of the map along the side of a tile, at least, for up to so many tiles. The cells on the border of the area
belong to it, which is too large by a hundredth for a single tile, and by less for many."""
FINEST_ORDER = 24
_SKY_DEG2 = 41252.96


def cover(tiles: pd.DataFrame) -> Any | None:
    """Return the MOC of the tiles with corners on the sky (see survey.describe_tile); None without any."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from mocpy import MOC

    placed = [tile for tile in tiles.to_dict("records") if _has_corners(tile)]
    if not placed:
        return None
    corners = [SkyCoord(tile["ra_deg"] * u.deg, tile["dec_deg"] * u.deg) for tile in placed]
    side = min(float(np.median(one.separation(np.roll(one, 1)).deg)) for one in corners)
    cells = next(cells for most, cells in CELLS_ALONG.items() if len(placed) <= most)
    # The side of a cell is 58.6 degrees at order 0, and half as long at each further one.
    order = int(np.clip(np.ceil(np.log2(58.6 * cells / side)), 0, FINEST_ORDER))
    parts = [MOC.from_polygon_skycoord(one, max_depth=order) for one in corners]
    return parts[0].union(*parts[1:]) if len(parts) > 1 else parts[0]


def measure_deg2(moc: Any) -> float:
    """Return the area of a MOC in square degrees."""
    return float(moc.sky_fraction * _SKY_DEG2)


def _has_corners(tile: dict[str, Any]) -> bool:
    corners: Sequence[float] | None = tile.get("ra_deg")
    return corners is not None and np.size(corners) == 4 and bool(np.isfinite(np.asarray(corners, float)).all())
