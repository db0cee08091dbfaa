"""Cutouts at positions of a tile as the pixels of a network's input, made as prediction makes those of files."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from convnet_galaxies.data.bands import name_bands
from convnet_galaxies.data.plain_windows import prepare_plain
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ImageInfo, ReadOptions
from convnet_galaxies.data.survey.survey_image import SurveyImage, Windows
from convnet_galaxies.errors import BadImageError, InputError

LARGEST_SIDE_PX = 4096
"""Of a cutout; sizes beyond it are errors of a catalogue."""

_PIXELS_AT_ONCE = 1 << 19
"""Values of windows that are in memory together: some 2 MB, as much as a processor's cache."""


@dataclass(frozen=True, eq=False)
class Cutouts:
    """Cutouts at n positions, of which m could be used.

    kept: bool [n]. pixels: uint8 [m, size, size, bands]. infos: m, what each was before. reasons: n texts, empty where
    kept. masked_fraction: float [n], missing pixels, those beyond the tile among them (NaN where not kept). edge: bool
    [n], whether a part lies beyond the tile. bands_missing: bands of the input that the tile lacks (``i, g``), for all.
    """

    kept: np.ndarray
    pixels: np.ndarray
    infos: tuple[ImageInfo, ...]
    reasons: tuple[str, ...]
    masked_fraction: np.ndarray
    edge: np.ndarray
    bands_missing: str


def make_pixels(
    image: SurveyImage,
    x_px: np.ndarray,
    y_px: np.ndarray,
    preprocess: Preprocess,
    reading: ReadOptions | None = None,
    *,
    side_px: np.ndarray | int | None = None,
) -> Cutouts:
    """Cut windows round positions, float [n] (see SurveyImage.cut), and prepare them for a network.

    side_px: pixels of the tile that are brought to the network's input, int or int [n] (see `object_sides_px`); None
    for the crop of the preprocess at the scale of the tile.
    A cutout is left out, with a reason, where prediction would refuse its file, or where its side is 0 or too large.
    Raises BadImageError where the bands or the scale of the tile do not fit the network.
    """
    reading = reading or ReadOptions()
    x_px, y_px = np.asarray(x_px, float), np.asarray(y_px, float)
    if side_px is None:
        side_px = crop_side_px(image, preprocess, reading)
    else:
        preprocess = preprocess.model_copy(update={"crop_px": None})
    sides = np.broadcast_to(np.asarray(side_px, int), x_px.shape)
    n = len(x_px)
    out = _Filling(preprocess, reading, image, n)
    for side in np.unique(sides):
        rows = np.flatnonzero(sides == side)
        if not 0 < side <= LARGEST_SIDE_PX:
            out.leave_out(rows, "found no size" if side <= 0 else f"found a side of {side:,} px, expected less")
            continue
        rows = rows[np.argsort(y_px[rows], kind="stable")]  # as they stand in the file
        at_once = max(1, _PIXELS_AT_ONCE // (int(side) ** 2 * len(image.bands)))
        for first in range(0, len(rows), at_once):
            some = rows[first : first + at_once]
            out.add(some, image.cut(x_px[some], y_px[some], int(side), planes=out.order))
    return out.finish()


class _Filling:
    """Cutouts of one tile while they are made."""

    def __init__(self, preprocess: Preprocess, reading: ReadOptions, image: SurveyImage, number: int) -> None:
        self.preprocess, self.reading, self.name = preprocess, reading, image.name
        self.is_picture = image.template.is_picture
        numbered = [  # the choice reorders and renames planes: each carries its number as its value
            replace(plane, values=np.broadcast_to(np.float32(k), image.shape))
            for k, plane in enumerate(image.template.planes)
        ]
        choice, self.info = preprocess.settle(replace(image.template, planes=tuple(numbered)), image.name, reading)
        self.planes = choice.planes
        self.order = [int(plane.values[0, 0]) for plane in choice.planes]
        self.kept, self.edge = np.zeros(number, bool), np.zeros(number, bool)
        self.masked = np.full(number, np.nan)
        self.pixels = preprocess.new_array(number)
        self.infos: list[ImageInfo | None] = [None] * number
        self.reasons = [""] * number

    def add(self, rows: np.ndarray, windows: Windows) -> None:
        values = windows.values
        info = replace(self.info, side_px=values.shape[-1])
        self.edge[rows] = windows.outside > 0
        rest = np.arange(len(rows))
        if not self.is_picture:
            plain, pixels, found = prepare_plain(self.preprocess, self.planes, values, info, self.name, self.reading)
            self._keep(rows[plain], pixels, found)
            rest = np.flatnonzero(~plain)
        for k in rest.tolist():
            row, outside = int(rows[k]), float(windows.outside[k])
            if self.is_picture and outside > self.reading.missing_share:
                self.reasons[row] = f"{self.name}: found {outside:.1%} of the cutout beyond the image"
                continue
            try:
                one, found = self.preprocess.prepare_planes(
                    self.planes, list(values[k]), info, self.is_picture, self.name, self.reading
                )
            except BadImageError as error:
                self.reasons[row] = error.message
                continue
            self._keep(rows[k : k + 1], one[None], found)
            if self.is_picture:
                self.masked[row] = outside

    def _keep(self, rows: np.ndarray, pixels: np.ndarray, info: ImageInfo) -> None:
        self.kept[rows], self.pixels[rows], self.masked[rows] = True, pixels, info.masked_fraction
        for row in rows.tolist():
            self.infos[row] = info

    def leave_out(self, rows: np.ndarray, reason: str) -> None:
        for row in rows:
            self.reasons[row] = f"{self.name}: {reason}"

    def finish(self) -> Cutouts:
        infos = tuple(info for info in self.infos if info is not None)
        absent = [plane.band for plane in self.planes if plane.is_absent]
        pixels = self.pixels if self.kept.all() else self.pixels[self.kept]
        return Cutouts(self.kept, pixels, infos, tuple(self.reasons), self.masked, self.edge, name_bands(absent))


def object_sides_px(size: np.ndarray, factor: float, pixel_scale_arcsec: float | None = None) -> np.ndarray:
    """Return the sides of cutouts that are so many times as large as their objects, int [n]; 0 without a size.

    size: float [n], in arcsec where the scale of the tile is given, else in pixels (as radius_px of detection). The
    images of Galaxy Zoo are 424 pixels of 0.02 times the Petrosian radius of 90 % (petroR90_r, arcsec), of which
    `builtin:zoo` takes the central 288: factor 5.76.
    """
    with np.errstate(invalid="ignore"):
        sides = np.asarray(size, float) * factor / (pixel_scale_arcsec or 1.0)
    known = np.isfinite(sides) & (sides > 0)
    return np.where(known, np.clip(np.rint(np.where(known, sides, 0)), 1, 1e9), 0).astype(int)


def crop_side_px(image: SurveyImage, preprocess: Preprocess, reading: ReadOptions | None = None) -> int:
    """Return the side of the window that a network takes, in pixels of the tile.

    Raises InputError where it is not settled by the run, and BadImageError for a scale that does not fit it.
    """
    side = preprocess.crop_of(preprocess.scale_of(image.template, image.name, reading or ReadOptions())[0])
    if side is None:
        raise InputError(
            f"the network takes {preprocess}, so the size of a cutout is not settled",
            "give the size of the cutouts on the sky",
        )
    return side
