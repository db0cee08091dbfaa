"""Scores of a run on images on which it was not trained, with the underlying predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from convnet_galaxies.data.records import ImageSet, stage_rows
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.targets import Target
from convnet_galaxies.model.tasks import find_task, make_target
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.task_scores import Scores, score_task
from convnet_galaxies.runs.split import CALIBRATION, find_past_use, read_split_of

Part = Literal["test", "validation", "heldout"]
PART_TITLES = {"test": "test part", "validation": "validation part", "heldout": "validation and test parts"}


@dataclass(frozen=True)
class ScoredTask:
    """Predictions of one task for the held-out images that have a label for it.

    images: pixels of the whole set, uint8; rows: int [n], which of them; table: one row per image of rows.
    values: the truth, as in Target; answer: the predictions, float32 [n, ...]; classes: names.
    scores: with intervals; None where they cannot be measured, with the reason in fault.
    """

    task: str
    part: str
    images: np.ndarray
    rows: np.ndarray
    table: pd.DataFrame
    values: np.ndarray
    answer: np.ndarray
    classes: tuple[str, ...]
    scores: Scores | None
    fault: str = ""


@dataclass(frozen=True)
class Evaluation:
    """Scores of a run on a set of images, and the underlying predictions.

    part: which held-out images. images: how many were scored; refused: how many were not, since the run or an
    ancestor was trained on them, their galaxy, field or image file.
    tasks: those that the set has labels for; at least one has scores.
    calibrated: how many of the images the lens probability was calibrated on.
    """

    run: str
    part: str
    images: int
    refused: int
    views: int
    tasks: dict[str, ScoredTask]
    calibrated: int = 0

    @property
    def scores(self) -> dict[str, Scores]:
        """Scores by task, of the tasks that could be measured."""
        return {task: one.scores for task, one in self.tasks.items() if one.scores is not None}

    def figures(self) -> dict[str, Any]:
        """Return what `evaluate --json` prints: everything but the predictions."""
        names = ("run", "part", "images", "refused", "calibrated", "views", "scores")
        faults = {task: one.fault for task, one in self.tasks.items() if one.scores is None}
        return {**{name: getattr(self, name) for name in names}, "faults": faults}


def held_out_rows(images: ImageSet, run: str | Path, part: Part) -> tuple[np.ndarray, int]:
    """Return the row numbers of the images that may be scored, and how many are refused.

    part: ``test`` and ``validation`` are those of the run's split, images that are not in the split count as test;
    ``heldout`` takes both. Raises InputError when nothing is left.
    """
    split = read_split_of(run)
    if split is None:
        return np.arange(len(images)), 0
    past = find_past_use(images, split)
    trained, validated = past == 0, past == 1
    wanted = {"test": ~validated, "validation": validated, "heldout": np.ones(len(images), bool)}[part]
    rows = np.flatnonzero(~trained & wanted)
    if not len(rows):
        other = ", or take both parts with --part heldout" if part != "heldout" and not trained.all() else ""
        raise InputError(
            f"{run}: was trained on {int(trained.sum())} of these {len(images)} images and {int((~trained).sum())} are "
            f"held out, none of them in the part '{part}'",
            f"give a pack of other images{other}",
        )
    return rows, int(trained.sum())


def require_hard_labels(images: ImageSet) -> None:
    """Raise InputError for lens labels between 0 and 1, which grades give for training: scores need yes or no."""
    if "lens" in images.table:
        lens = images.table["lens"].to_numpy(float)
        if soft := int(((lens > 0) & (lens < 1)).sum()):
            raise InputError(
                f"labels: found {soft:,} between 0 and 1 in the column lens, expected 0 or 1 to score by",
                "apply the grades with soft=False",
            )


def evaluate(
    predictor: Predictor, images: ImageSet, *, part: Part = "test", stage: int | None = None, seed: int = 0
) -> Evaluation:
    """Score a run on the held-out images of a set, with bootstrap intervals over groups.

    A task whose scores cannot be measured, such as lenses where there are none, is passed over with its fault.
    Raises InputError when the pack does not fit the run, has no labels for its tasks or no image of the stage, nothing
    is held out, or no task can be measured.
    """
    predictor.require_pixels(images)
    if "lens" in predictor.classes:
        require_hard_labels(images)
    rows, refused = held_out_rows(images, predictor.run, part)
    if stage is not None:
        rows = rows[stage_rows(images.table, stage)[rows]]
    table = images.table.iloc[rows].reset_index(drop=True)
    targets = {task: target for task in predictor.classes if (target := _target(predictor, task, table)) is not None}
    if not targets:
        raise InputError(
            f"the pack has no labels for the predictions of {predictor.run} ({', '.join(predictor.classes)})",
            "pack it with its table of labels, or use `predict`",
        )
    targets = {task: target for task, target in targets.items() if target.known.any()}
    known = np.any([np.zeros(len(rows), bool), *(target.known for target in targets.values())], axis=0)
    if not known.any():
        raise InputError(f"none of the {len(rows)} held-out images has a known label", "give a pack of labelled images")
    rows, table = rows[known], table[known].reset_index(drop=True)
    answers = predictor.predict_set(images, rows).tasks
    tasks: dict[str, ScoredTask] = {}
    errors: list[InputError] = []
    for task, target in targets.items():
        own = np.flatnonzero(target.known[known])
        target = _choose(target, np.flatnonzero(target.known))
        own_table = table.iloc[own].reset_index(drop=True)
        answer, scores, fault = answers[task][own], None, ""
        try:
            scores = score_task(task, target, answer, own_table, seed=seed)
        except InputError as error:
            errors.append(error)
            fault = error.message
        tasks[task] = ScoredTask(
            task,
            part,
            images.images,
            rows[own],
            own_table,
            target.values.numpy(),
            answer,
            target.classes,
            scores,
            fault,
        )
    if len(errors) == len(tasks):
        raise errors[0]
    calibrated = _count_calibrated(images, rows, predictor.run)
    return Evaluation(predictor.run, part, len(rows), refused, predictor.views, tasks, calibrated)


def _count_calibrated(images: ImageSet, rows: np.ndarray, run: str | Path) -> int:
    split = read_split_of(run)
    fitted = None if split is None else split[split["origin"] == CALIBRATION]
    if fitted is None or not len(fitted):
        return 0
    return int((find_past_use(images, fitted, ("validation",))[rows] == 0).sum())


def _target(predictor: Predictor, task: str, table: pd.DataFrame) -> Target | None:
    if not find_task(task).is_labelled(table):
        return None  # this pack has no labels for this head; the others may have
    centres = predictor.card.type_centres
    return make_target(
        task, table, classes=predictor.classes[task], centres=None if centres is None else np.array(centres)
    )


def _choose(target: Target, rows: np.ndarray) -> Target:
    return Target(target.values[rows], target.known[rows], target.classes)
