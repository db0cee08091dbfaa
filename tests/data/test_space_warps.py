from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.data.catalog_values import count_tables
from convnet_galaxies.data.space_warps import find_catalog, label_lenses, read_catalog, read_space_warps
from convnet_galaxies.errors import InputError

CELLS = (
    # stage, truth, alpha, category, kind, number
    (1, "NOT", 0, "training", "dud", 8362),
    (1, "LENS", 0, "training", "sim", 10656),
    (1, "LENS", 1, "training", "sim", 5159),
    (2, "NOT", 0, "training", "dud", 1129),
    (2, "LENS", 0, "training", "sim", 596),
    (2, "LENS", 1, "training", "sim", 151),
    (2, "UNKNOWN", 0, "test", "test", 9030),
)
FLAVORS = {"lensed galaxy": 5983, "lensing cluster": 5308, "lensed quasar": 5271}


def full_catalog() -> pd.DataFrame:
    """A catalogue with exactly the counts of the first user of these data."""
    rows = pd.DataFrame(
        [cell[:5] for cell in CELLS for _ in range(cell[5])], columns=["stage", "truth", "alpha", "category", "kind"]
    )
    flavor = rows["kind"].astype(object)
    flavor[rows["kind"] == "sim"] = [name for name, count in FLAVORS.items() for _ in range(count)]
    rows["flavor"] = flavor
    rows["ZooID"] = [f"ASW{row // 3:07d}" for row in range(len(rows))]
    rows["object_id"] = np.arange(len(rows))
    return rows


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalog") / "catalogue.csv"
    full_catalog().to_csv(path, index=False)
    return path


SMALL = pd.DataFrame(
    {
        "ZooID": ["ASW01", "ASW01", "ASW02", "ASW03", "ASW04", "ASW01"],
        "location": [f"http://s.org/a/{name}.png?v=1" for name in "ffgggf"],
        "category": ["training"] * 4 + ["test", "training"],
        "kind": ["sim", "sim", "dud", "sim", "test", "sim"],
        "flavor": ["lensed quasar", "lensed quasar", "dud", "lensed galaxy", "test", "lensed quasar"],
        "truth": ["LENS", "LENS", "NOT", "LENS", "UNKNOWN", "LENS"],
        "stage": [1, 1, 1, 2, 2, 2],
        "alpha": [1, 0, 0, 1, 0, 1],
        "cutoutname": [
            f"data/cutouts/{name}.png" for name in ("1_ASW01", "2_ASW01", "3_ASW02", "4_ASW03", "5_ASW04", "1_ASW01")
        ],
        "skill_sum": [0.5, 1.5, 2.5, 3.5, 4.5, 5.5],
    }
)


@pytest.fixture
def small(tmp_path: Path, image_bytes: Callable[..., bytes]) -> Path:
    """A data folder with cluster_catalog.csv and cutouts_good/, RGBA for training images and RGB for test ones."""
    folder = tmp_path / "data"
    (folder / "cutouts_good").mkdir(parents=True)
    SMALL.to_csv(folder / "cluster_catalog.csv", index=False)
    for row, name in enumerate(SMALL["cutoutname"]):
        bands = 3 if SMALL["category"][row] == "test" else 4
        (folder / "cutouts_good" / Path(name).name).write_bytes(image_bytes(row, "PNG", bands=bands))
    return folder


