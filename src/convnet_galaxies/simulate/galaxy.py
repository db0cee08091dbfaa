"""Galaxies as light in the plane of the sky: parameters -> layers of flux in g, r and i.

Smooth spheroids stay formulas, so that they keep their cusps until the telescope blurs them; everything that is not
axially symmetric (arms, bars, rings, dust, knots) is drawn on an array in the coordinates of the disk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.simulate.morphology import RADII_PER_SCALE, Galaxy

DUST_CURVE = np.array([1.20, 0.87, 0.65])
"""Extinction in g, r, i relative to V, rounded from Cardelli, Clayton & Mathis 1989 for R_V = 3.1."""


@dataclass(frozen=True)
class Spheroid:
    """A smooth Sersic profile of unit flux.

    half_light_arcsec: radius of the circle that holds half of the light when the profile is made round.
    axis_ratio, angle_rad: of the isophotes, angle from x towards y. x_arcsec, y_arcsec: centre, from that of the scene.
    """

    sersic_index: float
    half_light_arcsec: float
    axis_ratio: float = 1.0
    angle_rad: float = 0.0
    x_arcsec: float = 0.0
    y_arcsec: float = 0.0


@dataclass(frozen=True)
class Light:
    """The light of a scene before the telescope, in nanomaggies per pixel.

    array: float32 [3, n, n], bands g, r, i. profiles: spheroids, each with its flux in the three bands (float [3]).
    """

    array: np.ndarray
    profiles: tuple[tuple[Spheroid, np.ndarray], ...] = ()


def nanomaggies(mag_r: float, g_r: float, r_i: float) -> np.ndarray:
    """Return the flux in g, r, i (float [3]): 1 nanomaggy is magnitude 22.5 (AB)."""
    return 10 ** (-0.4 * (np.array([mag_r + g_r, mag_r, mag_r - r_i]) - 22.5))


def render_galaxy(galaxy: Galaxy, side_px: int, pixel_arcsec: float, rng: np.random.Generator) -> Light:
    """Render the galaxy on pixel side_px // 2 of a square of side_px pixels (row y, column x).

    Its r flux is that of mag_r; bulge and companion redden or blue its mean colours a little.
    """
    canvas = _Canvas(galaxy, side_px, pixel_arcsec)
    array = np.zeros((3, side_px, side_px), np.float32)
    profiles: list[tuple[Spheroid, np.ndarray]] = []
    total = nanomaggies(galaxy.mag_r, galaxy.g_r, galaxy.r_i)
    extra = galaxy.companion_flux + galaxy.arc_flux + 0.25 * galaxy.tail_strength
    body = total / (1 + extra)
    if galaxy.kind == "star":
        array[:, side_px // 2, side_px // 2] = total
        return Light(array)
    bulge = galaxy.bulge_fraction * body * _colour(0.18 if galaxy.bulge_fraction < 1 else 0.0)
    disk = body - bulge
    if galaxy.kind == "edge_on":
        array += _edge_on(galaxy, canvas, bulge, disk, rng)
    else:
        if galaxy.bulge_fraction > 0:
            profiles.append((_spheroid(galaxy), bulge))
        if galaxy.bulge_fraction < 1:
            array += _disk(galaxy, canvas, disk, rng)
    if galaxy.companion_flux > 0:
        profiles.append((_companion(galaxy), galaxy.companion_flux * body * _colour(rng.normal(0, 0.06))))
    if galaxy.tail_strength > 0:
        tails = _tails(galaxy, canvas)
        array += 0.25 * galaxy.tail_strength * (body * _colour(-0.05))[:, None, None] * tails
    if galaxy.arc_flux > 0:
        array += galaxy.arc_flux * (body * _colour(-0.5))[:, None, None] * _arcs(galaxy, canvas)
    return Light(array, tuple(profiles))


class _Canvas:
    """Pixel coordinates in units of r90: (x, y) on the sky, (u, v) in the disk, radius and azimuth there."""

    def __init__(self, galaxy: Galaxy, side_px: int, pixel_arcsec: float) -> None:
        axis = ((np.arange(side_px) - side_px // 2) * (pixel_arcsec / galaxy.r90_arcsec)).astype(np.float32)
        self.pixel = pixel_arcsec / galaxy.r90_arcsec
        self.x, self.y = axis[None, :], axis[:, None]
        cosine, sine = np.float32(np.cos(galaxy.angle_rad)), np.float32(np.sin(galaxy.angle_rad))
        self.u = self.x * cosine + self.y * sine
        self.height = self.y * cosine - self.x * sine
        self.v = self.height / np.float32(galaxy.axis_ratio)
        self.radius = np.sqrt(self.u**2 + self.v**2)
        self.azimuth = np.arctan2(self.v, self.u)


def _colour(redder: float) -> np.ndarray:
    """Factors on g, r, i that redden light by this many magnitudes in g - r and 0.4 times as many in r - i."""
    return 10 ** (-0.4 * np.array([redder, 0.0, -0.4 * redder]))


def _inside(radius: np.ndarray, edge: float, steepness: float) -> np.ndarray:
    """1 well inside the edge, 0 well outside."""
    return 1 / (1 + np.exp(np.minimum((radius - edge) * steepness, 60)))


def _unit(image: np.ndarray) -> np.ndarray:
    return image / max(float(image.sum(dtype=np.float64)), 1e-30)


def _spheroid(galaxy: Galaxy) -> Spheroid:
    ratio = galaxy.axis_ratio if galaxy.bulge_fraction == 1 else 1 - 0.5 * (1 - galaxy.axis_ratio)
    half_light = max(galaxy.bulge_size * galaxy.r90_arcsec, 0.2)
    return Spheroid(galaxy.bulge_index, half_light, ratio, galaxy.angle_rad)


def _companion(galaxy: Galaxy) -> Spheroid:
    distance = galaxy.companion_distance * galaxy.r90_arcsec
    size = 0.33 * galaxy.r90_arcsec * max(galaxy.companion_flux, 0.05) ** 0.5
    angle = galaxy.companion_angle_rad
    place = (float(distance * np.cos(angle)), float(distance * np.sin(angle)))
    return Spheroid(2.0, max(size, 0.4), galaxy.companion_axis_ratio, 2.3 * angle, *place)


def _disk(galaxy: Galaxy, canvas: _Canvas, flux: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An inclined disk of old and young stars, float32 [3, n, n]; flux: float [3], conserved."""
    radius = canvas.radius
    decline = np.exp(-RADII_PER_SCALE * radius) * _inside(radius, 1.45, 12)
    pattern = _arm_pattern(galaxy, canvas, rng) if galaxy.arm_contrast > 0 else None
    old = decline.copy()
    if galaxy.bar_strength > 0:
        bar, outside = _bar(galaxy, canvas)
        old *= 1 - 0.55 * galaxy.bar_strength * outside
        old += bar * (0.9 * galaxy.bar_strength * float(old.sum()) * 0.4 / max(float(bar.sum()), 1e-9))
    young = np.exp(-0.8 * RADII_PER_SCALE * _shifted_radius(galaxy, canvas)) * _inside(radius, 1.4, 10)
    if pattern is not None:
        old *= 1 + 0.75 * galaxy.arm_contrast * (pattern - 1)
        young *= np.maximum(1 + galaxy.arm_contrast * (pattern - 1), 0) ** 1.5
    if galaxy.ring_strength > 0:
        width = 0.07 + 0.5 * canvas.pixel
        ring = np.exp(-0.5 * ((radius - galaxy.ring_radius) / width) ** 2)
        young += 2.2 * galaxy.ring_strength * float(np.exp(-0.8 * RADII_PER_SCALE * galaxy.ring_radius)) * ring
        old *= 1 + galaxy.ring_strength * (
            1.3 * ring - 0.5 * np.exp(-0.5 * ((radius - 0.6 * galaxy.ring_radius) / 0.12) ** 2)
        )
    share = {"spiral": 0.55, "irregular": 0.6, "merger": 0.35}.get(galaxy.kind, 0.25)
    share *= float(np.clip(1.5 - galaxy.g_r, 0.3, 1))
    old, young = _unit(old), _knots(_unit(young), galaxy.clumpiness, rng)
    layers = (1 - share) * old[None] * _colour(0.10)[:, None, None] + share * young[None] * _colour(-0.34)[
        :, None, None
    ]
    if pattern is not None and galaxy.dust_depth > 0:
        layers *= np.exp(
            -galaxy.dust_depth * DUST_CURVE.astype(np.float32)[:, None, None] * _lanes(galaxy, canvas)[None]
        )
    return (layers * (flux / layers.sum(axis=(1, 2), dtype=np.float64)).astype(np.float32)[:, None, None]).astype(
        np.float32
    )


