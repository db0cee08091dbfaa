"""The candidates of a scan as the page of `inspect` shows them."""

from __future__ import annotations

import numpy as np
import pytest

from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey.detection import Detection
from convnet_galaxies.errors import UsageError
from convnet_galaxies.inspection.open_source import open_source
from convnet_galaxies.inspection.render import name_planes
from convnet_galaxies.inspection.scan_source import OPEN_TILES, ScanSource
from convnet_galaxies.scan.folder import open_scan
from convnet_galaxies.scan.scan import scan_tiles
from convnet_galaxies.scan.survey import SurveyOptions


@pytest.fixture(scope="module")
def source(survey, surveyor, tmp_path_factory) -> ScanSource:
    folder = tmp_path_factory.mktemp("inspect") / "scan"
    options = SurveyOptions(detection=Detection(threshold_sigma=5), reading=ReadOptions(missing_share=0.4))
    scan_tiles(surveyor, survey.folder, folder, options)
    opened = open_source(folder)
    assert isinstance(opened, ScanSource)
    return opened


def test_candidates_of_a_scan_are_cut_from_their_tiles(source) -> None:
    table = open_scan(source.name).table()
    assert source.table["id"].tolist() == table["id"].tolist()
    assert source.table["lens_probability"].tolist() == table["lens_probability"].tolist()
    with open_scan(source.name).cutter() as cutter:
        for row in (0, len(table) - 1, 3):
            image, expected = source.image(row), cutter.linear(table.iloc[row])
            assert name_planes(image) == ("i", "r", "g")
            for plane, other in zip(image.planes, expected.planes, strict=True):
                np.testing.assert_array_equal(plane.values, other.values)


def test_a_larger_field_has_the_candidate_in_its_middle(source) -> None:
    inside = source.table.query("not edge").index[0]
    narrow, wide = source.image(inside), source.wider(inside, 2)
    (h, w), side = wide.shape, narrow.shape[0]
    assert (h, w) == (2 * side, 2 * side)
    cut = slice((h - side) // 2, (h - side) // 2 + side)
    np.testing.assert_array_equal(wide.planes[0].values[cut, cut], narrow.planes[0].values)


def test_no_more_tiles_stay_open_than_may(source) -> None:
    for row in range(len(source)):
        source.image(row)
    assert len(source._open) <= OPEN_TILES
    source.close()
    assert source.image(0).planes


def test_a_scan_takes_no_other_predictions(source, tmp_path) -> None:
    (tmp_path / "p.csv").write_text("id\na\n")
    with pytest.raises(UsageError, match="has its own predictions"):
        open_source(source.name, predictions=tmp_path / "p.csv")
