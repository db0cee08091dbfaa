from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from convnet_galaxies.data.describe import describe, render_description
from convnet_galaxies.data.galaxy_zoo import read_galaxy_zoo
from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.pack import write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.tables import read_table, write_table
from convnet_galaxies.errors import InputError, UsageError

GOLDEN = Path(__file__).parents[1] / "golden"


def test_downloads_of_galaxy_zoo_are_known_as_folder_and_one_by_one(zoo: Path) -> None:
    for sources, count in (
        ((zoo,), "6 images"),
        ((zoo / "images_training_rev1.zip",), "6 images"),
        ((zoo / "images_test_rev1.zip",), "2 images"),
        ((zoo / "training_solutions_rev1.zip",), "votes for 6 galaxies"),
        ((zoo / "training_solutions_rev1.zip", zoo / "images_training_rev1.zip"), "6 images"),
    ):
        found = describe(*sources)
        assert found.kind == "galaxy-zoo"
        assert found.lines[0] == count
        assert found.problems == ()


def test_broken_sums_are_a_problem_with_their_number_and_size(zoo: Path) -> None:
    table = read_table(zoo / "training_solutions_rev1.zip")
    table["Class1.1"] = table["Class1.1"].where(table.index != 1, 0.0)
    write_table(zoo / "votes.csv", table)
    found = describe(zoo / "votes.csv")
    sums = {row[0]: row[2:] for row in found.tables[0].rows}
    assert sums[1][0] == 1
    assert sums[1][1] == pytest.approx(read_table(zoo / "training_solutions_rev1.zip")["Class1.1"][1])
    assert sums[2][0] == 0
    assert any("1 of 6 rows break a sum" in problem for problem in found.problems)


def test_space_warps_catalogue_without_images_gives_the_users_tables(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_text(
        "category,kind,truth,flavor,stage,alpha,cutoutname\n"
        "training,sim,LENS,lensed quasar,1,1,1_ASW01\n"
        "training,sim,LENS,lensed quasar,1,0,2_ASW01\n"
        "training,dud,NOT,dud,1,0,3_ASW02\n"
        "training,dud,NOT,dud,1,0,4_ASW03\n"
        "test,test,UNKNOWN,test,2,0,5_ASW04\n"
    )
    found = describe(path)
    tables = {table.title: table.rows for table in found.tables}
    assert found.kind == "space-warps"
    assert tables["truth"] == (("LENS", 2), ("NOT", 2), ("UNKNOWN", 1))
    assert tables["stage"] == (
        ("1", "LENS", "0", 1, 25.0),
        ("1", "LENS", "1", 1, 25.0),
        ("1", "NOT", "", 2, 50.0),
        ("2", "UNKNOWN", "", 1, None),
    )
    assert tables["lenses"] == (("1", 4, 4, 1, 25.0), ("2", 1, 0, 0, None))
    assert "the images were not given" in found.lines


def test_pack_tells_its_size_labels_and_what_was_left_out(image_folder: Path, tmp_path: Path) -> None:
    (image_folder / "a04.png").write_bytes(b"")
    table = tmp_path / "t.csv"
    write_table(table, pd.DataFrame({"id": [f"a{row:02d}" for row in range(12)], "lens": [0, 1, 1] * 4}))
    write_pack(read_image_folder(image_folder, table), Preprocess(size_px=8), tmp_path / "a.pack", skip_bad=True)
    found = describe(tmp_path / "a.pack")
    assert found.kind == "pack"
    assert found.lines[0].startswith("11 images of 8 x 8 px, 3 bands")
    assert any("1 images were left out" in line and "a04.png" in line for line in found.lines)
    assert dict(found.tables[0].rows) == {"0.0": 4, "1.0": 7}


def test_images_tell_their_forms_and_broken_ones_are_problems(image_folder: Path) -> None:
    (image_folder / "a04.png").write_bytes(b"x")
    found = describe(image_folder)
    assert found.kind == "images"
    assert any("11 PNG 32 x 32 px, RGB" in line for line in found.lines)
    assert any("a04.png: cannot be decoded" in problem for problem in found.problems)


def test_rows_without_images_are_problems_not_errors(image_folder: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", pd.DataFrame({"id": ["a00", "b00"]}))
    found = describe(image_folder, tmp_path / "t.csv")
    assert found.lines[0] == "1 images"
    assert any("1 rows" in problem and "b00" in problem for problem in found.problems)


@pytest.mark.parametrize("name", ["galaxies.csv", "galaxies.vot", "galaxies.fits"])
def test_plain_table_tells_its_columns(name: str) -> None:
    found = describe(GOLDEN / name)
    assert found.kind == "table"
    assert found.tables[0].rows == (
        ("name", "text", 0, "2 different, e.g. NGC 1300"),
        ("ra_deg", "number", 0, "49.9213 to 202.47"),
        ("arms", "whole number", 0, "2 to 2"),
    )


def test_fits_image_is_told_from_a_fits_table() -> None:
    found = describe(GOLDEN / "image_2x3.fits")
    assert found.kind == "images"
    assert any("FITS 3 x 2 px, 1 band" in line for line in found.lines)


def test_every_description_is_json_and_its_text_holds_every_number(zoo: Path, tmp_path: Path) -> None:
    write_pack(read_galaxy_zoo(zoo), Preprocess(size_px=8), tmp_path / "zoo.pack")
    for source in (zoo, tmp_path / "zoo.pack", zoo / "training_solutions_rev1.zip", GOLDEN / "galaxies.csv"):
        found = describe(source)
        assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["kind"] == found.kind
        text = render_description(found)
        assert all(line in text for line in found.lines)
        assert all(str(row[0]) in text for table in found.tables for row in table.rows)


def test_columns_of_the_text_are_aligned() -> None:
    lines = render_description(describe(GOLDEN / "galaxies.csv")).splitlines()
    start = lines.index("columns") + 1
    places = {line.index(word) for line, word in zip(lines[start : start + 3], ("kind", "text", "number"), strict=True)}
    assert len(places) == 1


def test_missing_and_surplus_sources_are_refused(tmp_path: Path, zoo: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        describe(tmp_path / "nothing.csv")
    with pytest.raises(UsageError, match="found two sources of one kind"):
        describe(GOLDEN / "galaxies.csv", GOLDEN / "galaxies.vot")
    with pytest.raises(UsageError, match="found 3 sources"):
        describe(zoo, zoo, zoo)
