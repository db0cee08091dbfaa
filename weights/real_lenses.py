"""Read the real lenses and non-lenses: candidates with expert grades, and the known lenses of the spotter's guide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from lens_examples import STAMP_PX, cut_stamp
from PIL import Image
from scipy import ndimage
from sklearn.model_selection import StratifiedGroupKFold
from twins import group_twins

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet, connect
from convnet_galaxies.data.sky_groups import group_by_sky
from convnet_galaxies.data.stretch import Composite

PIXELS = Preprocess(crop_px=STAMP_PX, size_px=STAMP_PX, pixel_scale_arcsec=0.186, stretch=Composite())
LINKS = ("group", "ZooID", "sky_group")
"""Columns by which a published run recognises its training images in any pack."""
LENS_GRADE, OTHER_GRADE = 2.0, 1.0


def read_real_lenses(folder: Path) -> ImageSet:
    """217 candidates and 60 known lenses; columns id, kind, grade (NaN for known lenses), crowd, group, lens.

    folder: space-warps. Twenty-eight of the known lenses are candidates as well; ZooID, position and the noise of the
    images (twins.py) link what shows one object. lens: the soft label of soften.
    """
    candidates = pd.read_csv(folder / "candidates.csv")
    known = sorted(path.name for path in (folder / "guide" / "lens-gallery").iterdir())
    table = pd.concat(
        [
            pd.DataFrame(
                {
                    "file": candidates["file"],
                    "kind": "candidate",
                    "grade": candidates["expert_grade"],
                    "crowd": candidates["crowd_probability"],
                    "ZooID": candidates["zooid"],
                    "ra_deg": candidates["ra_deg"],
                    "dec_deg": candidates["dec_deg"],
                    "sky_group": group_by_sky(candidates["ra_deg"].to_numpy(), candidates["dec_deg"].to_numpy()),
                }
            ),
            pd.DataFrame({"file": known, "kind": "known lens"}),
        ],
        ignore_index=True,
    )
    folders = {"candidate": folder / "candidates", "known lens": folder / "guide" / "lens-gallery"}
    whole = [read_rgb(folders[kind] / file) for kind, file in zip(table["kind"], table["file"], strict=True)]
    pixels = np.stack([cut_stamp(rgb, rgb.shape[1] / 2, rgb.shape[0] / 2) for rgb in whole])
    table["id"] = table["file"].str.removesuffix(".png")
    table["twin"] = [f"{number}" for number in group_twins(pixels)]
    table["group"] = connect(table, ["sky_group", "ZooID", "twin"])
    table["lens"] = np.where(table["kind"] == "known lens", 0.9, soften(table["grade"].fillna(0).to_numpy()))
    return ImageSet(pixels, table, PIXELS, link_columns=LINKS)


def read_neighbours(folder: Path, real: ImageSet, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ordinary galaxies that happen to lie near candidates: uint8 [n, h, w, 3], and the row of each candidate, int [n].

    Objects brighter than most, 38 to 48 px from the centre of a candidate below grade 1, at random places but wholly
    within its image but for the corners of turned views.
    """
    rng = np.random.default_rng(seed)
    stamps, rows = [], []
    for row in np.flatnonzero((real.table["grade"] < OTHER_GRADE).to_numpy()):
        rgb = read_rgb(folder / "candidates" / real.table["file"][row])
        light = ndimage.gaussian_filter(rgb.sum(axis=2).astype(float), 2)
        peaks = find_peaks(light, 15, 90)
        offset = np.abs(peaks - (np.array(rgb.shape[:2]) - 1) / 2).max(axis=1)
        near = peaks[(offset > 38) & (offset < 49)]
        for y, x in near + rng.normal(0, 1, near.shape):
            stamps.append(cut_stamp(rgb, float(x), float(y)))
            rows.append(row)
    return np.stack(stamps), np.array(rows)


def find_peaks(light: np.ndarray, side_px: int, least: float) -> np.ndarray:
    """Return where smooth light [h, w] above a level is highest in the square round it, int [n, 2] (y, x).

    A plateau, such as a saturated star, counts once.
    """
    top = (light == ndimage.maximum_filter(light, side_px)) & (light > least)
    plateaus, count = ndimage.label(top, np.ones((3, 3)))
    middles = ndimage.center_of_mass(top, plateaus, range(1, count + 1))
    return np.rint(np.array(middles).reshape(-1, 2)).astype(int)


def soften(grade: np.ndarray) -> np.ndarray:
    """Return soft labels for grades of 0 to 3: a net learns more from all grades than from a threshold."""
    return np.interp(grade, [0.0, 0.7, 1.3, 2.0, 3.0], [0.02, 0.08, 0.35, 0.85, 0.98])


def assign_folds(table: pd.DataFrame, folds: int = 5, *, seed: int = 0) -> np.ndarray:
    """Fold of each image, int [n]: whole groups, grades and known lenses spread evenly."""
    kind = np.where(table["kind"] == "known lens", 3, np.digitize(table["grade"].fillna(0), [OTHER_GRADE, LENS_GRADE]))
    fold = np.empty(len(table), int)
    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for number, (_, rows) in enumerate(dealer.split(kind, kind, table["group"])):
        fold[rows] = number
    return fold


def read_rgb(path: Path) -> np.ndarray:
    """uint8 [h, w, 3]; an alpha channel never gets in."""
    return np.asarray(Image.open(path).convert("RGB"))
