from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey.detection import Detection
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.scan.export import export_scan, keep_apart
from convnet_galaxies.scan.folder import ScanFolder, open_scan
from convnet_galaxies.scan.scan import scan_tiles
from convnet_galaxies.scan.survey import SurveyOptions


@pytest.fixture(scope="module")
def scan(survey, surveyor, tmp_path_factory) -> ScanFolder:
    folder = tmp_path_factory.mktemp("export") / "scan"
    options = SurveyOptions(detection=Detection(threshold_sigma=5), reading=ReadOptions(missing_share=0.4))
    scan_tiles(surveyor, survey.folder, folder, options)
    return open_scan(folder)


@pytest.mark.parametrize("ending", [".csv", ".fits", ".vot", ".parquet"])
def test_tables_hold_the_first_candidates(scan, tmp_path, ending) -> None:
    summary = export_scan(scan, tmp_path / f"best{ending}", top=7)
    table = read_table(tmp_path / f"best{ending}")
    assert (summary.candidates, summary.of) == (7, len(scan.table()))
    assert table["id"].tolist() == scan.table()["id"].tolist()[:7]
    np.testing.assert_allclose(table["ra_deg"], scan.table()["ra_deg"][:7], atol=1e-9)


def test_a_cut_by_probability_takes_all_above_it_and_refuses_to_write_nothing(scan, tmp_path) -> None:
    probability = scan.table()["lens_probability"]
    summary = export_scan(scan, tmp_path / "best.csv", min_probability=float(probability[9]))
    assert summary.candidates == int((probability >= probability[9]).sum())
    with pytest.raises(InputError, match="none of 60 candidates is left"):
        export_scan(scan, tmp_path / "none.csv", min_probability=1.0)
    assert not (tmp_path / "none.csv").exists()


def test_a_region_file_has_a_circle_at_each_candidate(scan, tmp_path) -> None:
    export_scan(scan, tmp_path / "best.reg", top=5)
    lines = (tmp_path / "best.reg").read_text().splitlines()
    assert lines[0] == "# Region file format: DS9 version 4.1"
    assert lines[2] == "icrs"
    found = [
        re.fullmatch(r'circle\(([\d.]+),([\d.-]+),1\.6"\) # text=\{(\d+): (0\.\d{3})\}', line) for line in lines[3:]
    ]
    table = scan.table().head(5)
    np.testing.assert_allclose([float(one[1]) for one in found], table["ra_deg"], atol=1e-7)
    np.testing.assert_allclose([float(one[2]) for one in found], table["dec_deg"], atol=1e-7)
    assert [int(one[3]) for one in found] == [1, 2, 3, 4, 5]


def test_cutouts_show_the_candidate_in_the_middle_and_know_their_place_on_the_sky(scan, tmp_path) -> None:
    export_scan(scan, tmp_path / "cutouts", top=12)
    names = sorted(path.name for path in (tmp_path / "cutouts").iterdir())
    assert len(names) == 25
    table = pd.read_csv(tmp_path / "cutouts" / "candidates.csv")
    for row in table.itertuples():
        with Image.open(tmp_path / "cutouts" / f"{row.file}.png") as picture:
            assert picture.size == (32, 32)
            bright = np.asarray(picture, float).sum(axis=2)
        with fits.open(tmp_path / "cutouts" / f"{row.file}.fits") as opened:
            assert [hdu.name for hdu in opened[1:]] == ["I", "R", "G"]
            assert opened["R"].header["MAGZERO"] == 30.0
            values = np.nan_to_num(opened["R"].data - 10)
            x, y = WCS(opened["R"].header).all_world2pix(row.ra_deg, row.dec_deg, 0)
        inside = values[int(y) - 4 : int(y) + 6, int(x) - 4 : int(x) + 6]
        grid_y, grid_x = np.mgrid[int(y) - 4 : int(y) + 6, int(x) - 4 : int(x) + 6]
        light = inside.clip(20)
        assert abs(np.average(grid_x, weights=light - 20) - x) < 0.6
        assert abs(np.average(grid_y, weights=light - 20) - y) < 0.6
        if not row.edge:  # the picture has its first row at the top
            peak = np.unravel_index(bright.argmax(), bright.shape)
            assert abs(31 - peak[0] - y) < 3
            assert abs(peak[1] - x) < 3


