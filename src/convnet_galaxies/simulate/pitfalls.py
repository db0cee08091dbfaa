"""Pitfalls of real classification exports, each put into a simulated one at a given rate and counted."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from convnet_galaxies.data.panoptes import reasons
from convnet_galaxies.errors import UsageError
from convnet_galaxies.paths import name_some

Row = dict[str, Any]
"""One classification: the columns of the export; those of JSON as objects, or as text where they are broken."""

PICTURE = "![{0}.png](https://example.org/project_attached_image/{0}.png) "


def _again(row: Row, rng: np.random.Generator) -> None:
    """The same volunteer, a minute later and of another mind."""
    say_otherwise(row)


def _in_other_workflow(row: Row, rng: np.random.Generator) -> None:
    row["workflow_id"], row["workflow_name"] = "31", "Tutorial"
    say_otherwise(row)


def _in_other_version(row: Row, rng: np.random.Generator) -> None:
    row["workflow_version"] = "2.7"
    row["annotations"] = [{"task": "T0", "task_label": "Lens?", "value": str(rng.choice(["Maybe", "Surely"]))}]


def _as_test(row: Row, rng: np.random.Generator) -> None:
    row["metadata"]["live_project"] = False
    say_otherwise(row)


def _as_gold(row: Row, rng: np.random.Generator) -> None:
    row["gold_standard"] = "true"


def _broken(row: Row, rng: np.random.Generator) -> None:
    column = str(rng.choice(["annotations", "metadata", "subject_data"]))
    row[column] = json.dumps(row[column])[: -int(rng.integers(1, 9))]


def _empty(row: Row, rng: np.random.Generator) -> None:
    blank = [[], [{"task": "T0", "task_label": "Lens?", "value": None}], [{"task": "T0", "value": ""}]]
    row["annotations"] = blank[int(rng.integers(len(blank)))]


def _of_two_subjects(row: Row, rng: np.random.Generator) -> None:
    row["subject_data"] = row["subject_data"] | {"77": {"retired": None}}
    row["subject_ids"] += ";77"


def _of_other_project(row: Row, rng: np.random.Generator) -> None:
    row["subject_data"], row["subject_ids"] = {"88": {"retired": None, "Filename": "zebra.jpg"}}, "88"


ADDED: dict[str, tuple[str, Callable[[Row, np.random.Generator], None]]] = {
    "again": (reasons.AGAIN, _again),
    "other workflow": (reasons.OTHER_WORKFLOW, _in_other_workflow),
    "other version": (reasons.OTHER_VERSION, _in_other_version),
    "test": (reasons.TEST, _as_test),
    "gold standard": (reasons.GOLD, _as_gold),
    "broken JSON": (reasons.BROKEN_JSON, _broken),
    "no answer": (reasons.NO_ANSWER, _empty),
    "two subjects": (reasons.SEVERAL_SUBJECTS, _of_two_subjects),
    "other project": (reasons.NO_ID, _of_other_project),
}
"""Rows that are added, with the reason for which they do not count."""


def _with_picture(row: Row, rng: np.random.Generator) -> bool:
    for one in _leaves(row):
        if isinstance(one["value"], str):
            one["value"] = PICTURE.format(one["value"].lower()) + one["value"]
    return True


def _with_numbers(row: Row, rng: np.random.Generator) -> bool:
    for one in _leaves(row):
        one["value"] = number_answer(one["task"], one["value"])
    return True


def _in_combo(row: Row, rng: np.random.Generator) -> bool:
    row["annotations"] = [{"task": "T3", "value": row["annotations"]}]
    return True


def _not_logged_in(row: Row, rng: np.random.Generator) -> bool:
    row["user_name"], row["user_id"] = f"not-logged-in-{row['user_ip']}", ""
    return True


def _with_unknown_task(row: Row, rng: np.random.Generator) -> bool:
    row["annotations"].append({"task": "T9", "task_label": "Old question", "value": "Yes"})
    return True


def _with_null(row: Row, rng: np.random.Generator) -> bool:
    value = None if rng.random() < 0.5 else ""
    row["annotations"].append({"task": "T0", "task_label": "Lens?", "value": value})
    return True


def _with_dropdown(row: Row, rng: np.random.Generator) -> bool:
    row["annotations"].append({"task": "T4", "value": [{"value": "a1b2", "option": True}]})
    return True


def _with_two_answers(row: Row, rng: np.random.Generator) -> bool:
    first = next(one for one in _leaves(row) if one["task"] == "T0")
    other = {"Yes": "No", "No": "Yes"}[first["value"]]
    row["annotations"].append({**first, "value": other})
    return True


def _with_mark(row: Row, **change: float) -> bool:
    """Add a mark if there is one; it differs from the first by the change."""
    drawing = next((one for one in _leaves(row) if one["task"] == "T1" and one["value"]), None)
    if drawing is not None:
        drawing["value"].append({**drawing["value"][0], **change})
    return drawing is not None


def _with_mark_outside(row: Row, rng: np.random.Generator) -> bool:
    return _with_mark(row, x=-30.5 if rng.random() < 0.5 else 5000.0)


def _with_mark_on_other_image(row: Row, rng: np.random.Generator) -> bool:
    return _with_mark(row, frame=1)


def _with_nowhere_mark(row: Row, rng: np.random.Generator) -> bool:
    return _with_mark(row, x=None)  # type: ignore[arg-type]


CHANGED: dict[str, tuple[str | None, Callable[[Row, np.random.Generator], bool]]] = {
    "two answers": (reasons.SEVERAL_ANSWERS, _with_two_answers),
    "number": (None, _with_numbers),
    "picture": (None, _with_picture),
    "not logged in": (None, _not_logged_in),
    "unknown task": (reasons.UNKNOWN_TASK, _with_unknown_task),
    "null": (reasons.EMPTY, _with_null),
    "dropdown": (reasons.NOT_READ, _with_dropdown),
    "mark outside": (reasons.OUTSIDE, _with_mark_outside),
    "mark on another image": (reasons.OTHER_IMAGE, _with_mark_on_other_image),
    "mark nowhere": (reasons.NO_PLACE, _with_nowhere_mark),
    "combo": (None, _in_combo),
}
"""Changes of rows that count, in the order in which they are made, with the reason for which an answer or mark is
passed over; None where it only looks otherwise. Who is not logged in is so in all rows."""

PITFALLS = (*ADDED, *CHANGED)

ANSWERS = {"T0": ("Yes", "No"), "T2": ("Ring", "Spiral arms", "Image artifact")}
"""Answers of the simulated workflow's questions, in its order. T1 is the drawing task, T3 a combo of all."""


