"""Turns pictures as their cameras and editors ask for: the orientation of EXIF and TIFF."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

from convnet_galaxies.data.quiet import quiet_warnings

ORIENTATION_TAG = 0x0112
UPRIGHT = 1

_EXIF_FAULTS = (SyntaxError, OSError, ValueError, TypeError, LookupError, ArithmeticError, struct.error)
_HOLDING_THE_TAG = frozenset(("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"))
_EXIF = b"Exif\0\0"
_APPLICATION_OR_COMMENT = frozenset(bytes([marker]) for marker in (*range(0xE0, 0xF0), 0xFE))


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return [h, w, bands] as it is to be shown: [h, w, bands], or [w, h, bands] for orientations 5 to 8.

    orientation: 1 to 8, where the first row and the first column of the file belong (TIFF 6.0, page 36); anything else
        is taken as 1, which is upright.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def read_orientation(image: Image.Image) -> int:
    """1 to 8; a picture without the tag, or with one that cannot be read, is upright.

    image: one that is loaded, since the tag may stand behind the pixels. Pillow turns TIFF files itself.
    """
    if _HOLDING_THE_TAG.isdisjoint(image.info):
        return UPRIGHT
    try:
        return _valid(image.getexif().get(ORIENTATION_TAG))
    except _EXIF_FAULTS:
        return UPRIGHT


def read_jpeg_orientation(data: bytes) -> int:
    """Read the orientation from the bytes of a JPEG file: its application segments, which precede all others."""
    place = 2
    while data[place : place + 1] == b"\xff" and data[place + 1 : place + 2] in _APPLICATION_OR_COMMENT:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place + 4 : place + 10] == _EXIF:
            exif = Image.Exif()
            try:
                with quiet_warnings():
                    exif.load(data[place + 4 : end])
                    return _valid(exif.get(ORIENTATION_TAG))
            except _EXIF_FAULTS:
                return UPRIGHT
        place = end
    return UPRIGHT


def _valid(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else UPRIGHT
