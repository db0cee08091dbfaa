"""Real files of surveys as tiles: a window of the whole file is the image that prediction reads of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convnet_galaxies.data.image_files import find_images
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.stretch import Composite
from convnet_galaxies.data.survey.cutouts import make_pixels
from convnet_galaxies.data.survey.detection import detect_objects
from convnet_galaxies.data.survey.survey_image import open_survey_image
from convnet_galaxies.data.survey.tiles import list_tiles
from convnet_galaxies.errors import BadImageError

pytestmark = pytest.mark.shared_data

FOLDERS = ("cfhtls-spacewarps", "decals-cubes", "decam-ccd", "euclid-mer", "kids", "ps1-h1413", "90prime-mosaic")


def compare_whole_files(folder: Path) -> tuple[int, dict[str, str]]:
    """How many square tiles gave the pixels of prediction, and why the others were refused."""
    files = {str(file.path): file for file in find_images(folder).files}
    preprocess, reading = Preprocess(size_px=64, stretch=Composite()), ReadOptions(missing_share=0.9)
    equal, refused = 0, {}
    for tile in list_tiles(folder).tiles:
        first = next(file for file in tile.files if str(file.path) in files)
        try:
            with open_survey_image(tile, reading) as opened:
                h, w = opened.shape
                middle = np.array([w / 2]), np.array([h / 2])
                found = make_pixels(opened, *middle, preprocess, reading, side_px=min(h, w))
                assert len(detect_objects(opened)) > 0
                corners = np.array([0.0, w - 1, 0, w - 1]), np.array([0.0, 0, h - 1, h - 1])
                if opened.wcs is not None:
                    back = opened.to_pixels(*opened.to_sky(*corners))
                    np.testing.assert_allclose(back, corners, atol=0.01, err_msg=tile.name)
                    assert opened.cap[2] < 0.1
        except BadImageError as error:
            refused[tile.name] = error.message
            continue
        if h == w and found.kept[0]:
            expected, info = preprocess.decode_file(files[str(first.path)], reading)
            np.testing.assert_array_equal(found.pixels[0], expected, tile.name)
            assert found.masked_fraction[0] == pytest.approx(info.masked_fraction)
            equal += 1
    return equal, refused


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_whole_file_is_the_same_as_a_tile_and_as_an_image(shared_data: Path, folder: str) -> None:
    source = shared_data / "survey-fits" / folder
    if not source.is_dir():
        pytest.skip(f"the real files of surveys are not at {source}")
    equal, refused = compare_whole_files(source)
    assert equal > 0
    reasons = ("cut short", "found 8 bands, expected 3", "found 4 bands, expected 3", "found no image")
    for message in refused.values():
        assert any(reason in message for reason in reasons), message


def test_lenses_of_pan_starrs_in_a_folder_each_are_tiles_of_three_bands(shared_data: Path) -> None:
    source = shared_data / "ps1-sled"
    if not source.is_dir():
        pytest.skip(f"the lenses of Pan-STARRS are not at {source}")
    equal, refused = compare_whole_files(source)
    assert equal > 60
    assert not refused
