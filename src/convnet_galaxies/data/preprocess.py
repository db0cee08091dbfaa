"""Preprocessing from an image file to the uint8 pixels of the network input: decode, stretch, crop, shrink.

Training, prediction and scanning use the same Preprocess, and it travels with the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator

from convnet_galaxies.data.band_files import read_image
from convnet_galaxies.data.fits_image import is_fits, read_fits
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.linear_image import Choice, LinearImage, Plane, above_sky, choose_planes
from convnet_galaxies.data.photometry import find_flux_scale, nearest_band
from convnet_galaxies.data.picture import decode_jpeg, decode_picture
from convnet_galaxies.data.reading import ImageInfo, ReadOptions, Unit
from convnet_galaxies.data.stretch import PREFERRED_BANDS, Composite, Stretch
from convnet_galaxies.errors import BadImageError

SCALE_RANGE = (0.5, 2.2)
"""Scales that an image may have, in those of the run: objects in it look between half and twice their size."""


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
        """Return room for so many decoded images: uint8 [images, size_px, size_px, bands], not yet filled."""
        return np.empty((images, self.size_px, self.size_px, self.bands), np.uint8)

    def decode(self, data: bytes, name: str, reading: ReadOptions | None = None) -> np.ndarray:
        """Decode bytes of an image file to uint8 [size_px, size_px, bands].

        name: for error messages, and its ending tells FITS from the rest.
        Raises BadImageError when the bytes are no such image or the bands do not fit.
        """
        return self.decode_measured(data, name, reading)[0]

    def decode_measured(
        self, data: bytes, name: str, reading: ReadOptions | None = None
    ) -> tuple[np.ndarray, ImageInfo]:
        """Decode as `decode`; also return the properties of the image before decoding."""
        return self._decode(data, name, reading or ReadOptions(), lambda: _read_bytes(data, name, reading))

    def decode_file(self, file: ImageFile, reading: ReadOptions | None = None) -> tuple[np.ndarray, ImageInfo]:
        """Decode as `decode_measured`, from a file or from one file per band."""
        data = b"" if file.others else file.read()
        name = str(file)
        return self._decode(data, name, reading or ReadOptions(), lambda: read_planes(file, data, reading))

    def decode_whole(self, file: ImageFile, reading: ReadOptions | None = None) -> tuple[np.ndarray, ImageInfo]:
        """Decode as `decode_file`, but without cropping or shrinking; uint8 [h, w, bands]."""
        reading = reading or ReadOptions()
        data = b"" if file.others else file.read()
        if data[:2] == b"\xff\xd8":
            pixels = _fit_bands(decode_jpeg(data, str(file), bands=self.bands)[0], self.bands, str(file))
            return pixels, ImageInfo(min(pixels.shape[:2]), pixel_scale_arcsec=reading.pixel_scale_arcsec)
        return self._show(read_planes(file, data, reading), str(file), reading, whole=True)

    def prepare(
        self, pixels: np.ndarray, name: str, reading: ReadOptions | None = None
    ) -> tuple[np.ndarray, ImageInfo]:
        """Decode as `decode_measured`, from an image in memory, [h, w] or [h, w, bands], the first row at the top.

        uint8 is a picture; other numbers are linear, as from FITS, NaN where they are missing.
        """
        return self.prepare_image(as_image(pixels if pixels.ndim == 3 else pixels[..., None]), name, reading)

    def prepare_image(
        self, image: LinearImage, name: str, reading: ReadOptions | None = None
    ) -> tuple[np.ndarray, ImageInfo]:
        """Decode as `decode_measured`, from an image whose planes were read already."""
        shown, info = self._show(image, name, reading or ReadOptions())
        return self.fit(shown, crop_px=self.crop_of(info.pixel_scale_arcsec)), info

    def _decode(
        self, data: bytes, name: str, reading: ReadOptions, read: Callable[[], LinearImage]
    ) -> tuple[np.ndarray, ImageInfo]:
        if data[:2] != b"\xff\xd8":
            return self.prepare_image(read(), name, reading)
        crop_px = self.crop_of(reading.pixel_scale_arcsec)
        pixels, shrunk = decode_jpeg(data, name, bands=self.bands, crop_px=crop_px, size_px=self.size_px)
        pixels = _fit_bands(pixels, self.bands, name)
        side_px = round(min(pixels.shape[:2]) * shrunk)
        if crop_px is not None:
            crop_px = round(crop_px / shrunk)
        return self.fit(pixels, crop_px=crop_px), ImageInfo(side_px, pixel_scale_arcsec=reading.pixel_scale_arcsec)

    def _show(
        self, image: LinearImage, name: str, reading: ReadOptions, *, whole: bool = False
    ) -> tuple[np.ndarray, ImageInfo]:
        """An image as a picture, uint8 [h, w, bands]: the central square that is kept, or the whole of it."""
        choice, info = self.settle(image, name, reading)
        values = [plane.values for plane in choice.planes]
        return self._show_planes(choice.planes, values, info, image.is_picture, name, reading, whole=whole)

    def settle(self, image: LinearImage, name: str, reading: ReadOptions) -> tuple[Choice, ImageInfo]:
        """Choose the planes that are shown, and the scale, neither of which depends on the values; else as `prepare`.

        name: for messages. Raises BadImageError where the choice is not settled or the scale does not fit.
        """
        preferred = PREFERRED_BANDS if isinstance(self.stretch, Composite) else ()
        choice = choose_planes(
            image, self.bands, name, wanted=reading.bands, blue_first=reading.blue_first, preferred=preferred
        )
        scale, remarks = self.scale_of(image, name, reading)
        info = ImageInfo(
            min(image.shape),
            pixel_scale_arcsec=scale,
            rows_from_bottom=image.rows_from_bottom,
            remarks=(*choice.remarks, *remarks),
        )
        return choice, info

    def prepare_planes(
        self,
        planes: Sequence[Plane],
        values: Sequence[np.ndarray],
        info: ImageInfo,
        is_picture: bool,
        name: str,
        reading: ReadOptions,
    ) -> tuple[np.ndarray, ImageInfo]:
        """Prepare planes that `settle` chose, with these values [h, w] each; else as `prepare_image`."""
        shown, info = self._show_planes(planes, values, info, is_picture, name, reading)
        return self.fit(shown, crop_px=self.crop_of(info.pixel_scale_arcsec)), info

    def _show_planes(
        self,
        planes: Sequence[Plane],
        values: Sequence[np.ndarray],
        info: ImageInfo,
        is_picture: bool,
        name: str,
        reading: ReadOptions,
        *,
        whole: bool = False,
    ) -> tuple[np.ndarray, ImageInfo]:
        if is_picture:
            return _fit_bands(np.stack(values, axis=-1), self.bands, name), info
        scale, kept = info.pixel_scale_arcsec, (slice(None), slice(None))
        if not whole:
            h, w = values[0].shape
            kept = central_slices((h, w), self.crop_of(scale) or min(h, w))
        excess, noise, masked = above_sky(planes, kept, name, reading.missing_share, values=values)
        if isinstance(self.stretch, Stretch):
            info = replace(info, unit="any", masked_fraction=masked)
            return _fit_bands(self.stretch.apply(excess, noise), self.bands, name), info
        counts, more = find_flux_scale(planes, noise, name, reading.zeropoint_mag)
        if counts is not None and scale is not None and self.pixel_scale_arcsec is not None:
            counts = counts * (self.pixel_scale_arcsec / scale) ** 2  # an area of the sky, not a pixel
        pixels = self.stretch.apply(excess, noise, counts, nearest_band(planes[0].band))
        unit: Unit = "guessed" if counts is None else "known"
        return pixels, replace(info, unit=unit, masked_fraction=masked, remarks=(*info.remarks, *more))

    def scale_of(
        self, image: LinearImage, name: str, reading: ReadOptions
    ) -> tuple[float | None, tuple[tuple[str, str], ...]]:
        """Return arcsec per pixel by which an image is cropped (None: as it is), and remarks on it.

        Raises BadImageError for a scale that does not fit the run.
        """
        told, found, own = reading.pixel_scale_arcsec, image.pixel_scale_arcsec, self.pixel_scale_arcsec
        if told is not None:
            if found is not None and abs(told / found - 1) > 0.01:
                text = f'of {found:.3g}"/px according to their headers, but were read as {told:.3g}"/px (--pixel-scale)'
                return told, (("contradicted", text),)
            return told, ()
        if found is None or own is None:
            return None, ()
        if abs(found / own - 1) < 0.002:  # rounding in a header shall not move the crop by a pixel
            return None, ()
        if self.crop_px is not None and (expected := refuse_scale(found, own)):
            raise BadImageError(
                f'{name}: found {found:.3g}"/px in its header, {expected}',
                "resample the image, or pass --pixel-scale to take its pixels at another scale",
            )
        return found, (("scale", f'of {found:.3g}"/px according to their headers, and were resampled to {own:g}"/px'),)

    def crop_of(self, pixel_scale_arcsec: float | None) -> int | None:
        """Return crop_px in pixels of an image of another scale, such that it shows the same part of the sky."""
        if self.crop_px is None or pixel_scale_arcsec is None or self.pixel_scale_arcsec is None:
            return self.crop_px
        return max(1, round(self.crop_px * self.pixel_scale_arcsec / pixel_scale_arcsec))

    def fit(self, pixels: np.ndarray, *, crop_px: int | None = None) -> np.ndarray:
        """Convert uint8 [h, w, bands] to uint8 [size_px, size_px, bands]: the central crop (zero-padded), then
        averages."""
        side = crop_px or min(pixels.shape[:2])
        square = central_square(pixels, side)
        if side == self.size_px:
            return np.ascontiguousarray(square)
        method = Image.Resampling.BOX if side % self.size_px == 0 else Image.Resampling.BICUBIC
        size = (self.size_px, self.size_px)
        if square.strides[2] == 1 and square.shape[2] == 3:
            return np.array(Image.fromarray(np.ascontiguousarray(square)).resize(size, method))
        bands = [Image.fromarray(np.ascontiguousarray(square[..., band])) for band in range(square.shape[2])]
        if len(bands) == 3:  # the same numbers as band by band, in two thirds of the time
            return np.array(Image.merge("RGB", bands).resize(size, method))
        return np.stack([np.asarray(band.resize(size, method)) for band in bands], axis=-1)


def is_constant(pixels: np.ndarray) -> np.ndarray:
    """Return a mask [n] of the images, uint8 [n, h, w, bands], in which every band has one value everywhere."""
    return _all_images(pixels, lambda part: part == part[:, :1, :1])


def is_grey(pixels: np.ndarray) -> np.ndarray:
    """Return a mask [n] of the images, uint8 [n, h, w, bands], whose bands are all alike."""
    return _all_images(pixels, lambda part: part == part[..., :1])


def _all_images(pixels: np.ndarray, compare: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    middle = pixels.shape[1] // 2
    alike: np.ndarray = np.all(compare(pixels[:, middle : middle + 1]), axis=(1, 2, 3))  # one row tells for nearly all
    alike[alike] = [bool(compare(pixels[row : row + 1]).all()) for row in np.flatnonzero(alike)]
    return alike


def refuse_scale(found: float, own: float) -> str:
    """Return which scales (arcsec per pixel) a run of its own scale expects instead of found; empty where it fits."""
    digits = 2 if own > 0.05 else 4
    low, high = (round(factor * own, digits) for factor in SCALE_RANGE)
    return "" if low <= found <= high else f'expected {low:g} to {high:g}, since the run was trained at {own:g}"/px'


def central_slices(shape: tuple[int, int], side: int) -> tuple[slice, slice]:
    """Return the slices of [h, w] that central_square keeps before it pads."""
    h, w = shape
    y, x = (h - side) // 2, (w - side) // 2
    return slice(max(y, 0), max(y, 0) + min(h, side)), slice(max(x, 0), max(x, 0) + min(w, side))


def central_square(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return the central side x side pixels of [h, w, bands], padded with zeros where the image is smaller."""
    h, w = pixels.shape[:2]
    y, x = (h - side) // 2, (w - side) // 2
    if y >= 0 and x >= 0:
        return pixels[y : y + side, x : x + side]
    out = np.zeros((side, side, pixels.shape[2]), pixels.dtype)
    kept = pixels[max(y, 0) : max(y, 0) + min(h, side), max(x, 0) : max(x, 0) + min(w, side)]
    out[max(-y, 0) : max(-y, 0) + kept.shape[0], max(-x, 0) : max(-x, 0) + kept.shape[1]] = kept
    return out


