"""Lenses painted into FITS fields of any make: the copies are read again as the fields were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from made_fits import bands, image, save, tan_wcs

from convnet_galaxies.data.band_files import read_image
from convnet_galaxies.data.image_files import find_images
from convnet_galaxies.data.linear_image import LinearImage
from convnet_galaxies.errors import InputError
from convnet_galaxies.simulate.camera import Camera
from convnet_galaxies.simulate.field import render_objects
from convnet_galaxies.simulate.injection import MASKS_NAME, inject
from convnet_galaxies.simulate.sky_population import SkyObject

RED = SkyObject(70.3, 66.8, 19.6, 1.6, 0.6, "elliptical", 0.4, 4.0, 0.7, 0.5)
PLACE = tan_wcs(0.186)


def gri(seed: int = 0, side: int = 140) -> np.ndarray:
    """Counts of AB 30 in g, r, i, the rows as in a FITS file."""
    light = render_objects([RED], (side, side), Camera())
    sigma = np.array(Camera().sky_sigma_counts)[:, None, None]
    return (light + sigma * np.random.default_rng(seed).standard_normal(light.shape)).astype(np.float32)


def paint(folder: Path, number: int = 1) -> tuple[list[LinearImage], tuple[str, ...]]:
    done = inject(folder, folder.parent / "out", number, 1)
    files = find_images(folder.parent / "out" / "images").files
    return [read_image(file) for file in files], done.remarks


def layouts(folder: Path) -> dict[str, Path]:
    cube = gri()
    per_band = {"MAGZERO": 27.0, **PLACE}
    faint = cube * np.float32(10 ** (0.4 * (27.0 - 30.0)))
    save(folder / "cube" / "a.fits", cube, primary={"BANDS": "gri", "MZP_AB": 30.0, **PLACE})
    save(folder / "turned" / "a.fits", cube[::-1], primary={"BANDS": "irg", "MZP_AB": 30.0, **PLACE})
    save(
        folder / "extensions" / "a.fits",
        *(image(faint[k], {**per_band, "FILTER": f"HSC-{band}"}, "SCI", k + 1) for k, band in enumerate("GRI")),
        image(np.zeros((140, 140), np.int32), {}, "MASK"),
    )
    for plane, band in zip(cube, "gri", strict=True):
        save(folder / "files" / f"a_{band}.fits", plane, primary={"MAGZERO": 30.0, **PLACE})
    save(folder / "grz" / "a.fits", cube, primary={"BANDS": "grz", "BUNIT": "nJy", **PLACE})
    save(folder / "top" / "a.fits", cube, primary={"BANDS": "gri", "MZP_AB": 30.0, "ROWORDER": "TOP-DOWN", **PLACE})
    return {path.name: path for path in folder.iterdir()}


EXPECTED = {
    "cube": ("g r i", [30.0] * 3),
    "turned": ("g r i", [30.0] * 3),
    "extensions": ("g r i", [27.0] * 3),
    "files": ("g r i", [30.0] * 3),
    "grz": ("g r z", [31.4] * 3),
    "top": ("g r i", [30.0] * 3),
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_painted_fields_are_read_again_with_bands_zero_points_and_place(tmp_path: Path, name: str) -> None:
    fields = layouts(tmp_path / "in")[name]
    (found,), _ = paint(fields)
    original = read_image(find_images(fields).files[0])
    names, magnitudes = EXPECTED[name]
    assert bands(found).lower() == names
    assert [round(plane.zeropoint.mag, 3) for plane in found.planes if plane.zeropoint] == magnitudes
    assert found.pixel_scale_arcsec == pytest.approx(0.186)
    assert found.rows_from_bottom == original.rows_from_bottom
    by_band = {str(plane.band).lower(): plane.values for plane in original.planes}
    for plane in found.planes:
        added = plane.values - by_band[str(plane.band).lower()]
        assert added.min() > -1e-2
        assert added.max() > 0
    with fits.open(next((fields.parent / "out" / "images").glob("*.fits"))) as opened:
        for hdu in opened[1:]:
            wcs = WCS(hdu.header)
            assert wcs.naxis == 2
            np.testing.assert_allclose(wcs.wcs.crval, [PLACE["CRVAL1"], PLACE["CRVAL2"]])


def test_a_cube_with_three_axes_in_its_coordinates_gives_planes_with_two(tmp_path: Path) -> None:
    cards = {**PLACE, "BANDS": "gri", "MZP_AB": 30.0, "CTYPE3": "BAND", "CRVAL3": 1.0, "CD3_3": 1.0}
    hdu = fits.PrimaryHDU(gri())
    hdu.header["WCSAXES"] = 3
    hdu.header.update(cards)
    (tmp_path / "in").mkdir()
    hdu.writeto(tmp_path / "in" / "a.fits")
    paint(tmp_path / "in")
    header = fits.getheader(next((tmp_path / "out" / "images").glob("*.fits")), 1)
    assert WCS(header).naxis == 2


def test_truth_masks_stand_apart_where_no_reader_of_the_images_meets_them(tmp_path: Path) -> None:
    fields = layouts(tmp_path / "in")["cube"]
    found, _ = paint(fields, 2)
    assert [len(one.planes) for one in found] == [3, 3]
    assert all(not one.passed_over for one in found)
    masks = sorted((fields.parent / "out" / MASKS_NAME).iterdir())
    assert [path.name for path in masks] == ["a_00000.fits", "a_00001.fits"]
    assert 0 < fits.getdata(masks[0]).mean() < 0.5


def test_borders_of_nan_stay_and_fields_with_them_are_used(tmp_path: Path) -> None:
    cube = gri()
    cube[:, :, :3] = np.nan
    save(tmp_path / "in" / "a.fits", cube, primary={"BANDS": "gri", "MAGZERO": 30.0, **PLACE})
    (found,), _ = paint(tmp_path / "in")
    for plane in found.planes:
        assert np.array_equal(np.isnan(plane.values), np.isnan(cube[0]))


def test_fields_that_cannot_be_used_are_counted_and_named_by_reason(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    save(folder / "a_good.fits", gri(), primary={"BANDS": "gri", "MAGZERO": 30.0, **PLACE})
    save(folder / "b_coarse.fits", gri(1), primary={"BANDS": "gri", "MAGZERO": 30.0, **tan_wcs(0.4)})
    save(folder / "c_tiny.fits", gri(2)[:, :50, :50], primary={"BANDS": "gri", "MAGZERO": 30.0})
    save(folder / "d_one.fits", gri(3)[0], primary={"FILTER": "g"})
    save(folder / "e_two.fits", gri(4)[:2], primary={"BANDS": "gr"})
    empty = gri(5)
    empty[1] = 0
    save(folder / "f_empty.fits", empty, primary={"BANDS": "gri"})
    holed = gri(6)
    holed[2, :30] = np.nan
    save(folder / "g_holed.fits", holed, primary={"BANDS": "gri"})
    save(folder / "h_bits.fits", np.zeros((3, 90, 90), np.uint8), primary={"BANDS": "gri"})
    save(folder / "i_faulty.fits", gri(7), primary={"BANDS": "gri", "BAND0": "z", "BAND1": "r", "BAND2": "g"})
    (folder / "j_broken.fits").write_bytes(b"SIMPLE  = nothing")
    done = inject(folder, tmp_path / "out", 3, 1)
    assert done.fields == ("a_good.fits",)
    for name, reason in (
        ("b_coarse", 'found 0.4"/px, expected 0.186"/px'),
        ("c_tiny", "found 50 x 50 px, expected 64 px or more"),
        ("d_one", "found 1 bands, expected g, r, i"),
        ("e_two", "found 2 bands"),
        ("f_empty", "found the value 0 everywhere"),
        ("g_holed", "21.4% of its pixels missing"),
        ("h_bits", "found 8 bits, expected linear values"),
        ("i_faulty", "BANDS gives g, r, i, BAND0 gives z, r, g"),
        ("j_broken", "cannot be read as FITS"),
    ):
        about = [remark for remark in done.remarks if name in remark]
        assert len(about) == 1, name
        assert about[0].startswith(f"1 field not used: {name} (")
        assert reason in about[0]


def test_a_folder_of_fields_of_a_wrong_scale_alone_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.fits", gri(), primary={"BANDS": "gri", **tan_wcs(0.263)})
    with pytest.raises(InputError, match=r'no usable field among 1 images \(found 0\.263"/px, expected 0\.186"/px\)'):
        inject(tmp_path / "in", tmp_path / "out", 1, 0)
    assert not (tmp_path / "out").exists()


def test_what_was_guessed_of_a_field_is_told(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.fits", gri(), primary={"MAGZERO": -99.0})
    _, remarks = paint(tmp_path / "in")
    assert remarks == (
        "1 field: planes without names of bands were taken as g, r, i",
        "1 field: without a zero point, so their brightness was guessed from their noise",
    )
