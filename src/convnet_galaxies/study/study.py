"""The user's plan, all strategies at several numbers of labels and over several seeds, on the same leak-safe splits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.output import claim_folder, new_file
from convnet_galaxies.data.records import ImageSet, stage_rows
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.device import Device
from convnet_galaxies.predict.predictor import Predictor
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.settings import Settings, identify_settings
from convnet_galaxies.study.strategies import FORMER_KEYS, STRATEGIES, Strategy, keep_fraction, study_parts
from convnet_galaxies.training.fit import fit

SPLIT_SEED = 0
"""The split is the same for all training seeds, so that differences between strategies are paired image by image."""


@dataclass(frozen=True)
class StudyPlan:
    """Plan of a study.

    zoo_epochs, lens_epochs, fine_epochs: of the zoo net, of training on stage 1 or on stage 2 alone, and of
    fine-tuning on stage 2. A smaller share f of the labels is trained on for f^-1/2 times the epochs, at most
    10^1/2 times: few labels need more passes, but not as many steps.
    """

    seeds: int = 5
    fractions: tuple[float, ...] = (0.05, 0.2, 1.0)
    zoo_epochs: int = 20
    lens_epochs: int = 15
    fine_epochs: int = 8
    views: int = 8


@dataclass(frozen=True)
class Job:
    """One net of the study."""

    name: str
    seed: int
    fraction: float
    strategy: Strategy | None

    @property
    def folder(self) -> str:
        """Its folder within the study's."""
        text = self.name.replace(", ", "_").replace(" ", "-")
        return f"{text}/labels-{self.fraction:g}/seed-{self.seed}"


def study_jobs(plan: StudyPlan) -> list[Job]:
    """Return all nets in the order in which they can be trained, those with all labels first."""
    jobs = [Job("zoo", seed, 1.0, None) for seed in range(plan.seeds)]
    for fraction in sorted(plan.fractions, reverse=True):
        jobs += [Job(strategy.name, seed, fraction, strategy) for strategy in STRATEGIES for seed in range(plan.seeds)]
    jobs += [Job("flavors", seed, 1.0, Strategy("flavors", 1, "zoo")) for seed in range(plan.seeds)]
    jobs += [
        Job("leaking random split", seed, 1.0, Strategy("leaking random split", 1, None)) for seed in range(plan.seeds)
    ]
    return jobs


