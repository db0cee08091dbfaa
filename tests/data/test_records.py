from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnet_galaxies.data.image_file import ImageFile
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import (
    PARTS,
    PIXEL_HASH,
    ImageSet,
    Records,
    connect,
    find_copies,
    join_copies,
    join_sets,
    split_groups,
    stage_rows,
)
from convnet_galaxies.errors import InputError, UsageError

shares = st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5, 0.0), (1.0, 0.0, 0.0), (0.4, 0.3, 0.3)])


@settings(deadline=None, max_examples=40)
@given(groups=st.lists(st.integers(0, 30), min_size=1, max_size=200), fractions=shares, seed=st.integers(0, 99))
def test_split_never_shares_a_group_and_keeps_the_shares_within_one_group(groups, fractions, seed) -> None:
    names = np.array([f"g{group}" for group in groups], dtype=object)
    parts = split_groups(names, fractions, seed=seed)
    assert len(set(zip(names, parts, strict=True))) == len(set(names))
    largest = pd.Series(names).value_counts().iloc[0]
    for part, share in zip(PARTS, fractions, strict=True):
        count = (parts == part).sum()
        assert abs(count - share * len(names)) <= largest
        assert share > 0 or count == 0


def test_split_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    names = np.array([f"g{row // 3}" for row in range(300)], dtype=object)
    first, again, other = (split_groups(names, (0.8, 0.1, 0.1), seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_split_refuses_shares_that_do_not_add_to_one() -> None:
    with pytest.raises(UsageError, match="expected three that add to 1"):
        split_groups(np.array(["a"]), (0.5, 0.1, 0.1), seed=0)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.none() | st.integers(0, 6), st.none() | st.integers(0, 6)), min_size=1, max_size=25))
def test_connect_gives_the_components_that_a_slow_search_finds(values) -> None:
    table = pd.DataFrame(
        {
            "id": [f"i{row}" for row in range(len(values))],
            "a": [None if a is None else f"a{a}" for a, _ in values],
            "b": [None if b is None else f"b{b}" for _, b in values],
        }
    )
    group = list(range(len(values)))
    for _ in values:
        for one in range(len(values)):
            for other in range(len(values)):
                shared = any(x is not None and x == y for x, y in zip(values[one], values[other], strict=True))
                if shared:
                    group[one] = group[other] = min(group[one], group[other])
    found = connect(table, ("a", "b"))
    same = np.array(group)[:, None] == np.array(group)[None, :]
    np.testing.assert_array_equal(found[:, None] == found[None, :], same)


def test_each_group_is_dealt_to_the_part_that_lacks_most() -> None:
    # Of four groups train wants 2, the others 1: it lacks most until it has two; a tie goes to the earlier part.
    parts = split_groups(np.array(list("abcd")), (0.5, 0.25, 0.25), seed=3)
    order = np.random.default_rng(3).permutation(4)
    assert parts[order].tolist() == ["train", "train", "validation", "test"]
    only_tests = split_groups(np.array(list("aab")), (0.0, 0.0, 1.0), seed=0)
    assert only_tests.tolist() == ["test"] * 3
    assert split_groups(np.array([], dtype=object), (0.8, 0.1, 0.1), seed=0).tolist() == []


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (1.1, -0.1, 0.0), (0.8, 0.1, 0.10001), (0.8, 0.1, 0.09999)])
def test_split_refuses_what_are_no_three_shares(fractions) -> None:
    with pytest.raises(UsageError, match="expected three that add to 1"):
        split_groups(np.array(["a"]), fractions, seed=0)


def test_rows_of_records_are_selected_by_mask_or_number_with_their_files() -> None:
    files = tuple(ImageFile(Path(f"{name}.png")) for name in "abc")
    records = Records("images", pd.DataFrame({"id": list("abc")}), files, ("ZooID",), ("a remark",), ("d: bad",))
    for rows in (np.array([False, True, True]), np.array([1, 2])):
        part = records.select(rows)
        assert (len(part), part.table["id"].tolist(), part.table.index.tolist()) == (2, ["b", "c"], [0, 1])
        assert list(part.table) == ["id"]
        assert part.files == files[1:]
        assert (part.kind, part.link_columns, part.remarks) == ("images", ("ZooID",), ("a remark",))
    assert records.select(np.array([2, 0])).files == (files[2], files[0])
    assert replace(records, files=None).select(np.array([2, 0])).files is None
    with pytest.raises(ValueError, match="2 files for 3 rows"):
        Records("images", records.table, files[:2])


