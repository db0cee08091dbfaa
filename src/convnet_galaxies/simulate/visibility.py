"""Visibility of galaxy structures in a cutout: contrast after the PSF, against the noise.

A pattern of wavelength L under a Gaussian PSF of width sigma keeps exp(-2 (pi sigma / L)^2) of its contrast; what is
left is noticed when it stands out from the noise. The scales of noticing are fitted to what volunteers said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.simulate.morphology import RADII_PER_SCALE, Galaxy
from convnet_galaxies.simulate.sdss import Observation

NOTICED_CONTRAST = 0.09
"""Contrast that half of the volunteers notice when the signal to noise is ample."""
AMPLE_SNR = 25.0
"""Signal to noise of a PSF area at which noise hides half of a structure."""
DISKS = ("spiral", "lenticular", "irregular", "edge_on", "merger")


@dataclass(frozen=True)
class Visibility:
    """Visibility of each structure, 0 to 1, and the apparent shape.

    surface_snr: signal to noise of one PSF area at 0.45 r90. apparent_ratio: axis ratio after the PSF.
    apparent_bulge: share of the light in a distinct bulge, as it looks.
    """

    surface_snr: float
    apparent_ratio: float
    apparent_bulge: float
    disk: float
    edge: float
    bar: float
    arms: float
    ring: float
    knots: float
    dust: float
    companion: float
    tails: float
    arcs: float


def measure_visibility(galaxy: Galaxy, observation: Observation) -> Visibility:
    """Compute the visibility of a galaxy under these conditions."""
    sigma = float(observation.psf_fwhm_arcsec[1]) / 2.355 / galaxy.r90_arcsec  # in r90, as all lengths of the galaxy
    snr = surface_signal_to_noise(galaxy, observation)
    ratio = float(np.sqrt((galaxy.axis_ratio**2 * 0.16 + sigma**2) / (0.16 + sigma**2)))
    has_disk = galaxy.kind in DISKS and galaxy.bulge_fraction < 1
    knots = galaxy.clumpiness * (1.0 if galaxy.kind == "irregular" else 0.45)
    return Visibility(
        surface_snr=snr,
        apparent_ratio=ratio,
        apparent_bulge=galaxy.bulge_fraction * (1 if has_disk else 0.6),
        disk=has_disk * float(np.clip(1.25 - galaxy.bulge_fraction, 0, 1)) * out_of_noise(0.5, snr),
        edge=float(1 / (1 + np.exp((ratio - 0.36) / 0.045))),
        bar=notice(_bar_contrast(galaxy, sigma), snr),
        arms=notice(_arm_contrast(galaxy, sigma), snr),
        ring=notice(galaxy.ring_strength * kept_contrast(0.4 * (0.4 + 0.6 * galaxy.axis_ratio), sigma), snr) * has_disk,
        knots=notice(knots * kept_contrast(0.5, sigma), snr) * has_disk,
        dust=notice(0.45 * galaxy.dust_depth * kept_contrast(3 * galaxy.disk_thickness, sigma), snr)
        * (galaxy.kind == "edge_on"),
        companion=notice(2 * galaxy.companion_flux**0.5 * kept_contrast(2 * galaxy.companion_distance, sigma), snr),
        tails=notice(0.8 * galaxy.tail_strength, 0.35 * snr),
        arcs=notice(12 * galaxy.arc_flux * kept_contrast(4 * galaxy.arc_radius_arcsec / galaxy.r90_arcsec, sigma), snr),
    )


def surface_signal_to_noise(galaxy: Galaxy, observation: Observation) -> float:
    """Return the signal to noise in r of one PSF area at 0.45 r90, where arms are."""
    scale = galaxy.r90_arcsec / RADII_PER_SCALE
    flux = 10 ** (-0.4 * (galaxy.mag_r - 22.5))
    brightness = flux / (2 * np.pi * scale**2 * max(galaxy.axis_ratio, 0.1)) * np.exp(-0.45 * RADII_PER_SCALE)
    area = 4 * np.pi * (float(observation.psf_fwhm_arcsec[1]) / 2.355) ** 2
    noise = observation.sky_noise[1] / observation.pixel_arcsec * np.sqrt(area)  # of the sum over a PSF area
    return float(brightness * area / noise)


def kept_contrast(wavelength: float, sigma: float) -> float:
    """Return the share of a pattern's contrast that a Gaussian PSF leaves (both lengths in one unit)."""
    return float(np.exp(-2 * (np.pi * sigma / max(wavelength, 1e-3)) ** 2))


def out_of_noise(contrast: float, snr: float) -> float:
    """Return the share of a contrast that the noise does not hide, 0 to 1."""
    signal = (contrast * snr) ** 2
    return float(signal / (signal + AMPLE_SNR**2))


def notice(contrast: float, snr: float) -> float:
    """Return the probability that a contrast is noticed."""
    effective = contrast * out_of_noise(1.0, snr)
    return float(effective**2 / (effective**2 + NOTICED_CONTRAST**2))


def _arm_contrast(galaxy: Galaxy, sigma: float) -> float:
    """At the arms' outer part, where they lie 2 pi R sin(pitch) / m apart; inclination shortens that on one axis."""
    apart = 2 * np.pi * 1.2 * np.sin(galaxy.pitch_rad) / galaxy.arm_number * (0.35 + 0.65 * galaxy.axis_ratio)
    contrast = 1.15 * galaxy.arm_contrast * (1 - 0.45 * galaxy.flocculence) * (1 - 0.9 * galaxy.bulge_fraction)
    return contrast * kept_contrast(apart, sigma)


def _bar_contrast(galaxy: Galaxy, sigma: float) -> float:
    across = 1.2 * galaxy.bar_length * (0.5 + 0.5 * galaxy.axis_ratio)
    return 1.1 * galaxy.bar_strength * kept_contrast(across, sigma) * (0.3 + 0.7 * galaxy.axis_ratio)
