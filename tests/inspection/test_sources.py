"""Candidates and their images, from packs and from tables with images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from PIL import Image
from small_sets import make_lens_set, write_pngs

from convnet_galaxies.data.bands import parse_band
from convnet_galaxies.data.linear_image import LinearImage, Plane
from convnet_galaxies.data.pack import write_set
from convnet_galaxies.errors import BadImageError, InputError, UsageError
from convnet_galaxies.inspection.open_source import open_source
from convnet_galaxies.inspection.render import Look, name_planes, render, resize


def test_a_pack_shows_its_own_pixels(tmp_path: Path) -> None:
    images = make_lens_set(6)
    source = open_source(write_set(images, tmp_path / "a.pack").path)
    assert source.table["id"].tolist() == images.table["id"].tolist()
    np.testing.assert_array_equal(source.pixels([4, 1], 32), images.images[[4, 1]])
    np.testing.assert_array_equal(source.pixels([2], 64)[0], np.kron(images.images[2], np.ones((2, 2, 1), np.uint8)))


def test_predictions_are_joined_to_a_pack_by_id(tmp_path: Path) -> None:
    images = make_lens_set(6)
    pack = write_set(images, tmp_path / "a.pack").path
    ids = images.table["id"].tolist()
    pd.DataFrame({"id": ids[::-1][:5], "lens_probability": [0.5, 0.4, 0.3, 0.2, 0.1]}).to_csv(tmp_path / "p.csv")
    source = open_source(pack, predictions=tmp_path / "p.csv")
    assert source.table["id"].tolist() == ids
    np.testing.assert_array_equal(source.table["lens_probability"], [np.nan, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert source.remarks == ["1 of 6 images have no prediction"]


def test_a_table_finds_its_images_and_counts_those_that_are_missing(tmp_path: Path) -> None:
    images = make_lens_set(4)
    folder = write_pngs(images, tmp_path / "images")
    ids = [*images.table["id"], "lost"]
    pd.DataFrame({"id": ids, "lens_probability": 0.5, "RA": 150.0, "Dec": [1, 2, 3, 4, 5]}).to_csv(tmp_path / "p.csv")
    source = open_source(tmp_path / "p.csv", images=folder)
    assert source.has_image.tolist() == [True] * 4 + [False]
    assert source.table["dec_deg"].tolist() == [1, 2, 3, 4, 5]
    assert "1 of 5 rows have no image" in source.remarks[0]
    np.testing.assert_array_equal(source.pixels([3, 0], 32), images.images[[3, 0]])
    with pytest.raises(BadImageError, match="lost: has no image"):
        source.image(4)


def test_large_ids_stay_exact(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "images" / "9007199254740993.png")
    (tmp_path / "p.csv").write_text("id,lens_probability\n9007199254740993,0.5\n9007199254740992,0.4\n")
    source = open_source(tmp_path / "p.csv", images=tmp_path / "images")
    assert source.table["id"].tolist() == ["9007199254740993", "9007199254740992"]
    assert source.has_image.tolist() == [True, False]


def test_wrong_sources_are_refused_with_what_was_found(tmp_path: Path) -> None:
    folder = write_pngs(make_lens_set(2), tmp_path / "images")
    (tmp_path / "twice.csv").write_text("id\na\na\n")
    (tmp_path / "other.csv").write_text("id\nx\ny\n")
    (tmp_path / "none.csv").write_text("flux\n1\n")
    with pytest.raises(UsageError, match="a table without its images"):
        open_source(tmp_path / "twice.csv")
    with pytest.raises(InputError, match="1 ids more than once"):
        open_source(tmp_path / "twice.csv", images=folder)
    with pytest.raises(InputError, match="found no row whose image is among the 2"):
        open_source(tmp_path / "other.csv", images=folder)
    with pytest.raises(InputError, match="expected a column id"):
        open_source(tmp_path / "none.csv", images=folder)
    with pytest.raises(UsageError, match="holds images itself"):
        open_source(folder, images=folder)


def write_bands(path: Path) -> np.ndarray:
    """g, r, i planes with noise and one source, which is brightest in i and lies in the corner of the lowest row."""
    rng = np.random.default_rng(0)
    planes = rng.normal(0, 1, (3, 24, 24)).astype(np.float32)
    planes[:, 0, 0] += (20, 60, 100)
    hdus = [fits.PrimaryHDU()]
    for band, plane in zip("gri", planes, strict=True):
        hdus.append(fits.ImageHDU(plane, fits.Header({"FILTER": band}), name=f"SCI_{band}"))
    fits.HDUList(hdus).writeto(path)
    return planes


def test_linear_bands_are_shown_from_red_to_blue_with_north_up(tmp_path: Path) -> None:
    write_bands(tmp_path / "a.fits")
    image = open_source(tmp_path).image(0)
    assert name_planes(image) == ("i", "r", "g")
    shown = render(image, Look("linear"))
    assert shown.shape == (24, 24, 3)
    red, green, blue = shown[-1, 0].tolist()  # the first row of a FITS image is the lowest
    assert red > blue
    assert green > blue
    alone = render(image, Look("linear", band=2))
    assert (alone == alone[..., :1]).all()
    assert np.unravel_index(alone[..., 0].argmax(), (24, 24)) == (23, 0)


@pytest.mark.parametrize("stretch", ["composite", "asinh", "log", "linear"])
def test_more_contrast_shows_faint_light_brighter(tmp_path: Path, stretch: str) -> None:
    write_bands(tmp_path / "a.fits")
    image = open_source(tmp_path).image(0)
    means = [render(image, Look(stretch, contrast)).mean() for contrast in (0.5, 1, 2, 4)]  # type: ignore[arg-type]
    assert means == sorted(means)
    assert means[0] < means[-1]


@pytest.mark.parametrize("bands", [1, 2, 4, 5])
def test_any_number_of_bands_makes_a_picture(tmp_path: Path, bands: int) -> None:
    rng = np.random.default_rng(1)
    hdus = [fits.ImageHDU(rng.normal(0, 1, (12, 12)).astype(np.float32), name=f"P{k}") for k in range(bands)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "a.fits")
    image = open_source(tmp_path).image(0)
    for stretch in ("composite", "asinh", "log", "linear"):
        assert render(image, Look(stretch)).shape == (12, 12, 3)  # type: ignore[arg-type]


def test_an_oblong_image_keeps_its_shape_on_black() -> None:
    shown = resize(np.full((10, 20, 3), 200, np.uint8), 40)
    assert shown.shape == (40, 40, 3)
    assert (shown[10:30] == 200).all()
    assert not shown[:10].any()


def picture(*planes: np.ndarray) -> LinearImage:
    return LinearImage(tuple(Plane(plane, f"plane {k}") for k, plane in enumerate(planes)), is_picture=True)


def test_a_picture_is_shown_as_it_is_or_stretched_by_the_formulas() -> None:
    """Lupton et al. 1999, AJ 118, 1406, for asinh: x' = asinh(12 x) / asinh(12); log1p(60 x) / log1p(60) likewise."""
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = picture(values, 255 - values, np.full_like(values, 7))
    np.testing.assert_array_equal(render(image), np.stack([values, 255 - values, np.full_like(values, 7)], axis=-1))
    x = values / 255
    for name, expected in (
        ("asinh", np.arcsinh(12 * x) / np.arcsinh(12)),
        ("log", np.log(1 + 60 * x) / np.log(61)),
        ("composite", x),
    ):
        for contrast in (1.0, 0.5, 3.0):
            shown = render(image, Look(name, contrast))[..., 0]  # type: ignore[arg-type]
            assert np.abs(shown - 255 * np.clip(contrast * expected, 0, 1)).max() <= 0.5 + 1e-9


