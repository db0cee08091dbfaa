"""Lenses as Space Warps painted them: which galaxies lens, how strongly, and what stands behind (More et al. 2016)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from convnet_galaxies.errors import UsageError
from convnet_galaxies.simulate.camera import PIXEL_SCALE_ARCSEC
from convnet_galaxies.simulate.distances import comoving_distance_mpc
from convnet_galaxies.simulate.lens import (
    LENS_FLAVORS,
    DarkHalo,
    Isothermal,
    LensSystem,
    deflect,
    trace,
    with_images,
)
from convnet_galaxies.simulate.lens_source import LensedSource, draw_quasar, draw_source

GALAXY_RADIUS_ARCSEC = (1.2, 5.0)
GROUP_RADIUS_ARCSEC = (2.0, 9.0)
FAINTEST_SECOND_IMAGE_MAG = 23.0
MOST_MEMBERS = 10


@dataclass(frozen=True)
class Host:
    """A red galaxy that may lens, at (x_px, y_px) of its field; angle_rad from x towards y."""

    x_px: float
    y_px: float
    r_mag: float
    redshift: float
    axis_ratio: float = 0.8
    angle_rad: float = 0.0


def einstein_radius_of(r_mag: float, redshift: float, source_redshift: float = 2.0) -> float:
    """Return Einstein radius in arcsec of an elliptical; see einstein_radii_of."""
    return float(einstein_radii_of(np.array(r_mag), np.array(redshift), source_redshift))


def einstein_radii_of(r_mag: np.ndarray, redshift: np.ndarray, source_redshift: float = 2.0) -> np.ndarray:
    """Return Einstein radii in arcsec of ellipticals (float arrays of one shape), by the Faber-Jackson relation.

    sigma = 225 km/s (L / L*)^(1/4) with M*_r = -22.0 - 1.2 z, and theta = 4 pi (sigma / c)^2 D_ls / D_s.
    """
    comoving_mpc = comoving_distance_mpc(redshift)
    k_correction = 0.85 * redshift + 1.5 * redshift**2
    absolute = r_mag - 5 * np.log10(np.maximum(comoving_mpc * (1 + redshift), 1) * 1e5) - k_correction
    luminosity = 10 ** (-0.4 * (absolute + 22.0 + 1.2 * redshift))
    sigma_km_s = 225 * luminosity**0.25
    distance_ratio = 1 - comoving_mpc / comoving_distance_mpc(source_redshift)
    return 28.8 * (sigma_km_s / 1000) ** 2 * np.maximum(distance_ratio, 0.0)


def draw_host(rng: np.random.Generator) -> Host:
    """Draw a lens galaxy for a cutout without a field: luminous, red, z 0.2 to 0.9."""
    redshift = float(np.clip(rng.normal(0.5, 0.15), 0.2, 0.9))
    r_mag = float(np.clip(17.2 + 5.2 * redshift + rng.normal(0, 0.4), 17, 22.5))
    return Host(0.0, 0.0, r_mag, redshift, float(rng.uniform(0.55, 0.97)), float(rng.uniform(0, math.pi)))


def draw_lens(
    rng: np.random.Generator, flavor: str, *, host: Host | None = None, members: tuple[Host, ...] = ()
) -> LensSystem:
    """Draw a lens of the flavor ("lensed galaxy", "lensed quasar", "lensing cluster") round a host, or round any.

    members: galaxies of the same group, for a cluster. Einstein radii are 1.2 to 5 arcsec (galaxies) and 2 to 9
    (groups); the second-brightest image of the source's centre is brighter than 23 mag in r.
    Raises UsageError for another flavor.
    """
    if flavor not in LENS_FLAVORS:
        raise UsageError(f"flavor: found {flavor!r}, expected one of {', '.join(LENS_FLAVORS)}", "choose one of them")
    host = host or draw_host(rng)
    while True:
        source = draw_quasar(rng) if flavor == "lensed quasar" else draw_source(rng)
        mass = _draw_group if flavor == "lensing cluster" else _draw_galaxy
        system = mass(rng, flavor, host, members, source)
        placed = _place_source(rng, system)
        if placed is not None:
            return placed


def _draw_galaxy(
    rng: np.random.Generator, flavor: str, host: Host, members: tuple[Host, ...], source: LensedSource
) -> LensSystem:
    low, high = GALAXY_RADIUS_ARCSEC
    expected = einstein_radius_of(host.r_mag, host.redshift, source.redshift) * math.exp(0.15 * rng.normal())
    radius = float(np.clip(max(expected, low + rng.exponential(0.45)), low, high))
    return _system(flavor, host, source, radius, (_isothermal(rng, host, host, radius),), None, rng)


def _draw_group(
    rng: np.random.Generator, flavor: str, host: Host, members: tuple[Host, ...], source: LensedSource
) -> LensSystem:
    low, high = GROUP_RADIUS_ARCSEC
    radius = float(low + min(rng.gamma(2.0, 1.0), high - low))
    central = float(np.clip(einstein_radius_of(host.r_mag, host.redshift, source.redshift), 0.5, 0.6 * radius))
    galaxies = [_isothermal(rng, host, host, central)]
    for member in sorted(members, key=lambda m: math.hypot(m.x_px - host.x_px, m.y_px - host.y_px))[:MOST_MEMBERS]:
        strength = min(einstein_radius_of(member.r_mag, host.redshift, source.redshift), 0.5 * central)
        galaxies.append(_isothermal(rng, host, member, strength))
    halo = _halo_for(radius, central, host.redshift, source, rng)
    return _system(flavor, host, source, radius, tuple(galaxies), halo, rng)


def _halo_for(
    radius: float, central: float, redshift: float, source: LensedSource, rng: np.random.Generator
) -> DarkHalo:
    """Return the halo whose deflection and the central galaxy's add up to the Einstein radius at the Einstein
    radius."""
    scatter = math.exp(0.2 * rng.normal())
    low, high = 11.0, 16.5
    for _ in range(24):
        middle = (low + high) / 2
        # Concentration and its mass dependence: Duffy et al. (2008, MNRAS 390, L64), raised as for lenses.
        halo = DarkHalo(0.0, 0.0, 10**middle, scatter * 8.0 * (10**middle / 1e14) ** -0.09)
        bare = LensSystem("", (Isothermal(0, 0, 0.0, 0.99, 0),), halo, (0, 0), source, (), 1, radius, redshift, 0)
        deflection = float(deflect(bare, np.array([radius]), np.array([0.0]))[0][0])
        low, high = (middle, high) if deflection + central < radius else (low, middle)
    return halo


def _isothermal(rng: np.random.Generator, host: Host, galaxy: Host, radius: float) -> Isothermal:
    # Mass is rounder than light, and nearly aligned with it.
    axis_ratio = float(np.clip(1 - 0.8 * (1 - galaxy.axis_ratio) + rng.normal(0, 0.04), 0.45, 0.98))
    dx, dy = ((galaxy.x_px - host.x_px) * PIXEL_SCALE_ARCSEC, (galaxy.y_px - host.y_px) * PIXEL_SCALE_ARCSEC)
    return Isothermal(dx, dy, float(radius), axis_ratio, float(galaxy.angle_rad + rng.normal(0, 0.15)))


def _system(
    flavor: str,
    host: Host,
    source: LensedSource,
    radius: float,
    galaxies: tuple[Isothermal, ...],
    halo: DarkHalo | None,
    rng: np.random.Generator,
) -> LensSystem:
    strength, angle = rng.rayleigh(0.035), rng.uniform(0, math.pi)
    shear = (float(strength * math.cos(2 * angle)), float(strength * math.sin(2 * angle)))
    return LensSystem(flavor, galaxies, halo, shear, source, (), 0.0, radius, host.redshift, host.r_mag)


def _place_source(rng: np.random.Generator, system: LensSystem) -> LensSystem | None:
    """Put the source where it is seen more than once; None when the tries run out.

    Positions are uniform in the source plane, kept with a chance that grows with the magnification (the bias of any
    sample limited in brightness), and the source gets the brightness that its second image needs.
    """
    size = 72
    half = 2.2 * system.einstein_radius_arcsec
    _, bx, by = trace(system, half, size)
    near = np.hypot(bx, by)
    # The grid's cells near a source position count its images, each with its magnification.
    cell = (2 * half / size) ** 2
    tries = 40
    limit = 0.75 * system.einstein_radius_arcsec
    distance = limit * np.sqrt(rng.random(tries))
    turn = rng.uniform(0, 2 * math.pi, tries)
    points = np.stack([distance * np.cos(turn), distance * np.sin(turn)], axis=1)
    bx, by = bx[near < limit + 0.3], by[near < limit + 0.3]
    aperture = 0.12 * system.einstein_radius_arcsec
    inside = (bx[None] - points[:, :1]) ** 2 + (by[None] - points[:, 1:]) ** 2 < aperture**2
    gain = inside.sum(axis=1) * cell / (math.pi * aperture**2)
    order = np.argsort(rng.random(tries) / np.maximum(gain, 1e-3))
    for choice in order[:6]:
        moved = with_images(replace(system, source=system.source.moved(*map(float, points[choice]))))
        if len(moved.images) < 2:
            continue
        second = abs(moved.images[1][2])
        brightest = 18.7 if system.flavor == "lensed quasar" else 20.3
        slope = 0.8 if system.flavor == "lensed quasar" else 0.55
        mag = max(FAINTEST_SECOND_IMAGE_MAG - 0.02 - rng.exponential(slope), brightest)
        moved = replace(moved, source=moved.source.brightened(float(mag + 2.5 * math.log10(second))))
        return moved if system.source.point_counts is not None else replace(moved, magnification=_extended(moved))
    return None


def _extended(system: LensSystem) -> float:
    """Magnification of the extended light: flux with the lens over flux without."""
    half = 2.6 * system.einstein_radius_arcsec + 2.5
    size = 192
    _, bx, by = trace(system, half, size)
    lensed = system.source.surface_brightness(bx, by)[1].sum() * (2 * half / size) ** 2
    return float(lensed / sum(blob.counts[1] for blob in system.source.blobs))
