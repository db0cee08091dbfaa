"""Opens the files of a tile: which plane of which file is which band, mask or weight, and how its pixels are read."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from convnet_galaxies.data.band_files import belongs_to, join_bands
from convnet_galaxies.data.fits_cards import Cards
from convnet_galaxies.data.fits_hdus import Hdu, list_image_hdus
from convnet_galaxies.data.fits_header import Role
from convnet_galaxies.data.fits_image import is_fits, name_broken
from convnet_galaxies.data.fits_plan import FitsPlan, placeholder, plan_planes
from convnet_galaxies.data.fits_sky import read_wcs, same_sky
from convnet_galaxies.data.fits_zeropoint import ZeroPoint
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.linear_image import LinearImage, Plane
from convnet_galaxies.data.picture import decode_picture
from convnet_galaxies.data.preprocess import as_image
from convnet_galaxies.data.quiet import quiet_warnings
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey.tiles import Tile, TileFile
from convnet_galaxies.data.survey.windows import PixelSource
from convnet_galaxies.data.unpack import unpack
from convnet_galaxies.errors import BadImageError, GalaxyError

_FITS_BLOCK_BYTES = 2880
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
    template = opened[0].image
    if len(opened) > 1:
        parts = [ImageFile(file.path, band=file.band) for file in science]
        remedy = "pass --regrid to resample the bands to the grid of the first, or bring them to one grid"
        images = [one.image for one in opened]
        template = join_bands(parts, images, f"tile {tile.name}", one_grid=not regrid, remedy=remedy)
    planes = [source for one in opened for source in one.planes]
    layers = [*_join_layers(opened), *_open_separate_layers(tile, template, stack)]
    if regrid:
        planes, layers = _regrid(tile, opened, planes, layers)
    for layer in layers:
        if layer.source.shape != template.shape:
            h, w = layer.source.shape
            raise BadImageError(
                f"{layer.source.name}: found a {layer.role} of {w} x {h} px, expected {template.shape[1]} x "
                f"{template.shape[0]} px as the image of tile {tile.name}",
                "give the mask or weight of this image, or leave it out",
            )
    absent = () if template.is_picture else tile.bands_missing
    if absent:
        empty = PixelSource.of_array(np.broadcast_to(np.float32(0), template.shape))
        known = template.planes[0]
        added = [replace(known, label=f"no {band}", band=band, is_absent=True) for band in absent]
        template = replace(template, planes=(*template.planes, *added))
        planes += [empty] * len(absent)
    wcs, remarks = _settle_wcs(opened[0].wcs)
    return OpenedTile(template, tuple(planes), tuple(layers), wcs, remarks)


def _join_layers(opened: Sequence[_OneFile]) -> list[LayerSource]:
    layers, first = [], 0
    for one in opened:
        layers += [replace(layer, planes=tuple(first + k for k in layer.planes)) for layer in one.layers]
        first += len(one.planes)
    return layers


def _open_separate_layers(tile: Tile, template: LinearImage, stack: ExitStack) -> list[LayerSource]:
    layers: list[LayerSource] = []
    for file in tile.files:
        for path, role in ((file.mask, "mask"), (file.weight, "weight")):
            if path is not None:
                layers.append(_open_layer(path, role, stack, _planes_of(file.band, template)))
        if file.role not in (None, "other"):
            layers.append(_open_layer(file.path, file.role, stack, _planes_of(file.band, template)))
    return layers


def _regrid(
    tile: Tile, opened: Sequence[_OneFile], planes: list[PixelSource], layers: list[LayerSource]
) -> tuple[list[PixelSource], list[LayerSource]]:
    """Replace the planes of other grids than the first by resampled ones, to which their layers are applied before."""
    from convnet_galaxies.data.survey.regrid import regrid_source

    owners = [one for one in opened for _ in one.planes]
    first = opened[0]
    moved = set()
    for k, one in enumerate(owners):
        ours, theirs = first.image.header, one.image.header
        if one is first or (
            one.image.shape == first.image.shape
            and (ours is None or theirs is None or same_sky(ours, theirs, first.image.shape))
        ):
            continue
        if first.wcs is None or one.wcs is None:
            raise BadImageError(
                f"tile {tile.name}: found bands of different shape without a world coordinate system, by which they "
                "could be resampled",
                "bring the bands to one grid",
            )
        scales = first.image.pixel_scale_arcsec, one.image.pixel_scale_arcsec
        factor = 1.0 if scales[0] is None or scales[1] is None else (scales[0] / scales[1]) ** 2
        marks = [(layer.source, layer.role, layer.header) for layer in layers if k in layer.planes]
        planes[k] = regrid_source(planes[k], marks, one.wcs, first.wcs, first.image.shape, factor)
        moved.add(k)
    layers = [replace(layer, planes=tuple(k for k in layer.planes if k not in moved)) for layer in layers]
    return planes, [layer for layer in layers if layer.planes]


def _settle_wcs(wcs: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the world coordinate system, or None and a remark where there is none, or one that was never set."""
    if wcs is None:
        return None, ("without a world coordinate system, so that their positions are pixels alone",)
    if not np.any(wcs.wcs.crval) and np.allclose(np.abs(wcs.pixel_scale_matrix), np.eye(2)):
        return None, (
            "with a world coordinate system that was never set (CRVAL 0, CDELT 1), so that their positions are pixels "
            "alone",
        )
    return wcs, ()


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

    is_packed = _first_bytes(path).startswith((b"\x1f\x8b", b"BZh"))
    with quiet_warnings():
        if not is_packed:
            return list(stack.enter_context(fits.open(path, memmap=False))), True
        data = io.BytesIO(unpack(path.read_bytes()))
        return list(stack.enter_context(fits.open(data, memmap=False))), False


def _source_of(one: Hdu, k: int | None, path: Path, is_stored: bool) -> PixelSource:
    """Return how the pixels of a plane are read: from a map of the file where they stand in it as they are."""
    from astropy.io import fits

    shape = (one.shape[-2], one.shape[-1])
    places = iter([k])
    index = tuple(0 if length == 1 else next(places) for length in one.hdu.shape[:-2])
    name = f"{path}, {one.label}"
    if not is_stored:
        with quiet_warnings():
            return PixelSource.of_array(one.hdu.data[index], name)
    place = one.hdu.fileinfo()
    guard = partial(_require_bytes, path, place["datLoc"] + place["datSpan"], name)
    guard()
    if type(one.hdu) in (fits.PrimaryHDU, fits.ImageHDU) and not {"BSCALE", "BZERO", "BLANK"} & set(one.header):
        kind = np.dtype(_STORED[one.header["BITPIX"]])
        stored = np.memmap(path, kind, "r", place["datLoc"], tuple(one.hdu.shape))
        return PixelSource.of_array(stored[index], name, guard)
    return PixelSource(shape, lambda rows, columns: one.hdu.section[(*index, rows, columns)], name=name)


def _require_bytes(path: Path, needed: int, name: str) -> None:
    """Raise BadImageError for a file that has fewer bytes; one that was removed can still be read by its map."""
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return
    if found + _FITS_BLOCK_BYTES <= needed:
        raise BadImageError(
            f"{name}: found {found:,} bytes, expected {needed:,}: the file is cut short", "fetch the file again"
        )


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
    except FileNotFoundError:
        raise BadImageError(f"{path}: does not exist", "restore the file, or correct the table of tiles") from None
    except Exception as error:
        raise name_broken(str(path), error) from None
