"""Reads images from FITS files of any make: cubes, or an extension a band."""

from __future__ import annotations

import gzip
import io
import math
import threading
import warnings
import zlib
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError

from convnet_galaxies.errors import BadImageError

FITS_ENDINGS = (
    *(plain + packed for packed in (".fz", ".gz", ".bz2", "") for plain in (".fits", ".fit", ".fts")),
    ".fz",
)
"""In lower case, longer ones before those that they end with."""
FITS_FAULTS = (OSError, VerifyError, ValueError, TypeError, KeyError, IndexError, EOFError, zlib.error)
ZEROPOINT_KEYS = ("MZP_AB", "MAGZP", "MAGZERO", "MAGZPT")
"""Header cards that hold the AB magnitude of one count."""

_warnings_lock = threading.Lock()  # the list of warning filters belongs to the process, images are decoded in threads


@dataclass(frozen=True)
class FitsImage:
    """planes: float32 [h, w, bands]. zeropoint_mag: AB magnitude of one count in each band, None where none is told."""

    planes: np.ndarray
    zeropoint_mag: tuple[float | None, ...]


def read_fits(data: bytes, name: str) -> FitsImage:
    """Bytes of a FITS file to the first image, or to all images of its shape as bands.

    A cube [bands, h, w] gives its planes; several image extensions of one shape give a band each. A zero point in the
    first header holds for all bands that have none of their own.
    Raises BadImageError for a broken file, no image, or pixels that are not finite.
    """
    try:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a truncated file warns first and fails then; the error says it all
            with fits.open(io.BytesIO(data), memmap=False) as hdus:
                shared = _zeropoint(hdus[0].header)
                images = [(hdu.data, _zeropoint(hdu.header)) for hdu in hdus if hdu.is_image and hdu.data is not None]
    except FITS_FAULTS as error:
        raise BadImageError(
            f"{name}: cannot be read as FITS ({error})", "fetch the file again, or pass --skip-bad to leave it out"
        ) from None
    planes = [
        (plane, own if own is not None else shared)
        for image, own in images
        if image.ndim in (2, 3)
        for plane in (np.asarray(image) if image.ndim == 3 else np.asarray(image)[None])
    ]
    if not planes:
        raise BadImageError(
            f"{name}: found no image, expected a 2-D image or a [bands, h, w] cube", "check the file's extensions"
        )
    alike = [(plane, zeropoint) for plane, zeropoint in planes if plane.shape == planes[0][0].shape]
    cube = np.stack([plane for plane, _ in alike], axis=-1).astype(np.float32)
    bad = int((~np.isfinite(cube)).sum())
    if bad:
        raise BadImageError(
            f"{name}: found {bad} pixels that are NaN or infinite, expected finite values",
            "fill them before packing (for instance with the sky level), or pass --skip-bad",
        )
    return FitsImage(cube, tuple(zeropoint for _, zeropoint in alike))


def is_fits(data: bytes, name: str) -> bool:
    """Whether the bytes, or the name they go by, are those of a FITS file."""
    return name.lower().endswith(FITS_ENDINGS) or data[:9] == b"SIMPLE  ="


def _zeropoint(header: fits.Header) -> float | None:
    for key in ZEROPOINT_KEYS:
        value = header.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None
