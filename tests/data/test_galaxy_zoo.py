from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.data.galaxy_zoo import check_tree, read_galaxy_zoo
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.errors import InputError

GALAXIES = [100008, 100023, 100053, 100078, 100090, 100122]


def _solutions(zoo: Path) -> pd.DataFrame:
    return read_table(zoo / "training_solutions_rev1.zip")


def _unzip(zoo: Path, name: str, to: str | None = None) -> None:
    with zipfile.ZipFile(zoo / f"{name}.zip") as archive:
        archive.extractall(zoo / to if to else zoo)
    (zoo / f"{name}.zip").unlink()


def _check(zoo: Path, *paths: Path) -> None:
    records = read_galaxy_zoo(*(paths or (zoo,)))
    assert records.table["GalaxyID"].tolist() == GALAXIES
    assert records.table["id"].tolist() == [str(galaxy) for galaxy in GALAXIES]
    assert records.table["group"].is_unique
    assert records.link_columns == ("GalaxyID",)
    assert records.files is not None
    assert [file.stem for file in records.files] == records.table["id"].tolist()
    assert list(records.table.columns) == ["id", "group", "GalaxyID", *VOTE_COLUMNS]
    assert check_tree(records.table[list(VOTE_COLUMNS)].to_numpy()).is_sound


def test_zips_as_downloaded_are_read_by_name_or_by_folder(zoo: Path) -> None:
    _check(zoo, zoo / "images_training_rev1.zip", zoo / "training_solutions_rev1.zip")
    _check(zoo)


def test_anything_may_be_unzipped(zoo: Path) -> None:
    _unzip(zoo, "images_training_rev1")
    _check(zoo)
    _unzip(zoo, "training_solutions_rev1")
    _check(zoo)
    _check(zoo, zoo / "images_training_rev1", zoo / "training_solutions_rev1.csv")


def test_unzipping_may_have_made_a_folder_round_each(zoo: Path) -> None:
    _unzip(zoo, "images_training_rev1", "images_training_rev1")
    _unzip(zoo, "training_solutions_rev1", "training_solutions_rev1")
    _check(zoo)


def test_names_of_mirrors_are_known(zoo: Path) -> None:
    (zoo / "images_training_rev1.zip").rename(zoo / "images_train_rev1.zip")
    _check(zoo)


def test_of_zip_and_folder_the_zip_is_read_and_said_so(zoo: Path) -> None:
    with zipfile.ZipFile(zoo / "images_training_rev1.zip") as archive:
        archive.extract("images_training_rev1/100008.jpg", zoo)
    _check(zoo)
    remarks = read_galaxy_zoo(zoo).remarks
    assert any("images_training_rev1.zip is read" in remark for remark in remarks)
    assert any("images_test_rev1.zip is not" in remark for remark in remarks)


def test_test_images_are_read_alone_or_when_there_are_no_solutions(zoo: Path) -> None:
    for source in (zoo / "images_test_rev1.zip", zoo):
        records = read_galaxy_zoo(source)
        assert records.table["GalaxyID"].tolist() == [100018, 100037]
        assert list(records.table.columns) == ["id", "group", "GalaxyID"]
        (zoo / "training_solutions_rev1.zip").unlink(missing_ok=True)


def test_training_images_alone_say_where_the_votes_are(zoo: Path) -> None:
    records = read_galaxy_zoo(zoo / "images_training_rev1.zip")
    assert "Class1.1" not in records.table
    assert any("give training_solutions_rev1.zip as well" in remark for remark in records.remarks)


def test_row_without_image_and_image_without_row_are_refused_or_listed(zoo: Path) -> None:
    table = _solutions(zoo)
    table.loc[0, "GalaxyID"] = 999999
    path = zoo / "votes.csv"
    table.to_csv(path, index=False)
    images = zoo / "images_training_rev1.zip"
    with pytest.raises(InputError, match=r"rows of .*votes\.csv: found 1 without image .*999999") as error:
        read_galaxy_zoo(images, path)
    assert "--skip-bad" in error.value.fix
    table[1:].to_csv(path, index=False)
    with pytest.raises(InputError, match=r"images of .*: found 1 without row .*100008\.jpg"):
        read_galaxy_zoo(images, path)
    table.to_csv(path, index=False)
    records = read_galaxy_zoo(images, path, skip_bad=True)
    assert records.table["GalaxyID"].tolist() == GALAXIES[1:]
    assert records.skipped == ("999999: no image", "100008.jpg: no row in the table")
    assert sum("left out" in remark for remark in records.remarks) == 2


def test_test_images_with_training_solutions_match_nothing(zoo: Path) -> None:
    with pytest.raises(InputError, match="found no row whose image is among the 2"):
        read_galaxy_zoo(zoo / "images_test_rev1.zip", zoo / "training_solutions_rev1.zip", skip_bad=True)


def test_image_with_another_name_is_refused_or_listed(zoo: Path) -> None:
    with zipfile.ZipFile(zoo / "images_training_rev1.zip", "a") as archive:
        archive.writestr("images_training_rev1/thumbnail.jpg", b"")
    with pytest.raises(InputError, match=r"found an image called thumbnail\.jpg"):
        read_galaxy_zoo(zoo)
    assert len(read_galaxy_zoo(zoo, skip_bad=True)) == 6


def test_galaxy_with_two_images_is_refused(zoo: Path) -> None:
    with zipfile.ZipFile(zoo / "images_training_rev1.zip", "a") as archive:
        archive.writestr("copy/100008.jpg", b"")
    with pytest.raises(InputError, match="found GalaxyID 100008 twice"):
        read_galaxy_zoo(zoo)


def test_broken_sums_are_a_remark_that_names_the_question(zoo: Path) -> None:
    table = _solutions(zoo)
    table.loc[2, "Class6.1"] = max(0.0, table.loc[2, "Class6.1"] - 0.01)
    table.loc[2, "Class6.2"] = 1 - table.loc[2, "Class6.1"]
    table.to_csv(zoo / "votes.csv", index=False)
    records = read_galaxy_zoo(zoo / "images_training_rev1.zip", zoo / "votes.csv")
    assert any("1 of 6 rows break a sum" in remark and "question 8 in 1" in remark for remark in records.remarks)


def test_real_zips_are_read_and_keep_the_tree(shared_data: Path) -> None:
    records = read_galaxy_zoo(shared_data / "galaxy-zoo")
    assert len(records) == 6292
    tree = check_tree(records.table[list(VOTE_COLUMNS)].to_numpy())
    assert tree.is_sound
    assert 0 < max(tree.largest_deviation) < 1e-5
    assert np.isfinite(records.table[list(VOTE_COLUMNS)].to_numpy()).all()
