"""Rows of an export to numbers: the loop over its cells, in which nearly all of the time is spent."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic_core import from_json

from convnet_galaxies.data.panoptes.annotations import Leaf, Mark, flatten
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
from convnet_galaxies.data.quiet import quiet_warnings

_NO_TIME = np.iinfo(np.int64).max
_IN_UTC = re.compile(rb"(\.\d*)?\s*(UTC|Z)?")
"""What follows the seconds of a time that has no other zone."""
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


MOST_CELLS = 50_000
"""So many cells of annotations are remembered, some 50 MB; questions alone have few different ones."""


class Cell(NamedTuple):
    """A cell of annotations: whether no task was answered, codes of answers, marks, and numbers of faults."""

    is_empty: bool
    codes: list[int]
    marks: list[Mark]
    faults: list[int]


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
        self._cells: dict[tuple[int, bytes], Cell] = {}

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
        code = self._version_codes.get(version)
        if code is None:
            code = self._version_codes[version] = len(self.versions)
            self.versions.append(version.decode("utf-8", "replace"))
        try:
            cell = self._cells.get((code, annotations)) or self._parse(code, annotations)
            about = from_json(metadata) if metadata else {}
            subject = self.subjects.find(subject_data, subject_ids)
        except ValueError:
            return BROKEN_JSON
        if "tests" not in self._keep and isinstance(about, dict) and about.get("live_project") is False:
            return TEST
        if subject < 0:
            return SEVERAL_SUBJECTS if subject == SEVERAL else NO_ID
        if cell.is_empty:
            return NO_ANSWER
        person = self.people.find(name, account)
        if person < 0:
            return NOT_LOGGED_IN
        number = len(self.subject)
        self.subject.append(subject)
        self.person.append(person)
        self.version.append(code)
        self.time.append(time)
        self.answers.row.extend([number] * len(cell.codes))
        self.answers.code.extend(cell.codes)
        for mark in cell.marks:
            self.marks.add(number, mark, about)
        if cell.faults:
            self.fault_row.extend([number] * len(cell.faults))
            self.fault.extend(cell.faults)
        return None

    def _parse(self, version: int, annotations: bytes) -> Cell:
        """Parse a cell of annotations; one without marks is remembered, since others are equal to it."""
        faults: list[str] = []
        leaves = list(flatten(from_json(annotations), faults))
        found: dict[str, list[int]] = {}
        marks: list[Mark] = []
        for leaf in leaves:
            codes = self._code_leaf(version, leaf, marks, faults)
            earlier = found.get(leaf.task)
            if codes and earlier is not None and set(earlier) != set(codes):
                faults.append(SEVERAL_ANSWERS)
                found[leaf.task] = []
            elif codes and earlier is None:
                found[leaf.task] = codes
        codes = [code for one in found.values() for code in one]
        cell = Cell(not leaves, codes, marks, [self._code_fault(fault) for fault in faults])
        if not marks and len(self._cells) < MOST_CELLS:
            self._cells[version, annotations] = cell
        return cell

    def _code_leaf(self, version: int, leaf: Leaf, marks: list[Mark], faults: list[str]) -> list[int]:
        """Return the codes of what one task got, and append its marks."""
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
            marks.extend(leaf.marks)
        return [*codes, self.answers.encode(leaf.task, LOOK)]

    def _code_fault(self, fault: str) -> int:
        code = self._fault_codes.get(fault)
        if code is None:
            code = self._fault_codes[fault] = len(self.faults)
            self.faults.append(fault)
        return code


def parse_times(values: list[bytes]) -> np.ndarray:
    """Return seconds since 1970 (int64 [n]) of ``2018-02-20 10:44:42 UTC`` or of ISO 8601, which without a zone is in
    UTC too; what is no time comes last."""
    if all(map(_IN_UTC.fullmatch, {value[19:] for value in values})):
        with suppress(ValueError), quiet_warnings():  # numpy warns of a zone behind minutes, and converts it
            return _count_seconds(np.array([value[:19] for value in values], "S19").astype(str).astype("datetime64[s]"))
    texts = pd.Series([value.decode("ascii", "replace") for value in values], dtype=str)
    found = _parse_texts(texts.str.replace(r"\s*UTC$", "Z", regex=True)).fillna(_parse_texts(texts.str[:19]))
    return _count_seconds(found.dt.tz_convert(None).to_numpy("datetime64[s]"))


def _parse_texts(texts: pd.Series) -> pd.Series:
    return pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)


def _count_seconds(times: np.ndarray) -> np.ndarray:
    return np.where(np.isnat(times), _NO_TIME, times.astype(np.int64))
