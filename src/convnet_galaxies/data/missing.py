"""Missing pixels: NaN, blank, masked, unweighted and padded ones, all filled in one way.

A missing pixel is NaN in the float32 planes that readers give. ``fill`` puts the band's sky in its place, the median of
the band's own pixels, which a stretch takes for zero: the hole looks like empty sky. Masks of which the bits have names
count where these names mean that nothing was measured; of other masks those marked pixels count that stand out from
their surroundings, since many masks mark objects as well (DETECTED of Rubin, bright stars of the Legacy Surveys).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

HUGE = 1e29
"""Values beyond are no measurement: pipelines write 1e30 and -1e30 where there is none."""

LARGEST_SHARE = 0.1
"""Of the pixels of a band so many may be missing, unless another share is asked for."""

NOTHING_MEASURED = ("NO_DATA", "NODATA", "BAD", "UNMASKEDNAN", "BLANK", "DETECTOR", "FLAT", "DARK", "DO_NOT_USE",
                    "MISSING", "BADPIX", "DEAD", "EMPTY")  # fmt: skip
"""Names of mask bits by which a pixel is missing (Rubin, HSC: cards MP_name = bit; Pan-STARRS: MSKNAMnn, MSKVALnn)."""

_OUTLIER_SIGMA, _OUTLIER_SHARE = 5.0, 0.5


def named_bits(header: Mapping[str, Any]) -> int | None:
    """The bits of a mask by which a pixel is missing, as one number; None where its header names none of its bits."""
    bits, has_names = 0, False
    for card in header:
        match = re.fullmatch(r"MP_(\w+)", card)
        if match:
            has_names = True
            if match.group(1).upper() in NOTHING_MEASURED:
                bits |= 1 << int(header[card])
        match = re.fullmatch(r"MSKNAM(\d+)", card)
        if match and f"MSKVAL{match.group(1)}" in header:
            has_names = True
            if str(header[card]).strip().upper() in NOTHING_MEASURED:
                bits |= int(header[f"MSKVAL{match.group(1)}"])
    return bits if has_names else None


def apply_mask(plane: np.ndarray, mask: np.ndarray, header: Mapping[str, Any]) -> None:
    """Set pixels of float32 [h, w] to NaN where the integer mask [h, w] marks them as missing (see the module)."""
    marked = np.nan_to_num(mask).astype(np.int64)
    bits = named_bits(header)
    if bits is not None:
        plane[(marked & bits) != 0] = np.nan
        return
    suspects = (marked != 0) & np.isfinite(plane)
    if not suspects.any() or suspects.all():
        return
    from scipy.ndimage import median_filter  # takes half a second to import, and few images have such a mask

    sky, noise = sky_and_noise(plane)
    around = median_filter(np.nan_to_num(plane, nan=sky), 5, mode="nearest")
    allowed = _OUTLIER_SIGMA * noise + _OUTLIER_SHARE * np.abs(around - sky)
    plane[suspects & ((np.abs(plane - around) > allowed) | (plane == 0))] = np.nan


def apply_weight(plane: np.ndarray, weight: np.ndarray) -> None:
    """Set pixels to NaN where the weight (or inverse variance), float [h, w], is zero, negative or no number."""
    empty = ~(weight > 0)
    if not empty.all():  # a plane of zeros was never filled in
        plane[empty] = np.nan


def apply_error(plane: np.ndarray, error: np.ndarray) -> None:
    """Set pixels to NaN where the error (or variance), float [h, w], is no number, negative or huge."""
    empty = ~((error >= 0) & (np.abs(error) < HUGE))
    if not empty.all():
        plane[empty] = np.nan


def apply_layer(plane: np.ndarray, layer: np.ndarray, role: str | None, header: Mapping[str, Any]) -> None:
    """Mark pixels of float32 [h, w] as missing by a ``mask``, ``weight`` or ``error`` plane of the same shape."""
    if role == "mask":
        apply_mask(plane, layer, header)
    elif role == "weight":
        apply_weight(plane, layer)
    elif role == "error":
        apply_error(plane, layer)


def mark_missing(plane: np.ndarray) -> None:
    """Set to NaN what is infinite or huge in float32 [h, w], and whole rows and columns of one value at its edges."""
    if not (plane.max() < HUGE and plane.min() > -HUGE):
        with np.errstate(invalid="ignore"):
            plane[~(np.abs(plane) < HUGE)] = np.nan
    top, bottom = _padding(plane), _padding(plane[::-1])
    if top + bottom >= len(plane):
        return  # one value everywhere: no padding but an empty band, which is named elsewhere
    left, right = _padding(plane.T), _padding(plane.T[::-1])
    if not (top or bottom or left or right):
        return
    inner = plane[top : len(plane) - bottom, left : plane.shape[1] - right]
    values = {float(line[0]) for line, width in zip(_edges(plane), (top, bottom, left, right), strict=True) if width}
    if np.nanmedian(inner) in values:  # a model without noise has such rows as well
        return
    outside = np.ones(plane.shape, bool)
    outside[top : len(plane) - bottom, left : plane.shape[1] - right] = False
    plane[outside] = np.nan


def missing_share(planes: np.ndarray) -> np.ndarray:
    """The share of missing pixels in each band of float32 [bands, h, w], float [bands]."""
    return np.array([np.count_nonzero(np.isnan(plane)) / plane.size for plane in planes])


def sky_and_noise(plane: np.ndarray, *, sample: int = 1 << 16) -> tuple[float, float]:
    """The sky (median) and its noise (1.4826 times the median absolute deviation) of float32 [h, w] with NaN.

    Of large images every n-th row is taken, at least ``sample`` pixels: the median then has an error of less than a
    hundredth of the noise.
    """
    step = max(1, plane.size // sample)
    values = plane[:: min(step, max(1, len(plane) // 64))].ravel()
    if np.isnan(values.sum()):
        values = values[~np.isnan(values)]
    if not len(values):
        return 0.0, 0.0
    sky = _median(values)
    return sky, 1.4826 * _median(np.abs(values - np.float32(sky)))


def _median(values: np.ndarray) -> float:
    """Of float32 [n] without NaN; by a partition, which is several times as fast as numpy's median."""
    middle = len(values) // 2
    parted = np.partition(values, middle)  # a second place would cost ten times as much
    upper = float(parted[middle])
    return upper if len(values) % 2 else (float(parted[:middle].max()) + upper) / 2


def _padding(plane: np.ndarray) -> int:
    """How many of the first rows hold one and the same value everywhere."""
    value, count = plane[0, 0], 0
    while count < len(plane) and bool((plane[count] == value).all()):
        count += 1
    return count


def _edges(plane: np.ndarray) -> tuple[np.ndarray, ...]:
    return plane[0], plane[-1], plane[:, 0], plane[:, -1]
