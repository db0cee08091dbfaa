"""A plan of which unknown images to grade, as a table to be filled in, and the number of lenses from its grades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.human_grades import HIGHEST_GRADE
from convnet_galaxies.data.tables import numbers, read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.agreement import LENS_GRADE, OTHER_GRADE
from convnet_galaxies.measure.graded_sample import GradedImages, estimate_number, estimate_top, plan_sample
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.top_ranked import TopRanked
from convnet_galaxies.paths import is_grade_book

PLAN = "plan.csv"
COLUMNS = ("id", "rank", "first_rank", "last_rank", "inclusion_probability", "grade")
"""Columns that a plan needs. A stratum is the images of the ranks from first_rank to last_rank."""


@dataclass(frozen=True)
class TopFigure:
    """Purity and completeness of the k best of the unknown images."""

    k: int
    purity: Estimate
    completeness: Estimate


@dataclass(frozen=True)
class GradedEstimate:
    """The number of lenses from grades of a random sample, which holds whatever the network did.

    n_planned, n_graded: images of the plan, and those with a grade; n_lenses: of a grade of at least 2;
    number: of lenses among all unknown images; top: measured, not expected; empty when the network ranks the images
    otherwise than the plan did. remarks: what to know, one sentence each.
    """

    n_planned: int
    n_graded: int
    n_lenses: int
    number: Estimate
    top: tuple[TopFigure, ...]
    remarks: tuple[str, ...] = ()


def plan_grading(ids: Sequence[str], top: TopRanked, lens: np.ndarray, n: int, *, seed: int) -> pd.DataFrame:
    """Return the table of the n unknown images to grade, best first, with an empty column grade.

    ids: of the m unknown images; lens: float [m], the network's probability. Raises UsageError for a wrong n.
    """
    plan = plan_sample(top.probability, n, seed=seed, level=top.level)  # in the order of the ranks
    chosen = top.order[plan.chosen]
    starts = np.flatnonzero(np.diff(plan.stratum, prepend=-1)) + 1
    stratum = plan.stratum[plan.chosen]
    return pd.DataFrame(
        {
            "id": np.asarray(ids)[chosen],
            "rank": plan.chosen + 1,
            "lens_probability": lens[chosen],
            "first_rank": starts[stratum],
            "last_rank": np.append(starts[1:] - 1, len(lens))[stratum],
            "inclusion_probability": plan.inclusion[plan.chosen],
            "grade": pd.array([pd.NA] * n, dtype="Float64"),
        }
    )


def is_plan(path: Path) -> bool:
    """Return whether a table of grades holds the inclusion probabilities of a plan."""
    return not is_grade_book(path) and set(COLUMNS) <= {name.lower() for name in read_table(path)}


def is_filled(path: Path) -> bool:
    """Return whether a file is a plan in which some grade was filled in."""
    return path.is_file() and is_plan(path) and bool(np.isfinite(_read_plan(path)["grade"]).any())


def estimate_from_grades(
    paths: Sequence[Path], ids: Sequence[str], top: TopRanked, shown: Sequence[int], *, level: float = 0.9
) -> GradedEstimate:
    """Return the estimate from filled-in plans; grades of one image in several files are averaged.

    ids: of the m unknown images; shown: numbers k of best-ranked images.
    Raises InputError for plans that differ, were made for other images, or have a stratum without a grade.
    """
    plans = [_read_plan(path) for path in paths]
    plan = plans[0].assign(grade=pd.concat(plans).groupby("id")["grade"].mean().reindex(plans[0]["id"]).to_numpy())
    where = ", ".join(map(str, paths))
    fixed = ["id", "rank", "first_rank", "last_rank", "inclusion_probability"]
    if any(not one[fixed].equals(plan[fixed]) for one in plans):
        raise InputError(f"{where}: found different plans, expected one, filled in by several people", "give one plan")
    m, place = len(ids), pd.Series(np.arange(len(ids)), index=pd.Index(ids).astype(str))
    strata = plan[["first_rank", "last_rank"]].drop_duplicates().sort_values("first_rank").to_numpy(int)
    sizes = strata[:, 1] - strata[:, 0] + 1
    rows = place.reindex(plan["id"])
    if rows.isna().any() or sizes.sum() != m:
        raise InputError(
            f"{where}: found a plan for {int(sizes.sum()):,} images, {int(rows.isna().sum()):,} of them not among the "
            f"{m:,} unlabelled ones, expected a plan for these",
            "give the pack for which the plan was made",
        )
    graded = np.isfinite(plan["grade"].to_numpy())
    if not graded.any():
        raise InputError(f"{where}: found no grade, expected grades from 0 to {HIGHEST_GRADE:g}", "fill in the grades")
    images = rows.to_numpy(int)
    rank = np.empty(m, int)
    rank[top.order] = np.arange(1, m + 1)
    same = bool((rank[images] == plan["rank"].to_numpy(int)).all())
    stratum = np.searchsorted(strata[:, 1], rank) if same else _fill_strata(plan, images, strata, m)
    is_graded, is_lens = np.zeros(m, bool), np.zeros(m, bool)
    is_graded[images[graded]] = True
    is_lens[images[graded]] = plan["grade"].to_numpy()[graded] >= LENS_GRADE
    found = GradedImages(stratum, is_graded, is_lens)
    return GradedEstimate(
        n_planned=len(plan),
        n_graded=int(graded.sum()),
        n_lenses=int(is_lens.sum()),
        number=estimate_number(found, level=level),
        top=tuple(TopFigure(k, *estimate_top(found, rank, k, level=level)) for k in shown) if same else (),
        remarks=tuple(_remark(plan["grade"].to_numpy(), same=same)),
    )


def _fill_strata(plan: pd.DataFrame, images: np.ndarray, strata: np.ndarray, m: int) -> np.ndarray:
    """Strata of the images of the plan, and of all others anyhow, in the right numbers: the count needs no more."""
    stratum = np.full(m, -1)
    stratum[images] = np.searchsorted(strata[:, 1], plan["rank"].to_numpy(int))
    rest = strata[:, 1] - strata[:, 0] + 1 - np.bincount(stratum[images], minlength=len(strata))
    stratum[stratum < 0] = np.repeat(np.arange(len(strata)), rest)
    return stratum


def _remark(grade: np.ndarray, *, same: bool) -> list[str]:
    remarks = []
    if missing := int(np.isnan(grade).sum()):
        remarks.append(
            f"{missing:,} of {len(grade):,} images of the plan have no grade. The estimate holds if they are missing "
            "at random within their stratum."
        )
    if between := int(((grade >= OTHER_GRADE) & (grade < LENS_GRADE)).sum()):
        remarks.append(f"{between:,} images of a grade from {OTHER_GRADE:g} to below {LENS_GRADE:g} count as no lens.")
    if not same:
        remarks.append(
            "The images are ranked otherwise than when the plan was made, so that only the number of lenses is "
            "estimated from the grades, not purity and completeness."
        )
    return remarks


def _read_plan(path: Path) -> pd.DataFrame:
    table = read_table(path)
    table = table.rename(columns={name: name.lower() for name in table})[list(COLUMNS)]
    table["id"] = table["id"].astype("str").str.strip()
    for name in COLUMNS[1:]:
        low, high = {"grade": (0.0, HIGHEST_GRADE), "inclusion_probability": (0.0, 1.0)}.get(name, (1.0, np.inf))
        table[name] = numbers(table, name, path, missing=name == "grade", low=low, high=high, row_name="id")
    if table["id"].duplicated().any():
        raise InputError(f"{path}: found an image twice, expected each once", "give the plan as it was written")
    return table.reset_index(drop=True)
