"""Simulated votes on the questions of other campaigns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.data.vote_counts import read_vote_counts
from convnet_galaxies.data.vote_tree import find_votes
from convnet_galaxies.decision_tree import builtin_trees, read_tree
from convnet_galaxies.errors import InputError
from convnet_galaxies.simulate.galaxy_zoo import simulate_galaxy_zoo
from convnet_galaxies.simulate.morphology import draw_galaxy
from convnet_galaxies.simulate.sdss import draw_observation
from convnet_galaxies.simulate.surroundings import Surroundings
from convnet_galaxies.simulate.tree_votes import answer_tree, cast_counts, simulated_part
from convnet_galaxies.simulate.visibility import measure_visibility

NOTHING_ELSE = Surroundings(neighbours=0, stars=0, crowding=0.0, glare=0.0, trail=0.0, bad_column=0.0)
CAMPAIGNS = [name for name in builtin_trees() if name != "kaggle"]


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_probabilities_of_every_question_add_to_one_for_any_galaxy(name: str) -> None:
    tree = simulated_part(read_tree(name))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        galaxy = draw_galaxy(rng)
        seen = measure_visibility(galaxy, draw_observation(galaxy.r90_arcsec, rng))
        for question, share in zip(tree.questions, answer_tree(tree, galaxy, seen, NOTHING_ELSE), strict=True):
            assert len(share) == len(question.columns)
            assert (share >= 0).all()
            assert share.sum() == pytest.approx(1, abs=1e-12)


def test_counts_of_many_volunteers_approach_the_fractions_of_the_tree() -> None:
    tree = read_tree("gz2")
    rng = np.random.default_rng(3)
    shares = [rng.dirichlet(np.ones(len(question.columns))) for question in tree.questions]
    counts = cast_counts(tree, shares, 40_000, rng)
    expected = np.array(tree.fill(lambda question, answer: shares[question][answer]))
    assert counts / 40_000 == pytest.approx(expected, abs=0.015)


def test_questions_whose_truth_is_unknown_are_left_out_with_those_below_them() -> None:
    names = {question.name for question in simulated_part(read_tree("euclid")).questions}
    assert {"problem", "artifact"}.isdisjoint(names)
    assert {"smooth-or-featured", "clumps", "merging"} <= names
    with pytest.raises(InputError, match="expected one with questions of"):
        simulated_part(read_tree("kaggle"))


def test_the_written_catalogue_is_read_as_counts_of_the_written_tree(tmp_path: Path) -> None:
    simulate_galaxy_zoo(tmp_path / "zoo", number=6, seed=1, tree=read_tree("desi"), test_fraction=0.34, workers=1)
    tree = read_tree(tmp_path / "zoo" / "tree.json")
    assert tree == read_tree("desi")
    records = read_vote_counts(tmp_path / "zoo" / "images_training_rev1.zip", tmp_path / "zoo" / "votes.csv", [tree])
    found = find_votes(records.table)
    assert found is not None
    assert found.kind == "counts"
    counts = np.nan_to_num(found.read(records.table))
    volunteers = pd.read_csv(tmp_path / "zoo" / "truth.csv")["volunteers"].to_numpy()[: len(records)]
    np.testing.assert_array_equal(counts[:, tree.slices[0]].sum(axis=1), volunteers)
    assert not any("more votes than" in text for text in records.remarks)
