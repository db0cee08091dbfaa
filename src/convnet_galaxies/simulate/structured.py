"""Galaxies of a field that are large enough to show arms, rings, knots or a partner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from convnet_galaxies.simulate.camera import PIXEL_SCALE_ARCSEC, to_counts
from convnet_galaxies.simulate.galaxy import render_galaxy
from convnet_galaxies.simulate.morphology import DRAW, Galaxy
from convnet_galaxies.simulate.profiles import SOFTENING_PX, add_profiles, add_stamp
from convnet_galaxies.simulate.sky_population import SkyObject

FAINTEST_R_MAG = 22.0
STRUCTURED_KINDS = ("spiral", "ring", "merger", "irregular")
R90_PER_HALF_LIGHT_RADIUS = 2.35
LARGEST_HALF_PX = 150
COUNTS_PER_NANOMAGGY = float(to_counts(22.5))


def is_structured(o: SkyObject) -> bool:
    """Return whether the object is bright enough for its structure to be seen."""
    return o.kind in STRUCTURED_KINDS and o.r_mag < FAINTEST_R_MAG


def add_structured(canvas: np.ndarray, o: SkyObject) -> None:
    """Add one galaxy of its kind to float32 [3, h, w] counts, in place, with the counts and radius of the object."""
    rng = np.random.default_rng(o.detail_seed)
    r90_px = max(R90_PER_HALF_LIGHT_RADIUS * o.radius_px, 3.0)
    galaxy = _morphology(o, r90_px * PIXEL_SCALE_ARCSEC, rng)
    half = min(int(np.ceil(1.7 * r90_px)) + 4, LARGEST_HALF_PX)
    side = 2 * half + 1
    light = render_galaxy(galaxy, side, PIXEL_SCALE_ARCSEC, rng)
    stamp = gaussian_filter(light.array, (0, SOFTENING_PX, SOFTENING_PX)) * np.float32(COUNTS_PER_NANOMAGGY)
    for profile, flux in light.profiles:
        place = [half + profile.x_arcsec / PIXEL_SCALE_ARCSEC, half + profile.y_arcsec / PIXEL_SCALE_ARCSEC]
        long_px = profile.half_light_arcsec / PIXEL_SCALE_ARCSEC / profile.axis_ratio**0.5
        shape = [long_px, profile.axis_ratio, profile.angle_rad, profile.sersic_index]
        add_profiles(stamp, np.array([place]), np.array([shape]), flux[None] * COUNTS_PER_NANOMAGGY)
    stamp = np.maximum(stamp, 0)
    # Whatever the layers add up to, the object has the counts of its row of the table.
    factor = o.counts / np.maximum(stamp.sum(axis=(1, 2)), 1e-12)
    add_stamp(canvas, (stamp * factor[:, None, None]).astype(np.float32), round(o.x_px), round(o.y_px))


def _morphology(o: SkyObject, r90_arcsec: float, rng: np.random.Generator) -> Galaxy:
    kind = "spiral" if o.kind == "ring" else o.kind
    if o.kind == "spiral" and o.axis_ratio < 0.3:
        kind = "edge_on"
    galaxy = DRAW[kind](rng, r90_arcsec, o.angle_rad)
    galaxy = replace(galaxy, mag_r=o.r_mag, g_r=o.g_r, r_i=o.r_i)
    if kind in ("spiral", "irregular"):
        galaxy = replace(galaxy, axis_ratio=max(o.axis_ratio, 0.3))
    if o.kind == "ring":
        galaxy = replace(
            galaxy,
            arm_contrast=0.0,
            ring_strength=float(rng.uniform(0.6, 1)),
            ring_radius=float(rng.uniform(0.45, 0.8)),
        )
    return galaxy
