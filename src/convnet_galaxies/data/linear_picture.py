"""Reads PNG and TIFF of more than 8 bits, whose values are linear, and TIFF of any number of bands.

Pillow keeps 8 bits of each colour and drops the rest without a word, hence another decoder.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from convnet_galaxies.data.orientation import ORIENTATION_TAG, UPRIGHT, turn_upright
from convnet_galaxies.errors import BadImageError

MAX_PIXELS = 178_956_970
"""Pixels of the largest picture that is decoded, as in Pillow: a file of a few bytes may claim to hold any number."""

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF, little-endian and big-endian."""

TIFF_MODES = {0: "L", 1: "L", 2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr", 8: "LAB"}

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_SAMPLES, _PLANAR, _EXTRA, _SAMPLE_FORMAT = 277, 284, 338, 339
_REDUCED_OR_MASK = 1 | 4
_WHITE_IS_ZERO, _RGB, _SEPARATE = 0, 2, 2
_JPEG = (6, 7)
_ALPHA = (1, 2)
_MAX_PAGES = 10_000

logging.getLogger("imagecodecs").addHandler(logging.NullHandler())  # else its warnings reach the terminal


@dataclass(frozen=True)
class TiffPage:
    """The picture among the pages of a TIFF file.

    number: of the page, from 0. mode: as Pillow's, of what is stored. bits: of each sample. bands: samples that are no
    alpha. is_plain: grey or colours as numbers of whole bytes, which decode_tiff takes.
    """

    number: int
    mode: str
    bits: int
    bands: int
    has_alpha: bool
    is_plain: bool
    is_separate: bool
    white_is_zero: bool
    orientation: int


def is_deep_png(data: bytes) -> bool:
    """Return whether the bytes begin as those of a PNG of 16 bits."""
    return data.startswith(PNG_START) and data[12:16] == b"IHDR" and data[24:25] == b"\x10"


def decode_png(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode bytes of a PNG of 16 bits to uint16 [h, w, 1 or 3], and its alpha [h, w] if it has one; not turned.

    Raises RuntimeError (of the decoder) or ValueError for damaged bytes, BadImageError for a picture too large.
    """
    from imagecodecs import png_decode

    require_size(int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big"), name)
    pixels = np.atleast_3d(png_decode(data))
    bands = 1 if pixels.shape[2] < 3 else 3
    return pixels[..., :bands], pixels[..., bands] if pixels.shape[2] > bands else None


def read_page(data: bytes, name: str) -> TiffPage:
    """Read the one picture of a TIFF file; smaller copies and masks, which are marked as such, are no pictures.

    Raises BadImageError when there are several or the size is none that is decoded.
    """
    pages = _read_directories(data)
    pictures = [number for number, page in enumerate(pages) if not _first(page, _SUBFILE, 0) & _REDUCED_OR_MASK]
    if len(pictures) > 1:
        raise BadImageError(
            f"{name}: found a TIFF file of {len(pictures)} pages, expected one picture",
            "save the page that is meant as a file of its own, or pages that are bands as one picture",
        )
    number = pictures[0] if pictures else 0
    page = pages[number]
    samples, photometric = _first(page, _SAMPLES, 1), _first(page, _PHOTOMETRIC, 0)
    require_size(_first(page, _HEIGHT, 0), _first(page, _WIDTH, 0), name, bands=samples)
    extra = page.get(_EXTRA, ())
    has_alpha = any(kind in _ALPHA for kind in extra)
    bands = 3 if photometric == _RGB else samples - sum(kind in _ALPHA for kind in extra)
    bits = set(page.get(_BITS, (1,)))
    return TiffPage(
        number,
        TIFF_MODES.get(photometric, "colours of a rare kind") + ("A" if has_alpha else ""),
        bits=max(bits),
        bands=bands,
        has_alpha=has_alpha,
        is_plain=TIFF_MODES.get(photometric) in ("L", "RGB")
        and len(bits) == 1
        and bits <= {8, 16, 32, 64}
        and _first(page, _COMPRESSION, 1) not in _JPEG,
        is_separate=_first(page, _PLANAR, 1) == _SEPARATE and samples > 1,
        white_is_zero=photometric == _WHITE_IS_ZERO,
        orientation=_first(page, ORIENTATION_TAG, UPRIGHT),
    )


def decode_tiff(data: bytes, page: TiffPage) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode bytes of a TIFF file to the numbers of a plain page [h, w, bands], and its alpha [h, w] if it has one.

    Numbers are uint8, uint16, or float32 for any other kind. Raises RuntimeError (of the decoder) or ValueError for
    damaged bytes.
    """
    from imagecodecs import tiff_decode

    values = np.asarray(tiff_decode(data, index=page.number, asrgb=False))
    values = np.moveaxis(values, 0, -1) if page.is_separate else np.atleast_3d(values)
    if values.ndim != 3 or values.dtype.kind not in "uif" or values.shape[2] < page.bands:
        raise ValueError(f"numbers of the kind {values.dtype} in the shape {values.shape}")
    if page.white_is_zero and values.dtype.kind == "u":
        values = np.iinfo(values.dtype).max - values
    if values.dtype not in (np.uint8, np.uint16):
        values = values.astype(np.float32)
    values = turn_upright(values, page.orientation)
    return values[..., : page.bands], values[..., page.bands] if page.has_alpha else None


def require_size(height: int, width: int, name: str, *, bands: int = 1) -> None:
    """Raise BadImageError unless a picture of this size may be decoded; see MAX_PIXELS."""
    if not (height > 0 and width > 0 and bands > 0):
        raise BadImageError(f"{name}: found a picture of {width} x {height} px, expected some", "fetch the file again")
    if height * width * max(1, bands // 4) > MAX_PIXELS:
        raise BadImageError(
            f"{name}: found {width:,} x {height:,} px of {bands} band{'s' if bands > 1 else ''}, expected at most "
            f"{MAX_PIXELS:,} pixels in a picture",
            "cut it into smaller pictures, or give it as FITS",
        )


def _read_directories(data: bytes) -> list[ImageFileDirectory_v2]:
    stream = io.BytesIO(data)
    header = stream.read(8)
    if header[2:4] == b"\0+":
        raise ValueError("a BigTIFF file of big-endian numbers, which is not read")
    header += stream.read(8) if header[2:3] == b"+" else b""
    place = ImageFileDirectory_v2(header).next
    pages: list[ImageFileDirectory_v2] = []
    seen: set[int] = set()
    while place and place not in seen and len(pages) < _MAX_PAGES:
        seen.add(place)
        page = ImageFileDirectory_v2(header)
        stream.seek(place)
        page.load(stream)
        if not len(page):
            break
        pages.append(page)
        place = page.next
    if not pages:
        raise ValueError("no page")
    return pages


def _first(page: ImageFileDirectory_v2, tag: int, otherwise: int) -> int:
    value = page.get(tag, otherwise)
    return int(value[0] if isinstance(value, tuple) else value)
