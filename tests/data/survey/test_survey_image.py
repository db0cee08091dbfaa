"""A tile is opened as its pipeline wrote it, read by windows, and refused with a reason where it is not sound."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from made_fits import image, save, sky, tan_wcs
from made_tiles import LAYOUTS, SCALE, SHAPE, write
from PIL import Image

from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.stretch import Composite, Stretch
from convnet_galaxies.data.survey import windows
from convnet_galaxies.data.survey.cutouts import make_pixels, object_sides_px
from convnet_galaxies.data.survey.survey_image import open_survey_image
from convnet_galaxies.data.survey.tiles import list_tiles
from convnet_galaxies.data.survey.windows import PixelSource
from convnet_galaxies.errors import BadImageError, InputError

COLOUR = Preprocess(crop_px=24, size_px=24, pixel_scale_arcsec=SCALE, stretch=Composite())


def gri(folder: Path, name: str, bands: str = "gri", shape: tuple[int, int] = (80, 90), **cards: object) -> None:
    for k, band in enumerate(bands):
        facts = {**tan_wcs(SCALE, crpix=40.0), "FILTER": band, "MAGZERO": 30.0, **cards}
        save(folder / f"{name}_{band}.fits", sky(k, shape), primary=facts)


def test_fpacked_and_plain_tiles_give_equal_cutouts(tmp_path: Path) -> None:
    layout = LAYOUTS["SCI, MSK, WGT, packed"]()
    write(tmp_path / "packed", layout)
    for path in (tmp_path / "packed").iterdir():
        with fits.open(path) as opened:
            plain = [fits.PrimaryHDU(), *(fits.ImageHDU(hdu.data, hdu.header, hdu.name) for hdu in opened[1:])]
        (tmp_path / "plain").mkdir(exist_ok=True)
        fits.HDUList(plain).writeto(tmp_path / "plain" / path.name.replace(".fz", ""))
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, SHAPE[1], 50), rng.uniform(0, SHAPE[0], 50)
    found = []
    for folder in ("packed", "plain"):
        with open_survey_image(list_tiles(tmp_path / folder).tiles[0]) as opened:
            assert opened.template.passed_over == ("MSK (mask)", "WGT (weight)")
            found.append(opened.cut(x, y, 25).values)
    np.testing.assert_array_equal(found[0], found[1])
    assert np.isnan(found[0]).any()


def test_pages_of_a_map_are_given_back_without_changing_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gri(tmp_path, "a")
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 90, 40), rng.uniform(0, 80, 40)
    found = []
    for most in (1 << 30, 1):
        monkeypatch.setattr(windows, "_MAPPED_BYTES", most)
        with open_survey_image(list_tiles(tmp_path).tiles[0]) as opened:
            found.append(np.concatenate([opened.cut(x[k : k + 5], y[k : k + 5], 9).values for k in range(0, 40, 5)]))
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("most_pixels", [0, 700, 3000, 10**6])
def test_windows_do_not_depend_on_how_much_is_read_at_once(most_pixels: int) -> None:
    values = np.arange(60 * 70, dtype=np.float32).reshape(60, 70)
    sizes = []

    def read(rows: slice, columns: slice) -> np.ndarray:
        part = values[rows, columns]
        sizes.append(part.size)
        return part

    rng = np.random.default_rng(1)
    left, bottom = rng.integers(-12, 68, 90), rng.integers(-12, 58, 90)
    source = PixelSource((60, 70), read, most_pixels=most_pixels)
    expected = PixelSource.of_array(values).gather(left, bottom, 11, np.nan)
    np.testing.assert_array_equal(source.gather(left, bottom, 11, np.nan), expected)
    assert max(sizes) <= max(most_pixels, 121)
    padded = np.pad(values, 12, constant_values=np.nan)
    for k in range(90):
        window = padded[bottom[k] + 12 : bottom[k] + 23, left[k] + 12 : left[k] + 23]
        np.testing.assert_array_equal(
            expected[k], np.pad(window, [(0, 11 - n) for n in window.shape], constant_values=np.nan)
        )


def test_a_zero_point_of_the_table_goes_before_the_header(tmp_path: Path) -> None:
    gri(tmp_path, "a")
    rows = "".join(f"a,{band},a_{band}.fits,{zero}\n" for band, zero in (("g", "27"), ("r", ""), ("i", "28.5")))
    (tmp_path / "tiles.csv").write_text("tile,band,path,zero_point\n" + rows)
    with open_survey_image(list_tiles(tmp_path / "tiles.csv").tiles[0]) as opened:
        told = {str(plane.band): plane.zeropoint for plane in opened.template.planes}
    assert {band: zero.mag for band, zero in told.items()} == {"g": 27.0, "r": 30.0, "i": 28.5}
    assert told["g"].source == "zero_point = 27 in the table"


def test_masks_of_a_table_mark_their_own_band_alone(tmp_path: Path) -> None:
    gri(tmp_path, "a")
    mask = np.zeros((80, 90), np.uint8)
    mask[40, 40] = 1
    save(tmp_path / "m.fits", image(mask, {"HIERARCH MP_NO_DATA": 0}))
    rows = "".join(f"a,{band},a_{band}.fits,{'m.fits' if band == 'r' else ''}\n" for band in "irg")
    (tmp_path / "tiles.csv").write_text("tile,band,path,mask\n" + rows)
    with open_survey_image(list_tiles(tmp_path / "tiles.csv").tiles[0]) as opened:
        values = opened.cut(np.array([40.0]), np.array([40.0]), 5).values[0]
    assert np.isnan(values).sum(axis=(1, 2)).tolist() == [0, 1, 0]
    assert np.isnan(values[1, 2, 2])


def test_extensions_of_a_table_bring_their_own_masks_alone(tmp_path: Path) -> None:
    """SCI and MSK of two bands in one file, of which a table names each by its extension."""
    hdus = []
    for version in (1, 2):
        mask = np.zeros((80, 90), np.int32)
        mask[40, 40 + version] = 1
        hdus += [
            image(sky(version, (80, 90)), tan_wcs(SCALE, crpix=40.0), "SCI", version),
            image(mask, {"HIERARCH MP_NO_DATA": 0}, "MSK", version),
        ]
    save(tmp_path / "a.fits", *hdus)
    (tmp_path / "tiles.csv").write_text("tile,band,path,extension\na,r,a.fits,SCI:2\na,g,a.fits,SCI:1\n")
    with open_survey_image(list_tiles(tmp_path / "tiles.csv").tiles[0]) as opened:
        assert [str(band) for band in opened.bands] == ["r", "g"]
        values = opened.cut(np.array([40.0]), np.array([40.0]), 5).values[0]
    assert [np.argwhere(np.isnan(plane)).tolist() for plane in values] == [[[2, 4]], [[2, 3]]]


def test_a_missing_band_is_sky_and_is_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        gri(tmp_path, name, "gr" if name == "b" else "gri")
    whole, lacking, _ = list_tiles(tmp_path).tiles
    x, y = np.array([36.0, 60.0]), np.array([48.0, 30.0])
    with open_survey_image(whole) as opened:
        full = make_pixels(opened, x, y, COLOUR)
    with open_survey_image(lacking) as opened:
        found = make_pixels(opened, x, y, COLOUR)
    assert (full.bands_missing, found.bands_missing) == ("", "i")
    assert found.kept.all()
    assert not found.pixels[..., 0].any()
    assert found.pixels[0, ..., 1].max() > 60
    assert (found.masked_fraction == 0).all()
    plain = COLOUR.model_copy(update={"stretch": Stretch()})
    with open_survey_image(lacking) as opened:
        three = make_pixels(opened, x, y, plain)
    with open_survey_image(replace(lacking, bands_missing=())) as opened:
        two = make_pixels(opened, x, y, plain.model_copy(update={"bands": 2}))
    np.testing.assert_array_equal(three.pixels[..., 1:], two.pixels)  # the noise is that of the bands that are there


def test_bands_on_another_grid_are_refused_or_resampled(tmp_path: Path) -> None:
    """One smooth sky, drawn at the pixels of two grids that are turned and scaled against each other."""

    def draw(wcs: WCS, shape: tuple[int, int], area: float) -> np.ndarray:
        y, x = np.mgrid[: shape[0], : shape[1]]
        ra, dec = wcs.pixel_to_world_values(x, y)
        arcsec = 3600 * np.stack([(ra - 30.0) * np.cos(np.deg2rad(9.0)), dec + 9.0])
        blobs = [(0, 0, 1.0), (4, -3, 0.5), (-5, 2, 0.8)]
        return (area * sum(f * np.exp(-((arcsec[0] - a) ** 2 + (arcsec[1] - b) ** 2) / 4) for a, b, f in blobs)).astype(
            "f4"
        )

    fine, coarse = tan_wcs(0.2, crpix=60.0), tan_wcs(0.3, crpix=30.0)
    turned = np.deg2rad(20)
    scale = 0.3 / 3600
    coarse |= {"CD1_1": -scale * np.cos(turned), "CD1_2": scale * np.sin(turned),
               "CD2_1": scale * np.sin(turned), "CD2_2": scale * np.cos(turned)}  # fmt: skip
    noise = np.random.default_rng(0).normal(0, 1e-4, (2, 130, 130)).astype(np.float32)
    first = draw(WCS(fits.Header(fine)), (130, 130), 0.04) + noise[0]
    second = draw(WCS(fits.Header(coarse)), (60, 60), 0.09) + noise[1, :60, :60]
    save(tmp_path / "t_i.fits", first, primary={**fine, "FILTER": "i"})
    save(tmp_path / "t_r.fits", second, primary={**coarse, "FILTER": "r"})
    [tile] = list_tiles(tmp_path).tiles
    with (
        pytest.raises(BadImageError, match=r"found 60 x 60 px, expected 130 x 130 px as in t_i\.fits") as fault,
        open_survey_image(tile),
    ):
        pass
    assert "--regrid" in fault.value.fix
    with open_survey_image(tile, regrid=True) as opened:
        i, r = opened.cut(np.array([60.0]), np.array([60.0]), 64).values[0]
    assert np.abs(r - i).max() < 0.03 * i.max()
    with open_survey_image(tile, regrid=True) as opened:
        assert np.isnan(opened.cut(np.array([0.0]), np.array([0.0]), 20).values[0, 1]).all()
    mask = np.zeros((60, 60), np.int16)
    mask[29, 29] = 1  # the middle, in the pixels of its own band
    save(tmp_path / "t_r_mask.fits", image(mask, {"MP_BAD": 0}))
    with open_survey_image(list_tiles(tmp_path).tiles[0], regrid=True) as opened:
        i, r = opened.cut(np.array([59.0]), np.array([59.0]), 15).values[0]
    assert not np.isnan(i).any()
    gone = np.argwhere(np.isnan(r))
    assert 4 <= len(gone) <= 16
    assert np.abs(gone - 7).max() <= 2


def test_a_tile_without_world_coordinates_is_in_pixels_and_says_so(tmp_path: Path) -> None:
    save(tmp_path / "a.fits", sky(0, (60, 70)))
    never_set = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 0.0, "CRVAL2": 0.0, "CDELT1": 1.0, "CDELT2": 1.0}
    save(tmp_path / "b.fits", sky(0, (60, 70)), primary=never_set)
    Image.fromarray(np.zeros((60, 70), np.uint8)).save(tmp_path / "c.png")
    for name, remark in (("a.fits", "without a world"), ("b.fits", "never set"), ("c.png", "without a world")):
        with open_survey_image(list_tiles(tmp_path / name).tiles[0]) as opened:
            assert opened.wcs is None
            assert opened.pixel_scale_arcsec is None
            assert remark in opened.remarks[0]
            assert np.isnan(opened.to_sky(np.zeros(2), np.zeros(2))).all()


@pytest.mark.parametrize("packed", [False, True])
def test_a_tile_that_is_cut_short_is_refused(tmp_path: Path, packed: bool) -> None:
    values = sky(0, (300, 300))
    path = save(tmp_path / "a.fits", values, primary=tan_wcs())
    if packed:
        path = tmp_path / "b.fits.fz"
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(values)]).writeto(path)
    path.write_bytes(path.read_bytes()[:60000])
    with (
        pytest.raises(BadImageError, match=r"found 60,000 bytes, expected .*: the file is cut short"),
        open_survey_image(list_tiles(path).tiles[0]),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps files that are open")
def test_a_tile_that_is_cut_or_removed_while_it_is_read_ends_no_process(tmp_path: Path) -> None:
    path = save(tmp_path / "a.fits", sky(0, (400, 400)), primary=tan_wcs())
    with open_survey_image(list_tiles(path).tiles[0]) as opened:
        before = opened.cut(np.array([200.0]), np.array([380.0]), 9).values
        data = path.read_bytes()
        path.unlink()
        np.testing.assert_array_equal(opened.cut(np.array([200.0]), np.array([380.0]), 9).values, before)
        path.write_bytes(data)
    with open_survey_image(list_tiles(path).tiles[0]) as opened:
        with path.open("r+b") as file:
            file.truncate(20000)
        for read in (
            lambda: opened.cut(np.array([200.0]), np.array([380.0]), 9),
            lambda: opened.read_block(slice(300, 400), slice(0, 9)),
        ):
            with pytest.raises(BadImageError, match="found 20,000 bytes"):
                read()


def test_damaged_bytes_are_a_bad_image_when_their_window_is_read(tmp_path: Path) -> None:
    path = tmp_path / "b.fits.fz"
    hdu = fits.CompImageHDU(np.arange(200 * 200, dtype=np.int32).reshape(200, 200), compression_type="GZIP_1")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    data = bytearray(path.read_bytes())
    data[-20000:-4000] = b"\xff" * 16000
    path.write_bytes(bytes(data))
    with (
        open_survey_image(list_tiles(path).tiles[0]) as opened,
        pytest.raises(BadImageError, match="cannot be read as FITS"),
    ):
        opened.cut(np.full(9, 100.0), np.arange(20.0, 200.0, 20), 20)


def test_a_file_that_vanished_or_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    gri(tmp_path, "a", "r")
    tile = list_tiles(tmp_path / "a_r.fits").tiles[0]
    save(tmp_path / "m.fits", np.zeros((9, 9), np.uint8))
    (tmp_path / "tiles.csv").write_text("tile,band,path,mask\na,r,a_r.fits,m.fits\n")
    with (
        pytest.raises(BadImageError, match="found a mask of 9 x 9 px, expected 90 x 80 px"),
        open_survey_image(list_tiles(tmp_path / "tiles.csv").tiles[0]),
    ):
        pass
    (tmp_path / "a_r.fits").unlink()
    with pytest.raises(BadImageError, match="does not exist"), open_survey_image(tile):
        pass


def test_a_net_of_the_whole_image_needs_a_size_and_takes_one_for_each_object(tmp_path: Path) -> None:
    gri(tmp_path, "a")
    whole = Preprocess(size_px=16, stretch=Composite())
    x, y, sides = np.array([36.0, 36.0, 50.0]), np.array([48.0, 48.0, 40.0]), np.array([16, 48, 21])
    with open_survey_image(list_tiles(tmp_path).tiles[0]) as opened:
        with pytest.raises(InputError, match="the size of a cutout is not settled"):
            make_pixels(opened, x, y, whole)
        found = make_pixels(opened, x, y, whole, side_px=sides)
        for k in range(3):
            one = opened.cut(x[[k]], y[[k]], int(sides[k])).image(0)
            np.testing.assert_array_equal(found.pixels[k], whole.prepare_image(one, "x")[0])
        cropped = make_pixels(opened, x, y, COLOUR.model_copy(update={"size_px": 16}), ReadOptions(), side_px=sides)
    np.testing.assert_array_equal(found.pixels, cropped.pixels)


def test_sizes_of_objects_give_sides_and_nonsense_is_left_out(tmp_path: Path) -> None:
    gri(tmp_path, "a")
    size = np.array([0.7, np.nan, 0.0, -3.0, 1e7, 1.4])
    sides = object_sides_px(size, 5.76, SCALE)
    assert sides.tolist() == [20, 0, 0, 0, 288_000_000, 40]
    assert object_sides_px(np.array([4.0]), 5.0).tolist() == [20]
    with open_survey_image(list_tiles(tmp_path).tiles[0]) as opened:
        found = make_pixels(opened, np.full(6, 45.0), np.full(6, 40.0), COLOUR, side_px=sides)
    assert found.kept.tolist() == [True, False, False, False, False, True]
    assert found.reasons[1:5] == ("a: found no size",) * 3 + ("a: found a side of 288,000,000 px, expected less",)
