"""A whole export to classifications: which rows count, what each volunteer answered and marked, and what was left out.

Rows are read in blocks and kept as numbers, so that memory grows by about a hundred bytes per classification instead
of its text. Of several classifications of one subject by one volunteer the first in time counts.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from convnet_galaxies.data.panoptes.blocks import read_blocks
from convnet_galaxies.data.panoptes.marks import Pixels
from convnet_galaxies.data.panoptes.people import AnonymousRule, name_people
from convnet_galaxies.data.panoptes.reasons import AGAIN, BROKEN_ROW
from convnet_galaxies.data.panoptes.rows import RowReader
from convnet_galaxies.data.panoptes.selection import Selection
from convnet_galaxies.data.panoptes.workflow import Workflow
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import StrPath, name_some

Keepable = Literal["tests", "gold"]


@dataclass(frozen=True)
class ExportOptions:
    """Which rows of an export count, and how.

    workflow: number or name; None where the export has only one. versions: such as ``12`` (all of 12.x) or ``12.34``;
    none for all. anonymous: whether the rows of one ``not-logged-in-...`` name are one person (``same``), a person
    each (``each``), or left out (``drop``). keep: kinds of rows that count though they usually do not: ``tests`` from
    before the project was live, ``gold`` of experts in gold-standard mode.
    id_name: metadata that is the id of a subject, with or without its ``#``, ``!`` or ``//``; None takes Zooniverse's
    number. pixels: of marks, ``natural`` or ``client``. frame: image of the subject on which marks count, from 0; None
    for all. salt: of the hashes of volunteers' names; None draws one. keep_names: names instead of hashes.
    """

    workflow: str | None = None
    versions: tuple[str, ...] = ()
    anonymous: AnonymousRule = "same"
    keep: tuple[Keepable, ...] = ()
    id_name: str | None = None
    pixels: Pixels = "natural"
    frame: int | None = 0
    salt: str | None = None
    keep_names: bool = False


@dataclass(frozen=True)
class Classifications:
    """What an export holds.

    subjects: one row per subject: id, subject_id (Zooniverse's number), retired (reason; empty where it is not).
    rows: one per classification that counts, by subject and time: subject (int, row of subjects), volunteer (str),
    time (datetime64[s], NaT where there is none).
    answers: row (int, row of rows), question, answer (categorical); a question with several answers has several.
    looks: row, question of drawing tasks that were done, with marks or without.
    marks: row, x_px, y_px (0-based, of the image itself), frame, tool.
    read: rows of the export. left_out: rows that do not count, by reason. passed_over: answers and marks that do not
    count of rows that do, by reason. remarks: what else should be known.
    """

    subjects: pd.DataFrame
    rows: pd.DataFrame
    answers: pd.DataFrame
    looks: pd.DataFrame
    marks: pd.DataFrame
    read: int
    left_out: dict[str, int] = field(default_factory=dict)
    passed_over: dict[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def summary(self) -> list[str]:
        """Return sentences about what counts and what does not."""
        out = name_some([f"{number:,} {reason}" for reason, number in self.left_out.items()], 99)
        lost = name_some([f"{number:,} {reason}" for reason, number in self.passed_over.items()], 99)
        return [
            f"{self.read:,} classifications read, {len(self.rows):,} count",
            *([f"classifications left out: {out}"] if self.left_out else []),
            *([f"passed over in the others: {lost}"] if self.passed_over else []),
            *self.remarks,
        ]


def rename_subjects(classifications: Classifications, key: Mapping[str, str]) -> Classifications:
    """Return the same with subjects under the names of a key (see subjects.read_key); a remark counts those without.

    Raises InputError where the key has none of the subjects.
    """
    subjects = classifications.subjects
    found = subjects["id"].isin(list(key))
    if not found.any():
        raise InputError(
            f"key: found none of the subjects of the export ({name_some(subjects['id'].tolist(), 3)}) among its "
            f"{len(key):,} ids ({name_some(list(key), 3)})",
            "give the key of these subject sets, and choose the ids of the export, e.g. --id id",
        )
    remarks = () if found.all() else (f"{int((~found).sum()):,} subjects are not in the key and keep their names",)
    named = subjects.assign(id=subjects["id"].map(key).fillna(subjects["id"]))
    return replace(classifications, subjects=named, remarks=(*classifications.remarks, *remarks))


def read_classifications(
    path: StrPath,
    options: ExportOptions | None = None,
    *,
    workflow: Workflow | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Classifications:
    """Read a classification export of Zooniverse: CSV, also compressed by gzip or bzip2.

    workflow: what is known of its tasks and answers. progress: called with the number of rows read so far, twice.
    Raises InputError for a file that is no classification export, for several workflows of which none is chosen, for
    a workflow or versions that are not in it, and where no row counts.
    """
    path, options = Path(path), options or ExportOptions()
    selection = Selection(options.workflow, options.versions)
    reader = RowReader(workflow or Workflow(), options.anonymous, options.keep, options.id_name, options.pixels)
    out, read = Counter[str](), 0

    def note_broken() -> None:
        out[BROKEN_ROW] += 1

    for block in read_blocks(path, note_broken=note_broken):
        read += len(block["annotations"])
        chosen = selection.choose(block)
        if not selection.is_ambiguous:  # else an error follows, which names all workflows
            reader.read(block, chosen)
        if progress is not None:
            progress(read, read)
    selection.check(path)
    out.update(selection.left_out + reader.left_out)
    if not len(reader.subject):
        reasons = name_some([f"{number:,} {reason}" for reason, number in out.most_common() if number], 10)
        raise InputError(
            f"{path}: found no classification that counts ({reasons}), expected at least one",
            "see the reasons; --keep tests counts what was made before the project was live",
        )
    return _finish(reader, out, read + out[BROKEN_ROW], options)


def _finish(reader: RowReader, out: Counter[str], read: int, options: ExportOptions) -> Classifications:
    subject, person = np.array(reader.subject), np.array(reader.person)
    time = np.array(reader.time, np.int64)
    order = np.lexsort((time, person, subject))
    again = np.zeros(len(order), bool)
    again[1:] = (np.diff(subject[order]) == 0) & (np.diff(person[order]) == 0)
    out[AGAIN] += int(again.sum())
    first = np.sort(order[~again])
    # By subject and time, so that nothing depends on the numbers of volunteers.
    first = first[np.lexsort((time[first], subject[first]))]
    place = np.full(len(subject), -1, np.int64)
    place[first] = np.arange(len(first))

    def find(rows: array[int]) -> tuple[np.ndarray, np.ndarray]:
        at = place[np.array(rows, np.int64)]
        return at, at >= 0

    names = name_people(reader.people, salt=options.salt, keep_names=options.keep_names)
    seconds = np.where(time == np.iinfo(np.int64).max, np.iinfo(np.int64).min, time)
    rows = pd.DataFrame(
        {"subject": subject[first], "volunteer": names[person[first]], "time": seconds[first].view("datetime64[s]")}
    )
    _, is_fault = find(reader.fault_row)
    faults = np.bincount(np.array(reader.fault, np.int64)[is_fault], minlength=len(reader.faults))
    passed = Counter({reader.faults[code]: int(number) for code, number in enumerate(faults) if number})
    at, counts = find(reader.answers.row)
    answers, looks, lost = reader.answers.tables(at, counts)
    passed.update(lost)
    marks, lost = reader.marks.table(*find(reader.marks.row), options.frame)
    passed.update(lost)
    version = np.array(reader.version)[np.array(reader.answers.row, np.int64)]
    remarks = [*reader.answers.remark_on_versions(version, counts), *reader.marks.remark(lost, len(marks))]
    left_out = {reason: number for reason, number in out.most_common() if number}
    subjects = reader.subjects.table()
    return Classifications(
        subjects, rows, answers, looks, marks, read, left_out, dict(passed.most_common()), tuple(remarks)
    )
