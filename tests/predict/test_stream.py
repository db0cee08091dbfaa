from __future__ import annotations

import gzip
import io
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from small_sets import ROUNDING

from convnet_galaxies.data.input_notes import InputNotes
from convnet_galaxies.data.pack import read_pack
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.errors import BadImageError, InputError, OutputExistsError
from convnet_galaxies.predict.predictions import column_names
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.stream import BATCHES_A_TABLE, csv_rows, predict_file, predict_tables
from convnet_galaxies.predict.submission import submit


@pytest.fixture(scope="module")
def zoo(world) -> Predictor:
    return Predictor(world / "zoo", device="cpu", precision="fp32", batch=16)


def predict(predictor: Predictor, source: Path, output: Path, **options) -> pd.DataFrame:
    predict_file(predictor, source, output, **options)
    return read_table(output)


@pytest.fixture
def expected(zoo, world) -> pd.DataFrame:
    pack = read_pack(world / "images.pack")
    table = pd.DataFrame(zoo.predict(np.array(pack.images))["votes"], columns=list(VOTE_COLUMNS))
    table.insert(0, "id", pack.table["id"])
    return table


def zip_up(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for image in sorted(folder.iterdir()):
            archive.write(image, f"nested/{image.name}")
    return path


@pytest.mark.parametrize("source", ["images.pack", "images", "images.zip"])
@pytest.mark.parametrize("ending", [".csv", ".parquet", ".fits", ".csv.gz"])
def test_pack_folder_and_zip_give_equal_predictions_in_every_format(zoo, world, tmp_path, expected, source, ending):
    path = zip_up(world / "images", tmp_path / source) if source == "images.zip" else world / source
    found = predict(zoo, path, tmp_path / f"votes{ending}")
    assert list(found) == ["id", *VOTE_COLUMNS]
    assert found["id"].tolist() == expected["id"].tolist()
    np.testing.assert_allclose(found[list(VOTE_COLUMNS)], expected[list(VOTE_COLUMNS)], atol=ROUNDING)
    assert [p.name for p in tmp_path.iterdir() if p.name != source] == [f"votes{ending}"]
    if ending == ".csv.gz":
        assert gzip.decompress((tmp_path / "votes.csv.gz").read_bytes()).startswith(b"id,Class1.1")


def test_lists_of_files_image_sets_and_arrays_are_predicted_as_their_pack(zoo, world, expected) -> None:
    pack = read_pack(str(world / "images.pack"))
    pixels = np.array(pack.images)
    files = sorted(str(path) for path in (world / "images").iterdir())
    bare = replace(pack, table=pack.table[["id", "group"]])
    for source in (files, bare, pixels, str(world / "images")):
        found = pd.concat(list(predict_tables(zoo, source)), ignore_index=True)
        ids = expected["id"] if source is not pixels else pd.Series([str(k) for k in range(37)])
        assert found["id"].tolist() == ids.tolist()
        np.testing.assert_allclose(found[list(VOTE_COLUMNS)], expected[list(VOTE_COLUMNS)], atol=ROUNDING)


def test_linear_arrays_are_stretched_as_fits_files_are(zoo, tmp_path) -> None:
    bands = np.random.default_rng(0).normal(0, 1, (3, 40, 40)).astype(np.float32)
    bands[:, 15:25, 12:28] += 30
    bands[:, 3, 3] = np.nan
    fits.writeto(tmp_path / "image.fits", bands[:, ::-1])  # rows of FITS run from the bottom, planes as they come
    (from_file,) = predict_tables(zoo, tmp_path / "image.fits")
    (from_array,) = predict_tables(zoo, np.moveaxis(bands, 0, -1)[None])
    pd.testing.assert_frame_equal(from_array.drop(columns="id"), from_file.drop(columns="id"))
    assert from_array["masked_fraction"][0] == pytest.approx(1 / 1600)
    notes = InputNotes()
    (alone,) = predict_tables(zoo, np.concatenate([bands[:1], bands[:1] * np.nan]), skip_bad=True, notes=notes)
    assert alone["id"].tolist() == ["0"]
    with pytest.raises(BadImageError, match="image 1"):
        list(predict_tables(zoo, np.concatenate([bands[:1], bands[:1] * np.nan])))
    with pytest.raises(InputError, match=r"the array: found float32 of shape \[40, 40\]"):
        list(predict_tables(zoo, bands[0]))


def test_prediction_and_submission_tell_what_was_passed_over(zoo, world, tmp_path) -> None:
    folder = shutil.copytree(world / "images", tmp_path / "images")
    (folder / "z.gif").write_bytes(b"GIF89a")
    expected = f"{folder}: passed over: 1 .gif (such as z.gif)"
    assert predict_file(zoo, folder, tmp_path / "votes.csv").warnings[0] == expected
    assert predict_file(zoo, folder, tmp_path / "votes.fits", limit=3).warnings[0] == expected
    notes = InputNotes()
    submit(zoo, folder, tmp_path / "submission.csv", notes=notes)
    assert notes.warnings()[0] == expected


@pytest.mark.parametrize("name", ["plain", "comma, inside", 'a "quote"', "two\nlines", "", "NaN", "1e5", "spiral é"])
def test_rows_of_a_csv_are_read_back_as_they_were(name) -> None:
    values = np.array([0, 1, np.nan, 1e-7, 1 / 3, np.nextafter(np.float32(1), np.float32(0))], np.float32)
    table = pd.DataFrame({"id": [name, *"abcde"], "lens_probability": values})
    text = io.BytesIO(b"id,lens_probability\n" + csv_rows(table))
    found = pd.read_csv(
        text, dtype={"id": str, "lens_probability": np.float32}, keep_default_na=False, na_values={1: [""]}
    )
    pd.testing.assert_frame_equal(found, table)


def test_one_image_is_one_row_and_a_limit_takes_the_first(zoo, world, tmp_path, expected) -> None:
    one = predict(zoo, world / "images" / "100007.png", tmp_path / "one.csv")
    assert one["id"].tolist() == ["100007"]
    np.testing.assert_allclose(one.iloc[0, 1:].astype(float), expected.iloc[7, 1:].astype(float), atol=ROUNDING)
    for source in ("images", "images.pack"):
        few = predict(zoo, world / source, tmp_path / f"{source}.csv", limit=18)
        assert few["id"].tolist() == expected["id"][:18].tolist()


def test_progress_counts_to_the_number_of_images(zoo, world, tmp_path) -> None:
    for source in ("images", "images.pack"):
        calls: list[tuple[int, int]] = []
        predict(zoo, world / source, tmp_path / f"{source}.csv", progress=lambda *call, calls=calls: calls.append(call))
        assert calls[-1] == (37, 37)
        assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_images_of_one_name_in_two_folders_are_told_apart(zoo, world, tmp_path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        shutil.copy(world / "images" / "100001.png", tmp_path / "in" / folder / "x.png")
    found = predict(zoo, tmp_path / "in", tmp_path / "out.csv")
    assert found["id"].tolist() == ["a/x", "b/x"]


def spoil(world: Path, tmp_path: Path, *names: str) -> Path:
    folder = Path(shutil.copytree(world / "images", tmp_path / "spoiled"))
    for name in names or [path.name for path in folder.iterdir()]:
        (folder / name).write_bytes((folder / name).read_bytes()[:60])
    return folder


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".fits"])
def test_a_bad_image_at_the_end_leaves_nothing_written(zoo, world, tmp_path, ending) -> None:
    folder = spoil(world, tmp_path, "100036.png")
    with pytest.raises(BadImageError, match=r"100036\.png: cannot be decoded"):
        predict_file(zoo, folder, tmp_path / f"votes{ending}")
    assert [path.name for path in tmp_path.iterdir()] == ["spoiled"]


