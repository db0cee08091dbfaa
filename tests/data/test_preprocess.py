from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convnet_galaxies.data.default_pixels import default_preprocess
from convnet_galaxies.data.fits_image import read_fits
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.linear_image import Plane, above_sky
from convnet_galaxies.data.preprocess import Preprocess, central_square, is_constant, is_grey
from convnet_galaxies.data.records import Records
from convnet_galaxies.data.stretch import Composite, Stretch
from convnet_galaxies.errors import BadImageError, UsageError

GOLDEN = Path(__file__).parents[1] / "golden"


def _png(pixels: np.ndarray, mode: str | None = None) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(out, "PNG")
    return out.getvalue()


def _measure(pixels: np.ndarray) -> tuple[float, ...]:
    """Centre and width of the light along y and x, in pixels."""
    light = pixels[..., 0].astype(float)
    place = np.arange(len(light))
    profiles = [light.sum(axis=axis) / light.sum() for axis in (1, 0)]
    centres = [float((profile * place).sum()) for profile in profiles]
    widths = [float(np.sqrt((p * (place - c) ** 2).sum())) for p, c in zip(profiles, centres, strict=True)]
    return (*centres, *widths)


def _fits(*cubes: np.ndarray) -> bytes:
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(cubes[0]), *map(fits.ImageHDU, cubes[1:])]).writeto(out)
    return out.getvalue()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), crop_px=st.none() | st.integers(1, 40), grey=st.booleans())
def test_alpha_never_changes_a_pixel(seed: int, crop_px: int | None, grey: bool) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (24, 24, 1 if grey else 3), dtype=np.uint8)
    alphas = [np.zeros((24, 24, 1), np.uint8), rng.integers(0, 256, (24, 24, 1), dtype=np.uint8)]
    with_alpha = [_png(np.concatenate([pixels, alpha], axis=2)) for alpha in alphas]
    preprocess = Preprocess(crop_px=crop_px, size_px=12)
    one, other = (preprocess.decode(data, "a.png") for data in with_alpha)
    plain = preprocess.decode(_png(pixels.squeeze()), "a.png")
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, plain)


def test_transparent_entries_of_a_palette_change_no_pixel() -> None:
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 4, mode=None).convert("P")
    image.putpalette([value for entry in range(256) for value in (entry, 255 - entry, 7)])
    datas = []
    for options in ({}, {"transparency": 2}):
        out = io.BytesIO()
        image.save(out, "PNG", **options)
        datas.append(Preprocess(size_px=8).decode(out.getvalue(), "a.png"))
    np.testing.assert_array_equal(*datas)


def test_crop_takes_the_centre_and_pads_with_zeros() -> None:
    pixels = np.arange(1, 26, dtype=np.uint8).reshape(5, 5, 1)
    np.testing.assert_array_equal(central_square(pixels, 3)[..., 0], pixels[1:4, 1:4, 0])
    padded = central_square(pixels, 7)[..., 0]
    np.testing.assert_array_equal(padded[1:6, 1:6], pixels[..., 0])
    assert padded.sum() == pixels.sum()
    wide = central_square(pixels[:3], 5)[..., 0]
    np.testing.assert_array_equal(wide[1:4], pixels[:3, :, 0])


@pytest.mark.parametrize(("crop_px", "size_px"), [(288, 108), (207, 69), (None, 96), (424, 424), (424, 100)])
def test_shrinking_while_decoding_agrees_with_decoding_whole(crop_px: int | None, size_px: int, tmp_path: Path) -> None:
    y, x = np.mgrid[:424, :424]
    blob = 255 * np.exp(-((y - 205) ** 2 + (x - 222) ** 2) / (2 * 30**2))
    out = io.BytesIO()
    Image.fromarray(np.stack([blob, blob / 2, blob / 4], -1).astype(np.uint8)).save(out, "JPEG", quality=95)
    preprocess = Preprocess(crop_px=crop_px, size_px=size_px)
    fast = preprocess.decode(out.getvalue(), "a.jpg")
    (tmp_path / "a.jpg").write_bytes(out.getvalue())
    slow = preprocess.fit(Preprocess().decode_whole(ImageFile(tmp_path / "a.jpg"))[0], crop_px=crop_px)
    assert fast.shape == (size_px, size_px, 3)
    for one, other in zip(_measure(fast), _measure(slow), strict=True):  # the crop may fall half a pixel aside
        assert one == pytest.approx(other, abs=0.6)
    assert fast.mean(axis=(0, 1)) == pytest.approx(slow.mean(axis=(0, 1)), rel=0.02)


def test_golden_fits_image_reads_with_its_last_row_on_top() -> None:
    plane = read_fits((GOLDEN / "image_2x3.fits").read_bytes(), "image_2x3.fits").planes[0]
    np.testing.assert_array_equal(plane.values, [[4, 5, 600], [1, 2, 3]])


