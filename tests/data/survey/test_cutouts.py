"""A cutout of a tile is what prediction makes of a file with the same pixels, in every digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from imagecodecs import png_encode
from made_fits import image, save, sky, tan_wcs, to_bytes
from made_tiles import LAYOUTS, SCALE, write, write_window
from PIL import Image

from convnet_galaxies.data.image_files import find_images
from convnet_galaxies.data.picture import decode_picture
from convnet_galaxies.data.plain_windows import prepare_plain
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.stretch import Composite, Stretch
from convnet_galaxies.data.survey import cutouts
from convnet_galaxies.data.survey.cutouts import make_pixels
from convnet_galaxies.data.survey.survey_image import open_survey_image
from convnet_galaxies.data.survey.tiles import Tile, list_tiles

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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_position_scanned_equals_the_same_cutout_predicted(tmp_path: Path, layout: str) -> None:
    folder = write(tmp_path / "tile", LAYOUTS[layout](), packed=layout == "a cube")
    [tile] = list_tiles(folder).tiles
    reading = ReadOptions(missing_share=0.7)
    x = np.array([91.0, 60.2, 119.7, 43.0, 80.0, 17.0, 61.0, 4.0, 168.4, 120.0])
    y = np.array([70.0, 75.5, 33.0, 101.0, 22.0, 50.0, 111.0, 60.0, 137.0, 2.0])
    with open_survey_image(tile) as opened:
        found = make_pixels(opened, x, y, LENS, reading)
        windows = opened.cut(x, y, LENS.crop_px)
    assert found.kept.all()
    assert found.edge.tolist() == [False] * 7 + [True] * 3
    for k in range(len(x)):
        cut = write_window(folder, tmp_path / f"cut{k}", int(windows.left[k]), int(windows.first_row[k]), LENS.crop_px)
        [file] = find_images(cut).files
        predicted, info = LENS.decode_file(file, reading)
        np.testing.assert_array_equal(found.pixels[k], predicted)
        assert found.masked_fraction[k] == pytest.approx(info.masked_fraction)


@pytest.mark.parametrize("stretch", [Stretch(), Composite()])
def test_a_tile_of_another_scale_is_resampled_as_prediction_does(tmp_path: Path, stretch: Stretch | Composite) -> None:
    tile = write_tile(tmp_path, scale=0.27)
    preprocess = LENS.model_copy(update={"stretch": stretch})
    with open_survey_image(tile) as opened:
        x, y = scatter(0, 40, opened.shape)
        found = make_pixels(opened, x, y, preprocess, ReadOptions(missing_share=0.6))
        windows = opened.cut(x, y, preprocess.crop_of(0.27))
    pixels = iter(found.pixels)
    assert found.kept.sum() > 20
    for k in np.flatnonzero(found.kept):
        hdus = []
        for plane in windows.template.planes:
            stored = np.array(windows.values[k, len(hdus), ::-1])
            cards = {**tan_wcs(0.27), "FILTER": str(plane.band), "MAGZERO": plane.zeropoint.mag}
            hdus.append(image(stored, cards, name=str(plane.band)))
        predicted = preprocess.decode(to_bytes(*hdus), "cutout.fits", ReadOptions(missing_share=0.6))
        np.testing.assert_array_equal(next(pixels), predicted)


@pytest.mark.parametrize("side", [31, 32])
@pytest.mark.parametrize("shape", [(60, 81), (61, 80)])
@pytest.mark.parametrize("form", ["fits", "png"])
def test_a_star_of_one_pixel_is_the_brightest_pixel_of_its_cutout(
    tmp_path: Path, side: int, shape: tuple[int, int], form: str
) -> None:
    """Pixel side // 2 of the rows of the file, which run from the bottom in FITS."""
    stars = [(40, 30), (3, 57), (77, 2)]
    values = np.full(shape, 20, np.uint8)
    for x, y in stars:
        values[y, x] = 150 + x
    if form == "fits":
        noise = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
        path = save(tmp_path / "t.fits", noise + values, primary=tan_wcs(SCALE, crpix=20.5))
    else:
        path = tmp_path / "t.png"
        Image.fromarray(values).save(path)
    preprocess = Preprocess(crop_px=side, size_px=side, bands=1, pixel_scale_arcsec=SCALE)
    with open_survey_image(list_tiles(path).tiles[0]) as opened:
        x, y = (np.array(axis, float) for axis in zip(*stars, strict=True))
        if form == "fits":
            wcs = WCS(fits.Header(tan_wcs(SCALE, crpix=20.5)))
            sky_at = wcs.pixel_to_world_values(x, y)
            x, y = opened.to_pixels(*sky_at)
        found = make_pixels(opened, x, y, preprocess, ReadOptions(missing_share=0.8))
    assert found.kept.all()
    row = side - 1 - side // 2 if form == "fits" else side // 2
    for pixels in found.pixels[..., 0]:
        assert np.unravel_index(pixels.argmax(), pixels.shape) == (row, side // 2)


@pytest.mark.parametrize("scale", [SCALE, 0.27])
def test_windows_prepared_together_are_those_prepared_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: float
) -> None:
    """Among them some at the edge, some without noise, and some whose noise suits no survey."""
    tile = write_tile(tmp_path, scale=scale)
    for path in tmp_path.iterdir():
        with fits.open(path, mode="update") as opened:
            opened[0].data[:40, :60] = np.tile([3.0, 4.0, 4.0], 800).reshape(40, 60)
            opened[0].data[110:, 150:] *= 1e7
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, 201, 150), rng.uniform(0, 150, 150)
    taken = []

    def count(*arguments):
        done = prepare_plain(*arguments)
        taken.append((int(done[0].sum()), len(done[0])))
        return done

    monkeypatch.setattr(cutouts, "prepare_plain", count)
    with open_survey_image(tile) as opened:
        together = make_pixels(opened, x, y, LENS)
        plain, whole = np.sum(taken, axis=0)
        assert 40 < plain < whole - 20
        monkeypatch.setattr(
            cutouts,
            "prepare_plain",
            lambda p, planes, values, info, *_: (np.zeros(len(values), bool), p.new_array(0), info),
        )
        one_by_one = make_pixels(opened, x, y, LENS)
    np.testing.assert_array_equal(together.pixels, one_by_one.pixels)
    np.testing.assert_array_equal(together.masked_fraction, one_by_one.masked_fraction)
    assert together.infos == one_by_one.infos
    assert together.reasons == one_by_one.reasons


