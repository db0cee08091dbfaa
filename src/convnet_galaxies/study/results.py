"""What a study found: figures of each arm, the paired answers to its questions, flavors, and what leaking flatters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from convnet_galaxies.data.tables import read_table
from convnet_galaxies.errors import InputError
from convnet_galaxies.measure.confusion import FlavorScores, confuse_flavors
from convnet_galaxies.measure.intervals import Estimate
from convnet_galaxies.measure.score_table import SCORES
from convnet_galaxies.measure.scores import score_lenses
from convnet_galaxies.model.targets import FLAVORS
from convnet_galaxies.study.answers import Answer, answer_question, conclude, stack_seeds
from convnet_galaxies.study.arm_scores import average_splits, score_seeds, subtract_unpaired
from convnet_galaxies.study.arms import ARMS, QUESTIONS, count_lenses

LEAKING, FLAVOR_ARM = "leaking random split", "flavors"
HONEST = "scratch, stage 1"
FEW_LENSES = 10
RESULTS, TEXT, PREDICTIONS = "results.json", "results.txt", "predictions.parquet"


class _Sampling(TypedDict):
    seed: int
    level: float
    n_resamples: int


@dataclass(frozen=True)
class ArmFigures:
    """Figures of one arm at one share of the labels on the held-out images of one stage.

    labels, label_lenses: labelled images that it was trained on in its last step, and lenses among them.
    figures: by the names of the lens scores; the interval holds groups and seeds.
    """

    arm: str
    stage: int
    fraction: float
    labels: int
    label_lenses: int
    seeds: int
    n_images: int
    n_lenses: int
    figures: dict[str, Estimate]


@dataclass(frozen=True)
class Flattery:
    """Figures on stage 1 from a split by cutout, those from whole fields, and the first minus the second."""

    leaking: dict[str, Estimate]
    honest: dict[str, Estimate]
    difference: dict[str, Estimate]


@dataclass(frozen=True)
class StudyResults:
    """All of it.

    sentence: whether the net from Galaxy Zoo is better, see conclude.
    flavors: confusion over the held-out images of stage 1, all seeds added; None when that net is missing.
    sources: paths of the packs, by what they are, where they were given. remarks: what could not be measured and why.
    """

    arms: tuple[ArmFigures, ...]
    answers: tuple[Answer, ...]
    flavors: FlavorScores | None
    flattery: Flattery | None
    sources: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    sentence: str = ""


def is_study(folder: Path) -> bool:
    """Whether a folder is a study, finished or not."""
    return (folder / "study.json").is_file()


def summarize_study(
    folder: Path,
    *,
    seed: int = 0,
    level: float = 0.95,
    n_resamples: int = 500,
    sources: Mapping[str, Path] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> StudyResults:
    """Figures and answers from a study's predictions. Raises InputError when they are missing or damaged."""
    table = read_predictions(folder)
    lens = table[~table["arm"].isin([LEAKING, FLAVOR_ARM])]
    seeds_of = lens.groupby(["arm", "fraction"])["seed"].nunique()
    settings = _Sampling(seed=seed, level=level, n_resamples=n_resamples)
    remarks: list[str] = []
    arms, answers = [], []
    fractions = sorted(lens["fraction"].unique(), reverse=True)
    tasks = [(arm, fraction, stage) for fraction in fractions for arm in ARMS for stage in (1, 2) if stage >= arm.stage]
    asked = [(question, fraction) for fraction in fractions for question in QUESTIONS]
    for number, (arm, fraction, stage) in enumerate(tasks):
        _tell(progress, number, len(tasks) + len(asked))
        if (arm.name, fraction) not in seeds_of.index:
            continue
        try:
            truth, probability, groups = stack_seeds(lens, arm.name, fraction, stage)
            figures = score_seeds(truth, probability, groups, **settings)
        except InputError as error:
            remarks.append(f"{arm.name}, stage {stage}, {100 * fraction:.0f} % of the labels: {error.message}")
            continue
        of_arm = lens[(lens["arm"] == arm.name) & (lens["fraction"] == fraction)].iloc[0]
        arms.append(
            ArmFigures(
                arm.name,
                stage,
                float(fraction),
                int(of_arm["labels"]),
                int(of_arm["label_lenses"]),
                len(probability),
                len(truth),
                int(truth.sum()),
                figures,
            )
        )
    remarks += remark_on_labels(arms)
    for number, (question, fraction) in enumerate(asked):
        _tell(progress, len(tasks) + number, len(tasks) + len(asked))
        if not {(question.arm, fraction), (question.other, fraction)} <= set(seeds_of.index):
            continue
        try:
            answers.append(answer_question(lens, question, float(fraction), **settings))
        except InputError as error:
            remarks.append(f"{question.text} ({100 * fraction:.0f} % of the labels): {error.message}")
    flavors = confuse_arm(table[table["arm"] == FLAVOR_ARM], seed=seed, level=level)
    flattery = measure_flattery(table, **settings)
    named = {name: str(path.resolve()) for name, path in (sources or {}).items()}
    return StudyResults(
        tuple(arms), tuple(answers), flavors, flattery, named, tuple(remarks), sentence=conclude(answers)
    )


