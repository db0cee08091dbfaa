"""Simulate the surroundings of a galaxy: neighbours, stars, glare, satellite trails and bad columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from convnet_galaxies.simulate.galaxy import nanomaggies
from convnet_galaxies.simulate.morphology import Galaxy
from convnet_galaxies.simulate.sdss import CAMERA_PIXEL_ARCSEC, Observation

STARS_PER_ARCMIN2 = 2.6
GALAXIES_PER_ARCMIN2 = 5.0
"""Objects brighter than r = 22 at high Galactic latitude."""


@dataclass(frozen=True)
class Surroundings:
    """Features beside the galaxy that volunteers notice.

    neighbours, stars: numbers drawn. glare: strength of a bright star's halo, trail: of a satellite's or aeroplane's
    line, bad_column: all 0 when absent. crowding: r flux of the brightest object within 1.5 r90, as a share of the
    galaxy's own.
    """

    neighbours: int
    stars: int
    glare: float
    trail: float
    bad_column: float
    crowding: float = 0.0


def draw_surroundings(rng: np.random.Generator, *, side_arcmin: float) -> Surroundings:
    """Draw numbers and flaws of one cutout."""
    field = float(np.exp(rng.normal(0, 0.5)))
    area = side_arcmin**2
    return Surroundings(
        neighbours=min(int(rng.poisson(GALAXIES_PER_ARCMIN2 * area * np.exp(rng.normal(0, 0.4)))), 80),
        stars=min(int(rng.poisson(STARS_PER_ARCMIN2 * area * field)), 80),
        glare=float(rng.random() < 0.025) * float(rng.uniform(0.15, 1)),
        trail=float(rng.random() < 0.012) * float(rng.uniform(0.3, 1)),
        bad_column=float(rng.random() < 0.008),
    )


def add_objects(
    array: np.ndarray, galaxy: Galaxy, around: Surroundings, observation: Observation, rng: np.random.Generator
) -> Surroundings:
    """Adds stars and galaxies to a scene (float32 [3, n, n], nanomaggies, changed in place).

    Returns the surroundings with their crowding.
    """
    n, pixel = array.shape[1], observation.pixel_arcsec
    own = 10 ** (-0.4 * (galaxy.mag_r - 22.5))
    reach_px = 1.5 * galaxy.r90_arcsec / pixel
    crowding = 0.0
    for _ in range(around.stars):
        mag = 22.3 - rng.exponential(1.9)
        is_dwarf = rng.random() < 0.06 * (mag - 13)  # faint stars are mostly red dwarfs
        g_r, r_i = (
            (rng.normal(1.35, 0.15), rng.uniform(0.5, 1.2))
            if is_dwarf
            else (rng.normal(0.5, 0.2), rng.normal(0.17, 0.08))
        )
        flux = nanomaggies(max(mag, 14.0), g_r, r_i)
        x, y = rng.uniform(1, n - 2, 2)
        add_star(array, flux, x, y)
        if np.hypot(x - n // 2, y - n // 2) < reach_px:
            crowding = max(crowding, float(flux[1] / own))
    for _ in range(around.neighbours):
        mag = max(22.3 - rng.exponential(1.25), 15.0)
        red = float(rng.beta(1, 1))
        flux = nanomaggies(mag, rng.normal(0.4 + 0.7 * red, 0.1), rng.normal(0.2 + 0.3 * red, 0.06))
        x, y = rng.uniform(1, n - 2, 2)
        size = float(np.clip(0.9 * 10 ** (-0.14 * (mag - 20)) * np.exp(rng.normal(0, 0.3)), 0.3, 8)) / pixel
        _add_small_galaxy(array, flux, x, y, size, ratio=rng.uniform(0.25, 1), angle=rng.uniform(0, np.pi))
        if np.hypot(x - n // 2, y - n // 2) < reach_px:
            crowding = max(crowding, float(flux[1] / own))
    if galaxy.overlap > 0:
        distance, angle = rng.uniform(0.15, 1.1) * galaxy.r90_arcsec / pixel, rng.uniform(0, 2 * np.pi)
        red = rng.random()
        flux = nanomaggies(galaxy.mag_r, 0.4 + red, 0.15 + 0.6 * red) * galaxy.overlap
        add_star(array, flux, n // 2 + distance * np.cos(angle), n // 2 + distance * np.sin(angle))
    return replace(around, crowding=crowding)


def add_star(array: np.ndarray, flux: np.ndarray, x_px: float, y_px: float) -> None:
    """A point of light, shared among the four pixels round it; the PSF comes later."""
    column, row = int(x_px), int(y_px)
    right, up = x_px - column, y_px - row
    for step_y, weight_y in ((0, 1 - up), (1, up)):
        for step_x, weight_x in ((0, 1 - right), (1, right)):
            array[:, row + step_y, column + step_x] += flux * weight_x * weight_y


def _add_small_galaxy(
    array: np.ndarray, flux: np.ndarray, x_px: float, y_px: float, size_px: float, *, ratio: float, angle: float
) -> None:
    """An exponential disk of half-light radius size_px; what lies outside the scene is lost, not folded in."""
    n = array.shape[1]
    half = int(np.ceil(4 * size_px)) + 1
    rows, columns = np.arange(int(y_px) - half, int(y_px) + half + 1), np.arange(int(x_px) - half, int(x_px) + half + 1)
    dy, dx = (rows - y_px)[:, None], (columns - x_px)[None, :]
    u, v = dx * np.cos(angle) + dy * np.sin(angle), (dy * np.cos(angle) - dx * np.sin(angle)) / ratio
    light = np.exp(-1.68 * np.sqrt(u**2 + v**2 + 0.1) / size_px)
    light /= light.sum()
    rows_in, columns_in = (rows >= 0) & (rows < n), (columns >= 0) & (columns < n)
    y0, y1 = rows[rows_in][[0, -1]] + (0, 1)
    x0, x1 = columns[columns_in][[0, -1]] + (0, 1)
    array[:, y0:y1, x0:x1] += flux[:, None, None] * light[rows_in][:, columns_in][None]


def add_flaws(
    image: np.ndarray, around: Surroundings, observation: Observation, rng: np.random.Generator
) -> np.ndarray:
    """Return the exposure with glare, a trail and a dead column (float32 [3, n, n], nanomaggies per pixel)."""
    n, unit = image.shape[1], np.float32((observation.pixel_arcsec / CAMERA_PIXEL_ARCSEC) ** 2)
    axis = np.arange(n, dtype=np.float32) / n - 0.5
    if around.glare > 0:
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.45, 0.95)
        away = np.hypot(axis[None, :] - distance * np.cos(angle), axis[:, None] - distance * np.sin(angle))
        tint = rng.dirichlet([2.5, 2.5, 4.0]) * 3
        halo = 0.25 * around.glare / (1 + (away / 0.2) ** 2)
        image = image + (tint[:, None, None] * halo[None] * unit).astype(np.float32)
    if around.trail > 0:
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.35, 0.35)
        across = (axis[:, None] * np.cos(angle) - axis[None, :] * np.sin(angle) - offset) * n
        line = 0.25 * around.trail * np.exp(-0.5 * (across / (1.5 / observation.pixel_arcsec * 0.4 + 0.5)) ** 2)
        band = int(rng.integers(3))  # the bands are read one after another, so that a moving thing crosses only one
        image = image.copy()
        image[band] += line * unit
    if around.bad_column > 0:
        image = image.copy()
        column = n // 2 + rng.integers(-n // 8, n // 8 + 1)
        slope = rng.normal(0, 0.05)
        rows = np.arange(n)
        image[:, rows, np.clip(column + (slope * (rows - n // 2)).astype(int), 0, n - 1)] = 0
    return image
