"""Plan of a study, and the networks that it trains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pydantic import TypeAdapter

from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import UsageError
from convnet_galaxies.study.strategies import (
    CONTROL,
    FLAVOR_STRATEGY,
    LEAKING_SPLIT,
    SCRATCH,
    ZOO,
    Strategy,
    list_strategies,
)

PLAN, PREDICTIONS = "study.json", "predictions.parquet"
LEFT_OUT = "left_out"
"""Fact of study.json: the number of images that were left out, since a galaxy is linked with them or looks alike."""


@dataclass(frozen=True)
class StudyPlan:
    """Plan of a study.

    repetitions: each has its own split, draw of every fraction of the labels, training seed and zoo net.
    rates: learning rates that each strategy may choose from, relative to the settings: of an inherited backbone, or of
    the whole network from scratch. lens_epochs: epochs that it may choose from, on stage 1 or on stage 2 alone;
    fine_epochs: the same for fine-tuning on stage 2. zoo_epochs: of the zoo net. A smaller fraction f of the labels is
    trained on for f^-1/2 times the epochs, at most 10^1/2 times: few labels need more passes, but not as many steps.
    parents: runs to start from, beside the study's own zoo net; all networks get the shape of the first.
    with_controls: whether to train the controls: from scratch with the compute of zoo net and child, and from a net of
    shuffled votes.
    """

    repetitions: int = 5
    fractions: tuple[float, ...] = (0.05, 0.2, 1.0)
    rates: tuple[float, ...] = (0.3, 1.0)
    zoo_epochs: int = 20
    lens_epochs: tuple[int, ...] = (8, 24)
    fine_epochs: tuple[int, ...] = (4, 8)
    views: int = 8
    parents: tuple[str, ...] = ()
    with_controls: bool = True


@dataclass(frozen=True)
class Job:
    """One network of the study: a strategy at a fraction of the labels in a repetition; strategy None is a parent."""

    name: str
    repetition: int
    fraction: float
    strategy: Strategy | None

    @property
    def folder(self) -> str:
        """Its folder within the study's."""
        text = self.name.replace(", ", "_").translate(str.maketrans(" :/\\", "---_"))
        # Where the images have no stages, a strategy has the name of its parent.
        place = f"parents/{text}" if self.strategy is None else f"{text}/labels-{self.fraction:g}"
        return f"{place}/repetition-{self.repetition}"


def parents_of(plan: StudyPlan, zoo: ImageSet | None) -> tuple[str, ...]:
    """Return the names of the networks to start from. Raises UsageError without any, or when a name is taken."""
    own = (ZOO,) if zoo is not None else ()
    if taken := {ZOO, CONTROL, SCRATCH} & set(plan.parents):
        raise UsageError(f"--parent: found '{min(taken)}', a name of the study's own", "give its path, such as ./zoo")
    if not own + plan.parents:
        raise UsageError("study: found neither --zoo nor --parent, expected a network to start from", "give one")
    return own + plan.parents


def study_jobs(plan: StudyPlan, parents: Sequence[str], columns: Sequence[str]) -> list[Job]:
    """Return all jobs in an order in which they can be trained, those with all labels first.

    parents: as from parents_of. columns: of the table of the lens images, which decide what can be trained.
    """
    has_stages, repeated = "stage" in columns, range(plan.repetitions)
    own = (ZOO, CONTROL) if plan.with_controls else (ZOO,)
    jobs = [Job(name, one, 1.0, None) for name in own if ZOO in parents for one in repeated]
    strategies = list_strategies(parents, has_stages=has_stages, with_controls=plan.with_controls)
    for fraction in sorted({*plan.fractions}, reverse=True):
        jobs += [Job(strategy.name, one, fraction, strategy) for strategy in strategies for one in repeated]
    if has_stages and "flavor_label" in columns:
        jobs += [Job(FLAVOR_STRATEGY, one, 1.0, Strategy(FLAVOR_STRATEGY, 1, parents[0])) for one in repeated]
    if max(plan.fractions) == 1:
        stage = 1 if has_stages else None
        jobs += [Job(LEAKING_SPLIT, one, 1.0, Strategy(LEAKING_SPLIT, stage, None)) for one in repeated]
    return jobs


def read_plan(folder: Path) -> tuple[StudyPlan, tuple[str, ...]]:
    """Return the plan of a study's folder, and the names of the networks to start from. Raises UsageError for a study
    of an earlier version."""
    facts = json.loads((folder / PLAN).read_text("utf-8"))
    known = {field.name for field in fields(StudyPlan)}
    if not known <= facts["plan"].keys():
        raise UsageError(f"{folder}: found a study of an earlier version", "run `study` again, into another folder")
    plan = TypeAdapter(StudyPlan).validate_python(facts["plan"])
    return plan, ((ZOO,) if facts["images"][0] else ()) + plan.parents


def count_left_out(folder: Path) -> int:
    """Return the number of images that a study left out (see study.leave_out_shared)."""
    return int(json.loads((folder / PLAN).read_text("utf-8")).get(LEFT_OUT, 0))
