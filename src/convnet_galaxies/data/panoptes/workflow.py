"""Tasks and answers of a workflow: from Zooniverse's export of workflows, and under the names that the user gives.

A classification export has texts of answers, or their numbers. Numbers have no meaning without the workflow, and the
texts are those of the page, while catalogues and trees have short names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic_core import from_json

from convnet_galaxies.data.panoptes.annotations import clean_answer
from convnet_galaxies.data.panoptes.reasons import EMPTY_TEXT, NO_TEXT, UNKNOWN_ANSWER
from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.paths import name_some, require_path

_KEYS = {"name": str, "answers": list, "rename": dict}
_TASKS_FIX = "give the workflow export of the same project"

Version = tuple[int, int]


@dataclass(frozen=True)
class Task:
    """A question of one version: its type (single, multiple, drawing ...) and its answers in short form, in order."""

    type: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Naming:
    """How one task is named: its question, its answers in the order of the workflow, and other names for texts."""

    name: str
    answers: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Workflow:
    """What is known of a workflow; nothing by default.

    versions: tasks by version. names: by task.
    """

    versions: Mapping[Version, Mapping[str, Task]] = field(default_factory=dict)
    names: Mapping[str, Naming] = field(default_factory=dict)

    def tasks_of(self, version: str) -> Mapping[str, Task] | None:
        """Return the tasks of a version (``12.34``) or of the last one before it; None where nothing is known."""
        if not self.versions:
            return None
        wanted = parse_version(version) or (0, 0)
        before = [one for one in self.versions if one <= wanted]
        return self.versions[max(before) if before else min(self.versions)]

    def find_type(self, task: str, version: str) -> str | None:
        """Return the type of a task, None where it is not known."""
        tasks = self.tasks_of(version)
        return None if tasks is None or task not in tasks else tasks[task].type

    def has_task(self, task: str, version: str) -> bool:
        """Return whether the workflow has a task; without any knowledge it has all."""
        tasks = self.tasks_of(version)
        if tasks is not None:
            return task in tasks
        return not self.names or task in self.names

    def name_question(self, task: str) -> str:
        """Return the name of a question: the user's, else the task's key."""
        return self.names[task].name if task in self.names else task

    def list_answers(self) -> list[tuple[str, str]]:
        """List the question and answer of each column of votes that the user named, in that order."""
        return [(naming.name, answer) for naming in self.names.values() for answer in naming.answers]

    def name_answer(self, task: str, value: str | int, version: str) -> tuple[str, str | None]:
        """Return the short name of an answer and None, or an empty text and the reason why there is none."""
        naming, tasks = self.names.get(task), self.tasks_of(version)
        known = () if tasks is None or task not in tasks else tasks[task].answers
        given = naming.answers if naming else ()
        if isinstance(value, int):
            ordered = given or known
            if not ordered:
                return "", NO_TEXT
            if not 0 <= value < len(ordered):
                return "", UNKNOWN_ANSWER
            short = ordered[value]
        else:
            short = clean_answer(value)
            if not short:
                return "", EMPTY_TEXT
        if naming:
            short = naming.rename.get(short, short)
            if given and short not in given and short in known:  # the same place in the workflow
                place = known.index(short)
                short = given[place] if place < len(given) else short
            if given and short not in given:
                return "", UNKNOWN_ANSWER
        elif known and short not in known:
            return "", UNKNOWN_ANSWER
        return short, None


def read_workflow(table: Path | None, names: Path | None, workflow: str | None) -> Workflow:
    """Read what is known of a workflow.

    table: Zooniverse's workflow export; names: TOML, one table per task (``[T0]``) with ``name``, ``answers`` (in the
    order of the workflow) and ``rename`` (short text = name). workflow: number or name; None takes the only one.
    Raises InputError for a table without the workflow or without its columns, and for a file of names that is none.
    """
    return Workflow(
        {} if table is None else _read_versions(table, workflow), {} if names is None else _read_names(names)
    )


def parse_version(text: str) -> Version | None:
    """Return (12, 34) of ``12.34`` (which is not 12.340) and (12, 0) of ``12``; None for anything else."""
    major, _, minor = text.strip().partition(".")
    return (int(major), int(minor or 0)) if major.isdigit() and (minor or "0").isdigit() else None


def _read_versions(path: Path, workflow: str | None) -> dict[Version, dict[str, Task]]:
    columns = ("workflow_id", "version", "tasks")
    rows = read_table(path, text_columns=("workflow_id", "version", "minor_version", "tasks", "strings"))
    missing = [name for name in columns if name not in rows]
    if missing:
        raise InputError(
            f"{path}: found the columns {name_some(list(rows), 20)}, expected a workflow export of Zooniverse, which "
            f"has also {', '.join(missing)}",
            _TASKS_FIX,
        )
    ids = rows["workflow_id"].astype("str").str.strip()
    names = rows["display_name"].astype("str") if "display_name" in rows else ids
    chosen = pd.Series(True, index=rows.index) if workflow is None else (ids == workflow) | (names == workflow)
    if not chosen.any() or len(set(ids[chosen])) > 1:
        raise InputError(
            f"{path}: found the workflows {name_some(sorted(set(ids)), 20)}, expected "
            f"{'one' if workflow is None else workflow}",
            "choose one with --workflow" if workflow is None else _TASKS_FIX,
        )
    found = {}
    for number, row in rows[chosen].iterrows():
        minor = row.get("minor_version")
        version = parse_version(f"{row['version']}.{0 if pd.isna(minor) else minor}")
        try:
            tasks = from_json(row["tasks"])
            texts = from_json(row["strings"]) if isinstance(row.get("strings"), str) else {}
            if version is None or not isinstance(tasks, dict) or not isinstance(texts, dict):
                raise ValueError("no tasks")
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{path}, row {int(str(number)) + 1}: found {error}, expected a version and its tasks as JSON",
                "fetch it again",
            ) from None
        found[version] = {task: _read_task(one, texts) for task, one in tasks.items() if isinstance(one, dict)}
    return found


def _read_task(task: dict[str, Any], texts: dict[str, Any]) -> Task:
    answers = task.get("answers")
    labels = [one.get("label", "") for one in answers if isinstance(one, dict)] if isinstance(answers, list) else []
    # Newer exports have keys of the table of strings in place of the texts.
    return Task(str(task.get("type", "")), tuple(clean_answer(str(texts.get(label, label))) for label in labels))


def _read_names(path: Path) -> dict[str, Naming]:
    require_path(path)
    fix = 'write one table per task, such as [T0] with name = "smooth-or-featured" and answers = ["smooth", "artifact"]'
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})", fix) from None
    found = {}
    for task, entry in given.items():
        wrong = f"a {type(entry).__name__}"
        if isinstance(entry, dict):
            wrong = name_some([key for key, one in entry.items() if not isinstance(one, _KEYS.get(key, ()))])
        if not isinstance(entry, dict) or wrong != "nothing":
            raise InputError(f"{path}, {task}: found {wrong}, expected name, answers and rename", fix)
        naming = Naming(entry.get("name", task), tuple(map(str, entry.get("answers", ()))), entry.get("rename", {}))
        if len(set(naming.answers)) < len(naming.answers):
            raise InputError(f"{path}, {task}: found an answer twice in {', '.join(naming.answers)}", fix)
        found[task] = naming
    names = [one.name for one in found.values()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: found {name_some(twice)} for several tasks, expected each name once", fix)
    return found
