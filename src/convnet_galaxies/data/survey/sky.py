"""Pixels of a tile to positions on the sky and back, by its whole world coordinate system, distortions among it."""

from __future__ import annotations

from typing import Any

import numpy as np

_TOLERANCE_PX = 1e-4


def pixels_to_sky(wcs: Any, x_px: np.ndarray, y_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascension and declination in degrees of ICRS, float [n], of 0-based pixels."""
    first, second = wcs.all_pix2world(x_px, y_px, 0)
    frame = _other_frame(wcs)
    lon, lat = (first, second) if wcs.wcs.lng == 0 else (second, first)
    if frame is None:
        return np.mod(lon, 360.0), lat
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    sky = SkyCoord(lon * u.deg, lat * u.deg, frame=frame).icrs
    return sky.ra.deg, sky.dec.deg


def sky_to_pixels(
    wcs: Any, ra_deg: np.ndarray, dec_deg: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return 0-based pixels x, y, float [n], of positions in degrees of ICRS; NaN for what lies far off the image.

    shape: height and width of the image. Distortions are inverted only near it: they are polynomials, which take
    nonsense for an answer elsewhere.
    """
    frame = _other_frame(wcs)
    lon, lat = ra_deg, dec_deg
    if frame is not None:
        from astropy import units as u
        from astropy.coordinates import SkyCoord

        sky = SkyCoord(ra_deg * u.deg, dec_deg * u.deg, frame="icrs").transform_to(frame)
        lon, lat = sky.spherical.lon.deg, sky.spherical.lat.deg
    world = (lon, lat) if wcs.wcs.lng == 0 else (lat, lon)
    x, y = (np.array(one, float) for one in wcs.wcs_world2pix(*world, 0))
    h, w = shape
    margin = 0.1 * max(shape) + 100
    near = (x > -margin) & (x < w + margin) & (y > -margin) & (y < h + margin)
    x[~near], y[~near] = np.nan, np.nan
    if wcs.has_distortion and near.any():
        exact = wcs.all_world2pix(world[0][near], world[1][near], 0, tolerance=_TOLERANCE_PX, quiet=True)
        x[near], y[near] = exact
    return x, y


def _other_frame(wcs: Any) -> Any:
    """Return the frame of the coordinates where they are no equatorial ones of ICRS; None for these."""
    from astropy.coordinates import ICRS
    from astropy.wcs.utils import wcs_to_celestial_frame

    try:
        frame = wcs_to_celestial_frame(wcs)
    except ValueError:
        return None
    return None if isinstance(frame, ICRS) else frame
