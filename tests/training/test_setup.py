from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sets import make_lens_set, make_vote_set, tiny, without_pixels

from convnet_galaxies.data.records import PARTS, ImageSet, connect, join_sets, split_groups
from convnet_galaxies.errors import InputError
from convnet_galaxies.runs.image_keys import link_keys
from convnet_galaxies.runs.split import was_trained_on, was_validated_on
from convnet_galaxies.training.setup import assign_parts, set_up_training

RANK = {"train": 0, "validation": 1, "test": 2}

link = st.none() | st.integers(0, 12)
rows = st.lists(st.tuples(link, link), min_size=1, max_size=40)


def linked_table(values: list[tuple[int | None, int | None]], prefix: str) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "id": [f"{prefix}{row}" for row in range(len(values))],
            "ZooID": [None if zoo is None else f"z{zoo}" for zoo, _ in values],
            "image_file": [None if file is None else f"f{file}" for _, file in values],
        }
    )
    table["group"] = connect(table, ("ZooID", "image_file"))
    return table


@settings(deadline=None, max_examples=60)
@given(old=rows, new=rows, seed=st.integers(0, 9))
def test_what_an_ancestor_trained_on_is_never_held_out_and_no_group_is_divided(old, new, seed) -> None:
    links = ("ZooID", "image_file")
    before, after = linked_table(old, "a"), linked_table(new, "b")
    old_parts = split_groups(before["group"].to_numpy(), (0.5, 0.25, 0.25), seed=seed)
    inherited = pd.DataFrame({"id": before["id"], "part": old_parts, "used": True})
    inherited["keys"] = link_keys(without_pixels(before, links))
    keys = link_keys(without_pixels(after, links))
    parts = assign_parts(after["group"].to_numpy(), keys, (0.4, 0.3, 0.3), inherited, seed=seed + 1)
    assert set(parts) <= set(PARTS)
    assert len(set(zip(after["group"], parts, strict=True))) == after["group"].nunique()
    known = {key: part for row_keys, part in zip(inherited["keys"], old_parts, strict=True) for key in row_keys}
    for group, members in pd.DataFrame({"group": after["group"], "part": parts, "keys": keys}).groupby("group"):
        past = [RANK[known[key]] for row_keys in members["keys"] for key in row_keys if key in known]
        if past:
            assert RANK[members["part"].iloc[0]] == min(past), group


def test_without_an_ancestor_parts_are_those_of_the_plain_split() -> None:
    groups = np.array([f"g{row // 2}" for row in range(40)], dtype=object)
    keys = [[f"id={row}"] for row in range(40)]
    expected = split_groups(groups, (0.8, 0.1, 0.1), seed=5)
    assert (assign_parts(groups, keys, (0.8, 0.1, 0.1), None, seed=5) == expected).all()


def test_a_galaxy_keeps_its_key_when_its_pack_is_joined_with_another_kind() -> None:
    zoo, lenses = make_vote_set(4), make_lens_set(4)
    joined = join_sets([zoo, lenses])
    keys = link_keys(joined)
    assert keys[:4] == link_keys(zoo)
    assert [row[:2] for row in keys[:4]] == [[f"GalaxyID={100000 + row}", f"id={100000 + row}"] for row in range(4)]
    assert keys[4:] == link_keys(lenses)


def test_an_image_goes_by_its_links_and_by_its_id() -> None:
    table = pd.DataFrame({"id": ["a", "b"], "group": ["a", "b"], "field": [None, "f1"]})
    assert link_keys(without_pixels(table, ("field",))) == [["id=a"], ["field=f1", "id=b"]]
    assert link_keys(without_pixels(table)) == [["id=a"], ["id=b"]]


