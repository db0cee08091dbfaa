"""Opens the files of a tile: which plane of which file is which band, mask or weight, and how its pixels are read."""

from __future__ import annotations

import bz2
import gzip
import io
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convnet_galaxies.data.band_files import belongs_to, join_bands
from convnet_galaxies.data.fits_cards import Cards
from convnet_galaxies.data.fits_hdus import Hdu, list_image_hdus
from convnet_galaxies.data.fits_header import Role
from convnet_galaxies.data.fits_image import is_fits, name_broken
from convnet_galaxies.data.fits_plan import FitsPlan, placeholder, plan_planes
from convnet_galaxies.data.fits_sky import read_wcs
from convnet_galaxies.data.fits_zeropoint import ZeroPoint
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.linear_image import LinearImage, Plane
from convnet_galaxies.data.picture import decode_picture
from convnet_galaxies.data.preprocess import as_image
from convnet_galaxies.data.quiet import quiet_warnings
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey.tiles import Tile, TileFile
from convnet_galaxies.data.survey.windows import PixelSource
from convnet_galaxies.errors import BadImageError, GalaxyError

_STORED = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True, eq=False)
class LayerSource:
    """A mask, weight or error: its pixels, role, header, and the numbers of the planes that it marks."""

    source: PixelSource
    role: Role
    header: Cards
    planes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class OpenedTile:
    """What a SurveyImage reads: see there."""

    template: LinearImage
    planes: tuple[PixelSource, ...]
    layers: tuple[LayerSource, ...]
    wcs: Any
    remarks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _OneFile:
    image: LinearImage
    planes: tuple[PixelSource, ...]
    layers: tuple[LayerSource, ...]
    wcs: Any


def open_tile(tile: Tile, reading: ReadOptions, stack: ExitStack, *, regrid: bool) -> OpenedTile:
    """Open all files of a tile; stack closes them. See `open_survey_image` for the errors."""
    science = [file for file in tile.files if file.role is None]
    if not science:
        raise BadImageError(f"tile {tile.name}: found masks and weights alone, expected an image", "give its images")
    opened = [_open_science(file, reading, stack) for file in science]
    if len(opened) == 1:
        template = opened[0].image
    else:
        parts = [ImageFile(file.path, band=file.band) for file in science]
        template = join_bands(parts, [one.image for one in opened], f"tile {tile.name}")
    planes = tuple(source for one in opened for source in one.planes)
    layers: list[LayerSource] = []
    for one, first in zip(opened, np.cumsum([0, *(len(one.planes) for one in opened)]), strict=False):
        layers += [replace(layer, planes=tuple(int(first) + k for k in layer.planes)) for layer in one.layers]
    for file in tile.files:
        if file.role not in (None, "other"):
            layers.append(_open_layer(file.path, file.role, stack, _planes_of(file.band, template)))
        for path, role in ((file.mask, "mask"), (file.weight, "weight")):
            if path is not None:
                layers.append(_open_layer(path, role, stack, _planes_of(file.band, template)))
    for layer in layers:
        if layer.source.shape != template.shape:
            h, w = layer.source.shape
            raise BadImageError(
                f"tile {tile.name}: found a {layer.role} of {w} x {h} px, expected {template.shape[1]} x "
                f"{template.shape[0]} px as its image",
                "give the mask or weight of this image, or leave it out of the table",
            )
    return OpenedTile(template, planes, tuple(layers), opened[0].wcs, ())


def _planes_of(band: Any, template: LinearImage) -> tuple[int, ...]:
    return tuple(k for k, plane in enumerate(template.planes) if belongs_to(band, plane))


def _open_science(file: TileFile, reading: ReadOptions, stack: ExitStack) -> _OneFile:
    with _faults(file.path):
        start = _first_bytes(file.path)
        is_picture = not is_fits(start, file.path.name)
        found = _open_picture(file) if is_picture else _open_fits_image(file, reading, stack)
    planes = tuple(_with_facts(plane, file) for plane in found.image.planes)
    return replace(found, image=replace(found.image, planes=planes))


def _with_facts(plane: Plane, file: TileFile) -> Plane:
    if file.zeropoint_mag is None:
        return plane
    zeropoint = ZeroPoint(file.zeropoint_mag, f"zero_point = {file.zeropoint_mag:g} in the table")
    return replace(plane, zeropoint=zeropoint, zeropoint_fault="")


