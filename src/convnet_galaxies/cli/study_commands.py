"""study, unknown, report: results about strategies and unlabelled images, and their pages."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from convnet_galaxies.cli.checks import check_paths
from convnet_galaxies.cli.options import (
    ChangesOption,
    DeviceChoice,
    DeviceOption,
    Force,
    Json,
    PartChoice,
    PartOption,
    Quiet,
    RunArgument,
    Seed,
    SettingsFile,
    StageOption,
    ViewChoice,
    ViewsOption,
    accept_old_names,
    progress_bar,
    refuse_options,
    remark,
    show_json,
    warn_of_names_only,
)
from convnet_galaxies.errors import UsageError

Pair = tuple[float, float]


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    old_names = {"--fractions": "--label-fractions", "--seeds": "--repetitions", "--space-warps": "--lenses"}
    app.command(cls=accept_old_names(old_names))(study)
    app.command()(unknown)
    app.command(cls=accept_old_names({"--lenses": "--survey-lenses", "--fields": "--survey-images"}))(report)


def study(
    lenses: Annotated[
        Path, typer.Option("--lenses", help="Pack with lens labels: of Space Warps, with both stages, or your own.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the study; an existing one is continued.")],
    zoo: Annotated[
        Path | None, typer.Option("--zoo", help="Galaxy Zoo pack with votes: each repetition trains a parent on it.")
    ] = None,
    parents: Annotated[
        list[str] | None,
        typer.Option(
            "--parent", metavar="RUN", help="Run (or builtin:NAME) to start from; all networks get its shape. Repeat."
        ),
    ] = None,
    repetitions: Annotated[
        int, typer.Option(min=1, help="Repetitions, each with its own split, draw of labels and training seed.")
    ] = 5,
    label_fractions: Annotated[
        str, typer.Option(metavar="F,...", help="Fractions of the training labels to train with.")
    ] = "0.05,0.2,1",
    rates: Annotated[
        str, typer.Option(metavar="R,...", help="Learning rates to choose from, relative to the settings.")
    ] = "0.3,1",
    lens_epochs: Annotated[
        str, typer.Option(metavar="N,...", help="Epochs to choose from, on stage 1, or on stage 2 alone.")
    ] = "8,24",
    fine_epochs: Annotated[
        str, typer.Option(metavar="N,...", help="Epochs to choose from in fine-tuning on stage 2.")
    ] = "4,8",
    zoo_epochs: Annotated[int, typer.Option(min=1, help="Epochs of the Galaxy Zoo network.")] = 20,
    controls: Annotated[
        bool,
        typer.Option(
            help="Train the controls of --zoo: from scratch with the compute of parent and child together, and from a "
            "parent that was trained on shuffled votes."
        ),
    ] = True,
    settings: SettingsFile = None,
    changes: ChangesOption = None,
    device: DeviceOption = DeviceChoice.AUTO,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare training strategies: is a network better that starts from galaxy morphology than one from scratch?

    Every strategy chooses its learning rate and epochs on the validation part, from the same grid. Each repetition has
    its own split, which keeps whole fields together, its own draw of the labels and its own seed; the intervals hold
    the scatter between repetitions. Repeat the command to continue an interrupted study; `report` makes its page.
    Without --settings, a small network for a few thousand images is trained, with a fifth of the images for validation
    and a fifth for tests; with it, missing settings are those of `train`.

    Example: `convnet-galaxies study --zoo zoo.pack --lenses lenses.pack -o study`

    Example: `convnet-galaxies study --parent builtin:zoo --lenses mine.pack --label-fractions 1 -o study`
    """
    plan_numbers = {
        "fractions": _read_numbers(label_fractions, "--label-fractions", "0.05,0.2,1", most=1),
        "rates": _read_numbers(rates, "--rates", "0.3,1"),
        "lens_epochs": _read_epochs(lens_epochs, "--lens-epochs", "8,24"),
        "fine_epochs": _read_epochs(fine_epochs, "--fine-epochs", "4,8"),
    }
    check_paths(inputs=[zoo, lenses], runs=parents or [])
    from convnet_galaxies.data.pack import read_pack
    from convnet_galaxies.settings import load_settings
    from convnet_galaxies.study.demo_settings import STUDY_SETTINGS
    from convnet_galaxies.study.results import summarize_study
    from convnet_galaxies.study.study import run_study
    from convnet_galaxies.study.study_plan import StudyPlan
    from convnet_galaxies.study.study_report import study_report, write_results

    chosen = load_settings(settings, changes or [], base=STUDY_SETTINGS if settings is None else None)
    plan = StudyPlan(
        repetitions=repetitions,
        zoo_epochs=zoo_epochs,
        parents=tuple(parents or ()),
        with_controls=controls,
        **plan_numbers,  # type: ignore[arg-type]
    )
    with progress_bar("Study", quiet=quiet) as update:
        images = read_pack(zoo) if zoo is not None else None
        run_study(images, read_pack(lenses), chosen, output, plan=plan, device=device.value, progress=update)
    named = {name: path for name, path in (("zoo", zoo), ("lenses", lenses)) if path is not None}
    with progress_bar("Measuring", quiet=quiet) as update:
        results = summarize_study(output, sources=named, progress=update)
    write_results(output, results)
    show_json(results) if as_json else typer.echo(study_report(results).text())


