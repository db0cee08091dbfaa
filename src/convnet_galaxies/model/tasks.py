"""Table of tasks that a network can learn, one entry each.

The names can be read without loading torch, so that the command line offers them at once; what needs torch is loaded by
the first use of ``Task.parts``. Scores of a task are in `predict/task_scores.py`, its section of a report in
`show/run_page.py`; both have a plain default.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from convnet_galaxies.decision_tree import load_tree
from convnet_galaxies.errors import InputError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor, nn

    from convnet_galaxies.model.targets import Target

    Head = Callable[[int, Sequence[str]], nn.Module]
    Loss = Callable[[Tensor, Tensor], Tensor]
    MakeTarget = Callable[[pd.DataFrame, tuple[str, ...], np.ndarray | None], Target]
    FindCentres = Callable[[pd.DataFrame, int, int], np.ndarray]


@dataclass(frozen=True)
class TaskParts:
    """The parts of a task that compute.

    head: number of features and names of the classes to an untrained module, float32 [n, features] to raw outputs.
    loss: raw outputs and the values of a Target to a scalar that passes over missing labels. loss_of: makes it of the
        names of the classes, for a loss that depends on them.
    finish: raw outputs float32 to what is predicted, such as probabilities, of the same shape.
    target: a table of images, the classes of a head that is kept (else empty), and centres (else None) to the Target.
    centres: for a task whose classes are found in the labels: the table of the training images, the number of classes
        and the seed to float64 [k, ...]. None: the labels are the classes.
    """

    head: Head
    loss: Loss
    finish: Callable[[Tensor], Tensor]
    target: MakeTarget
    centres: FindCentres | None = None
    loss_of: Callable[[Sequence[str]], Loss] | None = None

    def make_loss(self, classes: Sequence[str]) -> Loss:
        """Return the loss of a head with these classes."""
        return self.loss_of(classes) if self.loss_of else self.loss


@dataclass(frozen=True)
class Task:
    """One task that a network can learn.

    column: column of a pack's table; a pack that has it has labels for the task. In place of the name, a function that
        tells whether a table has them.
    columns: names of the classes (empty without classes) to the columns of a table of predictions.
    load: return the parts that compute; imports torch.
    is_default: whether a pack with the column is trained on this task when the user names none.
    root_name: name, among the figures of validation, of the square root of the loss; None: it is not reported.
    has_labels: False for classes that are found in the labels of another task; such a task is not scored.
    """

    column: str | Callable[[pd.DataFrame], bool]
    columns: Callable[[Sequence[str]], list[str]]
    load: Callable[[], TaskParts]
    is_default: bool = True
    root_name: str | None = None
    has_labels: bool = True

    @cached_property
    def parts(self) -> TaskParts:
        return self.load()

    def is_labelled(self, table: pd.DataFrame) -> bool:
        """Return whether the table of a pack has labels for the task."""
        return self.column in table.columns if isinstance(self.column, str) else self.column(table)


def find_task(name: str) -> Task:
    """Return the task of this name. Raises UsageError when there is none."""
    if name not in TASKS:
        raise UsageError(f"task: found '{name}', expected one of {', '.join(TASKS)}", "choose one of these")
    return TASKS[name]


def _load_votes() -> TaskParts:
    from convnet_galaxies.model.heads import VoteHead
    from convnet_galaxies.model.losses import vote_loss
    from convnet_galaxies.model.targets import target_votes

    return TaskParts(
        lambda features, names: VoteHead(features, load_tree(tuple(names))),
        vote_loss,
        lambda outputs: outputs,
        target_votes,
    )


def _load_counts(*, is_multinomial: bool = False) -> TaskParts:
    import torch

    from convnet_galaxies.model.heads import CountHead
    from convnet_galaxies.model.losses import make_count_loss
    from convnet_galaxies.model.targets import target_counts

    def refuse(outputs: Tensor, values: Tensor) -> Tensor:
        raise ValueError("the loss of counts needs their tree")

    return TaskParts(
        lambda features, names: CountHead(features, load_tree(tuple(names)), is_multinomial=is_multinomial),
        refuse,
        torch.exp,
        target_counts,
        loss_of=lambda names: make_count_loss(load_tree(tuple(names))),
    )


def _load_lens() -> TaskParts:
    import torch

    from convnet_galaxies.model.heads import LensHead
    from convnet_galaxies.model.losses import lens_loss
    from convnet_galaxies.model.targets import target_lens

    return TaskParts(lambda features, _: LensHead(features), lens_loss, torch.sigmoid, target_lens)


def _load_flavor() -> TaskParts:
    from convnet_galaxies.model.heads import ClassHead
    from convnet_galaxies.model.losses import class_loss
    from convnet_galaxies.model.targets import target_flavor

    return TaskParts(
        lambda features, names: ClassHead(features, len(names)),
        class_loss,
        lambda outputs: outputs.softmax(1),
        target_flavor,
    )


def _load_types() -> TaskParts:
    from dataclasses import replace

    from convnet_galaxies.model.targets import find_centres, target_types

    return replace(_load_flavor(), target=target_types, centres=find_centres)


def _vote_names(names: Sequence[str]) -> list[str]:
    return list(load_tree(tuple(names)).columns)


def _count_names(names: Sequence[str]) -> list[str]:
    tree = load_tree(tuple(names))
    return [*tree.columns, *(f"{question.name}{CONCENTRATION}" for question in tree.questions)]


def _has_votes(table: pd.DataFrame, *kinds: str) -> bool:
    from convnet_galaxies.data.vote_tree import find_votes  # loads numpy and pandas

    found = find_votes(table)
    return found is not None and (not kinds or found.kind in kinds)


def _has_counts(table: pd.DataFrame) -> bool:
    return _has_votes(table, "counts")


CONCENTRATION = "_concentration"
"""Ending of the columns that follow the shares in predictions of counts (see CountHead)."""

TASKS: dict[str, Task] = {
    "counts": Task(_has_counts, _count_names, _load_counts),
    "counts-multinomial": Task(_has_counts, _count_names, partial(_load_counts, is_multinomial=True), is_default=False),
    "votes": Task(_has_votes, _vote_names, _load_votes, root_name="validation_rmse"),
    "lens": Task("lens", lambda _: ["lens_probability"], _load_lens),
    "flavor": Task("flavor_label", lambda names: [f"flavor_{name}" for name in names], _load_flavor),
    "types": Task(
        _has_votes,
        lambda names: [f"type_{name.removeprefix('type ')}" for name in names],
        _load_types,
        is_default=False,
        has_labels=False,
    ),
}
"""Tasks by name, in the order in which the columns of a pack are searched."""


def guess_tasks(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the first default task that the table has the column of. Raises InputError when there is none."""
    defaults = [name for name, task in TASKS.items() if task.is_default]
    for name in defaults:
        if TASKS[name].is_labelled(table):
            return (name,)
    from convnet_galaxies.data.labels import find_labels, label_option

    alike = find_labels(table, taken=("group", "sky_group"))
    fix = (
        f"pack it again with {label_option(next(iter(alike)))}"
        if alike
        else "pack it with its table of labels, and --label"
    )
    wanted = f"{', '.join(defaults[:-1])} or {defaults[-1]}"
    raise InputError(f"the pack has no labels, expected {wanted}", fix)


def make_target(
    task: str, table: pd.DataFrame, *, classes: tuple[str, ...] = (), centres: np.ndarray | None = None
) -> Target:
    """Return the target of a task. classes: those of a head that is to be kept. centres: of the types, float
    [k, answers].

    Raises InputError when the table has no such labels, UsageError when there is no such task.
    """
    one = find_task(task)
    if not one.is_labelled(table):
        have = [name for name, other in TASKS.items() if other.is_labelled(table)]
        found, it = (f"column '{one.column}'", "it") if isinstance(one.column, str) else ("votes", "them")
        raise InputError(
            f"pack: found no {found}, expected {it} for the task '{task}'",
            f"choose a task that the pack has labels for: {', '.join(have) or 'none'}",
        )
    return TASKS[task].parts.target(table, classes, centres)
