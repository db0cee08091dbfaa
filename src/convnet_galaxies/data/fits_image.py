"""Reads images from FITS files as surveys write them: which planes show the sky, in which bands, what is missing.

Every plane gets a role from its extension's name, the cards of pipelines and archives, and its kind of numbers;
science planes become bands, masks and weights mark missing pixels, everything else is passed over and named.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from convnet_galaxies.data.bands import Band
from convnet_galaxies.data.fits_cards import Cards
from convnet_galaxies.data.fits_hdus import Hdu, is_image_hdu, list_image_hdus, squeeze
from convnet_galaxies.data.fits_header import Role, first_row_is_top
from convnet_galaxies.data.fits_plan import plan_planes
from convnet_galaxies.data.linear_image import LinearImage
from convnet_galaxies.data.missing import apply_layer, mark_missing
from convnet_galaxies.data.quiet import quiet_warnings
from convnet_galaxies.data.unpack import unpack
from convnet_galaxies.errors import BadImageError

FITS_ENDINGS = (
    *(plain + packed for packed in (".fz", ".gz", ".bz2", "") for plain in (".fits", ".fit", ".fts")),
    ".fz",
)
"""In lower case, longer ones before those that they end with."""

_KINDS = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


def read_fits(
    data: bytes,
    name: str,
    *,
    hdus: Sequence[str] | None = None,
    band: Band | None = None,
    file_role: Role | None = None,
) -> LinearImage:
    """Read bytes of a FITS file (plain, fpack, gzip or bzip2) to its science planes; the first row is the top of the
    sky.

    A cube [bands, h, w] gives its planes; image extensions of the same sky give one band each.
    hdus: names or numbers (from 0) of the HDUs that are science planes, instead of what the headers tell.
    band, file_role: what the file's name tells of a file of one band.
    Raises BadImageError for a broken file; for none or several possible images, listing the extensions; for planes of
    different shape or sky; and for cards that contradict each other.
    """
    keep_freed_memory()
    try:
        plain = unpack(data)
        with _open(plain) as opened:
            return _read(opened, plain, name, hdus, band, file_role)
    except BadImageError:
        raise
    except Exception as error:
        raise name_broken(name, error) from None


def read_layer(data: bytes, name: str) -> tuple[np.ndarray, Cards]:
    """Read a mask or weight in a file of its own: its numbers [h, w] as they are, the top row first, and its header."""
    try:
        plain = unpack(data)
        with _open(plain) as opened:
            images = list_image_hdus(opened)
            if images:
                values = images[0].hdu.data.reshape(images[0].shape)
                header = images[0].header
                is_top = first_row_is_top(header) or first_row_is_top(Cards(opened[0].header))
                return (values if is_top else values[..., ::-1, :]), header
    except Exception as error:
        raise name_broken(name, error) from None
    raise BadImageError(f"{name}: found no image, expected a mask or weight", "remove the file, or fetch it again")


def is_fits(data: bytes, name: str) -> bool:
    """Return whether the bytes, or the name they go by, are those of a FITS file."""
    return data[:9] == b"SIMPLE  =" or name.lower().endswith(FITS_ENDINGS)


def list_hdus(data: bytes, name: str) -> tuple[str, ...]:
    """List the HDUs of a FITS file in order: ``image``, ``table`` or ``empty`` for each HDU; raises BadImageError."""
    try:
        with _open(unpack(data)) as opened:
            return tuple(
                "image" if is_image_hdu(hdu) else "empty" if hdu.is_image or not len(hdu.columns) else "table"
                for hdu in opened
            )
    except Exception as error:
        raise name_broken(name, error) from None


def name_broken(name: str, error: Exception) -> BadImageError:
    """Return the error for a damaged file, whose bytes reach many layers of astropy that raise errors of their own."""
    text = " ".join(str(error).split()) or type(error).__name__
    return BadImageError(
        f"{name}: cannot be read as FITS ({text})", "fetch the file again, or pass --skip-bad to leave it out"
    )


@cache
def keep_freed_memory() -> None:
    """Let freed memory stay with the process; glibc raises its limits after a large block is freed (mallopt(3)).

    Else each stamp gives several MB back and takes them anew: thousands of page faults, which virtual machines feel.
    """
    np.empty(31 << 20, np.uint8)


@contextmanager
def _open(data: bytes) -> Iterator[list[Any]]:
    """Open the HDUs of a file; compressed images are ours where all of them can be (see fits_tiles), else astropy's.

    astropy is loaded here, since most users have pictures.
    """
    from astropy.io import fits

    from convnet_galaxies.data.fits_tiles import find_tiles

    with quiet_warnings():
        with fits.open(io.BytesIO(data), memmap=False, disable_image_compression=True) as opened:
            hdus = [find_tiles(hdu, data) if hdu.header.get("ZIMAGE") is True else hdu for hdu in opened]
            if None not in hdus:
                yield hdus
                return
        with fits.open(io.BytesIO(data), memmap=False) as opened:
            yield list(opened)


def _read(
    opened: list[Any],
    data: bytes,
    name: str,
    wanted: Sequence[str] | None,
    band: Band | None,
    file_role: Role | None,
) -> LinearImage:
    plan = plan_planes(opened, name, wanted, band, file_role)
    cubes = {one.number: _cube(one, data, name) for one, _ in plan.sources}
    planes = [
        replace(plane, values=cubes[one.number][k or 0])
        for plane, (one, k) in zip(plan.image.planes, plan.sources, strict=True)
    ]
    is_picture = all(plane.values.dtype == np.uint8 for plane in planes)
    if not is_picture:
        planes = [replace(plane, values=_as_float(plane.values)) for plane in planes]
        for plane in planes:
            mark_missing(plane.values)
        for layer in plan.layers:
            values = layer.hdu.hdu.data.reshape(layer.hdu.shape)
            for number, k in zip(layer.planes, layer.index, strict=True):
                one = values if k is None else values[k]
                apply_layer(planes[number].values, one, layer.hdu.role, layer.hdu.header)
    if plan.image.rows_from_bottom:
        planes = [replace(plane, values=plane.values[::-1]) for plane in planes]
    return replace(plan.image, planes=tuple(planes), is_picture=is_picture)


def _cube(one: Hdu, data: bytes, name: str) -> np.ndarray:
    """Return the data as [planes, h, w], as stored."""
    values = _find_stored(one, data)
    if values is None:
        values = one.hdu.data
    if values is None:
        raise BadImageError(f"{name}, {one.label}: found no data", "fetch the file again")
    cube = values.reshape(squeeze(values.shape))
    return cube[None] if cube.ndim == 2 else cube


def _find_stored(one: Hdu, data: bytes) -> np.ndarray | None:
    """Return the data of an image whose numbers stand in the file as they are, which are not copied; None for any
    other."""
    from astropy.io import fits

    header = one.header
    if type(one.hdu) not in (fits.PrimaryHDU, fits.ImageHDU) or {"BSCALE", "BZERO", "BLANK"} & set(header):
        return None
    start, number = one.hdu.fileinfo()["datLoc"], math.prod(one.hdu.shape)
    kind = np.dtype(_KINDS[header["BITPIX"]])
    if start + number * kind.itemsize > len(data):
        return None  # astropy tells what is amiss
    return np.frombuffer(data, kind, number, start).reshape(one.hdu.shape)


def _as_float(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32) if values.dtype != np.float32 else values.copy()
