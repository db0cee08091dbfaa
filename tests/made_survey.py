"""A tiny survey: overlapping tiles of one sky, a FITS file per band, with objects at known positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

SCALE_ARCSEC = 0.2
SIDE_PX, STEP_PX = 256, 196


@dataclass(frozen=True)
class MadeSurvey:
    """Folder of tiles ``t00`` to ``t11``, and where its objects are: float64 [n]."""

    folder: Path
    ra_deg: np.ndarray
    dec_deg: np.ndarray


def sky_header(left: float = 0.0, bottom: float = 0.0, *, ra_deg: float = 0.0, dec_deg: float = -30.0) -> fits.Header:
    """Header of a tile of the common projection whose first pixel has these coordinates in it."""
    degrees = SCALE_ARCSEC / 3600
    return fits.Header(
        {
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CRVAL1": ra_deg,
            "CRVAL2": dec_deg,
            "CRPIX1": 230.5 - left,
            "CRPIX2": 230.5 - bottom,
            "CD1_1": -degrees,
            "CD2_2": degrees,
        }
    )


def make_survey(folder: Path, *, n: int = 60, seed: int = 0, dec_deg: float = -30.0) -> MadeSurvey:
    """Write 2 x 2 tiles of 256 px that overlap by 60 px, across RA = 0, in g, r and i."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    width = STEP_PX + SIDE_PX
    sites = np.array([(x, y) for x in np.arange(40.0, width - 40, 46) for y in np.arange(40.0, width - 40, 46)])
    places = sites[rng.permutation(len(sites))[:n]] + rng.uniform(-8, 8, (min(n, len(sites)), 2))
    y, x = np.mgrid[:width, :width]
    light = np.zeros((width, width))
    for (x_0, y_0), flux in zip(places, rng.uniform(60, 200, len(places)), strict=True):
        light += flux * np.exp(-((x - x_0) ** 2 + (y - y_0) ** 2) / (2 * 2.2**2))
    for row in range(2):
        for column in range(2):
            left, bottom = column * STEP_PX, row * STEP_PX
            part = light[bottom : bottom + SIDE_PX, left : left + SIDE_PX]
            for band, zeropoint in {"g": 29.0, "r": 30.0, "i": 30.5}.items():
                header = sky_header(left, bottom, dec_deg=dec_deg)
                header.update({"FILTER": band, "MAGZERO": zeropoint})
                noise = np.random.default_rng([seed, row, column, ord(band)]).normal(10, 1, part.shape)
                fits.PrimaryHDU((part + noise).astype(np.float32), header).writeto(
                    folder / f"t{row}{column}_{band}.fits", overwrite=True
                )
    ra, dec = WCS(sky_header(dec_deg=dec_deg)).all_pix2world(places[:, 0], places[:, 1], 0)
    return MadeSurvey(folder, ra, dec)
