"""Missing pixels: NaN, blank, masked, unweighted and padded ones, all filled in one way.

A missing pixel is NaN in the float32 planes that readers give. ``fill`` puts the band's sky in its place, the median of
the band's own pixels, which a stretch takes for zero: the hole looks like empty sky. Masks of which the bits have names
count where these names mean that nothing was measured; of other masks those marked pixels count that are sharper
than any star or dark, since many masks mark objects as well (DETECTED of Rubin, bright stars of the Legacy Surveys).
"""

from __future__ import annotations

import re

import numpy as np

from convnet_galaxies.data.fits_cards import Cards, number_of, text_of

HUGE = 1e29
"""Values beyond are no measurement: pipelines write 1e30 and -1e30 where there is none."""

LARGEST_SHARE = 0.1
"""Default of the largest fraction of missing pixels per band."""

NOTHING_MEASURED = ("NO_DATA", "NODATA", "BAD", "UNMASKEDNAN", "BLANK", "DETECTOR", "FLAT", "DARK", "DO_NOT_USE",
                    "MISSING", "BADPIX", "DEAD", "EMPTY")  # fmt: skip
"""Names of mask bits by which a pixel is missing (Rubin, HSC: cards MP_name = bit; Pan-STARRS: MSKNAMnn, MSKVALnn)."""

_OUTLIER_SIGMA, _DARK_SHARE, _BRIGHT_SHARE = 5.0, 0.5, 2.0
"""A star of which half of the light is two pixels wide has half of its peak in the median of 3 x 3 pixels."""

SAMPLE_PX = 1 << 16
_SMOOTH = 0.5
"""Of noise, second differences between pixels are 1.7 times the first ones; of a model without noise, far smaller."""


def named_bits(header: Cards) -> int | None:
    """Return the bits of a mask by which a pixel is missing, as one number; None where its header names none of its
    bits."""
    bits, has_names = 0, False
    for card in header:
        match = re.fullmatch(r"MP_(\w+)|MSKNAM(\d+)", card)
        if match is None:
            continue
        name = match.group(1) or text_of(header, card)
        value = number_of(header, card if match.group(1) else f"MSKVAL{match.group(2)}")
        if value is None or not 0 <= value < (63 if match.group(1) else 2**63):
            continue
        has_names = True
        if name.upper() in NOTHING_MEASURED:
            bits |= 1 << int(value) if match.group(1) else int(value)
    return bits if has_names else None


def apply_mask(plane: np.ndarray, mask: np.ndarray, header: Cards) -> None:
    """Set pixels of float32 [h, w] to NaN where the integer mask [h, w] marks them as missing (see the module)."""
    marked = mask if mask.dtype.kind in "iub" else np.nan_to_num(mask, posinf=1, neginf=1)
    bits = named_bits(header)
    if bits is not None:
        plane[(marked.astype(np.int64) & bits) != 0] = np.nan
        return
    suspects = (marked != 0) & np.isfinite(plane)
    if not suspects.any() or suspects.all():
        return
    sky, noise = sky_and_noise(plane)
    filled, values = np.nan_to_num(plane, nan=sky), plane[suspects]
    near, around = (_medians_at(filled, suspects, side) for side in (3, 5))
    is_sharp = values - near > _OUTLIER_SIGMA * noise + _BRIGHT_SHARE * np.abs(near - sky)
    is_dark = around - values > _OUTLIER_SIGMA * noise + _DARK_SHARE * np.abs(around - sky)
    is_gone = is_sharp | is_dark | (values == 0) | (values < sky - _OUTLIER_SIGMA * noise)
    values[is_gone] = np.nan
    plane[suspects] = values


