from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.prevalence import join_scores
from convnet_galaxies.measure.top_ranked import TopRanked, expect_top
from convnet_galaxies.study.grading_plan import estimate_from_grades, is_filled, is_plan, plan_grading

M = 800


@pytest.fixture(scope="module")
def ranked() -> tuple[TopRanked, list[str], np.ndarray, np.ndarray]:
    """Expectations, ids, lens probabilities and truth of M unknown images."""
    rng = np.random.default_rng(0)
    known, truth = np.arange(600) < 100, rng.random(M) < 0.1
    scores = [1 / (1 + np.exp(2.5 - 4.5 * side - 1.5 * rng.normal(size=len(side)))) for side in (known, truth)]
    top = expect_top(join_scores(known, scores[0], np.arange(600), scores[1], np.arange(M)), seed=0)
    return top, [f"00{k}" for k in range(M)], scores[1], truth


def write(path: Path, plan: pd.DataFrame, grades: np.ndarray | None = None) -> Path:
    (plan if grades is None else plan.assign(grade=grades)).to_csv(path, index=False)
    return path


def grade(plan: pd.DataFrame, ids: list[str], truth: np.ndarray) -> np.ndarray:
    return np.where(truth[[ids.index(name) for name in plan["id"]]], 3.0, 0.0)


def test_a_filled_in_plan_gives_the_number_and_the_top(ranked: tuple, tmp_path: Path) -> None:
    top, ids, lens, truth = ranked
    plan = plan_grading(ids, top, lens, 200, seed=1)
    blank = write(tmp_path / "plan.csv", plan)
    assert is_plan(blank)
    assert not is_filled(blank)
    filled = write(tmp_path / "filled.csv", plan, grade(plan, ids, truth))
    assert is_filled(filled)
    found = estimate_from_grades([filled], ids, top, (50, M))
    assert (found.n_planned, found.n_graded) == (200, 200)
    assert found.number.low <= truth.sum() <= found.number.high
    assert found.number.high - found.number.low < truth.sum()
    in_50 = truth[top.order[:50]].mean()
    assert found.top[0].purity.low <= in_50 <= found.top[0].purity.high
    assert found.top[1].completeness.value == 1
    assert not found.remarks


def test_the_number_is_the_sum_of_grades_over_inclusion_probabilities(ranked: tuple, tmp_path: Path) -> None:
    top, ids, lens, truth = ranked
    plan = plan_grading(ids, top, lens, 120, seed=2)
    grades = grade(plan, ids, truth)
    found = estimate_from_grades([write(tmp_path / "plan.csv", plan, grades)], ids, top, (M,))
    assert found.number.value == pytest.approx(((grades == 3) / plan["inclusion_probability"]).sum())


def test_a_plan_lists_each_image_once_best_first_within_its_stratum(ranked: tuple) -> None:
    top, ids, lens, _ = ranked
    plan = plan_grading(ids, top, lens, 100, seed=0)
    assert plan["id"].is_unique
    assert plan["rank"].is_monotonic_increasing
    assert ((plan["first_rank"] <= plan["rank"]) & (plan["rank"] <= plan["last_rank"])).all()
    assert [ids[top.order[rank - 1]] for rank in plan["rank"]] == plan["id"].tolist()
    pd.testing.assert_frame_equal(plan, plan_grading(ids, top, lens, 100, seed=0))


def test_another_ranking_leaves_the_number_and_drops_the_top(ranked: tuple, tmp_path: Path) -> None:
    top, ids, lens, truth = ranked
    plan = plan_grading(ids, top, lens, 150, seed=1)
    path = write(tmp_path / "plan.csv", plan, grade(plan, ids, truth))
    reversed_top = TopRanked(**{**vars(top), "order": top.order[::-1]})
    same, other = (estimate_from_grades([path], ids, one, (50, M)) for one in (top, reversed_top))
    assert other.number == same.number
    assert other.top == ()
    assert "ranked otherwise" in other.remarks[0]


def test_grades_of_several_people_are_averaged_and_missing_ones_are_told(ranked: tuple, tmp_path: Path) -> None:
    top, ids, lens, _ = ranked
    plan = plan_grading(ids, top, lens, 100, seed=0)
    first, second = np.full(100, 3.0), np.full(100, 1.0)
    first[-5:] = second[-5:] = np.nan
    first[:3] = 1.0
    paths = [write(tmp_path / f"{k}.csv", plan, one) for k, one in enumerate((first, second))]
    found = estimate_from_grades(paths, ids, top, (M,))
    assert (found.n_graded, found.n_lenses) == (95, 92)
    assert "5 of 100 images of the plan have no grade" in found.remarks[0]
    assert "3 images of a grade from 1 to below 2" in found.remarks[1]


def test_plans_of_other_images_empty_ones_and_mixed_ones_are_refused(ranked: tuple, tmp_path: Path) -> None:
    top, ids, lens, truth = ranked
    plan = plan_grading(ids, top, lens, 50, seed=0)
    blank, filled = write(tmp_path / "a.csv", plan), write(tmp_path / "b.csv", plan, grade(plan, ids, truth))
    with pytest.raises(InputError, match="found no grade"):
        estimate_from_grades([blank], ids, top, (M,))
    with pytest.raises(InputError, match="found a plan for 800 images, 50 of them not among the 800"):
        estimate_from_grades([filled], [f"x{k}" for k in range(M)], top, (M,))
    other = write(tmp_path / "c.csv", plan_grading(ids, top, lens, 50, seed=5), np.zeros(50))
    with pytest.raises(InputError, match="found different plans"):
        estimate_from_grades([filled, other], ids, top, (M,))
    with pytest.raises(InputError, match="found an image twice"):
        estimate_from_grades([write(tmp_path / "d.csv", pd.concat([plan, plan]), np.zeros(100))], ids, top, (M,))
    assert not is_plan(write(tmp_path / "e.csv", plan.drop(columns="inclusion_probability")))
