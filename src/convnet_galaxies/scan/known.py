"""Match candidates with known systems: rows of a list that lie close together are one system under several names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from convnet_galaxies.data.sky_groups import group_by_sky
from convnet_galaxies.data.survey.positions import read_positions
from convnet_galaxies.errors import InputError
from convnet_galaxies.scan.doubles import chord_of, to_unit_vectors

SAME_SYSTEM_ARCSEC = 5.0
"""Lists give positions of the lens, of an image of the source, or rounded ones, some arcsec apart."""


@dataclass(frozen=True, eq=False)
class KnownSystems:
    """Systems of a list, m rows of which n are systems.

    names: of each system, that of its first row, object [n]. system: of each row, int [m]. vectors: unit vectors of
    the rows, float [m, 3]. remarks: on the reading of the list.
    """

    names: np.ndarray
    system: np.ndarray
    vectors: np.ndarray
    remarks: tuple[str, ...]

    def match(self, table: pd.DataFrame, radius_arcsec: float) -> np.ndarray:
        """Return the system of each candidate, int [k]: the nearest within the radius, -1 for none."""
        found = np.full(len(table), -1)
        known = np.flatnonzero(table["ra_deg"].notna().to_numpy() & table["dec_deg"].notna().to_numpy())
        if len(known):
            places = to_unit_vectors(table["ra_deg"].to_numpy()[known], table["dec_deg"].to_numpy()[known])
            distance, row = cKDTree(self.vectors).query(places, distance_upper_bound=chord_of(radius_arcsec))
            near = np.isfinite(distance)
            found[known[near]] = self.system[row[near]]
        return found


def read_known(path: Path) -> KnownSystems:
    """Read a list of known systems in any format. Raises InputError for one without positions on the sky."""
    positions = read_positions(path)
    sky = np.isfinite(positions.ra_deg) & np.isfinite(positions.dec_deg)
    if not sky.any():
        raise InputError(f"{path}: found no positions on the sky, expected ra and dec", "add the columns")
    rows = np.flatnonzero(sky)
    ra, dec = positions.ra_deg[rows], positions.dec_deg[rows]
    groups = group_by_sky(ra, dec, SAME_SYSTEM_ARCSEC / 60)
    system, first = pd.factorize(pd.Series(groups))[0], ~pd.Series(groups).duplicated().to_numpy()
    return KnownSystems(
        positions.name_ids(rows[first]), np.asarray(system), to_unit_vectors(ra, dec), positions.remarks
    )