def test_an_image_that_a_third_one_links_to_a_training_image_counts_as_trained_on() -> None:
    links = ("ZooID", "image_file")
    table = linked_table([(1, 1), (2, 1), (2, 2), (3, 3)], "a")
    split = pd.DataFrame({"id": ["z"], "part": "train", "used": True, "keys": [["ZooID=z1", "image_file=f1"]]})
    images = without_pixels(table, links)
    assert was_trained_on(images, split).tolist() == [True, True, True, False]
    assert not was_validated_on(images, split).any()
    split["used"] = False
    assert not was_trained_on(images, split).any()


def set_up(images: ImageSet, *changes: str, **options):
    return set_up_training(images, tiny(*changes), **{"parent": None, "stage": None, **options})


def test_a_training_trains_and_validates_on_labelled_images_of_their_parts_only(lens_set) -> None:
    made = set_up(lens_set, tasks=("lens",))
    own = made.split
    assert (own["part"].to_numpy()[made.train_rows] == "train").all()
    assert (own["part"].to_numpy()[made.validation_rows] == "validation").all()
    known = lens_set.table["lens"].notna().to_numpy()
    assert (own["used"].to_numpy() == known).all()
    assert len(made.train_rows) == (known & (own["part"] == "train")).sum()


def test_stage_limits_what_is_used_but_not_the_split(lens_set) -> None:
    whole, first = set_up(lens_set, tasks=("lens",)), set_up(lens_set, tasks=("lens",), stage=1)
    assert (whole.split["part"] == first.split["part"]).all()
    used = first.split["used"].to_numpy()
    assert (lens_set.table["stage"].to_numpy()[used] == 1).all()
    assert set(first.train_rows) < set(whole.train_rows)


def test_identity_changes_with_settings_labels_stage_and_images(lens_set) -> None:
    relabelled = lens_set.table.assign(lens=1 - lens_set.table["lens"])
    setups = [
        set_up(lens_set, tasks=("lens",)),
        set_up(lens_set, "train.epochs=3", tasks=("lens",)),
        set_up(lens_set, tasks=("lens",), stage=1),
        set_up(lens_set, tasks=("flavor",)),
        set_up(lens_set.select(np.arange(90)), tasks=("lens",)),
        set_up(replace(lens_set, table=relabelled), tasks=("lens",)),
    ]
    assert len({made.identity for made in setups}) == len(setups)
    assert set_up(lens_set, tasks=("lens",)).identity == setups[0].identity


def with_labels(images: ImageSet, **columns) -> ImageSet:
    return replace(images, table=images.table.assign(**columns))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"lens": np.nan}, "found 0 labelled training images, expected at least 2"),
        ({"lens": 1.0}, r"all \d+ training images with a label for 'lens' have the same one"),
        ({"lens": 0.0}, r"all \d+ training images with a label for 'lens' have the same one"),
    ],
)
def test_a_pack_with_no_labels_or_one_class_is_refused(lens_set, columns, message) -> None:
    with pytest.raises(InputError, match=message):
        set_up(with_labels(lens_set, **columns), tasks=("lens",))


def test_a_task_without_any_label_is_refused_beside_one_that_has_labels(lens_set) -> None:
    with pytest.raises(InputError, match="none of the training images has a label for 'lens'"):
        set_up(with_labels(lens_set, lens=np.nan), tasks=("lens", "flavor"))


def test_types_without_votes_are_refused(lens_set) -> None:
    with pytest.raises(InputError, match="expected 37 columns of votes for the task 'types'"):
        set_up(lens_set, tasks=("types",))


def test_types_are_found_among_the_training_galaxies_alone(vote_set) -> None:
    first = set_up(vote_set, "train.types=4", tasks=("types",))
    held_out = first.split["part"].to_numpy() != "train"
    spoiled = vote_set.table.copy()
    spoiled.loc[held_out, spoiled.columns[3:]] = 0.123
    second = set_up(replace(vote_set, table=spoiled), "train.types=4", tasks=("types",))
    np.testing.assert_array_equal(first.type_centres, second.type_centres)
    assert first.net.classes["types"] == ("type 0", "type 1", "type 2", "type 3")
