from __future__ import annotations

import io
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pictures import encode, png16, tiff
from PIL import Image, ImageOps

from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.picture import decode_jpeg, decode_picture, decode_with_alpha, name_form
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.quiet import quiet_warnings
from convnet_galaxies.errors import BadImageError

ORIENTATION = 0x0112


def _colours(side: int = 48, seed: int = 0) -> np.ndarray:
    """uint8 [side, 1.5 side, 3], smooth and without any symmetry."""
    y, x = np.mgrid[:side, : side * 3 // 2] / side
    return np.stack([150 * x, 120 * y + 60 * x, 200 * y * y + 5 * (seed % 11)], axis=-1).astype(np.uint8)


def _numbers(bands: int, kind: str = "u2", shape: tuple[int, int] = (13, 21)) -> np.ndarray:
    rng = np.random.default_rng(bands)
    if kind[0] == "f":
        return rng.normal(0, 1e3, (*shape, bands)).astype(kind)
    low = np.iinfo(kind).min if kind[0] == "i" else 0
    return rng.integers(low, np.iinfo(kind).max, (*shape, bands), dtype=kind, endpoint=True)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    bands=st.integers(1, 4),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    interlaced=st.booleans(),
)
def test_png_of_16_bits_gives_its_numbers_and_never_its_alpha(
    seed: int, bands: int, height: int, width: int, interlaced: bool
) -> None:
    values = np.random.default_rng(seed).integers(0, 2**16, (height, width, bands), dtype=np.uint16)
    pixels, alpha = decode_with_alpha(png16(values, interlaced=interlaced), "a.png")
    assert pixels.dtype == np.uint16
    colours = bands if bands % 2 else bands - 1
    np.testing.assert_array_equal(pixels, values[..., :colours])
    if colours == bands:
        assert alpha is None
    else:
        np.testing.assert_array_equal(alpha, values[..., -1])


def test_colour_png_of_16_bits_is_stretched_as_the_grey_one_is() -> None:
    grey = (200 + 1500 * np.exp(-np.hypot(*(np.mgrid[:64, :64] - 31.5)) / 8)).astype(np.uint16)[..., None]
    grey += np.random.default_rng(0).integers(0, 40, grey.shape, dtype=np.uint16)
    preprocess = Preprocess(size_px=64)
    one, source = preprocess.decode_measured(png16(grey), "grey.png")
    three, of_three = preprocess.decode_measured(png16(grey.repeat(3, axis=2)), "rgb.png")
    np.testing.assert_array_equal(one, three)
    assert source.unit == of_three.unit == "any"
    assert three[32, 32].min() > 140


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"order": ">"},
        {"separate": True},
        {"separate": True, "order": ">", "deflate": True},
        {"deflate": True, "predictor": True},
    ],
)
def test_tiff_gives_the_numbers_that_were_stored(kind: str, bands: int, layout: dict) -> None:
    if layout.get("predictor") and kind[0] == "f":
        layout = {**layout, "predictor": False}  # floats have a predictor of their own
    values = _numbers(bands, kind)
    photometric = 1 if bands == 5 else None
    pixels = decode_picture(tiff(values, photometric=photometric, **layout), "a.tif")
    assert pixels.dtype == {"u1": np.uint8, "u2": np.uint16}.get(kind, np.float32)
    np.testing.assert_array_equal(pixels, values.astype(pixels.dtype))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "LAB", "YCbCr"])
def test_tiff_by_another_writer_is_what_its_picture_is(mode: str, compression: str) -> None:
    colours = Image.fromarray(_colours())
    if mode == "I;16":
        image = Image.fromarray(_numbers(1)[..., 0])
    else:
        image = colours.convert("LA").convert("L").convert(mode) if mode == "1" else colours.convert(mode)
    data = encode(image, "TIFF", compression=compression)
    if (mode, compression) == ("YCbCr", "raw") and int(PIL.__version__.partition(".")[0]) < 13:
        with pytest.raises(BadImageError, match="cannot be decoded"):  # they cannot read what they write
            decode_picture(data, "a.tif")
        return
    pixels = decode_picture(data, "a.tif")
    if mode in ("I;16", "I", "F"):
        expected, tolerance = np.asarray(image)[..., None].astype(pixels.dtype), 0
    elif mode in ("1", "L", "LA"):
        expected, tolerance = np.asarray(image.convert("L"))[..., None], 0
    else:
        expected, tolerance = np.asarray(image.convert("RGB")), 2 if mode in ("LAB", "YCbCr") else 0
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(float) - expected).max() <= tolerance


def test_alpha_of_a_tiff_is_no_band() -> None:
    for kind in ("u1", "u2", "f4"):
        for bands in (2, 4):
            values = _numbers(bands, kind)
            pixels, alpha = decode_with_alpha(tiff(values, tags={338: 2}), "a.tif")
            np.testing.assert_array_equal(pixels, values[..., :-1])
            np.testing.assert_array_equal(alpha, values[..., -1])