def _edit(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    change(pd.read_csv(folder / "cluster_catalog.csv")).to_csv(folder / "cluster_catalog.csv", index=False)
    return folder / "cluster_catalog.csv"


@pytest.mark.trials
def test_every_count_of_the_users_tables_is_reproduced(full: Path) -> None:
    tables = count_tables(read_space_warps(full).table)

    def counts(name: str) -> dict[str, int]:
        return dict(zip(tables[name]["value"], tables[name]["count"], strict=True))

    assert counts("category") == {"training": 26053, "test": 9030}
    assert counts("kind") == {"sim": 16562, "dud": 9491, "test": 9030}
    assert counts("truth") == {"LENS": 16562, "NOT": 9491, "UNKNOWN": 9030}
    assert counts("flavor") == {"dud": 9491, "test": 9030, **FLAVORS}
    stage = tables["stage"].set_index(["stage", "truth", "alpha"])
    assert stage["count"].to_dict() == {
        ("1", "LENS", "0"): 10656,
        ("1", "LENS", "1"): 5159,
        ("1", "NOT", ""): 8362,
        ("2", "LENS", "0"): 596,
        ("2", "LENS", "1"): 151,
        ("2", "NOT", ""): 1129,
        ("2", "UNKNOWN", ""): 9030,
    }
    lenses = tables["lenses"].set_index("stage")
    assert lenses["count"].to_dict() == {"1": 24177, "2": 10906}
    assert lenses["known"].to_dict() == {"1": 24177, "2": 1876}
    assert lenses["lenses"].to_dict() == {"1": 5159, "2": 151}
    assert lenses["percent_lenses"].round().to_dict() == {"1": 21, "2": 8}
    assert stage["percent_of_known"]["1"].sum() == pytest.approx(100)
    assert stage["percent_of_known"]["2"].sum() == pytest.approx(100)


@pytest.mark.trials
def test_labels_of_the_whole_catalogue_follow_the_rule(full: Path) -> None:
    table = read_space_warps(full).table
    assert (table["lens"] == 1).sum() == 5159 + 151
    assert (table["lens"] == 0).sum() == 8362 + 10656 + 1129 + 596
    assert table["lens"].isna().sum() == 9030
    assert (table["flavor_label"] == "dud").sum() == (table["lens"] == 0).sum()
    assert table["flavor_label"].isna().sum() == 9030


def test_label_rule_case_by_case() -> None:
    truth = pd.Series(["LENS", "LENS", "NOT", "NOT", "UNKNOWN", "UNKNOWN"])
    alpha = pd.Series(["1", "0", "0", "1", "1", None])
    lens, _ = label_lenses(truth, alpha)
    np.testing.assert_array_equal(lens, [1, 0, 0, 0, np.nan, np.nan])


def test_data_folder_is_read_with_its_images(small: Path) -> None:
    records = read_space_warps(small)
    assert records.table["id"].tolist() == ["1_ASW01", "2_ASW01", "3_ASW02", "4_ASW03", "5_ASW04", "1_ASW01@stage2"]
    assert records.files is not None
    assert [file.stem for file in records.files] == [name.removesuffix("@stage2") for name in records.table["id"]]
    np.testing.assert_array_equal(records.table["lens"], [1, 0, 0, 1, np.nan, 1])
    assert records.table["flavor_label"].fillna("-").tolist() == [
        "lensed quasar", "dud", "dud", "lensed galaxy", "-", "lensed quasar",
    ]  # fmt: skip
    pd.testing.assert_frame_equal(records.table[list(SMALL)], SMALL, check_dtype=False)
    assert records.table["image_file"].tolist() == [f"{name}.png" for name in "ffgggf"]


def test_cutouts_of_one_field_or_one_image_file_are_one_group(small: Path) -> None:
    records = read_space_warps(small)
    assert records.link_columns == ("ZooID", "image_file")
    group = records.table["group"].tolist()
    assert group[0] == group[1] == group[5]
    assert group[2] == group[3] == group[4]
    assert group[0] != group[2]


def test_catalogue_alone_needs_no_images(small: Path) -> None:
    whole, alone = read_space_warps(small), read_space_warps(small / "cluster_catalog.csv")
    assert alone.files is None
    assert alone.kind == whole.kind == "space-warps"
    assert alone.link_columns == whole.link_columns
    pd.testing.assert_frame_equal(alone.table, whole.table)


def test_without_field_or_location_each_cutout_is_a_group_and_a_remark_tells(small: Path) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.drop(columns=["ZooID", "location"]).assign(cutoutname=[f"c{row}.png" for row in range(6)])

    records = read_space_warps(_edit(small, change))
    assert records.link_columns == ()
    assert records.table["group"].tolist() == records.table["id"].tolist() == [f"c{row}" for row in range(6)]
    assert any("cutouts of one field may be split apart" in text for text in records.remarks)


def test_a_field_without_a_location_has_no_image_file(small: Path) -> None:
    path = _edit(small, lambda table: table.assign(location=[None, *table["location"][1:]]))
    names = read_catalog(path)["image_file"]
    assert names.isna().tolist() == [True, *[False] * 5]
    assert names[1] == "f.png"


def test_good_cutouts_are_preferred_to_all_and_a_zip_to_a_folder(small: Path) -> None:
    catalog = small / "cluster_catalog.csv"
    (small / "cutouts").mkdir()
    for name in ("cutouts.zip", "Cutouts_Good.ZIP"):
        (small / name).write_bytes(b"")
    for name in ("Cutouts_Good.ZIP", "cutouts_good", "cutouts.zip", "cutouts"):
        assert find_catalog(small) == (catalog, small / name)
        (small / name).rename(small / f"not_{name}")
    assert find_catalog(small) == (catalog, None)
    assert find_catalog(small, small / "not_cutouts") == (catalog, small / "not_cutouts")


@pytest.mark.parametrize("ending", ["png", "PNG", "jpg", "JPEG", "fits", "FIT"])
def test_a_cutout_has_the_name_of_its_file_without_an_ending_of_images(small: Path, ending: str) -> None:
    _edit(small, lambda table: table.assign(cutoutname=table["cutoutname"].str.replace("png", ending)))
    ids = read_catalog(small / "cluster_catalog.csv")["id"]
    assert ids.tolist() == ["1_ASW01", "2_ASW01", "3_ASW02", "4_ASW03", "5_ASW04", "1_ASW01@stage2"]


def test_zipped_cutouts_and_catalogue_read_the_same(small: Path, tmp_path: Path) -> None:
    expected = read_space_warps(small)
    with zipfile.ZipFile(tmp_path / "cutouts.zip", "w") as archive:
        for path in (small / "cutouts_good").iterdir():
            archive.write(path, f"cutouts_good/{path.name}")
    with zipfile.ZipFile(tmp_path / "catalog.zip", "w") as archive:
        archive.write(small / "cluster_catalog.csv", "cluster_catalog.csv")
    found = read_space_warps(tmp_path / "catalog.zip", tmp_path / "cutouts.zip")
    pd.testing.assert_frame_equal(found.table, expected.table)
    assert [file.read() for file in found.files or ()] == [file.read() for file in expected.files or ()]


def test_older_names_of_the_cutout_column_are_known(small: Path) -> None:
    expected = read_space_warps(small).table["id"].tolist()
    _edit(small, lambda table: table.rename(columns={"cutoutname": "object_name"}))
    assert read_space_warps(small).table["id"].tolist() == expected
    _edit(
        small,
        lambda table: table.drop(columns="object_name").assign(object_id=[1, 2, 3, 4, 5, 1]),
    )
    assert read_space_warps(small).table["id"].tolist() == expected
    _edit(small, lambda table: table.rename(columns={"ZooID": "zooid", "truth": "Truth"}))
    records = read_space_warps(small)
    assert records.table["id"].tolist() == expected
    assert records.table["ZooID"].tolist() == SMALL["ZooID"].tolist()
    assert records.link_columns == ("ZooID", "image_file")


def test_field_is_taken_from_the_cutouts_name_when_nothing_else_tells_it(small: Path) -> None:
    _edit(small, lambda table: table.drop(columns=["ZooID", "location"]))
    records = read_space_warps(small)
    assert records.table["ZooID"].tolist() == SMALL["ZooID"].tolist()
    assert records.table["group"].nunique() == 4
    names = ["7_ASW0001a2z.png", "asw09_7.png", "ASW1.png", "a_ASW2_b.png", "x_ASW3.fits", "4_ASW4.jpg"]
    path = _edit(small, lambda table: table.assign(cutoutname=names))
    assert read_catalog(path)["ZooID"].tolist() == ["ASW0001a2z", "asw09", "ASW1", "ASW2", "ASW3", "ASW4"]
    path = _edit(small, lambda table: table.assign(cutoutname=["7_BASW1.png", *names[1:]]))
    assert "ZooID" not in read_catalog(path)  # one name without a field


def test_capitals_spaces_and_floats_in_values_do_not_matter(small: Path) -> None:
    expected = read_space_warps(small).table["lens"]

    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(
            truth=" " + table["truth"].str.lower() + " ",
            flavor=table["flavor"].str.upper(),
            alpha=table["alpha"].astype(float),
        )

    pd.testing.assert_series_equal(read_space_warps(_edit(small, change)).table["lens"], expected)


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("truth", "MAYBE", "found 'MAYBE', expected one of LENS, NOT, UNKNOWN"),
        ("truth", None, "found nothing"),
        ("alpha", 7, "found '7'"),
        ("category", "exam", "found 'exam', expected one of training, test"),
        ("kind", "fake", "found 'fake'"),
        ("flavor", "arc", "found 'arc'"),
        ("stage", 3, "found '3'"),
    ],
)
def test_unknown_value_is_named_by_row_and_column(small: Path, column: str, value: object, found: str) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        values = table[column].astype(object)
        values[2] = value
        return table.assign(**{column: values})

    with pytest.raises(InputError, match=rf"cluster_catalog\.csv, row 3, column {column}: {found}"):
        read_space_warps(_edit(small, change))


