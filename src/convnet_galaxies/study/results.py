"""Results of a study: scores of each strategy, paired comparisons, flavors, and the effect of a leaking split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from convnet_galaxies.study.strategies import (
    FLAVOR_STRATEGY,
    LEAKING_SPLIT,
    SCRATCH,
    list_questions,
    list_strategies,
)
from convnet_galaxies.study.strategy_comparisons import Comparison, compare_strategies, conclude
from convnet_galaxies.study.strategy_scores import (
    StrategyScores,
    average_splits,
    count_choices,
    score_strategy,
    stack_repetitions,
    subtract_unpaired,
)
from convnet_galaxies.study.study_plan import PLAN, PREDICTIONS, count_left_out, read_plan
from convnet_galaxies.study.study_remarks import remark_on_few_labels, remark_on_grid_ends

RESULTS, TEXT = "results.json", "results.txt"


class _Sampling(TypedDict):
    seed: int
    level: float
    n_resamples: int


@dataclass(frozen=True)
class SplitLeakage:
    """Scores on stage 1 from a split by cutout, those from whole fields, and the first minus the second."""

    leaking: dict[str, Estimate]
    reference: dict[str, Estimate]
    difference: dict[str, Estimate]


@dataclass(frozen=True)
class StudyResults:
    """All of it.

    sentence: whether the net from Galaxy Zoo is better, see conclude.
    flavors: confusion over the held-out images of stage 1, all repetitions added; None when that net is missing.
    sources: paths of the packs, by what they are, where they were given. remarks: what could not be measured and why.
    """

    strategies: tuple[StrategyScores, ...]
    comparisons: tuple[Comparison, ...]
    flavors: FlavorScores | None
    leakage: SplitLeakage | None
    sources: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    sentence: str = ""

    @property
    def has_stages(self) -> bool:
        """Whether the images have Space Warps stages."""
        return any(one.strategy == f"{SCRATCH}, stage 1" for one in self.strategies)


def is_study(folder: Path) -> bool:
    """Return whether a folder is a study, finished or not."""
    return (folder / PLAN).is_file()


def summarize_study(
    folder: Path,
    *,
    seed: int = 0,
    level: float = 0.95,
    n_resamples: int = 500,
    sources: Mapping[str, Path] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> StudyResults:
    """Return scores and comparisons from a study's predictions. Raises InputError when they are missing or damaged."""
    plan, parents = read_plan(folder)
    table = read_predictions(folder)
    lens = table[~table["strategy"].isin([LEAKING_SPLIT, FLAVOR_STRATEGY])]
    settings = _Sampling(seed=seed, level=level, n_resamples=n_resamples)
    remarks: list[str] = []
    strategies, comparisons = [], []
    fractions = sorted(lens["fraction"].unique(), reverse=True)
    has_stages = SCRATCH not in set(lens["strategy"])
    trained = set(zip(lens["strategy"], lens["fraction"], strict=True))
    tasks = [
        (strategy, fraction, stage)
        for fraction in fractions
        for strategy in list_strategies(parents, has_stages=has_stages, with_controls=plan.with_controls)
        for stage in strategy.scored_on
        if (strategy.name, fraction) in trained
    ]
    asked = [
        (question, fraction)
        for fraction in fractions
        for question in list_questions(parents, has_stages=has_stages, with_controls=plan.with_controls)
        if {(question.strategy, fraction), (question.other, fraction)} <= trained
    ]
    n_leading = sum(question.is_leading for question, _ in asked)
    for number, (strategy, fraction, stage) in enumerate(tasks):
        _tell(progress, number, len(tasks) + len(asked))
        own = lens[(lens["strategy"] == strategy.name) & (lens["fraction"] == fraction)]
        try:
            found = list(stack_repetitions(lens, strategy.name, fraction, stage).values())
            figures = score_strategy(found, **settings)
        except InputError as error:
            remarks.append(f"{strategy.name}, stage {stage}, {100 * fraction:.0f} % of the labels: {error.message}")
            continue
        tested = own[own["stage"] == stage].drop_duplicates("id")
        strategies.append(
            StrategyScores(
                strategy.name,
                stage,
                float(fraction),
                int(own["labels"].iloc[0]),
                int(own["label_lenses"].iloc[0]),
                len(found),
                len(tested),
                int((tested["lens"] == 1).sum()),
                figures,
                count_choices(own),
            )
        )
    if left_out := count_left_out(folder):
        remarks.append(f"{left_out} images were left out: a galaxy of the zoo pack is linked with them, or looks alike")
    remarks += remark_on_few_labels(strategies)
    remarks += remark_on_grid_ends(strategies, plan)
    for number, (question, fraction) in enumerate(asked):
        _tell(progress, len(tasks) + number, len(tasks) + len(asked))
        try:
            comparisons.append(compare_strategies(lens, question, float(fraction), n_leading=n_leading, **settings))
        except InputError as error:
            remarks.append(f"{question.text} ({100 * fraction:.0f} % of the labels): {error.message}")
    flavors = confuse_strategy(table[table["strategy"] == FLAVOR_STRATEGY], seed=seed, level=level)
    leakage = measure_leakage(table, **settings)
    named = {name: str(path.resolve()) for name, path in (sources or {}).items()}
    return StudyResults(
        tuple(strategies), tuple(comparisons), flavors, leakage, named, tuple(remarks), sentence=conclude(comparisons)
    )


