"""Catalogues of votes: counts, fractions with totals, fractions alone, campaigns, and what is at fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_sets import write_pngs

from convnet_galaxies.data.default_pixels import default_preprocess
from convnet_galaxies.data.describe import describe
from convnet_galaxies.data.pack import read_pack, write_pack
from convnet_galaxies.data.preprocess import Preprocess
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.data.vote_counts import join_trees, read_vote_counts
from convnet_galaxies.data.vote_tree import find_votes
from convnet_galaxies.decision_tree import DecisionTree, read_tree
from convnet_galaxies.errors import InputError

DESI, RINGS = read_tree("desi"), read_tree("rings")
N = 12


@pytest.fixture
def images(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (N, 16, 16, 3), dtype=np.uint8)
    table = pd.DataFrame({"id": [f"J{k:03d}" for k in range(N)], "group": [str(k) for k in range(N)]})
    return write_pngs(ImageSet(pixels, table, Preprocess(size_px=16)), tmp_path / "images")


def draw_counts(tree: DecisionTree, seed: int = 0) -> pd.DataFrame:
    """Counts of 20 volunteers who walk down the tree, one row per image."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(N):
        answers = [rng.dirichlet(np.ones(len(question.columns))) for question in tree.questions]
        counts: dict[str, int] = {}
        for question in tree.order:
            one = tree.questions[question]
            asked = 20 if one.after is None else sum(counts[column] for column in one.after)
            counts.update(zip(one.columns, rng.multinomial(asked, answers[question]).tolist(), strict=True))
        rows.append([counts[column] for column in tree.columns])
    return pd.DataFrame(rows, columns=list(tree.columns))


def named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(iauname=[f"J{k:03d}" for k in range(N)])


def fractions_of(counts: pd.DataFrame, tree: DecisionTree, *, totals: bool) -> pd.DataFrame:
    made = {}
    for question, part in zip(tree.questions, tree.slices, strict=True):
        total = counts.iloc[:, part].sum(axis=1)
        made.update({f"{c}_fraction": counts[c] / total for c in question.columns})
        if totals:
            made[f"{question.name}_total-votes"] = total
    return pd.DataFrame(made)


def write(table: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "votes.parquet"
    table.to_parquet(path)
    return path


def expected_counts(counts: pd.DataFrame, tree: DecisionTree) -> np.ndarray:
    values = counts.to_numpy(float, copy=True)
    for part in tree.slices:
        values[values[:, part].sum(axis=1) == 0, part] = np.nan
    return values


def test_counts_survive_reading_packing_and_describing(images: Path, tmp_path: Path) -> None:
    counts = draw_counts(DESI)
    records = read_vote_counts(images, write(named(counts), tmp_path), [DESI])
    write_pack(records, default_preprocess(records, size_px=16), tmp_path / "desi.pack")
    pack = read_pack(tmp_path / "desi.pack")
    found = find_votes(pack.table)
    assert found is not None
    assert (found.tree, found.kind) == (DESI, "counts")
    np.testing.assert_array_equal(found.read(pack.table), expected_counts(counts, DESI))
    assert np.isnan(found.read(pack.table)).any(), "a question that nobody was asked is missing, not zero"
    (table,) = describe(tmp_path / "desi.pack").tables
    assert [row[0] for row in table.rows] == [question.name for question in DESI.questions]


@pytest.mark.parametrize("form", ["with fractions", "of fractions and totals", "ending", "counts as text"])
def test_every_form_of_counts_gives_the_same_votes(images: Path, tmp_path: Path, form: str) -> None:
    counts = draw_counts(DESI)
    table = counts
    if form == "with fractions":
        table = pd.concat([counts, fractions_of(counts, DESI, totals=True)], axis=1)
    elif form == "of fractions and totals":
        table = fractions_of(counts, DESI, totals=True)
    elif form == "ending":
        table = counts.rename(columns={c: f"{c.partition('_')[0]}-dr5_{c.partition('_')[2]}" for c in counts})
    else:
        table = counts.astype(str)
    records = read_vote_counts(images, write(named(table), tmp_path), [DESI])
    found = find_votes(records.table)
    assert found is not None
    assert found.kind == "counts"
    np.testing.assert_array_equal(found.read(records.table), expected_counts(counts, DESI))
    assert any(
        ("counts are made" if "totals" in form else "counts of votes are read") in text for text in records.remarks
    )


def test_fractions_without_totals_are_fractions_of_all_volunteers(images: Path, tmp_path: Path) -> None:
    counts = draw_counts(DESI)
    records = read_vote_counts(images, write(named(fractions_of(counts, DESI, totals=False)), tmp_path), [DESI])
    found = find_votes(records.table)
    assert found is not None
    assert found.kind == "fractions"
    np.testing.assert_allclose(found.read(records.table), counts.to_numpy() / 20, atol=1e-12)


def test_several_campaigns_make_one_tree(images: Path, tmp_path: Path) -> None:
    first, second = draw_counts(DESI, 1), draw_counts(RINGS, 2).astype(float)
    second.iloc[:5] = np.nan
    table = pd.concat([first.add_prefix(""), second], axis=1)
    table.columns = [
        f"{name.partition('_')[0]}-{'desi' if name in DESI.columns else 'rings'}_{name.partition('_')[2]}"
        for name in table
    ]
    records = read_vote_counts(images, write(named(table), tmp_path), [DESI, RINGS])
    found = find_votes(records.table)
    assert found is not None
    assert found.tree == join_trees([DESI, RINGS])
    assert found.tree.columns[-1] == "ring-rings_no"
    assert found.tree.questions[1].after == ("smooth-or-featured-desi_featured-or-disk",)
    assert np.isnan(found.read(records.table)[:5, -2:]).all()


def test_a_table_of_two_campaigns_asks_for_one(images: Path, tmp_path: Path) -> None:
    both = pd.concat(
        [draw_counts(RINGS, k).rename(columns=lambda c, k=k: f"ring-dr{k}_{c[5:]}") for k in (5, 8)], axis=1
    )
    path = write(named(both), tmp_path)
    with pytest.raises(InputError, match="campaigns dr5, dr8") as caught:
        read_vote_counts(images, path, [RINGS])
    assert "--campaign" in caught.value.fix
    records = read_vote_counts(images, path, [RINGS], campaign="dr8")
    np.testing.assert_array_equal(find_votes(records.table).read(records.table), draw_counts(RINGS, 8).to_numpy(float))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="bar_weak"), "found no bar_weak"),
        (lambda t: t.rename(columns={"bar_weak": "bar_feeble"}), "bar_feeble, which is no answer"),
        (lambda t: t.assign(bar_weak=0.5), "row 1, column bar_weak: found 0.5, expected a whole number"),
        (lambda t: t.assign(bar_weak=-1), "found -1"),
        (
            lambda t: t.rename(columns=str.upper).rename(columns={"IAUNAME": "iauname"}),
            "expected columns of the tree desi",
        ),
    ],
)
def test_columns_at_fault_are_named(images: Path, tmp_path: Path, change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_vote_counts(images, write(change(named(draw_counts(DESI))), tmp_path), [DESI])


def test_more_votes_than_the_answers_that_lead_to_a_question_are_counted(images: Path, tmp_path: Path) -> None:
    counts = draw_counts(DESI)
    counts.loc[3, "bar_weak"] += 30
    records = read_vote_counts(images, write(named(counts), tmp_path), [DESI])
    assert "bar: 1 images have more votes than the answers that lead to it" in records.remarks
