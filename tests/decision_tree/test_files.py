"""Files of trees: those that ship, a user's own, and what is at fault in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convnet_galaxies.decision_tree import KAGGLE, builtin_trees, dump_tree, load_tree, read_tree
from convnet_galaxies.errors import InputError

RING = """
name = "rings of mine"

[[question]]
name = "smooth"
answers = ["yes", "no"]

[[question]]
name = "ring"
text = "Is there a ring?"
answers = ["inner", "outer", "none"]
after = ["smooth_no"]

[[question]]
name = "colour"
answers = ["blue", "red"]
after = ["ring_inner", "ring_outer", "smooth_yes"]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tree.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_file_gives_its_questions_in_order(tmp_path: Path) -> None:
    tree = read_tree(write(tmp_path, RING))
    assert tree.name == "rings of mine"
    assert tree.columns == (
        "smooth_yes",
        "smooth_no",
        "ring_inner",
        "ring_outer",
        "ring_none",
        "colour_blue",
        "colour_red",
    )
    assert tree.questions[1].text == "Is there a ring?"
    assert tree.questions[2].after == ("ring_inner", "ring_outer", "smooth_yes")
    assert tree.parents == ((), (1,), (2, 3, 0))


def test_json_gives_the_same_tree(tmp_path: Path) -> None:
    import tomllib

    path = tmp_path / "tree.json"
    path.write_text(json.dumps(tomllib.loads(RING)), "utf-8")
    assert read_tree(path) == read_tree(write(tmp_path, RING))


@pytest.mark.parametrize("name", builtin_trees())
def test_trees_that_ship_survive_as_texts(name: str) -> None:
    tree = read_tree(name)
    texts = dump_tree(tree)
    assert load_tree(texts) == tree
    assert (texts == ()) == (tree == KAGGLE)


def test_eleven_campaigns_and_the_challenge_ship() -> None:
    assert len(builtin_trees()) == 12
    assert {"kaggle", "gz2", "decals-dr5", "desi", "hubble", "candels", "euclid", "rings"} <= set(builtin_trees())


@pytest.mark.parametrize(
    ("old", "new", "found", "line"),
    [
        ('"smooth_no"', '"smooth_maybe"', "smooth_maybe", 9),
        ('after = ["smooth_no"]', "after = []", "nobody is asked", 9),
        ('name = "ring"', 'name = "smooth"', "'smooth' twice", 5),
        ('answers = ["blue", "red"]', 'answers = ["blue"]', "1 answers", 15),
        ('answers = ["blue", "red"]', 'answers = ["blue", "red"]\nlabels = ["b"]', "1 labels for 2 answers", 15),
        ('answers = ["yes", "no"]', 'answers = ["yes", "no"]\nafter = ["colour_red"]', "circle", 5),
        ('text = "Is', 'question = "Is', "the key 'question'", 9),
    ],
)
def test_a_faulty_question_is_named_with_its_line(tmp_path: Path, old: str, new: str, found: str, line: int) -> None:
    path = write(tmp_path, RING.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_tree(path)
    assert found in caught.value.message
    assert f"{path}, line {line}, " in caught.value.message


def test_what_is_no_tree_is_refused_with_the_names_of_those_that_ship(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a file nor a tree") as caught:
        read_tree(tmp_path / "nothing.toml")
    assert "euclid" in caught.value.fix
    for text in ("name = ", "[question]\nname = 'a'", "name = 'empty'"):
        with pytest.raises(InputError):
            read_tree(write(tmp_path, text))
