"""The Galaxy Zoo 2 decision tree as data: 11 questions, 37 answers, and the order of the questions.

The 37 numbers of a Galaxy Challenge row are cumulative vote fractions: the answers to a question
sum to the probability that the question was asked, which is the value of its parent answer
(Willett et al. 2013, arXiv:1308.3496; Dieleman et al. 2015, arXiv:1503.07077).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise


@dataclass(frozen=True)
class Question:
    """One question of the tree.

    number: 1 to 11, as in the column names.
    parent: column name of the answer after which it is asked, or None when it is asked of every galaxy.
    """

    number: int
    text: str
    answers: tuple[str, ...]
    parent: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Kaggle's column names, e.g. ``("Class2.1", "Class2.2")``."""
        return tuple(f"Class{self.number}.{answer}" for answer in range(1, len(self.answers) + 1))


QUESTIONS: tuple[Question, ...] = (
    Question(
        1,
        "Is the galaxy smooth, or has it features or a disk?",
        ("smooth", "features or disk", "star or artifact"),
        None,
    ),
    Question(2, "Could this be a disk viewed edge-on?", ("edge-on", "not edge-on"), "Class1.2"),
    Question(3, "Is there a bar through the centre?", ("bar", "no bar"), "Class2.2"),
    Question(4, "Is there a spiral arm pattern?", ("spiral", "no spiral"), "Class2.2"),
    Question(
        5, "How prominent is the central bulge?", ("no bulge", "just noticeable", "obvious", "dominant"), "Class2.2"
    ),
    Question(6, "Is there anything odd?", ("odd", "not odd"), None),
    Question(7, "How rounded is it?", ("completely round", "in between", "cigar-shaped"), "Class1.1"),
    Question(
        8,
        "What is the odd feature?",
        ("ring", "lens or arc", "disturbed", "irregular", "other", "merger", "dust lane"),
        "Class6.1",
    ),
    Question(9, "Has the edge-on galaxy a bulge, and of what shape?", ("rounded", "boxy", "no bulge"), "Class2.1"),
    Question(10, "How tightly are the spiral arms wound?", ("tight", "medium", "loose"), "Class4.1"),
    Question(11, "How many spiral arms are there?", ("1", "2", "3", "4", "more than 4", "can't tell"), "Class4.1"),
)

VOTE_COLUMNS: tuple[str, ...] = tuple(column for question in QUESTIONS for column in question.columns)

_starts = (0, *accumulate(len(question.answers) for question in QUESTIONS))
QUESTION_SLICES: tuple[slice, ...] = tuple(slice(a, b) for a, b in pairwise(_starts))
"""Columns of the answers to each question, among the 37."""

PARENT_INDEX: tuple[int | None, ...] = tuple(
    None if question.parent is None else VOTE_COLUMNS.index(question.parent) for question in QUESTIONS
)
"""Column index of each question's parent answer; None when the question is always asked."""

ASKING_ORDER: tuple[int, ...] = (0, 5, 1, 6, 7, 2, 3, 4, 8, 9, 10)
"""Question indices, parents before children: a walk down the tree in one pass."""
