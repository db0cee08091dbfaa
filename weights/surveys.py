"""Read lenses of other surveys, and galaxies beside them in the same images, as `predict` reads them.

Each set is uint8 [n, 128, 128, 3] at 0.186 arcsec per pixel, however sharp or deep the survey is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from real_lenses import PIXELS, find_peaks
from scipy import ndimage

from convnet_galaxies.data.image_files import list_images
from convnet_galaxies.data.linear_image import LinearImage
from convnet_galaxies.data.preprocess import as_image, read_planes
from convnet_galaxies.data.reading import ReadOptions

DR10_SCALE, EUCLID_SCALE, PS1_SCALE = 0.262, 0.1, 0.25
DR10_CROP_PX, PS1_CROP_PX = 64, 48
"""Sides of the squares round lenses and their neighbours."""
DR10_AWAY_PX, PS1_AWAY_PX = 40, 24
"""Smallest distance of a neighbour from the lens, such that the square of one does not show the other."""
FAINTEST_SIGMA = 6.0


@dataclass(frozen=True)
class SurveySet:
    """Images of one question of one survey.

    pixels: uint8 [n, 128, 128, 3]. truth: bool [n]. groups: str [n], images of one field share theirs. table: id, and
        the position of lenses where it is known. centre: mean of the central 8 x 8 source pixels, float [n]: the
        baseline.
    """

    pixels: np.ndarray
    truth: np.ndarray
    groups: np.ndarray
    table: pd.DataFrame
    centre: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)


def read_dr10(folder: Path) -> SurveySet:
    """Lenses of the Legacy Surveys DR10 against the objects beside them. folder: legacy-dr10."""
    table = pd.read_csv(folder / "cutouts.csv")
    table = table[table["kind"] == "real"]
    images = [as_image(np.asarray(Image.open(folder / file).convert("RGB"))) for file in table["file"]]
    places = table.assign(id=[Path(file).stem for file in table["file"]])
    return _with_neighbours(images, places, DR10_CROP_PX, DR10_AWAY_PX, DR10_SCALE)


def read_ps1(folder: Path, kind: str) -> SurveySet:
    """Lenses of Pan-STARRS, g, r and i in files of their own, against the objects beside them.

    folder: ps1-sled. kind: ``lensed_quasars`` or ``lensed_galaxies``.
    """
    table = pd.read_csv(folder / "lenses.csv").set_index("name")
    files = list_images(folder / kind)
    images = [read_planes(file, b"" if file.others else file.read()) for file in files]
    names = [file.folder for file in files]
    places = table.reindex(names).assign(id=names)
    return _with_neighbours(images, places, PS1_CROP_PX, PS1_AWAY_PX, PS1_SCALE)


def read_euclid(folder: Path) -> tuple[SurveySet, np.ndarray]:
    """Candidates of Euclid Q1: experts' A against C, and the field of each, str [n]. folder: euclid-q1."""
    table = pd.read_csv(folder / "candidates.csv")
    images = [as_image(np.asarray(Image.open(folder / "images" / file).convert("RGB"))) for file in table["file"]]
    pixels = np.stack([_prepare(image, EUCLID_SCALE) for image in images])
    places = table.assign(id=[Path(file).stem for file in table["file"]])[["id", "ra_deg", "dec_deg"]]
    centre = np.array([_measure_centre(image) for image in images])
    found = SurveySet(pixels, (table["lens"] == 1).to_numpy(), table["file"].to_numpy(str), places, centre)
    return found, table["field"].to_numpy(str)


def _with_neighbours(images: list[LinearImage], places: pd.DataFrame, side: int, away: int, scale: float) -> SurveySet:
    pixels, truth, rows, ids, centre = [], [], [], [], []
    half = side // 2
    for row, (image, name) in enumerate(zip(images, places["id"], strict=True)):
        h, w = image.shape
        for number, (y, x) in enumerate([(h // 2, w // 2), *_find_neighbours(image, side, away)]):
            square = _cut(image, slice(y - half, y + half), slice(x - half, x + half))
            pixels.append(_prepare(square, scale))
            truth.append(number == 0)
            rows.append(row)
            ids.append(name if number == 0 else f"{name}, neighbour {number}")
            centre.append(_measure_centre(square))
    table = places.iloc[rows][["ra_deg", "dec_deg"]].reset_index(drop=True).assign(id=ids)
    table.loc[~np.array(truth), ["ra_deg", "dec_deg"]] = np.nan
    groups = places["id"].to_numpy(str)[rows]
    return SurveySet(np.stack(pixels), np.array(truth), groups, table, np.array(centre))


def _find_neighbours(image: LinearImage, side: int, away: int) -> Iterator[tuple[int, int]]:
    """Objects above the scatter, whose square lies wholly in the image, (y, x)."""
    bands = [np.nan_to_num(plane.values.astype(float), nan=float(np.nanmedian(plane.values))) for plane in image.planes]
    light = ndimage.gaussian_filter(np.mean(bands, axis=0), 1.5)
    middle = np.median(light)
    scatter = 1.4826 * np.median(np.abs(light - middle))
    h, w = light.shape
    half = side // 2
    for y, x in find_peaks(light, 11, middle + FAINTEST_SIGMA * scatter).tolist():
        inside = half <= y <= h - half and half <= x <= w - half
        if inside and np.hypot(y - h / 2, x - w / 2) >= away:
            yield y, x


def _cut(image: LinearImage, rows: slice, columns: slice) -> LinearImage:
    planes = tuple(replace(plane, values=plane.values[rows, columns]) for plane in image.planes)
    return replace(image, planes=planes, header=None)


def _prepare(image: LinearImage, scale: float) -> np.ndarray:
    return PIXELS.prepare_image(image, "image", ReadOptions(pixel_scale_arcsec=scale))[0]


def _measure_centre(image: LinearImage) -> float:
    h, w = image.shape
    square = np.s_[h // 2 - 4 : h // 2 + 4, w // 2 - 4 : w // 2 + 4]
    return float(np.nanmean([plane.values[square] for plane in image.planes]))
