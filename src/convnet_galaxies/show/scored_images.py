"""A run's answers for held-out images, kept together with the images and their truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.targets import Target, make_target
from convnet_galaxies.model.tasks import find_task
from convnet_galaxies.predict.evaluation import Part, held_out_rows
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.task_scores import Scores, score_task

PARTS = {"test": "test part", "validation": "validation part", "heldout": "validation and test parts"}


@dataclass(frozen=True)
class ScoredTask:
    """One task's answers on held-out images with a label.

    images: all of the pack; rows: int [n], which of them; table: one row each; values: the truth, as in Target;
    answer: the net's, [n, ...]; classes: names; scores: with intervals, None when they cannot be measured (fault).
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


def score_held_out(
    predictor: Predictor,
    run: str | Path,
    images: ImageSet,
    *,
    part: Part = "test",
    stage: int | None = None,
    seed: int = 0,
) -> list[ScoredTask]:
    """Every task of the run that the pack has labels for. Raises InputError when nothing is held out or labelled."""
    rows, _ = held_out_rows(images, run, part)
    if stage is not None:
        rows = rows[images.table["stage"].to_numpy(float)[rows] == stage]
    table = images.table.iloc[rows].reset_index(drop=True)
    tasks = [task for task in predictor.classes if find_task(task).column in table and find_task(task).has_labels]
    targets = {task: make_target(task, table, classes=predictor.classes[task]) for task in tasks}
    known = np.any([target.known for target in targets.values()], axis=0) if targets else np.zeros(len(rows), bool)
    if not known.any():
        raise InputError(
            f"the pack: found no held-out image ({part}) labelled for {', '.join(predictor.classes)}, expected some",
            "give the pack that the run was trained from",
        )
    asked = np.flatnonzero(known)
    blocks = [asked[start : start + predictor.batch] for start in range(0, len(asked), predictor.batch)]
    answers = [predictor.predict(images.images[rows[block]]) for block in blocks]
    scored = []
    for task, target in targets.items():
        own = target.known[asked]
        keep = asked[own]
        answer = np.concatenate([one[task] for one in answers])[own]
        own_table = table.iloc[keep].reset_index(drop=True)
        own_target = Target(target.values[keep], target.known[keep], target.classes)
        scores, fault = None, ""
        try:
            scores = score_task(task, own_target, answer, own_table, seed=seed)
        except InputError as error:
            fault = error.message
        values = own_target.values.numpy()
        scored.append(
            ScoredTask(task, part, images.images, rows[keep], own_table, values, answer, target.classes, scores, fault)
        )
    return scored
