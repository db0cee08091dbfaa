"""Distances and density in a flat universe with H0 = 70 km/s/Mpc and Omega_m = 0.3, interpolated, to redshift 6."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=1)
def _table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from astropy.cosmology import FlatLambdaCDM  # takes a second to import

    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    redshift = np.linspace(0, 6, 601)
    density = cosmology.critical_density(redshift).to("Msun / Mpc3").value
    return redshift, cosmology.comoving_distance(redshift).value, density


def comoving_distance_mpc(redshift: np.ndarray | float) -> np.ndarray:
    """Return the comoving distance in Mpc, to 1e-4."""
    redshifts, distance, _ = _table()
    return np.interp(redshift, redshifts, distance)


def angular_distance_mpc(redshift: float) -> float:
    """Return the angular diameter distance in Mpc."""
    return float(comoving_distance_mpc(redshift)) / (1 + redshift)


def distance_ratio(lens_redshift: float, source_redshift: float) -> float:
    """Return D_ls / D_s, by which a physical deflection becomes a reduced one."""
    return float(1 - comoving_distance_mpc(lens_redshift) / comoving_distance_mpc(source_redshift))


def critical_density_msun_mpc3(redshift: float) -> float:
    """Return the critical density of the universe at a redshift."""
    redshifts, _, density = _table()
    return float(np.interp(redshift, redshifts, density))
