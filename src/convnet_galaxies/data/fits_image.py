"""Reads images from FITS files as surveys write them: which planes show the sky, in which bands, what is missing.

Every plane gets a role from its extension's name, the cards of pipelines and archives, and its kind of numbers;
science planes become bands, masks and weights mark missing pixels, everything else is passed over and named.
"""

from __future__ import annotations

import bz2
import gzip
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
from convnet_galaxies.data.fits_hdus import (
    Hdu,
    choose_science,
    is_image_hdu,
    list_image_hdus,
    owner_of,
    require_one_place,
    squeeze,
)
from convnet_galaxies.data.fits_header import Role, bands_of, first_row_is_top
from convnet_galaxies.data.fits_sky import read_pixel_scale
from convnet_galaxies.data.fits_zeropoint import ZeroPoint, read_zeropoint
from convnet_galaxies.data.linear_image import LinearImage, Plane
from convnet_galaxies.data.missing import apply_layer, mark_missing
from convnet_galaxies.data.quiet import quiet_warnings
from convnet_galaxies.errors import BadImageError

FITS_ENDINGS = (
    *(plain + packed for packed in (".fz", ".gz", ".bz2", "") for plain in (".fits", ".fit", ".fts")),
    ".fz",
)
"""In lower case, longer ones before those that they end with."""

_MOST_BANDS_LAST = 10
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
    _keep_freed_memory()
    try:
        plain = unpack(data)
        with _open(plain) as opened:
            return _read(opened, plain, name, hdus, band, file_role)
    except BadImageError:
        raise
    except Exception as error:
        raise _broken(name, error) from None


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
        raise _broken(name, error) from None
    raise BadImageError(f"{name}: found no image, expected a mask or weight", "remove the file, or fetch it again")


def is_fits(data: bytes, name: str) -> bool:
    """Return whether the bytes, or the name they go by, are those of a FITS file."""
    return data[:9] == b"SIMPLE  =" or name.lower().endswith(FITS_ENDINGS)


def unpack(data: bytes) -> bytes:
    """Return the bytes of a FITS file that may be packed by gzip or bzip2."""
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    return bz2.decompress(data) if data[:3] == b"BZh" else data


def list_hdus(data: bytes, name: str) -> tuple[str, ...]:
    """List the HDUs of a FITS file in order: ``image``, ``table`` or ``empty`` for each HDU; raises BadImageError."""
    try:
        with _open(unpack(data)) as opened:
            return tuple(
                "image" if is_image_hdu(hdu) else "empty" if hdu.is_image or not len(hdu.columns) else "table"
                for hdu in opened
            )
    except Exception as error:
        raise _broken(name, error) from None


def _broken(name: str, error: Exception) -> BadImageError:
    """Damaged bytes reach many layers of astropy and its decoders, each of which raises errors of its own kind."""
    text = " ".join(str(error).split()) or type(error).__name__
    return BadImageError(
        f"{name}: cannot be read as FITS ({text})", "fetch the file again, or pass --skip-bad to leave it out"
    )


@cache
def _keep_freed_memory() -> None:
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
    images = list_image_hdus(opened)
    science = choose_science(images, wanted, opened, name, file_role)
    first, primary = science[0], Cards(opened[0].header)
    require_one_place(science, name)
    planes: list[Plane] = []
    owners: list[Hdu] = []
    for one in science:
        cube = _cube(one, data, name)
        bands, source, band_fault = _bands(one.header, primary, len(cube), alone=len(science) == 1)
        zeropoint, zeropoint_fault = _zeropoint(one.header, primary)
        for k, values in enumerate(cube):
            label = one.label if len(cube) == 1 else f"plane {k + 1}" if len(science) == 1 else f"{one.label} {k + 1}"
            planes.append(Plane(values, label, bands[k], source, zeropoint, band_fault, zeropoint_fault))
            owners.append(one)
    if len(planes) == 1 and planes[0].band is None and band is not None:
        planes = [replace(planes[0], band=band, band_source="the file's name")]
    if len(science) > 1 and not any(plane.band for plane in planes):
        listed, source, fault = _bands(primary, primary, len(planes), alone=True)
        planes = [
            replace(p, band=b, band_source=source, band_fault=p.band_fault or fault)
            for p, b in zip(planes, listed, strict=True)
        ]
    is_picture = all(plane.values.dtype == np.uint8 for plane in planes)
    others = [image for image in images if image not in science]
    if not is_picture:
        planes = [replace(plane, values=_as_float(plane.values)) for plane in planes]
        for plane in planes:
            mark_missing(plane.values)
        _apply_masks(planes, owners, science, others)
    from_bottom = not (first_row_is_top(first.header) or first_row_is_top(primary))
    if from_bottom:
        planes = [replace(plane, values=plane.values[::-1]) for plane in planes]
    scale = read_pixel_scale(first.header) or read_pixel_scale(primary)
    passed = tuple(f"{other.label} ({other.role})" for other in others)
    header = first.header if "CTYPE1" in first.header else primary
    return LinearImage(tuple(planes), is_picture, scale, passed, rows_from_bottom=from_bottom, header=header)


def _cube(one: Hdu, data: bytes, name: str) -> np.ndarray:
    """Return the data as [planes, h, w], as stored."""
    values = _find_stored(one, data)
    if values is None:
        values = one.hdu.data
    if values is None:
        raise BadImageError(f"{name}, {one.label}: found no data", "fetch the file again")
    cube = values.reshape(squeeze(values.shape))
    cube = cube[None] if cube.ndim == 2 else cube
    planes, h, w = cube.shape
    if w <= _MOST_BANDS_LAST < min(planes, h):
        raise BadImageError(
            f"{name}, {one.label}: found the shape {list(cube.shape)}, expected [bands, h, w]: the bands seem to be on "
            "the last axis",
            "write the array with its bands on the first axis (numpy.moveaxis(array, -1, 0))",
        )
    return cube


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


def _bands(header: Cards, primary: Cards, number: int, *, alone: bool) -> tuple[tuple[Band | None, ...], str, str]:
    """Bands of a HDU's planes, the card that tells them, and the contradiction of cards (nothing without one)."""
    try:
        found = bands_of(header, number)
        if found is None and (alone or number > 1) and primary is not header:
            found = bands_of(primary, number)
    except ValueError as error:
        return (None,) * number, "", str(error)
    return (*found, "") if found is not None else ((None,) * number, "", "")


def _zeropoint(header: Cards, primary: Cards) -> tuple[ZeroPoint | None, str]:
    try:
        return read_zeropoint(header, primary), ""
    except ValueError as error:
        return None, str(error)


def _as_float(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32) if values.dtype != np.float32 else values.copy()


def _apply_masks(planes: list[Plane], owners: list[Hdu], science: list[Hdu], others: list[Hdu]) -> None:
    for other in others:
        if other.role not in ("mask", "weight", "error") or other.shape[-2:] != science[0].shape[-2:]:
            continue
        owner = owner_of(other, science)
        mine = [plane for plane, one in zip(planes, owners, strict=True) if owner is None or one is owner]
        layers = other.hdu.data.reshape(other.shape)
        for k, plane in enumerate(mine):
            if layers.ndim == 3 and len(layers) != len(mine):
                break
            layer = layers[k] if layers.ndim == 3 else layers
            apply_layer(plane.values, layer, other.role, other.header)
