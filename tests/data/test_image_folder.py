from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.sky_groups import group_by_sky, name_cells
from convnet_galaxies.data.tables import write_table
from convnet_galaxies.errors import InputError

IDS = [f"a{number:02d}" for number in range(12)]


def _write(folder: Path, ending: str = ".csv", **columns: object) -> Path:
    path = folder.parent / f"table{ending}"
    write_table(path, pd.DataFrame(columns), force=True)
    return path


def test_images_without_a_table_are_named_after_their_files(image_folder: Path) -> None:
    records = read_image_folder(image_folder)
    assert records.table["id"].tolist() == records.table["group"].tolist() == IDS


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".fits", ".vot"])
@pytest.mark.parametrize(
    ("column", "names"),
    [
        ("file", [f"{name}.png" for name in IDS]),
        ("FileName", [f"some/where/{name}.png" for name in IDS]),
        ("id", IDS),
        ("cutoutname", [f"images/{name}" for name in IDS]),
    ],
)
def test_rows_find_their_images_in_any_format_and_order(
    image_folder: Path, ending: str, column: str, names: list[str]
) -> None:
    order = np.random.default_rng(0).permutation(12)
    table = _write(image_folder, ending, **{column: [names[row] for row in order], "size": order})
    records = read_image_folder(image_folder, table)
    assert records.table["id"].tolist() == [IDS[row] for row in order]
    assert [file.stem for file in records.files or ()] == records.table["id"].tolist()
    assert records.table["size"].tolist() == order.tolist()


def test_column_that_matches_best_names_the_images(image_folder: Path) -> None:
    table = _write(image_folder, id=list(range(12)), file=[f"{name}.png" for name in IDS])
    records = read_image_folder(image_folder, table)
    assert records.table["id"].tolist() == IDS
    assert records.table["id_given"].tolist() == [str(number) for number in range(12)]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ([0, 1] * 6, [0, 1] * 6),
        ([True, False] * 6, [1, 0] * 6),
        (["LENS", "NOT", "unknown"] * 4, [1, 0, np.nan] * 4),
        ([0.0, 1.0, np.nan] * 4, [0, 1, np.nan] * 4),
    ],
)
def test_two_valued_label_becomes_lens(image_folder: Path, label: list, expected: list) -> None:
    table = _write(image_folder, file=[f"{name}.png" for name in IDS], truth=label)
    records = read_image_folder(image_folder, table, label="truth")
    np.testing.assert_array_equal(records.table["lens"], expected)
    assert "truth" in records.table


def test_text_label_becomes_a_flavor_label(image_folder: Path) -> None:
    kinds = ["ring", "spiral", None] * 4
    records = read_image_folder(image_folder, _write(image_folder, id=IDS, kind=kinds), label="Kind")
    assert records.table["flavor_label"].fillna("-").tolist() == ["ring", "spiral", "-"] * 4


def test_column_called_lens_is_the_label_unasked(image_folder: Path) -> None:
    records = read_image_folder(image_folder, _write(image_folder, id=IDS, lens=[1, 0, 1] * 4))
    np.testing.assert_array_equal(records.table["lens"], [1, 0, 1] * 4)


def test_label_of_other_numbers_and_missing_columns_are_refused(image_folder: Path) -> None:
    table = _write(image_folder, id=IDS, grade=np.linspace(0, 3, 12))
    with pytest.raises(InputError, match=r"row 2, column grade: found 0\.27.*, expected 0 or 1"):
        read_image_folder(image_folder, table, label="grade")
    with pytest.raises(InputError, match="found no column grad among") as error:
        read_image_folder(image_folder, table, group="grad")
    assert error.value.fix == "did you mean grade?"
    with pytest.raises(InputError, match="found no table, expected one with the column grade"):
        read_image_folder(image_folder, label="grade")


def test_group_column_zooid_and_sky_all_keep_images_together(image_folder: Path) -> None:
    table = _write(
        image_folder,
        id=IDS,
        night=["n1", "n1", *"cdefghijkl"],
        zooid=["z0", "z1", "z1", *"wxyuvtsrq"],
        RA=[10, 20, 30, 40.0, 40.01, 60, 70, 359.999, 0.001, 100, 110, np.nan],
        DEC=[0.0] * 12,
    )
    records = read_image_folder(image_folder, table, group="night")
    assert records.link_columns == ("ZooID", "night", "sky_group")
    group = records.table["group"].tolist()
    assert group[0] == group[1] == group[2]
    assert group[3] == group[4]
    assert group[7] == group[8]
    assert len(set(group)) == 12 - 2 - 1 - 1
    assert any("2 images lie within 1 arcmin" in remark for remark in records.remarks)


def test_position_columns_of_other_texts_are_a_remark_and_others_out_of_range_an_error(image_folder: Path) -> None:
    records = read_image_folder(image_folder, _write(image_folder, id=IDS, RA=["north"] * 12, DEC=["west"] * 12))
    assert "sky_group" not in records.table
    assert any("no position is recognised in RA, DEC (RA holds texts" in remark for remark in records.remarks)
    with pytest.raises(InputError, match=r"row 1, column DEC: found 95\.0, expected a number from -90 to 90"):
        read_image_folder(image_folder, _write(image_folder, id=IDS, RA=[1.0] * 12, DEC=[95.0] * 12))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20), st.integers(0, 359))
