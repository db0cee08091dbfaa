"""Votes of an export in the columns of a decision tree."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_export import answer, classify, write_export

from convnet_galaxies.data.panoptes.classifications import read_classifications
from convnet_galaxies.data.panoptes.tables import count_votes
from convnet_galaxies.data.panoptes.tree_columns import fit_tree
from convnet_galaxies.data.panoptes.workflow import read_workflow
from convnet_galaxies.decision_tree import DecisionTree, Question, read_tree
from convnet_galaxies.errors import InputError

SHAPE = Question("shape", "?", ("shape_round", "shape_long-thin"), ("round", "long, thin"))
BAR = Question("bar", "?", ("bar_yes", "bar_no"), ("yes", "no"), after=("shape_long-thin",))
ARMS = Question("arms", "?", ("arms_yes", "arms_no"), ("yes", "no"), after=("shape_long-thin",))


def test_votes_get_the_columns_of_the_tree_also_where_nobody_gave_the_answer(tmp_path: Path) -> None:
    tree = DecisionTree("small", (SHAPE, BAR))
    rows = [
        classify("ann", "1", [answer("Long, thin"), answer("Yes", "T5"), answer("blue", "T7")]),
        classify("ben", "1", [answer("![a.png](...) Round")]),
        classify("ann", "2", [answer("Round")]),
    ]
    found = read_classifications(write_export(tmp_path / "export.csv", *rows))
    table = count_votes(found, tree=tree)
    assert list(table.columns[-4:]) == list(tree.columns)
    assert table[list(tree.columns)].to_numpy().tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
    assert table["classifications"].tolist() == [2, 1]
    assert table.attrs["left_out"] == ["T7"]


def test_tasks_whose_answers_fit_two_questions_need_names(tmp_path: Path) -> None:
    tree = DecisionTree("small", (SHAPE, BAR, ARMS))
    pairs = [("T0", "round"), ("T0", "long-thin"), ("T1", "yes"), ("T2", "no")]
    with pytest.raises(InputError, match="no question that is certainly bar, arms of the tree small") as error:
        fit_tree(pairs, tree)
    assert 'such as [T0] with name = "bar" and answers = ["yes", "no"]' in str(error.value.fix)
    assert "T1: yes; T2: no" in str(error.value)
    columns, left_out = fit_tree([*pairs[:2], ("arms", "yes"), ("T2", "no")], tree)
    assert columns["arms", "yes"] == "arms_yes"
    assert columns["T2", "no"] == "bar_no"
    assert left_out == []


def test_two_tasks_with_the_answers_of_one_question_are_neither() -> None:
    with pytest.raises(InputError, match="no question that is certainly bar of"):
        fit_tree([("shape", "round"), ("T1", "yes"), ("T2", "no")], DecisionTree("small", (SHAPE, BAR)))


def test_an_answer_that_the_tree_does_not_have_is_named() -> None:
    with pytest.raises(
        InputError, match="found the answer perhaps to bar, expected those of bar of the tree small: yes, no"
    ):
        fit_tree([("shape", "round"), ("bar", "perhaps")], DecisionTree("small", (SHAPE, BAR)))


def test_every_answer_of_a_builtin_tree_finds_its_column_by_names(tmp_path: Path) -> None:
    tree = read_tree("euclid")
    names = tmp_path / "names.toml"
    tables = [
        f'[T{k}]\nname = "{one.name}"\nanswers = {[c.removeprefix(one.name + "_") for c in one.columns]}\n'
        for k, one in enumerate(tree.questions)
    ]
    names.write_text("".join(tables).replace("'", '"'), "utf-8")
    columns, left_out = fit_tree(read_workflow(None, names, None).list_answers(), tree)
    assert sorted(columns.values()) == sorted(tree.columns)
    assert left_out == []