def _medians_at(plane: np.ndarray, places: np.ndarray, side: int) -> np.ndarray:
    """Return the medians of the side x side pixels round each place of a mask [h, w]; the nearest pixel stands beyond
    the edge."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(plane, side // 2, mode="edge"), (side, side))
    rows, columns = np.nonzero(places)
    out, middle = np.empty(len(rows), plane.dtype), side * side // 2
    for first in range(0, len(rows), SAMPLE_PX):
        some = slice(first, first + SAMPLE_PX)
        around = windows[rows[some], columns[some]].reshape(-1, side * side)
        around.partition(middle, axis=1)
        out[some] = around[:, middle]
    return out


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


def apply_layer(plane: np.ndarray, layer: np.ndarray, role: str | None, header: Cards) -> None:
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
    lines = [_padding(side) for side in (plane, plane[::-1], plane.T, plane.T[::-1])]
    (top, bottom, left, right), values = (
        [count for count, _ in lines],
        {value for _, value in lines if value is not None},
    )
    inner = plane[top : len(plane) - bottom, left : plane.shape[1] - right]
    if not values or not inner.size or np.isnan(inner).all():
        return  # one value everywhere is no padding but an empty band, which is named elsewhere
    if np.nanmedian(inner) in values or not _has_noise(inner, values):
        return  # a model without noise has such rows as well
    outside = np.ones(plane.shape, bool)
    outside[top : len(plane) - bottom, left : plane.shape[1] - right] = False
    plane[outside] = np.nan


def missing_share(planes: np.ndarray) -> np.ndarray:
    """Return the share of missing pixels in each band of float32 [bands, h, w], float [bands]."""
    return np.array([np.count_nonzero(np.isnan(plane)) / plane.size for plane in planes])


def sky_and_noise(plane: np.ndarray) -> tuple[float, float]:
    """Return the sky (median) and its noise (1.4826 times the median absolute deviation) of float32 [h, w] with NaN.

    Of large images every n-th row is taken, at least SAMPLE_PX pixels: the median then has an error of less than a
    hundredth of the noise.
    """
    values = plane[:: _row_step(plane)].flatten()
    if len(values) and np.isnan(values.max()):
        values = values[~np.isnan(values)]
    if not len(values):
        return 0.0, 0.0
    sky, noise = _centre_and_scatter(values[None])
    return float(sky[0]), float(noise[0])


def skies_and_noises(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `sky_and_noise` of float32 [n, h, w] without NaN, each float64 [n], faster than one by one."""
    return _centre_and_scatter(planes[:, :: _row_step(planes[0])].reshape(len(planes), -1).copy())


def _row_step(plane: np.ndarray) -> int:
    return min(max(1, plane.size // SAMPLE_PX), max(1, len(plane) // 64))


def _centre_and_scatter(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return median and scaled median absolute deviation of the rows of float32 [n, m], which are overwritten."""
    sky = _medians(values)
    values -= sky[:, None].astype(np.float32)
    return sky, 1.4826 * _medians(np.abs(values, out=values))


def _medians(values: np.ndarray) -> np.ndarray:
    """Return the medians of the rows of float32 [n, m] without NaN, which are reordered; faster than numpy's median."""
    middle = values.shape[1] // 2
    values.partition(middle, axis=1)  # a second place would cost ten times as much
    upper = values[:, middle].astype(float)
    return upper if values.shape[1] % 2 else (values[:, :middle].max(axis=1).astype(float) + upper) / 2


def _has_noise(inner: np.ndarray, padding: set[float]) -> bool:
    """Return whether the fainter half of float32 [h, w] differs from pixel to pixel as noise does, not as a smooth
    model."""
    own = inner.copy()
    own[np.isin(inner, list(padding))] = np.nan
    own[~(own <= np.nanmedian(own))] = np.nan
    first, second = np.abs(np.diff(own, axis=1)), np.abs(np.diff(own, n=2, axis=1))
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    if not len(second):
        return False
    step = float(np.median(first))
    return step > 0 and float(np.median(second)) > _SMOOTH * step


def _padding(plane: np.ndarray) -> tuple[int, float | None]:
    """Count the first rows of a single value, or NaN, everywhere; also return the value (None without one)."""
    value = None
    for count, row in enumerate(plane):
        present = row[~np.isnan(row)]
        if not len(present):
            continue
        if 2 * len(present) < len(row):
            return count, value
        if not (present == (present[0] if value is None else value)).all():
            return count, value
        value = float(present[0])
    return len(plane), value
