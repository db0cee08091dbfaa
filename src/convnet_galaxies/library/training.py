"""Train runs and join them, in a notebook."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.progress import Progress

from convnet_galaxies.data.records import ImageSet, join_sets
from convnet_galaxies.library.run import Run, load
from convnet_galaxies.model.device import Device
from convnet_galaxies.model.tasks import guess_tasks
from convnet_galaxies.paths import StrPath
from convnet_galaxies.runs.ensemble import join_runs
from convnet_galaxies.runs.inherit import choose_settings
from convnet_galaxies.settings import Changes, Settings
from convnet_galaxies.training.fit import TrainingProgress, fit


def train(
    images: ImageSet | Sequence[ImageSet],
    output: StrPath,
    *,
    tasks: str | Sequence[str] | None = None,
    start_from: StrPath | None = None,
    stage: int | None = None,
    settings: Settings | StrPath | None = None,
    changes: Changes = (),
    seed: int | None = None,
    device: Device = "auto",
    resume: bool = False,
    force: bool = False,
    quiet: bool = False,
) -> Run:
    """Train a network and return its run.

    images: an image set with labels, or several, which are joined. output: the folder of the run.
    tasks: of ``votes``, ``lens``, ``flavor`` and ``types``, one head each; None takes the first with labels.
    start_from: run, its folder, or ``builtin:NAME``, from whose weights to start (fine-tuning, transfer learning).
    stage: train on images of this Space Warps stage alone.
    settings: all settings, or a TOML file of some; changes: on top of them, such as ``{"train.epochs": 12}``.
    seed: overrides that of the settings. resume: continue an unfinished run of the same settings.
    force: replace an existing run. quiet: show no progress bar.
    Raises InputError and UsageError before anything is written. An interrupt leaves a run that resume continues.
    """
    base = settings if isinstance(settings, Settings) else None
    path = None if isinstance(settings, Settings) else settings
    parent = None if start_from is None else os.fspath(start_from)
    chosen = choose_settings(path, changes, seed=seed, parent=parent, base=base)
    together = images if isinstance(images, ImageSet) else join_sets(list(images))
    wanted = guess_tasks(together.table) if tasks is None else (tasks,) if isinstance(tasks, str) else tuple(tasks)
    with Progress(disable=quiet) as bar:
        line = bar.add_task("Training")

        def show(state: TrainingProgress) -> None:
            bar.update(line, completed=state.step, total=state.steps, description=f"Epoch {state.epoch}")

        run = fit(
            together,
            chosen,
            Path(output),
            tasks=wanted,
            parent=parent,
            stage=stage,
            device=device,
            resume=resume,
            force=force,
            progress=show,
        )
    return load(run.path, device=device)


def ensemble(runs: Sequence[StrPath], output: StrPath, *, float16: bool = False, force: bool = False) -> Run:
    """Join finished runs into a deep ensemble, which predicts the mean of their probabilities, and return it.

    runs: runs, their folders, or ``builtin:NAME``. float16: store the weights in half the space.
    Raises InputError when the runs do not agree in their input and tasks.
    """
    join_runs([os.fspath(run) for run in runs], output, half=float16, force=force)
    return load(output)
