"""Many smooth galaxies at once: Sersic profiles as mixtures of Gaussians (Hogg & Lang 2013, PASP 125, 719).

A mixture has no cusp to sample and sheds no light between the pixels, so hundreds of galaxies cost milliseconds: narrow
Gaussians are drawn on few pixels.
"""

from __future__ import annotations

import mmap
from functools import lru_cache

import numpy as np
from scipy.optimize import nnls

# Every profile is blurred by a Gaussian of this width before it meets the pixels; the camera divides it out again.
SOFTENING_PX = 0.7
STAMP_HALF_PX = (5, 8, 13, 21, 34, 55, 90, 144)
LARGE_HALF_PX = 55
INDICES = (0.5, 1.0, 2.0, 4.0)
REACH_SIGMAS = 5.0  # beyond, a Gaussian has lost all but a hundred-thousandth
_BUFFER_BYTES = 64 << 20
"""More than OpenBLAS takes at its first use (32 MB)."""


@lru_cache(maxsize=16)
def mixture(sersic_index: float) -> tuple[np.ndarray, np.ndarray]:
    """Return shares of light (adding to 1) and variances (in half-light radii squared) of the Gaussians, float64 [k].

    Raises MemoryError where the machine has not enough for OpenBLAS.
    """
    n = sersic_index
    if n == 0.5:
        return np.ones(1), np.array([1 / (2 * np.log(2))])
    _require_buffer()
    radius = np.geomspace(0.02, 8 if n > 1.5 else 4, 240)
    b = 2 * n - 1 / 3 + 4 / (405 * n)
    profile = np.exp(-b * (radius ** (1 / n) - 1))
    variances = np.geomspace(0.004 if n > 1.5 else 0.05, 14 if n > 1.5 else 2.2, 10)
    gaussians = np.exp(-0.5 * radius[:, None] ** 2 / variances) / (2 * np.pi * variances)
    # Weighted so that each ring counts by its light.
    weight = radius * np.sqrt(profile)
    amounts = nnls(gaussians * (weight / profile**0.5)[:, None], profile * weight / profile**0.5)[0]
    keep = amounts > 0.004 * amounts.sum()
    shares = amounts[keep] / amounts[keep].sum()
    return shares, _rescaled(shares, variances[keep])


def _require_buffer() -> None:
    """Raise MemoryError without memory for the buffer of OpenBLAS, which would ask for it again and again for ever."""
    try:
        mmap.mmap(-1, _BUFFER_BYTES).close()
    except OSError as error:
        raise MemoryError(f"{_BUFFER_BYTES >> 20} MB for OpenBLAS") from error


