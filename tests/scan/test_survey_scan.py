from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from made_survey import SCALE_ARCSEC, make_survey

import convnet_galaxies as cg
from convnet_galaxies.data.reading import ReadOptions
from convnet_galaxies.data.survey import detection
from convnet_galaxies.data.survey.detection import Detection, detect_objects
from convnet_galaxies.data.survey.survey_image import open_survey_image
from convnet_galaxies.data.survey.tiles import list_tiles
from convnet_galaxies.errors import BadImageError, InputError, UsageError, find_lack
from convnet_galaxies.predict.stream import predict_tables
from convnet_galaxies.scan import survey as survey_plan
from convnet_galaxies.scan.merge import MergeOptions, merge
from convnet_galaxies.scan.plan import planned_precision
from convnet_galaxies.scan.run import Part
from convnet_galaxies.scan.scan import preview, read_status, scan_tiles
from convnet_galaxies.scan.survey import SurveyOptions

BRIGHT = Detection(threshold_sigma=5)
READING = ReadOptions(missing_share=0.4)


def scan(predictor, tiles, folder, *, at="objects", merging=None, part=None, **options) -> pd.DataFrame:
    wanted = SurveyOptions(at, detection=BRIGHT, reading=READING, **options)
    summary = scan_tiles(predictor, tiles, folder, wanted, merging=merging, part=part)
    assert summary.session.failures == ()
    return pd.read_parquet(folder / "candidates.parquet") if part is None else pd.DataFrame()