def _shifted_radius(galaxy: Galaxy, canvas: _Canvas) -> np.ndarray:
    if galaxy.lopsidedness == 0:
        return canvas.radius
    shift = np.float32(galaxy.lopsidedness)
    return np.sqrt((canvas.u - shift) ** 2 + (canvas.v - 0.6 * shift) ** 2)


def _arm_phase(galaxy: Galaxy, canvas: _Canvas) -> np.ndarray:
    """Phase of a logarithmic spiral: constant along an arm of constant pitch angle."""
    winding = np.log(np.maximum(canvas.radius, 0.03)) / np.float32(np.tan(galaxy.pitch_rad))
    return galaxy.arm_number * (canvas.azimuth - winding - np.float32(galaxy.bar_angle_rad))


def _arm_pattern(galaxy: Galaxy, canvas: _Canvas, rng: np.random.Generator) -> np.ndarray:
    """Surface brightness relative to the mean (about 1 on average) along the arms."""
    radius, phase = canvas.radius, _arm_phase(galaxy, canvas)
    tangent = float(np.tan(galaxy.pitch_rad))
    log_radius = np.log(np.maximum(radius, 0.05))
    wobble = np.zeros_like(radius)
    for order in range(1, 5):
        a, b = rng.normal(size=2) / order
        wobble += np.float32(a) * np.cos(
            order * canvas.azimuth + np.float32(2.5 * b) * log_radius * 2 + rng.uniform(0, 6.28)
        )
    phase = phase + np.float32(0.5 + 0.5 * galaxy.flocculence) * wobble
    sharpness = 1.2 / (galaxy.arm_width * 2) ** 2
    arms = np.exp(sharpness * (np.cos(phase) - 1))
    arms *= 1 / float(np.exp(sharpness * (np.cos(np.linspace(0, 2 * np.pi, 64, endpoint=False)) - 1)).mean())
    if galaxy.flocculence > 0:
        patches = np.zeros_like(radius)
        for _ in range(5):
            order, slope = int(rng.integers(3, 11)), rng.normal(1, 0.35) / max(tangent, 0.15)
            patches += np.cos(
                order * (canvas.azimuth - np.float32(slope) * log_radius) + np.float32(rng.uniform(0, 6.28))
            )
        floccules = np.exp(0.55 * patches) / 1.45
        arms = (1 - 0.75 * galaxy.flocculence) * arms + 0.75 * galaxy.flocculence * floccules
    # no two arms are alike, nor is one along its length
    uneven = 0.35 * np.cos(
        canvas.azimuth - np.float32(0.5 / max(tangent, 0.15)) * log_radius + np.float32(rng.uniform(0, 6.28))
    )
    arms = arms * (1 + uneven)
    rise = 1 - _inside(radius, galaxy.arm_start, 25)
    return 1 + (arms - 1) * rise