def unknown(
    run: RunArgument,
    pack: Annotated[Path, typer.Argument(help="Pack with UNKNOWN images, or with unlabelled images.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the result.")],
    known: Annotated[
        Path | None, typer.Option("--known", help="Pack with the run's held-out labelled images; default: PACK.")
    ] = None,
    stage: Annotated[int | None, typer.Option(min=1, help="Only known images of this Space Warps stage.")] = None,
    grades: Annotated[
        list[Path] | None,
        typer.Option("--grades", help="CSV of expert grades by ZooID (candidates.csv), or a filled-in plan. Repeat."),
    ] = None,
    plan: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Draw the N images whose grades are most informative, as plan.csv to be filled in."
        ),
    ] = None,
    crowd: Annotated[
        list[Path] | None, typer.Option("--crowd", help="The crowd's list: ZooID P Nclass image-file. Repeat.")
    ] = None,
    completeness_ratio: Annotated[
        Pair,
        typer.Option(
            metavar="LOW HIGH",
            help="Completeness for real lenses over that for the known ones: lowest and highest assumed.",
        ),
    ] = (0.5, 1.0),
    false_positive_ratio: Annotated[
        Pair,
        typer.Option(
            metavar="LOW HIGH",
            help="False positive rate of the unknown images over that of the known: lowest and highest assumed.",
        ),
    ] = (0.5, 2.0),
    views: ViewsOption = ViewChoice.EIGHT,
    seed: Seed = 0,
    device: DeviceOption = DeviceChoice.AUTO,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Estimate how many lenses are among unlabelled images, rank them, and test for domain shift.

    The score distributions of held-out labelled images are fitted to the scores of the unlabelled ones (a mixture).
    Expert grades or probabilities from the crowd are compared with the network, subject by subject. Grades of images
    drawn by `--plan` give an estimate of the number of lenses that does not depend on the network.

    Example: `convnet-galaxies unknown stage2 lenses.pack --grades candidates.csv -o unknown`

    Example: `convnet-galaxies unknown stage2 lenses.pack --plan 200 -o to-grade`, then `--grades to-grade/plan.csv`
    """
    check_paths(runs=[run], inputs=[pack, known, *(grades or ()), *(crowd or ())], output=output, force=force)
    from convnet_galaxies.predict.predictor import Predictor
    from convnet_galaxies.study.unknown_report import unknown_report
    from convnet_galaxies.study.unknown_run import study_unknown

    predictor = Predictor(run, device=device.value, views=int(views.value))  # type: ignore[arg-type]
    result = study_unknown(
        predictor,
        pack,
        output,
        known=known,
        stage=stage,
        grades=grades or (),
        crowd=crowd or (),
        plan=plan,
        completeness_ratio=completeness_ratio,
        false_positive_ratio=false_positive_ratio,
        seed=seed,
        force=force,
        progress=lambda text: remark(f"{text} ...", quiet=quiet),
    )
    show_json(result) if as_json else typer.echo(unknown_report(result).text())


def report(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="Run, study, folder of `demo`, or folder of `unknown`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page, an HTML file.")],
    pack: Annotated[
        Path | None, typer.Option("--pack", help="Pack of the images: a run needs it for figures and galleries.")
    ] = None,
    part: PartOption = PartChoice.TEST,
    stage: StageOption = None,
    truth: Annotated[
        Path | None, typer.Option(help="truth.csv of a simulation, for completeness by Einstein radius and magnitude.")
    ] = None,
    survey_lenses: Annotated[
        float, typer.Option(help="Expected number of lenses in a survey, for which purity is given.")
    ] = 90.0,
    survey_images: Annotated[int, typer.Option(help="Images of that survey, lenses included.")] = 430_000,
    views: ViewsOption = ViewChoice.EIGHT,
    seed: Seed = 0,
    device: DeviceOption = DeviceChoice.AUTO,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page about a run, a study, a demo, or a result of `unknown`.

    Example: `convnet-galaxies report stage1 --pack lenses.pack -o report.html`
    """
    check_paths(inputs=[pack, truth], output=output, force=force)
    from convnet_galaxies.show.lens_sections import Survey
    from convnet_galaxies.show.report import find_kind, write_report

    kind = find_kind(source)
    of_run = ("part", "stage", "truth")
    of_scores = ("survey_lenses", "survey_images", "views", "seed")
    if kind == "run" and pack is None:
        refuse_options(context, *of_run, *of_scores, because="without --pack the report of a run has no figures")
    elif kind == "demo":
        refuse_options(
            context, "pack", *of_run, because=f"{source} is a demo; its report covers all its runs and packs"
        )
    elif kind != "run":
        refuse_options(context, *of_run, *of_scores, because=f"{source} already contains the figures of its report")
    if kind == "run" and pack is not None:
        from convnet_galaxies.data.pack import read_pack

        warn_of_names_only(read_pack(pack), source)
    summary = write_report(
        source,
        output,
        pack=pack,
        part=part.value,
        stage=stage,
        views=int(views.value),  # type: ignore[arg-type]
        device=device.value,
        truth=truth,
        survey=Survey(survey_lenses, survey_images),
        seed=seed,
        force=force,
    )
    if as_json:
        show_json(summary)
    else:
        typer.echo(f"{output}: {summary.kind}, {len(summary.sections)} sections, {summary.size_bytes / 1e6:.1f} MB")


def _read_numbers(text: str, option: str, example: str, *, most: float = math.inf) -> tuple[float, ...]:
    try:
        numbers = tuple(dict.fromkeys(float(word) for word in text.replace(",", " ").split()))
    except ValueError:
        numbers = ()
    if not numbers or not all(0 < number <= most and math.isfinite(number) for number in numbers):
        limits = "numbers above 0" + (f" and at most {most:g}" if math.isfinite(most) else "")
        raise UsageError(f"{option}: found '{text}', expected {limits}", f"write e.g. {option} {example}")
    return numbers


def _read_epochs(text: str, option: str, example: str) -> tuple[int, ...]:
    numbers = _read_numbers(text, option, example)
    if any(number != round(number) for number in numbers):
        raise UsageError(f"{option}: found '{text}', expected whole numbers", f"write e.g. {option} {example}")
    return tuple(sorted(round(number) for number in numbers))
