from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from convnet_galaxies.measure.score_mixture import ScoreCells, make_cells, measure_design_effect, sample_mixture


def test_cells_of_several_classes_are_cut_by_the_score_and_then_by_the_likeliest_lens_class():
    cells = ScoreCells(np.array([0.5, 0.8]), 3)
    posteriors = [[0.9, 0.06, 0.04], [0.9, 0.04, 0.06], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4], [0.1, 0.5, 0.4], [0, 0, 1]]
    assert cells.assign(np.array(posteriors)).tolist() == [0, 1, 2, 3, 4, 5]
    assert cells.number == 6
    binary = ScoreCells(np.array([0.5]), 2)
    assert binary.assign(np.array([[0.9, 0.1], [0.5, 0.5], [0.49, 0.51]])).tolist() == [0, 0, 1]  # an edge is below
    assert binary.number == 2


def test_cells_have_equal_mass_when_each_class_counts_alike():
    scores = [np.linspace(0.0, 0.6, 61), np.linspace(0.7, 1.0, 7)]
    truth = np.repeat([0, 1], [61, 7])
    rows = np.random.default_rng(0).permutation(68)
    score = np.concatenate(scores)[rows]
    cells = make_cells(np.stack([1 - score, score], axis=1), truth[rows], n_bins=3)
    # A third of both is two thirds of class 0, whose 41st of 61 passes it; two thirds are a third of class 1: 3rd of 7.
    assert cells.edges == pytest.approx([scores[0][40], scores[1][2]])
    tied = make_cells(np.tile([0.4, 0.6], (68, 1)), truth)
    assert tied.edges == pytest.approx([0.6])


def test_design_effect_is_the_variance_of_a_mean_over_groups_in_units_of_that_over_images():
    pairs = np.array([[1.0], [1.0], [-1.0], [-1.0]])
    # Sums of the two groups are 2 and -2: 2 / (2 - 1) * (4 + 4) / 4.
    assert measure_design_effect(pairs, np.array(["a", "a", "b", "b"])) == pytest.approx(4)
    assert measure_design_effect(pairs, np.array(["a", "b", "a", "b"])) == 1  # opposites in a group: cut to 1
    assert measure_design_effect(pairs, np.zeros(4)) == 1
    assert measure_design_effect(np.ones((4, 2)), np.array([0, 0, 1, 1])) == 1


def test_design_effect_depends_on_neither_units_nor_origin_and_grows_with_copies():
    rng = np.random.default_rng(0)
    groups = np.arange(60) // 4
    values = rng.normal(size=(60, 3)) + np.repeat(rng.normal(size=(15, 3)), 4, axis=0)
    effect = measure_design_effect(values, groups)
    assert effect > 1.5
    assert measure_design_effect(5 * values + [0, 3, -7], groups) == pytest.approx(effect)
    assert measure_design_effect(np.repeat(values, 3, axis=0), np.repeat(groups, 3)) == pytest.approx(3 * effect)


@pytest.mark.parametrize("effect", [1.0, 4.0])
def test_certain_cells_give_the_beta_posterior_of_counts_divided_by_the_design_effect(effect: float):
    draws = sample_mixture(
        np.diag([1e7, 1e7]), np.array([180, 20]), rng=np.random.default_rng(0), unknown_effect=effect
    )
    assert draws.fractions.shape == draws.counts.shape == (3200, 2)  # 100 steps of 32 chains
    assert (draws.counts == [180, 20]).all()
    posterior = stats.beta(20 / effect + 0.5, 180 / effect + 0.5)
    assert draws.fractions[:, 1].mean() == pytest.approx(posterior.mean(), rel=0.02)
    assert draws.fractions[:, 1].std() == pytest.approx(posterior.std(), rel=0.05)


def test_without_unknown_images_the_draws_are_the_priors():
    labelled = np.array([[30.0, 10.0, 0.0], [4.0, 20.0, 0.0], [0.0, 2.0, 6.0]])
    draws = sample_mixture(labelled, np.zeros(3, int), rng=np.random.default_rng(0))
    # Jeffreys' prior of lens against non-lens, the lens classes sharing one half; two images shared by the cells.
    assert draws.fractions.mean(axis=0) == pytest.approx([0.5, 0.25, 0.25], abs=0.02)
    assert draws.fractions[:, 0].var() == pytest.approx(stats.beta(0.5, 0.5).var(), rel=0.05)
    expected = (labelled + 2 / 3) / (labelled.sum(axis=1, keepdims=True) + 2)
    np.testing.assert_allclose(draws.weights.mean(axis=0), expected, atol=0.006)
    assert (draws.counts == 0).all()


@pytest.mark.parametrize("effect", [1.0, 5.0])
def test_unknown_images_tell_in_which_cells_the_scores_of_their_class_fall(effect: float):
    labelled = np.array([[6.0, 0.0, 2.0], [0.0, 1e7, 0.0]])  # class 1 falls into the middle cell alone
    draws = sample_mixture(labelled, np.array([40, 0, 20]), rng=np.random.default_rng(0), unknown_effect=effect)
    assert (draws.counts == [60, 0]).all()
    cells = np.array([6 + 40 / effect, 0, 2 + 20 / effect]) + 2 / 3
    np.testing.assert_allclose(draws.weights[:, 0].mean(axis=0), cells / cells.sum(), atol=0.004)
    spread = stats.beta(cells[0], cells[1:].sum()).std()
    assert draws.weights[:, 0, 0].std() == pytest.approx(spread, rel=0.05)


def test_images_of_a_shared_cell_are_dealt_by_the_shares_of_the_classes_in_it():
    # Certain cells for half of each class fix the fractions at 0.5, 0.3 and 0.2; the last cell is shared by all.
    labelled = 1e7 * np.array([[1.0, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]])
    unknown = 20 * np.array([500, 300, 200, 1000])
    draws = sample_mixture(labelled, unknown, rng=np.random.default_rng(0), n_chains=8)
    shared = draws.counts - unknown[:3]
    assert (shared.sum(axis=1) == unknown[3]).all()
    assert shared.mean(axis=0) == pytest.approx([10_000, 6_000, 4_000], rel=0.02)
    assert draws.fractions.mean(axis=0) == pytest.approx([0.5, 0.3, 0.2], rel=0.02)
    # Fractions are known from 20,000 images of certain class, and the split of the others adds nothing to that.
    assert draws.fractions[:, 0].std() == pytest.approx(np.sqrt(0.25 / 20_000), rel=0.15)


def test_mixing_is_the_r_hat_of_gelman_and_rubin_over_steps_and_chains():
    # 100 kept steps of 6 chains that creep: the flat cells of 9 labelled images tell little of 200 unknown ones.
    labelled, unknown = np.array([[2.0, 2.0], [2.0, 3.0]]), np.array([90, 110])
    draws = sample_mixture(labelled, unknown, rng=np.random.default_rng(0), n_chains=6, most_steps=200)
    logs = np.log(draws.fractions).reshape(100, 6, 2)
    expected = []
    for k in range(2):
        within = np.mean([np.var(logs[:, chain, k], ddof=1) for chain in range(6)])
        between = 100 * np.var([np.mean(logs[:, chain, k]) for chain in range(6)], ddof=1)
        expected.append(np.sqrt((99 / 100 * within + between / 100) / within))
    assert draws.rhat == pytest.approx(max(expected))
    assert draws.rhat > 1.2
    longer = sample_mixture(labelled, unknown, rng=np.random.default_rng(0), n_chains=6, most_steps=800)
    assert len(longer.fractions) == 2 * len(draws.fractions)  # every second of the last 400 steps
    assert longer.rhat < draws.rhat
