"""What the grades tell: grades of candidates, how good each grader is, and how well they agree."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.blocks import Page, Table, Text, section, sections_of
from convnet_galaxies.data.grade_book import read_grades, read_marks
from convnet_galaxies.data.human_grades import CANDIDATE, MIXED, REPEAT, average_grades
from convnet_galaxies.errors import InputError
from convnet_galaxies.inspection.mixing import RADIUS
from convnet_galaxies.measure.agreement import LENS_GRADE, OTHER_GRADE
from convnet_galaxies.measure.graders import fit_consensus, measure_alpha, measure_kappa
from convnet_galaxies.measure.intervals import Estimate, bound_proportion, star_notes

RADIUS_EDGES_ARCSEC = (0.0, 1.0, 1.5, 2.0, 3.0, np.inf)


@dataclass(frozen=True)
class GraderFigures:
    """Figures of one grader; None where the grades do not allow them.

    n: images that he graded; seconds: median time for one; mean: grade of the candidates.
    found: share of the known lenses that got at least grade 2, found_possible: at least 1; by_radius: the first by
    Einstein radius, None where there was no such lens. false: share of the known others that got at least 2.
    with_himself: weighted kappa of grades of images shown twice; with_others: mean over the others.
    picked: share of the known lenses on pages seen that he picked in the mosaic.
    """

    grader: str
    n: int
    seconds: float | None
    mean: float | None
    found: Estimate | None
    found_possible: Estimate | None
    by_radius: tuple[Estimate | None, ...]
    false: Estimate | None
    with_himself: Estimate | None
    with_others: Estimate | None
    picked: Estimate | None


@dataclass(frozen=True)
class Results:
    """candidates: the table of export_candidates. alpha: agreement of all graders. remarks: sentences."""

    candidates: pd.DataFrame
    graders: tuple[GraderFigures, ...]
    alpha: Estimate | None
    remarks: tuple[str, ...] = ()


def read_results(path: Path, *, seed: int = 0, level: float = 0.95) -> Results:
    """Compute the results of a table of grades. Raises InputError when it holds no grade."""
    grades = expand_shown(read_grades(path))
    grades = grades[grades["grade"].notna()].reset_index(drop=True)
    if not len(grades):
        raise InputError(f"{path}: found no grade, expected at least one", "grade some images first")
    marks = expand_shown(read_marks(path))
    levels = np.unique([0.0, 1.0, 2.0, 3.0, *grades["grade"]])
    own = grades[grades["role"] != REPEAT]
    wide = own.pivot_table(index="grader", columns=["role", "id"], values="grade", aggfunc="last")
    names = sorted(grades["grader"].unique())
    figures = tuple(_judge(name, grades, marks, wide, levels, seed=seed, level=level) for name in names)
    alpha = measure_alpha(wide.to_numpy(float), seed=seed, level=level) if len(names) > 1 else None
    return Results(export_candidates(path), figures, alpha, tuple(_remark(grades)))


def export_candidates(path: Path) -> pd.DataFrame:
    """Return one row per graded candidate: id, grade (mean over graders), graders (their number), spread (standard
    deviation of their grades), lens_consensus (probability of a lens by the model of graders), kind, notes.

    Two grades of one grader for a repeat count as their mean. What was mixed in is left out.
    """
    grades = expand_shown(read_grades(path))
    given = grades[grades["grade"].notna()]
    table = average_grades(grades)
    table.insert(3, "lens_consensus", _find_consensus(given).reindex(table.index))
    notes = grades[(grades["role"] != MIXED) & (grades["note"] != "")]
    texts = (notes["grader"] + ": " + notes["note"]).groupby(notes["id"]).agg(" | ".join)
    table["notes"] = texts.reindex(table.index).fillna("")
    return table.sort_values(["grade", "graders"], ascending=False, kind="stable").reset_index()


def fill_table(candidates: pd.DataFrame, grades: pd.DataFrame) -> pd.DataFrame:
    """Return a table of candidates (see read_candidates) in its order with the columns of export_candidates.

    Columns of the same name are replaced; candidates without a grade have none. A plan of `unknown --plan` becomes a
    filled one.
    """
    own = [name for name in candidates if name == "id" or name not in grades]
    return candidates[own].merge(grades, on="id", how="left")


def expand_shown(grades: pd.DataFrame) -> pd.DataFrame:
    """Return the table of read_grades with what the column shown holds of truth: role, lens (1, 0, NaN) and
    einstein_radius_arcsec."""
    shown = [json.loads(text) for text in grades["shown"]]
    return grades.assign(
        role=pd.Series([one.get("role", CANDIDATE) for one in shown], dtype="str"),
        lens=pd.Series([one.get("lens", np.nan) for one in shown], dtype=float),
        **{RADIUS: pd.Series([one.get(RADIUS, np.nan) for one in shown], dtype=float)},
    )


def results_page(results: Results) -> Page:
    """Return the results as text and tables."""
    table, graders = results.candidates, results.graders
    lenses = int((table["grade"] >= LENS_GRADE).sum())
    people = f"{len(graders)} grader{'s' * (len(graders) != 1)}"
    graded = "1 candidate was" if len(table) == 1 else f"{len(table):,} candidates were"
    lead = [f"{graded} graded by {people}; {lenses:,} {'has' if lenses == 1 else 'have'} a mean grade of at least 2."]
    if results.alpha is not None:
        lead.append(f"The graders agree with Krippendorff's alpha {results.alpha:.2f}.")
    figures = Table(
        "Graders",
        ("grader", "images", "seconds", "lenses found (grade 2 or 3)", "(1 or more)", "others taken for lenses"),
        tuple(
            (one.grader, one.n, _round(one.seconds), *map(_share, (one.found, one.found_possible, one.false)))
            for one in graders
        ),
        _notes(
            [one.found for one in graders] + [one.found_possible for one in graders] + [one.false for one in graders]
        ),
    )
    agreement = Table(
        "Agreement (quadratically weighted kappa)",
        ("grader", "own repeats", "the others", "lenses picked in the mosaic"),
        tuple((one.grader, _kappa(one.with_himself), _kappa(one.with_others), _share(one.picked)) for one in graders),
        _notes([one.with_himself for one in graders] + [one.with_others for one in graders]),
    )
    edges = RADIUS_EDGES_ARCSEC
    bins = [_name_bin(low, high) for low, high in pairwise(edges)]
    rows = [(name, *(_share(one.by_radius[k]) for one in graders)) for k, name in enumerate(bins)]
    rows = [row for row in rows if any(row[1:])]
    by_radius = Table("Lenses found by Einstein radius", ("", *(one.grader for one in graders)), tuple(rows))
    counts = table["grade"].round().value_counts().sort_index(ascending=False)
    spread = Table(
        "Candidates by mean grade, rounded",
        ("grade", "candidates", "mean spread of graders"),
        tuple(
            (f"{grade:g}", int(count), _round(_mean(table["spread"][table["grade"].round() == grade])))
            for grade, count in counts.items()
        ),
    )
    remarks = [Text(text) for text in results.remarks]
    return Page(
        "Results of the inspection",
        tuple(lead),
        sections=sections_of(
            [
                section("Candidates", [spread]),
                section("Graders", [figures, by_radius if rows else None, agreement, *remarks]),
            ]
        ),
    )


def _judge(
    name: str,
    grades: pd.DataFrame,
    marks: pd.DataFrame,
    wide: pd.DataFrame,
    levels: np.ndarray,
    *,
    seed: int,
    level: float,
) -> GraderFigures:
    own = grades[grades["grader"] == name]
    lens, other = own[own["lens"] == 1], own[own["lens"] == 0]
    edges = RADIUS_EDGES_ARCSEC
    bins = [lens[(lens[RADIUS] >= low) & (lens[RADIUS] < high)] for low, high in pairwise(edges)]
    again = own[own["role"] == REPEAT].merge(own[own["role"] == CANDIDATE], on="id")
    seen = marks[(marks["grader"] == name) & marks["seen"] & (marks["lens"] == 1)]
    candidates = own[own["role"] != MIXED]["grade"]
    return GraderFigures(
        grader=name,
        n=len(own),
        seconds=float(own["seconds"].median()) if own["seconds"].notna().any() else None,
        mean=float(candidates.mean()) if len(candidates) else None,
        found=_proportion("found", lens["grade"] >= LENS_GRADE, level),
        found_possible=_proportion("found, C or better", lens["grade"] >= OTHER_GRADE, level),
        by_radius=tuple(_proportion("found", part["grade"] >= LENS_GRADE, level) for part in bins),
        false=_proportion("false positives", other["grade"] >= LENS_GRADE, level),
        with_himself=measure_kappa(
            again["grade_x"].to_numpy(float), again["grade_y"].to_numpy(float), levels, seed=seed, level=level
        ),
        with_others=_compare_with_others(name, wide, levels, seed, level),
        picked=_proportion("picked", seen["picked"], level),
    )


def _compare_with_others(name: str, wide: pd.DataFrame, levels: np.ndarray, seed: int, level: float) -> Estimate | None:
    """Kappa of a grader with the median of the others, each image once."""
    if len(wide) < 2 or name not in wide.index:
        return None
    others = wide.drop(index=name).median()
    both = wide.loc[name].notna() & others.notna()
    nearest = levels[np.abs(others[both].to_numpy()[:, None] - levels).argmin(axis=1)]  # a median of two lies between
    return measure_kappa(wide.loc[name][both].to_numpy(float), nearest, levels, seed=seed, level=level)


def _find_consensus(grades: pd.DataFrame) -> pd.Series:
    """Probability of a lens of each id; NaN for all where there is one grader and nothing of known truth."""
    own = grades.assign(item=grades["id"].where(grades["role"] != MIXED, "\0" + grades["id"]))
    item, names = pd.factorize(own["item"])
    truth = own.groupby("item", sort=False)["lens"].first().reindex(names)
    if own["grader"].nunique() < 2 and truth.nunique() < 2:
        return pd.Series(np.nan, index=names)
    grade, values = pd.factorize(own["grade"], sort=True)
    share = np.interp(values, [0, LENS_GRADE, 3], [0.05, 0.6, 0.95])
    found = fit_consensus(
        item,
        pd.factorize(own["grader"])[0],
        grade,
        start=np.stack([1 - share, share], axis=1),
        truth=truth.fillna(-1).to_numpy(int),
    )
    return pd.Series(found.posterior[:, 1], index=names)


def _proportion(name: str, hits: pd.Series, level: float) -> Estimate | None:
    n = len(hits)
    if not n:
        return None
    low, high = bound_proportion(int(hits.sum()), n, level=level)
    return Estimate(f"{name} of {n}", float(hits.mean()), low, high, level)


def _remark(grades: pd.DataFrame) -> list[str]:
    remarks = []
    truth = grades.drop_duplicates("showing")["lens"]
    if not (truth == 1).any():
        remarks.append("No known lens was shown, so that no completeness is measured: mix some in with --mix.")
    if not (truth == 0).any():
        remarks.append("No image known to be no lens was shown, so that no false positive rate is measured.")
    if not (grades["role"] == REPEAT).any():
        remarks.append("No repeat was graded, so that the agreement of graders with themselves is not measured.")
    return remarks


def _share(one: Estimate | None) -> str:
    return "" if one is None else f"{one:.2f}, {one.name.rpartition(' ')[2]} shown"


def _kappa(one: Estimate | None) -> str:
    return "" if one is None else f"{one:.2f}"


def _notes(figures: Iterable[Estimate | None]) -> tuple[str, ...]:
    return star_notes(one for one in figures if one is not None)


def _mean(values: pd.Series) -> float | None:
    return float(values.mean()) if values.notna().any() else None


def _round(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _name_bin(low: float, high: float) -> str:
    return f"{low:g} to {high:g} arcsec" if np.isfinite(high) else f"{low:g} arcsec and more"
