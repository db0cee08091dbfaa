"""Draw the objects of a patch of sky: galaxies and stars with magnitudes, colours, sizes and redshifts.

Counts and colours are round numbers from surveys of this depth (Ilbert et al. 2006, A&A 457, 841; Fukugita et al.
1995, PASP 107, 945 for galaxy colours with redshift; Covey et al. 2007, AJ 134, 2398 for the stellar locus).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import starmap

import numpy as np

from convnet_galaxies.simulate.camera import PIXEL_SCALE_ARCSEC, to_counts
from convnet_galaxies.simulate.lens_population import einstein_radii_of

# Colours of an old galaxy and of a star-forming one as seen at a redshift (k-corrections included).
REDSHIFTS = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.5])
RED_G_R = np.array([0.75, 0.92, 1.18, 1.45, 1.66, 1.75, 1.78, 1.72, 1.5, 1.2, 1.0])
RED_R_I = np.array([0.38, 0.40, 0.44, 0.52, 0.60, 0.74, 0.92, 1.12, 1.2, 1.1, 0.7])
BLUE_G_R = np.array([0.40, 0.48, 0.58, 0.66, 0.70, 0.66, 0.60, 0.42, 0.32, 0.25, 0.25])
BLUE_R_I = np.array([0.20, 0.24, 0.26, 0.28, 0.34, 0.40, 0.42, 0.40, 0.34, 0.22, 0.18])


@dataclass(frozen=True)
class SkyObject:
    """One object of a field.

    x_px, y_px: centre, 0-based. r_mag, g_r, r_i: AB magnitude and colours.
    kind: elliptical, spiral, ring, merger, irregular, star, or satellite trail.
    redshift: 0 for stars and trails. radius_px: half-light radius along the long axis. axis_ratio, angle_rad: of the
    light, angle from x towards y. einstein_radius_arcsec: what it would do to a source at z 2; 0 unless elliptical.
    group: number of its group, -1 without one. detail_seed: of properties that the rest does not give (arms,
    knots, glare), so that the object looks the same wherever and whenever it is drawn.
    """

    x_px: float
    y_px: float
    r_mag: float
    g_r: float
    r_i: float
    kind: str
    redshift: float = 0.0
    radius_px: float = 0.0
    axis_ratio: float = 1.0
    angle_rad: float = 0.0
    einstein_radius_arcsec: float = 0.0
    group: int = -1
    detail_seed: int = 0

    @property
    def counts(self) -> np.ndarray:
        """Counts in g, r, i, float64 [3]."""
        return to_counts(np.array([self.r_mag + self.g_r, self.r_mag, self.r_mag - self.r_i]))

    def moved(self, dx_px: float, dy_px: float) -> SkyObject:
        """Return the same object elsewhere."""
        copy = SkyObject.__new__(SkyObject)  # dataclasses.replace takes ten times as long, and fields have hundreds
        copy.__dict__.update(self.__dict__, x_px=self.x_px + dx_px, y_px=self.y_px + dy_px)
        return copy


def draw_sky_objects(rng: np.random.Generator, shape: tuple[int, int], *, density: float = 1.0) -> list[SkyObject]:
    """Draw objects over an area of shape (h, w) px, bright ones last. density: of galaxies, relative to the average."""
    arcmin2 = shape[0] * shape[1] * (PIXEL_SCALE_ARCSEC / 60) ** 2
    objects: list[SkyObject] = []
    slope, bright, faint = 0.37, 16.0, 26.4
    total = 12.0 / (slope * np.log(10)) * 10 ** (slope * (faint - 24))
    number = rng.poisson(density * total * arcmin2)
    mags = (
        24
        + np.log10(
            10 ** (slope * (bright - 24))
            + rng.random(number) * (10 ** (slope * (faint - 24)) - 10 ** (slope * (bright - 24)))
        )
        / slope
    )
    objects += _draw_galaxies(rng, mags, rng.random(number) * shape[1], rng.random(number) * shape[0])
    for group in range(rng.poisson(0.2 * arcmin2)):
        objects += _draw_group(rng, shape, group)
    for _ in range(rng.poisson(2.6 * arcmin2)):
        objects.append(_draw_star(rng, rng.random() * shape[1], rng.random() * shape[0]))
    return sorted(objects, key=lambda o: -o.r_mag)


def _draw_galaxies(rng: np.random.Generator, r_mag: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[SkyObject]:
    """Galaxies of the general population, red and star-forming, at the given magnitudes and places (float [n])."""
    number = len(r_mag)
    median = np.interp(r_mag, [16, 18, 20, 22, 24, 26], [0.07, 0.14, 0.28, 0.55, 0.9, 1.3])
    redshift = np.clip(median * np.exp(0.4 * rng.normal(size=number)), 0.02, 3.5)
    red = rng.random(number) < np.interp(r_mag, [17, 20, 22, 24, 26], [0.45, 0.4, 0.28, 0.14, 0.06])
    found = red_galaxies(rng, r_mag[red], np.minimum(redshift[red], 1.1), x[red], y[red])
    r_mag, redshift, x, y = r_mag[~red], redshift[~red], x[~red], y[~red]
    number = len(r_mag)
    faintness = np.maximum(0.0, r_mag - 24)
    g_r = np.interp(redshift, REDSHIFTS, BLUE_G_R) + rng.normal(0, 0.16, number) - 0.1 * faintness
    r_i = np.interp(redshift, REDSHIFTS, BLUE_R_I) + rng.normal(0, 0.12, number)
    size = 10 ** np.interp(r_mag, [16, 18, 20, 22, 24, 26.5], [0.75, 0.4, 0.1, -0.2, -0.48, -0.78])
    kinds, shares = ("spiral", "ring", "merger", "irregular"), (0.72, 0.06, 0.06, 0.16)
    kind = rng.choice(kinds, number, p=shares)
    radius = size * np.exp(0.3 * rng.normal(size=number)) / PIXEL_SCALE_ARCSEC
    axis_ratio = np.sqrt(rng.uniform(0.05, 1, number) ** 2 * 0.96 + 0.04)
    angle, seed = rng.uniform(0, np.pi, number), rng.integers(1 << 62, size=number)
    nothing = np.zeros(number)
    columns = (x, y, r_mag, g_r, r_i, kind, redshift, radius, axis_ratio, angle, nothing, nothing.astype(int) - 1, seed)
    return found + list(starmap(SkyObject, zip(*(column.tolist() for column in columns), strict=True)))


def red_galaxies(
    rng: np.random.Generator, r_mag: np.ndarray, redshift: np.ndarray, x: np.ndarray, y: np.ndarray, group: int = -1
) -> list[SkyObject]:
    """Return ellipticals and lenticulars on the red sequence of their redshifts; all arrays float [n]."""
    number = len(r_mag)
    g_r = np.interp(redshift, REDSHIFTS, RED_G_R) + rng.normal(0, 0.06, number)
    r_i = np.interp(redshift, REDSHIFTS, RED_R_I) + rng.normal(0, 0.04, number)
    size = 10 ** np.interp(r_mag, [16, 18, 20, 22, 24, 26], [0.6, 0.25, -0.1, -0.35, -0.55, -0.7])
    radius = size * np.exp(0.25 * rng.normal(size=number)) / PIXEL_SCALE_ARCSEC
    axis_ratio = np.clip(rng.beta(3.5, 1.6, number), 0.25, 0.98)
    angle = rng.uniform(0, np.pi, number)
    strength = einstein_radii_of(r_mag, redshift)
    kind, groups = np.full(number, "elliptical"), np.full(number, group)
    columns = (x, y, r_mag, g_r, r_i, kind, redshift, radius, axis_ratio, angle, strength, groups)
    return list(starmap(SkyObject, zip(*(column.tolist() for column in columns), strict=True)))


def red_galaxy(rng: np.random.Generator, r_mag: float, redshift: float, x: float, y: float) -> SkyObject:
    """Return one such galaxy."""
    columns = [np.array([float(value)]) for value in (r_mag, redshift, x, y)]
    return red_galaxies(rng, columns[0], columns[1], columns[2], columns[3], -1)[0]


def _draw_group(rng: np.random.Generator, shape: tuple[int, int], group: int) -> list[SkyObject]:
    """A group or small cluster: one redshift, one red sequence, the brightest galaxy in the middle."""
    redshift = float(np.clip(rng.gamma(7, 0.08), 0.15, 0.95))
    brightest = 17.6 + 5.0 * redshift + rng.normal(0, 0.4)
    number = int(np.clip(rng.geometric(0.12) + 2, 3, 40))
    centre = rng.random(2) * np.array([shape[1], shape[0]])
    spread_px = rng.uniform(7, 20) / PIXEL_SCALE_ARCSEC
    mags = brightest + 0.4 + rng.gamma(3.0, 0.9, number)
    mags = np.array([brightest, *mags[mags < 25]])
    distance = spread_px * np.sqrt(rng.exponential(1.0, len(mags)))
    distance[0] = 0
    turn = rng.uniform(0, 2 * np.pi, len(mags))
    x, y = centre[0] + distance * np.cos(turn), centre[1] + distance * np.sin(turn)
    return red_galaxies(rng, mags, np.full(len(mags), redshift), x, y, group)


def _draw_star(rng: np.random.Generator, x: float, y: float) -> SkyObject:
    """A star of the Galaxy at high latitude: halo and disk stars of the main sequence, redder when fainter."""
    r_mag = float(13.0 + 11.5 * rng.beta(2.2, 1.15))
    red = rng.random() < np.interp(r_mag, [14, 18, 22, 25], [0.15, 0.4, 0.6, 0.7])
    if red:
        g_r = rng.normal(1.42, 0.07)
        r_i = float(np.clip(rng.gamma(4, 0.25) + 0.5, 0.55, 2.2))
    else:
        g_r = float(np.clip(rng.gamma(5, 0.11) + 0.05, 0.1, 1.3))
        r_i = 0.36 * g_r + rng.normal(0, 0.03)
    return SkyObject(x, y, r_mag, float(g_r), float(r_i), "star", detail_seed=_seed(rng))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 62))