def test_fits_cube_extensions_and_gzip_give_the_same_bands() -> None:
    cube = np.random.default_rng(0).normal(size=(3, 6, 5)).astype(np.float32)
    for data in (_fits(cube), _fits(*cube), gzip.compress(_fits(cube)), bz2.compress(_fits(cube))):
        planes = read_fits(data, "a.fits.gz").planes
        np.testing.assert_array_equal([plane.values for plane in planes], cube[:, ::-1])


def test_stretch_puts_the_sky_where_the_formula_says_and_keeps_order() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(1000, 5, (200, 200)).astype(np.float32)
    values[100, 100] = 1e6
    excess, noise, _ = above_sky([Plane(values, "a")], (slice(None), slice(None)), "a.fits", 0.0)
    out = Stretch().apply(excess, noise)
    low, high = np.arcsinh(-2 / 3), np.arcsinh(200 / 3)
    assert np.median(out) == pytest.approx(255 * -low / (high - low), abs=1)
    assert out[100, 100] == 255
    order = np.argsort(values, axis=None)
    assert (np.diff(out.reshape(-1)[order].astype(int)) >= 0).all()


def test_sixteen_bit_png_is_stretched_as_fits_is() -> None:
    pixels = np.random.default_rng(2).integers(900, 1100, (16, 16)).astype(np.uint16)
    preprocess = Preprocess(size_px=16, bands=1)
    np.testing.assert_array_equal(
        preprocess.decode(_png(pixels), "a.png"), preprocess.decode(_fits(pixels[::-1].astype(np.float32)), "a.fits")
    )


def test_truncated_jpeg_is_a_bad_image_at_any_length(image_bytes: Callable[..., bytes]) -> None:
    whole = image_bytes(0, "JPEG", side=64)
    preprocess = Preprocess(crop_px=48, size_px=16)
    assert preprocess.decode(whole, "a.jpg").shape == (16, 16, 3)
    for length in range(0, len(whole) - 2, 37):
        with pytest.raises(BadImageError, match=r"a\.jpg: cannot be decoded"):
            preprocess.decode(whole[:length], "a.jpg")


def test_truncated_png_and_fits_are_bad_images(image_bytes: Callable[..., bytes]) -> None:
    whole = image_bytes(0, "PNG", side=64)
    for length in (0, 20, len(whole) // 2):
        with pytest.raises(BadImageError, match=r"a\.png: cannot be decoded"):
            Preprocess(size_px=8).decode(whole[:length], "a.png")
    whole = _fits(np.ones((64, 64), np.float32))
    for length in (0, 1000, 4000):
        with pytest.raises(BadImageError, match=r"a\.fits: cannot be read as FITS"):
            Preprocess(size_px=8).decode(whole[:length], "a.fits")


def test_fits_with_too_much_nan_or_without_image_is_a_bad_image() -> None:
    with pytest.raises(BadImageError, match=r"found 50\.0% of its pixels missing .*, expected at most 10\.0%") as error:
        Preprocess(size_px=2).decode(_fits(np.array([[1.0, np.nan], [np.nan, 2.0]])), "a.fits")
    assert "--missing 0.5" in error.value.fix
    with pytest.raises(BadImageError, match="found no image but 1 table"):
        read_fits((GOLDEN / "galaxies.fits").read_bytes(), "galaxies.fits")


def test_other_number_of_bands_is_a_bad_image_that_names_both() -> None:
    with pytest.raises(BadImageError, match="found 5 bands, expected 3") as error:
        Preprocess(size_px=4).decode(_fits(np.ones((5, 4, 4), np.float32)), "a.fits")
    assert "--bands 5" in error.value.fix


def test_one_other_pixel_makes_an_image_neither_constant_nor_grey() -> None:
    pixels = np.full((4, 8, 9, 3), 7, np.uint8)
    pixels[1, 7, 8, 2] = 8
    pixels[2, 0, 3] = 50  # a brighter grey pixel
    pixels[3, 4, 0] = (1, 2, 3)
    assert is_constant(pixels).tolist() == [True, False, False, False]
    assert is_grey(pixels).tolist() == [True, False, True, False]
    assert is_constant(np.full((1, 4, 4, 3), 1, np.uint8) * np.array([1, 2, 3], np.uint8)).tolist() == [True]


def test_defaults_are_those_of_the_kind_of_images_and_a_change_that_cannot_be_is_told_by_its_name() -> None:
    zoo, lenses, others = (Records(kind, pd.DataFrame(), ()) for kind in ("galaxy-zoo", "space-warps", "images"))
    assert default_preprocess(zoo) == Preprocess(crop_px=288, size_px=108)
    stamp = Preprocess(crop_px=96, size_px=96, pixel_scale_arcsec=0.186, stretch=Composite())
    assert default_preprocess(lenses) == stamp
    assert default_preprocess(others, pixel_scale_arcsec=0.4, size_px=64).pixel_scale_arcsec == 0.4
    for name, value in (("size_px", -3), ("crop_px", "wide"), ("colour", True)):
        with pytest.raises(UsageError, match=f"{name}: found {value}, ") as caught:
            default_preprocess(zoo, **{name: value})
        assert caught.value.fix == "give another value"
