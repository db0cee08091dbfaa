"""Rice-compressed images (fpack), with astropy's own decoder but without its bookkeeping per tile.

astropy handles each tile in Python; the fpack of a stamp has a tile per row, more than a thousand of them. Here the
table is read at once, and scales and zero points are applied to all tiles together. Everything that is not the common
case (another algorithm, dithering, tiles that do not divide the image, blanks) is left to astropy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convnet_galaxies.data.fits_cards import Cards

try:  # private in astropy: without it the general way is taken
    from astropy.io.fits.hdu.compressed._compression import decompress_rice_1_c
except ImportError:
    decompress_rice_1_c = None

_TYPES = {-32: np.float32, -64: np.float64, 8: np.uint8, 16: np.int16, 32: np.int32}


def read_tiles(hdu: Any, data: bytes) -> np.ndarray | None:
    """The pixels of a compressed image HDU, as hdu.data gives them; None where astropy is to read them itself.

    data: the bytes of the whole file.
    """
    table = getattr(hdu, "_bintable", None)
    if table is None or decompress_rice_1_c is None:
        return None
    header = Cards(table.header)
    if header.get("ZCMPTYPE") not in ("RICE_1", "RICE_ONE") or header.get("ZQUANTIZ", "NO_DITHER") not in (
        "NO_DITHER",
        "NONE",
    ):
        return None
    if {"ZBLANK", "ZSCALE", "ZZERO"} & set(header) or header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0:
        return None
    shape = tuple(header[f"ZNAXIS{axis}"] for axis in range(header["ZNAXIS"], 0, -1))
    tile = tuple(header.get(f"ZTILE{axis}", shape[-1] if axis == 1 else 1) for axis in range(len(shape), 0, -1))
    if any(length % part for length, part in zip(shape, tile, strict=True)):
        return None
    parameters = {header[f"ZNAME{k}"]: header[f"ZVAL{k}"] for k in range(1, 9) if f"ZNAME{k}" in header}
    block, bytepix = parameters.get("BLOCKSIZE", 32), parameters.get("BYTEPIX", 4)
    fields = dict(zip(table.columns.names, table.columns.formats, strict=True))
    if not fields.get("COMPRESSED_DATA", "").startswith("1PB") or "ZBLANK" in fields:
        return None
    start = table.fileinfo()["datLoc"]
    rows = np.frombuffer(data, table.columns.dtype.newbyteorder(">"), count=header["NAXIS2"], offset=start)
    heap = start + header.get("THEAP", header["NAXIS1"] * header["NAXIS2"])
    lengths, offsets = rows["COMPRESSED_DATA"].T.tolist()
    if not all(lengths):
        return None  # tiles that were not compressed stand in another column
    pixels = int(np.prod(tile))
    view = memoryview(data)[heap : heap + header["PCOUNT"]]
    parts = [
        decompress_rice_1_c(bytes(view[at : at + length]), block, bytepix, pixels)
        for length, at in zip(lengths, offsets, strict=True)
    ]
    values = np.frombuffer(b"".join(parts), f"i{bytepix}").reshape(len(parts), pixels)
    wanted = _TYPES[header["ZBITPIX"]]
    if "ZSCALE" in fields:
        values = values * rows["ZSCALE"][:, None] + rows["ZZERO"][:, None]
    grid = [length // part for length, part in zip(shape, tile, strict=True)]
    axes = len(shape)
    blocks = values.astype(wanted).reshape(*grid, *tile)
    order = [axis for pair in zip(range(axes), range(axes, 2 * axes), strict=True) for axis in pair]
    return blocks.transpose(order).reshape(shape)