def _lanes(galaxy: Galaxy, canvas: _Canvas) -> np.ndarray:
    """Dust on the inner (concave) edge of the arms, 0 to 1."""
    lane = np.exp(5 * (np.cos(_arm_phase(galaxy, canvas) + 0.7) - 1))
    return lane * np.exp(-2 * canvas.radius)


def _bar(galaxy: Galaxy, canvas: _Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Return the bar's light, and where the disk is emptied beside it (0 to 1)."""
    cosine, sine = np.float32(np.cos(galaxy.bar_angle_rad)), np.float32(np.sin(galaxy.bar_angle_rad))
    along = (canvas.u * cosine + canvas.v * sine) / np.float32(galaxy.bar_length)
    across = (canvas.v * cosine - canvas.u * sine) / np.float32(galaxy.bar_length * 0.27)
    reach = (np.abs(along) ** 2.5 + np.abs(across) ** 2.5) ** np.float32(0.4)
    bar = np.exp(-0.6 * reach) * _inside(reach, 1, 9)
    inside = _inside(canvas.radius / galaxy.bar_length, 1.05, 9)
    return bar, inside


def _knots(young: np.ndarray, clumpiness: float, rng: np.random.Generator) -> np.ndarray:
    """Moves a share of the young light into star-forming knots that are drawn from the light itself."""
    if clumpiness <= 0:
        return young
    number = int(rng.integers(15, 120))
    cumulative = np.cumsum(young.ravel(), dtype=np.float64)
    cells = np.searchsorted(cumulative, rng.random(number) * cumulative[-1]).clip(0, young.size - 1)
    weights = rng.pareto(1.7, number) + 0.2
    knots = np.bincount(cells, weights / weights.sum(), minlength=young.size).reshape(young.shape)
    return (1 - clumpiness) * young + np.float32(clumpiness) * knots.astype(np.float32)


def _edge_on(
    galaxy: Galaxy, canvas: _Canvas, bulge: np.ndarray, disk: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A disk from its side, float32 [3, n, n]: exponential along, sech^2 across (van der Kruit & Searle 1981)."""
    u, thickness = canvas.u, np.float32(np.hypot(galaxy.disk_thickness, 0.6 * canvas.pixel))
    bend = np.float32(rng.normal(0, 0.02)) * u * np.abs(u)
    height = canvas.height - bend
    along = np.exp(-RADII_PER_SCALE * np.hypot(u, 0.04)) * _inside(np.abs(u), 1.2, 12)
    along = along * (1 + np.float32(2 * galaxy.lopsidedness) * np.tanh(2 * u))
    shape = _unit(along / np.cosh(np.minimum(np.abs(height / thickness), 30)) ** 2)
    stars = _knots(shape, galaxy.clumpiness, rng)
    power = 2 + 2 * galaxy.bulge_boxiness
    flat = np.float32(0.75 - 0.15 * galaxy.bulge_boxiness)
    size = np.float32(galaxy.bulge_size * (1 + 0.5 * galaxy.bulge_boxiness))
    reach = (np.abs(u / size) ** power + np.abs(height / (size * flat)) ** power) ** np.float32(1 / power)
    spheroid = _unit(np.exp(-2.2 * (reach + 0.02) ** np.float32(0.8)))
    layers = disk[:, None, None] * stars[None] + bulge[:, None, None] * spheroid[None]
    if galaxy.dust_depth > 0:
        lane_height = max(0.35 * float(thickness), 0.5 * canvas.pixel)
        offset = np.float32(rng.normal(0, 0.3) * thickness)
        lane = np.exp(-0.5 * ((height - offset) / lane_height) ** 2) * _inside(np.abs(u), 0.75, 10)
        total = layers.sum(axis=(1, 2), keepdims=True)
        layers = layers * np.exp(-galaxy.dust_depth * DUST_CURVE[:, None, None] * lane[None])
        layers *= total / layers.sum(axis=(1, 2), keepdims=True)  # magnitudes are those that are observed
    return layers.astype(np.float32)


def _tails(galaxy: Galaxy, canvas: _Canvas) -> np.ndarray:
    """One or two tidal tails that open outwards, unit flux."""
    reach = np.hypot(canvas.x, canvas.y)
    turn = np.arctan2(canvas.y, canvas.x) - galaxy.tail_angle_rad - 0.9 * reach
    tail = np.exp(3.5 * (np.cos(turn) - 1)) + 0.5 * galaxy.tail_strength * np.exp(3.5 * (np.cos(turn + np.pi) - 1))
    return _unit(tail * np.exp(-0.5 * ((reach - 0.9) / 0.45) ** 2))


def _arcs(galaxy: Galaxy, canvas: _Canvas) -> np.ndarray:
    """A lensed arc and its counter-image, unit flux."""
    radius = galaxy.arc_radius_arcsec / galaxy.r90_arcsec
    reach = np.hypot(canvas.x, canvas.y)
    width = max(0.06 * radius, 0.6 * canvas.pixel)
    turn = np.arctan2(canvas.y, canvas.x) - 1.7 * galaxy.angle_rad
    along = np.exp(6 * (np.cos(turn) - 1)) + 0.35 * np.exp(14 * (np.cos(turn + np.pi) - 1))
    return _unit(along * np.exp(-0.5 * ((reach - radius) / width) ** 2))
