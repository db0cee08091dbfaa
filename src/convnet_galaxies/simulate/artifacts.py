"""Simulate image artifacts: trails, cosmic rays, bad columns, noisy stripes, missing corners."""

from __future__ import annotations

import numpy as np

from convnet_galaxies.simulate.camera import Camera
from convnet_galaxies.simulate.sky_population import SkyObject

SATELLITE_CHANCE = 0.12
COSMIC_RAY_CHANCE = 0.15
STRIPE_CHANCE = 0.3
ASTEROID_CHANCE = 0.04
SPOT_CHANCE = 0.04
BAD_COLUMN_CHANCE = 0.05
STRAY_SPIKE_CHANCE = 0.08
MISSING_CORNER_CHANCE = 0.03
TRAIL = "satellite trail"  # the kind of such an object


def vary_noise(noise: np.ndarray, rng: np.random.Generator) -> None:
    """Raise the noise of the sky, float32 [3, h, w], in stripes: gaps between chips got fewer exposures in one band."""
    shape = noise.shape[1:]
    while rng.random() < STRIPE_CHANCE:
        band, upright = rng.integers(3), rng.random() < 0.7
        side = shape[1] if upright else shape[0]
        start, width = int(rng.uniform(-30, side)), int(rng.uniform(15, 90))
        stripe = slice(max(start, 0), max(start + width, 0))
        factor = np.float32(rng.uniform(1.15, 1.7))
        if upright:
            noise[band, :, stripe] *= factor
        else:
            noise[band, stripe] *= factor


def draw_trails(shape: tuple[int, int], rng: np.random.Generator) -> list[SkyObject]:
    """Draw the satellites' trails, at most one, that cross an area of shape (h, w) px; radius_px is half their
    length."""
    if rng.random() >= SATELLITE_CHANCE:
        return []
    x, y = rng.random(2) * (shape[1], shape[0])
    angle, length, seed = float(rng.uniform(0, np.pi)), float(rng.uniform(40, 500)), int(rng.integers(1 << 62))
    return [SkyObject(float(x), float(y), 24.0, 0.0, 0.0, TRAIL, 0.0, length / 2, 0.02, angle, detail_seed=seed)]


def add_artifacts(
    gri: np.ndarray, camera: Camera, trails: list[SkyObject], rng: np.random.Generator, *, corners: bool = True
) -> None:
    """Add artifacts to float32 [3, h, w] counts, in place.

    trails: of satellites (draw_trails). corners: whether a part may be missing, as at the edge of a survey.
    """
    h, w = gri.shape[1:]
    sigma = np.array(camera.sky_sigma_counts)
    for trail in trails:
        _add_trail(gri, sigma, trail)
    if rng.random() < COSMIC_RAY_CHANCE:
        band = rng.integers(3)
        for _ in range(rng.integers(1, 6)):
            _add_line(
                gri[band],
                rng.random(2) * (w, h),
                rng.uniform(0, np.pi),
                rng.uniform(1, 7),
                0.5,
                sigma[band] * rng.uniform(3, 12),
            )
    if rng.random() < ASTEROID_CHANCE:
        _add_asteroid(gri, rng)
    if rng.random() < SPOT_CHANCE:
        band, radius = rng.integers(3), rng.uniform(1.5, 3.5)
        x, y = rng.random(2) * (w, h)
        yy, xx = np.ogrid[:h, :w]
        gri[band] += (
            sigma[band] * rng.uniform(15, 60) * np.exp(-((((xx - x) ** 2 + (yy - y) ** 2) / (2 * radius**2)) ** 2))
        )
    if rng.random() < BAD_COLUMN_CHANCE:
        band, column, end = rng.choice([2, 2, 1]), int(rng.integers(2, w - 3)), int(rng.uniform(0.1, 0.7) * h)
        for offset, level in ((0, 300), (1, 300), (2, -5), (3, 60)):
            if column + offset < w:
                gri[band, :end, column + offset] = level * rng.uniform(0.9, 1.1)
    if rng.random() < STRAY_SPIKE_CHANCE:
        _add_stray_spike(gri, sigma, rng)
    if rng.random() < MISSING_CORNER_CHANCE and corners:
        yy, xx = np.ogrid[:h, :w]
        slope, cut = rng.normal(0, 0.3), rng.uniform(0.05, 0.3) * w
        missing = (xx + slope * yy) < cut
        gri[:, np.rot90(missing, int(rng.integers(4)))] = 0


