"""Planes of an image to a picture for the eye: by which stretch, at which contrast, in colour or one band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from convnet_galaxies.data.bands import Band
from convnet_galaxies.data.fits_header import fold
from convnet_galaxies.data.linear_image import LinearImage, Plane
from convnet_galaxies.data.missing import sky_and_noise
from convnet_galaxies.data.photometry import nearest_band
from convnet_galaxies.data.stretch import PREFERRED_BANDS, Composite, Stretch

StretchName = Literal["composite", "asinh", "log", "linear"]
STRETCHES: tuple[StretchName, ...] = get_args(StretchName)
PICTURE_STRETCHES: tuple[StretchName, ...] = ("composite", "asinh", "log")
"""A picture holds no linear values."""

LOWEST_CONTRAST, HIGHEST_CONTRAST = 1 / 16, 16.0
_WHITE_SIGMA = {"asinh": 200.0, "log": 300.0, "linear": 40.0}
_BLACK_SIGMA = -2.0
_STEEPNESS = {"asinh": 12.0, "log": 60.0}


@dataclass(frozen=True)
class Look:
    """How an image is shown.

    stretch: ``composite`` is the picture as it is, or the colour composite of Space Warps of linear planes.
    contrast: 2 shows faint light twice as bright. band: number of the plane that is shown alone, from red to blue.
    """

    stretch: StretchName = "composite"
    contrast: float = 1.0
    band: int | None = None


AS_IT_IS = Look()


def render(image: LinearImage, look: Look = AS_IT_IS) -> np.ndarray:
    """Return uint8 [h, w, 3], the first row at the top. A band that is not there is shown as all bands are."""
    ordered = order_planes(image)
    planes = ordered if look.band is None or not 0 <= look.band < len(ordered) else (ordered[look.band],)
    planes = _choose_three(planes, image.is_picture)
    if image.is_picture:
        return _render_picture([plane.values for plane in planes], look)
    excess, noise = _above_sky(planes)
    single = len(planes) == 1
    if look.stretch == "composite":
        bands = excess if single or len(planes) == 3 else np.stack([excess[0], excess.mean(axis=0), excess[1]])
        sigma = noise if single or len(planes) == 3 else np.array([noise[0], noise.mean(), noise[1]])
        scaled = bands * np.float32(look.contrast)
        return Composite().apply(scaled, sigma, None, nearest_band(planes[0].band))
    if look.stretch == "asinh":
        shown = Stretch(white_sigma=_WHITE_SIGMA["asinh"] / look.contrast).apply(excess, noise)
    else:
        scale = float(noise.mean()) or float(excess.std()) or 1.0
        white = _WHITE_SIGMA[look.stretch] / look.contrast
        x = np.clip((excess / scale - _BLACK_SIGMA) / (white - _BLACK_SIGMA), 0, 1)
        x = np.log1p(_STEEPNESS["log"] * x) / np.log1p(_STEEPNESS["log"]) if look.stretch == "log" else x
        shown = np.moveaxis((255 * x + 0.5).astype(np.uint8), 0, -1)
    return _to_three(shown)


def order_planes(image: LinearImage) -> tuple[Plane, ...]:
    """Return the planes from red to blue where their bands are known, else as in the file; no alpha channel."""
    planes = image.planes
    if image.is_picture:
        return planes[: 1 if len(planes) == 2 else 3]
    if all(plane.band is not None for plane in planes):
        return tuple(sorted(planes, key=lambda plane: plane.band or Band(0, ""), reverse=True))
    return planes


def name_planes(image: LinearImage) -> tuple[str, ...]:
    """Return names of the planes in the order of `order_planes`, for a choice among them."""
    planes = order_planes(image)
    if image.is_picture:
        return ("red", "green", "blue") if len(planes) == 3 else ()
    return tuple(plane.band.name if plane.band else plane.label for plane in planes) if len(planes) > 1 else ()


def resize(pixels: np.ndarray, side_px: int) -> np.ndarray:
    """Return uint8 [side_px, side_px, 3] of [h, w, 3]: the whole image on black, its pixels kept square.

    Pixels that grow by a whole factor keep sharp edges; others are averaged or interpolated.
    """
    h, w = pixels.shape[:2]
    longer = max(h, w)
    size = (max(1, round(w * side_px / longer)), max(1, round(h * side_px / longer)))
    whole = side_px % longer == 0
    method = Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS
    shown = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, method))
    if h == w:
        return shown
    out = np.zeros((side_px, side_px, 3), np.uint8)
    y, x = (side_px - shown.shape[0]) // 2, (side_px - shown.shape[1]) // 2
    out[y : y + shown.shape[0], x : x + shown.shape[1]] = shown
    return out


def _render_picture(planes: Sequence[np.ndarray], look: Look) -> np.ndarray:
    values = np.stack(planes, axis=-1)
    if look.stretch in _STEEPNESS or look.contrast != 1:
        x = np.arange(256) / 255
        if look.stretch == "asinh":
            x = np.arcsinh(_STEEPNESS["asinh"] * x) / np.arcsinh(_STEEPNESS["asinh"])
        elif look.stretch == "log":
            x = np.log1p(_STEEPNESS["log"] * x) / np.log1p(_STEEPNESS["log"])
        values = (255 * np.clip(x * look.contrast, 0, 1) + 0.5).astype(np.uint8)[values]
    return _to_three(values)


def _choose_three(planes: tuple[Plane, ...], is_picture: bool) -> tuple[Plane, ...]:
    """Of more than three planes those of the composite, or else the reddest, the middle and the bluest."""
    if is_picture or len(planes) <= 3:
        return planes
    by_name = {fold(plane.band): plane for plane in planes if plane.band is not None}
    if all(band in by_name for band in PREFERRED_BANDS):
        return tuple(by_name[band] for band in PREFERRED_BANDS)
    return planes[0], planes[len(planes) // 2], planes[-1]


def _above_sky(planes: Sequence[Plane]) -> tuple[np.ndarray, np.ndarray]:
    """Planes above their sky, float32 [bands, h, w], missing pixels 0; their noise, float [bands]."""
    excess, noise = [], []
    for plane in planes:
        if not np.isfinite(plane.values).any():
            excess.append(np.zeros(plane.values.shape, np.float32))
            noise.append(0.0)
            continue
        sky, sigma = sky_and_noise(plane.values)
        excess.append(np.nan_to_num(plane.values - np.float32(sky), posinf=0, neginf=0))
        noise.append(sigma)
    return np.stack(excess), np.array(noise)


def _to_three(shown: np.ndarray) -> np.ndarray:
    if shown.shape[2] == 3:
        return np.ascontiguousarray(shown)
    if shown.shape[2] == 1:
        return np.repeat(shown, 3, axis=2)
    middle = shown.mean(axis=2).astype(np.uint8)
    return np.stack([shown[..., 0], middle, shown[..., -1]], axis=-1)