def test_rows_of_an_image_set_are_selected_by_mask_or_number_with_their_pixels() -> None:
    images = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)
    whole = ImageSet(images, pd.DataFrame({"id": list("abc")}), Preprocess(size_px=4), "images", ("ZooID",), True)
    for rows in (np.array([True, False, True]), np.array([0, 2])):
        part = whole.select(rows)
        assert (len(part), part.table["id"].tolist(), part.table.index.tolist()) == (2, ["a", "c"], [0, 1])
        assert list(part.table) == ["id"]
        np.testing.assert_array_equal(part.images, images[[0, 2]])
        assert (part.preprocess, part.link_columns, part.linear) == (whole.preprocess, ("ZooID",), True)
    turned = whole.select(np.array([2, 1, 0]))
    np.testing.assert_array_equal(turned.images, images[::-1])
    assert turned.table["id"].tolist() == ["c", "b", "a"]
    assert whole.select(np.ones(3, bool)).images is images  # nothing is copied
    assert whole.select(np.array([0, 1])).images is not images


def test_an_image_set_is_split_by_its_groups() -> None:
    images = _make_set([f"i{k}" for k in range(40)])
    images.table["group"] = [f"g{k // 4}" for k in range(40)]
    parts = images.split((0.5, 0.3, 0.2), seed=5)
    assert parts.tolist() == split_groups(images.table["group"].to_numpy(), (0.5, 0.3, 0.2), seed=5).tolist()
    assert dict(zip(*np.unique(parts, return_counts=True), strict=True)) == {"train": 20, "validation": 12, "test": 8}
    assert (images.split(seed=1) == "train").sum() == 32


def test_a_group_is_named_by_its_first_rows_first_present_value() -> None:
    table = pd.DataFrame(
        {
            "id": ["i0", "i1", "i2", "i3", "i4"],
            "ZooID": [None, "z1", "z2", "", "z2"],
            "image_file": ["f", "f", "g", np.nan, "h"],
        }
    )
    assert connect(table, ("ZooID", "image_file")).tolist() == [
        "image_file=f",
        "image_file=f",
        "ZooID=z2",
        "i3",
        "ZooID=z2",
    ]
    assert connect(table, ("image_file", "ZooID"))[2] == "image_file=g"
    assert connect(table, ()).tolist() == table["id"].tolist()


def _make_set(ids: list[str], **columns) -> ImageSet:
    table = pd.DataFrame({"id": ids, "group": ids, **columns})
    return ImageSet(np.zeros((len(ids), 4, 4, 3), np.uint8), table, Preprocess(size_px=4), link_columns=tuple(columns))


def test_joining_two_stages_connects_images_of_one_file_across_them() -> None:
    stage1 = _make_set(["a", "b"], ZooID=["z1", "z2"], image_file=["f.png", "g.png"])
    stage2 = _make_set(["c", "d"], ZooID=["z3", "z4"], image_file=["f.png", "h.png"])
    group = join_sets([stage1, stage2]).table["group"]
    assert group[0] == group[2]
    assert group.nunique() == 3


def test_a_joined_set_holds_all_images_and_every_warning_once() -> None:
    first = replace(_make_set(["a", "b"], ZooID=["z1", "z2"]), kind="space-warps", warnings=("dark", "odd"))
    second = replace(_make_set(["c"], image_file=["f"]), kind="space-warps", warnings=("odd", "new"))
    second = replace(second, images=second.images + 7)
    joined = join_sets([first, second])
    assert joined.table["id"].tolist() == ["a", "b", "c"]
    assert joined.table.index.tolist() == [0, 1, 2]
    assert joined.images[:, 0, 0, 0].tolist() == [0, 0, 7]
    assert joined.link_columns == ("ZooID", "image_file")
    assert joined.table["group"].tolist() == ["ZooID=z1", "ZooID=z2", "image_file=f"]
    assert joined.warnings == ("dark", "odd", "new")
    assert joined.kind == "space-warps"
    assert join_sets([first, replace(second, kind="galaxy-zoo")]).kind == "images"
    assert join_sets([first]) is first
    without_links = join_sets([_make_set(["a"]), _make_set(["b"])])
    assert without_links.table["group"].tolist() == ["a", "b"]


def test_joining_compares_positions_across_packs_anew() -> None:
    def at(name: str, ra_deg: float, dec_deg: float) -> ImageSet:
        made = _make_set([name], sky_group=["chosen alone"])
        made.table["ra_deg"], made.table["dec_deg"] = ra_deg, dec_deg
        return made

    group = join_sets([at("a", 30.0, -5.0), at("b", 30.01, -5.0), at("c", 31.0, -5.0)]).table["group"]
    assert group[0] == group[1]
    assert group[0] != group[2]


def test_a_pack_of_linear_images_gives_its_stretch_to_those_that_it_did_nothing_to() -> None:
    plain, linear = _make_set(["a"], ZooID=["z1"]), _make_set(["b"], ZooID=["z2"])
    stretch = linear.preprocess.stretch.model_copy(update={"soft_sigma": 5.0})
    linear = replace(linear, linear=True, preprocess=linear.preprocess.model_copy(update={"stretch": stretch}))
    for sets in ([plain, linear], [linear, plain]):
        joined = join_sets(sets)
        assert joined.preprocess == linear.preprocess
        assert joined.linear
    assert not join_sets([plain, _make_set(["c"], ZooID=["z3"])]).linear
    other = replace(linear, preprocess=plain.preprocess, table=linear.table.assign(id=["d"]))
    with pytest.raises(InputError, match="pack all sources with the same settings"):
        join_sets([linear, other])


