"""The one path from an image file to the uint8 pixels that nets see: decode, stretch, crop, shrink.

Training, prediction and scanning use the same Preprocess, and it travels with the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator

from convnet_galaxies.data.fits_image import is_fits, read_fits
from convnet_galaxies.data.picture import decode_jpeg, decode_picture
from convnet_galaxies.data.stretch import ZEROPOINT_MAG, Composite, Stretch
from convnet_galaxies.errors import BadImageError, UsageError


@dataclass(frozen=True)
class Given:
    """What is said of images beyond their files.

    pixel_scale_arcsec: when it differs from that of the Preprocess.
    blue_first: the planes of a FITS file go from blue to red (g, r, i), those of a picture from red to blue.
    zeropoint_mag: AB magnitude of one unit of a linear image, before what its header says.
    """

    pixel_scale_arcsec: float | None = None
    blue_first: bool = False
    zeropoint_mag: float | None = None

    def __post_init__(self) -> None:
        if self.zeropoint_mag is not None and not math.isfinite(self.zeropoint_mag):
            raise UsageError(f"--zero-point: found {self.zeropoint_mag}, expected AB magnitudes", "give e.g. 22.5")


@dataclass(frozen=True)
class Source:
    """What an image was before it was decoded.

    side_px: its shorter side, in source pixels.
    unit: ``picture`` for 8 bits a pixel, taken as they are. Of linear values ``known`` or ``guessed`` from the noise
        where the stretch asks for it (see Composite), else ``any``.
    """

    side_px: int
    unit: Literal["picture", "known", "guessed", "any"] = "picture"


class Preprocess(BaseModel):
    """Parameters of the path; equal parameters and equal files give equal pixels.

    crop_px: side in source pixels of the central square that is kept; None keeps the shorter side's square.
        Images that are smaller are padded with zeros, as the Space Warps cutouts are at the edge of their field.
    size_px: side of the result in pixels.
    bands: number of bands that reach the net. A fourth channel (alpha) is never among them: in Space Warps
        training images it is the answer.
    pixel_scale_arcsec: arcsec a source pixel that crop_px counts in; None when unknown.
    stretch: for linear images.

    Only Composite takes the unit of linear images into account, per area of the sky where both scales are known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop_px: Annotated[int, Field(gt=0)] | None = None
    size_px: Annotated[int, Field(gt=0)] = 96
    bands: Annotated[int, Field(gt=0)] = 3
    pixel_scale_arcsec: Annotated[float, Field(gt=0)] | None = None
    stretch: Stretch | Composite = Stretch()

    def __str__(self) -> str:
        crop = "the whole image" if self.crop_px is None else f"the central {self.crop_px} px"
        return f"{crop} to {self.size_px} px, {self.bands} band{'s' if self.bands > 1 else ''}"

    @model_validator(mode="after")
    def _has_the_bands(self) -> Preprocess:
        if isinstance(self.stretch, Composite) and self.bands != 3:
            raise ValueError(f"bands is {self.bands}; a colour composite needs 3")
        return self

    def new_array(self, images: int) -> np.ndarray:
        """Room for so many decoded images: uint8 [images, size_px, size_px, bands], not yet filled."""
        return np.empty((images, self.size_px, self.size_px, self.bands), np.uint8)

    def decode(self, data: bytes, name: str, given: Given | None = None) -> np.ndarray:
        """Bytes of a JPEG, PNG or FITS file to uint8 [size_px, size_px, bands].

        name: for error messages, and its ending tells FITS from the rest.
        Raises BadImageError when the bytes are no such image or the bands do not fit.
        """
        return self.decode_measured(data, name, given)[0]

    def decode_measured(self, data: bytes, name: str, given: Given | None = None) -> tuple[np.ndarray, Source]:
        """As decode, and what the image was before."""
        given = given or Given()
        crop_px = self.crop_of(given.pixel_scale_arcsec)
        if data[:2] == b"\xff\xd8":
            pixels, shrunk = decode_jpeg(data, name, bands=self.bands, crop_px=crop_px, size_px=self.size_px)
            pixels = _fit_bands(pixels, self.bands, name)
            side_px = round(min(pixels.shape[:2]) * shrunk)
            if crop_px is not None:
                crop_px = round(crop_px / shrunk)
            return self.fit(pixels, crop_px=crop_px), Source(side_px)
        pixels, source = self.decode_whole(data, name, given)
        return self.fit(pixels, crop_px=crop_px), source

    def decode_whole(self, data: bytes, name: str, given: Given | None = None) -> tuple[np.ndarray, Source]:
        """As decode_measured, uint8 [h, w, bands], but nothing cropped or shrunk."""
        given = given or Given()
        if data[:2] == b"\xff\xd8":
            pixels = _fit_bands(decode_jpeg(data, name, bands=self.bands)[0], self.bands, name)
        elif is_fits(data, name):
            image = read_fits(data, name)
            turn = slice(None, None, -1 if given.blue_first else 1)
            return self._stretched(image.planes[..., turn], image.zeropoint_mag[turn], name, given)
        else:
            pixels = decode_picture(data, name)
            if pixels.dtype != np.uint8:
                return self._stretched(pixels.astype(np.float32), (None,) * pixels.shape[2], name, given)
            pixels = _fit_bands(pixels, self.bands, name)
        return pixels, Source(min(pixels.shape[:2]))

    def _stretched(
        self, values: np.ndarray, zeropoints: tuple[float | None, ...], name: str, given: Given
    ) -> tuple[np.ndarray, Source]:
        values = _fit_bands(values, self.bands, name)
        side_px = min(values.shape[:2])
        if isinstance(self.stretch, Stretch):
            return self.stretch.apply(values), Source(side_px, "any")
        if given.zeropoint_mag is not None:
            zeropoints = (given.zeropoint_mag,)
        known = [zeropoint for zeropoint in zeropoints if zeropoint is not None]
        if len(known) < len(zeropoints):
            return self.stretch.apply(values, None), Source(side_px, "guessed")
        counts = 10 ** (0.4 * (ZEROPOINT_MAG - np.array(known))) * np.ones(self.bands)
        if given.pixel_scale_arcsec is not None and self.pixel_scale_arcsec is not None:
            counts *= (self.pixel_scale_arcsec / given.pixel_scale_arcsec) ** 2  # an area of the sky, not a pixel
        return self.stretch.apply(values, counts), Source(side_px, "known")

    def crop_of(self, pixel_scale_arcsec: float | None) -> int | None:
        """crop_px in pixels of an image of another scale, such that it shows the same part of the sky."""
        if self.crop_px is None or pixel_scale_arcsec is None or self.pixel_scale_arcsec is None:
            return self.crop_px
        return max(1, round(self.crop_px * self.pixel_scale_arcsec / pixel_scale_arcsec))

    def fit(self, pixels: np.ndarray, *, crop_px: int | None = None) -> np.ndarray:
        """uint8 [h, w, bands] to uint8 [size_px, size_px, bands]: the central crop (zero-padded), then averages."""
        side = crop_px or min(pixels.shape[:2])
        square = central_square(pixels, side)
        if side == self.size_px:
            return np.ascontiguousarray(square)
        method = Image.Resampling.BOX if side % self.size_px == 0 else Image.Resampling.BICUBIC
        size = (self.size_px, self.size_px)
        if square.shape[2] == 3:  # the same numbers as band by band, in two thirds of the time
            return np.array(Image.fromarray(np.ascontiguousarray(square)).resize(size, method))
        bands = [np.ascontiguousarray(square[..., band]) for band in range(square.shape[2])]
        return np.stack([np.asarray(Image.fromarray(band).resize(size, method)) for band in bands], axis=-1)