def remark_on_labels(arms: Sequence[ArmFigures]) -> list[str]:
    """What was learned from fewer than FEW_LENSES lenses: the intervals do not know of another draw of these."""
    found: dict[tuple[float, int, int], list[str]] = {}
    for one in arms:
        if one.label_lenses < FEW_LENSES:
            names = found.setdefault((one.fraction, one.label_lenses, one.labels), [])
            if one.arm not in names:
                names.append(one.arm)
    return [
        f"{'; '.join(names)}, at {100 * fraction:g} % of the labels: trained on {count_lenses(lenses)} "
        f"among {labels} cutouts; others of the kind might have taught something else, "
        "which no interval here knows"
        for (fraction, lenses, labels), names in found.items()
    ]


def read_predictions(folder: Path) -> pd.DataFrame:
    """The table of all predictions on held-out images, see study.run_study. Raises InputError."""
    path = folder / PREDICTIONS
    if not path.is_file():
        raise InputError(
            f"{folder}: found no {PREDICTIONS}, expected that of a finished study",
            "let `study` finish: the same command goes on where it was",
        )
    table = read_table(path)
    columns = ("id", "group", "lens", "stage", "arm", "seed", "fraction", "labels", "label_lenses", "lens_probability")
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"{path}: found no column {missing[0]}, expected that of a study", "run `study` again")
    return table


def confuse_arm(table: pd.DataFrame, *, seed: int, level: float) -> FlavorScores | None:
    """Confusion of the flavor nets on stage 1, all seeds added; None without them."""
    rows = table[table["stage"].astype(float) == 1] if len(table) else table
    if not len(rows) or "predicted_flavor" not in rows or rows["group"].nunique() < 2:
        return None
    names = sorted(set(rows["flavor_label"]) | set(rows["predicted_flavor"]), key=lambda name: (name != "dud", name))
    names = list(FLAVORS) if set(names) <= set(FLAVORS) else names
    truth, predicted = (pd.Categorical(rows[column], names).codes for column in ("flavor_label", "predicted_flavor"))
    return confuse_flavors(truth, predicted, rows["group"].to_numpy(), names=names, seed=seed, level=level)


def measure_flattery(table: pd.DataFrame, *, seed: int, level: float, n_resamples: int) -> Flattery | None:
    """How much a random split by cutout flatters on stage 1; None when one side is missing or lacks a class."""
    leaking = table[(table["arm"] == LEAKING) & (table["stage"].astype(float) == 1)]
    by_split = []
    try:
        for _, rows in leaking.groupby("seed"):
            columns = (rows[name].to_numpy() for name in ("lens", "lens_probability", "group"))
            by_split.append(score_lenses(*columns, seed=seed, level=level, n_resamples=n_resamples))
        if not by_split:
            return None
        truth, probability, groups = stack_seeds(table, HONEST, 1.0, 1)
        honest = score_seeds(truth, probability, groups, seed=seed, level=level, n_resamples=n_resamples)
    except InputError:
        return None
    most = {name: SCORES[name].most for name in honest}
    flattered = {name: average_splits(name, [one[name] for one in by_split], most=most[name]) for name in honest}
    difference = {name: subtract_unpaired(name, flattered[name], honest[name], most=most[name]) for name in honest}
    return Flattery(flattered, honest, difference)


def read_results(folder: Path) -> StudyResults:
    """Return what write_results wrote; measured anew when it is missing or older than the predictions."""
    path, predictions = folder / RESULTS, folder / PREDICTIONS
    if not path.is_file() or (predictions.is_file() and predictions.stat().st_mtime > path.stat().st_mtime):
        return summarize_study(folder)
    try:
        return TypeAdapter(StudyResults).validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(
            f"{path}: is damaged ({error.errors()[0]['msg']})", "delete it; `report` makes it anew"
        ) from None


def _tell(progress: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
