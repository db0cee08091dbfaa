"""Cutouts at positions of a tile as the pixels of a network's input, made as prediction makes those of files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convnet_galaxies.data.bands import name_bands
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ImageInfo, ReadOptions
from convnet_galaxies.data.survey.survey_image import SurveyImage
from convnet_galaxies.errors import BadImageError, InputError


@dataclass(frozen=True, eq=False)
class Cutouts:
    """Cutouts at n positions, of which m could be used.

    kept: bool [n]. pixels: uint8 [m, size, size, bands]. infos: m, what each was before. reasons: n texts, empty where
    kept. masked_fraction: float [n], missing pixels, those beyond the tile among them (NaN where not kept). edge: bool
    [n], whether a part lies beyond the tile. bands_missing: names of the bands that the tile lacks, one text for all.
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

    side_px: pixels of the tile that are brought to the network's input, int or int [n]; None for the crop of the
    preprocess at the scale of the tile.
    A cutout is left out, with a reason, where prediction would refuse its file.
    """
    reading = reading or ReadOptions()
    x_px, y_px = np.asarray(x_px, float), np.asarray(y_px, float)
    if side_px is None:
        side_px = crop_side_px(image, preprocess, reading)
    else:
        preprocess = preprocess.model_copy(update={"crop_px": None})
    sides = np.broadcast_to(np.asarray(side_px, int), x_px.shape)
    n = len(x_px)
    kept, masked, edge = np.zeros(n, bool), np.full(n, np.nan), np.zeros(n, bool)
    pixels = preprocess.new_array(n)
    infos: list[ImageInfo | None] = [None] * n
    reasons = [""] * n
    for side in np.unique(sides):
        rows = np.flatnonzero(sides == side)
        windows = image.cut(x_px[rows], y_px[rows], int(side))
        edge[rows] = windows.outside > 0
        for k, row in enumerate(rows):
            try:
                pixels[row], info = preprocess.prepare_image(windows.image(k), image.name, reading)
            except BadImageError as error:
                reasons[row] = error.message
                continue
            kept[row], infos[row], masked[row] = True, info, max(info.masked_fraction, windows.outside[k])
    return Cutouts(
        kept,
        pixels[kept],
        tuple(info for info in infos if info is not None),
        tuple(reasons),
        masked,
        edge,
        name_bands(image.bands_missing),
    )


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
