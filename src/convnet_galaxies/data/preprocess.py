"""The one path from an image file to the uint8 pixels that nets see: decode, stretch, crop, shrink.

Training, prediction and scanning use the same Preprocess, and it travels with the weights.
"""

from __future__ import annotations

import gzip
import io
import math
import threading
import warnings
import zlib
from collections.abc import Callable
from typing import Annotated

import numpy as np
import simplejpeg
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field

from convnet_galaxies.errors import BadImageError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".fits", ".fit", ".fits.gz")
FITS_ENDINGS = (".fits", ".fit", ".fits.gz")

PIL_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # where the caller turns warnings into errors
)
FITS_FAULTS = (OSError, VerifyError, ValueError, TypeError, KeyError, IndexError, EOFError, zlib.error)

_warnings_lock = threading.Lock()  # the list of warning filters belongs to the process, images are decoded in threads


class Stretch(BaseModel):
    """How linear pixel values (FITS, 16-bit PNG) become uint8; 8-bit images are taken as they are.

    Each band loses its own sky (the median); all bands share one noise level (1.4826 times the median absolute
    deviation, averaged over the bands), so that colours survive. With v = (value - sky) / noise,
    ``out = 255 * (asinh(v / soft_sigma) - asinh(black_sigma / soft_sigma)) / (asinh(white_sigma / soft_sigma) -
    asinh(black_sigma / soft_sigma))``, cut at 0 and 255 (the asinh stretch of Lupton et al. 2004, PASP 116, 133).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    black_sigma: float = -2.0
    white_sigma: Annotated[float, Field(gt=0)] = 200.0
    soft_sigma: Annotated[float, Field(gt=0)] = 3.0

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Float [h, w, bands] to uint8 [h, w, bands]."""
        pixels = values.reshape(-1, values.shape[2])
        sky = np.median(pixels, axis=0)
        noise = float(np.mean(1.4826 * np.median(np.abs(pixels - sky), axis=0)))
        if noise == 0:  # more than half of the pixels alike: a cutout with a masked border, or a noiseless model
            noise = float(np.std(pixels)) or 1.0
        low, high = np.arcsinh(self.black_sigma / self.soft_sigma), np.arcsinh(self.white_sigma / self.soft_sigma)
        scaled = (np.arcsinh((values - sky) / (noise * self.soft_sigma)) - low) / (high - low)
        return (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)


