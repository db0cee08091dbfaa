"""Rice-compressed images (fpack), with astropy's own decoder but without its bookkeeping per image and per tile.

astropy handles each tile in Python, and makes an image's header from the table's for the time of a plain image. The
fpack of a stamp has a tile per row, more than a thousand of them. Here the table is read at once, and scales and zero
points are applied to many tiles together. Everything that is not the common case (another algorithm, dithering, tiles
that do not divide the image, blanks) is left to astropy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from convnet_galaxies.data.fits_cards import Cards

try:  # private in astropy: without it the general way is taken
    from astropy.io.fits.hdu.compressed._compression import decompress_rice_1_c
except ImportError:
    decompress_rice_1_c = None

_TYPES = {-32: np.float32, -64: np.float64, 8: np.uint8, 16: np.int16, 32: np.int32}
_FORMATS: dict[str, Any] = {"1PB": np.dtype((">i4", 2)), "1D": np.dtype(">f8"), "1J": np.dtype(">i4")}
_TILES_AT_ONCE = 128
"""So many rows of a stamp stay in the processor's cache between one step and the next."""

_OF_THE_TABLE = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|[PG]COUNT|TFIELDS|THEAP|CHECKSUM|DATASUM|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM)\d+|"
    r"Z(IMAGE|CMPTYPE|MASKCMP|QUANTIZ|DITHER0|SIMPLE|TENSION|EXTEND|BLOCKED|[PG]COUNT|HECKSUM|DATASUM|"
    r"(TILE|NAME|VAL)\d+)"
)
_OF_THE_IMAGE = re.compile(r"Z(BITPIX|NAXIS\d*)")


@dataclass(frozen=True, eq=False)
class TiledImage:
    """A compressed image as list_image_hdus and choose_science take an HDU of astropy.

    table, rows: cards and rows of the table that holds it. tile: the shape of each tile. heap: the compressed bytes.
    """

    table: Cards
    rows: np.ndarray
    shape: tuple[int, ...]
    tile: tuple[int, ...]
    heap: bytes
    is_image: bool = True

    @cached_property
    def header(self) -> Cards:
        """The cards of the image, without those of the table."""
        unnamed = self.table.get("EXTNAME") == "COMPRESSED_IMAGE"
        return self.table.rename(lambda key: None if unnamed and key == "EXTNAME" else _card_of_image(key))

    @property
    def name(self) -> str:
        return str(self.header.get("EXTNAME", "COMPRESSED_IMAGE"))

    @property
    def ver(self) -> Any:
        return self.header.get("EXTVER", 1)

    @cached_property
    def data(self) -> np.ndarray:
        """The pixels, as astropy gives them. Damaged bytes raise errors of many kinds."""
        header, rows, pixels = self.table, self.rows, int(np.prod(self.tile))
        parameters = {header[f"ZNAME{k}"]: header[f"ZVAL{k}"] for k in range(1, 9) if f"ZNAME{k}" in header}
        block, bytepix = parameters.get("BLOCKSIZE", 32), parameters.get("BYTEPIX", 4)
        lengths, offsets = rows["COMPRESSED_DATA"].T.tolist()
        is_scaled = "ZSCALE" in (rows.dtype.names or ())
        scale, zero = (rows[name].astype(float)[:, None] if is_scaled else None for name in ("ZSCALE", "ZZERO"))
        out = np.empty((len(rows), pixels), _TYPES[header["ZBITPIX"]])
        for first in range(0, len(rows), _TILES_AT_ONCE):
            some = slice(first, first + _TILES_AT_ONCE)
            parts = [
                decompress_rice_1_c(self.heap[at : at + length], block, bytepix, pixels)
                for length, at in zip(lengths[some], offsets[some], strict=True)
            ]
            values = np.frombuffer(b"".join(parts), f"i{bytepix}").reshape(len(parts), pixels)
            if scale is not None and zero is not None:
                values = values * scale[some]
                values += zero[some]
            out[some] = values
        grid = [length // part for length, part in zip(self.shape, self.tile, strict=True)]
        axes = len(self.shape)
        order = [axis for pair in zip(range(axes), range(axes, 2 * axes), strict=True) for axis in pair]
        return out.reshape(*grid, *self.tile).transpose(order).reshape(self.shape)


def find_tiles(hdu: Any, data: bytes) -> TiledImage | None:
    """Find the compressed image that a table of a FITS file holds; None where astropy is to read it itself.

    data: the bytes of the whole file.
    """
    try:
        return _find_tiles(hdu, data)
    except (KeyError, TypeError, ValueError):
        return None  # cards or rows are missing


def _find_tiles(hdu: Any, data: bytes) -> TiledImage | None:
    header = Cards(hdu.header)
    if decompress_rice_1_c is None or header.get("ZCMPTYPE") not in ("RICE_1", "RICE_ONE"):
        return None
    if header.get("ZQUANTIZ", "NO_DITHER") not in ("NO_DITHER", "NONE"):
        return None
    if {"ZBLANK", "ZSCALE", "ZZERO"} & set(header) or header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0:
        return None
    shape = tuple(header[f"ZNAXIS{axis}"] for axis in range(header["ZNAXIS"], 0, -1))
    tile = tuple(header.get(f"ZTILE{axis}", shape[-1] if axis == 1 else 1) for axis in range(len(shape), 0, -1))
    if any(length % part for length, part in zip(shape, tile, strict=True)):
        return None
    fields = {
        header[f"TTYPE{k}"]: _FORMATS.get(header[f"TFORM{k}"].split("(")[0]) for k in range(1, header["TFIELDS"] + 1)
    }
    if "COMPRESSED_DATA" not in fields or "ZBLANK" in fields or None in fields.values():
        return None
    start = hdu.fileinfo()["datLoc"]
    rows = np.frombuffer(data, np.dtype(list(fields.items())), count=header["NAXIS2"], offset=start)
    if not rows["COMPRESSED_DATA"][:, 0].all():
        return None  # tiles that were not compressed stand in another column
    heap = start + header.get("THEAP", header["NAXIS1"] * header["NAXIS2"])
    return TiledImage(header, rows, shape, tile, data[heap : heap + header["PCOUNT"]])


def _card_of_image(keyword: str) -> str | None:
    """Return the keyword under which an image has a card of its table; None for one that tells of the table alone."""
    if _OF_THE_IMAGE.fullmatch(keyword):
        return keyword[1:]
    return None if _OF_THE_TABLE.fullmatch(keyword) else keyword
