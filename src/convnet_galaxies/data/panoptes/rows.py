"""Rows of an export to numbers: the loop over its cells, in which nearly all of the time is spent."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic_core import from_json

from convnet_galaxies.data.panoptes.annotations import Leaf, flatten
from convnet_galaxies.data.panoptes.answers import LOOK, Answers
from convnet_galaxies.data.panoptes.marks import Marks, Pixels
from convnet_galaxies.data.panoptes.people import AnonymousRule, People
from convnet_galaxies.data.panoptes.reasons import (
    BROKEN_JSON,
    GOLD,
    NO_ANSWER,
    NO_ID,
    NOT_LOGGED_IN,
    SEVERAL_ANSWERS,
    SEVERAL_SUBJECTS,
    TEST,
    UNKNOWN_TASK,
)
from convnet_galaxies.data.panoptes.subjects import SEVERAL, Subjects
from convnet_galaxies.data.panoptes.workflow import Workflow

_NO_TIME = np.iinfo(np.int64).max
_COLUMNS = (
    "annotations",
    "subject_data",
    "metadata",
    "user_name",
    "user_id",
    "subject_ids",
    "gold_standard",
    "workflow_version",
)


class RowReader:
    """Reads rows block by block; those that do not count are counted in left_out.

    subject, person, version: number of each kept row's, in the order of the export; time: seconds since 1970.
    fault_row, fault: what was passed over within kept rows, as numbers of faults.
    """

    def __init__(
        self, workflow: Workflow, anonymous: AnonymousRule, keep: Collection[str], id_name: str | None, pixels: Pixels
    ) -> None:
        self.left_out: Counter[str] = Counter()
        self.versions: list[str] = []
        self.people, self.subjects = People(anonymous), Subjects(id_name)
        self.answers, self.marks = Answers(workflow, self.versions), Marks(pixels)
        self.subject, self.person, self.version = array("i"), array("i"), array("i")
        self.time = array("q")
        self.fault_row, self.fault = array("i"), array("h")
        self.faults: list[str] = []
        self._workflow, self._keep = workflow, frozenset(keep)
        self._fault_codes: dict[str, int] = {}
        self._version_codes: dict[bytes, int] = {}

    def read(self, block: dict[str, pa.Array], chosen: np.ndarray) -> None:
        """Read the chosen rows (int [n]) of a block."""
        taken, blank = pa.array(chosen), [b""] * len(chosen)
        cells = [block[name].take(taken).to_pylist() if name in block else blank for name in _COLUMNS]
        dates = block["created_at"].take(taken).to_pylist() if "created_at" in block else blank
        for row in zip(*cells, parse_times(dates).tolist(), strict=True):
            reason = self._read_row(*row)
            if reason is not None:
                self.left_out[reason] += 1

    def _read_row(
        self,
        annotations: bytes,
        subject_data: bytes,
        metadata: bytes,
        name: bytes,
        account: bytes,
        subject_ids: bytes,
        gold: bytes,
        version: bytes,
        time: int,
    ) -> str | None:
        """Keep a row and return None, or return why it does not count."""
        if gold and "gold" not in self._keep and gold.lower() in (b"true", b"t", b"1"):
            return GOLD
        try:
            given = from_json(annotations)
            about = from_json(metadata) if metadata else {}
            subject = self.subjects.find(subject_data, subject_ids)
        except ValueError:
            return BROKEN_JSON
        if "tests" not in self._keep and isinstance(about, dict) and about.get("live_project") is False:
            return TEST
        if subject < 0:
            return SEVERAL_SUBJECTS if subject == SEVERAL else NO_ID
        faults: list[str] = []
        leaves = list(flatten(given, faults))
        if not leaves:
            return NO_ANSWER
        person = self.people.find(name, account)
        if person < 0:
            return NOT_LOGGED_IN
        number, code = len(self.subject), self._version_codes.get(version)
        if code is None:
            code = self._version_codes[version] = len(self.versions)
            self.versions.append(version.decode("utf-8", "replace"))
        self.subject.append(subject)
        self.person.append(person)
        self.version.append(code)
        self.time.append(time)
        self._keep_leaves(number, code, leaves, about, faults)
        for fault in faults:
            self.fault_row.append(number)
            self.fault.append(self._code_fault(fault))
        return None

    def _keep_leaves(self, row: int, version: int, leaves: list[Leaf], about: Any, faults: list[str]) -> None:
        found: dict[str, list[int]] = {}
        for leaf in leaves:
            codes = self._code_leaf(row, version, leaf, about, faults)
            earlier = found.get(leaf.task)
            if codes and earlier is not None and set(earlier) != set(codes):
                faults.append(SEVERAL_ANSWERS)
                found[leaf.task] = []
            elif codes and earlier is None:
                found[leaf.task] = codes
        for codes in found.values():
            for code in codes:
                self.answers.row.append(row)
                self.answers.code.append(code)

    def _code_leaf(self, row: int, version: int, leaf: Leaf, about: Any, faults: list[str]) -> list[int]:
        """Return the codes of what one task got, and keep its marks."""
        codes: list[int] = []
        for value in leaf.answers:
            code = self.answers.find(version, leaf.task, value)
            if isinstance(code, str):
                faults.append(code)
            elif code not in codes:
                codes.append(code)
        if not leaf.is_list:
            return codes
        text = self.versions[version]
        if len(codes) > 1 and self._workflow.find_type(leaf.task, text) == "single":
            faults.append(SEVERAL_ANSWERS)
            return []
        if leaf.answers and not leaf.marks:
            return codes
        if not self._workflow.has_task(leaf.task, text):
            faults.append(UNKNOWN_TASK)
            return []
        if leaf.marks:
            self.answers.drawn.add(leaf.task)
            for mark in leaf.marks:
                self.marks.add(row, mark, about)
        return [*codes, self.answers.encode(leaf.task, LOOK)]

    def _code_fault(self, fault: str) -> int:
        code = self._fault_codes.get(fault)
        if code is None:
            code = self._fault_codes[fault] = len(self.faults)
            self.faults.append(fault)
        return code


def parse_times(values: list[bytes]) -> np.ndarray:
    """Return seconds since 1970 (int64 [n]) of ``2018-02-20 10:44:42 UTC``; what is no time comes last."""
    texts = np.array([value[:19] for value in values], dtype="S19").astype(str)
    try:
        times = texts.astype("datetime64[s]")
    except ValueError:
        times = pd.to_datetime(pd.Series(texts), errors="coerce", format="ISO8601").to_numpy("datetime64[s]")
    return np.where(np.isnat(times), _NO_TIME, times.astype(np.int64))
