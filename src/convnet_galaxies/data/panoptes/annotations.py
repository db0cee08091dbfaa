"""One annotations cell of an export to answers and marks, whatever the tasks of its workflow are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from convnet_galaxies.data.panoptes.reasons import EMPTY, MARK_DETAILS, NO_PLACE, NOT_A_TASK, NOT_READ

_PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_APOSTROPHES = re.compile(r"['’‘`´]")
_SIGNS = {">": " more than ", "<": " less than ", "+": " plus "}
_NOT_WORD = re.compile(r"[^\w]+|_+")


class Mark(NamedTuple):
    """A mark of a drawing task: its centre in the pixels of the export, the image of the subject it lies on (from 0),
    and the number of its tool."""

    x: float
    y: float
    frame: int
    tool: int


class Leaf(NamedTuple):
    """What one task got in one classification.

    answers: texts, or numbers of answers where the export has those. marks: of a drawing task. is_list: whether the
    cell had a list, as questions with several answers and drawing tasks do; an empty one may be either.
    """

    task: str
    answers: tuple[str | int, ...]
    marks: tuple[Mark, ...]
    is_list: bool


def flatten(annotations: Any, faults: list[str]) -> Iterator[Leaf]:
    """Go through all tasks of a cell, those within combo tasks too; what cannot be read is appended to faults."""
    if not isinstance(annotations, list):
        faults.append(NOT_A_TASK)
        return
    for one in annotations:
        if not isinstance(one, dict) or not isinstance(one.get("task"), str):
            faults.append(NOT_A_TASK)
            continue
        task, value = one["task"], one.get("value")
        if isinstance(value, str):
            if value and not value.isspace():
                yield Leaf(task, (value,), (), False)
            else:
                faults.append(EMPTY)
        elif value is None:
            faults.append(EMPTY)
        elif "markIndex" in one:
            faults.append(MARK_DETAILS)
        elif isinstance(value, list):
            yield from _flatten_list(task, value, faults)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield Leaf(task, (value,), (), False)
        else:
            faults.append(NOT_READ)


def _flatten_list(task: str, value: list[Any], faults: list[str]) -> Iterator[Leaf]:
    first = value[0] if value else None
    if isinstance(first, dict) and "task" in first:  # a combo task
        yield from flatten(value, faults)
        return
    answers: list[str | int] = []
    marks: list[Mark] = []
    lost = 0
    for one in value:
        if isinstance(one, str):
            answers.append(one) if one.strip() else faults.append(EMPTY)
        elif isinstance(one, int) and not isinstance(one, bool):
            answers.append(one)
        elif one is None:
            faults.append(EMPTY)
        elif isinstance(one, dict) and "choice" in one:  # a survey
            answers.append(str(one["choice"]))
        elif isinstance(one, dict) and "tool" in one:
            place = find_centre(one)
            if place is None:
                faults.append(NO_PLACE)
            else:
                marks.append(Mark(*place, _whole(one.get("frame")), _whole(one["tool"])))
        else:
            lost += 1
    faults.extend([NOT_READ] * lost)
    if answers or marks or not lost:
        yield Leaf(task, tuple(answers), tuple(marks), True)


def find_centre(mark: dict[str, Any]) -> tuple[float, float] | None:
    """Return the centre of a mark (x, y): a point, circle, ellipse, rectangle, line or polygon; None without one."""
    try:
        if "x" in mark and "y" in mark:
            x, y = float(mark["x"]), float(mark["y"])
            if "width" in mark and "height" in mark:  # from the corner
                x, y = x + float(mark["width"]) / 2, y + float(mark["height"]) / 2
        elif "x_center" in mark:
            x, y = float(mark["x_center"]), float(mark["y_center"])
        elif "x1" in mark:
            x, y = (float(mark["x1"]) + float(mark["x2"])) / 2, (float(mark["y1"]) + float(mark["y2"])) / 2
        else:
            points = mark["points"]
            x = sum(float(point["x"]) for point in points) / len(points)
            y = sum(float(point["y"]) for point in points) / len(points)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if abs(x) < 1e9 and abs(y) < 1e9 else None  # also false for NaN


@lru_cache(maxsize=1 << 16)
def clean_answer(text: str) -> str:
    """Return the answer in lower case with dashes, as catalogues name their columns: ``![a.png](...) Can't tell``
    becomes ``cant-tell``. A picture alone gives the name of its file; empty where nothing is left."""
    plain = _LINK.sub(r"\1", _PICTURE.sub(" ", text))
    if not plain.strip():
        found = _PICTURE.search(text)
        plain = re.sub(r"\.\w{2,4}$", "", found.group(1)) if found else ""
    for sign, words in _SIGNS.items():  # "4" and ">4" are two answers
        plain = plain.replace(sign, words)
    return _NOT_WORD.sub("-", _APOSTROPHES.sub("", plain.casefold())).strip("-")


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 15 else 0