def test_bad_images_are_left_out_and_listed_when_they_may_be(zoo, world, tmp_path, expected) -> None:
    folder = spoil(world, tmp_path, "100003.png", "100020.png")
    summary = predict_file(zoo, folder, tmp_path / "votes.csv", skip_bad=True)
    found = read_table(tmp_path / "votes.csv")
    kept = expected[~expected["id"].isin(["100003", "100020"])]
    assert found["id"].tolist() == kept["id"].tolist()
    np.testing.assert_allclose(found[list(VOTE_COLUMNS)], kept[list(VOTE_COLUMNS)], atol=ROUNDING)
    assert summary.images == 35
    assert ["100003.png" in summary.skipped[0], "100020.png" in summary.skipped[1]] == [True, True]


def test_when_all_images_are_bad_nothing_is_written_even_when_they_may_be(zoo, world, tmp_path) -> None:
    with pytest.raises(InputError, match="none of its 37 images can be used"):
        predict_file(zoo, spoil(world, tmp_path), tmp_path / "votes.parquet", skip_bad=True)
    assert not (tmp_path / "votes.parquet").exists()


def test_an_existing_output_is_kept_unless_forced_and_when_the_prediction_fails(zoo, world, tmp_path) -> None:
    for ending in (".csv", ".fits"):
        output = tmp_path / f"votes{ending}"
        output.write_text("mine")
        with pytest.raises(OutputExistsError, match="already exists"):
            predict_file(zoo, world / "images", output)
        with pytest.raises(InputError, match="does not exist"):
            predict_file(zoo, world / "nowhere", output, force=True)
        assert output.read_text() == "mine"
        assert len(predict(zoo, world / "images", output, force=True)) == 37