def _add_trail(gri: np.ndarray, sigma: np.ndarray, trail: SkyObject) -> None:
    """A satellite in one exposure of one band: a faint, broken line, since the stack rejected most of it."""
    rng = np.random.default_rng(trail.detail_seed)
    x, y, angle, length = trail.x_px, trail.y_px, trail.angle_rad, 2 * trail.radius_px
    band = int(rng.choice([0, 1, 1, 1, 2]))
    faint = rng.uniform(0.3, 1.2)
    step = 0.0
    while step < length:
        dash = rng.exponential(14)
        place = (x + (step + dash / 2 - length / 2) * np.cos(angle), y + (step + dash / 2 - length / 2) * np.sin(angle))
        _add_line(gri[band], place, angle, dash, rng.uniform(0.5, 0.9), sigma[band] * faint * rng.gamma(1.0, 2.2))
        step += dash * rng.uniform(1, 2.5)


def _add_line(
    image: np.ndarray,
    centre: np.ndarray | tuple[float, float],
    angle: float,
    length: float,
    width: float,
    height: float,
) -> None:
    x, y = centre
    reach = int(np.ceil(length / 2 + 4))
    top, bottom = max(int(y) - reach, 0), min(int(y) + reach + 1, image.shape[0])
    left, right = max(int(x) - reach, 0), min(int(x) + reach + 1, image.shape[1])
    if top >= bottom or left >= right:
        return
    yy, xx = np.ogrid[top:bottom, left:right]
    along = np.cos(angle) * (xx - x) + np.sin(angle) * (yy - y)
    across = np.cos(angle) * (yy - y) - np.sin(angle) * (xx - x)
    beyond = np.maximum(np.abs(along) - length / 2, 0)
    image[top:bottom, left:right] += height * np.exp(-0.5 * (across**2 + beyond**2) / width**2)


def _add_asteroid(gri: np.ndarray, rng: np.random.Generator) -> None:
    """A moving body: each band was taken at another time, so its three colours lie apart."""
    h, w = gri.shape[1:]
    place, angle = rng.random(2) * (w, h), rng.uniform(0, np.pi)
    counts = 10 ** rng.uniform(2.2, 3.7) * np.array([0.6, 1.0, 1.1])
    speed = rng.uniform(1, 6)
    for band, time in enumerate(rng.permutation([0, 1, 3])):
        x, y = place + speed * time * np.array([np.cos(angle), np.sin(angle)])
        _add_line(gri[band], (x, y), angle, speed, 1.7, counts[band] / (2 * np.pi * 1.7**2))


def _add_stray_spike(gri: np.ndarray, sigma: np.ndarray, rng: np.random.Generator) -> None:
    """The spike, or the bleeding, of a star outside the field."""
    h, w = gri.shape[1:]
    row, length, width = rng.random() * h, rng.uniform(30, 130), rng.uniform(0.8, 1.8)
    yy, xx = np.ogrid[:h, :w]
    shape = np.exp(-xx / length - 0.5 * ((yy - row) / width) ** 2)
    shape = np.rot90(shape, int(rng.integers(4))) if h == w else shape
    strength = sigma * rng.uniform(2, 14) * rng.dirichlet([0.7, 0.7, 0.7]) * 2
    gri += (strength[:, None, None] * shape).astype(np.float32)
