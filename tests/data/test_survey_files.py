"""Real files of surveys: each is read right, or refused with a reason (the table in docs/data_formats.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_fits import bands
from PIL import Image

from convnet_galaxies.data.band_files import read_image
from convnet_galaxies.data.fits_image import read_fits
from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.image_files import find_images
from convnet_galaxies.data.linear_image import LinearImage
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.stretch import Composite
from convnet_galaxies.errors import BadImageError, InputError

pytestmark = pytest.mark.shared_data

COMPOSITE = Preprocess(stretch=Composite())


@pytest.fixture(scope="module")
def surveys(shared_data: Path) -> Path:
    folder = shared_data / "survey-fits"
    if not folder.is_dir():
        pytest.skip(f"the real files of surveys are not at {folder}")
    return folder


def images(source: Path) -> dict[str, ImageFile]:
    return {file.stem: file for file in find_images(source).files if not file.name.endswith(("png", "jpeg"))}


def told(image: LinearImage) -> tuple[str, float | None, list[float | None]]:
    """Bands in the order of the file, pixel scale, zero points."""
    scale = image.pixel_scale_arcsec
    magnitudes = [None if p.zeropoint is None else round(p.zeropoint.mag, 2) for p in image.planes]
    return bands(image), None if scale is None else round(scale, 3), magnitudes


def test_every_file_is_an_image_or_is_refused_with_a_reason(surveys: Path) -> None:
    read, refused = 0, {}
    for path in sorted(surveys.rglob("*.fits*")):
        try:
            read_fits(path.read_bytes(), path.name)
            read += 1
        except BadImageError as error:
            refused[path.name] = error.message
    assert read > 60
    for name, message in refused.items():
        reasons = ("1 table", "expected an image of the sky", "cannot be read as FITS")
        assert any(reason in message for reason in reasons), (name, message)
    assert "cannot be read" in refused["example_incomplete.fits"]


def test_masks_weights_and_variances_are_never_images_of_a_folder(surveys: Path) -> None:
    for folder in ("decam-ccd", "90prime-mosaic", "ps1-h1413", "hsc-hst"):
        names = [file.name for file in find_images(surveys / folder).files]
        assert names
        assert not [name for name in names if any(word in name for word in ("ood", "oow", "_var", "PSF"))]


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        ("cfhtls-spacewarps", "CFHTLS-test", ("i r g", 0.186, [30.0] * 3)),
        ("cfhtls-spacewarps", "CFHTLS_27", ("i r g", 0.186, [None] * 3)),
        ("kids", "KiDS-test", ("i r g", 0.2, [0.0] * 3)),
        ("decals-cubes", "example", ("g r z", 0.1, [None] * 3)),
        ("decals-cubes", "example_c", ("g r z", 0.143, [None] * 3)),
        ("hsc-hst", "Cut_HSC", ("? ? ? ? ?", 0.168, [None] * 5)),
        ("hsc-hst", "Cut_HST", ("?", 0.03, [None])),
        ("euclid-mer", "EUCLJ174517.55+655612.5", ("u g r VIS z Y J H", 0.1, None)),
        ("euclid-mer", "102018665_NEG570040238507752998", ("g r VIS i z Y J H", 0.1, None)),
        ("euclid-mer", "group", ("VIS Y J H", 0.1, None)),
        ("ps1-h1413", "H1413+117_10x10arcsec_55665.51546", ("i", 0.2, None)),
        ("decam-ccd/testcase4", "c4d_170316_062107_ooi_z_ls9.N2", ("z", 0.262, None)),
        ("decam-ccd/testcase3/images/decam/DECam_CP", "c4d_150329_083320_v1", ("r", 0.262, [29.78])),
        ("90prime-mosaic/mzlsbass2", "ksb_180313_081856_ooi_g_ls9.CCD4", ("g", 0.454, None)),
        ("90prime-mosaic/mzlsbass", "deep2g_ra352_1-ccd1", ("g", 0.453, [0.0])),
    ],
)
def test_bands_scales_and_zero_points_are_those_of_the_headers(surveys: Path, folder: str, name: str, expected) -> None:
    found = told(read_image(images(surveys / folder)[name]))
    assert found[:2] == expected[:2]
    if expected[2] is not None:
        assert found[2] == expected[2]
    else:
        assert all(magnitude is not None and 20 < magnitude < 35 for magnitude in found[2])


def test_missing_pixels_of_a_pan_starrs_exposure_are_refused_by_name_or_filled(surveys: Path) -> None:
    file = images(surveys / "ps1-h1413")["PS1-test"]
    with pytest.raises(BadImageError, match=r"PS1-test_z\.fits, band z: found 34\.\d% of its pixels missing"):
        COMPOSITE.decode_file(file)
    pixels, info = COMPOSITE.decode_file(file, ReadOptions(missing_share=0.4))
    assert info.masked_fraction == pytest.approx(0.114, abs=0.002)
    assert ("bands", "shown as z, i, r (red to blue), from FPA.FILTERID") in info.remarks
    assert pixels.shape[2] == 3


def test_euclid_stamps_show_the_bands_that_are_asked_for(surveys: Path) -> None:
    file = images(surveys / "euclid-mer")["EUCLJ174517.55+655612.5"]
    with pytest.raises(BadImageError, match="found 8 bands, expected 3") as caught:
        COMPOSITE.decode_file(file)
    assert "--bands " in caught.value.fix
    _, info = COMPOSITE.decode_file(file, ReadOptions(bands=("NIR_H_FLUX", "VIS", "g")))
    assert info.remarks[0] == ("bands", "shown as H, VIS, g (red to blue), from FILTER")
    assert info.unit == "known"


def show_whole(file: ImageFile, missing_share: float = 0.1) -> np.ndarray:
    return COMPOSITE.decode_whole(file, ReadOptions(missing_share=missing_share))[0]


def published(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_fits_of_cfhtls_are_the_picture_that_was_published_of_them(surveys: Path) -> None:
    folder = surveys / "cfhtls-spacewarps"
    found = show_whole(images(folder)["CFHTLS-test"]).astype(int)
    picture = published(folder / "CFHTLS-test_gri.png")
    assert np.abs(found - picture).mean() < 2
    assert np.abs(found[::-1] - picture).mean() > 10
    # This one has no zero point, so its brightness is guessed.
    found = show_whole(images(folder)["CFHTLS_27"]).astype(int)
    picture = published(folder / "CFHTLS_27_gri.png")
    assert np.abs(found - picture).mean() < 0.3 * np.abs(found[::-1] - picture).mean()


@pytest.mark.parametrize(
    ("folder", "name", "picture"),
    [
        ("cfhtls-spacewarps", "CFHTLS-test", "CFHTLS-test_gri.png"),
        ("cfhtls-spacewarps", "CFHTLS_27", "CFHTLS_27_gri.png"),
        ("kids", "KiDS-test", "KiDS-test_gri.png"),
        ("ps1-h1413", "PS1-test", "PS1-test_riz.png"),
    ],
)
def test_fits_and_published_pictures_have_one_orientation_and_order_of_colours(surveys, folder, name, picture) -> None:
    found = show_whole(images(surveys / folder)[name], 0.4).astype(float)
    other = published(surveys / folder / picture).astype(float)
    assert found.shape == other.shape

    def likeness(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])

    upright = likeness(found, other)
    turned = (found[::-1], found[:, ::-1], found[::-1, ::-1])
    assert upright > 0.5
    assert all(upright > likeness(one, other) + 0.1 for one in turned)
    colours = [found[..., 0] - found[..., 2], other[..., 0] - other[..., 2]]
    assert likeness(colours[0], colours[1]) > 0.3


def test_lenses_of_pan_starrs_are_one_image_per_system(shared_data: Path) -> None:
    folder = shared_data / "ps1-sled"
    if not folder.is_dir():
        pytest.skip(f"the real files of Pan-STARRS are not at {folder}")
    found = find_images(folder)
    assert len(found.files) == 70
    refused = []
    for file in found.files:
        image = read_image(file)
        assert told(image)[:2] == ("i r g", 0.25)
        assert all(plane.zeropoint is not None and plane.zeropoint.mag > 30 for plane in image.planes)
        try:
            COMPOSITE.decode_file(file)
        except BadImageError as error:
            refused.append(error.message)
    assert len(refused) == 1
    assert "12.0% of its pixels missing" in refused[0]


def test_a_folder_of_masks_alone_is_refused(surveys: Path) -> None:
    with pytest.raises(InputError, match="found no image of the sky"):
        find_images(surveys / "decam-ccd/testcase6/images/decam/CP20150108")
