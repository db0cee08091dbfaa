"""Sort and filter showings on the server: a page of a hundred thousand candidates fetches only what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.inspection.mixing import Showings, shuffle
from convnet_galaxies.inspection.sources import PROBABILITY
from convnet_galaxies.inspection.tally import Tally

Sort = Literal["random", "rank", "probability", "disagreement", "familiarity", "similarity", "learned", "next"]
SORTS: tuple[Sort, ...] = get_args(Sort)
FLAVOR_PREFIX = "flavor_"
FLAGS = ("edge", "masked", "bands missing", "no image")


@dataclass(frozen=True)
class Filters:
    """What is listed; None and empty texts leave a filter out.

    lowest, highest: lens probability. flavor: the likeliest one. flag: one of FLAGS. known: whether a known system
    lies there. graded, picked, seen: by the grader who looks. kind, grade: as he judged. grader: graded by this
    one. text: part of the id.
    """

    lowest: float | None = None
    highest: float | None = None
    flavor: str = ""
    flag: str = ""
    known: bool | None = None
    graded: bool | None = None
    picked: bool | None = None
    seen: bool | None = None
    kind: str = ""
    grade: float | None = None
    grader: str = ""
    text: str = ""

    OPEN_ONLY = ("lowest", "highest", "flavor", "flag", "known", "grader", "text")
    """Filters that would tell a blind grader what he must not know."""


@dataclass(frozen=True, eq=False)
class Columns:
    """What is sorted and filtered by, one value per showing, NaN or an empty text where it is unknown."""

    probability: np.ndarray
    familiarity: np.ndarray
    rank: np.ndarray
    flavor: np.ndarray
    flags: dict[str, np.ndarray]
    known: np.ndarray
    crowd: np.ndarray

    @property
    def flavors(self) -> list[str]:
        """The flavors that are there."""
        return sorted(set(self.flavor.tolist()) - {""})


def read_columns(table: pd.DataFrame, has_image: np.ndarray) -> Columns:
    """Return the columns of a table of candidates, by the names that `predict` and `scan` give them."""
    n = len(table)

    def number(*names: str) -> np.ndarray:
        for name in names:
            if name in table:
                return pd.to_numeric(table[name], errors="coerce").to_numpy(float, na_value=np.nan)
        return np.full(n, np.nan)

    probability, rank = number(PROBABILITY), number("rank")
    if np.isnan(rank).all() and np.isfinite(probability).any():
        rank = pd.Series(-probability).rank(method="first").to_numpy(float)
    names = [name for name in table if name.startswith(FLAVOR_PREFIX) and pd.api.types.is_float_dtype(table[name])]
    flavor = np.full(n, "", dtype=object)
    if names:
        values = table[names].to_numpy(float, na_value=np.nan)
        there = np.isfinite(values).all(axis=1)
        labels = np.array([name.removeprefix(FLAVOR_PREFIX) for name in names], dtype=object)
        flavor[there] = labels[values[there].argmax(axis=1)]
    known = table["known"].astype("str").where(table["known"].notna(), "") if "known" in table else None
    missing = table.get("bands_missing")
    lacks_band = np.zeros(n, bool) if missing is None else missing.notna() & ~missing.astype("str").isin(["", "0"])
    return Columns(
        probability=probability,
        familiarity=number("familiarity"),
        rank=rank,
        flavor=flavor.astype(str),
        flags={
            "edge": number("edge") > 0 if "edge" in table else np.zeros(n, bool),
            "masked": number("masked_fraction") > 0,
            "bands missing": np.asarray(lacks_band, bool),
            "no image": ~has_image,
        },
        known=np.full(n, "") if known is None else known.to_numpy().astype(str),
        crowd=number("crowd_probability", "crowd"),
    )


def choose_candidates(columns: Columns, *, lowest: float | None = None, top: int | None = None) -> np.ndarray:
    """Return the rows, int [k], of the candidates of at least a lens probability, and of these the best ranked.

    Raises UsageError without the column that is needed, InputError when nothing passes.
    """
    rows = np.arange(len(columns.probability))
    if lowest is not None:
        if np.isnan(columns.probability).all():
            raise UsageError("--min-probability: the candidates have no lens probability", "give --predictions")
        rows = rows[columns.probability >= lowest]
    if top is not None:
        if np.isnan(columns.rank).all():
            raise UsageError("--top: the candidates have neither a rank nor a lens probability", "give --predictions")
        rank = columns.rank[rows]
        rows = np.sort(rows[np.argsort(np.where(np.isnan(rank), np.inf, rank), kind="stable")[:top]])
    if not len(rows):
        raise InputError("found no candidate that passes, expected at least one", "choose more candidates")
    return rows


def list_showings(
    showings: Showings,
    columns: Columns,
    tally: Tally,
    grader: str,
    *,
    sort: Sort = "random",
    descending: bool = True,
    filters: Filters | None = None,
    seed: int,
    likeness: np.ndarray | None = None,
) -> np.ndarray:
    """Return the showings that pass, int [k], in order; equal and unknown values keep the order of the shuffle.

    columns: one value per candidate; what is mixed in has none and comes last.
    likeness: float [candidates], for the sorts by similarity, by what was learned, and of what to grade next.
    Raises UsageError for an unknown sort.
    """
    order = shuffle(len(showings), seed, grader)
    order = order[_pass(showings, columns, tally, grader, filters or Filters())[order]]
    if sort == "random":
        return order
    values = _sort_values(showings, columns, tally, sort, likeness)[order]
    if sort == "rank":
        descending = not descending  # the first rank is the best
    known = np.isfinite(values)
    by_value = np.argsort(-values[known] if descending else values[known], kind="stable")
    return np.concatenate([order[known][by_value], order[~known]])


def _sort_values(
    showings: Showings, columns: Columns, tally: Tally, sort: Sort, likeness: np.ndarray | None
) -> np.ndarray:
    n = len(columns.probability)
    if sort == "disagreement":
        eyes = tally.mean_grades(n) / 3
        eyes = np.where(np.isfinite(eyes), eyes, columns.crowd)
        values = np.abs(eyes - columns.probability)
    elif sort in ("similarity", "learned", "next"):
        values = np.full(n, np.nan) if likeness is None else likeness
    elif sort in ("rank", "probability", "familiarity"):
        values = getattr(columns, sort)
    else:
        raise UsageError(f"sort: found {sort!r}, expected one of {', '.join(SORTS)}", "choose one of these")
    out = np.full(len(showings), np.nan)
    is_candidate = showings.source == 0
    out[is_candidate] = values[showings.row[is_candidate]]
    return out


def _pass(showings: Showings, columns: Columns, tally: Tally, grader: str, filters: Filters) -> np.ndarray:
    kept = np.ones(len(showings), bool)
    of_candidate = showings.source == 0
    rows = showings.row[of_candidate]

    def need(mask: np.ndarray) -> None:
        kept[of_candidate] &= mask[rows]
        kept[~of_candidate] = False

    def need_those(indices: set[int] | list[int], wanted: bool) -> None:
        mask = np.zeros(len(showings), bool)
        mask[list(indices)] = True
        np.logical_and(kept, mask == wanted, out=kept)

    if filters.lowest is not None:
        need(columns.probability >= filters.lowest)
    if filters.highest is not None:
        need(columns.probability <= filters.highest)
    if filters.flavor:
        need(columns.flavor == filters.flavor)
    if filters.flag:
        need(columns.flags.get(filters.flag, np.zeros(len(columns.flavor), bool)))
    if filters.known is not None:
        need((columns.known != "") == filters.known)
    if filters.text:
        wanted = filters.text.lower()
        kept &= np.array([wanted in name.lower() for name in showings.ids], bool)
    own = tally.graded(grader)
    if filters.graded is not None:
        need_those([index for index, one in own.items() if one.grade is not None], filters.graded)
    if filters.kind:
        need_those([index for index, one in own.items() if one.kind == filters.kind], True)
    if filters.grade is not None:
        need_those([index for index, one in own.items() if one.grade == filters.grade], True)
    if filters.grader:
        need_those(list(tally.graded(filters.grader)), True)
    for mark in ("picked", "seen"):
        wanted_mark = getattr(filters, mark)
        if wanted_mark is not None:
            need_those(tally.marked(grader, mark), wanted_mark)
    return kept