def test_an_unknown_ending_is_refused_before_any_work(zoo, tmp_path) -> None:
    with pytest.raises(InputError, match=r"found the ending '\.txt'"):
        predict_file(zoo, tmp_path / "not looked at", tmp_path / "votes.txt")


def test_a_pack_with_a_strange_file_in_it_is_still_a_pack(zoo, world, tmp_path) -> None:
    pack = Path(shutil.copytree(world / "images.pack", tmp_path / "p.pack"))
    (pack / "notes.txt").write_text("hello")
    assert len(predict(zoo, pack, tmp_path / "votes.csv")) == 37


def test_memory_does_not_hold_more_than_some_batches(zoo, world, monkeypatch) -> None:
    # A source of endless images is read only as far as predictions are asked for.
    given = 0

    def endless(files, preprocess, **options):
        nonlocal given
        while True:
            given += 1
            yield np.arange(2), np.zeros((2, 32, 32, 3), np.uint8), []

    monkeypatch.setattr("convnet_galaxies.predict.sources.decode_batches", endless)
    tables = predict_tables(zoo, world / "images")
    for _ in range(3):
        next(tables)
    tables.close()
    assert given == 3 * BATCHES_A_TABLE * zoo.batch / 2  # images a table, two a batch of files


def test_columns_name_task_and_class() -> None:
    classes = {"lens": (), "flavor": ("dud", "lensed quasar"), "types": ("type 0", "type 1")}
    expected = ["id", "lens_probability", "flavor_dud", "flavor_lensed quasar", "type_0", "type_1"]
    assert column_names(classes) == expected
    assert column_names({"votes": ()}) == ["id", *VOTE_COLUMNS]


def test_lens_and_flavor_probabilities_stand_side_by_side(world, tmp_path) -> None:
    both = Predictor(world / "both", device="cpu", precision="fp32")
    found = predict(both, world / "images.pack", tmp_path / "lens.csv")
    assert list(found)[:3] == ["id", "lens_probability", "flavor_dud"]
    np.testing.assert_allclose(found.filter(regex="^flavor_").sum(axis=1), 1, atol=1e-5)
