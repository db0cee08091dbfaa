"""THE training loop: from scratch, fine-tuning and transfer, on a laptop or on several GPUs."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning_fabric import Fabric

from convnet_galaxies.data.locks import hold
from convnet_galaxies.data.output import DISK_FULL, flush, replace_folder
from convnet_galaxies.data.records import ImageSet
from convnet_galaxies.errors import InputError
from convnet_galaxies.model.augment import fixed_view, fixed_warps
from convnet_galaxies.model.device import Device, choose_device, choose_precision
from convnet_galaxies.model.galaxy_net import to_channels_last
from convnet_galaxies.model.tasks import TASKS
from convnet_galaxies.paths import StrPath
from convnet_galaxies.runs.folder import RunFolder
from convnet_galaxies.runs.split import write_split
from convnet_galaxies.runs.weights import save_weights, write_card
from convnet_galaxies.settings import Settings, write_settings
from convnet_galaxies.training.average import WeightAverage
from convnet_galaxies.training.batches import Batches
from convnet_galaxies.training.checkpoint import Interrupts, load_checkpoint, save_checkpoint
from convnet_galaxies.training.optimizer import freeze, make_optimizers, make_schedules
from convnet_galaxies.training.ridge_head import attach_ridge_heads, require_ridge
from convnet_galaxies.training.setup import TrainingSetup, set_up_training

VALIDATION_BATCH = 256


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a training, for progress bars.

    step, steps: done and all. epoch: counted from 1. loss: mean of the epoch so far. figures: of the last validation.
    """

    step: int
    steps: int
    epoch: int
    loss: float
    figures: dict[str, float]


