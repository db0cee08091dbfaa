"""One tile of a survey: its bands, masks and weights, of which windows are read as LinearImage.

A window equals the image that reading a file of these pixels alone gives (`read_fits`, `read_image`), in every digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from convnet_galaxies.data.bands import Band
from convnet_galaxies.data.fits_header import Role
from convnet_galaxies.data.fits_image import keep_freed_memory
from convnet_galaxies.data.linear_image import LinearImage
from convnet_galaxies.data.missing import HUGE, apply_layer, mark_missing, sky_and_noise
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey.open_tile import OpenedTile, open_tile
from convnet_galaxies.data.survey.sky import pixels_to_sky, sky_to_pixels
from convnet_galaxies.data.survey.tiles import Tile
from convnet_galaxies.data.survey.windows import place_windows

_SAMPLES, _SAMPLE_PX = 3, 192


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one tile.

    values: float32 (NaN where missing) or, of pictures, uint8 [n, planes, side, side]; the first row is the top.
    outside: share of each window that lies beyond the tile, float [n]. left, first_row: of each window in the file,
    int [n]. template: the image of which they are windows, without its values.
    """

    values: np.ndarray
    outside: np.ndarray
    left: np.ndarray
    first_row: np.ndarray
    template: LinearImage

    def __len__(self) -> int:
        return len(self.values)

    def image(self, number: int) -> LinearImage:
        """Return one window as an image."""
        planes = zip(self.template.planes, self.values[number], strict=True)
        return replace(self.template, planes=tuple(replace(plane, values=one) for plane, one in planes))


