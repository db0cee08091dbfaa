"""Decision trees: questions, their answers, which answers lead to which question, and how many volunteers get there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import accumulate, pairwise
from operator import add
from typing import Any

TOO_ENTANGLED = 2000
"""Most sets of open questions on the ways to one question; beyond, its probability would take seconds per batch."""

_Steps = list[tuple[int, int, tuple[int, ...]]]


@dataclass(frozen=True)
class Question:
    """One question.

    columns: names of its answers in tables, e.g. ``bar_yes``. answers: their names on pages.
    after: columns of which any leads to the question; None where it is asked of everyone.
    """

    name: str
    text: str
    columns: tuple[str, ...]
    answers: tuple[str, ...]
    after: tuple[str, ...] | None = None


@dataclass(frozen=True)
class DecisionTree:
    """Questions in the order of their columns: any graph without circles (files.py checks it)."""

    name: str
    questions: tuple[Question, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Every answer, question by question."""
        return tuple(column for question in self.questions for column in question.columns)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Columns of the answers to each question, among all."""
        starts = (0, *accumulate(len(question.columns) for question in self.questions))
        return tuple(slice(a, b) for a, b in pairwise(starts))

    @cached_property
    def question_of(self) -> tuple[int, ...]:
        """Number of the question of each column."""
        return tuple(number for number, question in enumerate(self.questions) for _ in question.columns)

    @cached_property
    def parents(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the columns that lead to each question; none where it is asked of everyone."""
        place = {column: number for number, column in enumerate(self.columns)}
        return tuple(tuple(place[column] for column in question.after or ()) for question in self.questions)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Numbers of the questions, parents before children, else as in the file: a walk down the tree in one pass."""
        depths: list[int | None] = [None] * len(self.questions)

        def depth_of(question: int) -> int:
            found = depths[question]
            if found is None:
                above = (depth_of(self.question_of[column]) for column in self.parents[question])
                found = depths[question] = 1 + max(above, default=-1)
            return found

        return tuple(sorted(range(len(self.questions)), key=lambda question: (depth_of(question), question)))

    def fill(self, share: Callable[[int, int], Any]) -> list[Any]:
        """Return the fraction of all volunteers who give each answer, column by column.

        share: number of a question and of one of its answers to the share of the answer among those who are asked,
        numbers, arrays or tensors of one shape.
        """
        fractions: list[Any] = [None] * len(self.columns)
        for question in self.order:
            asked, part = self.asked(question, fractions, share), self.slices[question]
            for answer in range(part.stop - part.start):
                one = share(question, answer)
                fractions[part.start + answer] = one if asked is None else one * asked
        return fractions

    def asked(self, question: int, fractions: Sequence[Any], share: Callable[[int, int], Any]) -> Any:
        """Return the fraction of all volunteers who are asked a question; None where all are.

        fractions: as `fill` returns them, of earlier questions at least. share: see `fill`.
        A volunteer answers each question independently of the others. Where answers of several questions lead to one,
        the ways there may overlap, and who takes two of them counts once.
        """
        parents = self.parents[question]
        if not parents:
            return None
        if question not in self._walks:
            return reduce(add, (fractions[column] for column in parents))
        walk, goal = self._walks[question]
        current: dict[int, Any] = {0: None}  # the fraction of volunteers in each state; None: all of them
        for ancestor, steps in walk:
            following: dict[int, Any] = {}
            for start, end, answers in steps:
                here = current[start]
                if answers:
                    part = reduce(add, (share(ancestor, answer) for answer in answers))
                    here = part if here is None else part * here
                following[end] = here if end not in following else following[end] + here
            current = following
        return current[goal]

    @cached_property
    def _walks(self) -> dict[int, tuple[list[tuple[int, _Steps]], int]]:
        """The ways to each question to which answers of several questions lead (see _find_walk)."""
        return {
            question: self._find_walk(question)
            for question, parents in enumerate(self.parents)
            if len({self.question_of[column] for column in parents}) > 1
        }

    def _find_walk(self, question: int) -> tuple[list[tuple[int, _Steps]], int]:
        """Return the questions before one, each with its transitions between states, and the state of those who get
        there.

        A state is the set of questions that a volunteer is still to be asked. A transition is a start, an end and the
        answers that lead from one to the other; no answers where the question is not asked.
        """
        leads = {question: set(self.parents[question])}  # columns that lead to the question, or to one before it
        waiting = [question]
        while waiting:
            for column in leads[waiting.pop()]:
                parent = self.question_of[column]
                if parent not in leads:
                    leads[parent] = set(self.parents[parent])
                    waiting.append(parent)
        before = [one for one in self.order if one in leads and one != question]
        there = frozenset({question})  # whatever else is asked of them no longer matters
        states = {frozenset(one for one in before if not leads[one]): 0}
        walk = []
        for ancestor in before:
            following: dict[frozenset[int], int] = {}
            steps: dict[tuple[int, int], tuple[int, ...]] = {}
            for state, start in states.items():
                if ancestor not in state:
                    steps[start, following.setdefault(state, len(following))] = ()
                    continue
                for answer, column in enumerate(range(self.slices[ancestor].start, self.slices[ancestor].stop)):
                    still = (state - {ancestor}) | {one for one in leads if column in leads[one]}
                    end = following.setdefault(there if question in still else still, len(following))
                    steps[start, end] = (*steps.get((start, end), ()), answer)
            if len(following) > TOO_ENTANGLED:
                raise ValueError(f"too many ways lead to {self.questions[question].name}")
            walk.append((ancestor, [(start, end, answers) for (start, end), answers in steps.items()]))
            states = following
        return walk, states[there]

    def __str__(self) -> str:
        return f"{self.name} ({len(self.questions)} questions, {len(self.columns)} answers)"
