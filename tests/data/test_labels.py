from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.data.image_folder import read_image_folder
from convnet_galaxies.data.labels import find_labels, read_label
from convnet_galaxies.data.missing_values import find_missing
from convnet_galaxies.data.tables import numbers, read_table, write_table
from convnet_galaxies.errors import InputError

MISSING = (
    "",
    " ",
    "NULL",
    "null",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "None",
    "none",
    "nan",
    "NaN",
    "\\N",
    "-",
    "--",
    "---",
    "?",
    "...",
    "masked",
    "<NA>",
)
IDS = [f"a{number:02d}" for number in range(12)]


@pytest.mark.parametrize("word", MISSING)
def test_a_missing_word_is_missing_in_labels_numbers_and_positions_of_every_format(
    image_folder: Path, tmp_path: Path, word: str
) -> None:
    labels = ["0", "1"] * 5 + [word] * 2
    numerals = [str(number / 4) for number in range(10)] + [word] * 2
    frame = pd.DataFrame({"id": IDS, "is_lens": labels, "z": numerals, "ra": numerals, "dec": numerals})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    write_table(tmp_path / "t.fits", frame)
    write_table(tmp_path / "t.vot", frame)
    for ending in (".csv", ".parquet", ".fits", ".vot"):
        path = tmp_path / f"t{ending}"
        np.testing.assert_array_equal(numbers(read_table(path), "z", path, missing=True)[9:], [2.25, np.nan, np.nan])
        records = read_image_folder(image_folder, path, label="is_lens")
        np.testing.assert_array_equal(records.table["lens"], [0, 1] * 5 + [np.nan] * 2)
        assert any(remark.startswith("2 of 12 have no label") for remark in records.remarks)
        assert any("2 of 12 images have no position" in remark for remark in records.remarks)


def test_images_may_be_called_like_a_missing_word(image_folder: Path, tmp_path: Path) -> None:
    (image_folder / "a00.png").rename(image_folder / "NA.png")
    (image_folder / "a01.png").rename(image_folder / "None.png")
    (tmp_path / "t.csv").write_text("id,group,x\n" + "".join(f"{name},NULL,1\n" for name in ["NA", "None", *IDS[2:]]))
    records = read_image_folder(image_folder, tmp_path / "t.csv", group="group")
    assert records.table["id"].tolist() == ["NA", "None", *IDS[2:]]
    assert records.table["group"].nunique() == 12  # NULL is no common group


def test_words_that_only_hold_a_missing_word_are_none() -> None:
    texts = pd.Series(["Nancy", "a-b", "none of these", "NGC", "0", "-1", "n", "null island"])
    assert not find_missing(texts).any()


@pytest.mark.parametrize(
    ("labels", "lens"),
    [
        (["y", "N", "Y"], [1, 0, 1]),
        (["yes", "NO", None], [1, 0, np.nan]),
        (["T", "f", "unknown"], [1, 0, np.nan]),
        (["TRUE", "False", "UNKNOWN"], [1, 0, np.nan]),
        (["1.0", "0.0", "0"], [1, 0, 0]),
        ([1.0, 0.0, np.nan], [1, 0, np.nan]),
        ([1, 0, -99], [1, 0, np.nan]),
        (["1", "0", "-999"], [1, 0, np.nan]),
        ([True, False, True], [1, 0, 1]),
        (["lens", "non-lens", "NonLens"], [1, 0, 0]),
        (["LENS", "NOT", "Not Lens"], [1, 0, 0]),
        (["Lens", "no lens", "not_lens"], [1, 0, 0]),
        (["not a lens", "lensed", "No-Lens"], [0, 1, 0]),
    ],
)
def test_yes_and_no_in_any_spelling_are_a_lens_label(labels: list, lens: list) -> None:
    found = read_label(pd.DataFrame({"x": labels}), "x", "t")
    np.testing.assert_array_equal(found["lens"], lens)


def test_two_other_words_stay_flavors() -> None:
    for words in (["spiral", "elliptical"], ["LENS", "galaxy"], ["n", "s"]):
        assert list(read_label(pd.DataFrame({"x": words}), "x", "t")["flavor_label"]) == words


@pytest.mark.parametrize(
    ("labels", "found"), [(["0", "1", "perhaps"], "perhaps"), (["yes", "no", "x"], "x"), ([0, 1, 2], "2")]
)
def test_a_word_among_flags_is_named_by_its_row(labels: list, found: str) -> None:
    with pytest.raises(InputError, match=f"t, row 3, column x: found {found}, expected"):
        read_label(pd.DataFrame({"x": labels}), "x", "t")


def test_a_class_called_like_a_missing_word_is_told(image_folder: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", pd.DataFrame({"id": IDS, "bar": ["none", "weak", "strong"] * 4}))
    records = read_image_folder(image_folder, tmp_path / "t.csv", label="bar")
    assert "4 of 12 have no label (missing are 'none' in column bar)" in records.remarks


def test_a_column_that_looks_like_a_label_is_named_with_its_option(image_folder: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": IDS, "is lens": [0, 1] * 6, "has_spectrum": [0, 1] * 6, "size": range(12)})
    write_table(tmp_path / "t.csv", frame)
    unread = read_image_folder(image_folder, tmp_path / "t.csv")
    assert any(remark.endswith("pass --label 'is lens' to learn it") for remark in unread.remarks)
    read = read_image_folder(image_folder, tmp_path / "t.csv", label="is lens")
    assert not any("looks like a label" in remark for remark in read.remarks)


def test_labels_are_found_by_name_or_else_by_values() -> None:
    classes = ["ring", "spiral", "bar"] * 2
    assert find_labels(pd.DataFrame({"morphology": classes, "note": classes})) == {"morphology": "bar, ring, spiral"}
    assert list(find_labels(pd.DataFrame({"good": ["y", "n"], "z": [0.5, 0.7]}))) == ["good"]
    assert find_labels(pd.DataFrame({"z": [0.5, 0.7], "note": ["a", "b"], "class": [1, 2]})) == {}
