"""Choose the learning rate and the epochs of a network on its validation part, from a small grid."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from convnet_galaxies.data.output import write_json
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.device import Device
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.settings import Settings
from convnet_galaxies.training.fit import fit

CHOICE = "choice.json"
MOST_LONGER = 10.0
"""At a smaller fraction of the labels than its inverse, the epochs grow no further."""


@dataclass(frozen=True)
class GridPoint:
    """A point of the grid.

    rate: learning rate relative to the settings: of an inherited backbone, or of the whole network from scratch.
    epochs: at all labels. extra_epochs: added at any fraction of the labels.
    """

    rate: float
    epochs: int
    extra_epochs: int = 0

    @property
    def folder(self) -> str:
        """Name of its run within the folder of a job."""
        return f"rate-{self.rate:g}_epochs-{self.epochs}"


@dataclass(frozen=True)
class TrainedPoint:
    """A point of the grid, its run, and the loss on the validation part after the last epoch."""

    point: GridPoint
    run: Path
    validation_loss: float


def list_grid(
    rates: Sequence[float], epochs: Sequence[int], *, extra_images: int = 0, n_train: int = 1
) -> list[GridPoint]:
    """Return all pairs of rates and epochs; extra_images: trained on besides, n_train of them per epoch."""
    return [GridPoint(rate, one, round(extra_images / max(1, n_train))) for one in epochs for rate in rates]


def lengthen(settings: Settings, epochs: int, fraction: float, extra_epochs: int = 0) -> Settings:
    """Return the settings with f^-1/2 times the epochs at a fraction f of the labels, validated once at the end."""
    longer = round(epochs * min(MOST_LONGER, 1 / fraction) ** 0.5) + extra_epochs
    train = settings.train.model_copy(update={"epochs": longer, "validate_every": longer})
    return settings.model_copy(update={"train": train})


def train_grid(
    images: ImageSet,
    settings: Settings,
    folder: Path,
    grid: Iterable[GridPoint],
    *,
    fraction: float,
    task: str,
    parent: str | Path | None,
    stage: int | None,
    parts: np.ndarray,
    device: Device,
) -> Iterator[TrainedPoint]:
    """Train a network per point into a folder of its own; finished ones are read again.

    Raises InputError when the validation part holds no labelled image of the stage.
    """
    for point in grid:
        wanted = lengthen(settings, point.epochs, fraction, point.extra_epochs)
        name = "learning_rate" if parent is None else "backbone_rate"
        rate = point.rate * (settings.train.learning_rate if parent is None else 1.0)
        wanted = wanted.model_copy(update={"train": wanted.train.model_copy(update={name: rate})})
        run = RunFolder(folder / point.folder)
        if not run.is_finished:
            fit(
                images,
                wanted,
                run.path,
                tasks=(task,),
                parent=parent,
                stage=stage,
                parts=parts,
                device=device,
                force=True,
            )
        metrics = pd.read_csv(run.metrics)
        if "validation_loss" not in metrics:
            raise InputError(
                "pack: found no labelled image in the validation part, on which rate and epochs are chosen",
                "raise split.validation with --set, or give a larger pack",
            )
        yield TrainedPoint(point, run.path, float(metrics["validation_loss"].iloc[-1]))


def choose_point(trained: Iterable[TrainedPoint], folder: Path) -> tuple[GridPoint, Path]:
    """Return the point of least validation loss, and its run; both are written to the folder, see read_choice."""
    found = sorted(trained, key=lambda one: one.validation_loss)
    best = found[0]
    losses = {one.point.folder: one.validation_loss for one in found}
    write_json(folder / CHOICE, {"point": best.point, "run": best.run.name, "validation_loss": losses}, force=True)
    return best.point, best.run


def read_choice(folder: Path) -> tuple[GridPoint, Path]:
    """Return what choose_point wrote: the chosen point and its run."""
    choice = json.loads((folder / CHOICE).read_text("utf-8"))
    return GridPoint(**choice["point"]), folder / choice["run"]
