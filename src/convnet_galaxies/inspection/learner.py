"""What a session learns while it is graded: grades and marks as they stand, and the lists that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convnet_galaxies.data.human_grades import HIGHEST_GRADE
from convnet_galaxies.inspection.active import CandidateSpace, LikeRanking, choose_next, make_space, rank_like
from convnet_galaxies.inspection.mixing import Showings
from convnet_galaxies.inspection.tally import Tally

CHOSEN = 200
"""Candidates that are chosen to be graded next; the others follow by how uncertain they are."""


@dataclass(frozen=True)
class Judged:
    """Candidates that were judged: rows int [g], each once; grades float [g], 0 to 3; picks: those that are only
    picked."""

    rows: np.ndarray
    grades: np.ndarray
    picks: int


class Learner:
    """features: float [n, f] of the candidates, NaN in rows without. groups: str [n] or None; linked candidates stay
    together when the ranking is tested."""

    def __init__(self, features: np.ndarray, groups: Sequence[str] | None = None) -> None:
        self.space: CandidateSpace = make_space(features)
        self.groups = None if groups is None else np.asarray(groups).astype(str)

    def rank(self, judged: Judged) -> LikeRanking:
        """Rank all candidates. Raises UsageError where nothing that is wanted was graded or picked."""
        groups = None if self.groups is None else self.groups[judged.rows]
        return rank_like(self.space, judged.rows, judged.grades, groups=groups)

    def values(self, judged: Judged, sort: str) -> tuple[np.ndarray, str]:
        """Return a value per candidate to sort by, the largest first, float [n] (NaN without features), and a sentence.

        sort: ``learned``, by the grades so far, or ``next``, what to grade next; the latter needs no grade.
        """
        nothing = np.where(self.space.has_features, 0.0, np.nan)
        if sort == "next" and not (judged.grades >= 2).any():
            chosen = choose_next(self.space, judged.rows, CHOSEN)
            nothing[chosen] = np.arange(len(chosen), 0, -1)
            return nothing, "Nothing that is wanted was graded yet: candidates that differ come first."
        ranking = self.rank(judged)
        if sort == "learned":
            return np.where(self.space.has_features, ranking.probability, np.nan), describe(ranking, judged)
        values = nothing - np.abs(ranking.probability - 0.5)
        chosen = choose_next(self.space, judged.rows, CHOSEN, ranking=ranking)
        values[chosen] = np.arange(len(chosen), 0, -1)
        values[judged.rows] -= 1  # what is graded comes last
        return values, describe(ranking, judged)


def gather(showings: Showings, tally: Tally, grader: str) -> Judged:
    """Return the candidates that anybody graded, with the mean grade over graders, and those that a grader picked.

    A pick counts as the highest grade where nobody graded. Candidates on pages that he left without picking them count
    as no lenses, once he picked any. What was mixed in does not count.
    """
    is_candidate = showings.source == 0
    grades: dict[int, list[float]] = {}
    for name in tally.graders():
        for index, standing in tally.graded(name).items():
            if standing.grade is not None and is_candidate[index]:
                grades.setdefault(int(showings.row[index]), []).append(standing.grade)
    found = {row: float(np.mean(given)) for row, given in grades.items()}
    picked = {int(showings.row[index]) for index in tally.marked(grader, "picked") if is_candidate[index]} - set(found)
    if picked:
        seen = {int(showings.row[index]) for index in tally.marked(grader, "seen") if is_candidate[index]}
        found |= dict.fromkeys(seen - picked - set(found), 0.0)
        found |= dict.fromkeys(picked, HIGHEST_GRADE)
    rows = np.array(sorted(found), int)
    return Judged(rows, np.array([found[row] for row in rows.tolist()]), len(picked))


def describe(ranking: LikeRanking, judged: Judged) -> str:
    """Return what the page tells of a ranking: how many grades it has, and how well it holds out."""
    picks = f" ({judged.picks:,} of them picks)" if judged.picks else ""
    text = f"Learned from {ranking.n_graded:,} candidates{picks}, {ranking.n_lenses:,} of grade 2 or more."
    if ranking.auroc is not None:
        text += f" On grades left out: AUROC {ranking.auroc:.2f}."
    return " ".join([text, *ranking.remarks])