def is_constant(pixels: np.ndarray) -> np.ndarray:
    """Mask [n] of the images, uint8 [n, h, w, bands], in which every band has one value everywhere."""
    return _all_images(pixels, lambda part: part == part[:, :1, :1])


def is_grey(pixels: np.ndarray) -> np.ndarray:
    """Mask [n] of the images, uint8 [n, h, w, bands], whose bands are all alike."""
    return _all_images(pixels, lambda part: part == part[..., :1])


def _all_images(pixels: np.ndarray, compare: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    middle = pixels.shape[1] // 2
    alike: np.ndarray = np.all(compare(pixels[:, middle : middle + 1]), axis=(1, 2, 3))  # one row tells for nearly all
    alike[alike] = [bool(compare(pixels[row : row + 1]).all()) for row in np.flatnonzero(alike)]
    return alike


def central_square(pixels: np.ndarray, side: int) -> np.ndarray:
    """The central side x side pixels of [h, w, bands], padded with zeros where the image is smaller."""
    h, w = pixels.shape[:2]
    y, x = (h - side) // 2, (w - side) // 2
    if y >= 0 and x >= 0:
        return pixels[y : y + side, x : x + side]
    out = np.zeros((side, side, pixels.shape[2]), pixels.dtype)
    kept = pixels[max(y, 0) : max(y, 0) + min(h, side), max(x, 0) : max(x, 0) + min(w, side)]
    out[max(-y, 0) : max(-y, 0) + kept.shape[0], max(-x, 0) : max(-x, 0) + kept.shape[1]] = kept
    return out


def _fit_bands(pixels: np.ndarray, bands: int, name: str) -> np.ndarray:
    found = pixels.shape[2]
    if found == bands:
        return pixels
    if found == 1:  # a grey image shown to a colour net
        return np.repeat(pixels, bands, axis=2)
    raise BadImageError(
        f"{name}: found {found} bands, expected {bands}", f"pass --bands {found}, or use images of {bands} bands"
    )
