"""Turns pictures as their cameras and editors ask for: the orientation of EXIF and TIFF."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

ORIENTATION_TAG = 0x0112
UPRIGHT = 1

_EXIF_FAULTS = (SyntaxError, OSError, ValueError, TypeError, LookupError, ArithmeticError, struct.error)
_EXIF = b"Exif\0\0"
_APP1, _START_OF_SCAN = 0xE1, 0xDA
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """[h, w, bands] as it is to be shown: [h, w, bands], or [w, h, bands] for orientations 5 to 8.

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
    """1 to 8; a picture without the tag, or with one that cannot be read, is upright."""
    try:
        return _valid(image.getexif().get(ORIENTATION_TAG))
    except _EXIF_FAULTS:
        return UPRIGHT


def read_jpeg_orientation(data: bytes) -> int:
    """As read_orientation, of the bytes of a JPEG file, of which only the headers are looked at."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == _START_OF_SCAN:
            break
        if marker == 0xFF or marker in _WITHOUT_LENGTH:  # 0xFF may be repeated before a marker
            place += 1 if marker == 0xFF else 2
            continue
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == _APP1 and data[place + 4 : place + 10] == _EXIF:
            exif = Image.Exif()
            try:
                exif.load(data[place + 4 : end])
                return _valid(exif.get(ORIENTATION_TAG))
            except _EXIF_FAULTS:
                return UPRIGHT
        place = end
    return UPRIGHT


def _valid(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else UPRIGHT
