"""How well a run does on images that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from convnet_galaxies.data.records import ImageSet, stage_rows
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.targets import Target, make_target
from convnet_galaxies.model.tasks import find_task
from convnet_galaxies.predict.predictor import Predictor, require_preprocess
from convnet_galaxies.predict.task_scores import Scores, score_task
from convnet_galaxies.runs.split import read_split_of, was_trained_on, was_validated_on

Part = Literal["test", "validation", "heldout"]


@dataclass(frozen=True)
class Evaluation:
    """Scores of a run on a set of images.

    part: which held-out images. images: how many were scored; refused: how many were not, since the run or an
    ancestor was trained on them, their galaxy, field or image file.
    scores: by task.
    """

    run: str
    part: str
    images: int
    refused: int
    views: int
    scores: dict[str, Scores]


def held_out_rows(images: ImageSet, run: str | Path, part: Part) -> tuple[np.ndarray, int]:
    """Row numbers of the images that may be scored, and how many are refused.

    part: ``test`` and ``validation`` are those of the run's split, images that the split does not know count as
    test; ``heldout`` takes both. Raises InputError when nothing is left.
    """
    split = read_split_of(run)
    if split is None:
        return np.arange(len(images)), 0
    trained = was_trained_on(images.table, images.link_columns, split)
    validated = was_validated_on(images.table, images.link_columns, split)
    wanted = {"test": ~validated, "validation": validated, "heldout": np.ones(len(images), bool)}[part]
    rows = np.flatnonzero(~trained & wanted)
    if not len(rows):
        raise InputError(
            f"{run}: was trained on {int(trained.sum())} of these {len(images)} images and {int((~trained).sum())} are "
            f"held out, none of them in the part '{part}'",
            "evaluate on other images, or choose another --part",
        )
    return rows, int(trained.sum())


def evaluate(
    predictor: Predictor,
    run: str | Path,
    images: ImageSet,
    *,
    part: Part = "test",
    stage: int | None = None,
    seed: int = 0,
) -> Evaluation:
    """Score a run on the held-out images of a set, with bootstrap intervals over groups.

    Raises InputError when the pack does not fit the run, has no labels for its tasks, or nothing is held out.
    """
    require_preprocess("the pack", images, predictor.preprocess)
    rows, refused = held_out_rows(images, run, part)
    if stage is not None:
        rows = rows[stage_rows(images.table, stage)[rows]]
    table = images.table.iloc[rows].reset_index(drop=True)
    targets = {task: target for task in predictor.classes if (target := _target(predictor, task, table)) is not None}
    if not targets:
        raise InputError(
            f"the pack has no labels for what {run} answers ({', '.join(predictor.classes)})",
            "pack it with its table of labels, or use `predict`",
        )
    targets = {task: target for task, target in targets.items() if target.known.any()}
    known = np.any([np.zeros(len(rows), bool), *(target.known for target in targets.values())], axis=0)
    if not known.any():
        raise InputError(f"none of the {len(rows)} held-out images has a known label", "evaluate on labelled images")
    rows, table = rows[known], table[known].reset_index(drop=True)
    answers = _answer_rows(predictor, images, rows)
    scores = {
        task: score_task(task, _mask(target, known), answers[task], table, seed=seed)
        for task, target in targets.items()
    }
    return Evaluation(str(run), part, len(rows), refused, predictor.views, scores)


def _target(predictor: Predictor, task: str, table: pd.DataFrame) -> Target | None:
    if find_task(task).column not in table.columns:
        return None  # this pack has no labels for this head; the others may have
    centres = predictor.card.type_centres
    return make_target(
        task, table, classes=predictor.classes[task], centres=None if centres is None else np.array(centres)
    )


def _mask(target: Target, rows: np.ndarray) -> Target:
    return Target(target.values[rows], target.known[rows], target.classes)


def _answer_rows(predictor: Predictor, images: ImageSet, rows: np.ndarray) -> dict[str, np.ndarray]:
    blocks = [rows[start : start + predictor.batch] for start in range(0, len(rows), predictor.batch)]
    parts = [predictor.predict(images.images[block]) for block in blocks]
    return {task: np.concatenate([part[task] for part in parts]) for task in predictor.classes}