def test_joining_refuses_other_sizes_and_doubles() -> None:
    other = ImageSet(np.zeros((1, 8, 8, 3), np.uint8), pd.DataFrame({"id": ["x"]}), Preprocess(size_px=8))
    with pytest.raises(InputError, match=r"expected \(4, 4, 3\)"):
        join_sets([_make_set(["a"]), other])
    with pytest.raises(InputError, match="image a stands in more than one pack"):
        join_sets([_make_set(["a"]), _make_set(["a"])])


def test_stage_two_catalog_of_the_crowd_shares_files_with_stage_one(shared_data: Path) -> None:
    columns = ["zooid", "P", "Nclass", "image"]
    tables = []
    for name in ("stage1_sim", "stage2_sim"):
        path = shared_data / "space-warps" / "crowd" / f"{name}_catalog.txt"
        tables.append(pd.read_csv(path, sep=r"\s+", comment="#", names=columns).assign(stage=name))
    table = pd.concat(tables, ignore_index=True)
    table["id"] = table["stage"] + "/" + table["zooid"]
    group = connect(table, ("zooid", "image"))
    first = set(group[table["stage"] == "stage1_sim"])
    second = group[table["stage"] == "stage2_sim"]
    assert sum(name in first for name in second) >= 133


def test_stages_are_read_as_numbers_however_they_are_kept() -> None:
    for values in ([1, 2, 1], [1.0, 2.0, np.nan], ["1", " 2", None]):
        assert stage_rows(pd.DataFrame({"stage": values}), 2).tolist() == [False, True, False]
    with pytest.raises(InputError, match="--stage 3: found only stages 1, 2"):
        stage_rows(pd.DataFrame({"stage": [1, 2]}), 3)
    assert stage_rows(pd.DataFrame({"stage": [2, None, "x"]}), 2).tolist() == [True, False, False]
    with pytest.raises(InputError, match="--stage 1: found only stages none"):
        stage_rows(pd.DataFrame({"stage": [np.nan]}), 1)
    with pytest.raises(InputError, match="the pack has no column 'stage'"):
        stage_rows(pd.DataFrame({"id": ["a"]}), 1)


def draw_images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 4, 4, 3), np.uint8)


def test_copies_are_images_of_exactly_equal_pixels() -> None:
    images = draw_images(6)
    images[4], images[5] = images[1], images[2]
    images[5, 0, 0, 0] ^= 1  # one bit of one pixel
    table = pd.DataFrame({"id": list("abcdef"), "group": list("abcdef")})
    assert find_copies(table, images).tolist() == [0, 1, 2, 3, 1, 5]
    # Hashes decide which images are compared.
    hashes = table.assign(**{PIXEL_HASH: ["p", "q", "r", "s", "q", "r"]})
    assert find_copies(hashes, images).tolist() == [0, 1, 2, 3, 1, 5]
    assert find_copies(table.assign(**{PIXEL_HASH: list("pqrstu")}), images).tolist() == [0, 1, 2, 3, 4, 5]
    assert find_copies(table.assign(**{PIXEL_HASH: ["p", None, "r", "s", None, "u"]}), images)[4] == 1


def test_blank_images_are_no_copies_of_one_another() -> None:
    images = np.full((3, 4, 4, 3), (0, 7, 9), np.uint8)
    table = pd.DataFrame({"id": list("abc"), "group": list("abc")})
    assert find_copies(table, images).tolist() == [0, 1, 2]
    assert find_copies(table.assign(**{PIXEL_HASH: ""}), images).tolist() == [0, 1, 2]


def test_copies_join_their_groups_and_nothing_else_changes() -> None:
    table = pd.DataFrame({"id": list("abcdef"), "group": ["g1", "g2", "g2", "g3", "g4", "f"], "lens": range(6)})
    first = np.array([0, 1, 2, 3, 1, 3])
    joined = join_copies(table, first)
    assert joined["group"].tolist() == ["g1", "g2", "g2", "g3", "g2", "g3"]
    assert joined.drop(columns="group").equals(table.drop(columns="group"))
    assert join_copies(table, np.arange(6)) is table


def test_copies_in_two_packs_are_one_group_of_the_joined_set() -> None:
    images = draw_images(5)
    made = Preprocess(crop_px=4, size_px=4)
    first = ImageSet(images[:3], pd.DataFrame({"id": list("abc"), "group": list("abc")}), made)
    again = ImageSet(images[[4, 1]], pd.DataFrame({"id": list("de"), "group": list("de")}), made)
    assert join_sets([first, again]).table["group"].tolist() == ["a", "b", "c", "d", "b"]
