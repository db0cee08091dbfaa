"""Reads images from FITS files as surveys write them: which planes show the sky, in which bands, what is missing.

Every plane gets a role from its extension's name, the cards of pipelines and archives, and its kind of numbers;
science planes become bands, masks and weights mark missing pixels, everything else is passed over and named.
"""

from __future__ import annotations

import bz2
import gzip
import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError

from convnet_galaxies.data.bands import Band
from convnet_galaxies.data.fits_header import (
    Cards,
    Role,
    bands_of,
    first_row_is_top,
    read_pixel_scale,
    read_zeropoint,
    role_of_header,
    role_of_text,
    same_sky,
)
from convnet_galaxies.data.fits_tiles import read_tiles
from convnet_galaxies.data.linear_image import LinearImage, Plane
from convnet_galaxies.data.missing import apply_layer, mark_missing
from convnet_galaxies.data.quiet import quiet_warnings
from convnet_galaxies.errors import BadImageError

FITS_ENDINGS = (
    *(plain + packed for packed in (".fz", ".gz", ".bz2", "") for plain in (".fits", ".fit", ".fts")),
    ".fz",
)
"""In lower case, longer ones before those that they end with."""
FITS_FAULTS = (
    OSError,
    VerifyError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    AttributeError,
    OverflowError,
    MemoryError,
    zlib.error,
)

_MOST_BANDS_LAST = 10
_PLAIN_WORDS = frozenset(("image", "sci", "data", "flux", "bgsub", "signal", "hdu", "coadd"))


@dataclass(frozen=True, eq=False)
class _Hdu:
    """One image of a file: its number, extension's name (with version where it has several), header, role and data."""

    number: int
    label: str
    hdu: Any
    role: Role

    @cached_property
    def header(self) -> Cards:
        return Cards(self.hdu.header)

    @property
    def shape(self) -> tuple[int, ...]:
        return _squeeze(self.hdu.shape)

    def __str__(self) -> str:
        return f"{self.label} ({' x '.join(map(str, self.shape[::-1]))})"


def read_fits(
    data: bytes,
    name: str,
    *,
    hdus: Sequence[str] | None = None,
    band: Band | None = None,
    file_role: Role | None = None,
) -> LinearImage:
    """Bytes of a FITS file (plain, fpack, gzip or bzip2) to its science planes; the first row is the top of the sky.

    A cube [bands, h, w] gives its planes; image extensions that show the same sky give a band each.
    hdus: names or numbers (from 0) of the HDUs that are science planes, instead of what the headers tell.
    band, file_role: what the file's name tells of a file of one band.
    Raises BadImageError for a broken file; for none or several possible images, listing the extensions; for planes of
    different shape or sky; and for cards that contradict each other.
    """
    try:
        plain = unpack(data)
        with quiet_warnings(), fits.open(io.BytesIO(plain), memmap=False) as opened:
            return _read(opened, plain, name, hdus, band, file_role)
    except BadImageError:
        raise
    except FITS_FAULTS as error:
        raise BadImageError(
            f"{name}: cannot be read as FITS ({str(error) or type(error).__name__})",
            "fetch the file again, or pass --skip-bad to leave it out",
        ) from None


def read_layer(data: bytes, name: str) -> tuple[np.ndarray, Cards]:
    """A mask or weight in a file of its own: its numbers [h, w] as they are, the top row first, and its header."""
    try:
        plain = unpack(data)
        with quiet_warnings(), fits.open(io.BytesIO(plain), memmap=False) as opened:
            images = _list_images(opened)
            if images:
                values = images[0].hdu.data.reshape(images[0].shape)
                header = images[0].header
                return (values if first_row_is_top(header) else values[..., ::-1, :]), header
    except FITS_FAULTS as error:
        raise BadImageError(f"{name}: cannot be read as FITS ({error})", "fetch the file again") from None
    raise BadImageError(f"{name}: found no image, expected a mask or weight", "remove the file, or fetch it again")


def is_fits(data: bytes, name: str) -> bool:
    """Whether the bytes, or the name they go by, are those of a FITS file."""
    return data[:9] == b"SIMPLE  =" or name.lower().endswith(FITS_ENDINGS)


def unpack(data: bytes) -> bytes:
    """The bytes of a FITS file that may be packed by gzip or bzip2."""
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    return bz2.decompress(data) if data[:3] == b"BZh" else data


