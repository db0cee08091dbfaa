"""Answers as numbers: each distinct answer of a task has one, whatever its spelling in the export."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np
import pandas as pd

from convnet_galaxies.data.panoptes.reasons import FREE_TEXT, NONE_CHOSEN, UNKNOWN_TASK
from convnet_galaxies.data.panoptes.workflow import Workflow
from convnet_galaxies.paths import name_some

MOST_ANSWERS = 200
"""A task with more different answers asks for a text."""
_MOST_SPELLINGS = 5 * MOST_ANSWERS
LOOK = ""
"""Stands for an empty list, or for a drawing: the answer of who was asked and chose, or marked, nothing."""


class Answers:
    """Answers so far: row and code of each, codes in order of appearance.

    versions: names of the workflow's versions by their number; another object appends to it.
    """

    def __init__(self, workflow: Workflow, versions: list[str]) -> None:
        self.row, self.code = array("i"), array("i")
        self.drawn: set[str] = set()
        self._workflow, self._versions = workflow, versions
        self._known: list[tuple[str, str]] = []
        self._codes: dict[tuple[str, str], int] = {}
        self._values: dict[tuple[int, str, str | int], int | str] = {}
        self._spellings: Counter[str] = Counter()

    def find(self, version: int, task: str, value: str | int) -> int | str:
        """Return the code of an answer, or why it has none."""
        code = self._values.get((version, task, value))
        if code is not None:
            return code
        text = self._versions[version]
        if not self._workflow.has_task(task, text):
            code = UNKNOWN_TASK
        elif self._spellings[task] >= _MOST_SPELLINGS:
            return FREE_TEXT  # not remembered: there may be a million of them
        else:
            short, reason = self._workflow.name_answer(task, value, text)
            code = self.encode(task, short) if reason is None else reason
            self._spellings[task] += 1
        self._values[version, task, value] = code
        return code

    def encode(self, task: str, short: str) -> int:
        """Return the code of a short answer, or of LOOK."""
        code = self._codes.get((task, short))
        if code is None:
            code = self._codes[task, short] = len(self._known)
            self._known.append((task, short))
        return code

    def tables(self, at: np.ndarray, counts: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame, Counter[str]]:
        """Return answers (row, question, answer) and looks (row, question) that count, and how many do not, by reason.

        at: int [answers], the row of each; counts: bool [answers].
        """
        code, workflow = np.array(self.code, np.int64), self._workflow
        different = Counter(task for task, _ in self._known)
        last = self._versions[-1] if self._versions else ""
        drawing = {task for task in different if task in self.drawn or workflow.find_type(task, last) == "drawing"}
        free = np.array([different[task] > MOST_ANSWERS for task, _ in self._known], bool)
        blank = np.array([short == LOOK for _, short in self._known], bool)
        look = blank & np.array([task in drawing for task, _ in self._known], bool)
        names = [workflow.name_question(task) for task, _ in self._known]
        question = pd.Categorical(names, categories=list(dict.fromkeys(names)))
        shorts = [short for _, short in self._known if short != LOOK]
        answer = pd.Categorical([short or None for _, short in self._known], categories=list(dict.fromkeys(shorts)))
        good, looks = counts & ~(free | blank)[code], counts & look[code]
        # By row and code, so that the order of the tasks in a cell does not matter.
        order = np.flatnonzero(good)[np.lexsort((code[good], at[good]))]
        answers = {"row": at[order], "question": question[code[order]], "answer": answer[code[order]]}
        lost = {FREE_TEXT: int((counts & free[code]).sum()), NONE_CHOSEN: int((counts & (blank & ~look)[code]).sum())}
        seen = pd.DataFrame({"row": at[looks], "question": question[code[looks]]})
        return pd.DataFrame(answers), seen, Counter({reason: number for reason, number in lost.items() if number})

    def remark_on_versions(self, version: np.ndarray, counts: np.ndarray) -> list[str]:
        """Return a remark for each task whose answers differ between major versions of the workflow.

        version: int [answers], number of the version of each.
        """
        if len(self._versions) < 2 or not self._known:
            return []
        pairs = np.unique(version[counts].astype(np.int64) * len(self._known) + np.array(self.code)[counts])
        found: dict[str, dict[str, set[str]]] = {}
        for number, which in (divmod(pair, len(self._known)) for pair in pairs.tolist()):
            task, short = self._known[which]
            if short != LOOK:
                major = self._versions[number].partition(".")[0]
                found.setdefault(task, {}).setdefault(major, set()).add(short)
        remarks = []
        for task, by_version in found.items():
            if len({frozenset(one) for one in by_version.values()}) > 1:
                listed = "; ".join(f"{major}: {name_some(sorted(one))}" for major, one in sorted(by_version.items()))
                name = self._workflow.name_question(task)
                remarks.append(f"{name}: answers differ between versions of the workflow ({listed}); --version chooses")
        return remarks
