"""train: scratch, fine-tuning and transfer."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from convnet_galaxies.cli.checks import check_paths
from convnet_galaxies.cli.options import (
    ChangesOption,
    Consensus,
    DeviceChoice,
    DeviceOption,
    Force,
    Grades,
    Json,
    Limit,
    Parent,
    Quiet,
    RunOutput,
    SettingsFile,
    SettingsSeed,
    StageOption,
    apply_grades,
    progress_bar,
    remark,
    show_json,
    warn_of_names_only,
)
from convnet_galaxies.model.tasks import TASKS

if TYPE_CHECKING:
    TaskChoice: TypeAlias = str
else:
    TaskChoice = StrEnum("TaskChoice", {name.upper(): name for name in TASKS})


Packs = Annotated[list[Path], typer.Argument(help="One or several packs.")]
Tasks = Annotated[
    list[TaskChoice] | None,
    typer.Option("--task", help="Task to learn; several give several heads. Default: all tasks of the pack."),
]


class HeadChoice(StrEnum):
    """Ways to get the heads."""

    TRAINED = "trained"
    RIDGE = "ridge"


HeadOption = Annotated[
    HeadChoice | None,
    typer.Option(
        "--head",
        help="How the heads learn: trained with the backbone, or ridge regression on the features of an unchanged "
        "backbone, for a few labels (with --from). Default: that of the settings.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    app.command()(train)
    app.command()(crossval)
    app.command()(doctor)


def train(
    packs: Packs,
    output: RunOutput,
    task: Tasks = None,
    stage: StageOption = None,
    parent: Parent = None,
    head: HeadOption = None,
    grades: Grades = None,
    consensus: Consensus = False,
    settings: SettingsFile = None,
    changes: ChangesOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an unfinished run.")] = False,
    seed: SettingsSeed = None,
    device: DeviceOption = DeviceChoice.AUTO,
    limit: Limit = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a network, from scratch or from another run (fine-tuning, transfer learning).

    The split into training, validation and test images keeps whole groups together and is stored with the run.
    Images on which the parent was trained are never held out. After Ctrl-C, --resume continues the run. Grades are soft
    labels of the lens (a third of the grade); images that graders named a kind for (ring, spiral ...) are no lenses.

    Examples: `convnet-galaxies train zoo.pack -o zoo`;
    `convnet-galaxies train lenses.pack --stage 1 --from zoo -o stage1`;
    `convnet-galaxies train lenses.pack candidates.pack --grades candidates.pack.grades.sqlite --from lens -o better`;
    `convnet-galaxies train my.pack --from builtin:lens --head ridge -o mine`
    """
    check_paths(runs=[parent], inputs=[*packs, *(grades or ())])
    import numpy as np

    from convnet_galaxies.runs.inherit import choose_settings

    chosen = choose_settings(settings, _with_head(changes, head), seed=seed, parent=parent)
    from convnet_galaxies.data.pack import read_pack
    from convnet_galaxies.data.records import join_sets
    from convnet_galaxies.model.tasks import guess_tasks
    from convnet_galaxies.training.fit import TrainingProgress, fit

    images = join_sets([read_pack(pack) for pack in packs])
    images = apply_grades(images, grades, soft=True, use_consensus=consensus, quiet=quiet)
    if limit is not None and limit < len(images):
        images = images.select(np.arange(limit))
    warn_of_names_only(images, parent, quiet=quiet)
    tasks = tuple(str(one) for one in task) if task else guess_tasks(images.table)
    try:
        with progress_bar("Training", quiet=quiet) as update:

            def show(state: TrainingProgress) -> None:
                score = next(
                    (
                        f"{name.removeprefix('validation_')} {value:.4f}"
                        for name, value in reversed(state.figures.items())
                    ),
                    "",
                )
                update(state.step, state.steps, f"epoch {state.epoch}, loss {state.loss:.4f}, {score}".rstrip(", "))

            run = fit(
                images,
                chosen,
                output,
                tasks=tasks,
                parent=parent,
                stage=stage,
                device=device.value,
                resume=resume,
                force=force,
                progress=show,
            )
    except KeyboardInterrupt:
        if (output / "resume.ckpt").is_file():
            typer.echo(f"Stopped. Continue with the same command and --resume ({output}).", err=True)
            raise typer.Exit(130) from None
        raise
    import pandas as pd

    metrics = pd.read_csv(run.metrics)
    last = metrics.iloc[-1]
    if as_json:
        show_json({"run": run.path, "tasks": tasks, "metrics": metrics.to_dict("list")})
        return
    figures = ", ".join(
        f"{name.replace('_', ' ')} {last[name]:.4f}" for name in metrics.columns if name.startswith("validation")
    )
    made = "head fitted" if chosen.train.head == "ridge" else f"{int(last['epoch'])} epochs"
    typer.echo(f"{run.path}: {made} in {last['train_seconds']:.0f} s, {figures or 'no validation images'}")