class Preprocess(BaseModel):
    """Parameters of the path; equal parameters and equal files give equal pixels.

    crop_px: side in source pixels of the central square that is kept; None keeps the shorter side's square.
        Images that are smaller are padded with zeros, as the Space Warps cutouts are at the edge of their field.
    size_px: side of the result in pixels.
    bands: number of bands that reach the net. A fourth channel (alpha) is never among them: in Space Warps
        training images it is the answer.
    pixel_scale_arcsec: arcsec a source pixel that crop_px counts in; None when unknown.
    stretch: for linear images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop_px: Annotated[int, Field(gt=0)] | None = None
    size_px: Annotated[int, Field(gt=0)] = 96
    bands: Annotated[int, Field(gt=0)] = 3
    pixel_scale_arcsec: Annotated[float, Field(gt=0)] | None = None
    stretch: Stretch = Stretch()

    def __str__(self) -> str:
        crop = "the whole image" if self.crop_px is None else f"the central {self.crop_px} px"
        return f"{crop} to {self.size_px} px, {self.bands} band{'s' if self.bands > 1 else ''}"

    def decode(
        self, data: bytes, name: str, *, pixel_scale_arcsec: float | None = None, blue_first: bool = False
    ) -> np.ndarray:
        """Bytes of a JPEG, PNG or FITS file to uint8 [size_px, size_px, bands].

        name: for error messages, and its ending tells FITS from the rest.
        pixel_scale_arcsec: of this image, when it differs from that of the Preprocess.
        blue_first: the planes of a FITS file go from blue to red (g, r, i), those of a picture from red to blue.
        Raises BadImageError when the bytes are no such image or the bands do not fit.
        """
        return self.decode_measured(data, name, pixel_scale_arcsec=pixel_scale_arcsec, blue_first=blue_first)[0]

    def decode_measured(
        self, data: bytes, name: str, *, pixel_scale_arcsec: float | None = None, blue_first: bool = False
    ) -> tuple[np.ndarray, int]:
        """As decode, and the shorter side of the image as it was, in source pixels."""
        crop_px = self.crop_of(pixel_scale_arcsec)
        if data[:2] == b"\xff\xd8":
            pixels, shrunk = _decode_jpeg(data, name, bands=self.bands, crop_px=crop_px, size_px=self.size_px)
            side_px = round(min(pixels.shape[:2]) * shrunk)
            if crop_px is not None:
                crop_px = round(crop_px / shrunk)
        else:
            pixels = decode_whole(data, name, bands=self.bands, stretch=self.stretch)
            side_px = min(pixels.shape[:2])
            if blue_first and is_fits(data, name):
                pixels = pixels[..., ::-1]
        return self.fit(pixels, crop_px=crop_px), side_px

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
        bands = [
            np.asarray(Image.fromarray(np.ascontiguousarray(square[..., band])).resize((self.size_px,) * 2, method))
            for band in range(square.shape[2])
        ]
        return np.stack(bands, axis=-1)


def is_constant(pixels: np.ndarray) -> np.ndarray:
    """Mask [n] of the images, uint8 [n, h, w, bands], in which every band has one value everywhere."""
    return _all_images(pixels, lambda part: part == part[:1, :1])


def is_grey(pixels: np.ndarray) -> np.ndarray:
    """Mask [n] of the images, uint8 [n, h, w, bands], whose bands are all alike."""
    return _all_images(pixels, lambda part: part == part[..., :1])


def _all_images(pixels: np.ndarray, compare: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    middle = pixels.shape[1] // 2  # one row tells for nearly all images
    return np.array([bool(compare(one[middle : middle + 1]).all() and compare(one).all()) for one in pixels], bool)


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


def decode_whole(data: bytes, name: str, *, bands: int, stretch: Stretch) -> np.ndarray:
    """Bytes of an image file to uint8 [h, w, bands], nothing cropped. Raises BadImageError."""
    if data[:2] == b"\xff\xd8":
        return _decode_jpeg(data, name, bands=bands)[0]
    if is_fits(data, name):
        return stretch.apply(_fit_bands(read_fits_planes(data, name), bands, name))
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            pixels = np.asarray(image.convert("RGBA") if image.mode in ("P", "PA") else image)
    except PIL_FAULTS as error:
        kind = isinstance(error, UnidentifiedImageError)
        found = ("an empty file" if not data else "no image format") if kind else str(error)
        raise BadImageError(
            f"{name}: cannot be decoded (found {found}), expected a whole JPEG, PNG or FITS image",
            "fetch the file again, or pass --skip-bad to leave it out",
        ) from None
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.shape[2] in (2, 4):  # grey or colour with alpha; alpha is part of the label, never an input
        pixels = pixels[..., :-1]
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    pixels = _fit_bands(pixels, bands, name)
    return pixels if pixels.dtype == np.uint8 else stretch.apply(pixels.astype(np.float32))


def read_fits_planes(data: bytes, name: str) -> np.ndarray:
    """Bytes of a FITS file to float32 [h, w, bands]: the first image, or all two-dimensional images of one shape.

    A cube [bands, h, w] gives its planes; several image extensions of one shape give a band each.
    Raises BadImageError for a broken file, no image, or pixels that are not finite.
    """
    try:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a truncated file warns first and fails then; the error says it all
            with fits.open(io.BytesIO(data), memmap=False) as hdus:
                images = [hdu.data for hdu in hdus if hdu.is_image and hdu.data is not None]
    except FITS_FAULTS as error:
        raise BadImageError(
            f"{name}: cannot be read as FITS ({error})", "fetch the file again, or pass --skip-bad to leave it out"
        ) from None
    planes = [np.asarray(image) for image in images if image.ndim in (2, 3)]
    if not planes:
        raise BadImageError(
            f"{name}: found no image, expected a 2-D image or a [bands, h, w] cube", "check the file's extensions"
        )
    flat = [plane for cube in planes for plane in (cube if cube.ndim == 3 else cube[None])]
    cube = np.stack([plane for plane in flat if plane.shape == flat[0].shape], axis=-1).astype(np.float32)
    bad = int((~np.isfinite(cube)).sum())
    if bad:
        raise BadImageError(
            f"{name}: found {bad} pixels that are NaN or infinite, expected finite values",
            "fill them before packing (for instance with the sky level), or pass --skip-bad",
        )
    return cube


def is_fits(data: bytes, name: str) -> bool:
    """Whether the bytes, or the name they go by, are those of a FITS file."""
    return name.lower().endswith(FITS_ENDINGS) or data[:9] == b"SIMPLE  ="


def _fit_bands(pixels: np.ndarray, bands: int, name: str) -> np.ndarray:
    found = pixels.shape[2]
    if found == bands:
        return pixels
    if found == 1:  # a grey image shown to a colour net
        return np.repeat(pixels, bands, axis=2)
    raise BadImageError(
        f"{name}: found {found} bands, expected {bands}", f"pass --bands {found}, or use images of {bands} bands"
    )


def _decode_jpeg(
    data: bytes, name: str, *, bands: int, crop_px: int | None = None, size_px: int | None = None
) -> tuple[np.ndarray, float]:
    """JPEG bytes to uint8 [h, w, bands] and by how much it was shrunk.

    crop_px, size_px: a central square of crop_px source pixels (None: of the shorter side) is wanted at size_px
        pixels or more; without size_px nothing is shrunk.

    The decoder shrinks while it decodes (its inverse cosine transform makes fewer pixels), which is faster than
    decoding the whole image and averages as well; only shrinkings by eighths are possible.
    """
    try:
        height, width = simplejpeg.decode_jpeg_header(data)[:2]
        shrink = 1.0 if size_px is None else max(1.0, (crop_px or min(height, width)) / size_px)
        pixels = simplejpeg.decode_jpeg(
            data,
            "GRAY" if bands == 1 else "RGB",
            min_height=math.ceil(height / shrink),
            min_width=math.ceil(width / shrink),
        )
    except ValueError as error:
        raise BadImageError(
            f"{name}: cannot be decoded ({error}), expected a whole JPEG image",
            "fetch the file again, or pass --skip-bad to leave it out",
        ) from None
    return _fit_bands(pixels, bands, name), height / pixels.shape[0]