def run_study(
    zoo: ImageSet,
    lenses: ImageSet,
    settings: Settings,
    output: Path,
    *,
    plan: StudyPlan | None = None,
    device: Device = "auto",
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Train all nets and predict the held-out cutouts with each; returns the file of predictions.

    Its columns are the images' id, group, lens, stage and flavors, the strategy, seed and fraction of the net, labels
    and label_lenses (what it was trained on in its last step: labelled images, and lenses among them), and its
    prediction: lens_probability or predicted_flavor.

    output: folder; a net whose predictions are there is not trained again, so a study that was cut off goes on where
        it was. Its ``study.json`` holds the plan; another plan for the same folder is refused.
    Raises InputError when the packs lack votes, lenses or stages.
    """
    plan = plan or StudyPlan()
    for image_set, column in ((zoo, "Class1.1"), (lenses, "lens"), (lenses, "stage"), (lenses, "flavor_label")):
        if column not in image_set.table.columns:
            raise InputError(
                f"pack: found no column '{column}'", "give --zoo a Galaxy Zoo pack, --space-warps a catalogue's"
            )
    parts = study_parts(lenses, settings.split.fractions, seed=SPLIT_SEED)
    kept = {
        fraction: keep_fraction(parts, lenses.table, fraction, seed=SPLIT_SEED) for fraction in (*plan.fractions, 1.0)
    }
    _require_same_study(output, plan, settings, zoo, lenses, parts)
    jobs = study_jobs(plan)
    for number, job in enumerate(jobs):
        if progress is not None:
            progress(number, len(jobs), f"{job.name}, {job.fraction:.0%} of the labels, seed {job.seed}")
        if not (output / job.folder / "predictions.parquet").is_file():
            _train_and_predict(job, zoo, lenses, kept[job.fraction], settings, output, plan, device)
    path = output / "predictions.parquet"
    files = [output / job.folder / "predictions.parquet" for job in jobs if job.strategy is not None]
    tables = [pd.read_parquet(file).rename(columns=FORMER_KEYS) for file in files]
    with new_file(path, force=True) as temporary:
        pd.concat(tables, ignore_index=True).to_parquet(temporary, index=False)
    return path


def _train_and_predict(  # one net, and the held-out cutouts
    job: Job,
    zoo: ImageSet,
    lenses: ImageSet,
    parts: np.ndarray,
    settings: Settings,
    output: Path,
    plan: StudyPlan,
    device: Device,
) -> None:
    run = RunFolder(output / job.folder)
    if job.strategy is None:
        if not run.is_finished:
            fit(
                zoo,
                _with_epochs(settings, plan.zoo_epochs, 1.0, job.seed),
                run.path,
                tasks=("votes",),
                device=device,
                force=True,
            )
        pd.DataFrame().to_parquet(run.path / "predictions.parquet")
        return
    if job.name == "leaking random split":
        draw = np.random.default_rng(job.seed).random(len(lenses))
        train, validation, _ = settings.split.fractions
        parts = np.select([draw < train, draw < train + validation], ["train", "validation"], "test").astype(object)
    task = "flavor" if job.name == "flavors" else "lens"
    parent = None
    if job.strategy.parent is not None:
        fraction = 1.0 if job.strategy.parent == "zoo" else job.fraction
        parent = output / Job(job.strategy.parent, job.seed, fraction, None).folder
    epochs = (
        plan.fine_epochs if job.strategy.stage == 2 and job.strategy.parent not in (None, "zoo") else plan.lens_epochs
    )
    if not run.is_finished:
        wanted = _with_epochs(settings, epochs, job.fraction, job.seed)
        fit(
            lenses,
            wanted,
            run.path,
            tasks=(task,),
            parent=parent,
            stage=job.strategy.stage,
            parts=parts,
            device=device,
            force=True,
        )
    # Validation is held out as well: a strategy has one validation, after its last epoch, and nothing is chosen by it.
    held_out = np.isin(parts, ("validation", "test"))
    rows = np.flatnonzero(held_out & lenses.table["lens"].notna().to_numpy())
    predictor = Predictor(run.path, device=device, views=plan.views, with_familiarity=False)  # type: ignore[arg-type]
    answer = predictor.predict_set(lenses, rows).tasks[task]
    table = lenses.table.loc[rows, ["id", "group", "lens", "stage", "flavor", "flavor_label"]].reset_index(drop=True)
    learned = lenses.table["lens"][(parts == "train") & stage_rows(lenses.table, job.strategy.stage)].dropna()
    table = table.assign(
        strategy=job.name,
        seed=job.seed,
        fraction=job.fraction,
        labels=len(learned),
        label_lenses=int((learned == 1).sum()),
    )
    if task == "lens":
        table["lens_probability"] = answer
    else:
        table["predicted_flavor"] = np.array(predictor.classes["flavor"])[answer.argmax(axis=1)]
    with new_file(run.path / "predictions.parquet", force=True) as temporary:
        table.to_parquet(temporary, index=False)


def _with_epochs(settings: Settings, epochs: int, fraction: float, seed: int) -> Settings:
    longer = round(epochs * min(10.0, 1 / fraction) ** 0.5)
    train = settings.train.model_copy(update={"epochs": longer, "validate_every": longer})
    return settings.model_copy(update={"train": train, "seed": seed})


def _require_same_study(
    output: Path, plan: StudyPlan, settings: Settings, zoo: ImageSet, lenses: ImageSet, parts: np.ndarray
) -> None:
    # Arms are paired image by image, so a study goes on with the same images in the same parts only.
    split = "\n".join(map(" ".join, zip(lenses.table["id"], parts, strict=True)))
    facts = {
        "plan": {**plan.__dict__, "fractions": list(plan.fractions)},
        "settings": identify_settings(settings),
        "images": [len(zoo), len(lenses)],
        "split_sha256": hashlib.sha256(split.encode()).hexdigest(),
    }
    claim_folder(output, "study.json", facts, "study")
