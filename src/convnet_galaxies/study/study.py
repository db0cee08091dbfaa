"""Training strategies compared on equal terms: the same splits, labels, seeds and grid of rates and epochs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convnet_galaxies.data.output import claim_folder, new_file
from convnet_galaxies.data.parquet_file import read_frame
from convnet_galaxies.data.records import ImageSet, stage_rows
from convnet_galaxies.data.vote_tree import TableVotes, find_votes
from convnet_galaxies.errors import InputError, UsageError
from convnet_galaxies.model.device import Device
from convnet_galaxies.model.tasks import guess_tasks
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.image_keys import NEVER, find_lowest_rank, link_keys
from convnet_galaxies.runs.weights import load_net
from convnet_galaxies.settings import Settings, identify_settings
from convnet_galaxies.study.grid import GridPoint, choose_point, lengthen, list_grid, read_choice, train_grid
from convnet_galaxies.study.strategies import (
    CONTROL,
    FLAVOR_STRATEGY,
    LEAKING_SPLIT,
    SCRATCH,
    ZOO,
    Strategy,
    keep_fraction,
    stage_of,
    study_parts,
)
from convnet_galaxies.study.study_plan import LEFT_OUT, PLAN, PREDICTIONS, Job, StudyPlan, parents_of, study_jobs
from convnet_galaxies.training.fit import fit
from convnet_galaxies.training.setup import take_shape


def run_study(
    zoo: ImageSet | None,
    lenses: ImageSet,
    settings: Settings,
    output: Path,
    *,
    plan: StudyPlan | None = None,
    device: Device = "auto",
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Train all networks and predict the test images with each; returns the file of predictions.

    Its columns are the images' id, group, lens, stage and flavors, the strategy, repetition and fraction of the
    network, labels and label_lenses (what it was trained on in its last step: labelled images, and lenses among them),
    the chosen rate and epochs, test_over_train (images), and its prediction: lens_probability or predicted_flavor.

    zoo: galaxies with votes on any tree, as fractions or counts; None if only the plan's parents are to be compared
    with scratch.
    lenses: images with lens labels, with Space Warps stages or without.
    output: folder; a network whose predictions are there is not trained again, so an interrupted study continues.
        Its ``study.json`` holds the plan; another plan for the same folder is refused.
    Raises InputError when the packs lack votes, lenses or a stage.
    """
    plan = plan or StudyPlan()
    parents = parents_of(plan, zoo)
    _require_columns(zoo, lenses)
    settings = _take_shape(plan.parents, settings, lenses)
    lenses, left_out = (lenses, 0) if zoo is None else leave_out_shared(zoo, lenses)
    study = _Study(zoo, lenses, settings, output, plan, device, left_out)
    _require_same_study(study)
    jobs = study_jobs(plan, parents, list(lenses.table.columns))
    for number, job in enumerate(jobs):
        if progress is not None:
            progress(number, len(jobs), f"{job.name}, {job.fraction:.0%} of the labels, repetition {job.repetition}")
        if not (output / job.folder / PREDICTIONS).is_file():
            study.do(job)
    path = output / PREDICTIONS
    files = [output / job.folder / PREDICTIONS for job in jobs if job.strategy is not None]
    with new_file(path, force=True) as temporary:
        pd.concat([read_frame(file) for file in files], ignore_index=True).to_parquet(temporary, index=False)
    return path