def fit(
    images: ImageSet,
    settings: Settings,
    output: StrPath,
    *,
    tasks: Sequence[str],
    parent: str | Path | None = None,
    stage: int | None = None,
    parts: np.ndarray | None = None,
    device: Device = "auto",
    resume: bool = False,
    force: bool = False,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> RunFolder:
    """Train a network and write its run folder.

    tasks: names in model/tasks.py, one head each.
    parent: run from whose backbone, and heads of the same tasks, to start.
    stage: train only on images of this Space Warps stage; the split covers all of them.
    parts: part of each image (str [n], empty for none) if the split was chosen elsewhere, as in cross-validation.
    resume: continue an unfinished run of the same settings, to the same weights bit for bit.
    force: replace a run; a finished one stays in its place until the new one is finished.
    Raises InputError and UsageError before anything is written, KeyboardInterrupt after a checkpoint is.
    """
    output = Path(output)
    run = RunFolder(output)
    fabric = make_fabric(device, settings.train.precision)
    fabric.launch()
    fabric.seed_everything(settings.seed, verbose=False)
    setup = set_up_training(images, settings, tasks=tasks, parent=parent, stage=stage, parts=parts)
    if settings.train.head == "ridge":
        require_ridge(setup)
    try:
        with _hold(output) if fabric.is_global_zero else nullcontext():
            work = _working_folder(run, resume=resume, force=force)
            if not (resume and work != run and work.is_finished):  # else killed just before it was put in its place
                checkpoint = load_checkpoint(work, setup.identity) if resume else None
                if not resume and fabric.is_global_zero:
                    _begin(work, setup, settings, fabric, force=force)
                if settings.train.head == "ridge":
                    _fit_ridge(fabric, setup, work)
                else:
                    _train(fabric, setup, settings, work, checkpoint, progress)
            if work != run and fabric.is_global_zero:
                replace_folder(work.path, output.resolve())
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise InputError(
            f"{output}: the disk is full", "make room and call the same again, or continue with --resume"
        ) from None
    return run


def _working_folder(run: RunFolder, *, resume: bool, force: bool) -> RunFolder:
    """Return the folder to train in: that of the run, or one beside it while a finished run is to be replaced."""
    path = run.path.resolve()
    beside = RunFolder(path.with_name(f".{path.name}.training"))
    if resume:
        return beside if run.is_finished and (beside.checkpoint.is_file() or beside.is_finished) else run
    if not (force and run.is_finished):
        return run
    run.require_replaceable()
    return beside


@contextmanager
def _hold(output: Path) -> Iterator[None]:
    """Hold the lock of a run, beside its folder. Raises InputError when another process trains into it."""
    with ExitStack() as stack:
        try:
            output.absolute().parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(hold(output.absolute().with_name(f".{output.name}.lock"), output))
        except OSError as error:
            raise InputError(f"{output}: cannot be made ({error.strerror})", "choose another output") from None
        yield


def _begin(run: RunFolder, setup: TrainingSetup, settings: Settings, fabric: Fabric, *, force: bool) -> None:
    settings = settings.model_copy(update={"net": setup.net.settings})  # a parent decides the net

    def fill(new: RunFolder) -> None:
        new.settings.write_text(write_settings(settings), "utf-8")
        new.write_environment({"device": str(fabric.device), "precision": fabric._precision.precision})
        write_split(new.split, setup.split)

    run.create(force=force, fill=fill)


def _fit_ridge(fabric: Fabric, setup: TrainingSetup, run: RunFolder) -> None:
    started = time.monotonic()
    heads = attach_ridge_heads(fabric, setup)
    figures = validate(fabric, setup.net, setup) if len(setup.validation_rows) else {}
    save_weights(setup.net.state_dict(), run.weights)
    loss = sum(head.log_loss for head in heads.values())
    run.append_metrics({"epoch": 1, "train_seconds": time.monotonic() - started, "train_loss": loss, **figures})
    _finish(setup, run)


def _finish(setup: TrainingSetup, run: RunFolder) -> None:
    flush(run.path)  # the card, which is last, makes the run a finished one
    write_card(run, setup.card())
    run.checkpoint.unlink(missing_ok=True)
    run.clear_up()
    flush(run.path)  # or a power cut brings the checkpoint back


def _train(fabric, setup: TrainingSetup, settings: Settings, run: RunFolder, checkpoint, progress) -> None:  # type: ignore[no-untyped-def]
    wanted = settings.train
    net = to_channels_last(setup.net).to(fabric.device)  # before the optimizers, which keep views of the kernels
    optimizers = make_optimizers(net, wanted, inherited=setup.has_parent)
    model, *wrapped = fabric.setup(net, *optimizers)
    batches = Batches(
        setup.images,
        setup.targets,
        setup.train_rows,
        settings.augment,
        wanted.batch,
        settings.seed,
        setup.view_px,
        setup.input_px,
        (fabric.global_rank, fabric.world_size),
        setup.net.settings.normalise,
    )
    loss_of = {task: TASKS[task].parts.make_loss(target.classes) for task, target in setup.targets.items()}
    steps = batches.steps * wanted.epochs
    average = WeightAverage(net, wanted.average, steps)
    step, best, seconds, loss_sum = 0, math.inf, 0.0, 0.0
    figures: dict[str, float] = {}
    if checkpoint is not None:
        step, best, seconds, loss_sum = checkpoint.restore(net, optimizers, average)
        run.keep_metrics_until(step // batches.steps)
    schedules = make_schedules(optimizers, steps, wanted.warmup, done=step)

    def save() -> None:
        save_checkpoint(
            run, setup.identity, net, optimizers, average, step=step, best=best, seconds=seconds, loss_sum=loss_sum
        )

    with Interrupts() as interrupts:
        for epoch in range(step // batches.steps, wanted.epochs):
            started = time.monotonic()
            losses = torch.tensor(loss_sum, device=fabric.device)  # of an epoch that was interrupted, else 0
            freeze(net, wanted, epoch, inherited=setup.has_parent)
            for batch in batches.epoch(epoch, first_step=step % batches.steps):
                torch.manual_seed(settings.seed * 1_000_003 + step)  # dropout follows from the step alone
                outputs = model(fabric.to_device(batch.views))
                targets = fabric.to_device(dict(batch.targets))
                loss = torch.stack([loss_of[task](outputs[task], targets[task]) for task in setup.targets]).sum()
                fabric.backward(loss)
                for optimizer in wrapped:
                    optimizer.step()
                    optimizer.zero_grad()
                for schedule in schedules:
                    schedule.step()
                average.update(net, step)
                losses += loss.detach()
                step += 1
                if progress is not None and (step % 10 == 0 or step == steps):
                    mean = losses.item() / ((step - 1) % batches.steps + 1)
                    progress(TrainingProgress(step, steps, epoch + 1, mean, figures))
                if interrupts.caught and step % batches.steps:
                    break
            seconds += time.monotonic() - started
            loss_sum = losses.item()
            _require_finite(loss_sum, epoch)
            if interrupts.caught and step % batches.steps:
                break
            if (epoch + 1) % wanted.validate_every == 0 or epoch + 1 == wanted.epochs:
                figures = validate(fabric, average.net, setup) if len(setup.validation_rows) else {}
                score = figures.get("validation_loss", -float(epoch))
                _require_finite(score, epoch)
                if fabric.is_global_zero:
                    row = {"epoch": epoch + 1, "train_seconds": seconds, "train_loss": loss_sum / batches.steps}
                    run.append_metrics({**row, **figures})
                    if score < best:
                        save_weights(average.net.state_dict(), run.weights)
                best = min(best, score)
            loss_sum = 0.0
            if fabric.is_global_zero and step < steps and not interrupts.caught:
                save()
            if interrupts.caught:
                break
    if step < steps:
        if fabric.is_global_zero:
            save()
        raise KeyboardInterrupt
    fabric.barrier()
    if fabric.is_global_zero:
        _finish(setup, run)


def _require_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise InputError(
            f"training: the loss of epoch {epoch + 1} is {loss}, expected a finite number: it diverged",
            "lower train.learning_rate, or set train.precision=fp32",
        )


@torch.no_grad()
def validate(fabric: Fabric, net: torch.nn.Module, setup: TrainingSetup) -> dict[str, float]:
    """Return losses on the validation images, one view: ``validation_loss`` and, for votes, ``validation_rmse``."""
    net.eval()
    sums = dict.fromkeys(setup.targets, 0.0)
    counts = dict.fromkeys(setup.targets, 0)
    (upright,) = fixed_warps(1)
    for start in range(0, len(setup.validation_rows), VALIDATION_BATCH):
        rows = setup.validation_rows[start : start + VALIDATION_BATCH]
        pixels = torch.from_numpy(setup.images.images[rows])
        views = fixed_view(
            pixels, upright, view_px=setup.view_px, output_px=setup.input_px, kind=setup.net.settings.normalise
        )
        with fabric.autocast():
            outputs = net(fabric.to_device(views))
        for task, target in setup.targets.items():
            known = int(target.known[rows].sum())
            if known:
                values = target.values[torch.from_numpy(rows)].to(fabric.device)
                sums[task] += known * TASKS[task].parts.make_loss(target.classes)(outputs[task], values).item()
                counts[task] += known
    losses = {task: sums[task] / counts[task] for task in sums if counts[task]}
    figures = {"validation_loss": sum(losses.values())} if losses else {}
    roots = {name: math.sqrt(loss) for task, loss in losses.items() if (name := TASKS[task].root_name)}
    return figures | roots


def make_fabric(device: Device, precision: Literal["auto", "bf16", "fp32"]) -> Fabric:
    """Return Lightning Fabric for the device: one process on a CPU, one per GPU."""
    # Fabric announces its precision on the log; ours writes it into the run folder.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    chosen = choose_device(device)
    mixed: Literal["bf16-mixed", "32-true"] = (
        "bf16-mixed" if choose_precision(precision, chosen) == "bf16" else "32-true"
    )
    return Fabric(
        accelerator="cuda" if chosen.type == "cuda" else "cpu",
        devices="auto" if chosen.type == "cuda" else 1,
        precision=mixed,
    )