def test_nan_and_infinity_of_a_float_tiff_are_handed_on() -> None:
    values = _numbers(3, "f4")
    values[2, 3, 1], values[0, 0, 0] = np.nan, np.inf
    np.testing.assert_array_equal(decode_picture(tiff(values), "a.tif"), values)


def test_white_is_zero_is_turned_into_black_is_zero() -> None:
    for kind in ("u1", "u2"):
        values = _numbers(1, kind)
        pixels = decode_picture(tiff(values, photometric=0), "a.tif")
        np.testing.assert_array_equal(pixels, np.iinfo(kind).max - values)


def test_thumbnail_and_mask_of_a_tiff_are_passed_over_and_pages_refused_with_their_number() -> None:
    small, whole, mask = _numbers(3, shape=(4, 5)), _numbers(3), _numbers(1, "u1")
    pixels = decode_picture(tiff(small, whole, mask, kinds=(1, 0, 4)), "a.tif")
    np.testing.assert_array_equal(pixels, whole)
    with pytest.raises(BadImageError, match=r"a\.tif: found a TIFF file of 3 pages, expected one") as error:
        decode_picture(tiff(whole, whole, whole), "a.tif")
    assert "pages that are bands as one picture" in error.value.fix


@pytest.mark.parametrize("form", ["WEBP", "GIF"])
def test_animation_is_refused_with_the_number_of_its_pictures(form: str) -> None:
    frames = [Image.fromarray(_colours(seed=seed)) for seed in (1, 2, 3)]
    data = encode(frames[0], form, save_all=True, append_images=frames[1:])
    with pytest.raises(BadImageError, match="found 3 pictures in one file"):
        decode_picture(data, "a.webp")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
def test_palette_gives_its_colours_whatever_is_transparent(bits: int, transparent: bool) -> None:
    image = Image.fromarray(_colours()).quantize(2**bits)
    data = encode(image, "PNG", bits=bits, **({"transparency": 1} if transparent else {}))
    np.testing.assert_array_equal(decode_picture(data, "a.png"), np.asarray(image.convert("RGB")))


def test_webp_gives_its_colours_and_never_its_alpha() -> None:
    colours = _colours()
    alpha = np.random.default_rng(0).integers(1, 256, (*colours.shape[:2], 1), dtype=np.uint8)
    plain = encode(colours, "WEBP", lossless=True)
    with_alpha = encode(np.concatenate([colours, alpha], axis=2), "WEBP", lossless=True)
    for data in (plain, with_alpha):
        np.testing.assert_array_equal(decode_picture(data, "a.webp"), colours)
    lossy = decode_picture(encode(colours, "WEBP", quality=95), "a.webp").astype(float)
    assert np.abs(lossy - colours).mean() < 3


