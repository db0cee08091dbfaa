"""Groups positions that lie close together on the sky: the same object may stand in two cutouts."""

from __future__ import annotations

import numpy as np

NEIGHBOUR_ARCMIN = 1.0
_CAP_DEG = 89.9
"""Declination up to which a row of cells becomes narrower towards the pole."""


def group_by_sky(ra_deg: np.ndarray, dec_deg: np.ndarray, radius_arcmin: float = NEIGHBOUR_ARCMIN) -> np.ndarray:
    """Name of the group of each position (text or None where a coordinate is NaN, object [n]).

    ra_deg, dec_deg: float [n], one frame. Positions within radius_arcmin are neighbours; a group is everything that
    chains of neighbours connect, and is named after its first position, e.g. ``30.34125-9.25421``.
    """
    # Only here: these take longer to load than a net needs for an image.
    from astropy import units as u
    from astropy.coordinates import SkyCoord, search_around_sky
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    known = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    groups = np.full(len(ra_deg), None, dtype=object)
    if len(known) == 0:
        return groups
    positions = SkyCoord(ra_deg[known] * u.deg, dec_deg[known] * u.deg)
    left, right, _, _ = search_around_sky(positions, positions, radius_arcmin * u.arcmin)
    graph = coo_array((np.ones(len(left), bool), (left, right)), shape=(len(known),) * 2)
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)
    names = [f"{ra_deg[row]:.5f}{dec_deg[row]:+.5f}" for row in known[first]]
    groups[known] = np.array(names, dtype=object)[component]
    return groups


def name_cells(ra_deg: float, dec_deg: float, radius_arcmin: float = NEIGHBOUR_ARCMIN) -> list[str]:
    """Return texts for a position; two positions within radius_arcmin share at least one, whatever set they stand in.

    Four name the cells, two radii wide, of four grids that are shifted against each other by half a cell; positions
    up to 2.8 radii apart (more beside the poles) may share one too. A fifth names the pole, if it is so near that
    cells would be narrower than two radii: the whole cap is one cell.
    """
    cell_deg = 2 * radius_arcmin / 60
    names = [f"pole{dec_deg:+.0f}"] if abs(dec_deg) > _CAP_DEG - cell_deg else []
    for shift_dec in (0.0, 0.5):
        row = int(np.floor((dec_deg + 90) / cell_deg + shift_dec))
        # The narrowest part of the row counts, so that a cell is nowhere narrower than two radii.
        nearest_pole = max(abs((row - shift_dec + edge) * cell_deg - 90) for edge in (0, 1))
        width_deg = cell_deg / float(np.cos(np.radians(min(nearest_pole, _CAP_DEG))))
        columns = max(1, int(360 / width_deg))  # a whole number, so that the last one ends where the first begins
        for shift_ra in (0.0, 0.5):
            column = int(np.floor(ra_deg % 360 / 360 * columns + shift_ra)) % columns
            names.append(f"{2 * shift_dec:.0f}{2 * shift_ra:.0f},{row},{column}")
    return names
