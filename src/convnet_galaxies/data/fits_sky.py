"""Read the pixel scale of a FITS image, and compare the sky positions of two planes."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import numpy as np

from convnet_galaxies.data.fits_cards import Cards, number_of
from convnet_galaxies.data.quiet import quiet_warnings

_WCS_CARDS = tuple(
    [f"{stem}{axis}" for stem in ("CTYPE", "CUNIT", "CDELT", "CROTA") for axis in (1, 2)]
    + [f"{stem}{i}_{j}" for stem in ("CD", "PC") for i in (1, 2) for j in (1, 2)]
    + [f"PC00{i}00{j}" for i in (1, 2) for j in (1, 2)]
)
_DISTORTED = re.compile(r"(?<=-)(TAN-SIP|TPV|ZPN|TNX|ZPX)$")
"""Projections that differ from a tangent one by parameters, which are left out: less than a pixel within a stamp."""
_PLACE_CARDS = ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2")
_SCALE_CARDS = ("PIXSCALE", "PIXSCAL1", "SECPIX", "SECPIX1", "PSCALE")
"""Cards with arcsec per pixel, for headers without a world coordinate system."""


def read_pixel_scale(header: Cards) -> float | None:
    """Read arcsec per pixel, from the world coordinate system in any notation (CD; PC or CROTA2 with CDELT), or from a
    card.

    The geometric mean of both axes; None where neither is there.
    """
    scale = _scale_of(tuple((key, header[key]) for key in _WCS_CARDS if key in header))
    if scale is not None:
        return scale
    return next(
        (value for key in _SCALE_CARDS if (value := number_of(header, key, or_text=True)) and 0 < value < 60), None
    )


@lru_cache(maxsize=256)
def _scale_of(cards: tuple[tuple[str, str | float], ...]) -> float | None:
    """Stamps of one survey share these cards, so that the coordinate system is made once."""
    from astropy.io.fits import Header
    from astropy.wcs.utils import proj_plane_pixel_scales

    wcs = make_wcs(Header(dict(cards)))
    if wcs is None:
        return None
    degrees = proj_plane_pixel_scales(wcs)
    arcsec = 3600 * float(np.sqrt(degrees[0] * degrees[1]))
    return arcsec if math.isfinite(arcsec) and 0 < arcsec < 3600 else None


def make_wcs(header: Cards):  # type: ignore[no-untyped-def]
    """The celestial part of a header's world coordinate system as astropy.wcs.WCS, or None without one."""
    from astropy.io.fits import Header
    from astropy.wcs import WCS, WcsError

    if "CTYPE1" not in header or not ({"CD1_1", "CDELT1", "PC1_1", "CD1_2"} & set(header)):
        return None
    cards = {key: header[key] for key in (*_WCS_CARDS, *_PLACE_CARDS) if key in header}
    if any(isinstance(value, str) and key[:5] not in ("CTYPE", "CUNIT") for key, value in cards.items()):
        return None  # astropy takes a text for no card
    for key in ("CTYPE1", "CTYPE2"):
        if key in cards:
            cards[key] = re.sub(_DISTORTED, "TAN", str(cards[key]).strip())
    with quiet_warnings():
        try:
            wcs = WCS(Header(cards)).celestial
        except (WcsError, ValueError, KeyError, TypeError, MemoryError, AttributeError):
            return None
    return wcs if wcs.naxis == 2 else None


def read_wcs(header: Any, opened: Any) -> Any:
    """Read the celestial part of a header's world coordinate system with its distortions; None without one.

    header: astropy's. opened: the HDUs of the file, in which tables of distortions may stand.
    """
    from astropy.io.fits import HDUList
    from astropy.wcs import WCS

    if make_wcs(Cards(header)) is None:
        return None
    with quiet_warnings():
        try:
            wcs = WCS(header, HDUList(list(opened)) if any("D2IM" in key or "CPDIS" in key for key in header) else None)
        except Exception:  # distortions that are damaged raise errors of many kinds
            return make_wcs(Cards(header))
        wcs = wcs.celestial if wcs.naxis > 2 else wcs
        wcs.wcs.set()
        return wcs


def same_sky(first: Cards, second: Cards, shape: tuple[int, int]) -> bool:
    """Return whether the corners of two planes [h, w] lie at the same positions, as far as both headers tell them."""
    keys = (*_WCS_CARDS, *_PLACE_CARDS)
    if all(first.get(key) == second.get(key) for key in keys):
        return True
    ours, theirs = make_wcs(first), make_wcs(second)
    if ours is None or theirs is None:
        return True
    h, w = shape
    x, y = np.array([0, w - 1, 0, w - 1]), np.array([0, 0, h - 1, h - 1])
    try:
        back_x, back_y = theirs.world_to_pixel(ours.pixel_to_world(x, y))
    except Exception:
        return False
    return bool((np.hypot(back_x - x, back_y - y) <= 1).all())
