"""Decodes pictures by what their bytes are: JPEG by a fast decoder, 16-bit ones by another, the rest by Pillow."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from convnet_galaxies.data.linear_picture import (
    PNG_MODES,
    PNG_START,
    TIFF_STARTS,
    decode_png,
    decode_tiff,
    is_deep_png,
    read_page,
    require_size,
)
from convnet_galaxies.data.orientation import UPRIGHT, read_jpeg_orientation, read_orientation, turn_upright
from convnet_galaxies.data.quiet import quiet_warnings
from convnet_galaxies.errors import BadImageError

PICTURE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp")
PICTURE_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP")
"""Formats that Pillow may read; some of its other formats would run other programs."""

PICTURE_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    RuntimeError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Exceptions of decoders for damaged bytes."""

_WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
_TO_RGB = ("CMYK", "YCbCr", "LAB", "HSV")


def decode_picture(data: bytes, name: str) -> np.ndarray:
    """Decode bytes of a picture to [h, w, bands], upright and without alpha.

    uint8 for pictures of up to 8 bits, which are taken as they are; uint16, or float32 with its NaN, for linear values.
    Bands are 1 for grey and 3 for colours, palettes and inks; a TIFF file may have others.
    Raises BadImageError when the bytes are no whole picture, or several.
    """
    return decode_with_alpha(data, name)[0]


def decode_with_alpha(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode as `decode_picture`; also return the alpha channel [h, w], of the same dtype, or None without one."""
    with _decoders(data, name):
        if is_deep_png(data):
            pixels, alpha = decode_png(data, name)
            with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as image:
                image.load()
                orientation = read_orientation(image)
            return turn_upright(pixels, orientation), _turn_alpha(alpha, orientation)
        page = read_page(data, name) if data[:4] in TIFF_STARTS else None
        if page is not None and page.is_plain:
            return decode_tiff(data, page)
        return _decode_by_pillow(data, name, 0 if page is None else page.number)


def decode_jpeg(
    data: bytes, name: str, *, bands: int, crop_px: int | None = None, size_px: int | None = None
) -> tuple[np.ndarray, float]:
    """Decode JPEG bytes to uint8 [h, w, 1 or 3], upright, and by how much it was shrunk.

    bands: 1 for grey, anything else for colour.
    crop_px, size_px: a central square of crop_px source pixels (None: of the shorter side) is wanted at size_px
        pixels or more; without size_px nothing is shrunk.

    The decoder shrinks while it decodes (its inverse cosine transform makes fewer pixels), which is faster than
    decoding the whole image and averages as well; only shrinkings by eighths are possible. Inks are taken as Adobe
    writes them, inverted.
    """
    try:
        height, width = simplejpeg.decode_jpeg_header(data)[:2]
        require_size(height, width, name)
        shrink = 1.0 if size_px is None else max(1.0, (crop_px or min(height, width)) / size_px)
        pixels = simplejpeg.decode_jpeg(
            data,
            "GRAY" if bands == 1 else "RGB",
            min_height=math.ceil(height / shrink),
            min_width=math.ceil(width / shrink),
        )
    except (ValueError, MemoryError) as error:
        raise BadImageError(
            f"{name}: cannot be decoded ({error}), expected a whole JPEG image",
            "fetch the file again, or pass --skip-bad to leave it out",
        ) from None
    shrunk = height / pixels.shape[0]
    orientation = read_jpeg_orientation(data)
    return (pixels if orientation == UPRIGHT else turn_upright(pixels, orientation)), shrunk


def name_form(data: bytes, name: str) -> tuple[str, str, bool]:
    """Return the format of a picture, its mode (``RGB``, ``L, 16 bits``), and whether it has alpha; only its header is
    read.

    Raises BadImageError for bytes that are no picture.
    """
    with _decoders(data, name):
        if data[:4] in TIFF_STARTS:
            page = read_page(data, name)
            return "TIFF", page.mode + (f", {page.bits} bits" if page.bits > 8 else ""), page.has_alpha
        if is_deep_png(data):
            mode = PNG_MODES[data[25]]
            return "PNG", f"{mode}, 16 bits", mode in _WITH_ALPHA
        with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as image:
            form = "JPEG" if image.format == "MPO" else str(image.format)  # several JPEGs in one, the first is read
            return form, image.mode, image.mode in _WITH_ALPHA


@contextmanager
def _decoders(data: bytes, name: str) -> Iterator[None]:
    """Whatever decoders raise or warn of becomes one BadImageError."""
    try:
        with quiet_warnings():
            yield
    except PICTURE_FAULTS as error:
        raise BadImageError(
            f"{name}: cannot be decoded (found {_name_fault(data, error)}), expected a whole JPEG, PNG, TIFF, WebP or "
            "FITS image",
            "fetch the file again, or pass --skip-bad to leave it out",
        ) from None


def _decode_by_pillow(data: bytes, name: str, page: int) -> tuple[np.ndarray, np.ndarray | None]:
    with Image.open(io.BytesIO(data), formats=PICTURE_FORMATS) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format in ("WEBP", "GIF"):
            raise BadImageError(
                f"{name}: found {frames} pictures in one file (an animation), expected one",
                "save the one that is meant as a file of its own",
            )
        if page:
            image.seek(page)
        image.load()
        orientation = read_orientation(image)
        if image.mode in ("P", "PA", "RGBa", "La"):
            values = np.asarray(image.convert("RGBA"))
        else:
            values = np.asarray(image.convert("RGB") if image.mode in _TO_RGB else image)
        has_alpha = image.mode in _WITH_ALPHA or (image.mode == "P" and "transparency" in image.info)
    values = values[..., None] if values.ndim == 2 else values
    if values.dtype == bool:
        values = values.astype(np.uint8) * 255
    elif values.dtype != np.uint8:
        values = values.astype(np.uint16 if values.dtype.kind == "u" and values.dtype.itemsize == 2 else np.float32)
    alpha = values[..., -1] if has_alpha else None
    if values.shape[2] in (2, 4):  # grey or colour with alpha; alpha is part of the label, never an input
        values = values[..., :-1]
    if orientation == UPRIGHT:
        return values, alpha
    return turn_upright(values, orientation), _turn_alpha(alpha, orientation)


def _turn_alpha(alpha: np.ndarray | None, orientation: int) -> np.ndarray | None:
    return None if alpha is None else turn_upright(alpha[..., None], orientation)[..., 0]


def _name_fault(data: bytes, error: Exception) -> str:
    if not data:
        return "an empty file"
    if not isinstance(error, UnidentifiedImageError):
        return str(error).strip() or type(error).__name__
    if data.startswith((PNG_START, *TIFF_STARTS)):
        return "a damaged picture, or colours that are not read"
    return "a web page" if data.lstrip()[:1] == b"<" and b"html" in data[:512].lower() else "no image format"