def list_hdus(data: bytes, name: str) -> tuple[str, ...]:
    """What a FITS file holds, in order: ``image``, ``table`` or ``empty`` for each HDU; raises BadImageError."""
    try:
        with quiet_warnings(), fits.open(io.BytesIO(unpack(data)), memmap=False) as opened:
            return tuple(
                "image" if _is_image(hdu) else "empty" if hdu.is_image or not len(hdu.columns) else "table"
                for hdu in opened
            )
    except FITS_FAULTS as error:
        raise BadImageError(f"{name}: cannot be read as FITS ({error})", "fetch the file again") from None


def _read(
    opened: fits.HDUList,
    data: bytes,
    name: str,
    wanted: Sequence[str] | None,
    band: Band | None,
    file_role: Role | None,
) -> LinearImage:
    images = _list_images(opened)
    science = _choose(images, wanted, opened, name, file_role)
    first, primary = science[0], Cards(opened[0].header)
    _require_one_place(science, name)
    planes: list[Plane] = []
    owners: list[_Hdu] = []
    for one in science:
        cube = _cube(one, data, name)
        try:
            bands, source = _bands(one.header, primary, len(cube), alone=len(science) == 1)
            zeropoint = read_zeropoint(one.header, primary)
        except ValueError as error:
            raise BadImageError(
                f"{name}, {one.label}: {error}", "correct the header, or pass --bands or --zero-point"
            ) from None
        for k, values in enumerate(cube):
            label = one.label if len(cube) == 1 else f"plane {k + 1}" if len(science) == 1 else f"{one.label} {k + 1}"
            planes.append(Plane(values, label, bands[k], source, zeropoint))
            owners.append(one)
    if len(planes) == 1 and planes[0].band is None and band is not None:
        planes = [replace(planes[0], band=band, band_source="the file's name")]
    if len(science) > 1 and not any(plane.band for plane in planes):
        listed = bands_of(primary, len(planes)) if len(planes) > 1 else None
        if listed:
            planes = [replace(p, band=b, band_source=listed[1]) for p, b in zip(planes, listed[0], strict=True)]
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


def _list_images(opened: fits.HDUList) -> list[_Hdu]:
    found = [(number, hdu) for number, hdu in enumerate(opened) if _is_image(hdu)]
    names = [hdu.name for _, hdu in found]
    is_float = [hdu.header["BITPIX"] < 0 or hdu.header.get("BSCALE", 1) != 1 for _, hdu in found]
    images = []
    for (number, hdu), own_is_float in zip(found, is_float, strict=True):
        label = hdu.name or f"HDU {number}"
        if hdu.name and names.count(hdu.name) > 1:
            label = f"{hdu.name}:{hdu.ver}"
        role = role_of_header(hdu.header)
        if role is None and not own_is_float:
            beside = [one.shape[-2:] == hdu.shape[-2:] and f for (_, one), f in zip(found, is_float, strict=True)]
            role = "mask" if any(beside) else None  # whole numbers beside an image are flags
        images.append(_Hdu(number, label, hdu, role or "science"))
    science = [image for image in images if image.role == "science"]
    if science and "CTYPE1" in science[0].header:  # what has no place on the sky beside a plane that has: a PSF
        images = [
            replace(image, role="other")
            if image in science[1:] and "CTYPE1" not in image.header and image.shape[-2:] != science[0].shape[-2:]
            else image
            for image in images
        ]
    return images


def _choose(
    images: list[_Hdu], wanted: Sequence[str] | None, opened: fits.HDUList, name: str, file_role: Role | None
) -> list[_Hdu]:
    listed = ", ".join(f"{image} {image.role}" for image in images)
    if wanted is not None:
        chosen = []
        for text in wanted:
            found = [one for one in images if text.lower() in (one.label.lower(), str(one.number))]
            found = found or [one for one in images if one.hdu.name.lower() == text.lower()]
            if len(found) != 1:
                raise BadImageError(
                    f"{name}: found {listed or 'no image'}, expected {'one' if found else 'an'} image called {text}",
                    "name one by its extension or number (from 0): --hdu",
                )
            chosen += found
        return chosen
    if not images:
        tables = sum(isinstance(hdu, fits.BinTableHDU | fits.TableHDU) for hdu in opened)
        found_text = f"no image but {tables} table{'s' if tables > 1 else ''}" if tables else "no image and no table"
        raise BadImageError(
            f"{name}: found {found_text}, expected a 2-D image or a [bands, h, w] cube",
            "give a file with an image, or pass --skip-bad to leave it out",
        )
    science = [image for image in images if image.role == "science"]
    if not science or file_role is not None:
        what = f"a {file_role} by its name" if file_role else listed
        raise BadImageError(
            f"{name}: found {what}, expected an image of the sky",
            f"give the image itself, or name its plane: --hdu {images[0].number}",
        )
    return science