def test_sky_groups_are_chains_of_neighbours_wherever_on_the_sky(places, start: int) -> None:
    ra_deg = np.array([(start - 0.02 + x * 0.01) % 360 for x, _ in places])
    dec_deg = np.array([y * 0.01 for _, y in places])
    found = group_by_sky(ra_deg, dec_deg)
    index = {place: row for row, place in enumerate(places)}
    group = list(range(len(places)))

    def root(row: int) -> int:
        while group[row] != row:
            row = group[row]
        return row

    for row, (x, y) in enumerate(places):  # steps of 0.6 arcmin: straight and diagonal neighbours are within 1 arcmin
        for near in [(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
            if near in index:
                group[root(row)] = root(index[near])
    same = np.array([root(row) for row in range(len(places))])
    np.testing.assert_array_equal(found[:, None] == found, same[:, None] == same)


def test_missing_images_and_rows_are_refused_or_listed(image_folder: Path) -> None:
    table = _write(image_folder, file=["b99.png", *[f"{name}.png" for name in IDS[1:]]])
    with pytest.raises(InputError, match=r"found 1 without image .*b99"):
        read_image_folder(image_folder, table)
    records = read_image_folder(image_folder, table, skip_bad=True)
    assert records.table["id"].tolist() == IDS[1:]
    assert len(records.skipped) == 2


def test_two_rows_for_one_image_are_refused(image_folder: Path) -> None:
    table = _write(image_folder, file=["a00.png", *[f"{name}.png" for name in IDS[:11]]])
    with pytest.raises(InputError, match="row 2, column file: found the image a00 again"):
        read_image_folder(image_folder, table)


def test_table_without_names_of_images_is_refused(image_folder: Path) -> None:
    with pytest.raises(InputError, match="header: found size, expected a column that names the images"):
        read_image_folder(image_folder, _write(image_folder, size=[1]))


def test_equal_names_in_two_folders_take_the_folder_along(tmp_path: Path, image_bytes: Callable[..., bytes]) -> None:
    for folder in ("lens", "none"):
        (tmp_path / "set" / folder).mkdir(parents=True)
        (tmp_path / "set" / folder / "1.png").write_bytes(image_bytes(1, "PNG"))
    assert read_image_folder(tmp_path / "set").table["id"].tolist() == ["lens/1", "none/1"]
    (tmp_path / "set" / "lens" / "1.jpg").write_bytes(image_bytes(1))
    with pytest.raises(InputError, match="found a second image called lens/1"):
        read_image_folder(tmp_path / "set")


def test_real_candidates_are_grouped_by_zooid_and_sky(shared_data: Path) -> None:
    folder = shared_data / "space-warps"
    records = read_image_folder(folder / "candidates", folder / "candidates.csv", group="zooid")
    assert len(records) == 217
    assert records.link_columns == ("ZooID", "sky_group")
    table = records.table
    for link in ("zooid", "sky_group"):
        assert len(table[[link, "group"]].drop_duplicates()) == table[link].nunique()
    assert table["group"].nunique() < table["zooid"].nunique() < 217


@settings(deadline=None, max_examples=300)
@given(st.floats(0, 360), st.floats(-89.8, 89.8), st.floats(0, 2 * np.pi), st.floats(0, 0.99))
def test_positions_within_an_arcminute_always_share_a_cell(ra: float, dec: float, angle: float, apart: float) -> None:
    other_dec = dec + apart / 60 * np.sin(angle)
    other_ra = (ra + apart / 60 * np.cos(angle) / np.cos(np.radians(max(abs(dec), abs(other_dec))))) % 360
    assert set(name_cells(ra, dec)) & set(name_cells(other_ra, other_dec))


@settings(deadline=None, max_examples=300)
@given(st.floats(0, 360), st.floats(89.8, 90), st.floats(0, 2 * np.pi), st.floats(0, 0.99), st.sampled_from([-1, 1]))
def test_positions_within_an_arcminute_share_a_cell_beside_the_poles_too(ra, dec, angle, apart, pole) -> None:
    # Flat near the pole: x and y in degrees from it.
    x, y = (90 - dec) * np.cos(np.radians(ra)), (90 - dec) * np.sin(np.radians(ra))
    x, y = x + apart / 60 * np.cos(angle), y + apart / 60 * np.sin(angle)
    other_ra, other_dec = np.degrees(np.arctan2(y, x)) % 360, 90 - np.hypot(x, y)
    assert set(name_cells(ra, pole * dec)) & set(name_cells(other_ra, pole * other_dec))


def test_positions_three_arcminutes_apart_share_no_cell() -> None:
    rng = np.random.default_rng(0)
    for ra, dec, angle in zip(
        rng.uniform(0, 360, 500), rng.uniform(-80, 80, 500), rng.uniform(0, 6.28, 500), strict=True
    ):
        other = ra + 3 / 60 * np.cos(angle) / np.cos(np.radians(dec)), dec + 3 / 60 * np.sin(angle)
        assert not set(name_cells(ra, dec)) & set(name_cells(*other))


def test_a_zoo_id_in_the_names_links_cutouts_of_one_subject(tmp_path: Path) -> None:
    names = ["1_ASW0001abc", "2_ASW0001abc", "3_ASW0002xyz", "other"]
    for k, name in enumerate(names):
        Image.fromarray(np.full((8, 8, 3), 40 * k, np.uint8)).save(tmp_path / f"{name}.png")
    table = pd.DataFrame({"file": [f"{name}.png" for name in names], "is_lens": [1, 0, 0, 1]})
    table.to_csv(tmp_path / "t.csv", index=False)
    found = read_image_folder(tmp_path, tmp_path / "t.csv", label="is_lens")
    assert found.link_columns == ("ZooID",)
    groups = found.table.set_index("id")["group"]
    assert groups["1_ASW0001abc"] == groups["2_ASW0001abc"]
    assert groups.nunique() == 3
