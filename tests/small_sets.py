"""Small synthetic image sets and settings that the tests of training, prediction and the command line share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.decision_tree import KAGGLE, VOTE_COLUMNS
from convnet_galaxies.settings import Settings, load_settings

SIDE_PX = 32

TINY_CHANGES = (
    "net.widths=[16,32]",
    "net.depths=[1,1]",
    "net.patch_px=2",
    f"net.input_px={SIDE_PX}",
    "train.epochs=2",
    "train.batch=16",
    "train.precision=fp32",
)

ROUNDING = 288 * 2**-24
"""By how much answers of a tiny net in float32 may differ between batches and processors, 1.7e-5: each sum of its
convolutions has at most 3 x 3 x 32 products, in whatever order, and votes and probabilities lie in 0 to 1."""

TINY_OPTIONS = [part for change in (*TINY_CHANGES, "train.epochs=1") for part in ("--set", change)]
"""The same for the command line, with one epoch."""


def tiny(*changes: str) -> Settings:
    """Settings of a net that trains in well under a second, with changes like ``train.epochs=1``."""
    return load_settings(None, [*TINY_CHANGES, *changes])


def draw_pixels(n: int, seed: int, *, bright: np.ndarray | None = None, bands: int = 3) -> np.ndarray:
    """uint8 [n, 32, 32, bands]: blobs that have no symmetry; where bright is true there is a second one."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    pixels = rng.integers(0, 30, (n, SIDE_PX, SIDE_PX, bands)).astype(float)
    for row in range(n):
        centre_y, centre_x = rng.uniform(12, 19, 2)
        blob = 150 * np.exp(-((x - centre_x) ** 2 / 18 + (y - centre_y) ** 2 / 8))
        if bright is not None and bright[row]:
            blob += 200 * np.exp(-((x - centre_x - 7) ** 2 + (y - centre_y) ** 2) / 6)
        pixels[row] += blob[..., None] * rng.uniform(0.6, 1, bands)
    return pixels.clip(0, 255).astype(np.uint8)


def draw_votes(n: int, seed: int) -> np.ndarray:
    """float64 [n, 37] that keep all sums of the tree."""
    rng = np.random.default_rng(seed)
    votes = np.zeros((n, len(VOTE_COLUMNS)))
    for question in KAGGLE.order:
        answers, parents = KAGGLE.slices[question], KAGGLE.parents[question]
        asked = votes[:, parents[0]] if parents else np.ones(n)
        votes[:, answers] = rng.dirichlet(np.full(answers.stop - answers.start, 0.5), n) * asked[:, None]
    return votes


def make_vote_set(n: int = 96, seed: int = 0) -> ImageSet:
    """Galaxies with votes, one group each."""
    galaxies = np.arange(100_000, 100_000 + n)
    table = pd.DataFrame(draw_votes(n, seed), columns=list(VOTE_COLUMNS))
    table.insert(0, "GalaxyID", galaxies)
    table.insert(0, "group", [f"GalaxyID={galaxy}" for galaxy in galaxies])
    table.insert(0, "id", [str(galaxy) for galaxy in galaxies])
    return ImageSet(draw_pixels(n, seed), table, Preprocess(size_px=SIDE_PX), "galaxy-zoo", ("GalaxyID",))


def make_lens_set(n: int = 96, seed: int = 1) -> ImageSet:
    """Cutouts, two a field, every third image a lens of one of two flavors, of stages 1 and 2; four are unknown."""
    number = np.arange(n)
    lens = (number % 3 == 0).astype(float)
    lens[5::24] = np.nan
    flavor = np.where(lens == 1, np.where(number % 2 == 0, "lensed galaxy", "lensed quasar"), "dud").astype(object)
    flavor[np.isnan(lens)] = None
    fields = [f"ASW{row // 2:05d}" for row in number]
    table = pd.DataFrame(
        {
            "id": [f"cutout{row}_{field}" for row, field in zip(number, fields, strict=True)],
            "group": [f"ZooID={field}" for field in fields],
            "lens": lens,
            "flavor_label": pd.Series(flavor, dtype="str"),
            "flavor": pd.Series(np.where(np.isnan(lens), "test", flavor), dtype="str"),
            "stage": np.where(number // 2 % 4 == 0, 2, 1),
            "ZooID": fields,
        }
    )
    pixels = draw_pixels(n, seed, bright=lens == 1)
    return ImageSet(pixels, table, Preprocess(size_px=SIDE_PX), "space-warps", ("ZooID",))


def without_pixels(table: pd.DataFrame, link_columns: tuple[str, ...] = ()) -> ImageSet:
    """A set of which the table alone matters: its images are black."""
    return ImageSet(np.zeros((len(table), 4, 4, 3), np.uint8), table, Preprocess(size_px=4), link_columns=link_columns)


def write_pngs(images: ImageSet, folder: Path) -> Path:
    """Each image as ``<id>.png`` in a new folder."""
    folder.mkdir(parents=True)
    for name, pixels in zip(images.table["id"], images.images, strict=True):
        Image.fromarray(pixels.squeeze()).save(folder / f"{name}.png")
    return folder