class SurveyImage:
    """A tile that is open for reading; see `open_survey_image`.

    name: of the tile. shape: height and width in pixels of its reference file. template: planes, bands, zero points
    and scale, as a LinearImage without values. wcs: astropy's, of the reference file, None where there is none.
    remarks: sentences on how it is read.
    """

    def __init__(self, tile: Tile, opened: OpenedTile) -> None:
        self.name = tile.name
        self.tile = tile
        self.template = opened.template
        self.shape = opened.template.shape
        self.wcs = opened.wcs
        self.remarks = opened.remarks
        self._opened = opened
        self._has_marks = opened.template.header is not None  # as FITS has; no number of a picture means a missing one

    @property
    def pixel_scale_arcsec(self) -> float | None:
        """Arcsec per pixel; None where nothing tells it."""
        return self.template.pixel_scale_arcsec

    @property
    def bands(self) -> tuple[Band | None, ...]:
        """The band of each plane, None where nothing tells it."""
        return tuple(plane.band for plane in self.template.planes)

    @property
    def bands_missing(self) -> tuple[Band, ...]:
        """Bands that other tiles of the survey have, and this one has not."""
        return self.tile.bands_missing

    @property
    def rows_from_bottom(self) -> bool:
        """Whether the rows of the file run from the bottom, as those of FITS do."""
        return self.template.rows_from_bottom

    @cached_property
    def cap(self) -> tuple[float, float, float]:
        """A circle on the sky that holds the tile: right ascension, declination and radius in degrees."""
        h, w = self.shape
        along = np.linspace(0, 1, 9)
        x = np.concatenate([along, np.ones(9), along, np.zeros(9)]) * w - 0.5
        y = np.concatenate([np.zeros(9), along, np.ones(9), along]) * h - 0.5
        ra, dec = (np.deg2rad(one) for one in self.to_sky(x, y))
        ra_0, dec_0 = (float(one[0]) for one in self.to_sky(np.array([(w - 1) / 2]), np.array([(h - 1) / 2])))
        mid_ra, mid_dec = np.deg2rad(ra_0), np.deg2rad(dec_0)
        half = np.sin((dec - mid_dec) / 2) ** 2 + np.cos(dec) * np.cos(mid_dec) * np.sin((ra - mid_ra) / 2) ** 2
        known = half[np.isfinite(half)]
        radius = np.rad2deg(2 * np.arcsin(np.sqrt(np.clip(known.max(), 0, 1)))) if len(known) else 180.0
        return ra_0, dec_0, 1.02 * float(radius) + 1e-4

    def to_sky(self, x_px: np.ndarray, y_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return right ascension and declination (ICRS degrees, float [n]) of pixels; NaN without coordinates."""
        if self.wcs is None:
            nowhere = np.full(np.shape(x_px), np.nan)
            return nowhere, nowhere.copy()
        return pixels_to_sky(self.wcs, np.asarray(x_px, float), np.asarray(y_px, float))

    def to_pixels(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels x, y (0-based, float [n]) of sky positions; NaN where they lie far off the tile."""
        return sky_to_pixels(self.wcs, np.asarray(ra_deg, float), np.asarray(dec_deg, float), self.shape)

    @cached_property
    def noise(self) -> np.ndarray:
        """Noise of the sky of each plane, float [planes], from a few parts of the tile; 1 where it has none."""
        h, w = self.shape
        parts = [
            self.read_block(slice(top, min(h, top + _SAMPLE_PX)), slice(left, min(w, left + _SAMPLE_PX)))
            for top in np.linspace(0, max(0, h - _SAMPLE_PX), _SAMPLES).astype(int)
            for left in np.linspace(0, max(0, w - _SAMPLE_PX), _SAMPLES).astype(int)
        ]
        sigmas = np.array([[sky_and_noise(plane)[1] for plane in part] for part in parts])
        return np.array([float(np.median(one[one > 0])) if (one > 0).any() else 1.0 for one in sigmas.T])

    def cut(self, x_px: np.ndarray, y_px: np.ndarray, side_px: int, *, planes: Sequence[int] | None = None) -> Windows:
        """Cut square windows round positions, float [n]: 0-based, array[y, x] of the rows of the file.

        planes: numbers of those that are read, in this order; None for all.
        See `place_windows` for the pixel in the middle. What lies beyond the tile is missing (0 in pictures).
        """
        left, first_row = place_windows(x_px, side_px), place_windows(y_px, side_px)
        chosen = list(range(len(self.template.planes)) if planes is None else planes)
        values = self._read_windows(left, first_row, side_px, chosen)
        h, w = self.shape
        wide = np.clip(np.minimum(left + side_px, w) - np.maximum(left, 0), 0, side_px)
        high = np.clip(np.minimum(first_row + side_px, h) - np.maximum(first_row, 0), 0, side_px)
        outside = 1 - wide * high / side_px**2
        template = replace(self.template, planes=tuple(self.template.planes[k] for k in chosen))
        return Windows(values, outside, left, first_row, template)

    def read_block(self, rows: slice, columns: slice, planes: Sequence[int] | None = None) -> np.ndarray:
        """Read a part within the tile: float32 [planes, h, w], NaN where missing, in the order of the file's rows."""
        chosen = list(range(len(self._opened.planes)) if planes is None else planes)
        values = np.stack([self._opened.planes[k].read(rows, columns).astype(np.float32) for k in chosen])
        if not self.template.is_picture:
            for plane in values if self._has_marks else ():
                mark_missing(plane)
            for layer in self._opened.layers:
                marked = [k for k, plane in enumerate(chosen) if plane in layer.planes]
                if marked:
                    marks = layer.source.read(rows, columns)
                    for k in marked:
                        apply_layer(values[k], marks, layer.role, layer.header)
        return values

    def _read_windows(self, left: np.ndarray, first_row: np.ndarray, side_px: int, chosen: list[int]) -> np.ndarray:
        """Windows by their first column and row: [n, planes, side_px, side_px], the top row first."""
        is_picture = self.template.is_picture
        values = np.empty((len(left), len(chosen), side_px, side_px), np.uint8 if is_picture else np.float32)
        for k, plane in enumerate(chosen):
            with np.errstate(over="ignore"):
                values[:, k] = self._opened.planes[plane].gather(left, first_row, side_px, 0 if is_picture else np.nan)
        if not is_picture:
            if self._has_marks:
                mark_missing_windows(values)
            self._apply_layers(values, left, first_row, side_px, chosen)
        return values[:, :, ::-1] if self.rows_from_bottom else values

    def _apply_layers(
        self, values: np.ndarray, left: np.ndarray, first_row: np.ndarray, side_px: int, chosen: list[int]
    ) -> None:
        for layer in self._opened.layers:
            own = [k for k, plane in enumerate(chosen) if plane in layer.planes]
            if not own:
                continue
            marks = layer.source.gather(left, first_row, side_px, np.nan)
            for window in np.flatnonzero(_find_marked(marks, layer.role)):
                for k in own:
                    apply_layer(values[window, k], marks[window], layer.role, layer.header)


def _find_marked(marks: np.ndarray, role: Role) -> np.ndarray:
    """Return which windows [n, side, side] of a layer mark any pixel at all, bool [n]."""
    if role == "mask":
        return np.asarray((marks != 0).any(axis=(1, 2)))
    if role == "weight":
        return np.asarray(~(marks > 0).all(axis=(1, 2)))
    return np.asarray(~((marks >= 0) & (np.abs(marks) < HUGE)).all(axis=(1, 2)))


def mark_missing_windows(values: np.ndarray) -> None:
    """Mark missing pixels of float32 [n, planes, h, w] as `mark_missing` does of each plane."""
    flat = values.reshape(-1, *values.shape[2:])
    with np.errstate(invalid="ignore"):
        sound = (flat.max(axis=(1, 2)) < HUGE) & (flat.min(axis=(1, 2)) > -HUGE)  # False for NaN too
    for edge in (flat[:, 0], flat[:, -1], flat[:, :, 0], flat[:, :, -1]):
        sound &= (edge != edge[:, :1]).any(axis=1)
    for number in np.flatnonzero(~sound):
        mark_missing(flat[number])


@contextmanager
def open_survey_image(tile: Tile, reading: ReadOptions | None = None, *, regrid: bool = False) -> Iterator[SurveyImage]:
    """Open a tile; its files stay open within the context.

    reading: options that go before what headers tell. regrid: bands on other grids than the first are resampled to it,
    window by window; else they are refused.
    Raises BadImageError for a file that is damaged or cut short, and for bands that do not belong together.
    """
    keep_freed_memory()
    with ExitStack() as stack:
        yield SurveyImage(tile, open_tile(tile, reading or ReadOptions(), stack, regrid=regrid))
