"""What is found twice, in two regions or two tiles that overlap, becomes one candidate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from convnet_galaxies.data.survey.detection import SAME_PX
from convnet_galaxies.scan.survey_reader import DEPTH_PX, EDGE_PX, ROW

SHARD = "_shard"
"""Column of the number of the shard that a row is from."""


def to_unit_vectors(ra_deg: np.ndarray, dec_deg: np.ndarray) -> np.ndarray:
    """Return unit vectors of positions on the sky, float [n, 3]: near each other where the positions are, also across
    RA = 0 and at the poles."""
    ra, dec = np.deg2rad(ra_deg), np.deg2rad(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def chord_of(angle_arcsec: float) -> float:
    """Return the distance of two unit vectors an angle apart."""
    return float(2 * np.sin(np.deg2rad(angle_arcsec / 3600) / 2))


def drop_doubles(table: pd.DataFrame, radius_arcsec: float) -> pd.DataFrame:
    """Return the table without objects that another row has too, in its order.

    Of two detections of one tile from neighbouring regions that are less than SAME_PX apart, the one deeper in its
    region stays. Of the same catalogue row in several tiles, or of positions of several tiles less than radius_arcsec
    apart, the one stays that has more bands, fewer missing pixels (to a hundredth), and lies farther from an edge of
    its tile. Positions of one tile are never joined.
    """
    if DEPTH_PX in table:
        table = _drop_at_borders(table)
    if not len(table):
        return table
    missing = table["bands_missing"].str.count(",").to_numpy() + (table["bands_missing"] != "").to_numpy()
    masked = np.round(table["masked_fraction"].to_numpy(float), 2)
    order = np.lexsort((np.arange(len(table)), -table[EDGE_PX].to_numpy(), masked, missing))
    if ROW in table:
        first = ~table.iloc[order].duplicated(ROW).to_numpy()
        return table.iloc[np.sort(order[first])].reset_index(drop=True)
    known = np.flatnonzero(table["ra_deg"].notna().to_numpy() & table["dec_deg"].notna().to_numpy())
    ra, dec = table["ra_deg"].to_numpy()[known], table["dec_deg"].to_numpy()[known]
    tile = pd.factorize(table["tile"])[0]
    pairs = known[find_pairs(to_unit_vectors(ra, dec), chord_of(radius_arcsec))]
    pairs = pairs[tile[pairs[:, 0]] != tile[pairs[:, 1]]]
    return _without(table, choose_doubles(pairs, order))


def choose_doubles(pairs: np.ndarray, order: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the rows to drop, int [m]: one is dropped that is paired with a better one which is kept.

    pairs: int [p, 2] of rows; order: all rows, the best first.
    """
    place = np.empty(len(order), int)
    place[np.asarray(order)] = np.arange(len(order))
    partners: dict[int, list[int]] = {}
    for first, second in pairs.tolist():
        partners.setdefault(first, []).append(second)
        partners.setdefault(second, []).append(first)
    dropped: set[int] = set()
    for row in sorted(partners, key=lambda row: int(place[row])):
        if row not in dropped:
            dropped.update(other for other in partners[row] if place[other] > place[row])
    return np.array(sorted(dropped), int)


def _drop_at_borders(table: pd.DataFrame) -> pd.DataFrame:
    depth = table[DEPTH_PX].to_numpy(float)
    near = np.flatnonzero(depth < 2 * SAME_PX)
    tile, shard = pd.factorize(table["tile"])[0], table[SHARD].to_numpy()
    # Tiles are set so far apart that no pair joins two of them.
    apart = float(np.ptp(table["x_px"].to_numpy()) + 2 * SAME_PX) if len(near) else 0.0
    places = np.stack([table["x_px"].to_numpy()[near] + tile[near] * apart, table["y_px"].to_numpy()[near]], axis=1)
    pairs = near[find_pairs(places, SAME_PX)]
    pairs = pairs[shard[pairs[:, 0]] != shard[pairs[:, 1]]]
    return _without(table, choose_doubles(pairs, np.lexsort((np.arange(len(table)), -depth))))


def find_pairs(places: np.ndarray, radius: float) -> np.ndarray:
    """Find pairs of places, float [n, d], up to radius apart: int [p, 2]."""
    if len(places) < 2:
        return np.empty((0, 2), int)
    return np.asarray(cKDTree(places).query_pairs(radius, output_type="ndarray"), int).reshape(-1, 2)


def _without(table: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    kept = np.ones(len(table), bool)
    kept[rows] = False
    return table[kept].reset_index(drop=True)