@pytest.fixture(scope="module")
def found(survey, surveyor, tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("found") / "scan"
    return folder, scan(surveyor, survey.folder, folder)


def test_each_object_of_overlapping_tiles_is_one_candidate_at_its_place_also_across_ra_0(survey, found) -> None:
    table = found[1]
    assert len(table) == len(survey.ra_deg)
    candidates = SkyCoord(table["ra_deg"].to_numpy() * u.deg, table["dec_deg"].to_numpy() * u.deg)
    row, apart, _ = candidates.match_to_catalog_sky(SkyCoord(survey.ra_deg * u.deg, survey.dec_deg * u.deg))
    assert len(set(row.tolist())) == len(table)
    assert apart.arcsec.max() < 0.1
    assert (table["ra_deg"] > 359).any()
    assert (table["ra_deg"] < 1).any()


def test_candidates_are_ranked_and_described(found, surveyor) -> None:
    folder, table = found
    assert list(table) == [
        "id", "tile", "x_px", "y_px", "ra_deg", "dec_deg", "radius_px", "lens_probability", "masked_fraction",
        "bands_missing", "edge", "rank", "known",
    ]  # fmt: skip
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert table["lens_probability"].is_monotonic_decreasing
    assert table["id"].is_unique
    assert table["id"].str.fullmatch(r"J\d{6}\.\d{3}[+-]\d{6}\.\d{2}").all()
    about = json.loads(pq.read_schema(folder / "candidates.parquet").metadata[b"convnet-galaxies scan"])
    assert about["run"]["name"] == surveyor.run
    assert about["rank_by"] == "lens_probability"
    assert about["area_deg2"] == pytest.approx((452 * 0.2 / 3600) ** 2, rel=0.02)


def test_an_object_of_two_tiles_is_kept_where_it_is_farther_from_an_edge(survey, found) -> None:
    table = found[1].set_index("id")
    shards = pd.concat([pd.read_parquet(path) for path in sorted((found[0] / "shards").iterdir())])
    assert len(shards) > len(table)
    for name, row in table.iterrows():
        same = shards[
            (np.hypot(*(shards[["ra_deg", "dec_deg"]] - row[["ra_deg", "dec_deg"]]).to_numpy(float).T)) < 2e-4
        ]
        best = same.sort_values("masked_fraction").iloc[0]
        if np.ptp(same["masked_fraction"]) < 0.005:
            best = same.sort_values("_edge_px").iloc[-1]
        assert (best["tile"], best["id"]) == (row["tile"], name)


def test_parts_joined_are_the_same_file_as_one_scan(survey, surveyor, found, tmp_path) -> None:
    for number in (2, 1, 3):
        scan(surveyor, survey.folder, tmp_path / "parts", part=Part(number, 3))
        if number == 1:
            with pytest.raises(InputError, match=r"1 of 3 parts have not begun \(3\)"):
                merge(tmp_path / "parts")
    assert merge(tmp_path / "parts").candidates == len(found[1])
    assert (tmp_path / "parts" / "candidates.parquet").read_bytes() == (found[0] / "candidates.parquet").read_bytes()
    status = read_status(tmp_path / "parts")
    assert (status.shards, status.done, status.parts_begun, status.parts) == (4, 4, 3, 3)


def test_regions_of_a_tile_have_the_objects_of_the_whole(survey, surveyor, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(detection, "BLOCK_PX", 128)
    monkeypatch.setattr(survey_plan, "REGION_PX", 128)
    tile = list_tiles(survey.folder).tiles[0]
    table = scan(surveyor, survey.folder, tmp_path / "regions", limit=1)
    with open_survey_image(tile) as image:
        whole = detect_objects(image, BRIGHT, block_px=128)
    assert len(list((tmp_path / "regions" / "shards").iterdir())) == 4
    whole = whole[(whole[["x", "y"]] > 12).all(axis=1) & (whole[["x", "y"]] < 243).all(axis=1)]
    inside = table[(table[["x_px", "y_px"]] > 12).all(axis=1) & (table[["x_px", "y_px"]] < 243).all(axis=1)]
    np.testing.assert_array_equal(
        inside.sort_values(["y_px", "x_px"])[["x_px", "y_px"]], whole.sort_values(["y", "x"])[["x", "y"]]
    )


def test_positions_of_a_catalogue_keep_their_ids_and_are_scanned_once(survey, surveyor, tmp_path) -> None:
    ids = 39627835576420141 + np.arange(len(survey.ra_deg))
    catalogue = pd.DataFrame(
        {
            "TARGETID": [*ids.tolist(), 7, 8],
            "RA": [*survey.ra_deg, np.nan, 120.0],
            "DEC": [*survey.dec_deg, 1.0, 1.0],
        }
    )
    catalogue.to_csv(tmp_path / "objects.csv", index=False)
    options = SurveyOptions(str(tmp_path / "objects.csv"), reading=READING)
    summary = scan_tiles(surveyor, survey.folder, tmp_path / "scan", options)
    table = pd.read_parquet(tmp_path / "scan" / "candidates.parquet")
    assert sorted(table["id"]) == sorted(map(str, ids))
    assert summary.merged.doubles > 0
    text = " ".join(summary.merged.remarks)
    assert "1 of 62 rows have no position and are left out: 7" in text
    assert "1 of 61 positions lie on no tile" in text


def test_a_position_gets_what_predict_gives_to_the_same_cutout(survey, surveyor, found) -> None:
    table = found[1]
    row = table[~table["edge"]].iloc[0]
    tile = next(one for one in list_tiles(survey.folder).tiles if one.name == row["tile"])
    with open_survey_image(tile) as image:
        windows = image.cut(np.array([row["x_px"]]), np.array([row["y_px"]]), 32)
    pixels, _ = surveyor.preprocess.prepare_image(windows.image(0), "cutout", READING)
    answer = next(predict_tables(surveyor, np.repeat(pixels[None], 16, axis=0)))
    assert answer["lens_probability"].iloc[0] == pytest.approx(row["lens_probability"], abs=1e-6)


def test_a_grid_covers_tiles_and_their_overlap_once(survey, surveyor, tmp_path) -> None:
    table = scan(surveyor, survey.folder, tmp_path / "scan", at="grid", step_px=32.0)
    shards = pd.concat([pd.read_parquet(path) for path in (tmp_path / "scan" / "shards").iterdir()])
    assert len(shards) == 4 * 8 * 8
    assert len(table) < 4 * 8 * 8
    centre = SkyCoord(table["ra_deg"].to_numpy() * u.deg, table["dec_deg"].to_numpy() * u.deg)
    _, apart, _ = centre.match_to_catalog_sky(centre, nthneighbor=2)
    assert apart.arcsec.min() > 0.5 * 32 * 0.2 * 0.999


def test_a_broken_tile_is_passed_over_named_and_tried_again(surveyor, survey, found, tmp_path) -> None:
    tiles = tmp_path / "tiles"
    shutil.copytree(survey.folder, tiles)
    whole = (tiles / "t01_r.fits").read_bytes()
    (tiles / "t01_r.fits").write_bytes(whole[:100_000])
    (tiles / "t10_i.fits").unlink()
    options = SurveyOptions(detection=BRIGHT, reading=READING)
    summary = scan_tiles(surveyor, tiles, tmp_path / "scan", options)
    assert "t01" in {failure.name for failure in summary.session.failures}
    assert "t01_r.fits" in summary.session.failures[0].error
    partial = pd.read_parquet(tmp_path / "scan" / "candidates.parquet")
    assert "t01" not in set(partial["tile"])
    (tiles / "t01_r.fits").write_bytes(whole)
    again = scan_tiles(surveyor, tiles, tmp_path / "scan", options)
    assert "t01" not in {failure.name for failure in again.session.failures}
    table = pd.read_parquet(tmp_path / "scan" / "candidates.parquet")
    own = found[1][found[1]["tile"] == "t01"].set_index("id")["lens_probability"]
    pd.testing.assert_series_equal(table.set_index("id")["lens_probability"].reindex(own.index), own, check_exact=True)
    (tiles / "t01_r.fits").write_bytes(whole[:-2880])
    with pytest.raises(UsageError, match=r"1 inputs changed after they were scanned \(t01\)"):
        scan_tiles(surveyor, tiles, tmp_path / "scan", options)


def test_other_options_and_fewer_tiles_are_refused(survey, surveyor, found) -> None:
    with pytest.raises(UsageError, match="at grid instead of objects; step_px"):
        scan(surveyor, survey.folder, found[0], at="grid", step_px=32.0)
    with pytest.raises(UsageError, match="limit 1 instead of none; 3 inputs fewer"):
        scan(surveyor, survey.folder, found[0], limit=1)


def test_known_systems_are_counted_not_rows_and_purity_follows_the_prevalence(
    survey, surveyor, found, tmp_path
) -> None:
    ra, dec = survey.ra_deg, survey.dec_deg
    known = pd.DataFrame(
        {
            "name": ["SL2S one", "SW one", "far away", "two"],
            "ra": [ra[0], ra[0] + 0.5 / 3600, 120.0, ra[1]],
            "dec": [dec[0], dec[0], 0.0, dec[1]],
        }
    )
    known.to_csv(tmp_path / "known.csv", index=False)
    folder = tmp_path / "scan"
    shutil.copytree(found[0], folder)
    before = (folder / "candidates.parquet").read_bytes()
    results = {}
    for prevalence in (0.01, 0.2):
        summary = merge(folder, MergeOptions(known=tmp_path / "known.csv", prevalence=prevalence))
        assert (summary.known_rows, summary.known_systems, summary.known_found) == (4, 2, 2)
        table = pd.read_parquet(folder / "candidates.parquet")
        assert sorted(table["known"][table["known"] != ""]) == ["SL2S one", "two"]
        assert (table["expected_purity_low"] <= table["expected_purity"]).all()
        assert (table["expected_purity"] <= table["expected_purity_high"]).all()
        results[prevalence] = table["expected_lenses"].iloc[-1]
        assert summary.lenses[0] == pytest.approx(results[prevalence])
    assert results[0.01] < results[0.2]
    merge(folder)
    assert (folder / "candidates.parquet").read_bytes() == before


def test_a_preview_tells_what_a_scan_would_do_and_writes_nothing(survey, surveyor, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = preview(surveyor, survey.folder, SurveyOptions(detection=BRIGHT, reading=READING))
    assert (found.tiles, found.shards, found.unreadable) == (4, 4, ())
    assert 30 < found.positions < 200
    grid = preview(surveyor, survey.folder, SurveyOptions("grid", step_px=32.0))
    assert grid.positions == 4 * 8 * 8
    assert list(tmp_path.iterdir()) == []


def test_a_survey_at_the_pole_is_joined_too(surveyor, tmp_path) -> None:
    survey = make_survey(tmp_path / "tiles", n=30, dec_deg=89.995)
    table = scan(surveyor, survey.folder, tmp_path / "scan")
    assert len(table) == 30


def test_a_run_of_whole_images_needs_the_size_of_cutouts(survey, predictor, tmp_path) -> None:
    with pytest.raises(UsageError, match="--cutout-px: found none, expected a side in pixels"):
        scan(predictor, survey.folder, tmp_path / "scan")
    assert len(scan(predictor, survey.folder, tmp_path / "scan", cutout_px=40)) > 40


def test_the_library_scans_and_opens_the_result(world, survey, found, tmp_path) -> None:
    scan = cg.scan_survey(world / "survey", survey.folder, tmp_path / "scan", detection=BRIGHT, missing_share=0.4)
    assert set(scan.table()["id"]) == set(found[1]["id"])
    assert cg.open_scan(tmp_path / "scan").run == str(world / "survey")


@pytest.mark.parametrize("kind", ["given", "detected"])
def test_each_object_has_a_cutout_of_its_own_size_and_is_cut_so_again(survey, predictor, tmp_path, kind) -> None:
    options = {"size_factor": 6.0, "cutout_px": None}
    if kind == "given":
        size = np.linspace(0.4, 1.6, len(survey.ra_deg))
        size[3] = np.nan
        objects = pd.DataFrame({"id": np.arange(len(size)), "ra": survey.ra_deg, "dec": survey.dec_deg, "big": size})
        objects.to_csv(tmp_path / "objects.csv", index=False)
        options |= {"at": str(tmp_path / "objects.csv"), "size_column": "big"}
    table = scan(predictor, survey.folder, tmp_path / "scan", **options)
    if kind == "given":
        assert "3" not in set(table["id"])
        rows = table["id"].astype(int)
        np.testing.assert_array_equal(table["side_px"], np.rint(size[rows] * 6 / SCALE_ARCSEC))
    else:  # nine tenths of a Gaussian of 2.2 px lie within 2.146 of its standard deviations
        np.testing.assert_allclose(table["side_px"], 6 * 2.146 * 2.2, atol=2)
    folder = cg.open_scan(tmp_path / "scan")
    with folder.cutter() as cutter:
        again = cutter.cut(table)
        assert [cutter.linear(row).shape[0] for _, row in table.head(5).iterrows()] == table["side_px"][:5].tolist()
    expected = predictor.predict(again)["lens"]
    np.testing.assert_allclose(table["lens_probability"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_factor": 0.0}, "--size-factor: found 0, expected a number above 0"),
        ({"size_column": "r90", "at": "x.csv"}, "--size-factor: found none"),
        ({"size_factor": 5.0}, "--size: found none for --at x.csv"),
        ({"size_factor": 5.0, "at": "objects", "size_column": "r"}, "--size: found r for --at objects"),
        ({"size_factor": 5.0, "at": "objects", "cutout_px": 40}, "found --cutout-px beside it"),
        ({"size_factor": 5.0, "at": "grid", "step_px": 9.0}, "found a grid"),
    ],
)
def test_options_of_sizes_that_do_not_go_together_are_refused(options, message) -> None:
    with pytest.raises(UsageError, match=message):
        SurveyOptions(**{"at": "x.csv", **options})


def test_a_scan_goes_on_in_the_precision_of_its_plan(found, tmp_path) -> None:
    assert planned_precision(found[0]) == "fp32"
    assert planned_precision(tmp_path) == planned_precision(None) == "auto"


def test_a_tile_that_memory_did_not_suffice_for_is_not_left_out_of_the_plan(
    survey, surveyor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(tile, *_: object, **__: object) -> None:
        try:
            raise MemoryError
        except MemoryError:
            raise BadImageError(f"{tile.name}: cannot be read as FITS (MemoryError)", "fetch the file again") from None

    with monkeypatch.context() as patch:
        patch.setattr(survey_plan, "open_survey_image", lack)
        with pytest.raises(BadImageError, match="MemoryError") as caught:
            scan(surveyor, survey.folder, tmp_path / "scan")
        assert find_lack(caught.value) == errno.ENOMEM
    assert len(scan(surveyor, survey.folder, tmp_path / "scan")) == len(survey.ra_deg)
