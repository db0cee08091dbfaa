"""Linear images become the pictures that a net knows: by their zero point, by their noise, and never twice."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from small_sets import make_lens_set

from convnet_galaxies.data.fits_image import read_fits
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import read_pack, write_pack, write_set
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.records import join_sets
from convnet_galaxies.data.stretch import Composite, Stretch
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.simulate.camera import Camera, draw_sky, linear_to_composite

SIDE_PX = 64
LIKE_SPACE_WARPS = Preprocess(size_px=SIDE_PX, pixel_scale_arcsec=0.186, stretch=Composite())


def make_gri() -> np.ndarray:
    """Blank sky with a red and a blue source, float32 [3 (g, r, i), h, w], in counts of zero point 30."""
    gri = draw_sky(Camera(), (SIDE_PX, SIDE_PX), np.random.default_rng(3))
    y, x = np.indices((SIDE_PX, SIDE_PX))
    for at, colour in (((30, 32), (5, 20, 40)), ((40, 20), (12, 8, 6))):
        gri += np.array(colour)[:, None, None] * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 18)
    return gri - np.median(gri, axis=(1, 2), keepdims=True)


def to_fits(*planes: np.ndarray, headers: tuple[dict, ...] = ({},)) -> bytes:
    """Planes [h, w] or cubes with the top row first, as FITS, whose first row is the bottom."""
    planes = tuple(plane[..., ::-1, :] for plane in planes)
    hdus = [fits.PrimaryHDU(planes[0]), *(fits.ImageHDU(plane) for plane in planes[1:])]
    for hdu, cards in zip(hdus, headers, strict=False):
        hdu.header.update(cards)
    out = io.BytesIO()
    fits.HDUList(hdus).writeto(out)
    return out.getvalue()


def zeropoints_mag(data: bytes) -> tuple[float | None, ...]:
    return tuple(plane.zeropoint.mag if plane.zeropoint else None for plane in read_fits(data, "a.fits").planes)


@pytest.mark.parametrize("zeropoint_mag", [30.0, 22.5, 33.1])
def test_a_fits_image_of_any_zero_point_and_sky_becomes_the_picture_that_volunteers_saw(zeropoint_mag) -> None:
    gri = make_gri()
    sky = np.array([3000, -20, 100])[:, None, None]
    values = (gri.astype(float) + sky) * 10 ** (0.4 * (zeropoint_mag - 30))
    expected = linear_to_composite(gri).astype(int)
    said_by_header = to_fits(values, headers=({"MAGZERO": zeropoint_mag},))
    for data, given in (
        (said_by_header, ReadOptions(blue_first=True)),
        (to_fits(values[::-1], headers=({"MAGZERO": zeropoint_mag},)), ReadOptions()),
        (to_fits(values), ReadOptions(blue_first=True, zeropoint_mag=zeropoint_mag)),
        (to_fits(*values, headers=({}, {"MAGZERO": 99.0})), ReadOptions(blue_first=True, zeropoint_mag=zeropoint_mag)),
    ):
        pixels, source = LIKE_SPACE_WARPS.decode_measured(data, "a.fits", given)
        assert (source.side_px, source.unit) == (SIDE_PX, "known")
        assert np.abs(pixels.astype(int) - expected).max() <= 1  # rounding of float32 on a sky of 3,000


def test_each_extension_may_have_a_zero_point_of_its_own() -> None:
    gri = make_gri()
    magnitudes = (27.0, 30.0, 25.0)
    planes = [band * 10 ** (0.4 * (mag - 30)) for band, mag in zip(gri, magnitudes, strict=True)]
    data = to_fits(*planes, headers=({"MAGZPT": 27.0}, {"MAGZPT": 30.0}, {"MAGZPT": 25.0}))
    assert zeropoints_mag(data) == magnitudes
    assert zeropoints_mag(to_fits(*planes, headers=({"MAGZPT": 27.0},))) == (27.0,) * 3
    assert zeropoints_mag(to_fits(*planes, headers=({}, {"MAGZPT": "27"}))) == (None,) * 3
    pixels = LIKE_SPACE_WARPS.decode(data, "a.fits", ReadOptions(blue_first=True))
    assert np.abs(pixels.astype(int) - linear_to_composite(gri)).max() <= 1


def test_without_a_zero_point_the_noise_settles_the_unit_whatever_it_is() -> None:
    gri = make_gri()
    expected = linear_to_composite(gri).astype(int)
    results = []
    for unit in (1.0, 1e-9, 400.0):
        pixels, source = LIKE_SPACE_WARPS.decode_measured(to_fits(gri[::-1] * unit), "a.fits")
        assert source.unit == "guessed"
        results.append(pixels.astype(int))
    # Galaxies in so small an image add a tenth to what looks like noise.
    assert (np.abs(results[0] - expected) <= 0.12 * expected + 1).all()
    assert np.abs(results[1] - results[0]).max() <= 1
    assert np.abs(results[2] - results[0]).max() <= 1


def test_a_noiseless_image_without_a_zero_point_is_taken_as_counts() -> None:
    excess = np.zeros((3, SIDE_PX, SIDE_PX), np.float32)
    excess[:, 20:30, 20:30] = np.array((20, 10, 5))[:, None, None]
    found = Composite().apply(excess, np.zeros(3), None)
    np.testing.assert_array_equal(found, Composite().apply(excess, np.zeros(3), np.ones(3)))


def test_counts_are_taken_per_area_of_the_sky() -> None:
    gri = make_gri()
    coarse = gri.reshape(3, SIDE_PX // 2, 2, SIDE_PX // 2, 2).sum(axis=(2, 4))[::-1]  # all light of 2 x 2 pixels
    preprocess = LIKE_SPACE_WARPS.model_copy(update={"crop_px": SIDE_PX})
    data = to_fits(coarse, headers=({"MAGZERO": 30.0},))
    pixels = preprocess.decode(data, "a.fits", ReadOptions(pixel_scale_arcsec=0.372)).astype(float)
    mean = linear_to_composite(gri).astype(float)
    assert pixels[26:34, 28:36].mean(axis=(0, 1)) == pytest.approx(mean[26:34, 28:36].mean(axis=(0, 1)), rel=0.1)


def test_a_composite_needs_three_bands_and_a_zero_point_is_a_number() -> None:
    with pytest.raises(ValueError, match="bands is 1; a colour composite needs 3"):
        Preprocess(bands=1, stretch=Composite())
    for value in (float("nan"), float("inf")):
        with pytest.raises(UsageError, match="--zero-point: found"):
            ReadOptions(zeropoint_mag=value)


def test_both_stretches_survive_json() -> None:
    for stretch in (Stretch(white_sigma=9), Composite(alpha=0.2)):
        made = Preprocess(stretch=stretch)
        assert Preprocess.model_validate_json(made.model_dump_json()) == made


def test_a_pack_says_whether_its_pixels_were_stretched_and_made_anew_for_another_zero_point(tmp_path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.fits").write_bytes(to_fits(make_gri()))
    records = read_image_folder(folder)

    def pack(zeropoint_mag: float, **options) -> bool:
        given = ReadOptions(blue_first=True, zeropoint_mag=zeropoint_mag)
        return write_pack(records, LIKE_SPACE_WARPS, tmp_path / "a.pack", reading=given, **options).unchanged

    assert not pack(30.0)
    assert pack(30.0)
    first = read_pack(tmp_path / "a.pack")
    assert first.linear
    np.testing.assert_array_equal(first.images[0], linear_to_composite(make_gri()))
    assert not pack(28.0, force=True)
    assert read_pack(tmp_path / "a.pack").images.sum() > 1.2 * first.images.sum()


def test_stretches_matter_between_sets_only_where_something_was_stretched(tmp_path: Path) -> None:
    pictures, others = make_lens_set(8), make_lens_set(8, seed=5)
    others = replace(others, table=others.table.assign(id=[f"x{name}" for name in others.table["id"]]))
    made = others.preprocess.model_copy(update={"stretch": Composite()})
    linear = replace(others, preprocess=made, linear=True)
    write_set(linear, tmp_path / "linear.pack")
    assert read_pack(tmp_path / "linear.pack").linear
    joined = join_sets([pictures, linear])
    assert joined.linear
    assert joined.preprocess.stretch == Composite()
    assert not join_sets([pictures, replace(linear, linear=False)]).linear
    with pytest.raises(InputError, match="pack all sources with the same settings"):
        join_sets([replace(pictures, linear=True), linear])
