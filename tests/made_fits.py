"""FITS files made by hand, in memory, of the layouts that surveys' pipelines write."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits

from convnet_galaxies.data.fits_image import read_fits
from convnet_galaxies.data.linear_image import LinearImage

Cards = Mapping[str, object]


def sky(seed: int = 0, side: int | tuple[int, int] = 40, *, level: float = 10.0) -> np.ndarray:
    """float32 [h, w] of noise 1 about a level, with a galaxy that is not in the middle."""
    h, w = (side, side) if isinstance(side, int) else side
    y, x = np.mgrid[:h, :w]
    galaxy = 60 * np.exp(-np.hypot(y - 0.6 * h, x - 0.4 * w) / 3)
    return (level + galaxy + np.random.default_rng(seed).normal(0, 1, (h, w))).astype(np.float32)


def tan_wcs(scale_arcsec: float = 0.2, *, ra_deg: float = 30.0, crpix: float = 20.5) -> dict[str, object]:
    """Cards of a plain tangent projection, north up."""
    degrees = scale_arcsec / 3600
    cards: dict[str, object] = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra_deg, "CRVAL2": -9.0}
    return {**cards, "CRPIX1": crpix, "CRPIX2": crpix, "CD1_1": -degrees, "CD2_2": degrees}


def image(
    data: np.ndarray | None, cards: Cards | None = None, name: str | None = None, version: int | None = None
) -> fits.ImageHDU:
    hdu = fits.ImageHDU(data, name=name) if version is None else fits.ImageHDU(data, name=name, ver=version)
    hdu.header.update(dict(cards or {}))
    return hdu


def to_bytes(*hdus: fits.ImageHDU | np.ndarray, primary: Cards | None = None) -> bytes:
    """A file of extensions behind a header with these cards; one array alone is the primary image."""
    if len(hdus) == 1 and isinstance(hdus[0], np.ndarray):
        first, rest = fits.PrimaryHDU(hdus[0]), ()
    else:
        first, rest = fits.PrimaryHDU(), tuple(image(hdu) if isinstance(hdu, np.ndarray) else hdu for hdu in hdus)
    first.header.update(dict(primary or {}))
    out = io.BytesIO()
    fits.HDUList([first, *rest]).writeto(out)
    return out.getvalue()


def save(path: Path, *hdus: fits.ImageHDU | np.ndarray, primary: Cards | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_bytes(*hdus, primary=primary))
    return path


def read(*hdus: fits.ImageHDU | np.ndarray, primary: Cards | None = None, **options) -> LinearImage:
    return read_fits(to_bytes(*hdus, primary=primary), "x.fits", **options)


def bands(found: LinearImage) -> str:
    return " ".join(plane.band.name if plane.band else "?" for plane in found.planes)


def labels(found: LinearImage) -> list[str]:
    return [plane.label for plane in found.planes]