def _with_head(changes: list[str] | None, head: HeadChoice | None) -> list[str]:
    return [*(changes or ()), *([] if head is None else [f"train.head={head.value}"])]


def crossval(
    packs: Packs,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the folds and their predictions.")],
    task: Annotated[TaskChoice, typer.Option("--task", help="Task to learn.")] = TaskChoice("lens"),
    folds: Annotated[int, typer.Option(min=2, help="Number of folds.")] = 5,
    parent: Parent = None,
    head: HeadOption = None,
    settings: SettingsFile = None,
    changes: ChangesOption = None,
    seed: SettingsSeed = None,
    device: DeviceOption = DeviceChoice.AUTO,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Cross-validate: train one network per fold; each image is scored by the network not trained on its group.

    For few labelled images, where one held-out part is too small. Repeat the command to continue an interrupted run.

    Example: `convnet-galaxies crossval candidates.pack --from zoo --folds 5 -o folds`
    """
    check_paths(runs=[parent], inputs=packs)
    from convnet_galaxies.runs.inherit import choose_settings

    chosen = choose_settings(settings, _with_head(changes, head), seed=seed, parent=parent)
    from convnet_galaxies.data.pack import read_pack
    from convnet_galaxies.data.records import join_sets
    from convnet_galaxies.predict.cross_validation import cross_validate
    from convnet_galaxies.predict.evaluation_report import score_tables

    images = join_sets([read_pack(pack) for pack in packs])
    warn_of_names_only(images, parent, quiet=quiet)
    with progress_bar("Cross-validating", quiet=quiet) as update:
        result = cross_validate(
            images,
            chosen,
            output,
            task=str(task),
            folds=folds,
            parent=parent,
            device=device.value,
            force=force,
            progress=lambda fold, state: update(
                fold * state.steps + state.step, folds * state.steps, f"fold {fold + 1}"
            ),
        )
    if result.left_out:
        remark(f"left out: {result.left_out:,} images by which the weights of {parent} were chosen", quiet=quiet)
    if as_json:
        show_json(result)
        return
    typer.echo(f"{output}: {result.images:,} images in {folds} folds; predictions in {result.predictions}")
    for table in score_tables(result.scores[str(task)], by=("flavor", "stage")):
        typer.echo("\n".join(["", *table.lines()]))
    if result.within_folds:
        typer.echo(
            f"\nAUROC within folds {result.within_folds:.4f}: each image compared with those of its own fold. The "
            "figures above also compare images of different folds, whose networks differ. No interval holds the "
            "scatter of trainings."
        )


def doctor(device: DeviceOption = DeviceChoice.AUTO, as_json: Json = False) -> None:
    """Measure this machine for two seconds: report its hardware, the settings to be used, and the time of a training.

    Example: `convnet-galaxies doctor`
    """
    from convnet_galaxies.training.doctor import CHALLENGE_GALAXIES, diagnose

    found = diagnose(device=device.value)
    if as_json:
        show_json(found)
        return
    bf16 = "native" if found.native_bf16 else "emulated, so not used"
    lines = [
        f"processor    {found.threads} threads, {found.cpu_capability}, bf16 {bf16}",
        f"GPU          {found.gpu or 'none that torch can use'}",
        f"used         {found.device} in {found.precision}",
        f"matrix peak  {found.matmul_gflops['bf16']:,.0f} GFLOP/s in bf16, {found.matmul_gflops['fp32']:,.0f} in fp32",
        f"network      {found.net_mflop:.0f} MFLOP per image, forward",
        f"training     {found.train_images_per_s:,.0f} images/s, {found.utilisation:.0%} of the matrix peak",
        f"prediction   {found.predict_images_per_s:,.0f} images/s, one view",
        f"Galaxy Zoo   {found.epoch_minutes:.1f} minutes per epoch of {CHALLENGE_GALAXIES:,} galaxies",
    ]
    typer.echo("\n".join(lines))