def test_inks_of_jpeg_and_tiff_become_the_colours_that_they_print() -> None:
    colours = _colours()
    inks = Image.fromarray(colours).convert("CMYK")
    jpeg = decode_jpeg(encode(inks, "JPEG", quality=98), "a.jpg", bands=3)[0]
    assert np.abs(jpeg.astype(float) - colours).mean() < 2
    np.testing.assert_array_equal(decode_picture(encode(inks, "TIFF"), "a.tif"), np.asarray(inks.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_picture_is_turned_as_its_orientation_asks(orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encode(_colours(), form, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    pixels = decode_jpeg(data, "a.jpg", bands=3)[0] if form == "JPEG" else decode_picture(data, "a")
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(float) - expected).max() <= (2 if form == "JPEG" else 0)  # two decoders of JPEG


@pytest.mark.parametrize("orientation", range(1, 9))
def test_linear_tiff_is_turned_as_a_picture_of_8_bits_is(orientation: int) -> None:
    colours = _colours()
    turned = decode_picture(encode(colours, "TIFF", tiffinfo={ORIENTATION: orientation}), "a.tif")
    linear = decode_picture(tiff(colours.astype(np.uint16), tags={ORIENTATION: orientation}), "a.tif")
    np.testing.assert_array_equal(linear, turned)


@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_jpeg_that_is_turned_and_shrunk_keeps_its_crop(orientation: int) -> None:
    y, x = np.mgrid[:320, :480]
    blob = 255 * np.exp(-((y - 150) ** 2 + (x - 262) ** 2) / (2 * 20**2))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(np.stack([blob, blob / 2, blob / 4], -1).astype(np.uint8))
    preprocess = Preprocess(crop_px=200, size_px=50)
    turned = preprocess.decode(encode(image, "JPEG", quality=95, exif=exif), "a.jpg")
    upright = Image.open(io.BytesIO(encode(image, "JPEG", quality=95, exif=exif)))
    expected = preprocess.decode(encode(ImageOps.exif_transpose(upright), "PNG"), "a.png")
    assert np.abs(turned.astype(float) - expected).mean() < 3
    assert np.abs(turned.astype(float) - expected[::-1]).mean() > 6


def test_damaged_exif_leaves_a_picture_upright_and_warns_of_nothing() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010E] = "a description that stands elsewhere in the segment"
    for form in ("JPEG", "WEBP"):
        data = bytearray(encode(_colours(), form, exif=exif))
        start = data.index(b"MM\0*") if b"MM\0*" in data else data.index(b"II*\0")
        for place, width, upright in ((4, 4, True), (8, 2, False), (10, 8, False)):  # where the tags are, number, first
            broken = data[: start + place] + b"\xff" * width + data[start + place + width :]
            pixels = decode_jpeg(bytes(broken), "a", bands=3)[0] if form == "JPEG" else decode_picture(broken, "a")
            assert pixels.size == _colours().size
            assert pixels.shape == _colours().shape or not upright


def test_png_called_jpg_is_read_by_its_content(tmp_path: Path) -> None:
    colours = _colours()
    (tmp_path / "a.jpg").write_bytes(encode(colours, "PNG"))
    (tmp_path / "a.png").write_bytes(encode(colours, "JPEG"))
    np.testing.assert_array_equal(Preprocess().decode_whole(ImageFile(tmp_path / "a.jpg"))[0], colours)
    turned = Preprocess().decode_whole(ImageFile(tmp_path / "a.png"))[0]
    assert turned.shape == colours.shape


KINDS = {
    "grey16.png": png16(_numbers(1)),
    "rgb16.png": png16(_numbers(3)),
    "rgb8.png": encode(_colours(), "PNG"),
    "u2.tif": tiff(_numbers(3)),
    "f4.tif": tiff(_numbers(3, "f4"), deflate=True),
    "rgb8.tif": encode(_colours(), "TIFF"),
    "palette.tif": encode(Image.fromarray(_colours()).quantize(9), "TIFF"),
    "a.webp": encode(_colours(), "WEBP"),
    "a.jpg": encode(_colours(), "JPEG"),
    "inks.jpg": encode(Image.fromarray(_colours()).convert("CMYK"), "JPEG"),
}


@pytest.mark.parametrize("name", KINDS)
def test_truncated_picture_of_any_kind_is_a_bad_image(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    whole = KINDS[name]
    Preprocess(size_px=8).decode(whole, name)
    for length in np.linspace(0, 0.7 * len(whole), 23).astype(int):
        with pytest.raises(BadImageError, match=rf"{name}: cannot be decoded"):
            Preprocess(size_px=8).decode(whole[:length], name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", KINDS)
def test_damaged_bytes_raise_nothing_but_a_bad_image(name: str) -> None:
    rng = np.random.default_rng(len(name))
    for _ in range(60):
        data = bytearray(KINDS[name])
        for place in rng.integers(0, min(len(data), 400), 3):
            data[place] = rng.integers(0, 256)
        with suppress(BadImageError):
            decode_picture(bytes(data), "a")
        if name.endswith(".jpg"):
            with suppress(BadImageError):
                decode_jpeg(bytes(data), "a", bands=3, size_px=8)


def test_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded() -> None:
    jpeg = bytearray(KINDS["a.jpg"])
    frame = jpeg.index(b"\xff\xc0") + 5
    jpeg[frame : frame + 4] = b"\xff\xdc\xff\xdc"
    with pytest.raises(BadImageError, match=r"found 65,500 x 65,500 px .* expected at most 178,956,970"):
        decode_jpeg(bytes(jpeg), "a.jpg", bands=3, size_px=8)
    with pytest.raises(BadImageError, match="found 60,000 x 60,000 px"):
        decode_picture(png16(_numbers(3), size=(60_000, 60_000)), "a.png")
    huge = tiff(_numbers(1), tags={256: 100_000, 257: 100_000})
    with pytest.raises(BadImageError, match="found 100,000 x 100,000 px"):
        decode_picture(huge, "a.tif")


def test_form_names_format_mode_depth_and_alpha() -> None:
    forms = {name: name_form(data, name) for name, data in KINDS.items()}
    assert forms["rgb16.png"] == ("PNG", "RGB, 16 bits", False)
    assert forms["f4.tif"] == ("TIFF", "RGB, 32 bits", False)
    assert forms["palette.tif"] == ("TIFF", "P", False)
    assert forms["inks.jpg"] == ("JPEG", "CMYK", False)
    assert name_form(png16(_numbers(2)), "a.png") == ("PNG", "LA, 16 bits", True)
    with pytest.raises(BadImageError, match="found a web page"):
        name_form(b"<!DOCTYPE html><html>Sign in", "a.png")


def test_threads_that_ignore_warnings_leave_the_filters_as_they_were() -> None:
    before = list(warnings.filters)

    def work() -> None:
        for _ in range(200):
            with quiet_warnings():
                warnings.warn("unheard", stacklevel=1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