def _read_bytes(data: bytes, name: str, reading: ReadOptions | None) -> LinearImage:
    if is_fits(data, name):
        return read_fits(data, name, hdus=reading.hdus if reading else None)
    return as_image(decode_picture(data, name))


def read_planes(file: ImageFile, data: bytes, reading: ReadOptions | None = None) -> LinearImage:
    """Read an image from its file, or one per band, as planes: uint8 of a picture, linear values of all others.

    data: the bytes of the (first) file. Raises BadImageError when they are no image.
    """
    if file.others or is_fits(data, file.name):
        return read_image(file, data, hdus=reading.hdus if reading else None)
    return as_image(decode_picture(data, str(file)))


def as_image(pixels: np.ndarray) -> LinearImage:
    """Return a decoded picture [h, w, bands] as an image: uint8 as it is, other numbers as linear planes."""
    is_picture = pixels.dtype == np.uint8
    values = np.moveaxis(pixels if is_picture else pixels.astype(np.float32), -1, 0)
    return LinearImage(tuple(Plane(plane, f"channel {k}") for k, plane in enumerate(values, 1)), is_picture)


def _fit_bands(pixels: np.ndarray, bands: int, name: str) -> np.ndarray:
    found = pixels.shape[2]
    if found == bands:
        return pixels
    if found == 1:  # a grey image shown to a colour net
        return np.repeat(pixels, bands, axis=2)
    raise BadImageError(
        f"{name}: found {found} bands, expected {bands}",
        f"use images of {bands} bands, or train a network on packs of `pack images --bands {found}`",
    )
