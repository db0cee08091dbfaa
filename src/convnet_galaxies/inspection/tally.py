"""What stands at the moment: of each showing the last grade and the marks of each grader, kept up with the table."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from convnet_galaxies.data.grade_book import GradeBook


@dataclass(frozen=True)
class Standing:
    """The grade of one grader for one showing that stands. grade: None for a note alone."""

    number: int
    grade: float | None
    kind: str
    note: str


class Tally:
    """Reads what was appended since the last call, so that several programs and pages may grade at once.

    keys: str [n], the showings; rows of others (an earlier choice of candidates) are counted, but not listed.
    """

    def __init__(self, book: GradeBook, keys: np.ndarray) -> None:
        self._book = book
        self._index = {key: index for index, key in enumerate(keys.tolist())}
        self._stacks: dict[str, dict[int, list[Standing]]] = defaultdict(lambda: defaultdict(list))
        self._marks: dict[str, dict[str, set[int]]] = defaultdict(lambda: {"picked": set(), "seen": set()})
        self._last = [0, 0]
        self._lock = threading.Lock()
        self.foreign = 0
        """Grades for showings that are not among these."""
        self.sync()

    def sync(self) -> None:
        """Take in all rows that were appended since the last call."""
        with self._lock:
            grades, marks = self._book.rows_after(*self._last)
            for number, showing, grader, grade, kind, note, undoes in grades:
                self._last[0] = number
                index = self._index.get(showing)
                if index is None:
                    self.foreign += undoes is None
                    continue
                stack = self._stacks[grader][index]
                if undoes is None:
                    stack.append(Standing(number, grade, kind, note))
                else:
                    stack[:] = [one for one in stack if one.number != undoes]
            for number, showing, grader, mark in marks:
                self._last[1] = number
                index = self._index.get(showing)
                if index is None:
                    continue
                if mark == "unpicked":
                    self._marks[grader]["picked"].discard(index)
                else:
                    self._marks[grader][mark].add(index)

    def graders(self) -> list[str]:
        """Return the names of all who graded or marked anything, sorted."""
        return sorted({*(name for name, stacks in self._stacks.items() if stacks), *self._marks})

    def standing(self, grader: str, index: int) -> Standing | None:
        """Return what stands of a grader for a showing."""
        stack = self._stacks[grader].get(index) if grader in self._stacks else None
        return stack[-1] if stack else None

    def is_marked(self, grader: str, mark: str, index: int) -> bool:
        """Return whether a showing is picked or seen by a grader."""
        return grader in self._marks and index in self._marks[grader][mark]

    def marked(self, grader: str, mark: str) -> set[int]:
        """Return the showings that are picked or seen by a grader."""
        return set(self._marks[grader][mark]) if grader in self._marks else set()

    def graded(self, grader: str) -> dict[int, Standing]:
        """Return what stands of a grader, by showing."""
        stacks = self._stacks.get(grader, {})
        return {index: stack[-1] for index, stack in list(stacks.items()) if stack}

    def mean_grades(self, number: int) -> np.ndarray:
        """Return the mean grade over graders of each of the first `number` showings, NaN where nobody graded."""
        total, count = np.zeros(number), np.zeros(number)
        for grader in list(self._stacks):
            for index, standing in self.graded(grader).items():
                if index < number and standing.grade is not None:
                    total[index] += standing.grade
                    count[index] += 1
        return np.divide(total, count, out=np.full(number, np.nan), where=count > 0)
