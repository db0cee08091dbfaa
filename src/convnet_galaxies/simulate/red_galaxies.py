"""Red, extended galaxies in an image: the places where a lens would be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from convnet_galaxies.simulate.camera import PIXEL_SCALE_ARCSEC, SEEING_FWHM_ARCSEC, to_mag
from convnet_galaxies.simulate.lens_population import einstein_radius_of
from convnet_galaxies.simulate.sky_population import RED_G_R, REDSHIFTS, SkyObject

DETECTION_SIGMA = 6.0
SMOOTHING_PX = 1.5
REDDEST_SEQUENCE = 6  # REDSHIFTS up to 0.6, beyond which g - r turns round
BLUEST_G_R = 1.0
BLUEST_R_I = 0.3
R_MAG_RANGE = (17.0, 23.0)
APERTURE_PX = 7
# Variance of the light relative to a star's; cores that were cut look wider than they are.
EXTENDED, EXTENDED_WHEN_CUT = 1.3, 1.9
GROUP_ARCSEC, GROUP_COLOUR_MAG = 25.0, 0.25
DETECTION_MARGIN_PX = 16


def find_red_galaxies(
    gri: np.ndarray,
    sky_sigma_counts: np.ndarray,
    *,
    cut_bands: np.ndarray | None = None,
    margin_px: int = DETECTION_MARGIN_PX,
) -> list[SkyObject]:
    """Find red, extended objects of float32 [3, h, w] counts (g, r, i), strongest possible lens first.

    sky_sigma_counts: float [3]. Redshifts are read off the red sequence; galaxies of one colour within 25 arcsec share
    a group number. cut_bands: int [h, w], in how many bands a pixel is saturated; where all are, there is no telling a
    galaxy from a star. Objects closer than margin_px to the edge are left out.
    """
    red_light = (gri[1] / sky_sigma_counts[1] + gri[2] / sky_sigma_counts[2]) / np.sqrt(2)
    smooth = ndimage.gaussian_filter(red_light, SMOOTHING_PX)
    noise = 1 / (2 * np.sqrt(np.pi) * SMOOTHING_PX)
    peaks = (smooth == ndimage.maximum_filter(smooth, 9)) & (smooth > DETECTION_SIGMA * noise)
    cut = np.zeros(smooth.shape, int) if cut_bands is None else ndimage.maximum_filter(cut_bands, 5)
    peaks &= cut < 3
    h, w = smooth.shape
    found = []
    for row, column in zip(*np.nonzero(peaks), strict=True):
        if margin_px <= row < h - margin_px and margin_px <= column < w - margin_px:
            galaxy = _measure(gri, int(column), int(row), EXTENDED_WHEN_CUT if cut[row, column] > 1 else EXTENDED)
            if galaxy is not None:
                found.append(galaxy)
    return _grouped(sorted(found, key=lambda o: -o.einstein_radius_arcsec))


def _measure(gri: np.ndarray, column: int, row: int, extended: float) -> SkyObject | None:
    """Return the object round a peak, or None when it is not red, not extended, or not of the right brightness."""
    half = 2 * APERTURE_PX
    stamp = gri[:, row - half : row + half + 1, column - half : column + half + 1]
    if stamp.shape[1:] != (2 * half + 1, 2 * half + 1):
        return None
    axis = np.arange(-half, half + 1)
    near = np.hypot(axis[None], axis[:, None]) <= APERTURE_PX
    flux = (stamp * near).sum(axis=(1, 2))
    if (flux <= 0).any():
        return None
    g, r, i = to_mag(flux)
    if not (R_MAG_RANGE[0] < r < R_MAG_RANGE[1] and g - r > BLUEST_G_R and r - i > BLUEST_R_I):
        return None
    weight = np.where(near, np.maximum(stamp[1] + stamp[2], 0), 0) * np.exp(
        -0.5 * (axis[None] ** 2 + axis[:, None] ** 2) / 16
    )
    x, y = (weight * axis[None]).sum() / weight.sum(), (weight * axis[:, None]).sum() / weight.sum()
    xx = (weight * (axis[None] - x) ** 2).sum() / weight.sum()
    yy = (weight * (axis[:, None] - y) ** 2).sum() / weight.sum()
    xy = (weight * (axis[None] - x) * (axis[:, None] - y)).sum() / weight.sum()
    spread = np.hypot((xx - yy) / 2, xy)
    long, short = (xx + yy) / 2 + spread, max((xx + yy) / 2 - spread, 0.05)
    seeing_px = SEEING_FWHM_ARCSEC[1] / PIXEL_SCALE_ARCSEC / 2.355
    # The weighting by a Gaussian of 4 px narrows what is measured: 1 / v = 1 / v_true + 1 / 16.
    long, short, star = (1 / max(1 / v - 1 / 16, 0.01) for v in (long, short, 1 / (1 / seeing_px**2 + 1 / 16)))
    if np.sqrt(long * short) < extended * star:
        return None
    axis_ratio = float(np.clip(np.sqrt(max(short - star, 0.2) / max(long - star, 0.2)), 0.3, 0.98))
    redshift = float(np.interp(g - r, RED_G_R[: REDDEST_SEQUENCE + 1], REDSHIFTS[: REDDEST_SEQUENCE + 1]))
    if redshift > 0.5:  # g - r is flat there, and r - i tells
        redshift = float(np.clip(0.5 + (r - i - 0.74) / 1.9, 0.45, 0.9))
    angle = float(0.5 * np.arctan2(2 * xy, xx - yy) % np.pi)
    return SkyObject(
        float(column + x),
        float(row + y),
        float(r),
        float(g - r),
        float(r - i),
        "elliptical",
        redshift,
        float(np.sqrt(max(long - star, 0.2)) * 1.18),
        axis_ratio,
        angle,
        einstein_radius_of(float(r), redshift),
    )


def _grouped(galaxies: list[SkyObject]) -> list[SkyObject]:
    """Return the same galaxies with group numbers: each not yet taken gathers those of its colour around it."""
    group = [-1] * len(galaxies)
    for first, centre in enumerate(galaxies):
        if group[first] >= 0:
            continue
        for other, galaxy in enumerate(galaxies):
            distance = np.hypot(galaxy.x_px - centre.x_px, galaxy.y_px - centre.y_px) * PIXEL_SCALE_ARCSEC
            if group[other] < 0 and distance < GROUP_ARCSEC and abs(galaxy.g_r - centre.g_r) < GROUP_COLOUR_MAG:
                group[other] = first
    return [replace(galaxy, group=number) for galaxy, number in zip(galaxies, group, strict=True)]
