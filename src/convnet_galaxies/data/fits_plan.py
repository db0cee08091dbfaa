"""Which planes of a FITS file show the sky, in which bands and units, before any pixel is read.

The plan of a stamp that is read whole and that of a survey tile that is read by windows are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convnet_galaxies.data.bands import Band
from convnet_galaxies.data.fits_cards import Cards
from convnet_galaxies.data.fits_hdus import Hdu, choose_science, list_image_hdus, owner_of, require_one_place
from convnet_galaxies.data.fits_header import Role, bands_of, first_row_is_top
from convnet_galaxies.data.fits_sky import read_pixel_scale
from convnet_galaxies.data.fits_zeropoint import ZeroPoint, read_zeropoint
from convnet_galaxies.data.linear_image import LinearImage, Plane
from convnet_galaxies.errors import BadImageError

_MOST_BANDS_LAST = 10


@dataclass(frozen=True, eq=False)
class Layer:
    """A mask, weight or error of some planes. index: the plane of its cube that belongs to each; None of a 2-D one."""

    hdu: Hdu
    planes: tuple[int, ...]
    index: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class FitsPlan:
    """The planes of a file, of which no pixel is read yet.

    image: float32 placeholders of the right shape that take no memory (see `placeholder`), all else as it will be.
    sources: HDU and plane of its cube (None of a 2-D image) for each plane of the image.
    """

    image: LinearImage
    sources: tuple[tuple[Hdu, int | None], ...]
    layers: tuple[Layer, ...]


def placeholder(shape: tuple[int, int]) -> np.ndarray:
    """Return float32 [h, w] of a single number in memory."""
    return np.broadcast_to(np.float32(np.nan), shape)


def plan_planes(
    opened: Sequence[Any], name: str, wanted: Sequence[str] | None, band: Band | None, file_role: Role | None
) -> FitsPlan:
    """Choose the science planes among the HDUs of a file; see `fits_image.read_fits` for the arguments and errors."""
    images = list_image_hdus(opened)
    science = choose_science(images, wanted, opened, name, file_role)
    first, primary = science[0], Cards(opened[0].header)
    require_one_place(science, name)
    planes: list[Plane] = []
    sources: list[tuple[Hdu, int | None]] = []
    for one in science:
        number = 1 if len(one.shape) == 2 else one.shape[0]
        _require_bands_first(one, name)
        bands, source, band_fault = _bands(one.header, primary, number, alone=len(science) == 1)
        zeropoint, zeropoint_fault = _zeropoint(one.header, primary)
        for k in range(number):
            label = one.label if number == 1 else f"plane {k + 1}" if len(science) == 1 else f"{one.label} {k + 1}"
            empty = placeholder((one.shape[-2], one.shape[-1]))
            planes.append(Plane(empty, label, bands[k], source, zeropoint, band_fault, zeropoint_fault))
            sources.append((one, None if len(one.shape) == 2 else k))
    if len(planes) == 1 and planes[0].band is None and band is not None:
        planes = [replace(planes[0], band=band, band_source="the file's name")]
    if len(science) > 1 and not any(plane.band for plane in planes):
        listed, source, fault = _bands(primary, primary, len(planes), alone=True)
        planes = [
            replace(p, band=b, band_source=source, band_fault=p.band_fault or fault)
            for p, b in zip(planes, listed, strict=True)
        ]
    others = [image for image in images if image not in science]
    image = LinearImage(
        tuple(planes),
        pixel_scale_arcsec=read_pixel_scale(first.header) or read_pixel_scale(primary),
        passed_over=tuple(f"{other.label} ({other.role})" for other in others),
        rows_from_bottom=not (first_row_is_top(first.header) or first_row_is_top(primary)),
        header=first.header if "CTYPE1" in first.header else primary,
    )
    return FitsPlan(image, tuple(sources), tuple(_find_layers([one for one, _ in sources], science, others)))


def _require_bands_first(one: Hdu, name: str) -> None:
    planes, h, w = one.shape if len(one.shape) == 3 else (1, *one.shape)
    if w <= _MOST_BANDS_LAST < min(planes, h):
        raise BadImageError(
            f"{name}, {one.label}: found the shape {list(one.shape)}, expected [bands, h, w]: the bands seem to be on "
            "the last axis",
            "write the array with its bands on the first axis (numpy.moveaxis(array, -1, 0))",
        )


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


def _find_layers(owners: list[Hdu], science: list[Hdu], others: list[Hdu]) -> list[Layer]:
    """Return the layers of the chosen planes; those of planes that were not chosen are none of theirs."""
    layers = []
    every = sorted([*science, *(one for one in others if one.role == "science")], key=lambda one: one.number)
    for other in others:
        if other.role not in ("mask", "weight", "error") or other.shape[-2:] != science[0].shape[-2:]:
            continue
        owner = owner_of(other, every)
        if owner is not None and owner not in science:
            continue
        mine = tuple(k for k, one in enumerate(owners) if owner is None or one is owner)
        if len(other.shape) == 2:
            layers.append(Layer(other, mine, (None,) * len(mine)))
        elif other.shape[0] == len(mine):
            layers.append(Layer(other, mine, tuple(range(len(mine)))))
    return layers