def test_of_a_picture_with_transparency_the_colours_are_shown() -> None:
    grey, alpha = np.full((4, 4), 90, np.uint8), np.zeros((4, 4), np.uint8)
    assert (render(picture(grey, alpha)) == 90).all()
    assert (render(picture(grey, grey, grey, alpha)) == 90).all()


def test_of_more_than_three_bands_those_of_the_composite_are_shown_or_else_the_first_middle_and_last() -> None:
    def of_bands(names: str) -> LinearImage:
        planes = []
        for k, name in enumerate(names):
            values = np.random.default_rng(k).normal(0, 1, (24, 24)).astype(np.float32)
            planes.append(Plane(values, name, parse_band(name)))
        return LinearImage(tuple(planes))

    def same(first: LinearImage, second: LinearImage) -> bool:
        return bool((render(first, Look("linear")) == render(second, Look("linear"))).all())

    five = of_bands("ugriz")
    picked = LinearImage(tuple(plane for plane in five.planes if plane.label in "gri"))
    assert same(five, picked)
    four = of_bands("urzy")
    assert same(four, LinearImage((four.planes[3], four.planes[1], four.planes[0])))


def test_a_band_without_any_pixel_is_black_and_leaves_the_others_as_they_are() -> None:
    rng = np.random.default_rng(0)
    red, blue = (Plane(rng.normal(0, 1, (24, 24)).astype(np.float32), name) for name in ("a", "c"))
    empty = Plane(np.full((24, 24), np.nan, np.float32), "b")
    shown = render(LinearImage((red, empty, blue)), Look("asinh"))
    assert len(np.unique(shown[..., 1])) == 1
    assert len(np.unique(shown[..., 0])) > 20
