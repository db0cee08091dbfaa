"""Sources behind a lens: galaxies with structure, and quasars."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from convnet_galaxies.simulate.camera import to_counts

# Below this the rays of a stamp would sample a blob unevenly, and no ground-based camera tells the difference.
SMALLEST_BLOB_ARCSEC = 0.08


@dataclass(frozen=True)
class Blob:
    """One elliptical Sersic component of a source.

    x_arcsec, y_arcsec: centre in the source plane, from the centre of the lens. radius_arcsec: half-light radius of
    the long axis. sersic_index: 0.5 Gaussian, 1 exponential. angle_rad: of the long axis. counts: in g, r, i.
    """

    x_arcsec: float
    y_arcsec: float
    radius_arcsec: float
    axis_ratio: float
    angle_rad: float
    sersic_index: float
    counts: tuple[float, float, float]

    @property
    def sersic_b(self) -> float:
        """b_n for which the radius encloses half of the light (Ciotti & Bertin 1999, A&A 352, 447)."""
        n = self.sersic_index
        return 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2)

    @property
    def peak_per_count(self) -> float:
        """Central surface brightness per arcsec^2 of one count: b^2n / (2 pi n r^2 q Gamma(2n))."""
        n = self.sersic_index
        return self.sersic_b ** (2 * n) / (
            2 * math.pi * n * self.radius_arcsec**2 * self.axis_ratio * math.gamma(2 * n)
        )


@dataclass(frozen=True)
class LensedSource:
    """The light behind a lens. counts everywhere: as it would be without a lens, in g, r, i.

    x_arcsec, y_arcsec: centre. blobs: extended light. point_counts: a quasar's, else None.
    """

    x_arcsec: float
    y_arcsec: float
    redshift: float
    r_mag: float
    blobs: tuple[Blob, ...]
    point_counts: tuple[float, float, float] | None = None

    @property
    def extent_arcsec(self) -> float:
        """Radius round the centre that holds nearly all light."""
        return max(
            (
                math.hypot(b.x_arcsec - self.x_arcsec, b.y_arcsec - self.y_arcsec) + 2.5 * b.radius_arcsec
                for b in self.blobs
            ),
            default=0.0,
        )

    def surface_brightness(self, x_arcsec: np.ndarray, y_arcsec: np.ndarray) -> np.ndarray:
        """Return counts per arcsec^2 of the extended light, float32 [3, ...] at source-plane positions of any shape."""
        out = np.zeros((3, *x_arcsec.shape), np.float32)
        for blob in self.blobs:
            cos, sin = math.cos(blob.angle_rad), math.sin(blob.angle_rad)
            dx, dy = x_arcsec - np.float32(blob.x_arcsec), y_arcsec - np.float32(blob.y_arcsec)
            # Far away nothing is left, and most rays of a lens pass far away.
            reach = 2.5 + 2.2 * blob.sersic_index
            near = np.nonzero(np.maximum(np.abs(dx), np.abs(dy)) < reach * blob.radius_arcsec)
            dx, dy = dx[near], dy[near]
            radius2 = (cos * dx + sin * dy) ** 2 + ((cos * dy - sin * dx) / blob.axis_ratio) ** 2
            profile = np.exp(-blob.sersic_b * (radius2 / blob.radius_arcsec**2) ** (0.5 / blob.sersic_index))
            for band in range(3):
                out[band][near] += profile * np.float32(blob.peak_per_count * blob.counts[band])
        return out

    def brightened(self, r_mag: float) -> LensedSource:
        """Return the same source with another magnitude."""
        factor = 10 ** (0.4 * (self.r_mag - r_mag))
        blobs = tuple(replace(b, counts=_times(factor, b.counts)) for b in self.blobs)
        points = None if self.point_counts is None else _times(factor, self.point_counts)
        return replace(self, r_mag=r_mag, blobs=blobs, point_counts=points)

    def moved(self, x_arcsec: float, y_arcsec: float) -> LensedSource:
        """Return the same source with its centre elsewhere."""
        dx, dy = x_arcsec - self.x_arcsec, y_arcsec - self.y_arcsec
        blobs = tuple(replace(b, x_arcsec=b.x_arcsec + dx, y_arcsec=b.y_arcsec + dy) for b in self.blobs)
        return replace(self, x_arcsec=x_arcsec, y_arcsec=y_arcsec, blobs=blobs)


def draw_quasar(rng: np.random.Generator) -> LensedSource:
    """Draw a point of 22 mag at z 1 to 5.9, to be moved and brightened; above z 3.3 the Lyman break reddens g - r."""
    redshift = _truncated(lambda: 1 + rng.gamma(2.2, 0.65), 5.9)
    g_r = rng.normal(0.15, 0.1) + 1.1 * max(0.0, redshift - 3.3)
    r_i = rng.normal(0.1, 0.1) + 1.2 * max(0.0, redshift - 4.7)
    return LensedSource(0.0, 0.0, redshift, 22.0, (), _counts(22.0, g_r, r_i))


def draw_source(rng: np.random.Generator) -> LensedSource:
    """Draw a star-forming galaxy of 24 mag at z 1 to 4, to be moved and brightened.

    A disk, in two of three with knots along arms and sometimes a bulge, which lensing shows as structure of the arcs.
    """
    redshift = _truncated(lambda: 1 + rng.gamma(2.0, 0.4), 4.0)
    lyman = 0.8 * max(0.0, redshift - 3.3)
    red = rng.random() < 0.1
    g_r = rng.normal(0.7 if red else 0.2, 0.15) + lyman
    r_i = rng.normal(0.5 if red else 0.12, 0.12)
    radius = float(np.clip(0.28 * np.exp(0.35 * rng.normal()), 0.12, 0.7))
    axis_ratio, angle = float(rng.uniform(0.35, 1.0)), float(rng.uniform(0, math.pi))
    knots = int(rng.integers(2, 8)) if rng.random() < 0.67 else 0
    knot_share = float(rng.uniform(0.2, 0.55)) if knots else 0.0
    bulge_share = float(rng.uniform(0.05, 0.3)) if rng.random() < 0.4 else 0.0
    body = to_counts(24.0) * (1 - knot_share - bulge_share)
    index = float(rng.uniform(0.6, 1.5))
    blobs = [Blob(0.0, 0.0, radius, axis_ratio, angle, index, _counts(24.0, g_r, r_i, float(body)))]
    if bulge_share:
        bulge = _counts(24.0, g_r + 0.25, r_i + 0.1, float(to_counts(24.0)) * bulge_share)
        size = max(0.3 * radius, 1.3 * SMALLEST_BLOB_ARCSEC)
        blobs.append(Blob(0.0, 0.0, size, max(axis_ratio, 0.7), angle, 1.5, bulge))
    weights = rng.dirichlet(np.full(knots, 1.5)) if knots else np.empty(0)
    phase, winding = rng.uniform(0, 2 * math.pi), rng.uniform(1.5, 3.5)
    for k, weight in enumerate(weights):
        distance = radius * rng.uniform(0.4, 1.5)
        turn = phase + winding * math.log(distance / radius) + math.pi * (k % 2) + rng.normal(0, 0.2)
        u, v = distance * math.cos(turn), distance * axis_ratio * math.sin(turn)
        x, y = u * math.cos(angle) - v * math.sin(angle), u * math.sin(angle) + v * math.cos(angle)
        size = max(float(radius * rng.uniform(0.12, 0.3)), SMALLEST_BLOB_ARCSEC)
        colours = (g_r - 0.1 + rng.normal(0, 0.05), r_i - 0.05 + rng.normal(0, 0.05))
        counts = _counts(24.0, *colours, float(to_counts(24.0)) * knot_share * float(weight))
        blobs.append(Blob(x, y, size, float(rng.uniform(0.6, 1)), float(rng.uniform(0, math.pi)), 0.5, counts))
    return LensedSource(0.0, 0.0, redshift, 24.0, tuple(blobs))


def _counts(r_mag: float, g_r: float, r_i: float, r_counts: float | None = None) -> tuple[float, float, float]:
    r = float(to_counts(r_mag)) if r_counts is None else r_counts
    return (r * 10 ** (-0.4 * g_r), r, r * 10 ** (0.4 * r_i))


def _times(factor: float, counts: tuple[float, float, float]) -> tuple[float, float, float]:
    return (factor * counts[0], factor * counts[1], factor * counts[2])


def _truncated(draw: Callable[[], float], highest: float) -> float:
    while True:
        value = float(draw())
        if value <= highest:
            return value
