"""Decodes pictures: JPEG by a fast decoder, other formats by Pillow."""

from __future__ import annotations

import io
import math

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from convnet_galaxies.errors import BadImageError

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png")

PIL_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # where the caller turns warnings into errors
)


def decode_picture(data: bytes, name: str) -> np.ndarray:
    """Bytes of a picture to [h, w, bands], without alpha: uint8, or uint16 and more where its values are linear.

    Raises BadImageError when the bytes are no whole picture.
    """
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
    return pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels


def decode_jpeg(
    data: bytes, name: str, *, bands: int, crop_px: int | None = None, size_px: int | None = None
) -> tuple[np.ndarray, float]:
    """JPEG bytes to uint8 [h, w, 1 or 3] and by how much it was shrunk.

    bands: 1 for grey, anything else for colour.
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
    return pixels, height / pixels.shape[0]
