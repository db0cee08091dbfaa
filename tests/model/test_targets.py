from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_sets import draw_votes

from convnet_galaxies.decision_tree import VOTE_COLUMNS
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.targets import FLAVORS, find_types, nearest_type
from convnet_galaxies.model.tasks import TASKS, guess_tasks, make_target


def vote_table(votes: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(votes, columns=list(VOTE_COLUMNS))


def test_votes_come_in_the_order_of_the_tree_whatever_the_order_of_the_columns() -> None:
    votes = draw_votes(5, 0)
    shuffled = vote_table(votes)[list(reversed(VOTE_COLUMNS))]
    target = make_target("votes", shuffled)
    np.testing.assert_array_equal(target.values.numpy(), votes.astype(np.float32))
    assert target.known.all()


def test_one_missing_vote_makes_the_galaxy_unknown() -> None:
    votes = draw_votes(4, 0)
    votes[2, 30] = np.nan
    assert make_target("votes", vote_table(votes)).known.tolist() == [True, True, False, True]


def test_unknown_lenses_and_flavors_are_not_known() -> None:
    table = pd.DataFrame({"lens": [1.0, 0.0, np.nan], "flavor_label": ["lensed quasar", "dud", None]})
    lens, flavor = make_target("lens", table), make_target("flavor", table)
    assert lens.known.tolist() == flavor.known.tolist() == [True, True, False]
    assert lens.values[:2].tolist() == [1.0, 0.0]
    assert flavor.classes == FLAVORS
    assert flavor.values.tolist() == [FLAVORS.index("lensed quasar"), FLAVORS.index("dud"), -1]


def test_flavors_of_ones_own_are_classes_by_the_alphabet() -> None:
    target = make_target("flavor", pd.DataFrame({"flavor_label": ["ring", "bar", None, "ring"]}))
    assert target.classes == ("bar", "ring")
    assert target.values.tolist() == [1, 0, -1, 1]


def test_a_flavor_that_the_kept_head_does_not_know_is_refused() -> None:
    table = pd.DataFrame({"flavor_label": ["dud", "einstein ring"]})
    with pytest.raises(InputError, match="found 'einstein ring', expected one of dud, lensed galaxy"):
        make_target("flavor", table, classes=FLAVORS)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_task_without_its_column_names_the_tasks_that_the_pack_has(task) -> None:
    table = pd.DataFrame({"lens": [1.0]}) if task != "lens" else pd.DataFrame({"flavor_label": ["a"]})
    with pytest.raises(InputError, match=rf"expected (it|them) for the task '{task}'") as caught:
        make_target(task, table)
    assert ("flavor" if task == "lens" else "lens") in caught.value.fix


def test_votes_of_which_a_column_is_missing_are_refused() -> None:
    table = vote_table(draw_votes(3, 0)).drop(columns="Class9.2")
    with pytest.raises(InputError, match=r"found no column 'Class9\.2', expected 37 columns of votes"):
        make_target("votes", table)


def test_task_is_guessed_from_the_columns_and_a_pack_without_labels_refused() -> None:
    assert guess_tasks(vote_table(draw_votes(1, 0)).assign(lens=1.0)) == ("votes",)
    assert guess_tasks(pd.DataFrame({"lens": [1.0], "flavor_label": ["dud"]})) == ("lens",)
    assert guess_tasks(pd.DataFrame({"flavor_label": ["dud"]})) == ("flavor",)
    with pytest.raises(InputError, match="the pack has no labels, expected counts, votes, lens or flavor"):
        guess_tasks(pd.DataFrame({"id": ["a"], "group": ["a"]}))
    with pytest.raises(InputError, match="the pack has no labels") as error:
        guess_tasks(pd.DataFrame({"id": ["a", "b"], "group": ["a", "b"], "is lens": [0, 1]}))
    assert error.value.fix == "pack it again with --label 'is lens'"


def clumps() -> np.ndarray:
    """Votes round three points, with 40, 20 and 10 galaxies, and two galaxies without votes."""
    rng = np.random.default_rng(0)
    points = np.eye(37)[:3]
    votes = np.repeat(points, (20, 40, 10), axis=0) + rng.normal(0, 0.01, (70, 37))
    return np.concatenate([votes, np.full((2, 37), np.nan)])


def test_types_are_the_clumps_of_the_votes_commonest_first() -> None:
    votes = clumps()
    centres = find_types(votes, 3, seed=0)
    np.testing.assert_allclose(centres, np.eye(37)[[1, 0, 2]], atol=0.02)
    numbers = nearest_type(votes, centres)
    assert np.bincount(numbers[:70]).tolist() == [40, 20, 10]
    assert numbers[70:].tolist() == [-1, -1]


def test_types_are_the_same_for_the_same_seed() -> None:
    votes = draw_votes(200, 1)
    np.testing.assert_array_equal(find_types(votes, 5, seed=3), find_types(votes, 5, seed=3))


def test_nearest_type_agrees_with_a_search_galaxy_by_galaxy() -> None:
    votes, centres = draw_votes(30, 2), draw_votes(4, 3)
    expected = [int(np.argmin([np.linalg.norm(galaxy - centre) for centre in centres])) for galaxy in votes]
    assert nearest_type(votes, centres).tolist() == expected


def test_more_types_than_galaxies_are_refused() -> None:
    with pytest.raises(InputError, match="found 70 galaxies with votes, expected at least 71"):
        find_types(clumps(), 71, seed=0)
