"""Simulate effects of bright stars: aureoles, diffraction spikes, ghosts of the pupil, saturation, bleeding.

Levels and lengths are read off published fields of the survey; its spikes lie along rows and columns, the bands of
one star differ in strength, and its ghosts are disks of some 45 px radius, strongest in g.
"""

from __future__ import annotations

import numpy as np

from convnet_galaxies.simulate.profiles import add_stamp
from convnet_galaxies.simulate.sky_population import SkyObject

AUREOLE_R_MAG = 18.5
SPIKES_R_MAG = 17.0
GHOST_R_MAG = 16.2
BLEEDING_R_MAG = 15.0
GHOST_RADIUS_PX = 45.0
AUREOLE_SHARE = 0.02
SPIKE_SHARE = np.array([0.005, 0.003, 0.002])
GHOST_SHARE = (0.0035, 0.0012, 0.0006)


def add_glare(canvas: np.ndarray, stars: list[SkyObject]) -> None:
    """Add aureoles, spikes and ghosts of the bright ones among the stars to float32 [3, h, w] counts, in place."""
    for star in stars:
        if star.r_mag > AUREOLE_R_MAG:
            continue
        rng = np.random.default_rng(star.detail_seed)
        counts = star.counts
        column, row = round(star.x_px), round(star.y_px)
        half = 110 if star.r_mag < SPIKES_R_MAG else 45
        axis = np.arange(-half, half + 1, dtype=np.float32)
        dx, dy = axis[None, :] - np.float32(star.x_px - column), axis[:, None] - np.float32(star.y_px - row)
        radius2 = dx**2 + dy**2
        core_px = 6.0
        share = AUREOLE_SHARE * np.exp(0.3 * rng.normal(size=3))
        aureole = (1 + radius2 / core_px**2) ** -1.5 / (2 * np.pi * core_px**2)
        glare = (share * counts)[:, None, None] * aureole
        if star.r_mag < SPIKES_R_MAG:
            share = SPIKE_SHARE * np.exp(0.25 * rng.normal(size=3))
            glare += (share * counts)[:, None, None] * _spikes(dx, dy, rng)
        if star.r_mag < GHOST_R_MAG:
            for band in range(3):
                shift = rng.normal(0, 2.5, 2)
                radius = GHOST_RADIUS_PX * (1 + 0.03 * rng.normal())
                distance = np.hypot(dx - shift[0], dy - shift[1])
                disk = 1 / (1 + np.exp(np.clip((distance - radius) / 0.8, -30, 30)))
                glare[band] += (
                    GHOST_SHARE[band] * np.exp(0.3 * rng.normal()) * counts[band] * disk / (np.pi * radius**2)
                )
        # The tails end in the noise, not at the edge of a box.
        taper = np.clip((half - np.sqrt(radius2)) / 12, 0, 1)
        add_stamp(canvas, (glare * taper).astype(np.float32), column, row)


def _spikes(dx: np.ndarray, dy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four arms of unit light along rows and columns."""
    out = np.zeros(np.broadcast_shapes(dx.shape, dy.shape), np.float32)
    width, length = rng.uniform(0.8, 1.3), rng.uniform(16, 26)
    for along, across in ((dx, dy), (dy, dx)):
        spread = width * (1 + np.abs(along) / 60)
        out = out + np.exp(-np.abs(along) / length - 0.5 * (across / spread) ** 2) / spread
    return out / out.sum()


def saturate(gri: np.ndarray, stars: list[SkyObject], full_well_counts: tuple[float, float, float]) -> None:
    """Cut bright cores at the full well and let them bleed along their columns, in place, on float32 [3, h, w]."""
    full_well = np.array(full_well_counts, np.float32)
    np.minimum(gri, full_well[:, None, None], out=gri)
    h, w = gri.shape[1:]
    for star in stars:
        if star.r_mag > BLEEDING_R_MAG + 0.7:
            continue
        rng = np.random.default_rng([star.detail_seed, 1])
        column, row = round(star.x_px), round(star.y_px)
        if rng.random() < 0.4:
            _mark_rim(gri, column, row, full_well, rng)
        if star.r_mag > BLEEDING_R_MAG or rng.random() < 0.4 or not 4 <= column < w - 4:
            continue
        length = rng.uniform(8, 16) * 10 ** (0.3 * (BLEEDING_R_MAG - star.r_mag))
        half_width = int(rng.integers(1, 3))
        for end in (-1, 1):
            reach = int(length * rng.uniform(0.7, 1.2))
            rows = np.arange(7, 7 + reach) * end + row
            tip, rows = (part[(part >= 0) & (part < h)] for part in (rows[-max(2, reach // 6) :], rows))
            for offset in range(-half_width - 1, half_width + 2):
                edge = abs(offset) > half_width
                # The pipeline leaves nonsense there: one band far below zero, which the composite shows as yellow.
                gri[0, rows, column + offset] = -900
                gri[1, rows, column + offset] = -900 if edge or rng.random() < 0.1 else 2500
                gri[2, rows, column + offset] = -900 if edge else 2500
            gri[1][np.ix_(tip, np.arange(column - half_width, column + half_width + 1))] = -200


def _mark_rim(gri: np.ndarray, column: int, row: int, full_well: np.ndarray, rng: np.random.Generator) -> None:
    """Broken pixels where a core begins to be saturated, as stacks of several exposures show."""
    h, w = gri.shape[1:]
    top, bottom, left, right = max(row - 14, 0), min(row + 15, h), max(column - 14, 0), min(column + 15, w)
    if top >= bottom or left >= right:
        return
    core = gri[:, top:bottom, left:right]
    for band in range(3):
        full = core[band] >= full_well[band]
        inner = full.copy()
        inner[1:-1, 1:-1] = full[1:-1, 1:-1] & full[:-2, 1:-1] & full[2:, 1:-1] & full[1:-1, :-2] & full[1:-1, 2:]
        rim = full & ~inner & (rng.random(full.shape) < 0.35)
        core[band][rim] = -900
