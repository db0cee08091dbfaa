from __future__ import annotations

import numpy as np
import pytest

from convnet_galaxies.errors import UsageError
from convnet_galaxies.inspection.active import CandidateSpace, choose_next, make_space, rank_like

N = 400


@pytest.fixture(scope="module")
def wanted() -> np.ndarray:
    return np.random.default_rng(2).random(N) < 0.15


@pytest.fixture(scope="module")
def space(wanted) -> CandidateSpace:
    """Features in which what is wanted differs by its shares, not by its size."""
    rng = np.random.default_rng(0)
    features = rng.gamma(4, size=(N, 40))
    features[wanted, :4] *= 2.5
    return make_space(features)


def test_a_few_grades_rank_what_is_wanted_above_the_rest(space, wanted) -> None:
    rows = np.arange(0, N, 5)
    found = rank_like(space, rows, 3.0 * wanted[rows])
    free = np.setdiff1d(np.arange(N), rows)
    best = [row for row in found.order if row in set(free)][: int(wanted[free].sum())]
    assert wanted[best].mean() > 0.8
    assert sorted(found.order) == list(range(N))
    assert (found.n_graded, found.n_lenses) == (80, int(wanted[rows].sum()))
    assert found.auroc is not None
    truth = np.concatenate([found.probability[free][wanted[free]], found.probability[free][~wanted[free]]])
    above = (truth[: wanted[free].sum(), None] > truth[None, wanted[free].sum() :]).mean()
    assert found.auroc.low <= above <= found.auroc.high


def test_the_ranking_changes_with_each_grade_and_repeats_for_equal_ones(space, wanted) -> None:
    rows = np.arange(0, N, 5)
    found, again = (rank_like(space, rows, 3.0 * wanted[rows]) for _ in range(2))
    np.testing.assert_array_equal(found.order, again.order)
    assert found.auroc == again.auroc
    more = rank_like(space, np.append(rows, 1), np.append(3.0 * wanted[rows], 3))
    assert more.probability[1] > found.probability[1]


def test_a_grade_between_the_ends_lies_between_them(space, wanted) -> None:
    rows = np.arange(0, N, 5)
    grades = 3.0 * wanted[rows]
    extra = next(row for row in range(1, N) if row not in rows)
    shown = [
        rank_like(space, np.append(rows, extra), np.append(grades, grade)).probability[extra] for grade in (0, 1, 2, 3)
    ]
    assert (np.diff(shown) > 0).all()


def test_the_size_of_features_changes_no_ranking(wanted) -> None:
    rng = np.random.default_rng(0)
    features = rng.gamma(4, size=(N, 40))
    rows = np.arange(0, N, 5)
    rankings = [
        rank_like(make_space(one), rows, 3.0 * wanted[rows]).probability
        for one in (features, features * rng.uniform(0.2, 5, (N, 1)))
    ]
    np.testing.assert_allclose(*rankings, atol=1e-3)


def test_picks_alone_are_compared_with_candidates_drawn_at_random(space, wanted) -> None:
    rows = np.flatnonzero(wanted)[:6]
    found = rank_like(space, rows, np.full(6, 3.0))
    free = np.setdiff1d(found.order, rows, assume_unique=True)
    assert wanted[[row for row in found.order if row in set(free)][:20]].mean() > 3 * wanted.mean()
    assert any("stand in" in text for text in found.remarks)
    assert found.auroc is None


def test_too_few_grades_give_no_figure_and_say_so(space, wanted) -> None:
    rows = np.concatenate([np.flatnonzero(wanted)[:4], np.flatnonzero(~wanted)[:30]])
    found = rank_like(space, rows, 3.0 * wanted[rows])
    assert found.auroc is None
    assert "how well the ranking holds: 4 of at least 2 in 4 groups of linked candidates, 30 below" in found.remarks[0]


def test_nothing_wanted_is_an_error_for_users(space) -> None:
    with pytest.raises(UsageError, match="found 3 graded candidates and none of grade 2 or more"):
        rank_like(space, np.arange(3), np.ones(3))


def test_held_out_figures_keep_images_of_one_group_together() -> None:
    rng = np.random.default_rng(4)
    objects = np.repeat(np.arange(30), 6)  # each object six times, kinds drawn at random
    features = rng.gamma(4, size=(30, 24))[objects]
    grades = 3.0 * (rng.random(30) < 0.5)[objects]
    space, rows = make_space(features), np.arange(180)
    apart = rank_like(space, rows, grades).auroc
    together = rank_like(space, rows, grades, groups=objects).auroc
    assert apart is not None
    assert together is not None
    assert apart.value > 0.85  # the other copies give it away
    assert together.low < 0.5 < together.high


def test_candidates_without_features_come_last_and_are_never_chosen(wanted) -> None:
    features = np.random.default_rng(0).gamma(4, size=(N, 40))
    space = make_space(np.vstack([features, np.full((2, 40), np.nan)]))
    rows = np.append(np.arange(0, N, 5), N)
    found = rank_like(space, rows, np.append(3.0 * wanted[rows[:-1]], 3))
    assert set(found.order[-2:]) == {N, N + 1}
    assert "1 graded candidates have no features" in found.remarks[0]
    assert N + 1 not in choose_next(space, rows, 300, ranking=found)
    assert not make_space(np.full((3, 4), np.nan)).has_features.any()


def test_what_to_grade_next_is_ungraded_uncertain_and_varied(space, wanted) -> None:
    rows = np.arange(0, N, 5)
    ranking = rank_like(space, rows, 3.0 * wanted[rows])
    chosen = choose_next(space, rows, 6, ranking=ranking)
    assert len(set(chosen)) == 6
    assert not set(chosen) & set(rows)
    doubt = np.abs(ranking.probability - 0.5)
    assert doubt[chosen].max() <= np.sort(doubt[np.setdiff1d(np.arange(N), rows)])[6 * 20 - 1]

    def spread(some: np.ndarray) -> float:
        points = space.points[some]
        return float(np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(len(some), 1)].min())

    free = np.setdiff1d(np.arange(N), rows)
    assert spread(chosen) > spread(free[np.argsort(doubt[free])[:6]])


def test_without_grades_a_varied_draw_is_chosen_and_copies_fill_what_is_left(space) -> None:
    assert len(set(choose_next(space, np.array([], int), 9))) == 9
    copies = CandidateSpace(np.ones((12, 4), np.float32), np.ones(12, bool))
    assert sorted(choose_next(copies, np.array([3]), 50)) == [0, 1, 2, *range(4, 12)]
    assert not len(choose_next(copies, np.arange(12), 5))
