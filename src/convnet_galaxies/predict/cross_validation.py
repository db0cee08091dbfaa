"""Grouped cross-validation: each image is predicted once, by the network not trained on its group."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from convnet_galaxies.data.output import claim_folder
from convnet_galaxies.data.records import ImageSet, split_groups
from convnet_galaxies.data.tables import write_table
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.measure.fold_scores import score_within_folds
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.model.device import Device
from convnet_galaxies.model.tasks import TASKS, find_task, make_target
from convnet_galaxies.paths import StrPath
from convnet_galaxies.predict.predictions import to_table
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.predict.task_scores import Scores, score_task
from convnet_galaxies.runs.folder import RunFolder, run_path
from convnet_galaxies.runs.split import read_split_of, was_validated_on
from convnet_galaxies.runs.weights import fingerprint_file
from convnet_galaxies.settings import Settings, identify_settings
from convnet_galaxies.training.fit import TrainingProgress, fit


@dataclass(frozen=True)
class CrossValidation:
    """Scores over all folds at once.

    within_folds: AUROC that compares images of the same fold only, for the task lens; None for others and where no
    fold holds both classes.
    left_out: labelled images by which the weights of the parent or an ancestor were chosen.
    predictions: file with id, fold and the held-out prediction of each labelled image.
    """

    folds: int
    images: int
    predictions: Path
    scores: dict[str, Scores]
    left_out: int = 0
    within_folds: Estimate | None = None


def assign_folds(labels: np.ndarray, groups: np.ndarray, folds: int, *, seed: int) -> np.ndarray:
    """Return the fold of each image (int [n]), whole groups only, the classes of labels spread evenly. Raises
    UsageError."""
    count = len(np.unique(groups))
    if not 2 <= folds <= count:
        raise UsageError(
            f"--folds {folds}: the pack has {count} groups, expected 2 to {count} folds", "choose fewer folds"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.empty(len(labels), int)
    for number, (_, rows) in enumerate(splitter.split(labels, labels, groups)):
        fold[rows] = number
    return fold


def cross_validate(
    images: ImageSet,
    settings: Settings,
    output: StrPath,
    *,
    task: str,
    folds: int = 5,
    parent: str | Path | None = None,
    device: Device = "auto",
    force: bool = False,
    progress: Callable[[int, TrainingProgress], None] | None = None,
) -> CrossValidation:
    """Train one network per fold and score all held-out predictions together.

    output: folder with one run per fold (``fold0`` ...) and ``predictions.csv``; finished folds of an interrupted call
        are not trained again. ``crossval.json`` prevents mixing the folds of different calls.
    settings.split.validation is taken from the training folds. Images that chose the weights of the parent are left
    out, since no network of these folds is free of them.
    Raises InputError for images without labels, or that the parent was trained on, and UsageError for an impossible
    number of folds or an output of other settings, folds or images, unless force.
    """
    output = Path(output)
    if not find_task(task).has_labels:
        choices = ", ".join(name for name, one in TASKS.items() if one.has_labels)
        raise UsageError(f"crossval: the task '{task}' has no labels of its own", f"choose one of {choices}")
    target = make_target(task, images.table)
    images = images.select(target.known)
    if not len(images):
        raise InputError("the pack has no labelled images", "give a pack with labels")
    split = None if parent is None else read_split_of(parent)
    allowed = np.ones(len(images), bool) if split is None else ~was_validated_on(images, split)
    left_out = int((~allowed).sum())
    images = images.select(allowed)
    if not len(images):
        raise InputError(
            f"pack: the weights of {parent} were chosen by all {left_out:,} labelled images, expected others",
            "give a pack of other images, or a parent that was trained without them",
        )
    target = make_target(task, images.table)
    groups = images.table["group"].to_numpy()
    values = target.values.numpy()
    has_strata = values.ndim == 1 and (bool(target.classes) or set(np.unique(values)) <= {0.0, 1.0})
    labels = values if has_strata else np.zeros(len(images))
    fold = assign_folds(labels, groups, folds, seed=settings.seed)
    text = "\n".join(map(" ".join, zip(images.table["id"].astype(str), fold.astype(str), strict=True)))
    facts = {
        "task": task,
        "folds": folds,
        "settings": identify_settings(settings),
        "parent_sha256": None if parent is None else fingerprint_file(RunFolder(run_path(parent)).weights),
        "folds_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    claim_folder(output, "crossval.json", facts, "cross-validation", force=force)
    answer: np.ndarray | None = None
    for number in range(folds):
        held_out = fold == number
        parts = np.where(held_out, "test", "train").astype(object)
        share = settings.split.validation
        parts[~held_out] = split_groups(groups[~held_out], (1 - share, share, 0.0), seed=settings.seed)
        run = RunFolder(output / f"fold{number}")
        if force or not run.is_finished:
            fit(
                images,
                settings,
                run.path,
                tasks=(task,),
                parent=parent,
                parts=parts,
                device=device,
                force=True,
                progress=partial(progress, number) if progress else None,
            )
        predictor = Predictor(run.path, device=device, views=8, with_familiarity=False)
        part = predictor.predict_set(images, np.flatnonzero(held_out)).tasks[task]
        if answer is None:
            answer = np.zeros((len(images), *part.shape[1:]), np.float32)
        answer[held_out] = part
    assert answer is not None
    table = to_table(images.table["id"].tolist(), {task: answer}, {task: target.classes})
    table.insert(1, "fold", fold)
    path = output / "predictions.csv"
    write_table(path, table, force=True)
    scores = {task: score_task(task, target, answer, images.table, seed=settings.seed)}
    within = None
    if task == "lens" and any(len(np.unique(values[fold == one])) > 1 for one in range(folds)):
        within = score_within_folds(values == 1, answer, groups, fold, seed=settings.seed)
    return CrossValidation(folds, len(images), path, scores, left_out, within)