@dataclass(frozen=True)
class _Study:
    zoo: ImageSet | None
    lenses: ImageSet
    settings: Settings
    output: Path
    plan: StudyPlan
    device: Device
    left_out: int = 0

    def parts(self, repetition: int, fraction: float = 1.0) -> np.ndarray:
        seed = self.settings.seed
        parts = study_parts(self.lenses, self.settings.split.fractions, repetition=repetition, seed=seed)
        return keep_fraction(parts, self.lenses.table, fraction, seed=seed + repetition)

    def do(self, job: Job) -> None:
        folder = self.output / job.folder
        if job.strategy is None:
            self._train_parent(job, folder)
            table = pd.DataFrame()
        else:
            table = self._train_and_predict(job, job.strategy, folder)
        with new_file(folder / PREDICTIONS, force=True) as temporary:
            table.to_parquet(temporary, index=False)

    def _train_parent(self, job: Job, folder: Path) -> None:
        assert self.zoo is not None
        seed = self.settings.seed + job.repetition
        images = shuffle_votes(self.zoo, seed) if job.name == CONTROL else self.zoo
        settings = lengthen(self.settings, self.plan.zoo_epochs, 1.0).model_copy(update={"seed": seed})
        fit(images, settings, folder, tasks=guess_tasks(images.table), device=self.device, force=True)

    def _train_and_predict(self, job: Job, strategy: Strategy, folder: Path) -> pd.DataFrame:
        parts = self.parts(job.repetition, job.fraction)
        seed = self.settings.seed + job.repetition
        if job.name == LEAKING_SPLIT:
            draw = np.random.default_rng(seed).random(len(self.lenses))
            train, validation, _ = self.settings.split.fractions
            parts = np.select([draw < train, draw < train + validation], ["train", "validation"], "test").astype(object)
        task = "flavor" if job.name == FLAVOR_STRATEGY else "lens"
        in_training = parts == "train"
        if strategy.stage is not None:
            in_training &= stage_rows(self.lenses.table, strategy.stage)
        learned = self.lenses.table["lens"][in_training].dropna()
        point, run = choose_point(
            train_grid(
                self.lenses,
                self.settings.model_copy(update={"seed": seed}),
                folder,
                self._grid(job, strategy, len(learned)),
                fraction=job.fraction,
                task=task,
                parent=self._find_parent(job, strategy),
                stage=strategy.stage,
                parts=parts,
                device=self.device,
            ),
            folder,
        )
        rows = np.flatnonzero((parts == "test") & self.lenses.table["lens"].notna().to_numpy())
        predictor = Predictor(run, device=self.device, views=self.plan.views, with_familiarity=False)  # type: ignore[arg-type]
        answer = predictor.predict_set(self.lenses, rows).tasks[task]
        table = self.lenses.table.loc[rows, ["id", "group", "lens"]].reset_index(drop=True)
        found = {
            name: self.lenses.table.loc[rows, name].to_numpy()
            for name in ("flavor", "flavor_label")
            if name in self.lenses.table
        }
        table = table.assign(
            stage=stage_of(self.lenses.table)[rows].to_numpy(),
            **found,
            strategy=job.name,
            repetition=job.repetition,
            fraction=job.fraction,
            labels=len(learned),
            label_lenses=int((learned == 1).sum()),
            rate=point.rate,
            epochs=point.epochs,
            test_over_train=float((parts == "test").sum() / (self.parts(job.repetition) == "train").sum()),
        )
        if task == "lens":
            return table.assign(lens_probability=answer)
        return table.assign(predicted_flavor=np.array(predictor.classes["flavor"])[answer.argmax(axis=1)])

    def _grid(self, job: Job, strategy: Strategy, n_train: int) -> list[GridPoint]:
        plan = self.plan
        if job.name == LEAKING_SPLIT:  # what the same network chose on whole fields
            same = replace(job, name=f"{SCRATCH}, stage 1" if strategy.stage else SCRATCH)
            return [read_choice(self.output / same.folder)[0]]
        if job.name == FLAVOR_STRATEGY:
            return list_grid((1.0,), plan.lens_epochs[-1:])
        if strategy.is_longer:
            return list_grid(
                plan.rates, (plan.lens_epochs[-1],), extra_images=self._count_zoo_images(), n_train=n_train
            )
        return list_grid(plan.rates, plan.fine_epochs if ", stage 1, stage 2" in job.name else plan.lens_epochs)

    def _count_zoo_images(self) -> int:
        assert self.zoo is not None
        return round(self.settings.split.train * len(self.zoo) * self.plan.zoo_epochs)

    def _find_parent(self, job: Job, strategy: Strategy) -> str | Path | None:
        if strategy.parent is None or strategy.parent in self.plan.parents:
            return strategy.parent
        if strategy.parent in (ZOO, CONTROL):
            return self.output / Job(strategy.parent, job.repetition, 1.0, None).folder
        return read_choice(self.output / replace(job, name=strategy.parent).folder)[1]


def leave_out_shared(zoo: ImageSet, lenses: ImageSet) -> tuple[ImageSet, int]:
    """Return the images whose groups have nothing in common with the galaxies, and the number of the others.

    A network of the galaxies has learned what both show. Millions of pairs also have a few that look alike by chance
    (see pixel_hash), which must not stop a study. Raises InputError when no image is left.
    """
    alike = find_lowest_rank(link_keys(lenses), link_keys(zoo), [0] * len(zoo)) < NEVER
    shared = pd.Series(alike).groupby(lenses.table["group"].to_numpy()).transform("any").to_numpy(bool)
    if shared.all():
        raise InputError(
            f"pack: all {len(lenses):,} images are linked with galaxies of --zoo, expected others",
            "give a pack of galaxies that are not among the images",
        )
    return (lenses.select(~shared) if shared.any() else lenses), int(shared.sum())


def shuffle_votes(images: ImageSet, seed: int) -> ImageSet:
    """Return the galaxies with their votes dealt to others at random: the control parent, of equal compute.

    Raises InputError when they have no votes.
    """
    columns = _find_votes(images).tree.columns
    order = np.random.default_rng(seed).permutation(len(images))
    return replace(
        images, table=images.table.assign(**{name: images.table[name].to_numpy()[order] for name in columns})
    )


def _find_votes(zoo: ImageSet) -> TableVotes:
    votes = find_votes(zoo.table)
    if votes is None:
        raise InputError(
            "--zoo: found no votes in the pack, expected those of a Galaxy Zoo",
            "pack them with `pack galaxy-zoo` or `pack votes`",
        )
    return votes


def _take_shape(parents: tuple[str, ...], settings: Settings, lenses: ImageSet) -> Settings:
    # A comparison of networks of different shapes would not be about where they start.
    shapes = [take_shape(settings, load_net(one)[1], lenses) for one in parents]
    for one, shape in zip(parents, shapes, strict=True):
        if shape.net != shapes[0].net:
            raise UsageError(
                f"--parent: found {one} with a network of another shape than {parents[0]}, expected equal shapes",
                "give one of them per study",
            )
    return shapes[0] if shapes else settings


def _require_columns(zoo: ImageSet | None, lenses: ImageSet) -> None:
    if zoo is not None:
        _find_votes(zoo)
    if "lens" not in lenses.table.columns:
        raise InputError("--lenses: found no column 'lens' in the pack", "give a pack with lens labels")


def _require_same_study(study: _Study) -> None:
    # Strategies are paired image by image, so a study goes on with the same images in the same parts only.
    plan, lenses = study.plan, study.lenses
    split = "\n".join(
        " ".join(row)
        for one in range(plan.repetitions)
        for fraction in sorted({1.0, *plan.fractions})
        for row in zip(lenses.table["id"], study.parts(one, fraction), strict=True)
    )
    written: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(plan).items()
    }
    facts = {
        "plan": written,
        "settings": identify_settings(study.settings),
        "images": [0 if study.zoo is None else len(study.zoo), len(lenses)],
        "split_sha256": hashlib.sha256(split.encode()).hexdigest(),
        **({LEFT_OUT: study.left_out} if study.left_out else {}),
    }
    claim_folder(study.output, PLAN, facts, "study")