def test_lens_without_alpha_or_with_a_flavor_of_none_is_refused(small: Path) -> None:
    path = _edit(small, lambda table: table.assign(alpha=[None, 0, 0, 1, 0, 1]))
    with pytest.raises(InputError, match="row 1: found truth LENS and no alpha"):
        read_space_warps(path)
    path = _edit(small, lambda table: table.assign(alpha=SMALL["alpha"], flavor=["dud", *table["flavor"][1:]]))
    with pytest.raises(InputError, match="row 1: found truth LENS and alpha 1 with a flavor of none"):
        read_space_warps(path)


def test_missing_label_columns_are_named(small: Path) -> None:
    path = _edit(small, lambda table: table.drop(columns=["truth"]))
    with pytest.raises(InputError, match=r"header: found no column truth among ZooID, location"):
        read_space_warps(path)
    path = _edit(small, lambda table: table.assign(truth=SMALL["truth"]).drop(columns=["cutoutname"]))
    with pytest.raises(InputError, match="expected the column cutoutname, or object_id and ZooID"):
        read_space_warps(path)


def test_same_cutout_twice_in_a_stage_is_refused(small: Path) -> None:
    path = _edit(small, lambda table: table.assign(stage=[1, 1, 1, 1, 1, 1]))
    with pytest.raises(InputError, match=r"row 6: found the cutout 1_ASW01 again in the same stage \(first in row 1\)"):
        read_space_warps(path)


