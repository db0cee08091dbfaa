"""Determine zero points of planes, from headers or from the user, and check that they are plausible."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from convnet_galaxies.data.bands import Band
from convnet_galaxies.data.fits_zeropoint import ZeroPoint
from convnet_galaxies.data.linear_image import Plane
from convnet_galaxies.data.stretch import ZEROPOINT_MAG
from convnet_galaxies.errors import BadImageError

PLAUSIBLE_DECADES = 5.0
"""A zero point is none if it makes the noise of the sky 10 to this power times, or that part of, a count of AB 30."""

_COMPOSITE_NM = (763.0, 622.0, 475.0)
"""Wavelengths of the bands i, r, g of the composite."""


def find_flux_scale(
    planes: Sequence[Plane], noise: np.ndarray, name: str, zeropoint_mag: float | None
) -> tuple[np.ndarray | None, tuple[tuple[str, str], ...]]:
    """Return one unit of each plane in counts of ZEROPOINT_MAG, float [planes]; None if unknown.

    noise: of the sky, in units of the planes, float [planes]. zeropoint_mag: what the user tells, before headers.
    Also returns remarks (kind and text, see InputNotes). A failed calibration leaves numbers such as -99 in headers,
    while 0 is the zero point of images in maggies, so a zero point is judged by the brightness that it gives.
    Raises BadImageError where that of the user cannot be true, or cards contradict each other and the user tells none.
    """
    remarks: dict[tuple[str, str], None] = {}
    magnitudes: list[float] = []
    for plane, sigma in zip(planes, noise, strict=True):
        zeropoint = plane.zeropoint
        if plane.zeropoint_fault and zeropoint_mag is None:
            raise BadImageError(
                f"{name}, {plane.label}: {plane.zeropoint_fault}", "correct the header, or pass --zero-point"
            )
        if zeropoint_mag is not None:
            if zeropoint is not None and abs(zeropoint.mag - zeropoint_mag) > 0.1:
                text = (
                    f"of another zero point by their headers ({zeropoint.source}) than --zero-point {zeropoint_mag:g}"
                )
                remarks["contradicted", text] = None
            zeropoint = ZeroPoint(zeropoint_mag, f"--zero-point {zeropoint_mag:g}")
        if zeropoint is not None and sigma > 0:
            decades = math.log10(sigma) + 0.4 * (ZEROPOINT_MAG - zeropoint.mag)
            if abs(decades) > PLAUSIBLE_DECADES:
                if zeropoint_mag is not None:
                    raise BadImageError(
                        f"{name}: found {zeropoint.source}, which makes the noise of its sky 10^{decades:.0f} times "
                        "that of a survey",
                        "correct --zero-point, or leave it out",
                    )
                text = f"with {zeropoint.source} in their headers, which suits no survey and was passed over"
                remarks["implausible", text] = None
                zeropoint = None
        if zeropoint is not None:
            magnitudes.append(zeropoint.mag)
    if len(magnitudes) < len(planes):
        return None, tuple(remarks)
    return 10 ** (0.4 * (ZEROPOINT_MAG - np.array(magnitudes))), tuple(remarks)


def nearest_band(band: Band | None) -> int:
    """Return the band of the composite (0, 1, 2 for i, r, g) nearest to a single band; r if it is unknown."""
    return 1 if band is None else int(np.argmin([abs(band.wavelength_nm - nm) for nm in _COMPOSITE_NM]))
