"""A cutout of a tile is what prediction makes of a file with the same pixels, in every digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.nddata import Cutout2D
from made_fits import image, save, sky, tan_wcs, to_bytes

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.stretch import Composite, Stretch
from convnet_galaxies.data.survey.cutouts import make_pixels
from convnet_galaxies.data.survey.survey_image import open_survey_image
from convnet_galaxies.data.survey.tiles import Tile, list_tiles

SCALE = 0.2
LENS = Preprocess(crop_px=32, size_px=32, pixel_scale_arcsec=SCALE, stretch=Composite())


def write_tile(folder: Path, name: str = "t1", side: tuple[int, int] = (150, 201), *, scale: float = SCALE) -> Tile:
    """A file per band with world coordinates and zero points."""
    for seed, (band, zeropoint) in enumerate({"g": 29.0, "r": 30.0, "i": 30.5}.items()):
        cards = {**tan_wcs(scale, crpix=60.0), "FILTER": band, "MAGZERO": zeropoint}
        save(folder / f"{name}_{band}.fits", sky(seed, side), primary=cards)
    return list_tiles(folder).tiles[0]


def scatter(seed: int, number: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Positions all over a tile, its very edges among them."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.5, shape[1] - 0.5, number), rng.uniform(-0.5, shape[0] - 0.5, number)


@pytest.mark.parametrize("scale", [SCALE, 0.27])
@pytest.mark.parametrize("stretch", [Stretch(), Composite()])
def test_a_position_scanned_equals_the_same_cutout_predicted(
    tmp_path: Path, scale: float, stretch: Stretch | Composite
) -> None:
    tile = write_tile(tmp_path, scale=scale)
    preprocess = LENS.model_copy(update={"stretch": stretch})
    reading = ReadOptions(missing_share=0.6)
    with open_survey_image(tile) as opened:
        x, y = scatter(0, 60, opened.shape)
        found = make_pixels(opened, x, y, preprocess, reading)
        side = preprocess.crop_of(scale)
        cut = [opened.cut(x[[k]], y[[k]], side) for k in range(len(x))]
    assert found.kept.sum() > 40
    assert found.edge.sum() > 10
    pixels = iter(found.pixels)
    for k in np.flatnonzero(found.kept):
        hdus = []
        for plane in cut[k].template.planes:
            stored = np.array(cut[k].values[0, len(hdus), ::-1])
            cards = {**tan_wcs(scale), "FILTER": str(plane.band), "MAGZERO": plane.zeropoint.mag}
            hdus.append(image(stored, cards, name=str(plane.band)))
        predicted = preprocess.decode(to_bytes(*hdus), "cutout.fits", reading)
        np.testing.assert_array_equal(next(pixels), predicted)


def test_windows_are_those_of_astropy(tmp_path: Path) -> None:
    tile = write_tile(tmp_path)
    stored = sky(2, (150, 201))
    with open_survey_image(tile) as opened:
        x, y = scatter(1, 80, opened.shape)
        for side in (31, 32):
            values = opened.cut(x, y, side).values[:, 0, ::-1]
            for k in range(len(x)):
                expected = Cutout2D(stored, (x[k], y[k]), side, mode="partial", fill_value=np.nan).data
                np.testing.assert_array_equal(values[k], expected)
