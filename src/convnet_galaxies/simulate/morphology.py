"""The population of simulated galaxies: what each one is, before anyone looks at it.

Shares, colours and surface brightnesses follow the bright galaxies of SDSS that Galaxy Zoo 2 asked about
(r < 17, Petrosian radius over 3 arcsec; Willett et al. 2013, arXiv:1308.3496); sizes and colours of the two
sequences follow Shen et al. 2003 (arXiv:astro-ph/0301527) and Strateva et al. 2001 (arXiv:astro-ph/0107201).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

KIND_SHARES = {
    "elliptical": 0.3,
    "lenticular": 0.15,
    "spiral": 0.35,
    "edge_on": 0.125,
    "irregular": 0.04,
    "merger": 0.022,
    "star": 0.008,
}
"""Kind of galaxy and its share of the population."""

RADII_PER_SCALE = 2.5
"""Scale lengths of a disk in its Petrosian 90 % radius, fitted to how real disks fill their cutouts."""


@dataclass(frozen=True)
class Galaxy:
    """Everything that is true of one simulated galaxy; lengths are fractions of r90_arcsec unless named otherwise.

    kind: a key of KIND_SHARES. r90_arcsec: radius of 90 % of the light, which sets the scale of the cutout.
    mag_r: total r magnitude (AB). g_r, r_i: mean colours in magnitudes.
    axis_ratio, angle_rad: of the isophotes or the inclined disk; angle counts from +x to +y.
    bulge_fraction, bulge_index, bulge_size: share of light, Sersic index and half-light radius of the bulge
        (of the whole galaxy for an elliptical). bulge_boxiness: 0 elliptic to 1 boxy; disk_thickness for edge_on.
    bar_strength, bar_length, bar_angle_rad: 0 without a bar.
    arm_contrast (0 without arms), arm_number, pitch_rad, arm_width (share of the phase), flocculence (0 to 1),
        arm_start: inner radius. clumpiness: share of young light in HII knots.
    ring_strength, ring_radius. dust_depth: optical depth of lanes in r. lopsidedness: shift of the young disk.
    companion_distance, companion_flux, companion_axis_ratio, companion_angle_rad: a merging partner.
    tail_strength, tail_angle_rad: tidal tails. arc_radius_arcsec, arc_flux: lensed arcs.
    overlap: flux of a foreground star that lies on the galaxy, as a share of its light.
    """

    kind: str
    r90_arcsec: float
    mag_r: float
    g_r: float
    r_i: float
    axis_ratio: float
    angle_rad: float
    bulge_fraction: float = 0.0
    bulge_index: float = 2.0
    bulge_size: float = 0.1
    bulge_boxiness: float = 0.0
    disk_thickness: float = 0.06
    bar_strength: float = 0.0
    bar_length: float = 0.3
    bar_angle_rad: float = 0.0
    arm_contrast: float = 0.0
    arm_number: int = 2
    pitch_rad: float = 0.3
    arm_width: float = 0.3
    arm_start: float = 0.15
    flocculence: float = 0.0
    clumpiness: float = 0.0
    ring_strength: float = 0.0
    ring_radius: float = 0.6
    dust_depth: float = 0.0
    lopsidedness: float = 0.0
    companion_distance: float = 0.0
    companion_flux: float = 0.0
    companion_axis_ratio: float = 0.7
    companion_angle_rad: float = 0.0
    tail_strength: float = 0.0
    tail_angle_rad: float = 0.0
    arc_radius_arcsec: float = 0.0
    arc_flux: float = 0.0
    overlap: float = 0.0


def draw_galaxy(rng: np.random.Generator) -> Galaxy:
    """Draw one galaxy of the population."""
    kind = str(rng.choice(list(KIND_SHARES), p=np.array(list(KIND_SHARES.values())) / sum(KIND_SHARES.values())))
    r90_arcsec = float(np.clip(np.exp(rng.normal(np.log(5.8), 0.5)), 2.8, 40))
    galaxy = DRAW[kind](rng, r90_arcsec, float(rng.uniform(0, np.pi)))
    return _add_oddities(galaxy, rng)


def magnitude_of(r90_arcsec: float, brightness: float, concentration: float) -> float:
    """Return the total magnitude of a galaxy of this mean surface brightness (mag/arcsec^2) within its half-light
    radius.

    concentration: radius of 90 % over radius of 50 % of the light.
    """
    r50_arcsec = r90_arcsec / concentration
    return float(brightness - 2.5 * np.log10(2 * np.pi * r50_arcsec**2))


def _draw_elliptical(rng: np.random.Generator, r90_arcsec: float, angle_rad: float) -> Galaxy:
    g_r = rng.normal(0.86, 0.09)
    ratio = float(np.clip(rng.beta(3.8, 1.1), 0.3, 0.99))
    return Galaxy(
        kind="elliptical",
        r90_arcsec=r90_arcsec,
        mag_r=magnitude_of(r90_arcsec, rng.normal(20.9, 0.42), 1.65),
        g_r=g_r,
        r_i=0.4 * g_r + rng.normal(0.06, 0.03),
        axis_ratio=ratio,
        angle_rad=angle_rad,
        bulge_fraction=1.0,
        bulge_index=float(rng.choice([1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0])),
        bulge_size=float(rng.uniform(0.48, 0.75)),
    )


def _draw_disk(rng: np.random.Generator, r90_arcsec: float, angle_rad: float, kind: str, red: float) -> Galaxy:
    """A disk with a bulge and nothing else; red: 1 for a passive disk, 0 for a young one."""
    g_r = 0.37 + 0.40 * red + rng.normal(0, 0.10)
    cosine = rng.uniform(0.3, 1.0)
    return Galaxy(
        kind=kind,
        r90_arcsec=r90_arcsec,
        mag_r=magnitude_of(r90_arcsec, 21.5 - 0.5 * red + rng.normal(0, 0.45), 1.5),
        g_r=g_r,
        r_i=0.4 * g_r + rng.normal(0.04, 0.03),
        axis_ratio=float(np.sqrt(cosine**2 + 0.03)) / np.sqrt(1.03),
        angle_rad=angle_rad,
        bulge_fraction=float(np.clip(rng.beta(1.4, 6) + 0.22 * red * rng.random(), 0, 0.7)),
        bulge_index=float(rng.choice([1.0, 1.5, 2.0, 3.0])),
        bulge_size=float(np.clip(rng.normal(0.13, 0.04), 0.05, 0.28)),
    )


def _draw_lenticular(rng: np.random.Generator, r90_arcsec: float, angle_rad: float) -> Galaxy:
    galaxy = _draw_disk(rng, r90_arcsec, angle_rad, "lenticular", red=float(rng.beta(2, 1.4)))
    galaxy = replace(galaxy, clumpiness=0.2 * rng.random() if galaxy.g_r < 0.6 else 0.0)
    if rng.random() < 0.13:
        galaxy = _add_bar(galaxy, rng)
    if rng.random() < 0.14:
        galaxy = _add_ring(galaxy, rng)
    return galaxy


def _draw_spiral(rng: np.random.Generator, r90_arcsec: float, angle_rad: float) -> Galaxy:
    galaxy = _draw_disk(rng, r90_arcsec, angle_rad, "spiral", red=float(rng.beta(1.3, 1.8)))
    galaxy = replace(galaxy, r90_arcsec=1.2 * galaxy.r90_arcsec, mag_r=galaxy.mag_r - 0.4)
    number = int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.05, 0.62, 0.15, 0.07, 0.05, 0.06]))
    pitch_deg = float(np.clip(rng.gamma(5, 2.9), 5, 45))
    galaxy = replace(
        galaxy,
        arm_contrast=float(rng.beta(2.2, 1.6)),
        arm_number=number,
        pitch_rad=np.deg2rad(pitch_deg),
        arm_width=float(rng.uniform(0.14, 0.36)),
        arm_start=float(rng.uniform(0.12, 0.28)),
        flocculence=float(0.1 + 0.9 * rng.beta(1.2, 1.6)),
        clumpiness=float(np.clip(rng.beta(1.5, 4) * (1.3 - galaxy.g_r), 0, 1)),
        dust_depth=float(0.5 * rng.beta(1.2, 2)),
        lopsidedness=float(abs(rng.normal(0, 0.05))),
    )
    if rng.random() < 0.42:
        galaxy = _add_bar(galaxy, rng)
    if rng.random() < 0.14:
        galaxy = _add_ring(galaxy, rng)
    return galaxy


def _draw_edge_on(rng: np.random.Generator, r90_arcsec: float, angle_rad: float) -> Galaxy:
    red = float(rng.beta(1.6, 1.2))
    galaxy = _draw_disk(rng, r90_arcsec, angle_rad, "edge_on", red)
    bulge = float(rng.choice([0.0, rng.uniform(0.03, 0.15), rng.uniform(0.15, 0.5)], p=[0.3, 0.35, 0.35]))
    return replace(
        galaxy,
        r90_arcsec=r90_arcsec * 1.25,
        mag_r=galaxy.mag_r + 0.45,
        g_r=galaxy.g_r + 0.12,
        axis_ratio=float(rng.uniform(0.05, 0.2)),
        bulge_fraction=bulge,
        bulge_size=float(rng.uniform(0.1, 0.24)),
        bulge_boxiness=float(rng.random() < 0.2) * float(rng.uniform(0.4, 1)),
        disk_thickness=float(rng.uniform(0.035, 0.085)),
        dust_depth=float(rng.random() < 0.35) * float(rng.uniform(0.3, 2.0)),
        clumpiness=0.25 * rng.random() * (1 - red),
        lopsidedness=float(abs(rng.normal(0, 0.05))),
    )


def _draw_irregular(rng: np.random.Generator, r90_arcsec: float, angle_rad: float) -> Galaxy:
    galaxy = _draw_disk(rng, r90_arcsec, angle_rad, "irregular", red=0.25 * rng.random())
    return replace(
        galaxy,
        mag_r=galaxy.mag_r + rng.uniform(-0.3, 0.9),
        g_r=galaxy.g_r - 0.08,
        bulge_fraction=0.06 * rng.random(),
        clumpiness=float(rng.uniform(0.4, 0.9)),
        lopsidedness=float(rng.uniform(0.1, 0.35)),
    )


def _draw_merger(rng: np.random.Generator, r90_arcsec: float, angle_rad: float) -> Galaxy:
    parent = ("elliptical", "lenticular", "spiral")[rng.integers(3)]
    galaxy = DRAW[parent](rng, r90_arcsec, angle_rad)
    tails = float(rng.random() < 0.5) * float(rng.uniform(0.3, 1))
    return replace(_add_companion(galaxy, rng), kind="merger", tail_strength=tails, tail_angle_rad=rng.uniform(0, 6.28))


def _draw_star(rng: np.random.Generator, r90_arcsec: float, angle_rad: float) -> Galaxy:
    g_r = rng.uniform(0.3, 1.4)
    return Galaxy(
        kind="star",
        r90_arcsec=float(rng.uniform(2.8, 5)),
        mag_r=float(rng.uniform(13.5, 17)),
        g_r=g_r,
        r_i=0.45 * g_r,
        axis_ratio=1.0,
        angle_rad=angle_rad,
    )


DRAW = {
    "elliptical": _draw_elliptical,
    "lenticular": _draw_lenticular,
    "spiral": _draw_spiral,
    "edge_on": _draw_edge_on,
    "irregular": _draw_irregular,
    "merger": _draw_merger,
    "star": _draw_star,
}


def _add_bar(galaxy: Galaxy, rng: np.random.Generator) -> Galaxy:
    length = float(rng.uniform(0.25, 0.6))
    return replace(
        galaxy,
        bar_strength=float(rng.beta(2, 1.5)),
        bar_length=length,
        bar_angle_rad=float(rng.uniform(0, np.pi)),
        arm_start=max(galaxy.arm_start, 0.9 * length),
    )


def _add_ring(galaxy: Galaxy, rng: np.random.Generator) -> Galaxy:
    return replace(galaxy, ring_strength=float(rng.beta(2, 1.5)), ring_radius=float(rng.uniform(0.4, 0.85)))


def _add_companion(galaxy: Galaxy, rng: np.random.Generator) -> Galaxy:
    return replace(
        galaxy,
        companion_distance=float(rng.uniform(0.25, 1.3)),
        companion_flux=float(np.exp(rng.uniform(np.log(0.12), 0))),
        companion_axis_ratio=float(rng.uniform(0.45, 1)),
        companion_angle_rad=float(rng.uniform(0, 2 * np.pi)),
    )


def _add_oddities(galaxy: Galaxy, rng: np.random.Generator) -> Galaxy:
    """Return the rare things that may happen to a galaxy of any kind."""
    chance = rng.random(4)
    if galaxy.kind in ("spiral", "lenticular", "irregular", "elliptical") and chance[0] < 0.03:
        galaxy = replace(galaxy, tail_strength=rng.uniform(0.2, 0.8), tail_angle_rad=rng.uniform(0, 2 * np.pi))
    if galaxy.kind in ("elliptical", "lenticular") and chance[1] < 0.02:
        galaxy = replace(galaxy, arc_radius_arcsec=rng.uniform(1.5, 5), arc_flux=rng.uniform(0.02, 0.1))
    if galaxy.kind != "star" and chance[2] < 0.05:
        galaxy = replace(galaxy, overlap=float(np.exp(rng.uniform(np.log(0.03), np.log(0.8)))))
    if galaxy.kind not in ("star", "merger") and chance[3] < 0.02:
        galaxy = _add_companion(galaxy, rng)
    return galaxy