def test_a_cutter_gives_the_pixels_that_the_network_got(scan, surveyor) -> None:
    table = scan.table()
    with scan.cutter() as cutter:
        pixels = cutter.cut(table["id"].tolist())
        linear = cutter.linear(table.iloc[0], 40)
        with pytest.raises(InputError, match="found no candidate nothing"):
            cutter.cut(["nothing"])
    assert linear.shape == (40, 40)
    whole = (table["masked_fraction"] == 0).to_numpy()
    filled = np.concatenate([pixels, np.zeros((-len(pixels) % 16, *pixels.shape[1:]), np.uint8)])
    answer = surveyor.predict(filled)["lens"][: len(pixels)]
    np.testing.assert_array_equal(answer[whole].astype(np.float32), table["lens_probability"].to_numpy()[whole])


def test_thousands_of_cutouts_are_not_written_unasked(scan, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("convnet_galaxies.scan.export.CUTOUTS_AT_MOST", 30)
    with pytest.raises(UsageError, match="cutouts of 60 candidates"):
        export_scan(scan, tmp_path / "cutouts")
    assert not (tmp_path / "cutouts").exists()


def test_of_candidates_close_together_the_best_is_kept(scan) -> None:
    table = scan.table()
    kept = keep_apart(table, 12.0)
    assert 1 < len(kept) < len(table)
    sky = SkyCoord(kept["ra_deg"].to_numpy() * u.deg, kept["dec_deg"].to_numpy() * u.deg)
    assert sky.match_to_catalog_sky(sky, nthneighbor=2)[1].arcsec.min() > 12
    for row in table[~table["id"].isin(kept["id"])].itertuples():
        better = kept[kept["rank"] < row.rank]
        apart = SkyCoord(row.ra_deg * u.deg, row.dec_deg * u.deg).separation(
            SkyCoord(better["ra_deg"].to_numpy() * u.deg, better["dec_deg"].to_numpy() * u.deg)
        )
        assert apart.arcsec.min() <= 12


class Made:
    """A scan whose table is given; what is written of it needs no tile."""

    def __init__(self, scan: ScanFolder, table: pd.DataFrame) -> None:
        self.path, self.run, self.preprocess, self._table = scan.path, scan.run, scan.preprocess, table

    def table(self) -> pd.DataFrame:
        return self._table


def test_export_takes_the_best_of_candidates_close_together(scan, tmp_path) -> None:
    summary = export_scan(scan, tmp_path / "apart.csv", apart_arcsec=12.0)
    expected = keep_apart(scan.table(), 12.0)
    assert read_table(tmp_path / "apart.csv")["id"].tolist() == expected["id"].tolist()
    assert (summary.candidates, summary.of) == (len(expected), len(scan.table()))


def test_a_region_file_of_a_tile_without_a_sky_counts_pixels_from_one(scan, tmp_path) -> None:
    table = scan.table().head(4).assign(ra_deg=np.nan, dec_deg=np.nan, tile="a.fits")
    export_scan(Made(scan, table), tmp_path / "tile.reg")
    lines = (tmp_path / "tile.reg").read_text().splitlines()
    assert lines[2] == "image"
    found = [re.match(r"circle\(([\d.]+),([\d.]+),", line) for line in lines[3:]]
    np.testing.assert_allclose([float(one[1]) for one in found], table["x_px"] + 1, atol=0.006)
    np.testing.assert_allclose([float(one[2]) for one in found], table["y_px"] + 1, atol=0.006)
    table.loc[table.index[3], "tile"] = "b.fits"
    with pytest.raises(InputError, match="lie on 2 tiles without world coordinates") as caught:
        export_scan(Made(scan, table), tmp_path / "tiles.reg")
    assert caught.value.fix == "export a table"
    assert not (tmp_path / "tiles.reg").exists()


def test_candidates_without_a_place_on_the_sky_are_counted_and_left_out_of_regions(scan, tmp_path) -> None:
    table = scan.table().head(5).copy()
    table.loc[table.index[:2], ["ra_deg", "dec_deg"]] = np.nan
    summary = export_scan(Made(scan, table), tmp_path / "some.reg")
    assert summary.remarks == ("2 candidates of tiles without world coordinates are left out",)
    assert len((tmp_path / "some.reg").read_text().splitlines()) == 3 + 3


def test_a_cut_by_probability_needs_a_run_that_predicts_it(scan, tmp_path) -> None:
    table = scan.table().drop(columns="lens_probability")
    with pytest.raises(UsageError, match="predicts no lens probability"):
        export_scan(Made(scan, table), tmp_path / "best.csv", min_probability=0.5)
    assert not (tmp_path / "best.csv").exists()