def _require_one_place(science: list[_Hdu], name: str) -> None:
    first = science[0]
    for other in science[1:]:
        if other.shape[-2:] != first.shape[-2:]:
            raise BadImageError(
                f"{name}: found planes of different shape ({', '.join(map(str, science))}), expected one shape",
                f"choose the planes of one image, e.g. --hdu {first.label}",
            )
        if not same_sky(first.header, other.header, (first.shape[-2], first.shape[-1])):
            raise BadImageError(
                f"{name}: found planes of different parts of the sky ({first.label} and {other.label}), expected one",
                f"choose the planes of one image, e.g. --hdu {first.label}",
            )


def _cube(one: _Hdu, data: bytes, name: str) -> np.ndarray:
    """The data as [planes, h, w], as stored."""
    values = read_tiles(one.hdu, data)
    if values is None:
        values = one.hdu.data
    if values is None:
        raise BadImageError(f"{name}, {one.label}: found no data", "fetch the file again")
    cube = values.reshape(_squeeze(values.shape))
    cube = cube[None] if cube.ndim == 2 else cube
    planes, h, w = cube.shape
    if w <= _MOST_BANDS_LAST < min(planes, h):
        raise BadImageError(
            f"{name}, {one.label}: found the shape {list(cube.shape)}, expected [bands, h, w]: the bands seem to be on "
            "the last axis",
            "write the array with its bands on the first axis (numpy.moveaxis(array, -1, 0))",
        )
    return cube


def _bands(header: Cards, primary: Cards, number: int, *, alone: bool) -> tuple[tuple[Band | None, ...], str]:
    found = bands_of(header, number)
    if found is None and (alone or number > 1) and primary is not header:
        found = bands_of(primary, number)
    return found if found is not None else ((None,) * number, "")


def _as_float(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32) if values.dtype != np.float32 else values.copy()


def _apply_masks(planes: list[Plane], owners: list[_Hdu], science: list[_Hdu], others: list[_Hdu]) -> None:
    for other in others:
        if other.role not in ("mask", "weight", "error") or other.shape[-2:] != science[0].shape[-2:]:
            continue
        owner = _owner(other, science)
        mine = [plane for plane, one in zip(planes, owners, strict=True) if owner is None or one is owner]
        layers = other.hdu.data.reshape(other.shape)
        for k, plane in enumerate(mine):
            if layers.ndim == 3 and len(layers) != len(mine):
                break
            layer = layers[k] if layers.ndim == 3 else layers
            apply_layer(plane.values, layer, other.role, other.header)


def _owner(other: _Hdu, science: list[_Hdu]) -> _Hdu | None:
    """The science plane that a mask or weight belongs to: of the same words or version, or the nearest before it."""
    if len(science) == 1:
        return science[0]
    own = _content_words(other.label)
    same = [one for one in science if own and _content_words(one.label) == own]
    if len(same) == 1:
        return same[0]
    same = [one for one in science if one.hdu.ver == other.hdu.ver]
    if len(same) == 1:
        return same[0]
    before = [one for one in science if one.number < other.number]
    return before[-1] if (before and len(before) < len(science)) or (before and own) else None


def _content_words(label: str) -> frozenset[str]:
    words = {word.lower() for word in re.findall(r"[A-Za-z0-9]+", label)}
    return frozenset(word for word in words if role_of_text(word) is None) - _PLAIN_WORDS


def _squeeze(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without leading axes of length 1, down to two."""
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return tuple(shape)


def _is_image(hdu: Any) -> bool:
    return bool(hdu.is_image) and len(_squeeze(tuple(hdu.shape))) in (2, 3) and 0 not in hdu.shape
