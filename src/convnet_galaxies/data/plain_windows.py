"""Prepares many windows of one image at once, where nothing about them is special; the numbers are the same.

Numpy spends as long between its calls as in them on windows of 96 px. Windows with missing pixels, without noise, or
with a zero point that suits no survey are left to `Preprocess.prepare_planes`, one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from convnet_galaxies.data.linear_image import Plane
from convnet_galaxies.data.missing import skies_and_noises
from convnet_galaxies.data.photometry import PLAUSIBLE_DECADES, find_flux_scale
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ImageInfo, ReadOptions
from convnet_galaxies.data.stretch import ZEROPOINT_MAG, Composite

_AT_ONCE = 6
"""Windows whose pixels stay in the processor's cache between one step and the next."""

_ROUNDING = 1e-6


def prepare_plain(
    preprocess: Preprocess,
    planes: Sequence[Plane],
    values: np.ndarray,
    info: ImageInfo,
    name: str,
    reading: ReadOptions,
) -> tuple[np.ndarray, np.ndarray, ImageInfo]:
    """Prepare those of n windows that are plain, for a network of composites of three bands.

    planes, info: as of `Preprocess.settle`. values: float32 [n, bands, side, side], of these planes, each as large as
    the crop. Returns a mask of the windows that were prepared, bool [n], their pixels, uint8 [m, size, size, bands],
    and what is true of all of them.
    """
    nothing = np.zeros(len(values), bool), preprocess.new_array(0), info
    stretch, scale, side = preprocess.stretch, info.pixel_scale_arcsec, values.shape[-1]
    crop_px = preprocess.crop_of(scale) or side
    if not isinstance(stretch, Composite) or len(planes) != 3 or crop_px != side or any(p.is_absent for p in planes):
        return nothing
    if reading.zeropoint_mag is None and not all(p.zeropoint and not p.zeropoint_fault for p in planes):
        return nothing
    plain = ~np.isnan(values.max(axis=(1, 2, 3)))
    some = values if plain.all() else values[plain]
    if not len(some):
        return nothing
    sky, noise = (one.reshape(-1, 3) for one in skies_and_noises(some.reshape(-1, side, side)))
    sound = _has_plain_noise(noise, planes, reading.zeropoint_mag)
    if not sound.any():
        return nothing
    if not sound.all():
        plain[np.flatnonzero(plain)[~sound]] = False
        some, sky, noise = some[sound], sky[sound], noise[sound]
    counts, remarks = find_flux_scale(planes, noise[0], name, reading.zeropoint_mag)
    if counts is None:
        return nothing
    if scale is not None and preprocess.pixel_scale_arcsec is not None:
        counts = counts * (preprocess.pixel_scale_arcsec / scale) ** 2
    out = preprocess.new_array(len(some))
    for first in range(0, len(some), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        excess = some[part].transpose(1, 0, 2, 3) - sky[part].T.astype(np.float32)[:, :, None, None]
        shown = stretch.apply(excess.reshape(3, -1, side), noise[0], counts).reshape(-1, side, side, 3)
        if side == preprocess.size_px:
            out[part] = shown
        else:
            for k, one in enumerate(shown, first):
                out[k] = preprocess.fit(one, crop_px=side)
    return plain, out, replace(info, unit="known", masked_fraction=0.0, remarks=(*info.remarks, *remarks))


def _has_plain_noise(noise: np.ndarray, planes: Sequence[Plane], zeropoint_mag: float | None) -> np.ndarray:
    """Return which windows, of noise float [n, bands], have some in each band, and clearly of the size of a survey."""
    told = [None if plane.zeropoint is None else plane.zeropoint.mag for plane in planes]
    magnitudes = np.array(told if zeropoint_mag is None else [zeropoint_mag] * len(told), float)
    with np.errstate(divide="ignore"):
        decades = np.log10(noise) + 0.4 * (ZEROPOINT_MAG - magnitudes)
    return np.asarray((np.abs(decades) < PLAUSIBLE_DECADES - _ROUNDING).all(axis=1))