@pytest.mark.parametrize(("form", "bits"), [("png", 8), ("jpg", 8), ("png", 16)])
def test_a_cutout_of_a_picture_is_what_prediction_makes_of_the_same_pixels(
    tmp_path: Path, form: str, bits: int
) -> None:
    rng = np.random.default_rng(5)
    values = rng.integers(0, 200, (90, 100, 3)).astype(np.uint8)
    values[:, :20] = 7  # no padding in a picture
    path = tmp_path / f"t.{form}"
    if bits == 16:
        path.write_bytes(png_encode(values.astype(np.uint16) * 200))
    else:
        Image.fromarray(values).save(path)
    whole = decode_picture(path.read_bytes(), path.name)
    preprocess = Preprocess(crop_px=24, size_px=20)
    x, y = np.array([30.0, 26.0, 80.3]), np.array([30.0, 60.0, 44.0])
    with open_survey_image(list_tiles(path).tiles[0]) as opened:
        found = make_pixels(opened, x, y, preprocess)
        windows = opened.cut(x, y, 24)
    assert found.kept.all()
    for k in range(3):
        left, top = int(windows.left[k]), int(windows.first_row[k])
        part = whole[top : top + 24, left : left + 24]
        np.testing.assert_array_equal(found.pixels[k], preprocess.prepare(part, "x")[0])


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