def check_rates(rates: Mapping[str, float]) -> None:
    """Raise UsageError for a pitfall that does not exist or a rate outside 0..1."""
    for name, rate in rates.items():
        if name not in PITFALLS:
            raise UsageError(f"pitfalls: found {name}, expected {name_some(PITFALLS, 99)}", "correct the name")
        if not 0 <= rate <= 1:
            raise UsageError(f"pitfalls: found a rate of {rate:g} of {name}, expected 0 to 1", "give e.g. 0.05")


def add_pitfalls(
    rows: list[Row], rates: Mapping[str, float], rng: np.random.Generator
) -> tuple[list[Row], Counter[str], list[int]]:
    """Return the rows with pitfalls, how many of each there are, and which of the given rows lost their answer to T0.

    rows: classifications that count, in order of time. Each rate is the share of rows that have the pitfall. Rows are
    added behind all others, as classifications of the time after.
    """
    check_rates(rates)
    made, lost = Counter[str](), []
    added = []
    for name, (_, change) in ADDED.items():
        for number in np.flatnonzero(rng.random(len(rows)) < rates.get(name, 0)).tolist():
            row = copy.deepcopy(rows[number])
            change(row, rng)
            added.append(row)
            made[name] += 1
    people = sorted({row["user_id"] for row in rows})
    hidden = {
        one for one, roll in zip(people, rng.random(len(people)), strict=True) if roll < rates.get("not logged in", 0)
    }
    added = [added[place] for place in rng.permutation(len(added))]
    changed = [copy.deepcopy(row) for row in rows]
    for name, (_, alter) in CHANGED.items():
        chosen = rng.random(len(rows)) < rates.get(name, 0)
        for number, row in enumerate(changed):
            is_chosen = row["user_id"] in hidden if name == "not logged in" else chosen[number]
            if is_chosen and alter(row, rng):
                made[name] += 1
                if name == "two answers":
                    lost.append(number)
    for row in added:
        if row["user_id"] in hidden:
            _not_logged_in(row, rng)
    return changed + added, made, lost


def say_otherwise(row: Row) -> None:
    """Turn the answer to T0 round."""
    for one in row["annotations"]:
        if one["task"] == "T0":
            one["value"] = {"Yes": "No", "No": "Yes"}[one["value"]]


def number_answer(task: str, value: Any) -> Any:
    """Return the number of an answer, or of each of a list of answers; marks stay as they are."""
    if task not in ANSWERS:
        return value
    if isinstance(value, list):
        return [ANSWERS[task].index(one) for one in value]
    return ANSWERS[task].index(value)


def _leaves(row: Row) -> list[dict[str, Any]]:
    return row["annotations"]