def read_predictions(folder: Path) -> pd.DataFrame:
    """Read the table of all predictions on held-out images, see study.run_study. Raises InputError."""
    path = folder / PREDICTIONS
    if not path.is_file():
        raise InputError(
            f"{folder}: found no {PREDICTIONS}, expected that of a finished study",
            "repeat the `study` command; it continues where it stopped",
        )
    table = read_table(path)
    columns = (
        "id",
        "group",
        "lens",
        "stage",
        "strategy",
        "repetition",
        "fraction",
        "labels",
        "label_lenses",
        "rate",
        "epochs",
        "test_over_train",
        "lens_probability",
    )
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(
            f"{path}: found no column {missing[0]}, expected that of a study of this version", "run `study` again"
        )
    return table


def confuse_strategy(table: pd.DataFrame, *, seed: int, level: float) -> FlavorScores | None:
    """Return the confusion of the flavor nets on stage 1, all repetitions added; None without them."""
    rows = table[table["stage"].astype(float) == 1] if len(table) else table
    if not len(rows) or "predicted_flavor" not in rows or rows["group"].nunique() < 2:
        return None
    names = sorted(set(rows["flavor_label"]) | set(rows["predicted_flavor"]), key=lambda name: (name != "dud", name))
    names = list(FLAVORS) if set(names) <= set(FLAVORS) else names
    truth, predicted = (pd.Categorical(rows[column], names).codes for column in ("flavor_label", "predicted_flavor"))
    return confuse_flavors(truth, predicted, rows["group"].to_numpy(), names=names, seed=seed, level=level)


def measure_leakage(table: pd.DataFrame, *, seed: int, level: float, n_resamples: int) -> SplitLeakage | None:
    """Estimate how much a random split by cutout flatters on stage 1; None when a side is missing or lacks a class."""
    leaking = table[(table["strategy"] == LEAKING_SPLIT) & (table["stage"].astype(float) == 1)]
    try:
        by_split = []
        for _, rows in leaking.groupby("repetition"):
            columns = (rows[name].to_numpy() for name in ("lens", "lens_probability", "group"))
            by_split.append(score_lenses(*columns, seed=seed, level=level, n_resamples=n_resamples))
        if not by_split:
            return None
        strategy = SCRATCH if SCRATCH in set(table["strategy"]) else f"{SCRATCH}, stage 1"
        repetitions = list(stack_repetitions(table, strategy, 1.0, 1).values())
        reference = score_strategy(repetitions, seed=seed, level=level, n_resamples=n_resamples)
    except InputError:
        return None
    most = {name: SCORES[name].most for name in reference}
    flattered = {name: average_splits(name, [one[name] for one in by_split], most=most[name]) for name in reference}
    difference = {
        name: subtract_unpaired(name, flattered[name], reference[name], most=most[name]) for name in reference
    }
    return SplitLeakage(flattered, reference, difference)


def read_results(folder: Path) -> StudyResults:
    """Return what write_results wrote; measured again if it is missing or older than the predictions."""
    path, predictions = folder / RESULTS, folder / PREDICTIONS
    if not path.is_file() or (predictions.is_file() and predictions.stat().st_mtime > path.stat().st_mtime):
        return summarize_study(folder)
    try:
        return TypeAdapter(StudyResults).validate_json(path.read_bytes())
    except ValueError as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(
            f"{path}: is damaged or of another version ({reason})", "delete it; `report` makes it again"
        ) from None


def _tell(progress: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
