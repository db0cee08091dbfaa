from __future__ import annotations

import numpy as np
import pytest

from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey.detection import Detection
from convnet_galaxies.errors import OutputExistsError
from convnet_galaxies.scan.export import export_scan
from convnet_galaxies.scan.folder import ScanFolder, open_scan
from convnet_galaxies.scan.scan import scan_tiles
from convnet_galaxies.scan.survey import SurveyOptions


@pytest.fixture(scope="module")
def scan(survey, surveyor, tmp_path_factory) -> ScanFolder:
    folder = tmp_path_factory.mktemp("pack") / "scan"
    options = SurveyOptions(detection=Detection(threshold_sigma=5), reading=ReadOptions(missing_share=0.4))
    scan_tiles(surveyor, survey.folder, folder, options)
    return open_scan(folder)


def test_a_pack_of_candidates_holds_the_pixels_that_the_scan_scored(scan, surveyor, tmp_path) -> None:
    summary = export_scan(scan, tmp_path / "best.pack", top=20)
    images = read_pack(tmp_path / "best.pack")
    assert (summary.candidates, len(images)) == (20, 20)
    table = scan.table().head(20)
    assert images.table["id"].tolist() == table["id"].tolist()
    assert images.linear
    found = surveyor.predict_set(images).tasks["lens"]
    np.testing.assert_allclose(found, table["lens_probability"], atol=1e-4)


def test_candidates_within_an_arcminute_are_linked(scan, tmp_path) -> None:
    export_scan(scan, tmp_path / "best.pack", top=20)
    images = read_pack(tmp_path / "best.pack")
    assert images.link_columns == ("sky_group",)
    position = np.deg2rad(images.table[["ra_deg", "dec_deg"]].to_numpy(float))
    dx = (position[:, None, 0] - position[None, :, 0]) * np.cos(position[:, None, 1])
    near = np.hypot(dx, position[:, None, 1] - position[None, :, 1]) < np.deg2rad(0.9 / 60)
    group = images.table["group"].to_numpy()
    assert (group[:, None] == group[None])[near].all()


def test_a_pack_is_not_overwritten_unasked(scan, tmp_path) -> None:
    export_scan(scan, tmp_path / "best.pack", top=3)
    with pytest.raises(OutputExistsError, match="already exists"):
        export_scan(scan, tmp_path / "best.pack", top=3)
    export_scan(scan, tmp_path / "best.pack", top=4, force=True)
    assert len(read_pack(tmp_path / "best.pack")) == 4