def _open_picture(file: TileFile) -> _OneFile:
    pixels = decode_picture(file.path.read_bytes(), str(file.path))
    image = as_image(pixels)
    sources = tuple(PixelSource.of_array(plane.values) for plane in image.planes)
    empty = np.broadcast_to(np.uint8(0), image.shape) if image.is_picture else placeholder(image.shape)
    planes = tuple(replace(plane, values=empty, band=file.band) for plane in image.planes)
    return _OneFile(replace(image, planes=planes), sources, (), None)


def _open_fits_image(file: TileFile, reading: ReadOptions, stack: ExitStack) -> _OneFile:
    opened, is_stored = _open_hdus(file.path, stack)
    wanted = (file.extension,) if file.extension is not None else reading.hdus
    plan: FitsPlan = plan_planes(opened, str(file.path), wanted, file.band, None)
    sources = tuple(_source_of(one, k, file.path, is_stored) for one, k in plan.sources)
    layers = [
        LayerSource(_source_of(layer.hdu, k, file.path, is_stored), layer.hdu.role, layer.hdu.header, (plane,))
        for layer in plan.layers
        for plane, k in zip(layer.planes, layer.index, strict=True)
    ]
    image = plan.image
    if all(source.dtype == np.uint8 for source in sources):
        empty = np.broadcast_to(np.uint8(0), image.shape)
        image = replace(image, is_picture=True, planes=tuple(replace(p, values=empty) for p in image.planes))
        layers = []
    return _OneFile(image, sources, tuple(layers), read_wcs(plan.sources[0][0].hdu.header, opened))


def _open_layer(path: Path, role: Any, stack: ExitStack, planes: tuple[int, ...]) -> LayerSource:
    with _faults(path):
        opened, is_stored = _open_hdus(path, stack)
        images = list_image_hdus(opened)
        if images:
            return LayerSource(_source_of(images[0], None, path, is_stored), role, images[0].header, planes)
    raise BadImageError(f"{path}: found no image, expected a mask or weight", "remove the file, or fetch it again")


def _open_hdus(path: Path, stack: ExitStack) -> tuple[list[Any], bool]:
    """Open a FITS file without reading its pixels, and return whether they stand in the file as they are.

    Files that are packed as a whole are unpacked in memory.
    """
    from astropy.io import fits

    start = _first_bytes(path)
    unpack = gzip.decompress if start[:2] == b"\x1f\x8b" else bz2.decompress if start[:3] == b"BZh" else None
    with quiet_warnings():
        if unpack is None:
            return list(stack.enter_context(fits.open(path, memmap=True))), True
        data = io.BytesIO(unpack(path.read_bytes()))
        return list(stack.enter_context(fits.open(data, memmap=False))), False


def _source_of(one: Hdu, k: int | None, path: Path, is_stored: bool) -> PixelSource:
    """Return how the pixels of a plane are read: from a map of the file where they stand in it as they are."""
    from astropy.io import fits

    shape = (one.shape[-2], one.shape[-1])
    places = iter([k])
    index = tuple(0 if length == 1 else next(places) for length in one.hdu.shape[:-2])
    if not is_stored:
        with quiet_warnings():
            return PixelSource.of_array(one.hdu.data[index])
    if type(one.hdu) in (fits.PrimaryHDU, fits.ImageHDU):
        start, kind = one.hdu.fileinfo()["datLoc"], np.dtype(_STORED[one.header["BITPIX"]])
        needed, found = start + kind.itemsize * math.prod(one.hdu.shape), path.stat().st_size
        if found < needed:
            raise BadImageError(
                f"{path}, {one.label}: found {found:,} bytes, expected {needed:,}: the file is cut short",
                "fetch the file again",
            )
        if not {"BSCALE", "BZERO", "BLANK"} & set(one.header):
            return PixelSource.of_array(np.memmap(path, kind, "r", start, tuple(one.hdu.shape))[index])
    return PixelSource(shape, lambda rows, columns: one.hdu.section[(*index, rows, columns)])


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Whatever a damaged file raises becomes one BadImageError."""
    try:
        yield
    except GalaxyError:
        raise
    except Exception as error:
        raise name_broken(str(path), error) from None