def test_missing_and_extra_cutouts_are_refused_or_listed(small: Path) -> None:
    (small / "cutouts_good" / "3_ASW02.png").rename(small / "cutouts_good" / "9_ASW09.png")
    with pytest.raises(InputError, match=r"found 1 without image .*\(3_ASW02\)"):
        read_space_warps(small)
    records = read_space_warps(small, skip_bad=True)
    assert len(records) == 5
    assert records.skipped == ("3_ASW02: no image", "9_ASW09.png: no row in the table")


def test_equal_names_in_folders_are_told_apart_by_their_folder(small: Path, image_bytes: Callable[..., bytes]) -> None:
    other = small / "cutouts_good" / "stage2"
    other.mkdir()
    (other / "1_ASW01.png").write_bytes(image_bytes(99, "PNG"))
    with pytest.raises(InputError, match=r"cutouts_good: found 2 images called 1_ASW01"):
        read_space_warps(small)
    names = [*SMALL["cutoutname"].str.replace("data/cutouts", "cutouts_good")[:5], "stage2/1_ASW01.png"]
    _edit(small, lambda table: table.assign(cutoutname=names))
    files = read_space_warps(small).files
    assert files is not None
    assert files[5].path == other / "1_ASW01.png"
    assert files[0].path == small / "cutouts_good" / "1_ASW01.png"