def _rescaled(shares: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Variances such that half of the light lies within radius 1 exactly."""
    low, high = 0.1, 10.0
    for _ in range(50):
        middle = (low * high) ** 0.5
        inside = (shares * (1 - np.exp(-0.5 * middle**2 / variances))).sum()
        low, high = (middle, high) if inside < 0.5 else (low, middle)
    return variances / low**2


def add_profiles(canvas: np.ndarray, places: np.ndarray, shapes: np.ndarray, counts: np.ndarray) -> None:
    """Add n galaxies to a canvas, float32 [3, h, w], in place; light beyond the canvas or their stamps is lost.

    places: [n, 2], x_px and y_px of the centres. shapes: [n, 4], half-light radius along the long axis in px, axis
    ratio, angle in radians from x towards y, Sersic index (of few different values, such as INDICES, since each costs
    a fit; 0.5 with a radius of 0 is a point).
    counts: [n, 3] in g, r, i.
    """
    x_px, y_px = places.T
    radius_px, axis_ratio, angle_rad, sersic_index = shapes.T
    # A stamp ends where the profile is beneath a thousandth of a count, or at its truncation.
    reach = np.where(sersic_index > 1.5, 8.0, 4.0) * radius_px + 3 * SOFTENING_PX
    brightness = counts.max(axis=1) / np.maximum(radius_px, 1) ** 2
    depth = np.clip(np.log10(np.maximum(brightness, 1e-9) / 3e-3), 0.6, 4) / 4
    reach = np.minimum(reach, 3 * SOFTENING_PX + 1 + reach * np.where(sersic_index > 1.5, depth**1.5, depth**0.7))
    farthest = np.maximum(np.maximum(x_px, canvas.shape[2] - x_px), np.maximum(y_px, canvas.shape[1] - y_px))
    reach = np.minimum(reach, np.maximum(farthest, 1))
    size_class = np.minimum(np.searchsorted(STAMP_HALF_PX, reach), len(STAMP_HALF_PX) - 1)
    for index in np.unique(sersic_index):
        for half_class in np.unique(size_class[sersic_index == index]):
            rows = np.flatnonzero((sersic_index == index) & (size_class == half_class))
            half = STAMP_HALF_PX[half_class]
            stamps = _stamps(
                half, x_px[rows], y_px[rows], radius_px[rows], axis_ratio[rows], angle_rad[rows], float(index)
            )
            for row, stamp in zip(rows, stamps, strict=True):
                add_stamp(
                    canvas, stamp * counts[row, :, None, None].astype(np.float32), round(x_px[row]), round(y_px[row])
                )


def _stamps(
    half: int, x: np.ndarray, y: np.ndarray, radius: np.ndarray, axis_ratio: np.ndarray, angle: np.ndarray, index: float
) -> np.ndarray:
    """Unit-flux images, float32 [n, 2 half + 1, 2 half + 1]."""
    axis = np.arange(-half, half + 1)
    dx, dy = axis - (x - np.round(x))[:, None], axis - (y - np.round(y))[:, None]
    cos, sin = np.cos(angle), np.sin(angle)
    out = np.zeros((len(x), len(axis), len(axis)), np.float32)
    for share, variance in zip(*mixture(index), strict=True):
        long, short = variance * radius**2 + SOFTENING_PX**2, variance * (radius * axis_ratio) ** 2 + SOFTENING_PX**2
        reach = min(half, int(np.ceil(REACH_SIGMAS * np.sqrt(long.max()))))
        inner = slice(half - reach, half + reach + 1)
        # The exponent is a quadratic form in (dx, dy): a sum of three products of a column and a row.
        form = (cos**2 / long + sin**2 / short, cos * sin * (1 / long - 1 / short), sin**2 / long + cos**2 / short)
        xx, xy, yy = (-0.5 * part[:, None] for part in form)
        u, v = dx[:, inner], dy[:, inner]
        peak = np.log(share / (2 * np.pi * np.sqrt(long * short)))[:, None]
        columns = np.stack([yy * v**2 + peak, 2 * xy * v, np.ones_like(v)], axis=2).astype(np.float32)
        rows = np.stack([np.ones_like(u), u, xx * u**2], axis=1).astype(np.float32)
        exponent = columns @ rows
        out[:, inner, inner] += np.exp(exponent, out=exponent)
    if half >= LARGE_HALF_PX:  # the faint outskirts of a bright galaxy must not end at the edges of a box
        out *= np.clip((half - np.hypot(axis[None], axis[:, None])) / (0.25 * half), 0, 1).astype(np.float32)
        out /= out.sum(axis=(1, 2), keepdims=True)
    return out


def add_stamp(canvas: np.ndarray, stamp: np.ndarray, column: int, row: int) -> None:
    """Add float [3, 2 half + 1, 2 half + 1], centred on a pixel, to the part of the canvas that it covers, in place."""
    half = stamp.shape[1] // 2
    h, w = canvas.shape[1:]
    top, bottom = max(row - half, 0), min(row + half + 1, h)
    left, right = max(column - half, 0), min(column + half + 1, w)
    if top < bottom and left < right:
        canvas[:, top:bottom, left:right] += stamp[
            :, top - row + half : bottom - row + half, left - column + half : right - column + half
        ]


def add_point(image: np.ndarray, x: float, y: float, counts: np.ndarray) -> None:
    """Add a point to float [3, h, w] by cubic-free bilinear weights, which keep flux and centroid."""
    column, row = int(np.floor(x)), int(np.floor(y))
    fx, fy = x - column, y - row
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            if 0 <= row + dy < image.shape[1] and 0 <= column + dx < image.shape[2]:
                image[:, row + dy, column + dx] += (wy * wx * counts).astype(np.float32)
